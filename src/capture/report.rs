//! What enabling and disabling did, row by row.
#![forbid(unsafe_code)]

/// One thing done, skipped or refused.
pub struct Report {
    pub object: String,
    pub action: &'static str,
    pub detail: String,
}

impl Report {
    pub fn new(object: impl Into<String>, action: &'static str, detail: impl Into<String>) -> Self {
        Self { object: object.into(), action, detail: detail.into() }
    }
}

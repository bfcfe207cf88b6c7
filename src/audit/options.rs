//! What a caller of enable_audit may ask for.
#![forbid(unsafe_code)]

use crate::capture::options;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// The options of enable_audit, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub operations: Vec<String>,
    pub columns: Option<Vec<String>>,
    pub exclude: Vec<String>,
    pub image: String,
    pub replicated: bool,
    pub require_context: bool,
    pub on_error: String,
}

impl Options {
    pub fn checked(self) -> Result<Self> {
        let operations = options::operations(&self.operations, "audit")?;
        options::one_of("image", &self.image, ["changed", "full"])?;
        options::one_of("on_error", &self.on_error, ["degrade", "fail"])?;
        options::not_both(self.columns.as_ref(), &self.exclude, "record")?;
        Ok(Self { operations, ..self })
    }
}

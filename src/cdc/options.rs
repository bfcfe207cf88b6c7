//! What a caller of enable_cdc may ask for.
#![forbid(unsafe_code)]

use crate::capture::options;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MASKS: [&str; 3] = ["null", "hash", "constant"];
/// Bytes a channel's name may have.
const LONGEST_CHANNEL: usize = 63;

/// The options of enable_cdc, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub operations: Vec<String>,
    pub columns: Option<Vec<String>>,
    pub exclude: Vec<String>,
    /// Column and action.
    pub mask: BTreeMap<String, String>,
    pub condition: Option<String>,
    pub key: Option<Vec<String>>,
    pub image: String,
    pub replicated: bool,
    pub notify: bool,
    pub channel: String,
}

impl Options {
    pub fn checked(self) -> Result<Self> {
        let operations = options::operations(&self.operations, "capture")?;
        options::one_of("image", &self.image, ["changed", "full"])?;
        options::not_both(self.columns.as_ref(), &self.exclude, "capture")?;
        if self.key.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid_parameter("argument \"key\" names no column")
                .hint("Name the columns that identify a row, or leave it null for the primary key."));
        }
        if self.channel.is_empty() || self.channel.len() > LONGEST_CHANNEL {
            return Err(Error::invalid_parameter(format!("invalid channel name \"{}\"", self.channel))
                .detail("The name of a channel has 1 to 63 bytes.")
                .hint("Choose another channel, or notify => false."));
        }
        Ok(Self { operations, ..self })
    }
}

/// Reads `{"column": "action", ...}`.
pub fn masks(given: &serde_json::Value) -> Result<BTreeMap<String, String>> {
    let malformed = || {
        Error::invalid_parameter("argument \"mask\" is not an object of columns and actions")
            .hint("Write it as in '{\"email\": \"hash\"}'; actions are null, hash and constant.")
    };
    let object = given.as_object().ok_or_else(malformed)?;
    object
        .iter()
        .map(|(column, action)| {
            let action = action.as_str().ok_or_else(malformed)?;
            if !MASKS.contains(&action) {
                return Err(Error::invalid_parameter(format!(
                    "unrecognized mask \"{action}\" for column \"{column}\""
                ))
                .hint("Masks are null, hash and constant."));
            }
            Ok((column.clone(), action.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options() -> Options {
        Options {
            operations: vec!["insert".into()],
            columns: None,
            exclude: vec![],
            mask: BTreeMap::new(),
            condition: None,
            key: None,
            image: "full".into(),
            replicated: false,
            notify: true,
            channel: "data_changes".into(),
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |options: Options| assert!(options.checked().is_err());
        refused(Options { key: Some(vec![]), ..options() });
        refused(Options { channel: String::new(), ..options() });
        refused(Options { channel: "c".repeat(64), ..options() });
        // Sixty-three letters of two bytes each.
        refused(Options { channel: "\u{e4}".repeat(63), ..options() });
    }

    #[test]
    fn masks_are_a_closed_set() {
        assert_eq!(masks(&json!({"a": "hash"})).unwrap()["a"], "hash");
        assert!(masks(&json!({})).unwrap().is_empty());
        assert!(masks(&json!({"a": "rot13"})).is_err());
        assert!(masks(&json!({"a": 1})).is_err());
        assert!(masks(&json!(["a"])).is_err());
    }
}

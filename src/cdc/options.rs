//! What a caller of enable_cdc may ask for.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Operations in the order PostgreSQL lists them.
const OPERATIONS: [&str; 4] = ["insert", "update", "delete", "truncate"];
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
        let asked = self.operations.iter().map(|o| o.to_lowercase()).collect::<Vec<_>>();
        if let Some(unknown) = asked.iter().find(|o| !OPERATIONS.contains(&o.as_str())) {
            return Err(Error::invalid_parameter(format!("unrecognized operation \"{unknown}\""))
                .hint("Operations are insert, update, delete and truncate."));
        }
        if asked.is_empty() {
            return Err(Error::invalid_parameter("no operation to capture")
                .hint("Operations are insert, update, delete and truncate."));
        }
        if !["changed", "full"].contains(&self.image.as_str()) {
            return Err(Error::invalid_parameter(format!(
                "invalid value for argument \"image\": \"{}\"",
                self.image
            ))
            .hint("Available values: changed, full."));
        }
        if self.columns.is_some() && !self.exclude.is_empty() {
            return Err(Error::invalid_parameter("arguments \"columns\" and \"exclude\" cannot be combined")
                .hint("Name the columns to capture, or those to leave out."));
        }
        if self.key.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid_parameter("argument \"key\" names no column")
                .hint("Name the columns that identify a row, or leave it null for the primary key."));
        }
        if self.channel.is_empty() || self.channel.len() > LONGEST_CHANNEL {
            return Err(Error::invalid_parameter(format!("invalid channel name \"{}\"", self.channel))
                .detail("The name of a channel has 1 to 63 bytes.")
                .hint("Choose another channel, or notify => false."));
        }
        // One spelling and order for every way to ask for the same.
        let operations = OPERATIONS
            .iter()
            .filter(|o| asked.iter().any(|asked| asked == *o))
            .map(|o| (*o).to_owned())
            .collect();
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
            operations: OPERATIONS.map(str::to_owned).to_vec(),
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
    fn operations_have_one_order() {
        let asked =
            Options { operations: vec!["DELETE".into(), "insert".into()], ..options() }.checked().unwrap();
        assert_eq!(asked.operations, ["insert", "delete"]);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |options: Options| assert!(options.checked().is_err());
        refused(Options { operations: vec!["merge".into()], ..options() });
        refused(Options { operations: vec![], ..options() });
        refused(Options { image: "both".into(), ..options() });
        refused(Options { columns: Some(vec!["a".into()]), exclude: vec!["b".into()], ..options() });
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

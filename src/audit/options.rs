//! What a caller of enable_audit may ask for.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Operations in the order PostgreSQL lists them.
pub const OPERATIONS: [&str; 4] = ["insert", "update", "delete", "truncate"];

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
        let operations = self.operations.iter().map(|o| o.to_lowercase()).collect::<Vec<_>>();
        if let Some(unknown) = operations.iter().find(|o| !OPERATIONS.contains(&o.as_str())) {
            return Err(Error::invalid_parameter(format!("unrecognized operation \"{unknown}\""))
                .hint("Operations are insert, update, delete and truncate."));
        }
        if operations.is_empty() {
            return Err(Error::invalid_parameter("no operation to audit")
                .hint("Operations are insert, update, delete and truncate."));
        }
        let one_of = |parameter: &str, value: &str, valid: [&str; 2]| {
            if valid.contains(&value) {
                return Ok(());
            }
            Err(Error::invalid_parameter(format!("invalid value for argument \"{parameter}\": \"{value}\""))
                .hint(format!("Available values: {}, {}.", valid[0], valid[1])))
        };
        one_of("image", &self.image, ["changed", "full"])?;
        one_of("on_error", &self.on_error, ["degrade", "fail"])?;
        if self.columns.is_some() && !self.exclude.is_empty() {
            return Err(Error::invalid_parameter("arguments \"columns\" and \"exclude\" cannot be combined")
                .hint("Name the columns to record, or those to leave out."));
        }
        // One spelling and order for every way to ask for the same.
        let operations = OPERATIONS
            .iter()
            .filter(|o| operations.iter().any(|asked| asked == *o))
            .map(|o| (*o).to_owned())
            .collect();
        Ok(Self { operations, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            operations: OPERATIONS.map(str::to_owned).to_vec(),
            columns: None,
            exclude: vec![],
            image: "changed".into(),
            replicated: false,
            require_context: false,
            on_error: "degrade".into(),
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
        assert!(Options { operations: vec!["merge".into()], ..options() }.checked().is_err());
        assert!(Options { operations: vec![], ..options() }.checked().is_err());
        assert!(Options { image: "both".into(), ..options() }.checked().is_err());
        assert!(Options { on_error: "ignore".into(), ..options() }.checked().is_err());
        assert!(
            Options { columns: Some(vec!["a".into()]), exclude: vec!["b".into()], ..options() }
                .checked()
                .is_err()
        );
    }
}

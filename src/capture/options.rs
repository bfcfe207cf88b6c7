//! What callers of enable_audit and enable_cdc may ask for alike, checked.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};

/// Operations in the order PostgreSQL lists them.
pub const OPERATIONS: [&str; 4] = ["insert", "update", "delete", "truncate"];

/// The operations asked for, in one spelling and order for every way to ask for the same. `verb`: to audit, or to
/// capture.
pub fn operations(asked: &[String], verb: &str) -> Result<Vec<String>> {
    const HINT: &str = "Operations are insert, update, delete and truncate.";
    let asked: Vec<String> = asked.iter().map(|operation| operation.to_lowercase()).collect();
    if let Some(unknown) = asked.iter().find(|operation| !OPERATIONS.contains(&operation.as_str())) {
        return Err(Error::invalid_parameter(format!("unrecognized operation \"{unknown}\"")).hint(HINT));
    }
    if asked.is_empty() {
        return Err(Error::invalid_parameter(format!("no operation to {verb}")).hint(HINT));
    }
    let is_asked = |operation: &&str| asked.iter().any(|asked| asked == operation);
    Ok(OPERATIONS.into_iter().filter(is_asked).map(str::to_owned).collect())
}

/// Refuses a value that is not one of two.
pub fn one_of(argument: &str, value: &str, valid: [&str; 2]) -> Result<()> {
    if valid.contains(&value) {
        return Ok(());
    }
    Err(Error::invalid_parameter(format!("invalid value for argument \"{argument}\": \"{value}\""))
        .hint(format!("Available values: {}, {}.", valid[0], valid[1])))
}

/// Refuses columns to take together with columns to leave out.
pub fn not_both(columns: Option<&Vec<String>>, exclude: &[String], verb: &str) -> Result<()> {
    if columns.is_none() || exclude.is_empty() {
        return Ok(());
    }
    Err(Error::invalid_parameter("arguments \"columns\" and \"exclude\" cannot be combined")
        .hint(format!("Name the columns to {verb}, or those to leave out.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn operations_have_one_order() {
        assert_eq!(
            operations(&texts(&["DELETE", "insert", "delete"]), "audit").unwrap(),
            ["insert", "delete"]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(operations(&texts(&["merge"]), "audit").is_err());
        assert!(operations(&[], "audit").is_err());
        assert!(one_of("image", "both", ["changed", "full"]).is_err());
        assert!(one_of("image", "full", ["changed", "full"]).is_ok());
        assert!(not_both(Some(&texts(&["a"])), &texts(&["b"]), "record").is_err());
        assert!(not_both(None, &texts(&["b"]), "record").is_ok());
    }
}

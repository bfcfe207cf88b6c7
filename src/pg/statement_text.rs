//! From the text of a statement to its tree.

use super::lookup::c_string;
use super::nodes::nodes_of;
use crate::error::{Error, Result};
use pgrx::pg_sys;

/// The tree of a text that is exactly one statement, made in the current memory context.
///
/// # Safety
/// The tree lives as long as the current memory context and no longer.
pub(super) unsafe fn only_statement(text: &str) -> Result<*mut pg_sys::RawStmt> {
    let text = c_string(text)?;
    // SAFETY: a nul-terminated text; the grammar returns a list of RawStmt.
    let statements: Vec<*mut pg_sys::RawStmt> = unsafe {
        let list = pg_sys::raw_parser(text.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        nodes_of(list).collect()
    };
    match statements[..] {
        [only] => Ok(only),
        [] => Err(Error::invalid_parameter("the text is not a statement").detail("The text is empty.")),
        _ => Err(Error::invalid_parameter("the text is not one statement")
            .detail(format!("The text holds {} statements.", statements.len()))
            .hint("Give one statement at a time.")),
    }
}

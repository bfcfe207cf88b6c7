//! PostgreSQL's own parser, for text that is to become part of a statement.

use crate::error::{Error, Result};
use pgrx::pg_sys;
use std::ffi::CString;

/// Whether `text` is one SQL expression, and nothing that would end it and go on in another way. A text
/// that does not parse is PostgreSQL's own error.
pub fn is_expression(text: &str) -> Result<bool> {
    // The line break ends a comment the text may end with.
    let statement = CString::new(format!("SELECT ({text}\n)"))
        .map_err(|_| Error::invalid_parameter("an expression contains a zero byte"))?;
    // SAFETY: the parser returns a list of RawStmt nodes, or raises an error, which unwinds; nodes are read
    // by the type they say they have.
    unsafe {
        let statements = pg_sys::pg_parse_query(statement.as_ptr());
        if statements.is_null() || (*statements).length != 1 {
            return Ok(false);
        }
        let raw: *mut pg_sys::RawStmt = (*(*statements).elements).ptr_value.cast();
        if (*(*raw).stmt).type_ != pg_sys::NodeTag::T_SelectStmt {
            return Ok(false);
        }
        let select: &pg_sys::SelectStmt = &*(*raw).stmt.cast();
        let lists = [
            select.distinctClause,
            select.fromClause,
            select.groupClause,
            select.windowClause,
            select.valuesLists,
            select.sortClause,
            select.lockingClause,
        ];
        let nodes = [select.whereClause, select.havingClause, select.limitOffset, select.limitCount];
        if lists.iter().any(|list| !list.is_null())
            || nodes.iter().any(|node| !node.is_null())
            || !select.intoClause.is_null()
            || !select.withClause.is_null()
            || select.op != pg_sys::SetOperation::SETOP_NONE
            || select.targetList.is_null()
            || (*select.targetList).length != 1
        {
            return Ok(false);
        }
        let target: *mut pg_sys::ResTarget = (*(*select.targetList).elements).ptr_value.cast();
        Ok((*target).name.is_null())
    }
}

/// Whether this is one CREATE INDEX and nothing else. A text that does not parse is PostgreSQL's own error.
pub fn is_one_index(statement: &str) -> Result<bool> {
    let statement =
        CString::new(statement).map_err(|_| Error::invalid_parameter("a statement contains a zero byte"))?;
    // SAFETY: as above.
    unsafe {
        let statements = pg_sys::pg_parse_query(statement.as_ptr());
        if statements.is_null() || (*statements).length != 1 {
            return Ok(false);
        }
        let raw: *mut pg_sys::RawStmt = (*(*statements).elements).ptr_value.cast();
        Ok((*(*raw).stmt).type_ == pg_sys::NodeTag::T_IndexStmt)
    }
}

//! The query of a materialized view, which no command replaces.

use super::ffi;
use crate::error::{Error, Result};
use pgrx::pg_sys;

/// Gives a materialized view another query of the same columns, as CREATE OR REPLACE VIEW does with a view: it
/// keeps its identity, its rows and everything that hangs on it. The current role has to own it, as for any of
/// its rules. ACCESS EXCLUSIVE on it, to the end of the transaction.
pub fn replace_query(view: pg_sys::Oid, query: &str) -> Result<()> {
    let text = super::lookup::c_string(query)?;
    // SAFETY: the parser returns a list of RawStmt nodes or raises an error, which unwinds. One SELECT is
    // analysed as CREATE MATERIALIZED VIEW analyses it; everything lives in the current memory context.
    unsafe {
        let statements = pg_sys::pg_parse_query(text.as_ptr());
        if statements.is_null() || (*statements).length != 1 {
            return Err(Error::internal("a materialized view has not exactly one query"));
        }
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        (*state).p_sourcetext = text.as_ptr();
        let parsed = pg_sys::transformTopLevelStmt(
            state,
            (*(*statements).elements).ptr_value.cast::<pg_sys::RawStmt>(),
        );
        pg_sys::free_parsestate(state);
        if (*parsed).commandType != pg_sys::CmdType::CMD_SELECT {
            return Err(Error::internal("the query of a materialized view is no SELECT"));
        }
        ffi::store_view_query(view, parsed);
        pg_sys::CommandCounterIncrement();
    }
    Ok(())
}

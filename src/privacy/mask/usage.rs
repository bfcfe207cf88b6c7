//! The right to name our functions, for as long as a statement is looked through as a table's owner.

use crate::error::Result;
use crate::pg::{security, spi};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// Runs `work` with the right of `owner` to name our schema, which statements need where they are looked through as the
/// owner. The right is there within this transaction only, and nobody else ever sees it.
pub fn with<R>(owner: pg_sys::Oid, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let has = spi::read_one_now::<bool>(
        "SELECT pg_catalog.has_schema_privilege($1, 'architect', 'USAGE')",
        &[owner.into()],
    );
    if has == Some(true) {
        return work();
    }
    let role = quote_identifier(security::role_name(owner));
    let change = |statement: String| security::as_extension_owner(|| spi::run(&statement, &[]).map(drop));
    change(format!("GRANT USAGE ON SCHEMA architect TO {role}"))?;
    let done = work()?;
    change(format!("REVOKE USAGE ON SCHEMA architect FROM {role}"))?;
    Ok(done)
}

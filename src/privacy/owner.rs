//! Statements on somebody's table, as the table's owner.

use crate::error::{Error, Result};
use crate::pg::subtransaction::attempt;
use crate::pg::{security, spi};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

/// The values of a statement: all text, cast in the statement.
#[derive(Debug, Clone, Default)]
pub struct Values(pub Vec<String>);

impl Values {
    /// Adds a value and returns its place in the statement, as text.
    pub fn add(&mut self, value: impl Into<String>) -> String {
        self.0.push(value.into());
        format!("${}::pg_catalog.text", self.0.len())
    }

    pub fn arguments(&self) -> Vec<DatumWithOid<'_>> {
        self.0.iter().map(|value| value.as_str().into()).collect()
    }

    pub fn bytes(&self) -> Vec<&[u8]> {
        self.0.iter().map(String::as_bytes).collect()
    }
}

/// Values are written one way whatever the session's settings: they are compared and hashed.
const SPELLING: [(&std::ffi::CStr, &std::ffi::CStr); 5] = [
    (c"datestyle", c"ISO, YMD"),
    (c"intervalstyle", c"iso_8601"),
    (c"timezone", c"UTC"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
];

/// Runs `work`, which concerns `table`, with the rights of its owner. What the owner's code does or says is
/// undone and unsaid when it fails: its message could hold any row's values.
pub fn within<T>(owner: pg_sys::Oid, table: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    attempt(|| security::as_table_owner(owner, || security::with_settings(&SPELLING, work))).map_err(
        |error| {
            if error.is_cancel() {
                return error;
            }
            silent(&error, table)
        },
    )
}

/// An error without what it says: SQLSTATE and table only.
pub fn silent(error: &Error, table: &str) -> Error {
    let code = error.code();
    Error::new(code, format!("a statement on table {table} failed"))
        .detail(format!(
            "The message of SQLSTATE {} is withheld: it may hold values of the row.",
            error.sqlstate()
        ))
        .hint("Look at the constraints and triggers of the table; nothing was changed.")
}

/// Rows of a query, as texts. Assigns no transaction id unless the query locks rows.
pub fn texts(query: &str, values: &Values, width: usize) -> Result<Vec<Vec<Option<String>>>> {
    let mut rows = Vec::new();
    crate::pg::rows::each_now(query, &values.arguments(), |row| {
        rows.push((0..width).map(|i| row.get::<String>(i)).collect());
        Ok(())
    })?;
    Ok(rows)
}

pub fn run(statement: &str, values: &Values) -> Result<u64> {
    spi::run(statement, &values.arguments()).map(|rows| rows as u64)
}

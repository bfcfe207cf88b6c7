//! What enabling and disabling did, row by row, and what their SQL functions are given.
#![forbid(unsafe_code)]

use pgrx::prelude::*;
use pgrx::{PgRelation, pg_sys};

/// One thing done, skipped or refused.
pub struct Report {
    pub object: String,
    pub action: &'static str,
    pub detail: String,
}

impl Report {
    pub fn new(object: impl Into<String>, action: &'static str, detail: impl Into<String>) -> Self {
        Self { object: object.into(), action, detail: detail.into() }
    }
}

/// Reports as the SQL functions return them.
pub fn rows(
    reports: Vec<Report>,
) -> TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))> {
    TableIterator::new(reports.into_iter().map(|r| (r.object, r.action.to_owned(), r.detail)))
}

/// An argument's elements that are not null.
pub fn texts(values: Vec<Option<String>>) -> Vec<String> {
    values.into_iter().flatten().collect()
}

/// The argument's OID. It is closed here: DDL is refused on a relation the session itself holds open.
pub fn oid_of(table: PgRelation) -> pg_sys::Oid {
    table.oid()
}

//! The SQL functions of discovery.

use super::findings;
use crate::error::Error;
use crate::pg::security;
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::time::Duration;

/// Finds columns, and paths within json columns, that hold personal data.
///
/// Judges names of tables and columns in several languages, types, sampled values (with the check digits of
/// cards, IBANs and national identifiers) and neighbouring columns. Prints and keeps no values. Tables are read
/// as their owner, under restrictions, so that nothing attached to them runs as the caller; a table the caller
/// may not read, or that the time does not suffice for, is judged by names and says so.
/// Arguments: schemas (null: all but the system's); sample_rows of each table; time_budget, after which no more
/// tables are read; min_confidence, between 0 and 1, of what is returned.
/// Returns one row for each finding: finding_id for accept_discovery (null in a read-only transaction),
/// schema_name, table_name, column_name, json_path ([] stands for the elements of an array), category,
/// confidence, evidence and proposed_action. Findings are proposals: a person decides.
/// Errors: 22023 sample_rows, time_budget or min_confidence out of range. Lock: ACCESS SHARE on each table.
/// Privilege: EXECUTE, and SELECT on the tables.
#[pg_extern(volatile)]
fn discover_pii(
    schemas: default!(Option<Vec<Option<String>>>, "NULL"),
    sample_rows: default!(i32, "500"),
    time_budget: default!(Interval, "'1 minute'"),
    min_confidence: default!(f32, "0.5"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(finding_id, Option<i64>),
            name!(schema_name, String),
            name!(table_name, String),
            name!(column_name, String),
            name!(json_path, Vec<String>),
            name!(category, String),
            name!(confidence, f32),
            name!(evidence, Vec<String>),
            name!(proposed_action, String),
        ),
    >,
    ErrorReport,
> {
    if !(1..=100_000).contains(&sample_rows) {
        return Err(Error::invalid_parameter("sample_rows must be between 1 and 100000").into());
    }
    if !(0.0..=1.0).contains(&min_confidence) {
        return Err(Error::invalid_parameter("min_confidence must be between 0 and 1").into());
    }
    let micros = time_budget.as_micros();
    let budget = u64::try_from(micros)
        .ok()
        .filter(|micros| *micros > 0)
        .map(Duration::from_micros)
        .ok_or_else(|| Error::invalid_parameter("time_budget must be longer than nothing"))?;
    let schemas = schemas.map(|names| names.into_iter().flatten().collect());
    let found =
        security::with_safe_search_path(|| findings::discover(schemas, sample_rows, budget, min_confidence))?;
    Ok(TableIterator::new(found.into_iter().map(|f| {
        (
            f.finding_id,
            f.schema,
            f.table,
            f.column,
            f.json_path,
            f.finding.category.name().to_owned(),
            f.finding.confidence,
            f.finding.evidence,
            f.proposed_action.to_owned(),
        )
    })))
}

/// Declares what discover_pii() found, as declare_column() would.
///
/// Arguments: finding_ids (null: every finding of at least min_confidence); min_confidence.
/// Returns one row for each: finding_id, object_name, action (declared, changed, exists, or refused with the
/// reason in detail).
/// Errors: 42704 no such finding; 55000 nothing was ever discovered. Lock: none. Privilege: ownership of the
/// tables; others are refused.
#[pg_extern]
fn accept_discovery(
    finding_ids: default!(Option<Vec<Option<i64>>>, "NULL"),
    min_confidence: default!(f32, "0.7"),
) -> Result<
    TableIterator<
        'static,
        (name!(finding_id, i64), name!(object_name, String), name!(action, String), name!(detail, String)),
    >,
    ErrorReport,
> {
    let ids = finding_ids.map(|ids| ids.into_iter().flatten().collect());
    let done = security::with_safe_search_path(|| findings::accept(ids, min_confidence))?;
    Ok(TableIterator::new(
        done.into_iter().map(|(id, name, action, detail)| (id, name, action.to_owned(), detail)),
    ))
}

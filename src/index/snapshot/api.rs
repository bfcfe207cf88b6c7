//! The SQL functions of figures kept over time.

use crate::error::Error;
use crate::index::snapshot::take::{self, Taken};
use crate::pg::session;
use pgrx::datum::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Keeps the counters of all indexes, and of the statements that take the most time, so that the use of an
/// index is known over a stated time and survives a reset of statistics. run_maintenance() does it too.
///
/// Returns one row: node, 'primary'; taken_at; stats_since, since when the counters count; indexes looked
/// at; changed, how many of them were not as they were at the last snapshot and took a row; statements
/// kept. Figures are kept for 400 days.
/// Errors: 25006 on a standby. Lock: none. Privilege: EXECUTE; it reads as the extension's owner.
#[pg_extern]
fn take_snapshot() -> Result<
    TableIterator<
        'static,
        (
            name!(node, String),
            name!(taken_at, TimestampWithTimeZone),
            name!(stats_since, TimestampWithTimeZone),
            name!(indexes, i64),
            name!(changed, i64),
            name!(statements, i64),
        ),
    >,
    ErrorReport,
> {
    if session::in_recovery() {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            "a standby cannot keep figures",
        )
        .hint("SELECT architect.statistics_figures() here, and give the result to architect.import_snapshot() on the primary.")
        .into());
    }
    let taken = take::take()?;
    Ok(TableIterator::new(taken.into_iter().map(row)))
}

/// The present counters of indexes as a document, to be taken from a standby to its primary.
///
/// Returns jsonb: when it was taken, since when the counters count, of which cluster and database, and of
/// each index its number, name and counters; nothing of any row or statement.
/// Lock: none. Privilege: EXECUTE; shows indexes of tables the caller may read, all of them to members of
/// pg_read_all_stats. Works on a standby.
#[pg_extern(volatile)]
fn statistics_figures() -> Result<JsonB, ErrorReport> {
    Ok(JsonB(take::figures()?))
}

/// Keeps a standby's counters, so that an index used there is not taken for unused.
///
/// Arguments: node_name, what the standby is called, the same each time; figures, the result of
/// statistics_figures() on the standby.
/// Returns one row as take_snapshot(), none where figures of that time or later are there already.
/// Errors: 22023 figures of another cluster or database, or of a server that is not a standby.
/// Lock: none. Privilege: EXECUTE.
#[pg_extern]
fn import_snapshot(
    node_name: &str,
    figures: JsonB,
) -> Result<
    TableIterator<
        'static,
        (
            name!(node, String),
            name!(taken_at, TimestampWithTimeZone),
            name!(stats_since, TimestampWithTimeZone),
            name!(indexes, i64),
            name!(changed, i64),
            name!(statements, i64),
        ),
    >,
    ErrorReport,
> {
    let taken = take::import(node_name, &figures.0)?;
    Ok(TableIterator::new(taken.into_iter().map(row)))
}

fn row(taken: Taken) -> (String, TimestampWithTimeZone, TimestampWithTimeZone, i64, i64, i64) {
    (taken.node, taken.taken_at, taken.stats_since, taken.indexes, taken.changed, taken.statements)
}

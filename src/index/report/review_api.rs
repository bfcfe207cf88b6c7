//! The SQL function about advice given before.

use crate::index::report::review;
use crate::pg::security;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What became of the advice in advice_log: what was built or dropped, and whether it turned out as
/// predicted.
///
/// Returns one row for each advice, the latest first: status built (by the name advised, or an index of the
/// same columns), invalid, not_built, dropped or not_dropped; predicted_bytes and actual_bytes; scans since
/// the advice, as index_usage() counts them; before_ms and after_ms, mean time of the statements it was to
/// help, until the last snapshot without the index and since the first one with it: both need snapshots
/// (take_snapshot) and pg_stat_statements; verdict in a sentence. Advice about tables that are gone is left
/// out.
/// Lock and privilege: as index_usage().
#[pg_extern(volatile)]
fn review_advice() -> Result<
    TableIterator<
        'static,
        (
            name!(advice_id, i64),
            name!(advised_at, TimestampWithTimeZone),
            name!(action, String),
            name!(table_name, String),
            name!(index_name, String),
            name!(status, String),
            name!(predicted_bytes, Option<i64>),
            name!(actual_bytes, Option<i64>),
            name!(scans, Option<i64>),
            name!(before_ms, Option<f64>),
            name!(after_ms, Option<f64>),
            name!(verdict, String),
        ),
    >,
    ErrorReport,
> {
    let reviews = security::with_safe_search_path(review::reviews)?;
    Ok(TableIterator::new(reviews.into_iter().map(|r| {
        (
            r.id,
            r.at,
            r.action.to_owned(),
            r.table,
            r.index,
            r.status.to_owned(),
            r.predicted_bytes,
            r.bytes,
            r.scans,
            r.before_ms,
            r.after_ms,
            r.verdict,
        )
    })))
}

//! The SQL function about slow statements.

use crate::index::slow::analyse;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What makes the slowest statements slow, from what their plans really do.
///
/// Arguments: min_mean, from which mean time a statement is slow; top, how many of those to look at, by total
/// time, and as many fast ones that are called often for a row or two.
/// Returns one row for each finding, the statement with the greatest total time first. finding:
/// missing_index (tried with the planner), sequential_scan of a big table, function_on_indexed_column,
/// implicit_cast, leading_wildcard, pattern_without_index, large_result without LIMIT, offset_pagination, n_plus_one, row_estimate,
/// stale_statistics, spill of sorts and hashes, jit, planning_time, cache_misses, wal_volume; none, or
/// not_analyzed with the reason. priority; detail; recommendation, a statement or what to change. Figures
/// of the statement: mean and total time, calls, rows and bytes of temporary files and WAL a call, percent
/// of pages found in cache, percent of time spent planning (where pg_stat_statements.track_planning is on).
/// Statements are known by query_id, that of pg_stat_statements: no text, constant or parameter is shown.
/// Plans are made without parameter values, in the caller's search_path, now: an index made since shows.
/// Errors: 55000 no pg_stat_statements. Lock: ACCESS SHARE on the statements' tables until the transaction
/// ends (ROW EXCLUSIVE where a statement would change them). Nothing is executed; no transaction id is
/// assigned. Privilege: EXECUTE, and the rights of a role that ran the statement, as which
/// it is planned: others are not_analyzed.
#[pg_extern(volatile)]
fn analyze_slow_queries(
    min_mean: default!(Interval, "'100 ms'"),
    top: default!(i32, "20"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(query_id, i64),
            name!(finding, String),
            name!(priority, String),
            name!(detail, String),
            name!(recommendation, Option<String>),
            name!(mean_ms, f64),
            name!(total_ms, f64),
            name!(calls, i64),
            name!(rows_per_call, f64),
            name!(cache_hit_percent, Option<f64>),
            name!(temp_bytes_per_call, f64),
            name!(wal_bytes_per_call, f64),
            name!(planning_percent, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let analysed = analyse::all(&min_mean, top)?;
    Ok(TableIterator::new(analysed.into_iter().map(|a| {
        let (figures, finding) = (a.figures, a.finding);
        let calls = figures.calls.max(1.0);
        let touched = figures.hit + figures.read;
        let time = figures.plan_ms + figures.total_ms;
        (
            figures.query_id,
            finding.kind.to_owned(),
            finding.priority.to_owned(),
            finding.detail,
            Some(finding.recommendation).filter(|text| !text.is_empty()),
            figures.mean_ms(),
            figures.total_ms,
            figures.calls as i64,
            figures.rows_per_call(),
            (touched > 0.0).then(|| 100.0 * figures.hit / touched),
            figures.temp_written * f64::from(pg_sys::BLCKSZ) / calls,
            figures.wal_bytes / calls,
            (figures.plan_ms > 0.0).then(|| 100.0 * figures.plan_ms / time),
        )
    })))
}

//! The SQL functions of the upkeep.

use super::run::Run;
use super::schedule;
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Does the upkeep of everything db_architect keeps; to be called by a scheduler, nightly, or by hand.
///
/// Steps: note after a restore which cluster this is; make the audit log's coming months; move rows
/// out of its default partition; summarize its block range indexes; seal it, where sealing is in use;
/// drop the months past set_audit_retention() and contexts nothing refers to any more. Each step
/// commits on its own, and one that fails is a WARNING and does not stop the others. What they did is
/// in maintenance_log().
/// Errors: 25001 inside a transaction block or a function; 55006 while another run is in progress.
/// Lock: each step waits two seconds at most for a lock, a few times, and otherwise leaves its work to
/// the next run. Privilege: EXECUTE; it works as the extension's owner.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."run_maintenance"() LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn run_maintenance(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let procedure = Procedure::begin(fcinfo, "run_maintenance()")?;
    Run::all(procedure)?;
    Ok(())
}

/// What the last runs of run_maintenance() did, the latest first.
///
/// Arguments: runs, how many runs to show.
/// Returns one row for each thing done, skipped or failed. Privilege: EXECUTE.
#[pg_extern(stable)]
fn maintenance_log(
    runs: default!(i32, "1"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(run_id, i64),
            name!(noted_at, TimestampWithTimeZone),
            name!(step, String),
            name!(object_name, String),
            name!(action, String),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let rows = security::as_extension_owner(|| {
        spi::read(
            "SELECT r.run_id, r.noted_at, r.step, r.object_name, r.action, r.detail
               FROM architect.maintenance_result AS r
              WHERE r.run_id OPERATOR(pg_catalog.=) ANY (
                        SELECT m.run_id FROM architect.maintenance_run AS m ORDER BY m.run_id DESC LIMIT $1)
              ORDER BY r.run_id DESC, r.noted_at, r.ctid",
            &[i64::from(runs.max(0)).into()],
            |row| {
                Ok(row.get(1)?.zip(row.get(2)?).map(|(run, at)| {
                    let text = |i| row.get::<String>(i).ok().flatten().unwrap_or_default();
                    (run, at, text(3), text(4), text(5), text(6))
                }))
            },
        )
    })?;
    Ok(TableIterator::new(rows.into_iter().flatten()))
}

/// Whether the upkeep is alive.
///
/// Arguments: expected_every, how often a run should finish.
/// Returns one row: when the last run started and when one last finished, how many steps failed in it,
/// whether none finished within twice the expected time, and the pg_cron schedule, where pg_cron is
/// installed in this database and schedule_maintenance() was called. Privilege: EXECUTE.
#[pg_extern(stable)]
#[allow(clippy::type_complexity)]
fn maintenance_status(
    expected_every: default!(Interval, "'1 day'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(last_started, Option<TimestampWithTimeZone>),
            name!(last_finished, Option<TimestampWithTimeZone>),
            name!(failed_steps, Option<i32>),
            name!(overdue, Option<bool>),
            name!(schedule, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let rows = security::as_extension_owner(|| {
        let schedule = schedule::current()?;
        spi::read(
            "SELECT (SELECT pg_catalog.max(m.started_at) FROM architect.maintenance_run AS m),
                    f.finished_at, f.failed_steps,
                    COALESCE(f.finished_at OPERATOR(pg_catalog.<)
                        (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) ($1 OPERATOR(pg_catalog.*) 2)), true)
               FROM (VALUES (1)) AS one (row)
               LEFT JOIN (SELECT m.finished_at, m.failed_steps FROM architect.maintenance_run AS m
                           WHERE m.finished_at IS NOT NULL ORDER BY m.run_id DESC LIMIT 1) AS f ON true",
            &[expected_every.into()],
            |row| Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, schedule.clone())),
        )
    })?;
    Ok(TableIterator::new(rows))
}

/// Has pg_cron call run_maintenance() in this database, as the current role. Where pg_cron works in another
/// database of the cluster it is registered there, by a background worker, as the current role.
///
/// Arguments: schedule, in cron's notation, by pg_cron's time zone. A second call changes the schedule.
/// Returns one row: scheduled, changed or exists. Errors: 55000 pg_cron is not installed; 22023 an invalid
/// schedule; 42501 the role may not use pg_cron; 53000 no background worker. Registered in another database it
/// stays registered if the calling transaction is rolled back. Privilege: EXECUTE, and what pg_cron asks for.
#[pg_extern]
fn schedule_maintenance(
    schedule: default!(&str, "'17 3 * * *'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let row = security::with_safe_search_path(|| schedule::set(schedule))?;
    Ok(TableIterator::once(row))
}

/// Has pg_cron call run_maintenance() in this database no more, wherever pg_cron works.
///
/// Returns one row: unscheduled or skipped.
/// Errors: 55000 pg_cron is not installed. Privilege: EXECUTE, and what pg_cron asks for.
#[pg_extern]
fn unschedule_maintenance() -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let row = security::with_safe_search_path(schedule::unset)?;
    Ok(TableIterator::once(row))
}

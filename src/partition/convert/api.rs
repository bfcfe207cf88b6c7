//! The SQL procedures of conversion, and the view of what is under way.

use super::run;
use crate::partition::online::Call;
use crate::pg::{security, spi};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Makes an existing table partitioned by range, while it is read and written. It becomes the first
/// partition, called <name>_p_history, of a partitioned table that takes its name and everything that hangs
/// on it: identity and sequences, defaults, generated columns, indexes and constraints under their names,
/// comments, statistics, privileges, row-level security and policies, triggers, rules, publications,
/// replica identity, foreign keys both ways and to itself, views, materialized views with their rows, rules,
/// policies and functions that use it; what audit, change feed and updated_at do with it.
///
/// Arguments: table_name; key, the column to partition by; every, the period of partitions to come, of time
/// keys; step, the same of numbers; unit, what an integer key counts: epoch_s, epoch_ms, epoch_us; timezone,
/// in which periods begin, by default the session's; ahead, how many partitions to make; headroom, how many
/// periods after the current one the first partition still takes: the conversion must be done by then;
/// widen_key, whether to add the key to a primary key or unique constraint that lacks it, which a
/// partitioned table requires and lets equal values of the former key recur; incoming_keys, keep or drop
/// foreign keys to the table; dry_run, which shows every step with its locks and all that is in the
/// way; deadline; lock_timeout, how long one attempt at a lock may hold up others.
/// Rows whose key is not below the first partition's upper bound are refused from the first step on.
/// After a crash, or past the deadline, another call goes on; abort_partition_operation() gives up. When
/// cancelled before the exchange it takes back what it had prepared.
/// Errors: 25001 inside a transaction block or a function; 55000 something is in the way, all of it in
/// DETAIL; 23514 rows lie outside; 55P03 a lock was not to be had by the deadline; 42501 not the owner.
/// Lock: ACCESS EXCLUSIVE on the table for a moment when the constraint is added and for the exchange,
/// which reads no row; on tables with foreign keys to it and views that read it then too. Scans run under
/// SHARE UPDATE EXCLUSIVE.
/// Privilege: ownership of the table, and of what has to be made anew.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."convert_to_partitioned"(
    "table_name" regclass, "key" text, "every" interval DEFAULT '1 month', "step" bigint DEFAULT NULL,
    "unit" text DEFAULT NULL, "timezone" text DEFAULT NULL, "ahead" int DEFAULT 6, "headroom" int DEFAULT 1,
    "widen_key" bool DEFAULT false, "incoming_keys" text DEFAULT 'keep', "dry_run" bool DEFAULT true,
    "deadline" interval DEFAULT '1 day', "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn convert_to_partitioned(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(run::convert(&Call::begin(fcinfo, "convert_to_partitioned()")?)?)
}

/// Gives up a conversion, split, merge or drain that has not come to its point of no return, and takes back what it
/// has prepared.
///
/// Arguments: table_name; deadline; lock_timeout.
/// Errors: 25001 inside a transaction block or a function; 42704 nothing is under way; 55000 it can only be
/// brought to its end; 42501 not the owner.
/// Lock: ACCESS EXCLUSIVE on the table for a moment. Privilege: ownership of the table.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."abort_partition_operation"(
    "table_name" regclass, "deadline" interval DEFAULT '10 minutes', "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn abort_partition_operation(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(run::abort(&Call::begin(fcinfo, "abort_partition_operation()")?)?)
}

/// Conversions, splits, merges and drains: those under way first, then the last that ended.
///
/// Returns one row each: kind, table as it was called, phase, rows done of how many (an estimate), when it
/// began, moved on last and ended, and how. Privilege: EXECUTE.
#[pg_extern(stable)]
fn partition_progress() -> Result<
    TableIterator<
        'static,
        (
            name!(operation_id, i64),
            name!(kind, String),
            name!(table_name, String),
            name!(phase, String),
            name!(rows_done, i64),
            name!(rows_total, Option<i64>),
            name!(started_at, TimestampWithTimeZone),
            name!(updated_at, TimestampWithTimeZone),
            name!(finished_at, Option<TimestampWithTimeZone>),
            name!(outcome, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let rows = security::as_extension_owner(|| {
        spi::read(
            "SELECT o.operation_id, o.kind, o.relation_name, o.phase, o.rows_done, o.rows_total, o.started_at,
                    o.updated_at, o.finished_at, o.outcome
               FROM architect.partition_operation AS o
              ORDER BY o.finished_at IS NOT NULL, o.operation_id DESC LIMIT 100",
            &[],
            |row| {
                let (id, started, updated) = (row.get::<i64>(1)?, row.get(7)?, row.get(8)?);
                Ok(id.zip(started).zip(updated).map(|((id, started), updated)| {
                    let text = |i| row.get::<String>(i).ok().flatten().unwrap_or_default();
                    let number = |i| row.get::<i64>(i).ok().flatten();
                    (
                        id,
                        text(2),
                        text(3),
                        text(4),
                        number(5).unwrap_or_default(),
                        number(6),
                        started,
                        updated,
                        row.get(9).ok().flatten(),
                        row.get(10).ok().flatten(),
                    )
                }))
            },
        )
    })?;
    Ok(TableIterator::new(rows.into_iter().flatten()))
}

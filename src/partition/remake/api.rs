//! The SQL procedures that exchange partitions for others.

use super::begin;
use crate::partition::online::Call;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Splits a partition into several, by period, while it is read and written.
///
/// Arguments: child, the partition; every, the new partitions' period, of time keys; step, of numbers; unit,
/// what an integer key counts: epoch_s, epoch_ms, epoch_us; timezone, in which periods begin, by default
/// the session's; batch, about how many rows to copy in one transaction; pause, between two of them;
/// drop_source, whether to drop the old partition in the end, else it is left detached; dry_run, which
/// shows the new partitions; deadline; lock_timeout, how long one attempt at a lock may hold up others.
/// The rows are copied: it takes room for another copy. Rows that change meanwhile are noted by a trigger
/// and copied again; TRUNCATE of the partition is refused meanwhile. partition_progress() shows how far it
/// is. After a crash, or past the deadline, another call goes on; abort_partition_operation() gives up.
/// Errors: 25001 inside a transaction block or a function; 42809 not a partition by range, or a partitioned
/// one; 55000 no key to tell rows apart, a name that is taken, a big default partition, something that
/// hangs on the partition alone; 55P03 a lock was not to be had by the deadline; 42501 not the owner.
/// Lock: SHARE ROW EXCLUSIVE on the partition for a moment at the beginning; ACCESS EXCLUSIVE on table and
/// partition, and on tables that refer to it, for the exchange, which copies only the last few changes.
/// None that anybody waits for during the copy. Privilege: ownership of the partitioned table.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."split_partition"(
    "child" regclass, "every" interval DEFAULT '1 month', "step" bigint DEFAULT NULL, "unit" text DEFAULT NULL,
    "timezone" text DEFAULT NULL, "batch" int DEFAULT 5000, "pause" interval DEFAULT '50 ms',
    "drop_source" bool DEFAULT true, "dry_run" bool DEFAULT false, "deadline" interval DEFAULT '1 day',
    "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn split_partition(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(begin::split(&Call::begin(fcinfo, "split_partition()")?)?)
}

/// Merges partitions that follow each other into one, while they are read and written.
///
/// Arguments: children, the partitions; new_name, of the one they become; batch, pause, drop_source,
/// dry_run, deadline and lock_timeout as in split_partition(), and everything else as there.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."merge_partitions"(
    "children" regclass[], "new_name" text DEFAULT NULL, "batch" int DEFAULT 5000, "pause" interval DEFAULT '50 ms',
    "drop_source" bool DEFAULT true, "dry_run" bool DEFAULT false, "deadline" interval DEFAULT '1 day',
    "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn merge_partitions(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(begin::merge(&Call::begin(fcinfo, "merge_partitions()")?)?)
}

//! The SQL procedures of online changes.

use super::call::Call;
use super::{default, detach, index};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Takes a partition off its partitioned table, which goes on being read and written.
///
/// Arguments: child, the partition; concurrently, whether without a strong lock on the table, which is
/// done by a background worker and waits for the transactions that use the table; deadline, how long to
/// try; lock_timeout, how long one attempt at a lock may hold up others.
/// A detach that was interrupted before its end, here or elsewhere, is brought to its end. The table
/// that is left keeps its rows, and as a constraint the bounds it had.
/// Errors: 25001 inside a transaction block or a function; 42809 not a partition; 42501 not the owner;
/// 55000 concurrently while there is a default partition; 55P03 or 57014 not done by the deadline;
/// 23503 rows of other tables refer to the partition's; 53000 no background worker to be had, with the
/// command to run by hand.
/// Lock: SHARE UPDATE EXCLUSIVE on the table; ACCESS EXCLUSIVE on the partition once nobody uses it through
/// the table. With concurrently => false ACCESS EXCLUSIVE on the table, for a moment.
/// Privilege: ownership of the partitioned table.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."detach_partition"(
    "child" regclass, "concurrently" bool DEFAULT true, "deadline" interval DEFAULT '1 hour',
    "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn detach_partition(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(detach::detach(&Call::begin(fcinfo, "detach_partition()")?)?)
}

/// Creates an index on a partitioned table and all its partitions, which go on being written.
///
/// Arguments: parent, the partitioned table; definition, what follows the table's name in CREATE INDEX, such
/// as '(customer_id, placed_at DESC) INCLUDE (total) WHERE paid' or 'USING gin (tags)', where functions and
/// operator classes outside pg_catalog are written with their schema; index_name; is_unique; deadline;
/// lock_timeout, how long one attempt at a lock may hold up others.
/// The index is made on the partitioned table alone, concurrently on each partition by a background worker,
/// and attached. Indexes of the same definition that are there are used, invalid ones left by an attempt
/// that failed are dropped: calling it again goes on.
/// Errors: 25001 inside a transaction block or a function; 42809 not a partitioned table; 22023 not the
/// definition of one index; 23505 rows that are not unique; 57014 not done by the deadline; 42501 not the owner.
/// Lock: SHARE on the partitioned table for a moment; SHARE UPDATE EXCLUSIVE on one partition after the
/// other; ACCESS EXCLUSIVE on a partition's new index for a moment. Privilege: ownership of the table.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."create_partitioned_index"(
    "parent" regclass, "definition" text, "index_name" text DEFAULT NULL, "is_unique" bool DEFAULT false,
    "deadline" interval DEFAULT '1 day', "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn create_partitioned_index(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(index::create(&Call::begin(fcinfo, "create_partitioned_index()")?)?)
}

/// Makes a default partition that rows have gathered in a proper range partition, without moving a row.
///
/// Arguments: parent, the partitioned table; every, the period whose boundaries are used, of time keys, step,
/// of numbers, by default the policy's or the last partition's; unit, what an integer key counts: epoch_s, epoch_ms, epoch_us; timezone; new_default, whether
/// to make a new, empty default partition; deadline; lock_timeout, how long one attempt at a lock may hold
/// up others. A constraint that all rows lie in one range is checked beside readers and writers; then the
/// partition is detached, renamed and attached for that range in one short transaction. Rows that come
/// meanwhile must be in the range, which ends a period after now or where the next partition begins.
/// Errors: 25001 inside a transaction block or a function; 55000 rows on both sides of other partitions;
/// 42P07 the new name is taken; 23514 rows without a key; 42501 not the owner.
/// Lock: ACCESS EXCLUSIVE on table and default partition for a moment; SHARE UPDATE EXCLUSIVE on the
/// default partition while it is read. Privilege: ownership of the table.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."promote_default"(
    "parent" regclass, "every" interval DEFAULT NULL, "step" bigint DEFAULT NULL, "unit" text DEFAULT NULL,
    "timezone" text DEFAULT NULL, "new_default" bool DEFAULT false, "deadline" interval DEFAULT '1 day',
    "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn promote_default(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(default::promote(&Call::begin(fcinfo, "promote_default()")?)?)
}

/// Moves the rows of a default partition into partitions made for them, a period in a transaction, so that
/// nobody sees a row missing.
///
/// Arguments: parent; batch, the most rows to move at once, as nobody reads or writes the table meanwhile;
/// pause, between two periods or batches; every, step, unit, timezone as in promote_default(); deadline;
/// lock_timeout. Where a period has more rows than batch, the default partition is promoted as
/// promote_default() does, a new one made, and what was promoted split as by split_partition(), with the same
/// batch and pause: a call of split_partition() goes on with that if it is interrupted.
/// Errors: 25001 inside a transaction block or a function; 54000 more rows in a period than batch, and others
/// on the far side of other partitions; 42P07 a partition's name is taken; 42501 not the owner; those of
/// split_partition().
/// Lock: ACCESS EXCLUSIVE on table and default partition while the rows of one period are moved and what
/// is left is read. Privilege: ownership of the table.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."drain_default"(
    "parent" regclass, "batch" int DEFAULT 5000, "pause" interval DEFAULT '50 ms', "every" interval DEFAULT NULL,
    "step" bigint DEFAULT NULL, "unit" text DEFAULT NULL, "timezone" text DEFAULT NULL,
    "deadline" interval DEFAULT '1 hour', "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn drain_default(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    Ok(default::drain(&Call::begin(fcinfo, "drain_default()")?)?)
}

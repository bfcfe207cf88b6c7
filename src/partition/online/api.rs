//! The SQL procedures of online changes.

use super::call::Call;
use super::detach;
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

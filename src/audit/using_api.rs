//! The SQL functions that read the log and undo what it recorded. Those that return rows of types of
//! their own are declared in sql/audit_using.sql.

use crate::audit::subject::Subject;
use crate::audit::{as_of, history};
use crate::error::Error;
use crate::pg::result_set::{ResultSet, table_of_argument};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{AnyElement, JsonB, PgRelation, pg_sys};

/// The life of one row, oldest change first, with who made each.
///
/// Arguments: table_name, a table or partition; key, a JSON object of the key columns, as in
/// '{"id": 5}' (the value alone where the key is one column), other members ignored. Values are read as
/// their columns' types: 5 and "5", or any spelling of a timestamp, find the row. After columns were
/// renamed or the primary key was moved to other columns, the present and the former names both work.
/// Returns one row for each change as in architect.audit_log: changed_at, operation, row_key,
/// changed_columns, old_values, new_values, who, audit_id, txid, statement, and the table's name at the
/// time. A row whose key was changed is followed to its former and later keys; a TRUNCATE that ended
/// the row is shown.
/// Errors: 55000 the table was never audited or has no key; 22023 a key column is missing; 42501 no
/// right to read the log; an invalid value as its type reports it.
/// Lock: ACCESS SHARE. Privilege: SELECT on architect.audit_log. Assigns no transaction id; works on a
/// standby.
#[pg_extern(sql = false)]
fn audit_history(
    table_name: PgRelation,
    key: JsonB,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let subject = Subject::of_relation(table_name.oid())?;
    history::history(&subject, &key.0, &mut ResultSet::begin(call)?)?;
    Ok(())
}

/// The life of one row of a table by the name the table has or had: for one that was dropped.
///
/// Arguments: schema_name and table_name, of a table or partition, as recorded at any time; key as for
/// audit_history. Of a table that is gone the types are not known any more: numbers and strings of the
/// same digits are tried both, other values must be spelled as in architect.audit_log.
/// Returns, errors, privilege: as for audit_history.
#[pg_extern(sql = false)]
fn audit_history_by_name(
    schema_name: &str,
    table_name: &str,
    key: JsonB,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let subject = Subject::of_name(schema_name, table_name)?;
    history::history(&subject, &key.0, &mut ResultSet::begin(call)?)?;
    Ok(())
}

/// The rows of a table as they were at a time, in its present row type.
///
/// Arguments: row_type, a null of the table's row type, as in NULL::schema.orders, of a table, a
/// partitioned table or a partition; at, the time. A change counts from the wall clock time of its
/// statement (changed_at), not of its commit; what is not committed does not count.
/// Columns are followed across renames. Columns added since are null, dropped ones are not shown, and
/// a value recorded under another type is read as the present one (null, with a warning, if it cannot
/// be). Excluded columns show their present value, null where the row is gone. Virtual generated
/// columns are null in rows that have changed since. Rows truncated since are put together from the
/// log; a warning says when the log may not have them all. A partition attached or detached since is
/// counted as it is now.
/// Errors: 55000 not audited, no key, not every operation is recorded, or recorded without a key since;
/// 22023 before auditing began, with the earliest time in DETAIL; 42809 not a table's row type; 42501
/// no right to read the table or the log.
/// Lock: ACCESS SHARE. Privilege: SELECT on the table, whose row-level security applies to rows that
/// are there now and not to rows in the log, and on architect.audit_log. Assigns no transaction id;
/// works on a standby.
#[pg_extern(sql = false)]
fn audit_as_of(
    _row_type: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let Some(at) = at else {
        return Err(
            Error::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "the time must not be null").into()
        );
    };
    let Some(relid) = table_of_argument(call, 0) else {
        return Err(Error::wrong_object_type("the first argument must have a table's row type")
            .hint(
                "Name the table as in architect.audit_as_of(NULL::schema.orders, now() - interval '1 hour').",
            )
            .into());
    };
    let subject = Subject::of_relation(relid)?;
    as_of::as_of(&subject, relid, at.into(), &mut ResultSet::begin(call)?)?;
    Ok(())
}

//! The SQL functions that read the log and undo what it recorded. Those that return rows of types of
//! their own are declared in sql/audit_using.sql.

use crate::audit::subject::Subject;
use crate::audit::{as_of, history, revert};
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

/// Undoes recorded changes: of one transaction, of one correlation id, or of one table since a time.
///
/// Arguments: txid, or correlation_id, or table_name and since (changes at or after it); dry_run, whether
/// only to say what would be done. A txid is looked for among entries of this cluster: after a restore
/// into another, those of before are found by correlation_id or time.
/// Returns one row for each entry, latest first, which is the order of undoing: audit_id, changed_at,
/// relation, row_key, action (INSERT, UPDATE, DELETE, or NONE where nothing need be done for it),
/// status (planned, applied, refused), reason, statement (with literals, for reading). Changes of one
/// row are undone together where that is possible: reason names the entry with which.
/// Refused, with the reason: rows changed since by an entry that is not among those to undo, rows that
/// are not as the last change left them, rows that others refer to which stay, TRUNCATE, values that
/// were too large to record, entries without a key, tables whose audit was interrupted. The rest is
/// undone; look at the dry run first. Columns that were not recorded take their defaults in rows that
/// come back, which reason says. Any error undoes all of it.
/// Triggers, checks of foreign keys and deferrable constraints fire once all rows are written. The
/// changes made are recorded like any others.
/// Errors: 22023 not exactly one choice; 42501 no right to read the log or to change a table; 55000 a
/// trigger or policy kept a row from being changed; whatever constraints report.
/// Lock: ROW EXCLUSIVE on the tables and a lock on each row, ACCESS SHARE in a dry run. Privilege: SELECT
/// on architect.audit_log; on the tables SELECT, what the action needs, and SELECT on tables that refer
/// to rows to be deleted; row-level security applies. A dry run assigns no transaction id.
#[pg_extern(sql = false)]
fn revert_changes(
    txid: Option<i64>,
    correlation_id: Option<pgrx::Uuid>,
    table_name: Option<PgRelation>,
    since: Option<TimestampWithTimeZone>,
    dry_run: Option<bool>,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let choice = match (txid, correlation_id, table_name, since) {
        (Some(txid), None, None, None) => revert::Choice::Transaction(txid as u64),
        (None, Some(id), None, None) => revert::Choice::Correlation(id),
        (None, None, Some(table), Some(since)) => revert::Choice::Since(table.oid(), since.into()),
        _ => {
            return Err(Error::invalid_parameter("which changes to revert is not clear")
                .hint("Give txid, or correlation_id, or table_name together with since.")
                .into());
        }
    };
    let mut out = ResultSet::begin(call)?;
    for outcome in revert::revert(&choice, dry_run.unwrap_or(true))? {
        out.put_datums(&outcome.datums());
    }
    Ok(())
}

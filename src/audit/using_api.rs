//! The SQL functions that read the log and undo what it recorded. Those that return rows of types of
//! their own are declared in sql/audit_using.sql.

use crate::audit::history;
use crate::audit::subject::Subject;
use crate::pg::result_set::ResultSet;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation, pg_sys};

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

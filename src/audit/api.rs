//! The SQL functions of audit.

use crate::audit::enable::{self, Report};
use crate::audit::options::Options;
use crate::pg::security;
use pgrx::PgRelation;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

fn rows(
    reports: Vec<Report>,
) -> TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))> {
    TableIterator::new(reports.into_iter().map(|r| (r.object, r.action.to_owned(), r.detail)))
}

fn texts(values: Vec<Option<String>>) -> Vec<String> {
    values.into_iter().flatten().collect()
}

/// Records every change of a table's rows in architect.audit_log, from the next statement on.
///
/// Arguments: table_name; operations to record; columns to record (null: all) or columns to exclude;
/// image, 'changed' (an UPDATE records key and changed columns, old and new) or 'full' (the whole row);
/// replicated, whether changes applied by logical replication are recorded too; require_context,
/// whether a change without architect.actor or architect.correlation_id is refused; on_error, 'degrade'
/// (a value too large for jsonb, some 250 MB, is recorded as length and SHA-256) or 'fail' (the
/// statement fails).
/// Returns one row for each table: enabled, exists, changed, repaired or merged. A second call with
/// other options changes the policy.
/// Errors: 42809 not an ordinary or partitioned table, or temporary; 42501 not the owner, or a system
/// catalog; 42703 no such column; 22023 invalid option.
/// Lock: SHARE ROW EXCLUSIVE on the table and its partitions. Privilege: ownership of the table.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn enable_audit(
    table_name: PgRelation,
    operations: default!(Vec<Option<String>>, "'{insert,update,delete,truncate}'"),
    columns: default!(Option<Vec<Option<String>>>, "NULL"),
    exclude: default!(Vec<Option<String>>, "'{}'"),
    image: default!(&str, "'changed'"),
    replicated: default!(bool, "false"),
    require_context: default!(bool, "false"),
    on_error: default!(&str, "'degrade'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let options = Options {
        operations: texts(operations),
        columns: columns.map(texts),
        exclude: texts(exclude),
        image: image.to_owned(),
        replicated,
        require_context,
        on_error: on_error.to_owned(),
    }
    .checked()?;
    let relid = table_name.oid();
    let reports = security::with_safe_search_path(|| enable::enable(relid, &options))?;
    Ok(rows(reports))
}

/// Stops recording a table's changes. What was recorded stays in architect.audit_log.
///
/// Returns one row: disabled, or skipped where the table was not audited.
/// Errors: 42501 not the owner. Lock: SHARE ROW EXCLUSIVE on the table and its partitions, ACCESS
/// EXCLUSIVE while the triggers are dropped. Privilege: ownership of the table.
#[pg_extern]
fn disable_audit(
    table_name: PgRelation,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = table_name.oid();
    let report = security::with_safe_search_path(|| enable::disable(relid))?;
    Ok(rows(vec![report]))
}

//! The SQL functions of audit.

use crate::audit::coverage;
use crate::audit::enable;
use crate::audit::options::Options;
use crate::capture::policy::Kind;
use crate::capture::report::{oid_of, rows, texts};
use crate::capture::schema;
use crate::pg::security;
use pgrx::PgRelation;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

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
    let relid = oid_of(table_name);
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
    let relid = oid_of(table_name);
    let report = security::with_safe_search_path(|| enable::disable(relid))?;
    Ok(rows(vec![report]))
}

/// Audits every ordinary and partitioned table of a schema, as enable_audit does.
///
/// Arguments: schema_name; except_tables, names of tables to leave out; new_tables, whether tables
/// created in the schema later are audited as they are created; the rest as for enable_audit, where
/// columns and exclude apply to those tables that have such columns.
/// Returns one row for each table: enabled, exists, changed, repaired, excepted, or refused with the
/// reason.
/// Errors: 3F000 no such schema; 42704 no such table in except_tables; 42501 new_tables without owning
/// the schema; 22023 invalid option. Lock: SHARE ROW EXCLUSIVE on each table, kept to the end of the
/// transaction. Privilege: ownership of the tables.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn enable_audit_schema(
    schema_name: &str,
    except_tables: default!(Vec<Option<String>>, "'{}'"),
    new_tables: default!(bool, "false"),
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
    let except = texts(except_tables);
    let reports =
        security::with_safe_search_path(|| schema::enable(schema_name, &except, new_tables, &options))?;
    Ok(rows(reports))
}

/// Stops auditing every table of a schema, and picking up tables created in it later.
///
/// Returns one row for each table: disabled, skipped, or refused with the reason.
/// Errors: 3F000 no such schema. Lock and privilege as for disable_audit.
#[pg_extern]
fn disable_audit_schema(
    schema_name: &str,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let reports = security::with_safe_search_path(|| schema::disable(Kind::Audit, schema_name))?;
    Ok(rows(reports))
}

/// Says of every audited table whether all its changes are still recorded, and what to do if not.
///
/// Returns one row for each table that is covered, and one for each finding otherwise: table_name,
/// partition_name, status (covered, warning, gap), code, detail, and fix, a statement to run. Gaps are
/// changes that are not recorded: trigger_missing, trigger_disabled, trigger_replica_only,
/// truncate_not_recorded, table_missing, child_not_audited. Warnings: no_key, key_dropped,
/// column_missing, log_writable, unlogged_table, event_trigger_missing, restored_elsewhere,
/// new_table_not_audited.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn audit_coverage() -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(partition_name, Option<String>),
            name!(status, String),
            name!(code, String),
            name!(detail, String),
            name!(fix, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let findings = security::as_extension_owner(coverage::findings)?;
    Ok(TableIterator::new(
        findings.into_iter().map(|f| (f.table, f.partition, f.status.to_owned(), f.code, f.detail, f.fix)),
    ))
}

/// What the capture trigger remembers in this session: none of it grows with the rows recorded.
///
/// Returns one row: relations with a plan, contexts, bytes of row buffers.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(volatile)]
fn capture_statistics()
-> TableIterator<'static, (name!(plans, i64), name!(contexts, i64), name!(buffer_bytes, i64))> {
    let (plans, contexts, bytes) = crate::capture::remembered();
    TableIterator::once((plans as i64, contexts as i64, bytes as i64))
}

//! The SQL functions of capturing.

use crate::capture::policy::Kind;
use crate::capture::report::{oid_of, rows, texts};
use crate::capture::schema;
use crate::cdc::options::{self, Options};
use crate::cdc::{coverage, emit, enable};
use crate::error::Error;
use crate::pg::security;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{AnyElement, JsonB, PgRelation};

/// Puts every change of a table's rows into the change feed, from the next statement on.
///
/// Arguments: table_name; operations to capture; columns to capture (null: all) or columns to exclude;
/// mask, an object of columns and what stands in for their values: "null", "constant" ("***") or "hash"
/// (SHA-256 of the value as JSON); when, a condition on OLD and NEW as in the WHEN clause of a trigger,
/// which it becomes: only changes for which it holds are captured (TRUNCATE always is); key, columns that
/// identify a row in place of the primary key; image, 'full' (an UPDATE carries the whole row as it was
/// and what changed) or 'changed' (key and changed columns, old and new); replicated, whether changes
/// applied by logical replication are captured too; notify, whether a commit wakes listeners of channel,
/// with the newest position as the payload.
/// Returns one row for each table: enabled, exists, changed, repaired or merged. A second call with other
/// options changes the policy.
/// Errors: 42809 not an ordinary or partitioned table, or temporary; 42501 not the owner, or a system
/// catalog; 42703 no such column; 22023 invalid option; 22004 null for one that has another default; as CREATE TRIGGER for a condition that does not
/// fit, 42P17 where it mentions OLD for an insert or NEW for a delete.
/// Lock: SHARE ROW EXCLUSIVE on the table and its partitions. Privilege: ownership of the table.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn enable_cdc(
    table_name: Option<PgRelation>,
    operations: default!(Option<Vec<Option<String>>>, "'{insert,update,delete,truncate}'"),
    columns: default!(Option<Vec<Option<String>>>, "NULL"),
    exclude: default!(Option<Vec<Option<String>>>, "'{}'"),
    mask: default!(Option<JsonB>, "'{}'"),
    when: default!(Option<&str>, "NULL"),
    key: default!(Option<Vec<Option<String>>>, "NULL"),
    image: default!(Option<&str>, "'full'"),
    replicated: default!(Option<bool>, "false"),
    notify: default!(Option<bool>, "true"),
    channel: default!(Option<&str>, "'data_changes'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let options = Options {
        operations: texts(Error::required("operations", operations)?),
        columns: columns.map(texts),
        exclude: texts(Error::required("exclude", exclude)?),
        mask: options::masks(&Error::required("mask", mask)?.0)?,
        condition: when.map(str::to_owned),
        key: key.map(texts),
        image: Error::required("image", image)?.to_owned(),
        replicated: Error::required("replicated", replicated)?,
        notify: Error::required("notify", notify)?,
        channel: Error::required("channel", channel)?.to_owned(),
    }
    .checked()?;
    let relid = oid_of(Error::required("table_name", table_name)?);
    let reports = security::with_safe_search_path(|| enable::enable(relid, &options))?;
    Ok(rows(reports))
}

/// Stops capturing a table's changes. Events that are in the feed stay for their consumers.
///
/// Returns one row: disabled, or skipped where the table was not captured.
/// Errors: 42501 not the owner. Lock: SHARE ROW EXCLUSIVE on the table and its partitions, ACCESS
/// EXCLUSIVE while triggers are dropped. Privilege: ownership of the table.
#[pg_extern]
fn disable_cdc(
    table_name: PgRelation,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = oid_of(table_name);
    let report = security::with_safe_search_path(|| enable::disable(relid))?;
    Ok(rows(vec![report]))
}

/// Captures every ordinary and partitioned table of a schema, as enable_cdc does.
///
/// Arguments: schema_name; except_tables, names of tables to leave out; new_tables, whether tables
/// created in the schema later are captured as they are created; the rest as for enable_cdc, where
/// columns, exclude and mask apply to those tables that have such columns. A condition and a key are one
/// table's own: call enable_cdc for it.
/// Returns one row for each table: enabled, exists, changed, repaired, excepted, or refused with the
/// reason.
/// Errors: 3F000 no such schema; 42704 no such table in except_tables; 42501 new_tables without owning
/// the schema; 22023 invalid option. Lock: SHARE ROW EXCLUSIVE on each table, kept to the end of the
/// transaction. Privilege: ownership of the tables.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn enable_cdc_schema(
    schema_name: Option<&str>,
    except_tables: default!(Option<Vec<Option<String>>>, "'{}'"),
    new_tables: default!(Option<bool>, "false"),
    operations: default!(Option<Vec<Option<String>>>, "'{insert,update,delete,truncate}'"),
    columns: default!(Option<Vec<Option<String>>>, "NULL"),
    exclude: default!(Option<Vec<Option<String>>>, "'{}'"),
    mask: default!(Option<JsonB>, "'{}'"),
    image: default!(Option<&str>, "'full'"),
    replicated: default!(Option<bool>, "false"),
    notify: default!(Option<bool>, "true"),
    channel: default!(Option<&str>, "'data_changes'"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let options = Options {
        operations: texts(Error::required("operations", operations)?),
        columns: columns.map(texts),
        exclude: texts(Error::required("exclude", exclude)?),
        mask: options::masks(&Error::required("mask", mask)?.0)?,
        condition: None,
        key: None,
        image: Error::required("image", image)?.to_owned(),
        replicated: Error::required("replicated", replicated)?,
        notify: Error::required("notify", notify)?,
        channel: Error::required("channel", channel)?.to_owned(),
    }
    .checked()?;
    let schema_name = Error::required("schema_name", schema_name)?;
    let except = texts(Error::required("except_tables", except_tables)?);
    let new_tables = Error::required("new_tables", new_tables)?;
    let reports =
        security::with_safe_search_path(|| schema::enable(schema_name, &except, new_tables, &options))?;
    Ok(rows(reports))
}

/// Stops capturing every table of a schema, and picking up tables created in it later.
///
/// Returns one row for each table: disabled, skipped, or refused with the reason.
/// Errors: 3F000 no such schema. Lock and privilege as for disable_cdc.
#[pg_extern]
fn disable_cdc_schema(
    schema_name: &str,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let reports = security::with_safe_search_path(|| schema::disable(Kind::Feed, schema_name))?;
    Ok(rows(reports))
}

/// Says of every captured table whether all its changes still reach the feed, and what to do if not.
///
/// Returns one row for each table that is covered, and one for each finding otherwise: table_name,
/// partition_name, status (covered, warning, gap), code, detail, and fix, a statement to run. Gaps are
/// changes that are not captured: trigger_missing, trigger_disabled, trigger_replica_only,
/// trigger_origin_only, truncate_not_recorded, table_missing, child_not_captured, segment_missing where
/// none is left. Warnings: no_key, key_dropped, key_deferrable, trigger_before_capture (events of a row may
/// be in another order than its changes), column_missing, log_writable, unlogged_table,
/// event_trigger_missing, restored_elsewhere, new_table_not_captured, notification_queue_full.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn cdc_coverage() -> Result<
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

/// Puts an event of the application's own into the change feed, as part of the transaction: consumers get
/// it if and only if the transaction commits, in order with other events of the same key.
///
/// Arguments: topic; key, events of one key are delivered in the order they were emitted (null: all of
/// those without one are); payload; headers, a JSON object; channel whose listeners the commit wakes
/// (null: none).
/// Returns the event's position in the feed.
/// Errors: 22023 no topic, headers that are not an object, or a channel name that is too long; 55000 the
/// feed cannot be written to. Lock: none. Privilege: EXECUTE.
#[pg_extern(sql = false)]
fn emit_event(
    topic: Option<&str>,
    key: Option<&str>,
    payload: Option<AnyElement>,
    headers: Option<AnyElement>,
    channel: Option<&str>,
) -> Result<i64, ErrorReport> {
    Ok(emit::emit(topic.unwrap_or_default(), key, payload.as_ref(), headers.as_ref(), channel)?)
}

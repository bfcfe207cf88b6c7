//! The SQL functions of updated_at.

use crate::pg::security;
use crate::updated_at::enable::{self, Report, Request, Wanted};
use crate::updated_at::spec::{Clock, Role};
use crate::updated_at::{follow, list, trigger};
use pgrx::PgRelation;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

fn rows(
    reports: Vec<Report>,
) -> TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))> {
    TableIterator::new(reports.into_iter().map(|r| (r.object, r.action.to_owned(), r.detail)))
}

/// The argument's OID. The argument holds its table open under a lock, and an open table cannot be
/// altered: it is closed here.
fn relid(table: PgRelation) -> pg_sys::Oid {
    table.oid()
}

/// Keeps a column of a table at the time of each row's last change, by a trigger that fires after every
/// other BEFORE trigger.
///
/// Arguments: table_name, an ordinary or partitioned table; column_name, a timestamptz or timestamp
/// column (a timestamp gets the time in the session's time zone); add_column, whether to add the column
/// where the table has none of that name, as timestamptz NOT NULL; clock, 'transaction' (now()),
/// 'statement' or 'wall'; only_if_changed, whether an UPDATE that changes no value leaves the column
/// alone. An UPDATE that sets the column itself and nothing else keeps the value it set if
/// only_if_changed is true; otherwise the clock's time replaces whatever the UPDATE set. On INSERT the
/// column's default counts: where there is none, it is set to the clock's function.
/// Returns one row for each column and table concerned: added, default set, enabled, exists, changed,
/// repaired, merged or skipped. A second call with other options changes them.
/// Errors: 42703 no such column; 42804 a column of another type; 42809 not an ordinary or partitioned
/// table, a temporary table, a generated column; 42501 not the owner, or a system catalog; 22023 invalid
/// clock.
/// Lock: SHARE ROW EXCLUSIVE on the table and its partitions; ACCESS EXCLUSIVE for a moment if a column
/// or a default is added; none if there is nothing to do. Privilege: ownership of the table.
#[pg_extern]
fn enable_updated_at(
    table_name: PgRelation,
    column_name: default!(&str, "'updated_at'"),
    add_column: default!(bool, "false"),
    clock: default!(&str, "'transaction'"),
    only_if_changed: default!(bool, "true"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let table = relid(table_name);
    let wanted = Wanted { role: Role::UpdatedAt, name: column_name.to_owned(), add: add_column };
    let request = Request { columns: vec![wanted], clock: Clock::parse(clock)?, only_if_changed };
    Ok(rows(security::with_safe_search_path(|| enable::enable(table, &request))?))
}

/// Stops keeping a table's updated_at column, and undoes what enable_updated_at did.
///
/// Arguments: table_name; drop_column, whether a column that enable_updated_at added is dropped. By
/// default it stays, with its values and default. A default that was set on a column found without one
/// is dropped. Other columns kept by add_standard_columns are kept on.
/// Returns one row for each column and table concerned: disabled, kept, dropped, or skipped where
/// nothing was enabled.
/// Errors: 42501 not the owner; 2BP01 a column to drop that other objects depend on.
/// Lock: ACCESS EXCLUSIVE on the table and its partitions; none if there is nothing to do. Privilege:
/// ownership of the table.
#[pg_extern]
fn disable_updated_at(
    table_name: PgRelation,
    drop_column: default!(bool, "false"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let table = relid(table_name);
    Ok(rows(security::with_safe_search_path(|| enable::disable(table, &[Role::UpdatedAt], drop_column))?))
}

/// Adds the usual columns to a table where they are missing, and keeps them: created_at, updated_at
/// (timestamptz), created_by, updated_by (text: architect.actor, else the session's role) and version
/// (bigint, one more with each change).
///
/// Arguments: table_name; for each column whether to have it (false leaves a column alone, it does not
/// take it away); clock and only_if_changed as in enable_updated_at. A column of that name that is there
/// is used as it is; the types of enable_updated_at, text or varchar, and integer or bigint are accepted.
/// INSERT takes what the statement says, else the columns' defaults. UPDATE can neither change
/// created_at and created_by nor choose version and updated_by. Existing rows get the time of this call
/// as updated_at and 1 as version; who and when they were created by is not known and stays null.
/// Returns and errors as enable_updated_at.
/// Lock: as enable_updated_at. Adding the columns rewrites nothing. Privilege: ownership of the table.
#[pg_extern]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
fn add_standard_columns(
    table_name: PgRelation,
    created_at: default!(bool, "true"),
    updated_at: default!(bool, "true"),
    created_by: default!(bool, "true"),
    updated_by: default!(bool, "true"),
    version: default!(bool, "true"),
    clock: default!(&str, "'transaction'"),
    only_if_changed: default!(bool, "true"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let table = relid(table_name);
    let wanted = [
        (Role::CreatedAt, created_at),
        (Role::UpdatedAt, updated_at),
        (Role::CreatedBy, created_by),
        (Role::UpdatedBy, updated_by),
        (Role::Version, version),
    ];
    let columns: Vec<Wanted> = wanted
        .into_iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(role, _)| Wanted { role, name: role.name().to_owned(), add: true })
        .collect();
    if columns.is_empty() {
        return Err(crate::error::Error::invalid_parameter("no column to add")
            .hint("Leave at least one of created_at, updated_at, created_by, updated_by, version true.")
            .into());
    }
    let request = Request { columns, clock: Clock::parse(clock)?, only_if_changed };
    Ok(rows(security::with_safe_search_path(|| enable::enable(table, &request))?))
}

/// Stops keeping every column of a table that add_standard_columns or enable_updated_at keeps.
///
/// Arguments: table_name; drop_columns, whether the columns that were added are dropped. By default they
/// stay, with their values and defaults.
/// Returns, errors, lock and privilege as disable_updated_at.
#[pg_extern]
fn remove_standard_columns(
    table_name: PgRelation,
    drop_columns: default!(bool, "false"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let table = relid(table_name);
    Ok(rows(security::with_safe_search_path(|| enable::disable(table, &Role::ALL, drop_columns))?))
}

/// What is enabled where: one row for each column that a trigger of ours keeps.
///
/// Returns: table_name; column_name, as it is called now; kept_as, what for (created_at, updated_at,
/// created_by, updated_by, version); clock; only_if_changed; trigger_name; status, 'ok' or what is wrong
/// and what to do about it. Partitions are not listed apart from their table.
/// Lock: none. Privilege: EXECUTE. Reads the catalogue only, assigns no transaction id.
#[pg_extern(stable)]
fn updated_at_tables() -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(column_name, String),
            name!(kept_as, String),
            name!(clock, String),
            name!(only_if_changed, bool),
            name!(trigger_name, String),
            name!(status, String),
        ),
    >,
    ErrorReport,
> {
    let entries = security::with_safe_search_path(list::all)?;
    Ok(TableIterator::new(
        entries
            .into_iter()
            .map(|e| (e.table, e.column, e.kept_as, e.clock, e.only_if_changed, e.trigger, e.status)),
    ))
}

/// Event trigger function behind architect_updated_at_ddl: writes a renamed column's new name into the
/// trigger that keeps it, and warns of a trigger that would fire after it. What fails is a warning, never
/// an error of the command.
#[pg_extern(sql = "
CREATE FUNCTION architect.note_updated_at_ddl() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
CREATE EVENT TRIGGER architect_updated_at_ddl ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'CREATE TRIGGER', 'ALTER TRIGGER')
    EXECUTE FUNCTION architect.note_updated_at_ddl();
")]
fn note_updated_at_ddl(_fcinfo: pg_sys::FunctionCallInfo) {
    follow::on_ddl_command_end();
}

/// What the updated_at trigger remembers in this session: none of it grows with the rows updated.
///
/// Returns one row: triggers with a plan of their columns.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(volatile)]
fn updated_at_statistics() -> TableIterator<'static, (name!(plans, i64),)> {
    TableIterator::once((i64::try_from(trigger::remembered()).unwrap_or(i64::MAX),))
}

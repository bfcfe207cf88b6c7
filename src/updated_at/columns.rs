//! The columns themselves: what they may be, adding them, their defaults.

use crate::catalog::column::Column;
use crate::catalog::relation::Relation;
use crate::error::{Error, Result};
use crate::pg::{lookup, spi};
use crate::updated_at::kind::{Kind, wrong_type};
use crate::updated_at::spec::{Clock, Role};
use pgrx::pg_sys;
use pgrx::prelude::*;

const ACTOR: &str = "COALESCE(NULLIF(pg_catalog.current_setting('architect.actor', true), ''), SESSION_USER)";

/// The default a column gets: built-in functions only, so that it works without the extension too.
pub fn default_expression(role: Role, clock: Clock) -> &'static str {
    match (role, clock) {
        (Role::CreatedBy | Role::UpdatedBy, _) => ACTOR,
        (Role::Version, _) => "1",
        (_, Clock::Transaction) => "pg_catalog.now()",
        (_, Clock::Statement) => "pg_catalog.statement_timestamp()",
        (_, Clock::Wall) => "pg_catalog.clock_timestamp()",
    }
}

/// Whether a column's default, as the catalogue shows it, is one of ours for that role.
pub fn is_our_default(role: Role, default: &str) -> bool {
    match role {
        Role::CreatedBy | Role::UpdatedBy => {
            default.starts_with("COALESCE(NULLIF(current_setting('architect.actor'")
        }
        Role::Version => default == "1",
        Role::CreatedAt | Role::UpdatedAt => {
            ["now()", "statement_timestamp()", "clock_timestamp()"].contains(&default)
        }
    }
}

/// Whether a default of ours reads the clock asked for.
pub fn is_current_default(role: Role, clock: Clock, default: &str) -> bool {
    is_our_default(role, default)
        && (matches!(role, Role::CreatedBy | Role::UpdatedBy)
            || default_expression(role, clock).trim_start_matches("pg_catalog.") == default)
}

/// Fails unless a column can be kept as `role`.
pub fn check(target: &Relation, role: Role, column: &Column) -> Result<()> {
    let table = target.qualified_name();
    if Kind::of(role, column.type_oid, column.typmod).is_none() {
        let type_name = lookup::type_name(column.type_oid, column.typmod);
        return Err(wrong_type(role, &column.name, &table, &type_name));
    }
    if column.generated || column.identity {
        let what = if column.generated { "a generated column" } else { "an identity column" };
        return Err(Error::wrong_object_type(format!(
            "column \"{}\" of table {table} cannot be kept as {}",
            column.name,
            role.name()
        ))
        .detail(format!("The column is {what}: PostgreSQL sets it."))
        .hint("Name an ordinary column."));
    }
    Ok(())
}

/// The error for a column that is not there.
pub fn missing(target: &Relation, column: &str) -> Error {
    let hint = if target.is_partition {
        "Name a column the table has, or call this for the partitioned table with add_column => true."
    } else {
        "Name a column the table has, or add it with add_column => true."
    };
    crate::catalog::relation::no_such_column(target, column).hint(hint)
}

/// Adds a column and says what existing rows get. Times of existing rows: now is true of updated_at (not
/// changed since), but who created or changed them, and when they were created, nobody knows.
pub fn add(target: &Relation, role: Role, name: &str, clock: Clock) -> Result<String> {
    if target.is_partition {
        return Err(Error::wrong_object_type(format!(
            "cannot add a column to partition {}",
            target.qualified_name()
        ))
        .detail("A partition has the columns of its partitioned table.")
        .hint("Call this for the partitioned table."));
    }
    if name.is_empty() {
        return Err(Error::new(PgSqlErrorCode::ERRCODE_INVALID_NAME, "a column's name must not be empty"));
    }
    let table = target.qualified_name();
    let column = pgrx::spi::quote_identifier(name);
    let (definition, existing) = match role {
        Role::UpdatedAt => (
            "timestamp with time zone NOT NULL DEFAULT pg_catalog.now()",
            "timestamptz NOT NULL, existing rows have the time of this call",
        ),
        Role::Version => ("bigint NOT NULL DEFAULT 1", "bigint NOT NULL, existing rows have 1"),
        Role::CreatedAt => ("timestamp with time zone", "timestamptz, null in existing rows"),
        Role::CreatedBy | Role::UpdatedBy => ("text", "text, null in existing rows"),
    };
    spi::run(&format!("ALTER TABLE {table} ADD COLUMN {column} {definition}"), &[])?;
    let default = default_expression(role, clock);
    spi::run(&format!("ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default}"), &[])?;
    Ok(existing.to_owned())
}

/// Sets or drops the default of one relation's column, not of its partitions'.
pub fn set_default(relid: pg_sys::Oid, column: &str, expression: Option<&str>) -> Result<()> {
    let table = lookup::qualified_name(relid).unwrap_or_default();
    let column = pgrx::spi::quote_identifier(column);
    let change = expression.map_or("DROP DEFAULT".to_owned(), |e| format!("SET DEFAULT {e}"));
    spi::run(&format!("ALTER TABLE ONLY {table} ALTER COLUMN {column} {change}"), &[]).map(|_| ())
}

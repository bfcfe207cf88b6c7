//! Recording a whole schema, and the tables that come into it later.

use crate::capture::enable::{self, Request};
use crate::capture::policy::Kind;
use crate::capture::report::Report;
use crate::catalog::relation;
use crate::error::{Error, Result};
use crate::pg::subtransaction::attempt;
use crate::pg::{lookup, security, spi};
use pgrx::JsonB;
use pgrx::pg_sys;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is asked for of every table of a schema, and of those created later.
pub trait ForSchema: Request + Serialize + DeserializeOwned {
    /// What of it applies to one table: columns the table does not have are not its business.
    #[must_use]
    fn for_table(&self, has: &dyn Fn(&str) -> bool) -> Self;

    /// Makes the storage.
    fn ensure_storage() -> Result<()>;
}

/// Records every table of a schema but those named; with `new_tables`, those created later too. A table
/// that cannot be recorded becomes a row that says why.
pub fn enable<R: ForSchema>(
    schema: &str,
    except: &[String],
    new_tables: bool,
    options: &R,
) -> Result<Vec<Report>> {
    let kind = R::KIND;
    check(kind, schema)?;
    let tables = relation::tables_in_schema(schema)?;
    if let Some(unknown) = except.iter().find(|name| !tables.iter().any(|(_, table)| table == *name)) {
        return Err(Error::undefined_object(format!(
            "table \"{unknown}\" does not exist in schema \"{schema}\""
        ))
        .hint("Name tables to leave out without their schema."));
    }
    let mut reports = Vec::new();
    for (oid, name) in tables {
        if except.contains(&name) {
            reports.push(Report::new(lookup::qualify(schema, &name), "excepted", "left out as asked"));
            continue;
        }
        match attempt(|| enable::enable(oid, &for_table(oid, options))) {
            Ok(done) => reports.extend(done),
            Err(error) => {
                reports.push(Report::new(lookup::qualify(schema, &name), "refused", error.message()))
            }
        }
    }
    if new_tables {
        remember(schema, except, options)?;
        reports.push(Report::new(
            pgrx::spi::quote_identifier(schema),
            "enabled",
            format!("tables created in this schema from now on are {}", kind.recorded()),
        ));
    }
    Ok(reports)
}

/// Stops recording a schema's tables, and picking up new ones.
pub fn disable(kind: Kind, schema: &str) -> Result<Vec<Report>> {
    check(kind, schema)?;
    let mut reports = Vec::new();
    for (oid, name) in relation::tables_in_schema(schema)? {
        match attempt(|| enable::disable(kind, oid)) {
            Ok(report) => reports.push(report),
            Err(error) => {
                reports.push(Report::new(lookup::qualify(schema, &name), "refused", error.message()))
            }
        }
    }
    if kind.storage_exists() {
        let forgotten = security::as_extension_owner(|| {
            spi::run_one::<String>(
                &format!(
                    "DELETE FROM architect.{} WHERE schema_name OPERATOR(pg_catalog.=) $1 RETURNING schema_name",
                    kind.schemas()
                ),
                &[schema.into()],
            )
        })?;
        if forgotten.is_some() {
            reports.push(Report::new(
                pgrx::spi::quote_identifier(schema),
                "disabled",
                format!("tables created in this schema from now on are not {}", kind.recorded()),
            ));
        }
    }
    Ok(reports)
}

/// Records a table that was just created, where that was asked for.
pub fn record_new<R: ForSchema>(relid: pg_sys::Oid, schema: &str, table: &str) -> Result<()> {
    match options_for::<R>(schema, table)? {
        Some(options) => enable::enable(relid, &for_table(relid, &options)).map(|_| ()),
        None => Ok(()),
    }
}

/// How tables created in a schema are to be recorded; none where nobody asked for it, or not for `table`.
fn options_for<R: ForSchema>(schema: &str, table: &str) -> Result<Option<R>> {
    let found = security::as_extension_owner(|| {
        spi::read_one_now::<JsonB>(
            &format!(
                "SELECT s.options FROM architect.{} AS s
                  WHERE s.schema_name OPERATOR(pg_catalog.=) $1
                    AND NOT $2 OPERATOR(pg_catalog.=) ANY (s.except_tables)",
                R::KIND.schemas()
            ),
            &[schema.into(), table.into()],
        )
    });
    found
        .map(|options| {
            serde_json::from_value::<R>(options.0).map_err(|error| {
                Error::internal(format!("options stored for schema \"{schema}\" are damaged: {error}"))
            })
        })
        .transpose()
}

fn remember<R: ForSchema>(schema: &str, except: &[String], options: &R) -> Result<()> {
    R::ensure_storage()?;
    let owner = spi::read_one_now::<bool>(
        "SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace AS n
          WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
        &[schema.into()],
    );
    if owner != Some(true) {
        return Err(Error::insufficient_privilege(format!("must be owner of schema {schema}"))
            .detail(format!(
                "{} tables that others create in a schema is for the schema's owner to decide.",
                R::KIND.gerund()
            ))
            .hint("Leave out new_tables, or call this as the schema's owner or a superuser."));
    }
    let by = security::role_name(security::current_role());
    let options = serde_json::to_value(options).map_err(|error| Error::internal(error.to_string()))?;
    security::as_extension_owner(|| {
        spi::run(
            &format!(
                "INSERT INTO architect.{} AS s (schema_name, except_tables, options, enabled_by, schema_oid)
                 SELECT $1, $2, $3, $4, n.oid FROM pg_catalog.pg_namespace AS n
                  WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name
                 ON CONFLICT (schema_name) DO UPDATE
                 SET except_tables = excluded.except_tables, options = excluded.options,
                     enabled_by = excluded.enabled_by, enabled_at = pg_catalog.clock_timestamp()",
                R::KIND.schemas()
            ),
            &[schema.into(), except.to_vec().into(), JsonB(options).into(), by.into()],
        )
    })?;
    Ok(())
}

fn for_table<R: ForSchema>(relid: pg_sys::Oid, options: &R) -> R {
    options.for_table(&|column| relation::column_number(relid, column).is_some())
}

fn check(kind: Kind, schema: &str) -> Result<()> {
    let exists = spi::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_namespace AS n WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
        &[schema.into()],
    );
    if exists.is_none() {
        return Err(Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            format!("schema \"{schema}\" does not exist"),
        ));
    }
    if schema == "architect" || schema == "information_schema" || schema.starts_with("pg_") {
        return Err(Error::wrong_object_type(format!("cannot {} schema {schema}", kind.verb()))
            .detail(format!("Schema {schema} belongs to the system or to db_architect."))
            .hint("Name a schema of your application."));
    }
    Ok(())
}

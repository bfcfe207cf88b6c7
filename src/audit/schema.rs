//! Auditing a whole schema, and the tables that come into it later.

use crate::audit::enable::{self, Report};
use crate::audit::options::Options;
use crate::audit::storage;
use crate::capture::policy;
use crate::catalog::relation;
use crate::error::{Error, Result};
use crate::pg::subtransaction::attempt;
use crate::pg::{lookup, security, spi};
use pgrx::JsonB;
use pgrx::pg_sys;

/// Audits every table of a schema but those named; with `new_tables`, those created later too. A table
/// that cannot be audited becomes a row that says why.
pub fn enable(schema: &str, except: &[String], new_tables: bool, options: &Options) -> Result<Vec<Report>> {
    check(schema)?;
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
        match attempt(|| enable::enable(oid, &in_schema(oid, options))) {
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
            "tables created in this schema from now on are audited",
        ));
    }
    Ok(reports)
}

/// Stops auditing a schema's tables, and picking up new ones.
pub fn disable(schema: &str) -> Result<Vec<Report>> {
    check(schema)?;
    let mut reports = Vec::new();
    for (oid, name) in relation::tables_in_schema(schema)? {
        match attempt(|| enable::disable(oid)) {
            Ok(report) => reports.push(report),
            Err(error) => {
                reports.push(Report::new(lookup::qualify(schema, &name), "refused", error.message()))
            }
        }
    }
    if policy::storage_exists() {
        let forgotten = security::as_extension_owner(|| {
            spi::run_one::<String>(
                "DELETE FROM architect.audit_schema WHERE schema_name OPERATOR(pg_catalog.=) $1 RETURNING schema_name",
                &[schema.into()],
            )
        })?;
        if forgotten.is_some() {
            reports.push(Report::new(
                pgrx::spi::quote_identifier(schema),
                "disabled",
                "tables created in this schema from now on are not audited",
            ));
        }
    }
    Ok(reports)
}

/// How tables created in a schema are to be audited; none where nobody asked for it, or not for `table`.
pub fn options_for(schema: &str, table: &str) -> Result<Option<Options>> {
    let found = security::as_extension_owner(|| {
        spi::read_one_now::<JsonB>(
            "SELECT s.options FROM architect.audit_schema AS s
              WHERE s.schema_name OPERATOR(pg_catalog.=) $1
                AND NOT $2 OPERATOR(pg_catalog.=) ANY (s.except_tables)",
            &[schema.into(), table.into()],
        )
    });
    found
        .map(|options| {
            serde_json::from_value::<Options>(options.0).map_err(|error| {
                Error::internal(format!("options stored for schema \"{schema}\" are damaged: {error}"))
            })
        })
        .transpose()
}

fn remember(schema: &str, except: &[String], options: &Options) -> Result<()> {
    storage::ensure()?;
    let owner = spi::read_one_now::<bool>(
        "SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace AS n
          WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
        &[schema.into()],
    );
    if owner != Some(true) {
        return Err(Error::insufficient_privilege(format!("must be owner of schema {schema}"))
            .detail("Auditing tables that others create in a schema is for the schema's owner to decide.")
            .hint("Leave out new_tables, or call this as the schema's owner or a superuser."));
    }
    let by = security::role_name(security::current_role());
    let options = serde_json::to_value(options).map_err(|error| Error::internal(error.to_string()))?;
    security::as_extension_owner(|| {
        spi::run(
            "INSERT INTO architect.audit_schema AS s (schema_name, except_tables, options, enabled_by, schema_oid)
             SELECT $1, $2, $3, $4, n.oid FROM pg_catalog.pg_namespace AS n
              WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name
             ON CONFLICT (schema_name) DO UPDATE
             SET except_tables = excluded.except_tables, options = excluded.options, enabled_by = excluded.enabled_by,
                 enabled_at = pg_catalog.clock_timestamp()",
            &[schema.into(), except.to_vec().into(), JsonB(options).into(), by.into()],
        )
    })?;
    Ok(())
}

/// Options of a whole schema as they apply to one table: columns it does not have are not its business.
pub fn in_schema(relid: pg_sys::Oid, options: &Options) -> Options {
    let there = |columns: &Vec<String>| -> Vec<String> {
        columns.iter().filter(|column| relation::column_number(relid, column).is_some()).cloned().collect()
    };
    Options {
        columns: options.columns.as_ref().map(there),
        exclude: there(&options.exclude),
        ..options.clone()
    }
}

fn check(schema: &str) -> Result<()> {
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
        return Err(Error::wrong_object_type(format!("cannot audit schema {schema}"))
            .detail(format!("Schema {schema} belongs to the system or to db_architect."))
            .hint("Name a schema of your application."));
    }
    Ok(())
}

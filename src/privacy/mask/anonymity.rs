//! How well rows hide among others.

use crate::catalog::column;
use crate::error::{Error, Result};
use crate::pg::subtransaction::attempt;
use crate::pg::{lookup, security, spi};
use crate::privacy::catalogue;
use pgrx::JsonB;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The columns by which rows could be told: those named, or those declared so.
fn quasi(relid: pg_sys::Oid, columns: Option<Vec<String>>) -> Result<Vec<String>> {
    let there = column::columns(relid)?;
    let columns = match columns {
        Some(columns) => columns,
        None => {
            let (schema, name) = (lookup::relation_schema(relid), lookup::relation_name(relid));
            catalogue::columns()?
                .into_iter()
                .filter(|c| Some(&c.schema) == schema.as_ref() && Some(&c.table) == name.as_ref())
                .filter(|c| c.identifier_class == "quasi" && c.json_path.is_empty())
                .map(|c| c.column)
                .collect()
        }
    };
    if columns.is_empty() {
        return Err(Error::invalid_parameter("no columns are given, and none is declared quasi-identifying")
            .hint(
                "Name the columns by which somebody could be told, as date of birth, postal code and gender.",
            ));
    }
    if let Some(unknown) = columns.iter().find(|name| !there.iter().any(|c| c.name == **name)) {
        return Err(Error::undefined_column(format!("column \"{unknown}\" does not exist"))
            .detail(format!("The table is {}.", lookup::qualified_name(relid).unwrap_or_default())));
    }
    Ok(columns)
}

/// Names in single quotes as jsonb_build_object wants them, and the columns.
fn class(columns: &[String]) -> (String, String) {
    let pairs: Vec<String> = columns
        .iter()
        .map(|name| format!("{}, t.{}", pgrx::spi::quote_literal(name), quote_identifier(name)))
        .collect();
    let list: Vec<String> = columns.iter().map(|name| format!("t.{}", quote_identifier(name))).collect();
    (format!("pg_catalog.jsonb_build_object({})", pairs.join(", ")), list.join(", "))
}

/// Reads a table without running anybody's casts and policies with more rights than their owner's: as the owner
/// where the caller has its rights, else as the caller, restricted, who needs SELECT as for any query.
fn reading<T>(relid: pg_sys::Oid, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let table = spi::read_now(
        "SELECT c.relowner FROM pg_catalog.pg_class AS c
          WHERE c.oid OPERATOR(pg_catalog.=) $1 AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m}'::\"char\"[])",
        &[relid.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )?;
    let Some(owner) = table.into_iter().flatten().next() else {
        let name = lookup::qualified_name(relid).unwrap_or_default();
        return Err(Error::wrong_object_type(format!("{name} is not a table"))
            .hint("Name a table or a materialized view."));
    };
    let done = attempt(|| {
        if security::has_rights_of(owner) {
            security::as_table_owner(owner, work)
        } else {
            security::as_owner(security::current_role(), work)
        }
    });
    done.map_err(|error| {
        let name = lookup::qualified_name(relid).unwrap_or_default();
        if error.is_cancel() {
            error
        } else if error.code() == PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE {
            Error::insufficient_privilege(format!("permission denied for table {name}"))
                .detail("Its rows can be counted by who may read it.")
                .hint("Call this as the table's owner, or as a role with SELECT on it.")
        } else {
            crate::privacy::owner::silent(&error, &name)
        }
    })
}

pub fn small_classes(relid: pg_sys::Oid, columns: Option<Vec<String>>, k: i32) -> Result<Vec<(JsonB, i64)>> {
    at_least_one("k", k)?;
    let columns = quasi(relid, columns)?;
    let (object, list) = class(&columns);
    let table = lookup::qualified_name(relid).unwrap_or_default();
    let query = format!(
        "SELECT {object}, pg_catalog.count(*) FROM {table} AS t GROUP BY {list}
         HAVING pg_catalog.count(*) OPERATOR(pg_catalog.<) $1 ORDER BY 2, 1"
    );
    reading(relid, || {
        spi::read(&query, &[i64::from(k).into()], |row| {
            Ok((row.get(1)?.unwrap_or(JsonB(serde_json::Value::Null)), row.get(2)?.unwrap_or_default()))
        })
    })
}

pub fn uniform_classes(
    relid: pg_sys::Oid,
    columns: Option<Vec<String>>,
    sensitive: &str,
    l: i32,
) -> Result<Vec<(JsonB, i64, i64)>> {
    at_least_one("l", l)?;
    let mut columns = quasi(relid, columns)?;
    quasi(relid, Some(vec![sensitive.to_owned()]))?;
    columns.retain(|column| column != sensitive);
    if columns.is_empty() {
        return Err(Error::invalid_parameter("the sensitive column is the only one"));
    }
    let (object, list) = class(&columns);
    let table = lookup::qualified_name(relid).unwrap_or_default();
    let sensitive = quote_identifier(sensitive);
    // As text, so that types without equality count too; a null is a value like any other here.
    let distinct = format!(
        "pg_catalog.count(DISTINCT t.{sensitive}::pg_catalog.text) OPERATOR(pg_catalog.+)
         CASE WHEN pg_catalog.bool_or(t.{sensitive} IS NULL) THEN 1 ELSE 0 END"
    );
    let query = format!(
        "SELECT {object}, pg_catalog.count(*), ({distinct})::pg_catalog.int8 FROM {table} AS t GROUP BY {list}
         HAVING {distinct} OPERATOR(pg_catalog.<) $1 ORDER BY 3, 2, 1"
    );
    reading(relid, || {
        spi::read(&query, &[i64::from(l).into()], |row| {
            Ok((
                row.get(1)?.unwrap_or(JsonB(serde_json::Value::Null)),
                row.get(2)?.unwrap_or_default(),
                row.get(3)?.unwrap_or_default(),
            ))
        })
    })
}

fn at_least_one(name: &str, value: i32) -> Result<()> {
    if value >= 1 { Ok(()) } else { Err(Error::invalid_parameter(format!("{name} must be at least 1"))) }
}

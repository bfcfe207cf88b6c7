//! Masking by writing a table anew, for copies nobody else works with: one pass, indexes built once, and no old version
//! of any row is left in the files. The table stays the same one, with its constraints, rights and foreign keys:
//! ALTER TABLE gives each masked column its own type again, its values made by the expression.

use super::expression::{self, Parameters};
use super::rules::Checked;
use super::run::{self, discreet};
use super::running;
use super::table::{self, Stored};
use super::usage;
use crate::error::Result;
use crate::pg::{lookup, security, spi, subtransaction};
use crate::privacy::action::Action;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

/// What ALTER COLUMN ... TYPE would set back to the type's own.
struct Kept {
    name: String,
    collation: Option<String>,
    storage: Option<&'static str>,
    compression: Option<&'static str>,
}

/// Why PostgreSQL does not give a column a type.
const KNOWN: &[&str] = &[
    "cannot alter type of a column used by a view or rule",
    "cannot alter type of a column used by a generated column",
    "cannot alter type of a column used in a trigger definition",
    "cannot alter type of a column used in a policy definition",
    "cannot alter type of a column used by a function or procedure",
    "cannot alter type of a column used by a publication WHERE clause",
];

/// Writes a table and its partitions anew; returns how many rows they have. None, with a NOTICE that says why, where it
/// must be masked by updates.
pub fn table(relid: pg_sys::Oid, checked: &[Checked]) -> Result<Option<u64>> {
    let name = lookup::qualified_name(relid).unwrap_or_default();
    if checked.iter().any(|rule| rule.rule.action == Action::Shuffle) {
        notice!("{name} is masked by updates: values are shuffled between its rows");
        return Ok(None);
    }
    let owner = table::owner(relid)?;
    let target = Stored {
        relid,
        owner,
        schema: lookup::relation_schema(relid).unwrap_or_default(),
        name: lookup::relation_name(relid).unwrap_or_default(),
    };
    // Where values are, and in which order, does not matter: unique indexes are built once all are there.
    let rules: Vec<Checked> = checked.iter().map(|rule| Checked { aside: false, ..rule.clone() }).collect();
    let outcome = running::with(run::pseudonyms(&rules)?, |token| {
        subtransaction::attempt(|| {
            let statement = statement(&target, &rules, token)?;
            let Some(statement) = statement else { return Ok(0) };
            usage::with(owner, || {
                security::with_safe_search_path(|| {
                    security::as_table_owner(owner, || {
                        spi::run(&statement, &[])?;
                        let count =
                            spi::read_one_now::<i64>(&format!("SELECT pg_catalog.count(*) FROM {name}"), &[]);
                        Ok(count.unwrap_or_default() as u64)
                    })
                })
            })
        })
    });
    match outcome {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.code() == PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED => {
            // Word for word as PostgreSQL says it: a message of the owner's code may hold values.
            let why = KNOWN.iter().find(|known| **known == error.message());
            notice!(
                "{name} is masked by updates: {}",
                why.unwrap_or(&"something depends on a masked column")
            );
            Ok(None)
        }
        Err(error) => Err(discreet(error, &target)),
    }
}

/// None where every column is kept.
fn statement(target: &Stored, rules: &[Checked], token: i64) -> Result<Option<String>> {
    let mut parameters = Parameters::unqualified();
    let values = expression::values(rules, &format!("({token})::pg_catalog.int8"), &mut parameters);
    if values.is_empty() {
        return Ok(None);
    }
    let kept = kept(target.relid)?;
    let mut changes = Vec::new();
    for (column, value) in values {
        let of_column = kept.iter().find(|kept| quote_identifier(&kept.name) == column);
        let own_type = rules.iter().find(|rule| quote_identifier(&rule.column.name) == column);
        let own_type = own_type.map(|rule| rule.column.type_name.clone()).unwrap_or_default();
        let collation = of_column.and_then(|kept| kept.collation.as_ref());
        let collation = collation.map(|name| format!(" COLLATE {name}")).unwrap_or_default();
        changes.push(format!("ALTER COLUMN {column} TYPE {own_type}{collation} USING {value}"));
        if let Some(storage) = of_column.and_then(|kept| kept.storage) {
            changes.push(format!("ALTER COLUMN {column} SET STORAGE {storage}"));
        }
        if let Some(compression) = of_column.and_then(|kept| kept.compression) {
            changes.push(format!("ALTER COLUMN {column} SET COMPRESSION {compression}"));
        }
    }
    Ok(Some(format!("ALTER TABLE {} {}", lookup::qualify(&target.schema, &target.name), changes.join(", "))))
}

fn kept(relid: pg_sys::Oid) -> Result<Vec<Kept>> {
    spi::read_now(
        "SELECT a.attname::pg_catalog.text,
                CASE WHEN a.attcollation OPERATOR(pg_catalog.<>) t.typcollation THEN pg_catalog.format('%I.%I', n.nspname, c.collname) END,
                CASE WHEN a.attstorage OPERATOR(pg_catalog.<>) t.typstorage THEN a.attstorage END,
                NULLIF(a.attcompression, '')
           FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
           LEFT JOIN pg_catalog.pg_collation AS c ON c.oid OPERATOR(pg_catalog.=) a.attcollation
           LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.collnamespace
          WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped",
        &[relid.into()],
        |row| {
            Ok(Kept {
                name: row.get(1)?.unwrap_or_default(),
                collation: row.get(2)?,
                storage: row.get::<i8>(3)?.and_then(|letter| match letter as u8 {
                    b'p' => Some("PLAIN"),
                    b'e' => Some("EXTERNAL"),
                    b'm' => Some("MAIN"),
                    b'x' => Some("EXTENDED"),
                    _ => None,
                }),
                compression: row.get::<i8>(4)?.and_then(|letter| match letter as u8 {
                    b'p' => Some("pglz"),
                    b'l' => Some("lz4"),
                    _ => None,
                }),
            })
        },
    )
}

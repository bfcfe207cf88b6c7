//! Reading samples of tables: as their owner under restrictions, so that nothing a table's owner has
//! attached to it runs as somebody else.

use super::weigh::{Evidence, Holds};
use crate::capture::deep_json;
use crate::error::Result;
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;
use serde_json::Value;
use std::collections::BTreeMap;

/// Characters of a value that are looked at.
const LONGEST: i32 = 2000;
/// Paths within one json column, and levels of them.
const MOST_PATHS: usize = 200;
const DEEPEST: usize = 8;

/// A table to look at.
pub struct Target {
    pub schema: String,
    pub name: String,
    owner: pg_sys::Oid,
    rows: f32,
    readable: bool,
    policies: bool,
    pub columns: Vec<Column>,
}

pub struct Column {
    pub name: String,
    kind: Kind,
    pub nullable: bool,
    pub unique: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain(Holds),
    /// Of texts: each element is a value.
    Array,
    Json,
}

/// A column, or a path within a json column, with what was read of it.
pub struct Looked {
    pub column: usize,
    pub json_path: Vec<String>,
    pub evidence: Evidence,
}

/// Every table of the schemas (null: all but the system's and our own) that is no partition, with its columns.
pub fn targets(schemas: Option<Vec<String>>) -> Result<Vec<Target>> {
    let mut targets: BTreeMap<u32, Target> = BTreeMap::new();
    let rows = spi::read(
        "SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relowner, c.reltuples,
                pg_catalog.has_table_privilege(c.oid, 'SELECT'), a.attname::pg_catalog.text, NOT a.attnotnull,
                COALESCE(pg_catalog.bool_or(i.indisunique AND i.indnkeyatts OPERATOR(pg_catalog.=) 1), false),
                b.base::pg_catalog.oid, pg_catalog.format_type(b.base, NULL), t.typcategory::pg_catalog.text,
                c.relrowsecurity AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                                   WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER AND r.rolbypassrls)
           FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
           JOIN pg_catalog.pg_attribute AS a
             ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          CROSS JOIN LATERAL (
                WITH RECURSIVE up (type) AS (
                    SELECT a.atttypid
                    UNION ALL
                    SELECT d.typbasetype FROM up JOIN pg_catalog.pg_type AS d
                        ON d.oid OPERATOR(pg_catalog.=) up.type AND d.typtype OPERATOR(pg_catalog.=) 'd')
                SELECT up.type AS base FROM up JOIN pg_catalog.pg_type AS d ON d.oid OPERATOR(pg_catalog.=) up.type
                 WHERE d.typtype OPERATOR(pg_catalog.<>) 'd') AS b
           JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) b.base
           LEFT JOIN pg_catalog.pg_index AS i
             ON i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indkey[0] OPERATOR(pg_catalog.=) a.attnum
          WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m}'::pg_catalog.\"char\"[]) AND NOT c.relispartition
            AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
            AND CASE WHEN $1 IS NULL
                     THEN n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema,architect}'::pg_catalog.name[])
                          AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
                     ELSE n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1) END
          GROUP BY c.oid, n.nspname, a.attname, a.attnum, a.attnotnull, b.base, t.typcategory
          ORDER BY n.nspname, c.relname, a.attnum",
        &[schemas.into()],
        |row| {
            let relid: pg_sys::Oid = row.get(1)?.unwrap_or(pg_sys::InvalidOid);
            let target = targets.entry(relid.to_u32()).or_insert(Target {
                schema: row.get(2)?.unwrap_or_default(),
                name: row.get(3)?.unwrap_or_default(),
                owner: row.get(4)?.unwrap_or(pg_sys::InvalidOid),
                rows: row.get(5)?.unwrap_or_default(),
                readable: row.get(6)?.unwrap_or_default(),
                policies: row.get(13)?.unwrap_or_default(),
                columns: Vec::new(),
            });
            target.columns.push(Column {
                name: row.get(7)?.unwrap_or_default(),
                nullable: row.get(8)?.unwrap_or_default(),
                unique: row.get(9)?.unwrap_or_default(),
                kind: kind(
                    row.get(10)?.unwrap_or(pg_sys::InvalidOid),
                    &row.get::<String>(11)?.unwrap_or_default(),
                    &row.get::<String>(12)?.unwrap_or_default(),
                ),
            });
            Ok(())
        },
    )?;
    drop(rows);
    Ok(targets.into_values().collect())
}

fn kind(base: pg_sys::Oid, name: &str, category: &str) -> Kind {
    match base {
        pg_sys::JSONOID | pg_sys::JSONBOID => Kind::Json,
        pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID | pg_sys::NAMEOID => {
            Kind::Plain(Holds::Text)
        }
        pg_sys::BYTEAOID => Kind::Plain(Holds::Bytes),
        pg_sys::INETOID | pg_sys::CIDROID | pg_sys::MACADDROID | pg_sys::MACADDR8OID => {
            Kind::Plain(Holds::Network)
        }
        pg_sys::DATEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Kind::Plain(Holds::Date),
        pg_sys::INT4OID | pg_sys::INT8OID | pg_sys::NUMERICOID | pg_sys::FLOAT8OID | pg_sys::FLOAT4OID => {
            Kind::Plain(Holds::Number)
        }
        pg_sys::TEXTARRAYOID | pg_sys::VARCHARARRAYOID => Kind::Array,
        // Enumerations and other types show what they are by name alone; citext is text by category.
        _ if category == "S" && name.ends_with("citext") => Kind::Plain(Holds::Text),
        _ => Kind::Plain(Holds::Other),
    }
}

impl Target {
    /// Whether the caller may read it at all.
    pub fn readable(&self) -> bool {
        self.readable
    }

    /// Whether reading it would run the policies of another owner with the caller's rights.
    pub fn has_policies(&self) -> bool {
        self.policies
    }

    /// What can be said without reading any row.
    pub fn unread(&self) -> Vec<Looked> {
        self.looked(&[])
    }

    /// Reads a sample.
    pub fn read(&self, sample_rows: i32) -> Result<Vec<Looked>> {
        let wanted: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| match c.kind {
                Kind::Json | Kind::Array | Kind::Plain(Holds::Text) => true,
                Kind::Plain(Holds::Number) => super::names::column(&c.name).is_some(),
                Kind::Plain(_) => false,
            })
            .map(|(i, _)| i)
            .collect();
        if wanted.is_empty() {
            return Ok(self.unread());
        }
        let list: Vec<String> = wanted
            .iter()
            .map(|&i| {
                let name = quote_identifier(&self.columns[i].name);
                format!(
                    "pg_catalog.\"left\"(s.{name}::pg_catalog.text, {})",
                    if self.columns[i].kind == Kind::Json { 100_000 } else { LONGEST }
                )
            })
            .collect();
        let table = lookup::qualify(&self.schema, &self.name);
        // Twice what is wanted, spread over the table's pages; a small table is read from its start.
        let part = f64::from(sample_rows) * 200.0 / f64::from(self.rows.max(1.0));
        let sampled = if part < 50.0 {
            format!(" TABLESAMPLE pg_catalog.system ({}) REPEATABLE (1)", part.max(0.0001))
        } else {
            String::new()
        };
        let read = |sampled: &str| {
            let query = format!("SELECT {} FROM {table} AS s{sampled} LIMIT {sample_rows}", list.join(", "));
            spi::read(&query, &[], |row| {
                (1..=wanted.len()).map(|i| row.get::<String>(i)).collect::<std::result::Result<Vec<_>, _>>()
            })
        };
        let role = if security::has_rights_of(self.owner) { self.owner } else { security::current_role() };
        let rows = security::as_owner(role, || match read(&sampled) {
            Ok(rows) if rows.is_empty() && !sampled.is_empty() => read(""),
            read => read,
        })?;
        let mut values: Vec<(usize, Vec<String>)> = wanted.iter().map(|&i| (i, Vec::new())).collect();
        for row in rows {
            for (value, (_, into)) in row.into_iter().zip(&mut values) {
                into.extend(value.filter(|v| !v.trim().is_empty()));
            }
        }
        Ok(self.looked(&values))
    }

    fn looked(&self, values: &[(usize, Vec<String>)]) -> Vec<Looked> {
        let mut looked = Vec::new();
        for (i, column) in self.columns.iter().enumerate() {
            let values = values.iter().find(|(at, _)| *at == i).map_or(&[][..], |(_, values)| values);
            match column.kind {
                Kind::Plain(holds) => looked.push(Looked {
                    column: i,
                    json_path: Vec::new(),
                    evidence: Evidence { name: column.name.clone(), holds, values: values.to_vec() },
                }),
                Kind::Array => looked.push(Looked {
                    column: i,
                    json_path: Vec::new(),
                    evidence: Evidence {
                        name: column.name.clone(),
                        holds: Holds::Text,
                        values: values.iter().flat_map(|value| elements(value)).collect(),
                    },
                }),
                Kind::Json => looked.extend(paths(values).into_iter().map(|(json_path, (holds, values))| {
                    // Elements of an array bear the array's name.
                    let name =
                        json_path.iter().rev().find(|key| *key != "[]").unwrap_or(&column.name).clone();
                    Looked { column: i, evidence: Evidence { name, holds, values }, json_path }
                })),
            }
        }
        looked
    }
}

/// The elements of an array as PostgreSQL writes it; one with a comma within counts as two.
fn elements(array: &str) -> Vec<String> {
    let inner = array.trim_start_matches('{').trim_end_matches('}');
    inner
        .split(',')
        .map(|element| element.trim_matches('"').to_owned())
        .filter(|e| !e.is_empty() && e != "NULL")
        .collect()
}

/// The texts and numbers in documents, by the path that leads to them; `[]` stands for an array's elements.
fn paths(documents: &[String]) -> BTreeMap<Vec<String>, (Holds, Vec<String>)> {
    let mut found = BTreeMap::new();
    for document in documents {
        if let Some(value) = deep_json::parse(document) {
            walk(&value, &mut Vec::new(), &mut found);
        }
    }
    found
}

fn walk(value: &Value, path: &mut Vec<String>, found: &mut BTreeMap<Vec<String>, (Holds, Vec<String>)>) {
    let mut leaf = |holds: Holds, text: String| {
        if (found.len() < MOST_PATHS || found.contains_key(path)) && !text.trim().is_empty() {
            found.entry(path.clone()).or_insert((holds, Vec::new())).1.push(text);
        }
    };
    match value {
        Value::String(text) => leaf(Holds::Text, text.chars().take(LONGEST as usize).collect()),
        Value::Number(number) => leaf(Holds::Number, number.to_string()),
        Value::Array(items) if path.len() < DEEPEST => {
            path.push("[]".to_owned());
            items.iter().take(50).for_each(|item| walk(item, path, found));
            path.pop();
        }
        Value::Object(members) if path.len() < DEEPEST => {
            for (key, member) in members {
                path.push(key.clone());
                walk(member, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

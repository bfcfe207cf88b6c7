//! The files of tables that were erased from, as they were then: while they are the same, bytes of the old rows may be in
//! them. And what was made from those tables.

use crate::error::Result;
use crate::pg::{kept, lookup, security, spi};
use crate::privacy::request::Request;
use pgrx::{JsonB, pg_sys};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What our logs are stored in, by the names they are known by.
const STORED_IN: &[(&str, &[&str])] = &[
    ("architect.audit_log", &["audit_entry", "capture_context"]),
    ("architect.change_log", &["change_entry", "cdc_dead_letter", "capture_context"]),
];

/// The relations behind an object of the deletion log.
pub fn relations(object: &str) -> Vec<pg_sys::Oid> {
    match STORED_IN.iter().find(|(name, _)| *name == object) {
        Some((_, tables)) => tables.iter().filter_map(|table| lookup::own_relation(table)).collect(),
        None => kept::read_one_now::<pg_sys::Oid>(
            "SELECT pg_catalog.to_regclass($1)::pg_catalog.oid",
            &[object.into()],
        )
        .into_iter()
        .flatten()
        .collect(),
    }
}

/// Objects with their tables, partitions, all indexes and what is stored out of line: relations and files.
const FILES: &str = "
    WITH leaf AS (
        SELECT r.object, COALESCE(p.relid::pg_catalog.oid, r.oid) AS oid
          FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS r (object, oid)
          LEFT JOIN LATERAL pg_catalog.pg_partition_tree(r.oid) AS p ON true),
    heap AS (
        SELECT l.object, l.oid FROM leaf AS l
        UNION ALL
        SELECT l.object, c.reltoastrelid FROM leaf AS l JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.oid
         WHERE c.reltoastrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid),
    every AS (
        SELECT h.object, h.oid FROM heap AS h
        UNION ALL
        SELECT h.object, i.indexrelid FROM heap AS h JOIN pg_catalog.pg_index AS i ON i.indrelid OPERATOR(pg_catalog.=) h.oid)
    SELECT e.object, pg_catalog.jsonb_object_agg(e.oid::pg_catalog.text, pg_catalog.pg_relation_filenode(e.oid)::pg_catalog.int8)
      FROM every AS e WHERE pg_catalog.pg_relation_filenode(e.oid) IS NOT NULL GROUP BY 1";

/// Objects of the deletion log with their files now, for the request.
pub fn now<'a>(objects: impl IntoIterator<Item = &'a str>) -> Result<Value> {
    let (mut names, mut oids) = (Vec::new(), Vec::new());
    for object in objects.into_iter().collect::<BTreeSet<_>>() {
        for relid in relations(object) {
            names.push(object.to_owned());
            oids.push(relid);
        }
    }
    if names.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let rows = kept::read_now(FILES, &[names.into(), oids.into()], |row| {
        Ok((
            row.get::<String>(1)?.unwrap_or_default(),
            row.get::<JsonB>(2)?.map_or(Value::Null, |files| files.0),
        ))
    })?;
    Ok(Value::Object(rows.into_iter().collect()))
}

/// Objects of which some file is the same as when the person was erased.
pub fn not_rewritten(request: &Request) -> Result<Vec<String>> {
    let Some(objects) = request.files.as_object() else { return Ok(Vec::new()) };
    let now = now(objects.keys().map(String::as_str))?;
    let same = |object: &str, then: &Value| {
        let then = then.as_object().into_iter().flatten();
        then.into_iter().any(|(relation, file)| &now[object][relation] == file)
    };
    Ok(objects.iter().filter(|(object, then)| same(object, then)).map(|(object, _)| object.clone()).collect())
}

/// Tables that were erased from for a request and when, those of the logs left out.
pub fn erased(request: &Request) -> Result<Vec<(String, String)>> {
    let rows = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT d.object_name, pg_catalog.max(d.executed_at)::pg_catalog.text FROM architect.data_deletion_log AS d
              WHERE d.request_id OPERATOR(pg_catalog.=) $1 AND d.rows_affected OPERATOR(pg_catalog.>) 0
                AND d.action OPERATOR(pg_catalog.<>) 'redact' GROUP BY 1 ORDER BY 1",
            &[request.request_id.into()],
            |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
        )
    })?;
    Ok(rows)
}

/// A materialized view.
pub struct View {
    pub relid: pg_sys::Oid,
    pub name: String,
    /// Filled before the request was carried out. Filling one anew gives it another file, and so another version of its
    /// row in the catalogue.
    pub from_before: bool,
}

/// Materialized views made from tables, through views as well.
pub fn made_from(request: &Request, tables: Vec<pg_sys::Oid>) -> Result<Vec<View>> {
    let erased = security::as_extension_owner(|| {
        spi::read_one_now::<String>(
            "SELECT pg_catalog.max(d.txid)::pg_catalog.text FROM architect.data_deletion_log AS d
              WHERE d.request_id OPERATOR(pg_catalog.=) $1 AND d.rows_affected OPERATOR(pg_catalog.>) 0",
            &[request.request_id.into()],
        )
    });
    let Some(erased) = erased else { return Ok(Vec::new()) };
    spi::read_now(
        "WITH RECURSIVE made (oid) AS (
             SELECT pg_catalog.unnest($1)
             UNION
             SELECT r.ev_class FROM made AS m
               JOIN pg_catalog.pg_depend AS d ON d.refobjid OPERATOR(pg_catalog.=) m.oid
                    AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
               JOIN pg_catalog.pg_rewrite AS r ON r.oid OPERATOR(pg_catalog.=) d.objid)
         SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname),
                pg_catalog.age(c.xmin) OPERATOR(pg_catalog.>=) pg_catalog.age(($2::pg_catalog.xid8)::pg_catalog.xid)
           FROM made AS m JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) m.oid
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.relkind OPERATOR(pg_catalog.=) 'm' AND c.relispopulated
          ORDER BY 2",
        &[tables.into(), erased.into()],
        |row| {
            Ok(View {
                relid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                name: row.get(2)?.unwrap_or_default(),
                from_before: row.get(3)?.unwrap_or(true),
            })
        },
    )
}

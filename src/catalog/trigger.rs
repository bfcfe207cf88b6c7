//! Triggers on tables: which of ours are there, and in what state.

use crate::error::Result;
use crate::pg::spi;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

#[derive(Debug, Clone)]
pub struct Trigger {
    pub oid: pg_sys::Oid,
    pub relid: pg_sys::Oid,
    pub name: String,
    /// `tgenabled`: O fires in origin sessions, A always, R in replica sessions, D never.
    pub enabled: char,
    /// Bits of `tgtype`.
    pub kind: i16,
    /// Cloned from a trigger of the partitioned table above.
    pub cloned: bool,
    /// Number of arguments.
    pub arguments: i16,
    /// It has a WHEN clause.
    pub conditional: bool,
}

pub const TYPE_ROW: i16 = 1;
pub const TYPE_BEFORE: i16 = 2;
pub const TYPE_INSERT: i16 = 4;
pub const TYPE_DELETE: i16 = 8;
pub const TYPE_UPDATE: i16 = 16;
pub const TYPE_TRUNCATE: i16 = 32;

/// Triggers that run a function of schema architect, on one relation.
pub fn on_relation(relid: pg_sys::Oid, function: &str) -> Result<Vec<Trigger>> {
    on_relations(&[relid], function)
}

/// Triggers that run a function of schema architect, on some relations.
pub fn on_relations(relations: &[pg_sys::Oid], function: &str) -> Result<Vec<Trigger>> {
    select("AND t.tgrelid OPERATOR(pg_catalog.=) ANY ($2)", &[function.into(), relations.to_vec().into()])
}

/// Triggers that run a function of schema architect, anywhere.
pub fn calling(function: &str) -> Result<Vec<Trigger>> {
    select("", &[function.into()])
}

fn select(condition: &str, arguments: &[DatumWithOid]) -> Result<Vec<Trigger>> {
    spi::read_now(
        &format!(
            "SELECT t.oid, t.tgrelid, t.tgname::pg_catalog.text, t.tgenabled, t.tgtype,
                    t.tgparentid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid, t.tgnargs, t.tgqual IS NOT NULL
               FROM pg_catalog.pg_trigger AS t
               JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
              WHERE n.nspname OPERATOR(pg_catalog.=) 'architect'
                AND p.proname OPERATOR(pg_catalog.=) $1::pg_catalog.name {condition}
              ORDER BY t.tgrelid, t.tgname"
        ),
        arguments,
        |row| {
            Ok(Trigger {
                oid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                relid: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                name: row.get(3)?.unwrap_or_default(),
                enabled: row.get::<i8>(4)?.map_or(' ', |c| c as u8 as char),
                kind: row.get(5)?.unwrap_or_default(),
                cloned: row.get(6)?.unwrap_or_default(),
                arguments: row.get(7)?.unwrap_or_default(),
                conditional: row.get(8)?.unwrap_or_default(),
            })
        },
    )
}

/// A trigger's arguments.
pub fn arguments(trigger: pg_sys::Oid) -> Result<Vec<String>> {
    let packed: Option<Vec<u8>> = spi::read(
        "SELECT t.tgargs FROM pg_catalog.pg_trigger AS t WHERE t.oid OPERATOR(pg_catalog.=) $1",
        &[trigger.into()],
        |row| row.get::<Vec<u8>>(1),
    )?
    .into_iter()
    .flatten()
    .next();
    // Each argument ends with a zero byte.
    let mut arguments: Vec<String> = packed
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    arguments.pop();
    Ok(arguments)
}

/// Names of the BEFORE UPDATE row triggers of some relations, save those that run `function` of schema
/// architect.
pub fn other_before_update(relations: &[pg_sys::Oid], function: &str) -> Result<Vec<String>> {
    spi::read(
        "SELECT DISTINCT t.tgname::pg_catalog.text
           FROM pg_catalog.pg_trigger AS t
           JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
          WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY ($1)
            AND (t.tgtype OPERATOR(pg_catalog.&) $2) OPERATOR(pg_catalog.=) $2
            AND NOT t.tgisinternal
            AND NOT (n.nspname OPERATOR(pg_catalog.=) 'architect'
                     AND p.proname OPERATOR(pg_catalog.=) $3::pg_catalog.name)",
        &[relations.to_vec().into(), (TYPE_ROW | TYPE_BEFORE | TYPE_UPDATE).into(), function.into()],
        |row| row.get::<String>(1),
    )
    .map(|names| names.into_iter().flatten().collect())
}

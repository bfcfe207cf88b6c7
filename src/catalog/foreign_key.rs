//! Foreign keys, each with the tables that hold its rows.

use crate::catalog::index::VISIBLE;
use crate::error::Result;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;

/// A foreign key as it was declared; those that partitioning made of it are its holders.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    pub oid: pg_sys::Oid,
    pub name: String,
    pub table: pg_sys::Oid,
    pub schema: String,
    pub table_name: String,
    pub partitioned: bool,
    pub referenced: pg_sys::Oid,
    pub columns: Vec<String>,
    /// `confdeltype`.
    pub on_delete: char,
    /// Rows the referenced table has lost, or got another version of, since statistics began.
    pub referenced_deletes: i64,
    pub referenced_updates: i64,
    pub holders: Vec<Holder>,
}

/// A table with storage that the key's checks and actions search.
#[derive(Debug, Clone)]
pub struct Holder {
    pub table: pg_sys::Oid,
    pub columns: Vec<Column>,
    pub pages: i64,
}

impl Holder {
    /// Bytes of the table, as last counted by VACUUM or ANALYZE while somebody holds it exclusively.
    pub fn size(&self) -> i64 {
        lookup::relation_size(self.table).unwrap_or(self.pages * i64::from(pg_sys::BLCKSZ))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub number: i16,
    pub type_oid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
    /// What compares a referenced value with one of this column.
    pub equality: pg_sys::Oid,
}

/// A key that is not enforced looks for nothing.
const ENFORCED: &str = if cfg!(feature = "pg18") { "f.conenforced" } else { "true" };

/// The foreign keys of tables that the current role may know of, those of extensions' tables left out.
///
/// To be called within `security::with_safe_search_path`.
pub fn all() -> Result<Vec<ForeignKey>> {
    let mut keys = spi::read_now(
        &format!(
            "SELECT f.oid, f.conname::text, t.oid, n.nspname::text, t.relname::text, t.relkind = 'p', f.confrelid,
                    ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k (number, place)
                            JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number ORDER BY k.place),
                    f.confdeltype, r.deletes, r.updates
               FROM pg_constraint AS f
               JOIN pg_class AS t ON t.oid = f.conrelid
               JOIN pg_namespace AS n ON n.oid = t.relnamespace
               CROSS JOIN LATERAL (
                    SELECT coalesce(sum(pg_stat_get_tuples_deleted(p.oid)), 0)::int8,
                           coalesce(sum(pg_stat_get_tuples_updated(p.oid)), 0)::int8
                      FROM (WITH RECURSIVE below (oid) AS (
                                SELECT f.confrelid
                                UNION
                                SELECT i.inhrelid FROM pg_inherits AS i JOIN below AS b ON b.oid = i.inhparent)
                            SELECT b.oid FROM below AS b) AS p
                    ) AS r (deletes, updates)
              WHERE f.contype = 'f' AND f.conparentid = 0 AND {ENFORCED}
                AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'architect')
                AND (t.relpersistence <> 't' OR n.oid = pg_my_temp_schema())
                AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass
                                   AND d.objid = t.oid AND d.deptype = 'e')
                AND {VISIBLE}
              ORDER BY n.nspname, t.relname, f.conname, f.oid"
        ),
        &[],
        |row| {
            let oid = |i| row.get::<pg_sys::Oid>(i).map(|oid| oid.unwrap_or(pg_sys::InvalidOid));
            let letter = |i| row.get::<i8>(i).map(|c| c.map_or(' ', |c| c as u8 as char));
            Ok(ForeignKey {
                oid: oid(1)?,
                name: row.get(2)?.unwrap_or_default(),
                table: oid(3)?,
                schema: row.get(4)?.unwrap_or_default(),
                table_name: row.get(5)?.unwrap_or_default(),
                partitioned: row.get(6)?.unwrap_or_default(),
                referenced: oid(7)?,
                columns: row.get(8)?.unwrap_or_default(),
                on_delete: letter(9)?,
                referenced_deletes: row.get(10)?.unwrap_or_default(),
                referenced_updates: row.get(11)?.unwrap_or_default(),
                holders: Vec::new(),
            })
        },
    )?;
    for (root, holder) in holders()? {
        if let Some(key) = keys.iter_mut().find(|key| key.oid == root) {
            key.holders.push(holder);
        }
    }
    Ok(keys)
}

/// Tables with storage that hold rows of a foreign key, by the declared key: a partitioned table's key has
/// one for each partition, with that partition's column numbers.
fn holders() -> Result<Vec<(pg_sys::Oid, Holder)>> {
    spi::read_now(
        "WITH RECURSIVE made (root, oid) AS (
             SELECT f.oid, f.oid FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conparentid = 0
             UNION ALL
             SELECT m.root, f.oid FROM made AS m
               JOIN pg_constraint AS f ON f.conparentid = m.oid AND f.contype = 'f')
         SELECT DISTINCT ON (m.root, t.oid) m.root, t.oid, t.relpages::int8, f.conkey,
                a.types, a.typmods, a.collations, f.conpfeqop
           FROM made AS m
           JOIN pg_constraint AS f ON f.oid = m.oid
           JOIN pg_class AS t ON t.oid = f.conrelid AND t.relkind = 'r'
           CROSS JOIN LATERAL (
                SELECT array_agg(a.atttypid ORDER BY k.place), array_agg(a.atttypmod ORDER BY k.place),
                       array_agg(a.attcollation ORDER BY k.place)
                  FROM unnest(f.conkey) WITH ORDINALITY AS k (number, place)
                  JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number
                ) AS a (types, typmods, collations)
          ORDER BY m.root, t.oid, m.oid",
        &[],
        |row| {
            let oids = |i| row.get::<Vec<pg_sys::Oid>>(i).map(Option::unwrap_or_default);
            let (types, collations, equalities) = (oids(5)?, oids(7)?, oids(8)?);
            let typmods: Vec<i32> = row.get(6)?.unwrap_or_default();
            let numbers: Vec<i16> = row.get(4)?.unwrap_or_default();
            let columns = numbers
                .into_iter()
                .zip(types)
                .zip(typmods)
                .zip(collations)
                .zip(equalities)
                .map(|((((number, type_oid), typmod), collation), equality)| Column {
                    number,
                    type_oid,
                    typmod,
                    collation,
                    equality,
                })
                .collect();
            Ok((
                row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                Holder {
                    table: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                    columns,
                    pages: row.get(3)?.unwrap_or_default(),
                },
            ))
        },
    )
}

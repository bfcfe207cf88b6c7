//! What must be known of a table and its columns before they are masked.

use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;

/// A table whose rows are stored: an ordinary one, or a partition.
pub struct Stored {
    pub relid: pg_sys::Oid,
    pub owner: pg_sys::Oid,
    pub schema: String,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// As SQL spells it with pg_catalog as search_path.
    pub type_name: String,
    /// Below any domain.
    pub base: pg_sys::Oid,
    pub category: char,
    /// Most characters of a text.
    pub longest: Option<usize>,
    pub not_null: bool,
    pub generated: bool,
    pub identity_always: bool,
    /// In a unique index, a primary key or an exclusion constraint.
    pub unique: bool,
    /// In a unique index of its own.
    pub unique_alone: bool,
    /// In a foreign key, on either side.
    pub foreign_key: bool,
    /// In the key of the partitioned table or of one above it.
    pub partition_key: bool,
    /// What pseudonyms are told apart by: the column that a chain of foreign keys leads to.
    pub domain: String,
}

/// The tables that hold the rows of a table: itself, or its partitions.
pub fn stored(relid: pg_sys::Oid) -> Result<Vec<Stored>> {
    spi::read_now(
        "SELECT c.oid, c.relowner, n.nspname::pg_catalog.text, c.relname::pg_catalog.text
           FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.relkind OPERATOR(pg_catalog.=) 'r'
            AND (c.oid OPERATOR(pg_catalog.=) $1
                 OR c.oid OPERATOR(pg_catalog.=) ANY
                    (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) AS p))
          ORDER BY n.nspname, c.relname",
        &[relid.into()],
        |row| {
            Ok(Stored {
                relid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                owner: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                schema: row.get(3)?.unwrap_or_default(),
                name: row.get(4)?.unwrap_or_default(),
            })
        },
    )
}

pub fn columns(relid: pg_sys::Oid) -> Result<Vec<Column>> {
    spi::read_now(
        "WITH RECURSIVE tree (relid) AS (
             SELECT $1
             UNION
             SELECT i.inhrelid FROM tree AS t
               JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) t.relid),
         above (relid) AS (
             SELECT $1
             UNION
             SELECT i.inhparent FROM above AS t
               JOIN pg_catalog.pg_inherits AS i ON i.inhrelid OPERATOR(pg_catalog.=) t.relid),
         chain (start, relid, attnum) AS (
             SELECT a.attnum, a.attrelid, a.attnum FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
             UNION
             SELECT c.start, f.confrelid, f.confkey[k.n] FROM chain AS c
               JOIN pg_catalog.pg_constraint AS f
                 ON f.conrelid OPERATOR(pg_catalog.=) c.relid AND f.contype OPERATOR(pg_catalog.=) 'f'
               CROSS JOIN LATERAL pg_catalog.generate_subscripts(f.conkey, 1) AS k (n)
              WHERE f.conkey[k.n] OPERATOR(pg_catalog.=) c.attnum)
         SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod), b.base, t.typcategory::pg_catalog.text,
                CASE WHEN b.base OPERATOR(pg_catalog.=) ANY ('{varchar,bpchar}'::pg_catalog.regtype[]) AND b.typmod OPERATOR(pg_catalog.>) 4
                     THEN b.typmod OPERATOR(pg_catalog.-) 4
                     WHEN b.base OPERATOR(pg_catalog.=) 'name'::pg_catalog.regtype THEN 63 END,
                a.attnotnull OR b.not_null, a.attgenerated OPERATOR(pg_catalog.<>) '', a.attidentity OPERATOR(pg_catalog.=) 'a',
                COALESCE(u.some, false), COALESCE(u.alone, false),
                EXISTS (SELECT FROM pg_catalog.pg_constraint AS f
                         WHERE f.contype OPERATOR(pg_catalog.=) 'f'
                           AND (f.conrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.=) ANY (f.conkey)
                                OR f.confrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.=) ANY (f.confkey))),
                EXISTS (SELECT FROM above AS v
                          JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid OPERATOR(pg_catalog.=) v.relid
                          JOIN pg_catalog.pg_attribute AS k ON k.attrelid OPERATOR(pg_catalog.=) v.relid
                         WHERE k.attname OPERATOR(pg_catalog.=) a.attname
                           AND (k.attnum OPERATOR(pg_catalog.=) ANY (p.partattrs) OR 0 OPERATOR(pg_catalog.=) ANY (p.partattrs))),
                (SELECT n.nspname OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) r.relname OPERATOR(pg_catalog.||) '.'
                        OPERATOR(pg_catalog.||) d.attname
                   FROM chain AS c
                   JOIN pg_catalog.pg_class AS r ON r.oid OPERATOR(pg_catalog.=) c.relid
                   JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) r.relnamespace
                   JOIN pg_catalog.pg_attribute AS d
                     ON d.attrelid OPERATOR(pg_catalog.=) c.relid AND d.attnum OPERATOR(pg_catalog.=) c.attnum
                  WHERE c.start OPERATOR(pg_catalog.=) a.attnum
                  ORDER BY EXISTS (SELECT FROM pg_catalog.pg_constraint AS f
                                    WHERE f.conrelid OPERATOR(pg_catalog.=) c.relid AND f.contype OPERATOR(pg_catalog.=) 'f'
                                      AND c.attnum OPERATOR(pg_catalog.=) ANY (f.conkey)
                                      AND f.confrelid OPERATOR(pg_catalog.<>) c.relid),
                           n.nspname, r.relname, d.attname
                  LIMIT 1)
           FROM pg_catalog.pg_attribute AS a
          CROSS JOIN LATERAL (
                WITH RECURSIVE up (type, typmod, not_null) AS (
                    SELECT a.atttypid, a.atttypmod, false
                    UNION ALL
                    SELECT d.typbasetype, d.typtypmod, up.not_null OR d.typnotnull FROM up
                      JOIN pg_catalog.pg_type AS d ON d.oid OPERATOR(pg_catalog.=) up.type AND d.typtype OPERATOR(pg_catalog.=) 'd')
                SELECT up.type AS base, up.typmod, up.not_null FROM up
                  JOIN pg_catalog.pg_type AS d ON d.oid OPERATOR(pg_catalog.=) up.type
                 WHERE d.typtype OPERATOR(pg_catalog.<>) 'd') AS b
           JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) b.base
           LEFT JOIN LATERAL (
                SELECT true AS some, pg_catalog.bool_or(i.indnkeyatts OPERATOR(pg_catalog.=) 1) AS alone
                  FROM pg_catalog.pg_index AS i
                  JOIN pg_catalog.pg_attribute AS k
                    ON k.attrelid OPERATOR(pg_catalog.=) i.indrelid AND k.attname OPERATOR(pg_catalog.=) a.attname
                 WHERE i.indrelid OPERATOR(pg_catalog.=) ANY (SELECT tree.relid FROM tree)
                   AND (i.indisunique OR i.indisexclusion) AND k.attnum OPERATOR(pg_catalog.=) ANY (i.indkey)
                HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0) AS u ON true
          WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          ORDER BY a.attnum",
        &[relid.into()],
        |row| {
            Ok(Column {
                name: row.get(1)?.unwrap_or_default(),
                type_name: row.get(2)?.unwrap_or_default(),
                base: row.get(3)?.unwrap_or(pg_sys::InvalidOid),
                category: row.get::<String>(4)?.and_then(|c| c.chars().next()).unwrap_or('U'),
                longest: row.get::<i32>(5)?.and_then(|n| usize::try_from(n).ok()),
                not_null: row.get(6)?.unwrap_or_default(),
                generated: row.get(7)?.unwrap_or_default(),
                identity_always: row.get(8)?.unwrap_or_default(),
                unique: row.get(9)?.unwrap_or_default(),
                unique_alone: row.get(10)?.unwrap_or_default(),
                foreign_key: row.get(11)?.unwrap_or_default(),
                partition_key: row.get(12)?.unwrap_or_default(),
                domain: row.get(13)?.unwrap_or_default(),
            })
        },
    )
}

pub fn owner(relid: pg_sys::Oid) -> Result<pg_sys::Oid> {
    spi::read_one_now::<pg_sys::Oid>(
        "SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[relid.into()],
    )
    .ok_or_else(|| crate::error::Error::undefined_object("the table does not exist any more"))
}

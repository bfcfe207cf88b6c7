//! What there is to know of a table before its rows are written: which columns take a value, which are
//! unique, who refers to it.

use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;

/// A column that is not dropped.
#[derive(Debug, Clone)]
pub struct Column {
    /// From zero, dropped columns counted.
    pub position: usize,
    pub name: String,
    pub not_null: bool,
    /// A default, an identity or a generation expression gives it a value.
    pub has_default: bool,
    pub identity_always: bool,
    pub generated: bool,
    /// Of type json or jsonb, or a domain over one.
    pub json: bool,
}

/// A foreign key of another table, or of the same, that refers to a table.
#[derive(Debug, Clone)]
pub struct Referrer {
    pub name: String,
    pub relid: pg_sys::Oid,
    /// Columns referred to, those that refer to them, and the operators that compare them.
    pub columns: Vec<String>,
    pub referring: Vec<String>,
    pub operators: Vec<String>,
}

pub fn columns(relid: pg_sys::Oid) -> Result<Vec<Column>> {
    spi::read_now(
        "WITH RECURSIVE base (attnum, type) AS (
             SELECT a.attnum, a.atttypid FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0
             UNION ALL
             SELECT b.attnum, t.typbasetype FROM base AS b
               JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) b.type AND t.typtype OPERATOR(pg_catalog.=) 'd')
         SELECT a.attnum, a.attname::pg_catalog.text, a.attnotnull, a.atthasdef OR a.attidentity OPERATOR(pg_catalog.<>) '',
                a.attidentity OPERATOR(pg_catalog.=) 'a', a.attgenerated OPERATOR(pg_catalog.<>) '',
                EXISTS (SELECT FROM base AS b WHERE b.attnum OPERATOR(pg_catalog.=) a.attnum
                           AND b.type OPERATOR(pg_catalog.=) ANY ('{json,jsonb}'::pg_catalog.regtype[]))
           FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          ORDER BY a.attnum",
        &[relid.into()],
        |row| {
            Ok(Column {
                position: row.get::<i16>(1)?.unwrap_or(1) as usize - 1,
                name: row.get(2)?.unwrap_or_default(),
                not_null: row.get(3)?.unwrap_or_default(),
                has_default: row.get(4)?.unwrap_or_default(),
                identity_always: row.get(5)?.unwrap_or_default(),
                generated: row.get(6)?.unwrap_or_default(),
                json: row.get(7)?.unwrap_or_default(),
            })
        },
    )
}

/// Names of columns that a unique index or an exclusion constraint of the table or a partition has; none
/// where one is on an expression, which may use any column.
pub fn unique_columns(relid: pg_sys::Oid) -> Result<Option<Vec<String>>> {
    let rows = spi::read_now(
        "SELECT i.indexprs IS NOT NULL, a.attname::pg_catalog.text
           FROM pg_catalog.pg_index AS i
           LEFT JOIN pg_catalog.pg_attribute AS a
             ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey)
          WHERE (i.indisunique OR i.indisexclusion)
            AND (i.indrelid OPERATOR(pg_catalog.=) $1
                 OR i.indrelid OPERATOR(pg_catalog.=) ANY
                    (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) AS p))",
        &[relid.into()],
        |row| Ok((row.get::<bool>(1)?.unwrap_or_default(), row.get::<String>(2)?)),
    )?;
    if rows.iter().any(|(expression, _)| *expression) {
        return Ok(None);
    }
    Ok(Some(rows.into_iter().filter_map(|(_, name)| name).collect()))
}

/// Foreign keys that refer to a table.
pub fn referrers(relid: pg_sys::Oid) -> Result<Vec<Referrer>> {
    spi::read_now(
        "SELECT c.conname::pg_catalog.text, c.conrelid,
                ARRAY(SELECT a.attname::pg_catalog.text
                        FROM pg_catalog.unnest(c.confkey) WITH ORDINALITY AS k (attnum, n)
                        JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.confrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
                       ORDER BY k.n),
                ARRAY(SELECT a.attname::pg_catalog.text
                        FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY AS k (attnum, n)
                        JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.conrelid AND a.attnum OPERATOR(pg_catalog.=) k.attnum
                       ORDER BY k.n),
                ARRAY(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname)
                        FROM pg_catalog.unnest(c.conpfeqop) WITH ORDINALITY AS k (oid, n)
                        JOIN pg_catalog.pg_operator AS o ON o.oid OPERATOR(pg_catalog.=) k.oid
                        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
                       ORDER BY k.n)
           FROM pg_catalog.pg_constraint AS c
          WHERE c.confrelid OPERATOR(pg_catalog.=) $1 AND c.contype OPERATOR(pg_catalog.=) 'f'
            AND c.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
          ORDER BY c.conname",
        &[relid.into()],
        |row| {
            let texts = |i| {
                row.get::<Vec<Option<String>>>(i)
                    .map(|v| v.unwrap_or_default().into_iter().flatten().collect::<Vec<_>>())
            };
            Ok(Referrer {
                name: row.get(1)?.unwrap_or_default(),
                relid: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                columns: texts(3)?,
                referring: texts(4)?,
                operators: texts(5)?,
            })
        },
    )
}

/// The equality of a type as SQL can name it wherever search_path points.
pub fn equality(type_oid: pg_sys::Oid) -> Option<String> {
    spi::read_one_now::<String>(
        "SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname)
           FROM pg_catalog.pg_operator AS o
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
          WHERE o.oid OPERATOR(pg_catalog.=) $1",
        &[crate::pg::lookup::equality_operator(type_oid)?.into()],
    )
}

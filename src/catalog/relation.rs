//! Tables: what they are, who owns them, what partitions they have.

use crate::error::{Error, Result};
use crate::pg::{lookup, session, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;

/// A relation a capability may be enabled on.
#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: pg_sys::Oid,
    pub schema: String,
    pub name: String,
    pub partitioned: bool,
    pub is_partition: bool,
}

struct Facts {
    kind: i8,
    persistence: i8,
    is_partition: bool,
    owned: bool,
    system: bool,
}

impl Relation {
    /// The table `relid`, which the caller owns and on which `action` makes sense: an ordinary or
    /// partitioned table that is neither temporary nor a system catalogue nor ours.
    pub fn owned_table(relid: pg_sys::Oid, action: &str) -> Result<Self> {
        let relation = Self::owned_even_if_ours(relid, action)?;
        if lookup::own_schema().is_some() && relation.schema == "architect" {
            let name = relation.qualified_name();
            return Err(Error::wrong_object_type(format!("cannot {action} {name}"))
                .detail(format!("Table {name} belongs to db_architect."))
                .hint("Name a table of your application."));
        }
        Ok(relation)
    }

    /// The same, and it may be ours.
    pub fn owned_even_if_ours(relid: pg_sys::Oid, action: &str) -> Result<Self> {
        let facts = spi::read_now(
            "SELECT c.relkind, c.relpersistence, c.relispartition,
                    pg_catalog.pg_has_role(c.relowner, 'USAGE'),
                    c.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
                      OR n.nspname OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog', 'information_schema', 'pg_toast'])
               FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
              WHERE c.oid OPERATOR(pg_catalog.=) $1",
            &[relid.into()],
            |row| {
                Ok(Facts {
                    kind: row.get(1)?.unwrap_or_default(),
                    persistence: row.get(2)?.unwrap_or_default(),
                    is_partition: row.get(3)?.unwrap_or_default(),
                    owned: row.get(4)?.unwrap_or_default(),
                    system: row.get(5)?.unwrap_or_default(),
                })
            },
        )?;
        let (Some(facts), Some(schema), Some(name)) =
            (facts.first(), lookup::relation_schema(relid), lookup::relation_name(relid))
        else {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("relation with OID {} does not exist", relid.to_u32()),
            ));
        };
        let relation = Self {
            oid: relid,
            partitioned: facts.kind == b'p' as i8,
            is_partition: facts.is_partition,
            schema,
            name,
        };
        relation.check(facts, action)?;
        Ok(relation)
    }

    fn check(&self, facts: &Facts, action: &str) -> Result<()> {
        let name = self.qualified_name();
        let kind = match facts.kind as u8 {
            b'r' | b'p' => None,
            b'v' => Some("a view"),
            b'm' => Some("a materialized view"),
            b'f' => Some("a foreign table"),
            b'i' | b'I' => Some("an index"),
            b'S' => Some("a sequence"),
            b'c' => Some("a composite type"),
            _ => Some("not a table"),
        };
        if let Some(kind) = kind {
            return Err(Error::wrong_object_type(format!("cannot {action} {name}"))
                .detail(format!("Relation {name} is {kind}."))
                .hint("Name an ordinary or partitioned table."));
        }
        if facts.system {
            return Err(Error::insufficient_privilege(format!("cannot {action} {name}"))
                .detail(format!("Relation {name} is a system catalog."))
                .hint("Name a table of your own."));
        }
        if facts.persistence == b't' as i8 {
            return Err(Error::wrong_object_type(format!("cannot {action} {name}"))
                .detail(format!("Table {name} is temporary."))
                .hint("Name a permanent or unlogged table."));
        }
        if !facts.owned {
            return Err(Error::insufficient_privilege(format!("must be owner of table {}", self.name))
                .detail(format!("Table {name} belongs to another role."))
                .hint("Call this as the table's owner, as a member of the owning role or as a superuser."));
        }
        Ok(())
    }

    pub fn qualified_name(&self) -> String {
        lookup::qualify(&self.schema, &self.name)
    }
}

/// A relation as it is, whoever owns it; none where it does not exist.
pub fn describe(relid: pg_sys::Oid) -> Result<Option<Relation>> {
    let (Some(schema), Some(name)) = (lookup::relation_schema(relid), lookup::relation_name(relid)) else {
        return Ok(None);
    };
    let facts = spi::read(
        "SELECT c.relkind, c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[relid.into()],
        |row| Ok((row.get::<i8>(1)?.unwrap_or_default(), row.get::<bool>(2)?.unwrap_or_default())),
    )?;
    Ok(facts.first().map(|&(kind, is_partition)| Relation {
        oid: relid,
        partitioned: kind == b'p' as i8,
        is_partition,
        schema,
        name,
    }))
}

/// Tables that inherit from a table without being its partitions, directly or not.
pub fn inheriting(relid: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>> {
    spi::read(
        "WITH RECURSIVE below AS (
             SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent OPERATOR(pg_catalog.=) $1
             UNION
             SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
               JOIN below AS b ON i.inhparent OPERATOR(pg_catalog.=) b.inhrelid)
         SELECT c.oid FROM below AS b
           JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) b.inhrelid
          WHERE NOT c.relispartition AND c.relkind OPERATOR(pg_catalog.=) 'r'
          ORDER BY c.oid",
        &[relid.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}

/// Every partition below a partitioned table, at any level.
pub fn partitions(relid: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>> {
    spi::read_now(
        "SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) AS p
          WHERE p.relid OPERATOR(pg_catalog.<>) $1::pg_catalog.oid::pg_catalog.regclass",
        &[relid.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}

/// Of a partitioned table and each below it that is partitioned itself, the partitions that can have indexes.
pub fn children(relid: pg_sys::Oid) -> Result<HashMap<pg_sys::Oid, Vec<pg_sys::Oid>>> {
    let edges = spi::read_now(
        "SELECT p.parentrelid::pg_catalog.oid, p.relid::pg_catalog.oid
           FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) AS p
           JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) p.relid
          WHERE p.level OPERATOR(pg_catalog.>) 0 AND c.relkind IN ('r', 'p') ORDER BY c.oid",
        &[relid.into()],
        |row| Ok(row.get::<pg_sys::Oid>(1)?.zip(row.get::<pg_sys::Oid>(2)?)),
    )?;
    let mut children: HashMap<pg_sys::Oid, Vec<pg_sys::Oid>> = HashMap::new();
    for (parent, child) in edges.into_iter().flatten() {
        children.entry(parent).or_default().push(child);
    }
    Ok(children)
}

/// Ordinary and partitioned tables of a schema that are not partitions, by name.
pub fn tables_in_schema(schema: &str) -> Result<Vec<(pg_sys::Oid, String)>> {
    spi::read_now(
        "SELECT c.oid, c.relname::pg_catalog.text
           FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name
            AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::\"char\"[])
            AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
            AND NOT c.relispartition
          ORDER BY c.relname",
        &[schema.into()],
        |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?)),
    )
    .map(|rows| rows.into_iter().filter_map(|(oid, name)| oid.zip(name)).collect())
}

/// Attribute number of a column that is not dropped.
pub fn column_number(relid: pg_sys::Oid, column: &str) -> Option<i16> {
    spi::read_one_now::<i16>(
        "SELECT a.attnum FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name
            AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped",
        &[relid.into(), column.into()],
    )
}

/// Refuses a table with a name of its own, its schema's or a column's that is not UTF-8, as a database that
/// keeps any bytes (SQL_ASCII) may have: what is recorded would be under another name.
pub fn check_names(relation: &Relation) -> Result<()> {
    if !session::is_sql_ascii() {
        return Ok(());
    }
    let names = spi::read(
        "SELECT pg_catalog.convert_to(c.relname::pg_catalog.text, 'SQL_ASCII') FROM pg_catalog.pg_class AS c
          WHERE c.oid OPERATOR(pg_catalog.=) $1
         UNION ALL
         SELECT pg_catalog.convert_to(n.nspname::pg_catalog.text, 'SQL_ASCII') FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.oid OPERATOR(pg_catalog.=) $1
         UNION ALL
         SELECT pg_catalog.convert_to(a.attname::pg_catalog.text, 'SQL_ASCII') FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND NOT a.attisdropped",
        &[relation.oid.into()],
        |row| row.get::<Vec<u8>>(1),
    )?;
    match names.into_iter().flatten().find(|name| std::str::from_utf8(name).is_err()) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("table {} has a name that is not UTF-8", relation.qualified_name()),
        )
        .detail(format!(
            "The name is {}; the encoding of the database is SQL_ASCII, which checks nothing.",
            lookup::readable(&name)
        ))
        .hint("Rename the table, schema or column in UTF-8.")),
    }
}

/// The error for a column a table does not have.
pub fn no_such_column(relation: &Relation, column: &str) -> Error {
    Error::undefined_column(format!("column \"{column}\" of relation \"{}\" does not exist", relation.name))
        .detail(format!("Table {} has no column \"{column}\".", relation.qualified_name()))
}

//! Partitioned tables and their partitions as the catalogue has them, read for many tables at once.

use super::bound::Bounds;
use super::key::KeyKind;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;

/// A table partitioned by range.
#[derive(Debug, Clone)]
pub struct Parent {
    pub oid: pg_sys::Oid,
    pub schema: String,
    pub name: String,
    pub owner: pg_sys::Oid,
    /// Columns of the partition key.
    pub columns: usize,
    /// The leading column's name; none where it is an expression.
    pub column: Option<String>,
    /// The type the key is compared as; none where that is not one of PostgreSQL's own ways.
    pub key_type: Option<String>,
    pub default: Option<pg_sys::Oid>,
    /// Foreign keys of this table, and of other tables to it or to its partitions.
    pub outgoing_keys: i64,
    pub incoming_keys: i64,
    /// Whether the role that asks has the rights of the owner.
    pub owned: bool,
    /// Planner statistics: last gathered, in microseconds since 2000.
    pub analyzed: Option<i64>,
}

/// A partition, directly below its parent.
#[derive(Debug, Clone)]
pub struct Partition {
    pub oid: pg_sys::Oid,
    pub schema: String,
    pub name: String,
    pub owner: pg_sys::Oid,
    pub partitioned: bool,
    pub foreign: bool,
    pub bound_text: String,
    pub bounds: Bounds,
    pub detach_pending: bool,
    /// As the planner believes, -1 where it does not know.
    pub rows: f64,
    /// Size of the table itself at the last look, with those below it.
    pub pages: i64,
    /// Planner statistics: last gathered.
    pub analyzed: Option<i64>,
}

impl Parent {
    #[must_use]
    pub fn qualified_name(&self) -> String {
        lookup::qualify(&self.schema, &self.name)
    }

    /// What the key means, given the unit of keys whose type does not say.
    pub fn kind(&self, unit: Option<&str>) -> Result<KeyKind> {
        let refused = |detail: String| {
            Error::wrong_object_type(format!("cannot make partitions of {}", self.qualified_name()))
                .detail(detail)
                .hint("The leading column of the key must be a date, timestamp, timestamptz, integer, bigint or uuid (version 7); give key_unit for integers that count seconds (epoch_s), milliseconds (epoch_ms) or microseconds (epoch_us).")
        };
        let Some(key_type) = &self.key_type else {
            return Err(refused(
                "Its partition key is compared by an operator class that is not PostgreSQL's own.".into(),
            ));
        };
        KeyKind::of(key_type, unit).map_err(|why| refused(format!("{}.", uppercase_first(&why))))
    }

    /// The greatest bound the key's type can hold.
    #[must_use]
    pub fn greatest(&self, kind: KeyKind) -> i64 {
        let most = match self.key_type.as_deref() {
            Some("int2") => i64::from(i16::MAX),
            Some("int4") => i64::from(i32::MAX),
            _ => i64::MAX,
        };
        if matches!(kind, KeyKind::Integer | KeyKind::EpochSeconds) {
            kind.parse(&most.to_string()).map_or(i64::MAX, |(at, _)| at)
        } else {
            i64::MAX
        }
    }
}

fn uppercase_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

impl Partition {
    #[must_use]
    pub fn qualified_name(&self) -> String {
        lookup::qualify(&self.schema, &self.name)
    }
}

/// The range partitioned tables among some relations, or all that are.
pub fn parents(only: Option<&[pg_sys::Oid]>) -> Result<Vec<Parent>> {
    spi::read_now(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relowner, p.partnatts,
                a.attname::text, t.typname::text, nullif(p.partdefid, 0),
                coalesce(f.outgoing, 0), coalesce(r.incoming, 0),
                pg_has_role(c.relowner, 'USAGE'),
                greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))
           FROM pg_partitioned_table p
           JOIN pg_class c ON c.oid = p.partrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_opclass o ON o.oid = p.partclass[0]
           LEFT JOIN pg_type t ON t.oid = o.opcintype AND o.opcnamespace = 'pg_catalog'::regnamespace
           LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0] AND a.attnum > 0
           LEFT JOIN (SELECT k.conrelid, count(*) AS outgoing FROM pg_constraint k
                       WHERE k.contype = 'f' GROUP BY 1) f ON f.conrelid = c.oid
           LEFT JOIN (SELECT k.confrelid, count(*) AS incoming FROM pg_constraint k
                       WHERE k.contype = 'f' AND k.conparentid = 0 GROUP BY 1) r ON r.confrelid = c.oid
          WHERE p.partstrat = 'r' AND c.relpersistence <> 't' AND ($1::oid[] IS NULL OR c.oid = ANY ($1))
          ORDER BY n.nspname, c.relname",
        &[only.map(<[pg_sys::Oid]>::to_vec).into()],
        |row| {
            Ok(Parent {
                oid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                schema: row.get(2)?.unwrap_or_default(),
                name: row.get(3)?.unwrap_or_default(),
                owner: row.get(4)?.unwrap_or(pg_sys::InvalidOid),
                columns: row.get::<i16>(5)?.unwrap_or(1) as usize,
                column: row.get(6)?,
                key_type: row.get(7)?,
                default: row.get(8)?,
                outgoing_keys: row.get(9)?.unwrap_or_default(),
                incoming_keys: row.get(10)?.unwrap_or_default(),
                owned: row.get(11)?.unwrap_or_default(),
                analyzed: row.get::<TimestampWithTimeZone>(12)?.map(i64::from),
            })
        },
    )
}

/// The partitions of some parents, with their bounds as text only: what they mean depends on the key.
pub fn partitions(parents: &[pg_sys::Oid]) -> Result<HashMap<pg_sys::Oid, Vec<Partition>>> {
    // Bounds are printed and read back, so both in the same notation.
    let settings = [(c"DateStyle", c"ISO"), (c"TimeZone", c"UTC"), (c"IntervalStyle", c"postgres")];
    let rows = security::with_settings(&settings, || {
        spi::read_now(
            "SELECT i.inhparent, c.oid, n.nspname::text, c.relname::text, c.relowner, c.relkind,
                    pg_get_expr(c.relpartbound, c.oid), i.inhdetachpending, c.reltuples, c.relpages::bigint,
                    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))
               FROM pg_inherits i
               JOIN pg_class c ON c.oid = i.inhrelid
               JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE i.inhparent = ANY ($1)",
            &[parents.to_vec().into()],
            |row| {
                let kind = row.get::<i8>(6)?.map_or(b'r', |kind| kind as u8);
                Ok((
                    row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid),
                    Partition {
                        oid: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                        schema: row.get(3)?.unwrap_or_default(),
                        name: row.get(4)?.unwrap_or_default(),
                        owner: row.get(5)?.unwrap_or(pg_sys::InvalidOid),
                        partitioned: kind == b'p',
                        foreign: kind == b'f',
                        bound_text: row.get(7)?.unwrap_or_default(),
                        bounds: Bounds::Other,
                        detach_pending: row.get(8)?.unwrap_or_default(),
                        rows: row.get::<f32>(9)?.map_or(-1.0, f64::from),
                        pages: row.get(10)?.unwrap_or_default(),
                        analyzed: row.get::<TimestampWithTimeZone>(11)?.map(i64::from),
                    },
                ))
            },
        )
    })?;
    let mut found: HashMap<pg_sys::Oid, Vec<Partition>> = HashMap::new();
    for (parent, partition) in rows {
        found.entry(parent).or_default().push(partition);
    }
    Ok(found)
}

/// Understands the bounds and puts the partitions in their order, the default one and others last.
pub fn understand(partitions: &mut [Partition], kind: KeyKind) {
    for partition in &mut *partitions {
        partition.bounds = Bounds::parse(&partition.bound_text, kind);
    }
    partitions.sort_by_key(|partition| match partition.bounds.range() {
        Some((low, high)) => (0, low.edge, high.edge),
        None => (1, super::bound::Edge::Max, super::bound::Edge::Max),
    });
}

/// One range partitioned table that the caller owns, to do `action` with it.
pub fn owned(relid: pg_sys::Oid, action: &str) -> Result<Parent> {
    let relation = super::guard::owned_table(relid, action)?;
    find(relid).ok_or_else(|| {
        let name = relation.qualified_name();
        Error::wrong_object_type(format!("cannot {action} {name}"))
            .detail(format!("Table {name} is not partitioned by range."))
            .hint("Give the table's name, not a partition's; a table that is not partitioned becomes so by convert_to_partitioned().")
    })
}

/// One range partitioned table, whoever owns it.
pub fn find(relid: pg_sys::Oid) -> Option<Parent> {
    parents(Some(&[relid])).ok()?.into_iter().next()
}

/// The partitions of one table, understood and in order.
pub fn partitions_of(parent: &Parent, kind: KeyKind) -> Result<Vec<Partition>> {
    let mut found = partitions(&[parent.oid])?.remove(&parent.oid).unwrap_or_default();
    understand(&mut found, kind);
    Ok(found)
}

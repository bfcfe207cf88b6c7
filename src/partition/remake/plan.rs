//! Which partitions become which, and whether that can be done.

use crate::error::{Error, Result};
use crate::partition::bound::Edge;
use crate::partition::name::{partition_name, suffix};
use crate::partition::online::Scheme;
use crate::partition::table::{self, Parent, Partition};
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

/// The most partitions one call makes: they are attached in one transaction.
const MOST: usize = 500;

/// A partition to be made.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Piece {
    pub name: String,
    /// As SQL, between the parentheses.
    pub low: String,
    pub high: String,
}

/// How rows are told apart: a key of the partitioned table that is never null.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Key {
    /// The partitioned table's index.
    pub index: u32,
    pub columns: Vec<String>,
}

/// The table a partition belongs to, and the partition.
pub fn find(child: pg_sys::Oid) -> Result<(Parent, Partition)> {
    let refused = |detail: &str| {
        Error::wrong_object_type(format!(
            "cannot divide or merge {}",
            lookup::qualified_name(child).unwrap_or_else(|| child.to_u32().to_string())
        ))
        .detail(detail)
        .hint("Name partitions of one table that is partitioned by range.")
    };
    let parent = spi::read_one_now::<pg_sys::Oid>(
        "SELECT i.inhparent FROM pg_catalog.pg_inherits AS i
          WHERE i.inhrelid OPERATOR(pg_catalog.=) $1 AND NOT i.inhdetachpending",
        &[child.into()],
    )
    .and_then(table::find)
    .ok_or_else(|| refused("It is not a partition of a table partitioned by range."))?;
    let partition = table::partitions(&[parent.oid])?
        .remove(&parent.oid)
        .unwrap_or_default()
        .into_iter()
        .find(|partition| partition.oid == child)
        .ok_or_else(|| refused("It is not a partition."))?;
    if partition.partitioned || partition.foreign {
        return Err(refused("It is partitioned itself, or a foreign table."));
    }
    Ok((parent, partition))
}

/// What of a partition to be split becomes what. `extremes` are the least and greatest key in it.
pub fn pieces(
    parent: &Parent,
    source: &Partition,
    scheme: &Scheme,
    extremes: Option<(i64, i64)>,
) -> Result<Vec<Piece>> {
    let bounds = crate::partition::bound::Bounds::parse(&source.bound_text, scheme.kind);
    let name = source.qualified_name();
    let Some((low, high)) = bounds.range() else {
        return Err(Error::wrong_object_type(format!("cannot split {name}"))
            .detail("It is a default partition, or its bounds are not understood.")
            .hint("promote_default() makes a default partition a proper one."));
    };
    let zone = scheme.zone()?;
    let grid = &scheme.grid;
    let out_of_range = || Error::internal("a bound is out of range");
    // Without rows nothing is to be divided.
    let (least, greatest) = extremes.ok_or_else(|| {
        Error::not_in_prerequisite_state(format!("{name} is empty"))
            .hint("Detach and drop it, and create the partitions you want instead.")
    })?;
    let mut pieces = Vec::new();
    let literal = |at: i64| {
        let mut sql = scheme.literal(at)?;
        for _ in 1..parent.columns {
            sql += ", MINVALUE";
        }
        Ok::<_, Error>(sql)
    };
    let named = |suffix: &str| partition_name(&parent.name, suffix);
    let from = match low.edge {
        Edge::At(at) => at,
        // What lies before all rows stays covered.
        _ => {
            let first = grid.floor(least, &*zone).ok_or_else(out_of_range)?;
            pieces.push(Piece { name: named("p_before"), low: low.sql.clone(), high: literal(first)? });
            first
        }
    };
    let (to, behind) = match high.edge {
        Edge::At(at) => (at, None),
        _ => (grid.next(greatest, &*zone).ok_or_else(out_of_range)?, Some(high.sql.clone())),
    };
    let cells = grid.cells(from, to, MOST + 1, &*zone);
    if cells.len() > MOST {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("{name} would become more than {MOST} partitions"),
        )
        .hint("Choose a longer period first, and split those partitions again."));
    }
    let last = cells.len().saturating_sub(1);
    for (at, (cell_low, cell_high)) in cells.into_iter().enumerate() {
        pieces.push(Piece {
            name: named(&suffix(scheme.kind, grid, cell_low, cell_high, &*zone)),
            low: if at == 0 && matches!(low.edge, Edge::At(_)) {
                low.sql.clone()
            } else {
                literal(cell_low)?
            },
            high: if at == last && behind.is_none() { high.sql.clone() } else { literal(cell_high)? },
        });
    }
    if let Some(behind) = behind {
        pieces.push(Piece { name: named("p_after"), low: literal(to)?, high: behind });
    }
    if pieces.len() < 2 {
        return Err(Error::not_in_prerequisite_state(format!(
            "{name} is one partition of this period already"
        ))
        .hint("Choose a shorter period."));
    }
    Ok(pieces)
}

/// The piece that several neighbours become.
pub fn merged(parent: &Parent, sources: &[Partition], name: Option<&str>) -> Result<Piece> {
    let kind = parent.kind(None)?;
    let mut sources = sources.to_vec();
    table::understand(&mut sources, kind);
    let refused = |detail: String| {
        Error::invalid_parameter(format!("partitions of {} cannot be merged", parent.qualified_name()))
            .detail(detail)
            .hint("Name two or more range partitions that follow each other without a gap.")
    };
    let mut ranges = Vec::new();
    for source in &sources {
        let (low, high) = source.bounds.range().ok_or_else(|| {
            refused(format!(
                "{} is a default partition, or its bounds are not understood.",
                source.qualified_name()
            ))
        })?;
        ranges.push((source.qualified_name(), low, high));
    }
    for pair in ranges.windows(2) {
        if pair[0].2.sql != pair[1].1.sql {
            return Err(refused(format!("{} does not begin where {} ends.", pair[1].0, pair[0].0)));
        }
    }
    let (Some((_, low, _)), Some((last, _, high)), true) = (ranges.first(), ranges.last(), ranges.len() > 1)
    else {
        return Err(refused("There are fewer than two.".into()));
    };
    let name = match name {
        Some(name) => name.to_owned(),
        None => {
            // After the first, as its bounds go on: a name that no one partition has.
            let first = &sources[0].name;
            let tail = last.rsplit('_').next().unwrap_or_default().trim_matches('"');
            partition_name(first, &format!("to_{tail}"))
        }
    };
    Ok(Piece { name, low: low.sql.clone(), high: high.sql.clone() })
}

/// A key that tells rows apart: the primary key, else a unique constraint over columns that are never null.
pub fn key(parent: &Parent) -> Result<Key> {
    let rows = spi::read_now(
        "SELECT x.indexrelid, (SELECT array_agg(a.attname::text ORDER BY k.n)
                                 FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) WITH ORDINALITY AS k (number, n)
                                 JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number)
           FROM pg_index AS x
          WHERE x.indrelid = $1 AND x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL
            AND NOT EXISTS (SELECT FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) AS k (number)
                              LEFT JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number AND a.attnotnull
                             WHERE a.attnum IS NULL)
          ORDER BY x.indisprimary DESC, x.indnkeyatts, x.indexrelid LIMIT 1",
        &[parent.oid.into()],
        |row| {
            Ok(Key {
                index: row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid).to_u32(),
                columns: row.get::<Vec<String>>(2)?.unwrap_or_default(),
            })
        },
    )?;
    rows.into_iter().next().ok_or_else(|| {
        Error::not_in_prerequisite_state(format!("rows of {} cannot be told apart", parent.qualified_name()))
            .detail("It has no primary key, and no unique constraint on columns that are never null.")
            .hint("Rows that change while they are copied are found by their key: add one.")
    })
}

/// What else stands in the way.
pub fn check(parent: &Parent, sources: &[pg_sys::Oid], pieces: &[Piece]) -> Result<()> {
    let refused = |detail: String, hint: &str| {
        Err(Error::not_in_prerequisite_state(format!(
            "partitions of {} cannot be exchanged for others",
            parent.qualified_name()
        ))
        .detail(detail)
        .hint(hint))
    };
    for piece in pieces {
        let there = lookup::relation_named(&parent.schema, &piece.name);
        if there.is_some() {
            return refused(
                format!("{} exists already.", lookup::qualify(&parent.schema, &piece.name)),
                "Rename or drop it: a new partition would have this name.",
            );
        }
    }
    if let Some(default) = parent.default {
        let size = spi::read_one_now::<i64>("SELECT pg_relation_size($1::regclass)", &[default.into()]);
        if size.unwrap_or_default() > crate::partition::create::READ_AT_ONCE {
            return refused(
                format!(
                    "Default partition {} would be read under a lock, once for each new partition.",
                    lookup::qualified_name(default).unwrap_or_default()
                ),
                "promote_default() or drain_default() first.",
            );
        }
    }
    let oddities = spi::read_now(
        "SELECT format('Row-level security is forced on %s: its owner does not see every row.', c.oid::regclass)
           FROM pg_class AS c WHERE c.oid = ANY ($1) AND c.relforcerowsecurity
         UNION ALL
         SELECT format('Trigger %I is on %s and not on the partitioned table.', t.tgname, t.tgrelid::regclass)
           FROM pg_trigger AS t WHERE t.tgrelid = ANY ($1) AND NOT t.tgisinternal AND t.tgparentid = 0
            AND NOT EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = t.tgfoid AND p.pronamespace = 'architect'::regnamespace)
         UNION ALL
         SELECT format('Foreign key %I is on %s and not on the partitioned table.', k.conname, k.conrelid::regclass)
           FROM pg_constraint AS k WHERE k.conrelid = ANY ($1) AND k.contype = 'f' AND k.conparentid = 0
         UNION ALL
         SELECT format('Foreign key %I of %s refers to partition %s itself.', k.conname, k.conrelid::regclass, k.confrelid::regclass)
           FROM pg_constraint AS k WHERE k.confrelid = ANY ($1) AND k.contype = 'f' AND k.conparentid = 0
         UNION ALL
         SELECT format('%s depends on %s itself.', pg_describe_object(d.classid, d.objid, d.objsubid), r.ev_class::regclass)
           FROM pg_depend AS d JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
          WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY ($1) AND r.ev_class <> d.refobjid",
        &[sources.to_vec().into()],
        |row| row.get::<String>(1),
    )?;
    match oddities.into_iter().flatten().next() {
        Some(oddity) => refused(
            oddity,
            "It would be lost with the old partition: drop it, or put it on the partitioned table.",
        ),
        None => Ok(()),
    }
}

//! Making partitions: LIKE and ATTACH, which hold up neither readers nor writers of the parent.

use super::guard;
use super::layout::{self, Layout, Shape};
use super::missing::{Cell, Piece};
use super::table::{Parent, Partition};
use super::template::{MarkedIndexes, Template};
use crate::capture::exchange;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi, subtransaction};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A default partition up to this size may be read while it is locked: some milliseconds.
pub const READ_AT_ONCE: i64 = 8 << 20;

/// What became of one partition.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub low: String,
    pub high: String,
    pub action: &'static str,
    pub detail: String,
}

/// A partition to be made: everything that will be run.
#[derive(Debug, Clone)]
pub struct Creation {
    pub piece: Piece,
    pub name: String,
    /// What makes it impossible, if anything does.
    pub conflict: Option<String>,
    pub sql: Vec<String>,
    /// The last of it: what makes it a partition.
    pub attach: String,
    /// May fail without harm.
    pub afterwards: Vec<String>,
    indexes: MarkedIndexes,
}

/// The statement every change of a parent's partitions begins with: others who change them wait here,
/// before they hold anything else. Blocks neither readers nor writers.
#[must_use]
pub fn lock_parent(parent: &Parent) -> String {
    format!("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE", parent.qualified_name())
}

/// The partitions to be made for the missing ones among some cells.
pub fn plan(layout: &Layout, cells: &[Cell], privileges: bool) -> Result<Vec<Creation>> {
    let pieces: Vec<&Piece> = cells
        .iter()
        .filter_map(|cell| match cell {
            Cell::Missing(piece) => Some(piece),
            Cell::Exists { .. } | Cell::Irregular { .. } => None,
        })
        .collect();
    if pieces.is_empty() {
        return Ok(Vec::new());
    }
    let template = Template::of(&layout.parent, layout.latest(), layout.default(), privileges)?;
    let divided = template.divided_like.map(Divided::read).transpose()?;
    pieces.into_iter().map(|piece| creation(layout, piece, &template, divided.as_ref())).collect()
}

fn creation(
    layout: &Layout,
    piece: &Piece,
    template: &Template,
    divided: Option<&Divided>,
) -> Result<Creation> {
    let parent = &layout.parent;
    let name = layout.name_of(piece);
    let child = lookup::qualify(&parent.schema, &name);
    let mut sql = vec![template.create(&parent.qualified_name(), &child, divided.map(|d| d.key.as_str()))];
    if let Some(divided) = divided {
        sql.extend(divided.partitions(&parent.schema, &name, &child));
    }
    sql.extend(template.before_attaching(&child));
    let attach = format!(
        "ALTER TABLE {} ATTACH PARTITION {child} FOR VALUES FROM ({}) TO ({})",
        parent.qualified_name(),
        piece.low.sql,
        piece.high.sql
    );
    let conflict = match divided.and_then(|d| d.refusal.clone()) {
        Some(refusal) => Some(refusal),
        None => taken(parent, &name)?,
    };
    Ok(Creation {
        piece: piece.clone(),
        conflict,
        sql,
        attach,
        afterwards: template.after_attaching(&child),
        indexes: template.indexes.clone(),
        name,
    })
}

/// What has the name already.
pub fn taken(parent: &Parent, name: &str) -> Result<Option<String>> {
    let Some(relid) = lookup::relation_named(&parent.schema, name) else { return Ok(None) };
    let rows = spi::read_now(
        "SELECT CASE c.relkind WHEN 'r' THEN 'a table of ' || pg_size_pretty(pg_relation_size(c.oid)) WHEN 'p' THEN 'a partitioned table' WHEN 'v' THEN 'a view'
                     WHEN 'm' THEN 'a materialized view' WHEN 'i' THEN 'an index' WHEN 'I' THEN 'an index'
                     WHEN 'S' THEN 'a sequence' WHEN 'f' THEN 'a foreign table' ELSE 'a type' END,
                i.inhparent::regclass::text, pg_get_expr(c.relpartbound, c.oid)
           FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.oid = $1",
        &[relid.into()],
        |row| {
            let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
            let (kind, parent, bound) = (text(1)?, text(2)?, text(3)?);
            Ok(if parent.is_empty() {
                format!("{kind} that is not a partition")
            } else {
                format!("{kind} that is a partition of {parent} {bound}")
            })
        },
    )?;
    let what = rows.into_iter().next().unwrap_or_default();
    Ok(Some(format!(
        "relation {} exists: {what}; rename it, or attach it if it is the partition",
        lookup::qualify(&parent.schema, name)
    )))
}

/// A partition that is partitioned itself, to be made again.
struct Divided {
    key: String,
    name: String,
    /// Name and bounds of each of its partitions.
    partitions: Vec<(String, String)>,
    refusal: Option<String>,
}

impl Divided {
    fn read(relid: pg_sys::Oid) -> Result<Self> {
        let key =
            spi::read_one_now::<String>("SELECT pg_get_partkeydef($1)", &[relid.into()]).unwrap_or_default();
        let settings = [(c"DateStyle", c"ISO"), (c"TimeZone", c"UTC"), (c"IntervalStyle", c"postgres")];
        let partitions = security::with_settings(&settings, || {
            spi::read_now(
                "SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid), c.relkind = 'r'
                   FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1
                  ORDER BY c.relname",
                &[relid.into()],
                |row| {
                    Ok((
                        row.get::<String>(1)?.unwrap_or_default(),
                        row.get::<String>(2)?.unwrap_or_default(),
                        row.get::<bool>(3)?.unwrap_or_default(),
                    ))
                },
            )
        })?;
        let name = lookup::qualified_name(relid).unwrap_or_default();
        // Bounds of a range differ from one partition to the next: those are made by a policy of their own.
        let refusal = if key.starts_with("RANGE") {
            Some(format!(
                "the latest partition, {name}, is itself partitioned by range: make the next one by hand and manage it by a policy of its own"
            ))
        } else if partitions.iter().any(|(_, _, table)| !table) {
            Some(format!(
                "the latest partition, {name}, has partitions that are not ordinary tables: make the next one by hand"
            ))
        } else {
            None
        };
        Ok(Self {
            key,
            name: lookup::relation_name(relid).unwrap_or_default(),
            partitions: partitions.into_iter().map(|(name, bound, _)| (name, bound)).collect(),
            refusal,
        })
    }

    /// Nobody uses the table yet, so that its own partitions are made the short way.
    fn partitions(&self, schema: &str, name: &str, child: &str) -> Vec<String> {
        let mut sql = Vec::new();
        for (number, (theirs, bound)) in self.partitions.iter().enumerate() {
            let suffix = match theirs.strip_prefix(&self.name).map(|rest| rest.trim_start_matches('_')) {
                Some(rest) if !rest.is_empty() => rest.to_owned(),
                _ => (number + 1).to_string(),
            };
            let below = lookup::qualify(schema, &super::name::partition_name(name, &suffix));
            sql.push(format!("CREATE TABLE {below} PARTITION OF {child} {bound}"));
        }
        sql
    }
}

impl Creation {
    /// All of it, to show.
    #[must_use]
    pub fn script(&self) -> String {
        format!("{}; {}", self.sql.join("; "), self.attach)
    }

    /// The table's name, with its schema.
    #[must_use]
    pub fn child(&self, parent: &Parent) -> String {
        lookup::qualify(&parent.schema, &self.name)
    }

    /// Runs it, as the owner, in the caller's transaction, which has locked the parent. `between` is done
    /// with the table before it becomes a partition.
    pub fn run(&self, parent: &Parent, between: impl FnOnce() -> Result<()>) -> Result<String> {
        // Until it is attached it is nobody's new table, to be recorded for itself.
        exchange::unfollowed(|| {
            self.sql.iter().try_for_each(|statement| spi::run(statement, &[]).map(|_| ()))
        })?;
        if let Some(guard) = guard::of_parent(parent) {
            guard.made(&self.name)?;
        }
        between()?;
        spi::run(&self.attach, &[])?;
        if let Some(child) = lookup::relation_named(&parent.schema, &self.name) {
            for statement in self.indexes.on(child)? {
                spi::run(&statement, &[])?;
            }
        }
        let mut notes = Vec::new();
        for statement in &self.afterwards {
            match subtransaction::attempt(|| spi::run(statement, &[])) {
                Ok(_) => {}
                Err(error) if error.is_cancel() => return Err(error),
                Err(error) => notes.push(format!("not done: {statement}: {}", error.one_line())),
            }
        }
        Ok(notes.join("; "))
    }

    /// The same in a subtransaction: what went wrong is told in terms of partitions.
    pub fn attempt(&self, layout: &Layout) -> Result<std::result::Result<String, Refused>> {
        if let Some(conflict) = &self.conflict {
            return Ok(Err(Refused { action: "conflict", detail: conflict.clone() }));
        }
        match subtransaction::attempt(|| self.run(&layout.parent, || Ok(()))) {
            Ok(notes) => Ok(Ok(notes)),
            // A lock that was not to be had: to be tried again as a whole.
            Err(error) if error.is_cancel() || super::locking::is_busy(&error) => Err(error),
            Err(error) => Ok(Err(explain(&error, layout))),
        }
    }

    #[must_use]
    pub fn row(&self, layout: &Layout, action: &'static str, detail: String) -> Row {
        Row {
            name: lookup::qualify(&layout.parent.schema, &self.name),
            low: layout.readable(self.piece.from),
            high: layout.readable(self.piece.to),
            action,
            detail,
        }
    }
}

pub struct Refused {
    pub action: &'static str,
    pub detail: String,
}

pub fn explain(error: &Error, layout: &Layout) -> Refused {
    let default = layout.default().map(Partition::qualified_name).unwrap_or_default();
    match error.code() {
        PgSqlErrorCode::ERRCODE_CHECK_VIOLATION if !default.is_empty() => Refused {
            action: "conflict",
            detail: format!(
                "the default partition {default} holds rows of this range; CALL architect.promote_default({parent}) makes it a \
                 proper partition, CALL architect.drain_default({parent}) moves its rows",
                parent = pgrx::spi::quote_literal(layout.parent.qualified_name())
            ),
        },
        _ => Refused { action: "failed", detail: error.one_line() },
    }
}

/// Makes the missing ones among the cells `wanted` gives, within the caller's transaction. As the owner.
pub fn run(
    parent: &Parent,
    shape: &Shape,
    privileges: bool,
    dry_run: bool,
    wanted: impl Fn(&Layout) -> Result<(i64, i64)>,
) -> Result<Vec<Row>> {
    let layout = Layout::read(parent, shape)?;
    let (from, to) = wanted(&layout)?;
    let cells = layout.cells(from, to);
    let missing = cells.iter().any(|cell| matches!(cell, Cell::Missing(_)));
    // Nothing to do takes no lock.
    if dry_run || !missing {
        let planned = plan(&layout, &cells, privileges)?;
        return report(&layout, &cells, planned, |creation, layout| {
            Ok(match &creation.conflict {
                Some(conflict) => creation.row(layout, "conflict", conflict.clone()),
                None => match scan_of_default(layout)? {
                    Some(refusal) => creation.row(layout, "conflict", refusal),
                    None => creation.row(layout, "would create", creation.script()),
                },
            })
        });
    }
    super::locking::retry_here(|| {
        spi::run(&lock_parent(parent), &[])?;
        // As it is now that nobody else can change it.
        let layout = Layout::read(parent, shape)?;
        let cells = layout.cells(from, to);
        let planned = plan(&layout, &cells, privileges)?;
        let refusal = scan_of_default(&layout)?;
        report(&layout, &cells, planned, |creation, layout| {
            if let (Some(refusal), None) = (&refusal, &creation.conflict) {
                return Ok(creation.row(layout, "conflict", refusal.clone()));
            }
            Ok(match creation.attempt(layout)? {
                Ok(notes) => creation.row(layout, "created", notes),
                Err(refused) => creation.row(layout, refused.action, refused.detail),
            })
        })
    })
}

/// Size of a partition with all that is below it.
pub fn bytes_of(partition: &Partition) -> i64 {
    spi::read_one_now::<i64>(
        "SELECT coalesce(sum(pg_relation_size(t.relid)), 0)::bigint FROM pg_partition_tree($1::oid::regclass) t WHERE t.isleaf",
        &[partition.oid.into()],
    )
    .unwrap_or_default()
}

/// Why attaching would read a default partition under a lock for long.
pub fn scan_of_default(layout: &Layout) -> Result<Option<String>> {
    let Some(default) = layout.default() else { return Ok(None) };
    let bytes = bytes_of(default);
    if bytes <= READ_AT_ONCE || layout::is_empty(default)? && bytes <= 8 * READ_AT_ONCE {
        return Ok(None);
    }
    Ok(Some(format!(
        "the default partition {} holds {} MB, which attaching would read while nobody could write; manage_partitions() and \
         CALL architect.maintain_partitions() check it beforehand, without a lock",
        default.qualified_name(),
        bytes >> 20
    )))
}

fn report(
    layout: &Layout,
    cells: &[Cell],
    planned: Vec<Creation>,
    mut each: impl FnMut(&Creation, &Layout) -> Result<Row>,
) -> Result<Vec<Row>> {
    let mut planned = planned.into_iter();
    let mut rows = Vec::new();
    for cell in cells {
        let there = |name: String, low: i64, high: i64, action, detail| Row {
            name,
            low: layout.readable(low),
            high: layout.readable(high),
            action,
            detail,
        };
        let qualified = |name: &str| {
            layout
                .partitions
                .iter()
                .find(|partition| partition.name == *name)
                .map_or_else(|| name.to_owned(), Partition::qualified_name)
        };
        match cell {
            Cell::Exists { name, low, high } => {
                rows.push(there(qualified(name), *low, *high, "exists", String::new()));
            }
            Cell::Irregular { names, low, high } => {
                let names: Vec<String> = names.iter().map(|name| qualified(name)).collect();
                let detail = "held by partitions with other bounds".to_owned();
                rows.push(there(names.join(", "), *low, *high, "exists_irregular", detail));
            }
            Cell::Missing(_) => {
                if let Some(creation) = planned.next() {
                    rows.push(each(&creation, layout)?);
                }
            }
        }
    }
    Ok(rows)
}

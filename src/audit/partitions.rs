//! The log's partitions: whole months in UTC, made beforehand and attached by the policy engine, which holds
//! up no writer.

use crate::error::{Error, Result};
use crate::partition::bound::{Bound, Bounds};
use crate::partition::key::KeyKind;
use crate::partition::layout::{Layout, Shape};
use crate::partition::missing::{Cell, Piece};
use crate::partition::period::{Grid, NoZone, Period};
use crate::partition::template::Template;
use crate::partition::{civil, table};
use crate::pg::{lookup, security, spi};
use pgrx::prelude::*;

/// A partition of the log. Bounds are microseconds since 2000, as timestamptz has them; none is open.
#[derive(Debug, Clone)]
pub struct Partition {
    pub name: String,
    pub low: Option<i64>,
    pub high: Option<i64>,
    pub is_default: bool,
}

impl Partition {
    pub fn covers(&self, at: i64) -> bool {
        !self.is_default && self.low.is_none_or(|low| low <= at) && self.high.is_none_or(|high| at < high)
    }
}

/// A stretch of time a partition is to be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub low: i64,
    pub high: i64,
}

pub const DEFAULT: &str = "audit_entry_default";
const MONTH: Grid = Grid::new(Period::Months(1));

/// The log as the planner sees it.
pub fn layout() -> Result<Layout> {
    let missing = || Error::internal("the audit log is not partitioned by range");
    let log = lookup::own_relation("audit_entry").ok_or_else(missing)?;
    let shape =
        Shape { unit: None, period: MONTH.period, timezone: Some("UTC".into()), anchor: Some(MONTH.anchor) };
    security::with_safe_search_path(|| Layout::read(&table::find(log).ok_or_else(missing)?, &shape))
}

/// The log's partitions by lower bound, the default one last.
pub fn all() -> Result<Vec<Partition>> {
    Ok(layout()?
        .partitions
        .into_iter()
        .map(|partition| {
            let (low, high) = match partition.bounds.range() {
                Some((low, high)) => (low.edge.at(), high.edge.at()),
                None => (None, None),
            };
            Partition { is_default: partition.bounds == Bounds::Default, name: partition.name, low, high }
        })
        .collect())
}

/// The month `at` lies in and the `ahead` next ones. Points in time are what clocks show in UTC.
pub fn months(at: i64, ahead: i32) -> Result<Vec<Range>> {
    let bounds = MONTH.floor(at, &NoZone).zip(MONTH.step(at, i64::from(ahead) + 1, &NoZone));
    let (from, to) = bounds.ok_or_else(|| Error::internal("a point in time is out of range"))?;
    let cells = MONTH.cells(from, to, crate::partition::missing::MOST, &NoZone);
    Ok(cells.into_iter().map(|(low, high)| Range { low, high }).collect())
}

/// Those of the ranges of which no partition holds anything.
pub fn missing(ranges: Vec<Range>, log: &Layout) -> Vec<Range> {
    ranges.into_iter().filter(|range| uncovered(range, log) == std::slice::from_ref(range)).collect()
}

/// The parts of a month that no partition holds.
pub fn uncovered(month: &Range, log: &Layout) -> Vec<Range> {
    log.cells(month.low, month.high)
        .into_iter()
        .filter_map(|cell| match cell {
            Cell::Missing(piece) => Some(Range { low: piece.from, high: piece.to }),
            Cell::Exists { .. } | Cell::Irregular { .. } => None,
        })
        .collect()
}

/// Creates a table like the log, to become its partition for a range. Not yet part of the log.
pub fn create(range: &Range) -> Result<String> {
    let log = layout()?;
    let name = range.name_in(&log)?;
    let child = lookup::qualify("architect", &name);
    let template = Template::of(&log.parent, log.latest(), false)?;
    security::with_settings(&[(c"default_table_access_method", c"heap")], || -> Result<()> {
        spi::run(&template.create(&log.parent.qualified_name(), &child, None), &[])?;
        for statement in template.before_attaching(&child) {
            spi::run(&statement, &[])?;
        }
        Ok(())
    })?;
    // Rows may be moved into it before it is attached: this spares the scan.
    spi::run(
        &format!(
            "ALTER TABLE {child} ADD CONSTRAINT within CHECK (changed_at OPERATOR(pg_catalog.>=) {} AND changed_at OPERATOR(pg_catalog.<) {})",
            literal(range.low)?,
            literal(range.high)?
        ),
        &[],
    )?;
    crate::capture::storage::revoke_all(&name)?;
    Ok(child)
}

/// Attaches what `create` made. Takes ACCESS EXCLUSIVE on the default partition, which is scanned unless
/// a constraint of it proves that it holds nothing of the range.
pub fn attach(range: &Range) -> Result<()> {
    let log = layout()?;
    let piece = range.piece()?;
    let name = lookup::qualify("architect", &range.name_in(&log)?);
    spi::run(
        &format!(
            "ALTER TABLE {} ATTACH PARTITION {name} FOR VALUES FROM ({}) TO ({})",
            log.parent.qualified_name(),
            piece.low.sql,
            piece.high.sql
        ),
        &[],
    )?;
    spi::run(&format!("ALTER TABLE {name} DROP CONSTRAINT within"), &[])?;
    Ok(())
}

impl Range {
    fn piece(&self) -> Result<Piece> {
        let bound = |at| Bound::new(KeyKind::Timestamptz, at, 1);
        let (low, high) = bound(self.low)
            .zip(bound(self.high))
            .ok_or_else(|| Error::internal("a point in time cannot be written down"))?;
        Ok(Piece { low, high, from: self.low, to: self.high })
    }

    /// audit_entry_p2026_11 for a month, audit_entry_p20261101_20261121t101500 for a part of one.
    fn name_in(&self, log: &Layout) -> Result<String> {
        Ok(log.name_of(&self.piece()?))
    }

    pub fn name(&self) -> Result<String> {
        self.name_in(&layout()?)
    }
}

/// A point in time as a literal that reads the same under every setting.
pub fn literal(at: i64) -> Result<String> {
    KeyKind::Timestamptz
        .text(at)
        .map(|text| format!("'{text}'::pg_catalog.timestamptz"))
        .ok_or_else(|| Error::internal("a point in time cannot be written down"))
}

pub fn timestamp(at: i64) -> Result<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(at).map_err(|_| Error::internal("a point in time is out of range"))
}

/// A point in time for a reader, in UTC.
pub fn readable(at: i64) -> String {
    let fraction = at.rem_euclid(civil::SECOND);
    format!("{}.{fraction:06} UTC", civil::timestamp_text(at - fraction, ""))
}

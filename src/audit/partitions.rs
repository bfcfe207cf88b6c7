//! The log's partitions: whole months in UTC, made beforehand and attached, which holds up no writer.

use crate::error::{Error, Result};
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

    fn overlaps(&self, range: &Range) -> bool {
        !self.is_default
            && self.low.is_none_or(|low| low < range.high)
            && self.high.is_none_or(|high| range.low < high)
    }
}

/// A stretch of time a partition is to be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub low: i64,
    pub high: i64,
}

pub const DEFAULT: &str = "audit_entry_default";

/// The log's partitions by lower bound, the default one last.
pub fn all() -> Result<Vec<Partition>> {
    // Bounds are printed and read back, so both in the same notation.
    security::with_settings(&[(c"DateStyle", c"ISO"), (c"TimeZone", c"UTC")], || {
        spi::read_now(
            "SELECT c.relname::pg_catalog.text, b.bound OPERATOR(pg_catalog.=) 'DEFAULT',
                    pg_catalog.substring(b.bound, 'FROM \\(''([^'']+)''\\)')::pg_catalog.timestamptz,
                    pg_catalog.substring(b.bound, 'TO \\(''([^'']+)''\\)')::pg_catalog.timestamptz
               FROM pg_catalog.pg_inherits AS i
               JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
              CROSS JOIN LATERAL pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS b (bound)
              WHERE i.inhparent OPERATOR(pg_catalog.=) 'architect.audit_entry'::pg_catalog.regclass
              ORDER BY 2, 3 NULLS FIRST",
            &[],
            |row| {
                let micros =
                    |i| row.get::<TimestampWithTimeZone>(i).map(|at| at.map(pg_sys::TimestampTz::from));
                Ok(Partition {
                    name: row.get(1)?.unwrap_or_default(),
                    is_default: row.get(2)?.unwrap_or_default(),
                    low: micros(3)?,
                    high: micros(4)?,
                })
            },
        )
    })
}

/// The month `at` lies in and the `ahead` next ones.
pub fn months(at: i64, ahead: i32) -> Result<Vec<Range>> {
    spi::read_now(
        "SELECT (m.first AT TIME ZONE 'UTC'),
                ((m.first OPERATOR(pg_catalog.+) '1 month'::pg_catalog.interval) AT TIME ZONE 'UTC')
           FROM (SELECT pg_catalog.date_trunc('month', $1 AT TIME ZONE 'UTC')
                        OPERATOR(pg_catalog.+) pg_catalog.make_interval(months => n) AS first
                   FROM pg_catalog.generate_series(0, $2) AS n) AS m
          ORDER BY 1",
        &[timestamp(at)?.into(), ahead.into()],
        |row| {
            let micros = |i| {
                row.get::<TimestampWithTimeZone>(i)
                    .map(|at| at.map(pg_sys::TimestampTz::from).unwrap_or_default())
            };
            Ok(Range { low: micros(1)?, high: micros(2)? })
        },
    )
}

/// Those of the ranges no partition overlaps.
pub fn missing(ranges: Vec<Range>, partitions: &[Partition]) -> Vec<Range> {
    ranges.into_iter().filter(|range| !partitions.iter().any(|p| p.overlaps(range))).collect()
}

/// The parts of a range that no partition covers.
pub fn uncovered(range: &Range, partitions: &[Partition]) -> Vec<Range> {
    let mut parts = Vec::new();
    let mut low = range.low;
    for partition in partitions.iter().filter(|partition| partition.overlaps(range)) {
        let from = partition.low.unwrap_or(i64::MIN);
        if low < from {
            parts.push(Range { low, high: from });
        }
        low = low.max(partition.high.unwrap_or(i64::MAX));
    }
    if low < range.high {
        parts.push(Range { low, high: range.high });
    }
    parts
}

/// Creates a table like the log, to become its partition for a range. Not yet part of the log.
pub fn create(range: &Range) -> Result<String> {
    let (low, high) = (literal(range.low)?, literal(range.high)?);
    let name = lookup::qualify("architect", &range.name()?);
    // Attaching a table made before takes no lock on the log that stops writers or readers, which
    // CREATE TABLE ... PARTITION OF does. The CHECK spares the scan.
    spi::run(
        &format!(
            "CREATE TABLE {name} (LIKE architect.audit_entry INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION,
                 CONSTRAINT within CHECK (changed_at OPERATOR(pg_catalog.>=) {low} AND changed_at OPERATOR(pg_catalog.<) {high}))
                 USING heap"
        ),
        &[],
    )?;
    crate::capture::storage::revoke_all(&range.name()?)?;
    Ok(name)
}

/// Attaches what `create` made. Takes ACCESS EXCLUSIVE on the default partition, which is scanned unless
/// a constraint of it proves that it holds nothing of the range.
pub fn attach(range: &Range) -> Result<()> {
    let (low, high) = (literal(range.low)?, literal(range.high)?);
    let name = lookup::qualify("architect", &range.name()?);
    spi::run(
        &format!(
            "ALTER TABLE architect.audit_entry ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})"
        ),
        &[],
    )?;
    spi::run(&format!("ALTER TABLE {name} DROP CONSTRAINT within"), &[])?;
    Ok(())
}

impl Range {
    /// audit_entry_2026_11 for a month, audit_entry_20261101_20261121t1015 for a part of one.
    pub fn name(&self) -> Result<String> {
        let month = months(self.low, 0)?;
        let pattern = if month.first() == Some(self) { "YYYY_MM" } else { "YYYYMMDD\"t\"HH24MISS" };
        let text = |at: i64, pattern: &str| -> Result<String> {
            Ok(spi::read_one::<String>(
                "SELECT pg_catalog.to_char($1 AT TIME ZONE 'UTC', $2)",
                &[timestamp(at)?.into(), pattern.into()],
            )
            .unwrap_or_default())
        };
        let low = text(self.low, pattern)?;
        if pattern == "YYYY_MM" {
            return Ok(format!("audit_entry_{low}"));
        }
        Ok(format!("audit_entry_{low}_{}", text(self.high, "YYYYMMDD\"t\"HH24MISS")?))
    }
}

/// A point in time as a literal that reads the same under every setting.
pub fn literal(at: i64) -> Result<String> {
    spi::read_one::<String>(
        "SELECT pg_catalog.format('%L::pg_catalog.timestamptz',
                    pg_catalog.to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') OPERATOR(pg_catalog.||) '+00')",
        &[timestamp(at)?.into()],
    )
    .ok_or_else(|| Error::internal("a point in time cannot be written down"))
}

pub fn timestamp(at: i64) -> Result<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(at).map_err(|_| Error::internal("a point in time is out of range"))
}

/// A point in time for a reader, in UTC.
pub fn readable(at: i64) -> String {
    timestamp(at)
        .ok()
        .and_then(|at| {
            spi::read_one::<String>(
                "SELECT pg_catalog.to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') OPERATOR(pg_catalog.||) ' UTC'",
                &[at.into()],
            )
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(low: Option<i64>, high: Option<i64>) -> Partition {
        Partition { name: String::new(), low, high, is_default: false }
    }

    #[test]
    fn what_is_uncovered_is_found() {
        let month = Range { low: 100, high: 200 };
        let parts = |partitions: &[Partition]| {
            uncovered(&month, partitions).into_iter().map(|r| (r.low, r.high)).collect::<Vec<_>>()
        };
        assert_eq!(parts(&[]), [(100, 200)]);
        assert_eq!(parts(&[partition(Some(200), Some(300))]), [(100, 200)]);
        assert_eq!(parts(&[partition(Some(150), Some(200))]), [(100, 150)]);
        assert_eq!(
            parts(&[partition(None, Some(120)), partition(Some(150), Some(170))]),
            [(120, 150), (170, 200)]
        );
        assert_eq!(parts(&[partition(None, None)]), []);
    }

    #[test]
    fn a_month_partly_covered_is_not_missing() {
        let month = Range { low: 100, high: 200 };
        assert_eq!(missing(vec![month.clone()], &[partition(Some(150), Some(200))]), []);
        assert_eq!(missing(vec![month.clone()], &[partition(Some(200), None)]), [month]);
    }
}

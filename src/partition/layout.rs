//! One table as the planner sees it: its key, its grid and the partitions it has.

use super::bound::{Bound, Edge};
use super::civil;
use super::key::KeyKind;
use super::missing::{self, Cell, Division, Held, Piece};
use super::name;
use super::period::{Grid, NoZone, Period, Zone};
use super::table::{self, Parent, Partition};
use super::zone;
use crate::error::{Error, Result};
use crate::pg::datetime::NamedZone;
use crate::pg::{security, session, spi};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Shape {
    pub unit: Option<String>,
    pub period: Period,
    /// None: the session's, or UTC where the partitions are found to be made for that.
    pub timezone: Option<String>,
    /// Where the cells begin, if that was decided before; else it is taken from the last partition.
    pub anchor: Option<i64>,
}

pub struct Layout {
    pub parent: Parent,
    pub kind: KeyKind,
    pub grid: Grid,
    pub zone: Box<dyn Zone>,
    pub timezone: String,
    pub partitions: Vec<Partition>,
}

impl Layout {
    /// From the partitions as read, bounds not understood yet.
    pub fn new(parent: Parent, mut partitions: Vec<Partition>, shape: &Shape) -> Result<Self> {
        let kind = parent.kind(shape.unit.as_deref())?;
        check(&parent, kind, shape.period)?;
        table::understand(&mut partitions, kind);
        let grid = Grid::new(shape.period);
        let mut layout =
            Self { parent, kind, grid, zone: Box::new(NoZone), timezone: String::new(), partitions };
        (layout.timezone, layout.zone) = match &shape.timezone {
            Some(name) => (name.clone(), zone::for_key(kind, name)?),
            None => layout.zone_in_use()?,
        };
        layout.grid = match shape.anchor {
            Some(anchor) => Grid { period: shape.period, anchor },
            None => missing::grid_in_use(grid, &layout.held(), layout.zone.as_ref(), kind.has_zone()),
        };
        Ok(layout)
    }

    /// The session's time zone, unless the partitions fit UTC and not that.
    fn zone_in_use(&self) -> Result<(String, Box<dyn Zone>)> {
        let session = session::time_zone();
        let zone = zone::for_key(self.kind, &session)?;
        if self.kind.has_zone() && !missing::fits(self.grid, &self.held(), zone.as_ref()) {
            let utc = zone::for_key(self.kind, "UTC")?;
            if missing::fits(self.grid, &self.held(), utc.as_ref()) {
                return Ok(("UTC".into(), utc));
            }
        }
        Ok((session, zone))
    }

    /// Reads the partitions as they are now.
    pub fn read(parent: &Parent, shape: &Shape) -> Result<Self> {
        let partitions = table::partitions(&[parent.oid])?.remove(&parent.oid).unwrap_or_default();
        Self::new(parent.clone(), partitions, shape)
    }

    /// The range partitions, in order.
    #[must_use]
    pub fn held(&self) -> Vec<Held<'_>> {
        self.partitions
            .iter()
            .filter_map(|p| p.bounds.range().map(|(low, high)| Held { name: &p.name, low, high }))
            .collect()
    }

    #[must_use]
    pub fn cells(&self, from: i64, to: i64) -> Vec<Cell> {
        let division = Division {
            kind: self.kind,
            columns: self.parent.columns,
            grid: self.grid,
            zone: self.zone.as_ref(),
        };
        let most = self.parent.greatest(self.kind);
        division.cells(from, to.min(most), &self.held())
    }

    /// A partition of these bounds; none where the key's type cannot hold them.
    #[must_use]
    pub fn piece(&self, from: i64, to: i64) -> Option<Piece> {
        let bound = |at| Bound::new(self.kind, at, self.parent.columns);
        Some(Piece { low: bound(from)?, high: bound(to)?, from, to })
    }

    /// The name of a partition to be made.
    #[must_use]
    pub fn name_of(&self, piece: &Piece) -> String {
        let suffix = name::suffix(self.kind, &self.grid, piece.from, piece.to, self.zone.as_ref());
        name::partition_name(&self.parent.name, &suffix)
    }

    /// A bound as people read it: in the policy's time zone.
    #[must_use]
    pub fn readable(&self, at: i64) -> String {
        if self.kind.is_time() {
            let local = self.zone.local(at);
            if local.rem_euclid(civil::DAY) == 0 {
                civil::date_text(local)
            } else {
                civil::timestamp_text(local, "")
            }
        } else {
            at.to_string()
        }
    }

    /// Now, for a key that says when.
    pub fn now(&self) -> Result<i64> {
        self.at_instant(session::clock())
    }

    /// A point in time as the key has it: without time zone, what the policy's clock shows.
    pub fn at_instant(&self, instant: i64) -> Result<i64> {
        if self.kind.has_zone() { Ok(instant) } else { Ok(NamedZone::new(&self.timezone)?.local(instant)) }
    }

    /// Where rows are being written: now, or the highest number there is, as far as partitions tell: the
    /// beginning of the highest one that holds a row. None for numbers without a row.
    pub fn position(&self) -> Result<Option<i64>> {
        if self.kind.is_time() {
            return self.now().map(Some);
        }
        for partition in self.partitions.iter().rev() {
            let Some((low, high)) = partition.bounds.range() else { continue };
            if self.partitions.len() == 1 || !is_empty(partition)? {
                let within = match (low.edge, high.edge) {
                    (Edge::At(low), _) => low,
                    (_, Edge::At(high)) => high - 1,
                    _ => continue,
                };
                return Ok(Some(within));
            }
        }
        Ok(None)
    }

    /// The stretch that `ahead` cells after the current one and `back` before it cover, and whatever lies
    /// between it and the last partition.
    pub fn stretch(&self, ahead: i32, back: i32) -> Result<(i64, i64)> {
        let zone = self.zone.as_ref();
        let first = self.held().first().and_then(|held| held.low.edge.at());
        let position = self.position()?.or(first).unwrap_or(0);
        let out_of_range = || {
            Error::invalid_parameter(format!(
                "cannot reckon with the periods of {}",
                self.parent.qualified_name()
            ))
            .detail("They reach beyond what the key can hold.")
            .hint("Ask for fewer partitions.")
        };
        let from = self.grid.step(position, -i64::from(back), zone).ok_or_else(out_of_range)?;
        let to = self.grid.step(position, i64::from(ahead) + 1, zone).ok_or_else(out_of_range)?;
        let last = self.held().iter().filter_map(|held| held.high.edge.at()).max();
        Ok((last.map_or(from, |last| last.min(from)), to))
    }

    #[must_use]
    pub fn default(&self) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.bounds == super::bound::Bounds::Default)
    }

    /// The last partition that is a table of its own: the one to take after.
    #[must_use]
    pub fn latest(&self) -> Option<&Partition> {
        self.partitions.iter().rev().find(|p| p.bounds.range().is_some() && !p.foreign && !p.detach_pending)
    }
}

/// Whether a partition holds no row. As the owner.
pub fn is_empty(partition: &Partition) -> Result<bool> {
    let query = format!("SELECT true FROM {} LIMIT 1", partition.qualified_name());
    // Rows that row-level security hides are an error, not none.
    security::with_settings(&[(c"row_security", c"off")], || {
        Ok(spi::read_now(&query, &[], |row| row.get::<bool>(1))?.is_empty())
    })
}

fn check(parent: &Parent, kind: KeyKind, period: Period) -> Result<()> {
    let name = parent.qualified_name();
    let wrong = |detail: String, hint: &str| {
        Err(Error::invalid_parameter(format!("the period does not fit the partition key of {name}"))
            .detail(detail)
            .hint(hint.to_owned()))
    };
    match (kind.is_time(), period) {
        (true, Period::Step(_)) => wrong(
            "Its key says when, a step is a number.".into(),
            "Give every, an interval such as '1 month'.",
        ),
        (false, Period::Months(_) | Period::Days(_) | Period::Micros(_)) => wrong(
            "Its key is a number, and an interval is a time.".into(),
            "Give step, a number; or key_unit, epoch_s, epoch_ms or epoch_us, if the number counts time since 1970.",
        ),
        (true, Period::Micros(length)) if kind == KeyKind::Date && length % civil::DAY != 0 => {
            wrong("Its key is a date.".into(), "Give a number of days or of months.")
        }
        (true, Period::Micros(length)) if kind == KeyKind::EpochSeconds && length % civil::SECOND != 0 => {
            wrong("Its key counts seconds.".into(), "Give a whole number of seconds.")
        }
        _ => Ok(()),
    }
}

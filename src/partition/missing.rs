//! What of a stretch of the key no partition holds yet.
#![forbid(unsafe_code)]

use super::bound::{Bound, Edge};
use super::civil::DAY;
use super::key::KeyKind;
use super::period::{Grid, Period, Zone};

/// More than this is not made at once.
pub const MOST: usize = 2000;

/// A range partition, as far as it concerns this.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    pub name: &'a str,
    pub low: &'a Bound,
    pub high: &'a Bound,
}

/// A cell of the grid, or the part of one that has no partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A partition has these very bounds.
    Exists {
        name: String,
        low: i64,
        high: i64,
    },
    /// Partitions with other bounds hold all of it.
    Irregular {
        names: Vec<String>,
        low: i64,
        high: i64,
    },
    Missing(Piece),
}

/// What a partition is to be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub low: Bound,
    pub high: Bound,
    /// The same as numbers.
    pub from: i64,
    pub to: i64,
}

/// What is being divided, and how.
pub struct Division<'a> {
    pub kind: KeyKind,
    pub columns: usize,
    pub grid: Grid,
    pub zone: &'a dyn Zone,
}

impl Division<'_> {
    /// The cells from `from` to `to`, and what holds them. `held` is in order of lower bounds.
    #[must_use]
    pub fn cells(&self, from: i64, to: i64, held: &[Held]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (low, high) in self.grid.cells(from, to, MOST, self.zone) {
            let Some(pieces) = self.pieces(low, high, held) else { continue };
            if pieces.is_empty() {
                let over: Vec<&Held> = overlapping(low, high, held).collect();
                cells.push(match over.as_slice() {
                    [one] if (one.low.edge, one.high.edge) == (Edge::At(low), Edge::At(high)) => {
                        Cell::Exists { name: one.name.to_owned(), low, high }
                    }
                    _ => {
                        Cell::Irregular { names: over.iter().map(|h| h.name.to_owned()).collect(), low, high }
                    }
                });
            } else {
                cells.extend(pieces.into_iter().map(Cell::Missing));
            }
        }
        cells
    }

    /// The parts of a cell that nothing holds; none where the key's type cannot hold its bounds.
    fn pieces(&self, low: i64, high: i64, held: &[Held]) -> Option<Vec<Piece>> {
        let end = Bound::new(self.kind, high, self.columns)?;
        let mut pieces = Vec::new();
        let mut from = Bound::new(self.kind, low, self.columns)?;
        // A partition that ends here by more than the leading column says.
        if let Some(before) = held.iter().find(|h| h.high.edge == Edge::At(low) && !h.high.exact) {
            from = before.high.clone();
        }
        for one in overlapping(low, high, held) {
            push(&mut pieces, &from, one.low);
            if one.high.edge > from.edge {
                from = one.high.clone();
            }
        }
        push(&mut pieces, &from, &end);
        Some(pieces)
    }
}

fn push(pieces: &mut Vec<Piece>, low: &Bound, high: &Bound) {
    if let (Edge::At(from), Edge::At(to)) = (low.edge, high.edge)
        && from < to
    {
        pieces.push(Piece { low: low.clone(), high: high.clone(), from, to });
    }
}

fn overlapping<'h, 'a>(low: i64, high: i64, held: &'h [Held<'a>]) -> impl Iterator<Item = &'h Held<'a>> {
    held.iter().filter(move |one| one.low.edge < Edge::At(high) && one.high.edge > Edge::At(low))
}

/// Two partitions between which something is missing.
#[must_use]
pub fn gaps(held: &[Held]) -> Vec<(Bound, Bound)> {
    held.windows(2)
        .filter(|pair| pair[0].high.edge < pair[1].low.edge)
        .map(|pair| (pair[0].high.clone(), pair[1].low.clone()))
        .collect()
}

/// The grid to go on with: the usual one, unless the last partition is one whole period on another, such as
/// months that begin on the fifteenth. In a time zone days begin at midnight: other times of day tell of
/// partitions made for another zone.
#[must_use]
pub fn grid_in_use(usual: Grid, held: &[Held], zone: &dyn Zone, zoned: bool) -> Grid {
    let Some((low, high)) = held.iter().rev().find_map(finite) else { return usual };
    let by_days = matches!(usual.period, Period::Months(_) | Period::Days(_));
    if by_days && zoned && zone.local(low).rem_euclid(DAY) != 0 {
        return usual;
    }
    match Grid::through(usual.period, low, zone) {
        Some(found) if found.is_cell(low, high, zone) => found,
        _ => usual,
    }
}

/// Whether the last partitions are whole cells of a grid, in a time zone: a year or so of months, so that
/// zones that agree in winter only are told apart.
#[must_use]
pub fn fits(grid: Grid, held: &[Held], zone: &dyn Zone) -> bool {
    let mut last = held.iter().rev().filter_map(finite).take(14).peekable();
    last.peek().is_some() && last.all(|(low, high)| grid.is_cell(low, high, zone))
}

fn finite(held: &Held) -> Option<(i64, i64)> {
    held.low.edge.at().zip(held.high.edge.at())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::civil::parse;
    use crate::partition::period::NoZone;

    const KIND: KeyKind = KeyKind::Date;

    fn bound(text: &str) -> Bound {
        Bound::new(KIND, parse(text).unwrap(), 1).unwrap()
    }

    fn told(from: &str, to: &str, held: &[(&str, &str)]) -> Vec<String> {
        let bounds: Vec<(Bound, Bound)> = held.iter().map(|(l, h)| (bound(l), bound(h))).collect();
        let held: Vec<Held> = bounds.iter().map(|(low, high)| Held { name: "p", low, high }).collect();
        let division = Division { kind: KIND, columns: 1, grid: Grid::new(Period::Months(1)), zone: &NoZone };
        division
            .cells(parse(from).unwrap(), parse(to).unwrap(), &held)
            .into_iter()
            .map(|cell| match cell {
                Cell::Exists { .. } => "exists".to_owned(),
                Cell::Irregular { names, .. } => format!("irregular {}", names.len()),
                Cell::Missing(piece) => format!("{} {}", piece.low.sql, piece.high.sql),
            })
            .collect()
    }

    #[test]
    fn what_is_missing_is_made_around_what_is_there() {
        assert_eq!(
            told("2026-01-01", "2026-03-01", &[]),
            ["'2026-01-01' '2026-02-01'", "'2026-02-01' '2026-03-01'"]
        );
        assert_eq!(told("2026-01-01", "2026-02-01", &[("2026-01-01", "2026-02-01")]), ["exists"]);
        assert_eq!(told("2026-01-01", "2026-02-01", &[("2025-01-01", "2027-01-01")]), ["irregular 1"]);
        assert_eq!(
            told("2026-01-01", "2026-02-01", &[("2025-12-20", "2026-01-10"), ("2026-01-20", "2026-01-25")]),
            ["'2026-01-10' '2026-01-20'", "'2026-01-25' '2026-02-01'"]
        );
        assert_eq!(
            told("2026-01-01", "2026-02-01", &[("2026-01-01", "2026-01-15"), ("2026-01-15", "2026-02-01")]),
            ["irregular 2"]
        );
    }

    #[test]
    fn open_ends_hold_everything() {
        let (low, high) = match crate::partition::bound::Bounds::parse(
            "FOR VALUES FROM ('2026-01-10') TO (MAXVALUE)",
            KIND,
        ) {
            crate::partition::bound::Bounds::Range { low, high } => (low, high),
            _ => unreachable!(),
        };
        let held = [Held { name: "rest", low: &low, high: &high }];
        let division = Division { kind: KIND, columns: 1, grid: Grid::new(Period::Months(1)), zone: &NoZone };
        let cells = division.cells(parse("2026-01-01").unwrap(), parse("2026-03-01").unwrap(), &held);
        assert_eq!(cells.len(), 2);
        assert!(matches!(&cells[0], Cell::Missing(piece) if piece.high.sql == "'2026-01-10'"));
        assert!(matches!(&cells[1], Cell::Irregular { .. }));
    }

    #[test]
    fn a_bound_of_several_columns_is_continued_as_it_is() {
        let text = "FOR VALUES FROM ('2025-12-01', MINVALUE) TO ('2026-01-01', 'm')";
        let (low, high) = match crate::partition::bound::Bounds::parse(text, KIND) {
            crate::partition::bound::Bounds::Range { low, high } => (low, high),
            _ => unreachable!(),
        };
        let held = [Held { name: "p", low: &low, high: &high }];
        let division = Division { kind: KIND, columns: 2, grid: Grid::new(Period::Months(1)), zone: &NoZone };
        let cells = division.cells(parse("2026-01-01").unwrap(), parse("2026-02-01").unwrap(), &held);
        assert!(
            matches!(&cells[..], [Cell::Missing(piece)] if piece.low.sql == "'2026-01-01', 'm'" && piece.high.sql == "'2026-02-01', MINVALUE"),
            "{cells:?}"
        );
    }

    #[test]
    fn the_grid_in_use_is_gone_on_with() {
        let (low, high) = (bound("2026-10-15"), bound("2026-11-15"));
        let held = [Held { name: "p", low: &low, high: &high }];
        let usual = Grid::new(Period::Months(1));
        let found = grid_in_use(usual, &held, &NoZone, false);
        assert_eq!(found.next(parse("2026-11-15").unwrap(), &NoZone), parse("2026-12-15"));
        let (low, high) = (bound("2026-10-15"), bound("2026-11-20"));
        assert_eq!(grid_in_use(usual, &[Held { name: "p", low: &low, high: &high }], &NoZone, false), usual);
    }
}

//! Names of partitions: the table's, then what the partition holds, in the policy's time zone. Names are
//! for people: nothing is ever read from them.
#![forbid(unsafe_code)]

use super::civil::{self, DAY, HOUR, SECOND};
use super::key::KeyKind;
use super::period::{Grid, Period, Zone};

/// The longest identifier, in bytes.
pub const LONGEST: usize = 63;

/// The part of the name that says what the partition holds: p2026_11 for a month, p2026_q4, p2026,
/// p2026_11_05 for days and weeks, p2026_11_05_0600 for hours, p20261105_20261120 for what is not a cell
/// of the grid, p100000 for numbers.
#[must_use]
pub fn suffix(kind: KeyKind, grid: &Grid, low: i64, high: i64, zone: &dyn Zone) -> String {
    if !kind.is_time() {
        return if grid.is_cell(low, high, zone) {
            format!("p{}", number(low))
        } else {
            format!("p{}_{}", number(low), number(high))
        };
    }
    let local = zone.local(low);
    let c = civil::civil(local);
    let whole_month = c.day == 1 && c.time == 0;
    let year = if c.year > 0 { format!("{:04}", c.year) } else { format!("bc{:04}", 1 - c.year) };
    if !grid.is_cell(low, high, zone) {
        return format!("p{}_{}", compact(local), compact(zone.local(high)));
    }
    match grid.period {
        Period::Months(months) if whole_month && months % 12 == 0 && c.month == 1 => format!("p{year}"),
        Period::Months(3) if whole_month && c.month % 3 == 1 => format!("p{year}_q{}", c.month / 3 + 1),
        Period::Months(_) if whole_month => format!("p{year}_{:02}", c.month),
        Period::Months(_) | Period::Days(_) if c.time == 0 => {
            format!("p{year}_{:02}_{:02}", c.month, c.day)
        }
        _ => {
            let minutes = c.time / SECOND / 60;
            let clock = format!("p{year}_{:02}_{:02}_{:02}{:02}", c.month, c.day, minutes / 60, minutes % 60);
            clock + &offset_where_ambiguous(low, local, zone)
        }
    }
}

/// The offset from UTC, for a time of day that comes twice.
fn offset_where_ambiguous(instant: i64, local: i64, zone: &dyn Zone) -> String {
    let twice = [HOUR / 2, HOUR, 2 * HOUR]
        .iter()
        .any(|change| zone.local(instant - change) == local || zone.local(instant + change) == local);
    if !twice {
        return String::new();
    }
    let minutes = (local - instant) / SECOND / 60;
    let sign = if minutes < 0 { "minus" } else { "plus" };
    format!("_{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// 20261105 at midnight, 20261105t101530 at another time.
fn compact(local: i64) -> String {
    let c = civil::civil(local);
    let year = if c.year > 0 { format!("{:04}", c.year) } else { format!("bc{:04}", 1 - c.year) };
    let date = format!("{year}{:02}{:02}", c.month, c.day);
    if local.rem_euclid(DAY) == 0 {
        return date;
    }
    let seconds = c.time / SECOND;
    let fraction = c.time % SECOND;
    let time = format!("{date}t{:02}{:02}{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { time } else { format!("{time}_{fraction:06}") }
}

fn number(at: i64) -> String {
    if at < 0 { format!("minus{}", at.unsigned_abs()) } else { at.to_string() }
}

/// `table_suffix`; where that is too long, the table's name is cut at a character and six digits of a hash
/// of it are added, so that two tables that begin alike do not share names.
#[must_use]
pub fn partition_name(table: &str, suffix: &str) -> String {
    let whole = format!("{table}_{suffix}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let tail = format!("_{:06x}_{suffix}", xxhash_rust::xxh32::xxh32(table.as_bytes(), 0) & 0xff_ffff);
    let mut end = LONGEST.saturating_sub(tail.len()).min(table.len());
    while !table.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &table[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::civil::parse;
    use crate::partition::period::NoZone;

    fn named(period: Period, low: &str, high: &str) -> String {
        let (low, high) = (parse(low).unwrap(), parse(high).unwrap());
        suffix(KeyKind::Timestamp, &Grid::new(period), low, high, &NoZone)
    }

    #[test]
    fn names_say_what_is_inside() {
        assert_eq!(named(Period::Months(1), "2026-11-01", "2026-12-01"), "p2026_11");
        assert_eq!(named(Period::Months(3), "2026-10-01", "2027-01-01"), "p2026_q4");
        assert_eq!(named(Period::Months(12), "2026-01-01", "2027-01-01"), "p2026");
        assert_eq!(named(Period::Days(7), "2026-11-16", "2026-11-23"), "p2026_11_16");
        assert_eq!(named(Period::Days(1), "2026-11-16", "2026-11-17"), "p2026_11_16");
        let six = Period::Micros(6 * HOUR);
        assert_eq!(named(six, "2026-11-16 06:00:00", "2026-11-16 12:00:00"), "p2026_11_16_0600");
        assert_eq!(named(Period::Months(1), "2026-11-10", "2026-12-01"), "p20261110_20261201");
        assert_eq!(
            named(Period::Months(1), "2026-11-10 10:15:00", "2026-12-01"),
            "p20261110t101500_20261201"
        );
        let step = Grid::new(Period::Step(1000));
        assert_eq!(suffix(KeyKind::Integer, &step, 5000, 6000, &NoZone), "p5000");
        assert_eq!(suffix(KeyKind::Integer, &step, -1000, 0, &NoZone), "pminus1000");
        assert_eq!(suffix(KeyKind::Integer, &step, 5, 1000, &NoZone), "p5_1000");
    }

    #[test]
    fn an_hour_that_comes_twice_has_two_names() {
        struct Back;
        impl Zone for Back {
            fn local(&self, instant: i64) -> i64 {
                instant + if instant < HOUR { 2 * HOUR } else { HOUR }
            }
            fn instant(&self, local: i64) -> i64 {
                local - if local < 2 * HOUR { 2 * HOUR } else { HOUR }
            }
        }
        let grid = Grid::new(Period::Micros(HOUR));
        let name = |low| suffix(KeyKind::Timestamptz, &grid, low, low + HOUR, &Back);
        assert_eq!(name(0), "p2000_01_01_0200_plus0200");
        assert_eq!(name(HOUR), "p2000_01_01_0200_plus0100");
        assert_eq!(name(2 * HOUR), "p2000_01_01_0300");
        assert_eq!(name(-HOUR), "p2000_01_01_0100");
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        assert_eq!(partition_name("orders", "p2026_11"), "orders_p2026_11");
        let long = "é".repeat(31);
        let name = partition_name(&long, "p2026_11");
        assert!(name.len() <= LONGEST && name.ends_with("_p2026_11"), "{name}");
        assert_ne!(partition_name(&format!("{long}x"), "p2026_11"), name);
        assert_eq!(partition_name(&"x".repeat(54), "p2026_11").len(), 63);
        assert_eq!(partition_name(&"x".repeat(54), "p2026_11"), format!("{}_p2026_11", "x".repeat(54)));
    }
}

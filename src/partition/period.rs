//! Periods and the grid they make of time, or of numbers: months are months in the policy's time zone,
//! whoever asks, and a day of 23 or 25 hours has 23 or 25 of them.
#![forbid(unsafe_code)]

use super::civil::{self, DAY, HOUR};

/// A time zone: points in time to times of day and back, both in microseconds since 2000. A time of day
/// that occurs twice, or never, gives one of the points it may mean, as PostgreSQL's AT TIME ZONE does.
pub trait Zone {
    fn local(&self, instant: i64) -> i64;
    fn instant(&self, local: i64) -> i64;
}

/// For keys that are times of day already, and for numbers.
pub struct NoZone;

impl Zone for NoZone {
    fn local(&self, instant: i64) -> i64 {
        instant
    }
    fn instant(&self, local: i64) -> i64 {
        local
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Months(i32),
    Days(i32),
    Micros(i64),
    /// Of a number.
    Step(i64),
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, unit) = match *self {
            Self::Months(months) if months % 12 == 0 => (i64::from(months / 12), "year"),
            Self::Months(months) => (i64::from(months), "month"),
            Self::Days(days) => (i64::from(days), "day"),
            Self::Micros(length) if length % HOUR == 0 => (length / HOUR, "hour"),
            Self::Micros(length) => (length / (HOUR / 60), "minute"),
            Self::Step(step) => return write!(f, "{step}"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// 2000-01-03, a Monday: where weeks begin.
const MONDAY: i64 = 2 * DAY;
/// Nearer to the end of time than this nothing is reckoned with.
const FAR: i64 = i64::MAX / 4;

impl Period {
    /// From the fields of an interval.
    pub fn from_interval(months: i32, days: i32, micros: i64) -> Result<Self, &'static str> {
        match (months, days, micros) {
            (1.., 0, 0) => Ok(Self::Months(months)),
            (0, 1.., 0) => Ok(Self::Days(days)),
            (0, 0, 60_000_000..) => Ok(Self::Micros(micros)),
            (0, 0, 1..) => Err("A period is a minute at least."),
            (0, 0, 0) => Err("A period cannot be empty."),
            (0.., 0.., 0..) => Err("A period is a number of months, of days or of hours, not a mixture."),
            _ => Err("A period cannot be negative."),
        }
    }

    pub fn from_step(step: i64) -> Result<Self, &'static str> {
        if step > 0 { Ok(Self::Step(step)) } else { Err("A step must be positive.") }
    }

    /// Length in microseconds, about; of numbers the step.
    #[must_use]
    pub fn about(self) -> i64 {
        match self {
            Self::Months(months) => i64::from(months) * 30 * DAY + i64::from(months) * 10 * HOUR,
            Self::Days(days) => i64::from(days) * DAY,
            Self::Micros(length) | Self::Step(length) => length,
        }
    }
}

/// Where a period's cells begin: at `anchor`, as local time, and every period before and after it. Cells of
/// hours begin whenever the clock on the wall shows such a time: twice where it is set back over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub period: Period,
    pub anchor: i64,
}

impl Grid {
    /// The usual grid: months begin on the first, quarters in January, April, July and October, weeks on
    /// Monday, days at midnight, hours on the hour; numbers are multiples of the step.
    #[must_use]
    pub const fn new(period: Period) -> Self {
        let anchor = match period {
            Period::Days(days) if days % 7 == 0 => MONDAY,
            _ => 0,
        };
        Self { period, anchor }
    }

    /// The grid that has a boundary at `at`, if there is one: a month may begin on any day up to the 28th.
    #[must_use]
    pub fn through(period: Period, at: i64, zone: &dyn Zone) -> Option<Self> {
        if !(-FAR..FAR).contains(&at) {
            return None;
        }
        let local = zone.local(at);
        let anchor = match period {
            Period::Months(_) if civil::civil(local).day > 28 => return None,
            Period::Months(_) => local,
            Period::Days(days) => local.rem_euclid(i64::from(days) * DAY),
            Period::Micros(length) | Period::Step(length) => local.rem_euclid(length),
        };
        let grid = Self { period, anchor };
        (grid.floor(at, zone) == Some(at)).then_some(grid.canonical())
    }

    /// The same grid, with the anchor `new` would give it if that fits.
    fn canonical(self) -> Self {
        let usual = Self::new(self.period);
        let same = match self.period {
            Period::Months(months) => {
                let c = civil::civil(self.anchor);
                let index = c.year * 12 + c.month - 1;
                c.day == 1 && c.time == 0 && (index - 2000 * 12).rem_euclid(i64::from(months)) == 0
            }
            Period::Days(days) => (self.anchor - usual.anchor).rem_euclid(i64::from(days) * DAY) == 0,
            Period::Micros(length) | Period::Step(length) => self.anchor.rem_euclid(length) == 0,
        };
        if same { usual } else { self }
    }

    /// The last boundary that is not after `at`.
    #[must_use]
    pub fn floor(&self, at: i64, zone: &dyn Zone) -> Option<i64> {
        if let Period::Step(step) = self.period {
            return at.checked_sub(at.checked_sub(self.anchor)?.rem_euclid(step));
        }
        if !(-FAR..FAR).contains(&at) {
            return None;
        }
        match self.period {
            Period::Micros(length) => {
                let past = |at: i64| (zone.local(at) - self.anchor).rem_euclid(length);
                let boundary = at - past(at);
                match change_of_clock(boundary, at, zone) {
                    None => Some(boundary),
                    Some(change) => Some(change - 1 - past(change - 1)),
                }
            }
            Period::Months(_) | Period::Days(_) | Period::Step(_) => {
                let mut index = self.index(zone.local(at));
                while self.boundary(index, zone)? > at {
                    index -= 1;
                }
                while self.boundary(index + 1, zone)? <= at {
                    index += 1;
                }
                self.boundary(index, zone)
            }
        }
    }

    /// The first boundary after `at`.
    #[must_use]
    pub fn next(&self, at: i64, zone: &dyn Zone) -> Option<i64> {
        match self.period {
            Period::Step(step) => self.floor(at, zone)?.checked_add(step),
            Period::Micros(length) => {
                if !(-FAR..FAR).contains(&at) {
                    return None;
                }
                let left = |at: i64| length - (zone.local(at) - self.anchor).rem_euclid(length);
                let boundary = at + left(at);
                match change_of_clock(at, boundary, zone) {
                    None => Some(boundary),
                    // The clock may show a boundary's time right when it is changed.
                    Some(change) => Some(change + left(change) % length),
                }
            }
            _ => {
                let floor = self.floor(at, zone)?;
                let mut index = self.index(zone.local(floor));
                while self.boundary(index, zone)? <= at {
                    index += 1;
                }
                self.boundary(index, zone)
            }
        }
    }

    /// The boundary `count` cells after the one `at` lies in begins; before it if negative.
    #[must_use]
    pub fn step(&self, at: i64, count: i64, zone: &dyn Zone) -> Option<i64> {
        let floor = self.floor(at, zone)?;
        match self.period {
            Period::Step(step) => floor.checked_add(step.checked_mul(count)?),
            Period::Micros(_) => {
                let mut boundary = floor;
                for _ in 0..count.unsigned_abs() {
                    boundary =
                        if count > 0 { self.next(boundary, zone)? } else { self.floor(boundary - 1, zone)? };
                }
                Some(boundary)
            }
            _ => {
                let mut index = self.index(zone.local(floor));
                while self.boundary(index, zone)? < floor {
                    index += 1;
                }
                self.boundary(index.checked_add(count)?, zone)
            }
        }
    }

    /// The number of the cell a local time lies in, of months and days.
    fn index(&self, local: i64) -> i64 {
        match self.period {
            Period::Months(months) => {
                let (c, anchor) = (civil::civil(local), civil::civil(self.anchor));
                let within = (c.day - anchor.day) * DAY + c.time - anchor.time;
                let passed = (c.year - anchor.year) * 12 + c.month - anchor.month - i64::from(within < 0);
                passed.div_euclid(i64::from(months))
            }
            Period::Days(days) => (local - self.anchor).div_euclid(i64::from(days) * DAY),
            Period::Micros(length) | Period::Step(length) => (local - self.anchor).div_euclid(length),
        }
    }

    /// Where the cell of this number begins; of months and days.
    fn boundary(&self, index: i64, zone: &dyn Zone) -> Option<i64> {
        let local = match self.period {
            Period::Months(months) => {
                let anchor = civil::civil(self.anchor);
                let month =
                    index.checked_mul(i64::from(months))?.checked_add(anchor.year * 12 + anchor.month - 1)?;
                if month.abs() > 12 * 290_000 {
                    return None;
                }
                civil::at_midnight(month.div_euclid(12), month.rem_euclid(12) + 1, anchor.day)?
                    .checked_add(anchor.time)?
            }
            Period::Days(days) => index.checked_mul(i64::from(days) * DAY)?.checked_add(self.anchor)?,
            Period::Micros(length) | Period::Step(length) => {
                index.checked_mul(length)?.checked_add(self.anchor)?
            }
        };
        (-FAR..FAR).contains(&local).then(|| zone.instant(local))
    }

    /// The cells that cover `low` to `high`, each with its bounds, cut off there: whole ones but for the first
    /// and the last. At most `limit`.
    #[must_use]
    pub fn cells(&self, low: i64, high: i64, limit: usize, zone: &dyn Zone) -> Vec<(i64, i64)> {
        let mut cells = Vec::new();
        let mut from = low;
        while from < high && cells.len() < limit {
            let Some(next) = self.next(from, zone) else { break };
            let to = next.min(high);
            cells.push((from, to));
            from = to;
        }
        cells
    }

    /// Whether these are the bounds of one cell.
    #[must_use]
    pub fn is_cell(&self, low: i64, high: i64, zone: &dyn Zone) -> bool {
        self.floor(low, zone) == Some(low) && self.next(low, zone) == Some(high)
    }
}

/// A local time less an interval, as PostgreSQL reckons: months first, the last day of a shorter month for
/// one it does not have.
#[must_use]
pub fn less(local: i64, months: i32, days: i32, micros: i64) -> Option<i64> {
    if !(-FAR..FAR).contains(&local) {
        return None;
    }
    let c = civil::civil(local);
    let month = c.year * 12 + c.month - 1 - i64::from(months);
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let length = civil::days_from_civil(next.0, next.1, 1) - civil::days_from_civil(year, month, 1);
    civil::at_midnight(year, month, c.day.min(length))?
        .checked_add(c.time)?
        .checked_sub(i64::from(days).checked_mul(DAY)?)?
        .checked_sub(micros)
}

/// When the clock was changed after `from` and not after `to`; none where it was not.
fn change_of_clock(from: i64, to: i64, zone: &dyn Zone) -> Option<i64> {
    let offset = |at: i64| zone.local(at) - at;
    let new = offset(to);
    if offset(from) == new {
        return None;
    }
    let (mut before, mut after) = (from, to);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset(middle) == new { after = middle } else { before = middle }
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::civil::{SECOND, parse, timestamp_text};

    /// One hour ahead of UTC, two from the last Sunday of March 01:00 UTC to that of October, of 2026.
    struct Vienna;
    impl Vienna {
        fn summer(instant: i64) -> bool {
            (parse("2026-03-29 01:00:00").unwrap()..parse("2026-10-25 01:00:00").unwrap()).contains(&instant)
        }
    }
    impl Zone for Vienna {
        fn local(&self, instant: i64) -> i64 {
            instant + if Self::summer(instant) { 2 * HOUR } else { HOUR }
        }
        fn instant(&self, local: i64) -> i64 {
            // As PostgreSQL: standard time where both fit or neither does.
            let standard = local - HOUR;
            let summer = local - 2 * HOUR;
            let fits = |at: i64| self.local(at) == local;
            if fits(standard) || !fits(summer) { standard } else { summer }
        }
    }

    fn texts(cells: &[(i64, i64)]) -> Vec<String> {
        cells
            .iter()
            .map(|(low, high)| format!("{}/{}", timestamp_text(*low, ""), (high - low) / HOUR))
            .collect()
    }

    #[test]
    fn months_are_months_of_the_zone() {
        let grid = Grid::new(Period::Months(1));
        let at = parse("2026-03-15").unwrap();
        assert_eq!(grid.floor(at, &Vienna), parse("2026-02-28 23:00:00"));
        assert_eq!(grid.next(at, &Vienna), parse("2026-03-31 22:00:00"));
        assert_eq!(grid.step(at, -3, &Vienna), parse("2025-11-30 23:00:00"));
        assert_eq!(grid.step(at, 8, &Vienna), parse("2026-10-31 23:00:00"));
        let cells = grid.cells(
            parse("2026-02-28 23:00:00").unwrap(),
            parse("2026-11-30 23:00:00").unwrap(),
            99,
            &Vienna,
        );
        assert_eq!(cells.len(), 9);
        assert!(cells.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn quarters_years_weeks_and_days_begin_where_they_should() {
        let at = parse("2026-11-21 15:00:00").unwrap();
        let floor = |period| timestamp_text(Grid::new(period).floor(at, &NoZone).unwrap(), "");
        assert_eq!(floor(Period::Months(3)), "2026-10-01 00:00:00");
        assert_eq!(floor(Period::Months(12)), "2026-01-01 00:00:00");
        assert_eq!(floor(Period::Days(7)), "2026-11-16 00:00:00");
        assert_eq!(floor(Period::Days(1)), "2026-11-21 00:00:00");
        assert_eq!(floor(Period::Micros(6 * HOUR)), "2026-11-21 12:00:00");
        assert_eq!(floor(Period::Micros(60 * SECOND)), "2026-11-21 15:00:00");
        assert_eq!(Grid::new(Period::Step(100)).floor(-1, &NoZone), Some(-100));
        assert_eq!(Grid::new(Period::Step(100)).next(-1, &NoZone), Some(0));
        assert_eq!(Grid::new(Period::Step(100)).next(i64::MAX - 1, &NoZone), None);
    }

    #[test]
    fn hours_neither_vanish_nor_double() {
        let hours = Grid::new(Period::Micros(HOUR));
        let whole_day = |day: &str, next: &str| {
            let (low, high) = (Vienna.instant(parse(day).unwrap()), Vienna.instant(parse(next).unwrap()));
            let cells = hours.cells(low, high, 99, &Vienna);
            assert!(cells.iter().all(|(low, high)| high - low == HOUR), "{:?}", texts(&cells));
            for (low, high) in &cells {
                for within in [*low, low + HOUR / 2, high - 1] {
                    assert_eq!(hours.floor(within, &Vienna), Some(*low));
                    assert_eq!(hours.next(within, &Vienna), Some(*high));
                }
            }
            cells.len()
        };
        assert_eq!(whole_day("2026-03-29", "2026-03-30"), 23);
        assert_eq!(whole_day("2026-10-25", "2026-10-26"), 25);
        assert_eq!(whole_day("2026-07-01", "2026-07-02"), 24);
    }

    #[test]
    fn a_boundary_where_the_clock_is_changed() {
        // Set forward at two, back at three.
        let grid = Grid::new(Period::Micros(2 * HOUR));
        let at = |text: &str| parse(text).unwrap();
        assert_eq!(grid.next(at("2026-03-28 23:00:00"), &Vienna), parse("2026-03-29 02:00:00"));
        assert_eq!(grid.next(at("2026-10-24 22:00:00"), &Vienna), parse("2026-10-25 00:00:00"));
        assert_eq!(grid.next(at("2026-10-25 00:00:00"), &Vienna), parse("2026-10-25 01:00:00"));
        assert_eq!(grid.next(at("2026-10-25 01:00:00"), &Vienna), parse("2026-10-25 03:00:00"));
    }

    #[test]
    fn six_hours_stay_on_the_clock() {
        let grid = Grid::new(Period::Micros(6 * HOUR));
        let low = Vienna.instant(parse("2026-10-25").unwrap());
        let high = Vienna.instant(parse("2026-10-26").unwrap());
        let cells = grid.cells(low, high, 99, &Vienna);
        assert_eq!(
            texts(&cells),
            [
                "2026-10-24 22:00:00/7",
                "2026-10-25 05:00:00/6",
                "2026-10-25 11:00:00/6",
                "2026-10-25 17:00:00/6"
            ]
        );
        for (low, high) in &cells {
            assert!(grid.is_cell(*low, *high, &Vienna));
            assert_eq!(grid.floor(high - 1, &Vienna), Some(*low));
        }
    }

    #[test]
    fn every_grid_is_contiguous_over_a_year() {
        for period in [
            Period::Months(1),
            Period::Days(1),
            Period::Days(7),
            Period::Micros(HOUR),
            Period::Micros(2 * HOUR),
            Period::Micros(5 * HOUR),
            Period::Micros(HOUR / 2),
        ] {
            let grid = Grid::new(period);
            let mut at = grid.floor(parse("2026-01-01").unwrap(), &Vienna).unwrap();
            while at < parse("2027-01-01").unwrap() {
                let next = grid.next(at, &Vienna).unwrap();
                assert!(next > at);
                assert_eq!(grid.floor(next - 1, &Vienna), Some(at), "{period:?} {}", timestamp_text(at, ""));
                assert_eq!(grid.floor(next, &Vienna), Some(next), "{period:?} {}", timestamp_text(next, ""));
                at = next;
            }
        }
    }

    #[test]
    fn a_grid_found_is_kept_to() {
        let fifteenth = parse("2026-11-15").unwrap();
        let grid = Grid::through(Period::Months(1), fifteenth, &NoZone).unwrap();
        assert_eq!(grid.next(fifteenth, &NoZone), parse("2026-12-15"));
        assert_eq!(grid.floor(fifteenth - 1, &NoZone), parse("2026-10-15"));
        let sunday = parse("2026-11-22").unwrap();
        let grid = Grid::through(Period::Days(7), sunday, &NoZone).unwrap();
        assert_eq!(grid.next(sunday, &NoZone), parse("2026-11-29"));
        assert_eq!(Grid::through(Period::Months(1), parse("2026-11-30").unwrap(), &NoZone), None);
        assert_eq!(
            Grid::through(Period::Months(3), parse("2026-10-01").unwrap(), &NoZone),
            Some(Grid::new(Period::Months(3)))
        );
        let odd = Grid::through(Period::Months(3), parse("2026-11-01").unwrap(), &NoZone).unwrap();
        assert_eq!(odd.next(parse("2026-11-01").unwrap(), &NoZone), parse("2027-02-01"));
        let step = Grid::through(Period::Step(1000), 1, &NoZone).unwrap();
        assert_eq!(step.next(1, &NoZone), Some(1001));
    }

    #[test]
    fn periods_are_of_one_unit() {
        assert_eq!(Period::from_interval(3, 0, 0), Ok(Period::Months(3)));
        assert_eq!(Period::from_interval(0, 7, 0), Ok(Period::Days(7)));
        assert!(Period::from_interval(1, 1, 0).is_err());
        assert!(Period::from_interval(0, 0, 0).is_err());
        assert!(Period::from_interval(0, 0, 5).is_err());
        assert!(Period::from_interval(-1, 0, 0).is_err());
        assert!(Period::from_step(0).is_err());
    }

    #[test]
    fn months_are_taken_off_as_postgresql_does() {
        let at = |text: &str| parse(text).unwrap();
        assert_eq!(less(at("2026-03-31 10:00:00"), 1, 0, 0), parse("2026-02-28 10:00:00"));
        assert_eq!(less(at("2024-03-31"), 1, 1, HOUR), parse("2024-02-27 23:00:00"));
        assert_eq!(less(at("2026-01-15"), 13, 0, 0), parse("2024-12-15"));
        assert_eq!(less(i64::MAX, 1, 0, 0), None);
    }

    #[test]
    fn the_ends_of_time_are_no_panic() {
        for period in [Period::Months(1), Period::Days(1), Period::Micros(HOUR)] {
            for at in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
                let grid = Grid::new(period);
                assert_eq!(grid.next(at, &NoZone), None);
                assert_eq!(grid.floor(at, &NoZone), None);
                assert_eq!(grid.step(at, 1, &NoZone), None);
            }
        }
    }
}

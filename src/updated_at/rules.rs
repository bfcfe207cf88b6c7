//! What an UPDATE does to the columns that are kept for the application.
#![forbid(unsafe_code)]

/// How the new version of a row differs from the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// In a column of the application's own.
    pub application: bool,
    /// In version or updated_by.
    pub counted: bool,
    /// In updated_at.
    pub time: bool,
}

/// What is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The clock's time into updated_at.
    pub time: bool,
    /// One more into version, the actor into updated_by.
    pub count: bool,
}

/// An UPDATE that changes nothing leaves everything as it is. One that changes updated_at and nothing
/// else is the application's own wish (a touch, a correction): its value stands, and counts as a change.
/// Asked to look at every UPDATE alike, the clock's time goes into each.
#[inline]
pub fn action(only_if_changed: bool, difference: Difference) -> Action {
    let time = !only_if_changed || difference.application || difference.counted;
    Action { time, count: time || difference.time }
}

/// The version after one more update; none past the column's range.
#[inline]
pub fn next_version(old: Option<i64>, largest: i64) -> Option<i64> {
    old.unwrap_or(0).checked_add(1).filter(|next| *next <= largest)
}

/// Microseconds rounded as a column of fewer decimals (`timestamptz(3)`) rounds them.
#[inline]
pub fn to_precision(time: i64, decimals: i32) -> i64 {
    const UNITS: [i64; 6] = [1_000_000, 100_000, 10_000, 1_000, 100, 10];
    match usize::try_from(decimals).ok().and_then(|decimals| UNITS.get(decimals)) {
        Some(unit) if time >= 0 => (time + unit / 2) / unit * unit,
        Some(unit) => -((-time + unit / 2) / unit * unit),
        None => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Difference = Difference { application: false, counted: false, time: false };

    #[test]
    fn an_update_that_changes_nothing_touches_nothing() {
        assert_eq!(action(true, SAME), Action { time: false, count: false });
        assert_eq!(action(false, SAME), Action { time: true, count: true });
    }

    #[test]
    fn a_change_is_timed_and_counted_whatever_the_application_wrote_there() {
        for (counted, time) in [(false, false), (false, true), (true, false), (true, true)] {
            let difference = Difference { application: true, counted, time };
            assert_eq!(action(true, difference), Action { time: true, count: true });
        }
        assert_eq!(action(true, Difference { counted: true, ..SAME }), Action { time: true, count: true });
    }

    #[test]
    fn updated_at_alone_is_the_applications() {
        let touched = Difference { time: true, ..SAME };
        assert_eq!(action(true, touched), Action { time: false, count: true });
        assert_eq!(action(false, touched), Action { time: true, count: true });
    }

    #[test]
    fn versions_count_up_from_what_is_there() {
        assert_eq!(next_version(None, i64::MAX), Some(1));
        assert_eq!(next_version(Some(41), i64::MAX), Some(42));
        assert_eq!(next_version(Some(i64::from(i32::MAX)), i64::from(i32::MAX)), None);
        assert_eq!(next_version(Some(i64::MAX), i64::MAX), None);
    }

    #[test]
    fn times_are_rounded_as_a_cast_does() {
        assert_eq!(to_precision(1_499_999, 0), 1_000_000);
        assert_eq!(to_precision(1_500_000, 0), 2_000_000);
        assert_eq!(to_precision(-1_500_000, 0), -2_000_000);
        assert_eq!(to_precision(1_234_567, 3), 1_235_000);
        assert_eq!(to_precision(1_234_567, 6), 1_234_567);
        assert_eq!(to_precision(1_234_567, -1), 1_234_567);
    }
}

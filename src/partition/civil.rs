//! The calendar, in microseconds since 2000-01-01 00:00 as PostgreSQL counts them.
#![forbid(unsafe_code)]

pub const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3_600 * SECOND;
pub const DAY: i64 = 24 * HOUR;
/// 2000-01-01 in seconds since 1970-01-01.
pub const EPOCH_2000: i64 = 946_684_800;
/// PostgreSQL's infinity and -infinity.
pub const INFINITY: i64 = i64::MAX;
pub const MINUS_INFINITY: i64 = i64::MIN;

/// A point in time taken apart. Year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    /// Microseconds since midnight.
    pub time: i64,
}

/// Days since 2000-01-01 of a date of the Gregorian calendar, extended backwards.
#[must_use]
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    // 730425 days lie between 0000-03-01 and 2000-01-01.
    era * 146_097 + day_of_era - 730_425
}

/// The date of a number of days since 2000-01-01.
#[must_use]
pub const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 730_425;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[must_use]
pub const fn civil(at: i64) -> Civil {
    let (year, month, day) = civil_from_days(at.div_euclid(DAY));
    Civil { year, month, day, time: at.rem_euclid(DAY) }
}

/// Microseconds since 2000 of a date; none where it is out of range.
#[must_use]
pub fn at_midnight(year: i64, month: i64, day: i64) -> Option<i64> {
    days_from_civil(year, month, day).checked_mul(DAY)
}

/// `2026-11-01`, `0044-03-15 BC` without the era, which `era` gives.
fn date(c: Civil) -> String {
    let year = if c.year > 0 { c.year } else { 1 - c.year };
    format!("{year:04}-{:02}-{:02}", c.month, c.day)
}

const fn era(c: Civil) -> &'static str {
    if c.year > 0 { "" } else { " BC" }
}

/// A date as PostgreSQL reads it under every DateStyle.
#[must_use]
pub fn date_text(at: i64) -> String {
    match at {
        INFINITY => "infinity".into(),
        MINUS_INFINITY => "-infinity".into(),
        _ => format!("{}{}", date(civil(at)), era(civil(at))),
    }
}

/// A point in time as PostgreSQL reads it under every DateStyle; `zone` is what follows, such as `+00`.
#[must_use]
pub fn timestamp_text(at: i64, zone: &str) -> String {
    match at {
        INFINITY => return "infinity".into(),
        MINUS_INFINITY => return "-infinity".into(),
        _ => {}
    }
    let c = civil(at);
    let seconds = c.time / SECOND;
    let mut text = format!("{} {:02}:{:02}:{:02}", date(c), seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = c.time % SECOND;
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    text + zone + era(c)
}

/// Reads what PostgreSQL prints for a date or a timestamp with DateStyle ISO and TimeZone UTC.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    match text {
        "infinity" => return Some(INFINITY),
        "-infinity" => return Some(MINUS_INFINITY),
        _ => {}
    }
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if before_christ { 1 - year } else { year };
    let time = time.strip_suffix("+00").unwrap_or(time);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || fraction.len() > 6 {
        return None;
    }
    let micros: i64 = if fraction.is_empty() { 0 } else { format!("{fraction:0<6}").parse().ok()? };
    at_midnight(year, month, day)?.checked_add(((hours * 60 + minutes) * 60 + seconds) * SECOND + micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        assert_eq!(days_from_civil(2000, 1, 1), 0);
        assert_eq!(days_from_civil(1970, 1, 1), -10957);
        assert_eq!(days_from_civil(2026, 11, 21), 9821);
        for days in (-800_000..3_000_000).step_by(97) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(civil_from_days(59), (2000, 2, 29));
    }

    #[test]
    fn what_postgresql_prints_is_read_back() {
        for text in [
            "2026-11-01 00:00:00",
            "1999-12-31 23:59:59.999999",
            "0044-03-15 12:30:00.5 BC",
            "12026-01-01 00:00:00",
            "infinity",
            "-infinity",
        ] {
            let at = parse(text).unwrap();
            assert_eq!(timestamp_text(at, ""), text);
        }
        assert_eq!(parse("2026-11-01"), parse("2026-11-01 00:00:00+00"));
        assert_eq!(date_text(parse("2026-02-28").unwrap()), "2026-02-28");
        for bad in ["", "2026", "2026-13-01", "2026-01-01 25", "now", "2026-01-01 00:00:00+02"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

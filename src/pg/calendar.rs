//! Dates and times as ISO 8601 text in UTC, character for character what PostgreSQL's JsonEncodeDateTime()
//! makes of them for JSON.
#![forbid(unsafe_code)]

use super::number::PAIRS;

const DAY: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's dates begin.
const EPOCH: i64 = 10_957;
/// Days before that of the first day there is, in 4714 BC.
const FIRST_DAY: i64 = -2_451_545;

/// Appends a date, given in days since 2000-01-01.
pub fn date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MIN => out.extend_from_slice(b"-infinity"),
        i32::MAX => out.extend_from_slice(b"infinity"),
        _ => {
            let before_christ = day(i64::from(days), out);
            era(before_christ, out);
        }
    }
}

/// Appends a timestamp, given in microseconds since 2000-01-01 00:00; `zone`: with `+00:00`. None where there
/// is no such time.
pub fn timestamp(at: i64, zone: bool, out: &mut Vec<u8>) -> Option<()> {
    match at {
        i64::MIN => out.extend_from_slice(b"-infinity"),
        i64::MAX => out.extend_from_slice(b"infinity"),
        _ => {
            let days = at.div_euclid(DAY);
            if days < FIRST_DAY {
                return None;
            }
            let before_christ = day(days, out);
            out.push(b'T');
            time(at.rem_euclid(DAY), out);
            if zone {
                out.extend_from_slice(b"+00:00");
            }
            era(before_christ, out);
        }
    }
    Some(())
}

/// Appends a time of day, given in microseconds.
#[inline]
pub fn time(at: i64, out: &mut Vec<u8>) {
    clock((at / 1_000_000) as u32, true, out);
    let fraction = (at % 1_000_000) as usize;
    if fraction != 0 {
        let mut text = *b".000000";
        for (i, part) in [fraction / 10_000, fraction / 100 % 100, fraction % 100].into_iter().enumerate() {
            text[1 + 2 * i..3 + 2 * i].copy_from_slice(&PAIRS[part % 100]);
        }
        let zeros = text.iter().rev().take_while(|&&digit| digit == b'0').count();
        out.extend_from_slice(&text[..text.len() - zeros]);
    }
}

/// Appends a time zone, given in seconds west of Greenwich.
pub fn zone(west: i32, out: &mut Vec<u8>) {
    out.push(if west <= 0 { b'+' } else { b'-' });
    clock(west.unsigned_abs(), west % 60 != 0, out);
}

#[inline]
fn clock(seconds: u32, with_seconds: bool, out: &mut Vec<u8>) {
    let (h, m, s) = (pair(seconds / 3600), pair(seconds / 60 % 60), pair(seconds % 60));
    let text = [h[0], h[1], b':', m[0], m[1], b':', s[0], s[1]];
    out.extend_from_slice(if with_seconds { &text } else { &text[..5] });
}

fn pair(number: u32) -> [u8; 2] {
    PAIRS[number as usize % 100]
}

/// Appends a day; says whether it is one before Christ.
#[inline]
fn day(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil(days + EPOCH);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year } as u32;
    if year >= 10_000 {
        out.extend_from_slice(itoa::Buffer::new().format(year / 100).as_bytes());
    } else {
        out.extend_from_slice(&pair(year / 100));
    }
    let (y, m, d) = (pair(year), pair(month), pair(day));
    out.extend_from_slice(&[y[0], y[1], b'-', m[0], m[1], b'-', d[0], d[1]]);
    before_christ
}

fn era(before_christ: bool, out: &mut Vec<u8>) {
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Gregorian; Hinnant's algorithm). The year before 1
/// is 0. Counted from the year -4800, which no date precedes, small numbers without a sign will do.
#[inline]
fn civil(days: i64) -> (i32, u32, u32) {
    let days = (days + 719_468 + 12 * 146_097) as u32;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    ((year_of_era + era * 400 + u32::from(month <= 2)) as i32 - 4800, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn stamp(at: i64) -> String {
        text(|o| timestamp(at, true, o).unwrap())
    }

    #[test]
    fn timestamps_are_iso_in_utc() {
        assert_eq!(stamp(0), "2000-01-01T00:00:00+00:00");
        assert_eq!(stamp(845_937_296_789_120), "2026-10-21T22:34:56.78912+00:00");
        assert_eq!(stamp(-1), "1999-12-31T23:59:59.999999+00:00");
        assert_eq!(stamp(-63_082_281_600_000_000), "0001-01-01T00:00:00+00:00");
        assert_eq!(stamp(-63_082_281_600_000_001), "0001-12-31T23:59:59.999999+00:00 BC");
        assert_eq!(stamp(-211_813_488_000_000_000), "4714-11-24T00:00:00+00:00 BC");
        assert_eq!(stamp(9_223_371_331_199_999_999), "294276-12-31T23:59:59.999999+00:00");
        assert_eq!((&*stamp(i64::MIN), &*stamp(i64::MAX)), ("-infinity", "infinity"));
        assert!(timestamp(i64::MIN + 1, false, &mut Vec::new()).is_none());
    }

    #[test]
    fn dates_times_and_zones() {
        assert_eq!(text(|o| date(59, o)), "2000-02-29");
        assert_eq!(text(|o| date(FIRST_DAY as i32, o)), "4714-11-24 BC");
        assert_eq!(text(|o| date(2_145_031_948, o)), "5874897-12-31");
        assert_eq!(text(|o| date(i32::MAX, o)), "infinity");
        assert_eq!(text(|o| time(DAY, o)), "24:00:00");
        assert_eq!(text(|o| time(1_000, o)), "00:00:00.001");
        assert_eq!(text(|o| zone(0, o)), "+00:00");
        assert_eq!(text(|o| zone(-19_800, o)), "+05:30");
        assert_eq!(text(|o| zone(57_599, o)), "-15:59:59");
    }
}

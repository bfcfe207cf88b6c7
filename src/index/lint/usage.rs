//! How used an index is.
#![forbid(unsafe_code)]

/// Scans a day, over the days observed. A day is the least there is to judge by: an index scanned ten
/// times in its first hour is not known to be scanned 240 times a day.
pub fn scans_per_day(scans: i64, days: f64) -> f64 {
    scans as f64 / days.max(1.0)
}

pub fn category(scans: i64, days: f64) -> &'static str {
    let rate = scans_per_day(scans, days);
    if scans == 0 {
        "UNUSED"
    } else if rate < 1.0 {
        "RARELY_USED"
    } else if rate < 100.0 {
        "OCCASIONALLY_USED"
    } else {
        "FREQUENTLY_USED"
    }
}

#[cfg(test)]
mod tests {
    use super::category;

    #[test]
    fn the_same_scans_mean_different_things_over_different_times() {
        assert_eq!(category(0, 30.0), "UNUSED");
        assert_eq!(category(20, 30.0), "RARELY_USED");
        assert_eq!(category(20, 5.0), "OCCASIONALLY_USED");
        assert_eq!(category(20, 0.01), "OCCASIONALLY_USED");
        assert_eq!(category(3000, 30.0), "FREQUENTLY_USED");
    }
}

//! Times of day in the session's time zone.

use pgrx::pg_sys;

/// Converts a timestamptz to the timestamp a cast gives, remembering the last answer: within one
/// transaction most questions are the same.
pub struct LocalTime {
    zone: *mut pg_sys::pg_tz,
    instant: i64,
    local: i64,
}

impl Default for LocalTime {
    fn default() -> Self {
        Self { zone: std::ptr::null_mut(), instant: 0, local: 0 }
    }
}

impl LocalTime {
    #[inline]
    pub fn at(&mut self, instant: i64) -> i64 {
        // SAFETY: a backend-local variable; zones are cached for the life of the session, so that equal
        // pointers mean the same zone.
        let zone = unsafe { pg_sys::session_timezone };
        if self.zone != zone || self.instant != instant {
            // SAFETY: a function of one timestamptz that never returns null; a time out of range is an
            // error, which unwinds.
            let local = unsafe {
                pgrx::direct_function_call_as_datum(
                    pg_sys::timestamptz_timestamp,
                    &[Some(pg_sys::Datum::from(instant))],
                )
            };
            (self.zone, self.instant) = (zone, instant);
            self.local = local.map_or(instant, |datum| datum.value() as i64);
        }
        self.local
    }
}

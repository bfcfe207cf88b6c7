//! Times of day in the session's time zone.

use pgrx::IntoDatum;
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

/// A time zone by name, whatever the session's is.
pub struct NamedZone {
    name: pg_sys::Datum,
}

impl NamedZone {
    /// The zone of this name; the error PostgreSQL raises for an unknown one.
    pub fn new(name: &str) -> crate::error::Result<Self> {
        super::subtransaction::attempt(|| {
            let zone = Self { name: name.into_datum().unwrap_or(pg_sys::Datum::from(0usize)) };
            zone.local(0);
            Ok(zone)
        })
    }

    /// The time of day in the zone at a point in time; both in microseconds since 2000.
    pub fn local(&self, instant: i64) -> i64 {
        // SAFETY: functions of a text and a timestamp that never return null; errors unwind.
        let local = unsafe {
            pgrx::direct_function_call_as_datum(
                pg_sys::timestamptz_zone,
                &[Some(self.name), Some(pg_sys::Datum::from(instant))],
            )
        };
        local.map_or(instant, |datum| datum.value() as i64)
    }

    /// The point in time at which the zone's clocks show a time of day.
    pub fn instant(&self, local: i64) -> i64 {
        // SAFETY: as above.
        let instant = unsafe {
            pgrx::direct_function_call_as_datum(
                pg_sys::timestamp_zone,
                &[Some(self.name), Some(pg_sys::Datum::from(local))],
            )
        };
        instant.map_or(local, |datum| datum.value() as i64)
    }
}

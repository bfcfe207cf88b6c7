//! Output functions of types, called under fixed settings.

use pgrx::pg_sys;
use pgrx::varlena;
use std::cell::Cell;

/// A value does not fit.
pub(super) struct TooLarge;

/// An output function, looked up once.
pub struct Output {
    function: *mut pg_sys::FmgrInfo,
    varlena: bool,
    /// Session settings change what it says.
    settings: bool,
    /// Bytes it may make of one: what palloc cannot hold must be found out before.
    growth: usize,
}

impl Output {
    pub(super) fn of_type(type_oid: pg_sys::Oid, memory: pg_sys::MemoryContext) -> Self {
        // SAFETY: every type has an output function; the FmgrInfo lives in `memory` with all it caches.
        unsafe {
            let mut function = pg_sys::InvalidOid;
            let mut is_varlena = false;
            pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut is_varlena);
            let info: *mut pg_sys::FmgrInfo =
                pg_sys::MemoryContextAllocZero(memory, size_of::<pg_sys::FmgrInfo>()).cast();
            pg_sys::fmgr_info_cxt(function, info, memory);
            Self {
                function: info,
                varlena: is_varlena,
                settings: depends_on_settings(type_oid),
                growth: match type_oid {
                    // A digit a bit; quotes within quotes within quotes.
                    pg_sys::BITOID | pg_sys::VARBITOID => 8,
                    _ if pg_sys::get_element_type(type_oid) != pg_sys::InvalidOid => 8,
                    _ => 1,
                },
            }
        }
    }

    /// The value's text under fixed settings.
    pub(super) fn text(&self, datum: pg_sys::Datum, room: usize) -> Result<&[u8], TooLarge> {
        if self.varlena {
            check_size(datum, room / self.growth)?;
        }
        let _pinned = self.settings.then(Pinned::new);
        Ok(self.call(datum))
    }

    /// The value's text, for a type that no setting changes and whose size was looked at.
    pub(super) fn call(&self, datum: pg_sys::Datum) -> &[u8] {
        // SAFETY: the function belongs to the datum's type; its result is a palloc'd C string in the
        // current context, which outlives the row being encoded.
        unsafe { std::ffi::CStr::from_ptr(pg_sys::OutputFunctionCall(self.function, datum)).to_bytes() }
    }
}

/// Refuses a varlena value of more than `limit` bytes, without fetching it.
pub(super) fn check_size(datum: pg_sys::Datum, limit: usize) -> Result<(), TooLarge> {
    // SAFETY: the datum is a varlena value.
    unsafe {
        let pointer: *mut pg_sys::varlena = datum.cast_mut_ptr();
        let out_of_line = varlena::varatt_is_1b_e(pointer) || varlena::varatt_is_4b_c(pointer);
        let size =
            if out_of_line { pg_sys::toast_raw_datum_size(datum) } else { varlena::varsize_any(pointer) };
        if size > limit { Err(TooLarge) } else { Ok(()) }
    }
}

/// Types whose output is the same under all settings. Others may depend on DateStyle, TimeZone,
/// IntervalStyle, bytea_output or extra_float_digits, or be made of types that do.
fn depends_on_settings(type_oid: pg_sys::Oid) -> bool {
    let independent = matches!(
        type_oid,
        pg_sys::NUMERICOID
            | pg_sys::JSONBOID
            | pg_sys::NAMEOID
            | pg_sys::BITOID
            | pg_sys::VARBITOID
            | pg_sys::INETOID
            | pg_sys::CIDROID
            | pg_sys::MACADDROID
            | pg_sys::MACADDR8OID
            | pg_sys::TSVECTOROID
            | pg_sys::INT4RANGEOID
            | pg_sys::INT8RANGEOID
            | pg_sys::NUMRANGEOID
    );
    // SAFETY: a syscache look-up about an existing type.
    !independent && unsafe { pg_sys::get_typtype(type_oid) } as u8 != pg_sys::TYPTYPE_ENUM
}

/// Fixed output settings while this value lives: ISO dates in UTC, shortest exact floats, hex bytea.
struct Pinned {
    date_style: i32,
    interval_style: i32,
    extra_float_digits: i32,
    bytea_output: i32,
    time_zone: *mut pg_sys::pg_tz,
}

impl Pinned {
    fn new() -> Self {
        // SAFETY: backend-local variables of this only thread.
        unsafe {
            Self {
                date_style: std::ptr::replace(&raw mut pg_sys::DateStyle, pg_sys::USE_ISO_DATES as i32),
                interval_style: std::ptr::replace(
                    &raw mut pg_sys::IntervalStyle,
                    pg_sys::INTSTYLE_POSTGRES as i32,
                ),
                extra_float_digits: std::ptr::replace(&raw mut pg_sys::extra_float_digits, 1),
                bytea_output: super::ffi::swap_bytea_output(super::ffi::BYTEA_OUTPUT_HEX),
                time_zone: std::ptr::replace(&raw mut pg_sys::session_timezone, utc()),
            }
        }
    }
}

/// PostgreSQL keeps time zones it has read for the life of the process.
fn utc() -> *mut pg_sys::pg_tz {
    thread_local! {
        static UTC: Cell<*mut pg_sys::pg_tz> = const { Cell::new(std::ptr::null_mut()) };
    }
    UTC.with(|utc| {
        if utc.get().is_null() {
            // SAFETY: GMT is built in, so it is found.
            utc.set(unsafe { pg_sys::pg_tzset(c"GMT".as_ptr()) });
        }
        utc.get()
    })
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: puts back what `new` found.
        unsafe {
            pg_sys::DateStyle = self.date_style;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.extra_float_digits;
            super::ffi::swap_bytea_output(self.bytea_output);
            pg_sys::session_timezone = self.time_zone;
        }
    }
}

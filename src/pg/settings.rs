//! Text settings that tell cheaply whether any of them was assigned since a reader last looked.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::{CStr, CString};

thread_local! {
    static ASSIGNMENTS: Cell<u64> = const { Cell::new(1) };
}

/// A text setting any role may set.
pub struct TextSetting(GucSetting<Option<CString>>);

impl TextSetting {
    pub const fn new() -> Self {
        Self(GucSetting::<Option<CString>>::new(None))
    }

    pub fn define(&'static self, name: &'static CStr, short: &'static CStr, long: &'static CStr) {
        // SAFETY: the hook only sets a flag; it can neither panic nor raise an error.
        unsafe {
            GucRegistry::define_string_guc_with_hooks(
                name,
                short,
                long,
                &self.0,
                GucContext::Userset,
                GucFlags::default(),
                None,
                Some(note_assignment),
                None,
            );
        }
    }

    /// The value, or none where it was never set or set to the empty string.
    pub fn get(&self) -> Option<String> {
        self.0.get().filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
    }
}

/// A text setting that only the server's configuration sets and only superusers see.
pub struct ServerSetting(GucSetting<Option<CString>>);

impl ServerSetting {
    pub const fn new() -> Self {
        Self(GucSetting::<Option<CString>>::new(None))
    }

    pub fn define(&'static self, name: &'static CStr, short: &'static CStr, long: &'static CStr) {
        GucRegistry::define_string_guc(
            name,
            short,
            long,
            &self.0,
            GucContext::Sighup,
            GucFlags::SUPERUSER_ONLY,
        );
    }

    /// The value, or none where it is not set or empty.
    pub fn get(&self) -> Option<String> {
        self.0.get().filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
    }
}

unsafe extern "C-unwind" fn note_assignment(_value: *const std::ffi::c_char, _extra: *mut std::ffi::c_void) {
    ASSIGNMENTS.with(|count| count.set(count.get() + 1));
}

/// How often a text setting was assigned, reset or rolled back in this session. Never 0, so that a
/// reader that remembers 0 has not read yet.
#[inline]
pub fn assignments() -> u64 {
    ASSIGNMENTS.with(Cell::get)
}

/// Makes `SET prefix.unknown = ...` an error instead of a silent placeholder.
pub fn reserve_prefix(prefix: &'static CStr) {
    // SAFETY: the prefix is a nul-terminated string that lives as long as the process.
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(prefix.as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(prefix.as_ptr());
    }
}

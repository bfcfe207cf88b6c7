//! NOTIFY from within, and the moment before a commit in which to do it.

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;
use std::cell::Cell;
use std::ffi::CString;

mod raw {
    unsafe extern "C-unwind" {
        /// `commands/async.h`
        pub fn Async_Notify(channel: *const std::ffi::c_char, payload: *const std::ffi::c_char);
    }
}

/// Queues a notification, to be sent when the transaction commits. Channel and payload as NOTIFY takes them.
pub fn queue(channel: &str, payload: &str) {
    let (Ok(channel), Ok(payload)) = (CString::new(channel), CString::new(payload)) else { return };
    // SAFETY: both are copied; an error (a channel too long) unwinds through the boundary.
    unsafe { pg_guard_ffi_boundary(|| raw::Async_Notify(channel.as_ptr(), payload.as_ptr())) }
}

/// The share of the server's notification queue that is in use, 0 to 1.
pub fn queue_usage() -> f64 {
    // SAFETY: a function of no arguments that takes the queue's own locks and returns a float8.
    unsafe { pgrx::direct_function_call::<f64>(pg_sys::pg_notification_queue_usage, &[]) }.unwrap_or_default()
}

/// How many pages of 8 kB the server's notification queue may have. Before PostgreSQL 17 there is no setting.
pub fn queue_pages() -> i64 {
    // SAFETY: a setting's name; one that does not exist is no error. The text is copied before anything else.
    let text = unsafe {
        let value = pg_sys::GetConfigOption(c"max_notify_queue_pages".as_ptr(), true, false);
        (!value.is_null()).then(|| super::lookup::string_from(value))
    };
    text.and_then(|pages| pages.parse().ok()).unwrap_or(1 << 20)
}

thread_local! {
    static HOOK: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Has `hook` called before each commit, while the transaction may still do things; not before a
/// transaction is prepared. Called once, when the library is loaded.
pub fn before_commit(hook: fn()) {
    HOOK.set(Some(hook));
    // SAFETY: the callback stays loaded with the library.
    unsafe { pg_sys::RegisterXactCallback(Some(transaction_event), std::ptr::null_mut()) }
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_event(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT
        && let Some(hook) = HOOK.get()
    {
        hook();
    }
}

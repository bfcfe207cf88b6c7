//! Work left for later, by triggers, is taken up before anybody can miss it: at the end of the query that called them,
//! else (COPY and logical replication call triggers too, and so does the query that loads the library) before the next
//! query looks, and in any case before the savepoint or transaction ends.
//!
//! Hooks that pass through: no guard around what they call, so that errors of users' queries keep all their fields,
//! and nothing in their frames that would have to be dropped.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;

unsafe extern "C-unwind" {
    // Of executor/executor.h; bound without pgrx's guard.
    #[link_name = "standard_ExecutorStart"]
    fn standard_start(query: *mut pg_sys::QueryDesc, flags: std::ffi::c_int);
    #[link_name = "standard_ExecutorEnd"]
    fn standard_end(query: *mut pg_sys::QueryDesc);
}

static mut PREVIOUS_START: pg_sys::ExecutorStart_hook_type = None;
static mut PREVIOUS_END: pg_sys::ExecutorEnd_hook_type = None;

thread_local! {
    /// The one branch.
    static LEFT: Cell<bool> = const { Cell::new(false) };
    static TAKE_UP: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Has `take_up` called where something was left. Called once, when the library is loaded.
pub fn take_up_by(take_up: fn()) {
    TAKE_UP.set(Some(take_up));
    // SAFETY: set once by the only thread; the callbacks stay loaded with the library.
    unsafe {
        PREVIOUS_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(start);
        PREVIOUS_END = pg_sys::ExecutorEnd_hook;
        pg_sys::ExecutorEnd_hook = Some(end);
        pg_sys::RegisterXactCallback(Some(transaction_event), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(savepoint_event), std::ptr::null_mut());
    }
}

/// Says that something is left, in the innermost savepoint.
#[inline]
pub fn leave() {
    LEFT.set(true);
}

unsafe extern "C-unwind" fn start(query: *mut pg_sys::QueryDesc, flags: std::ffi::c_int) {
    // SAFETY: the executor's own arguments, passed on as they came.
    unsafe {
        take_up();
        match PREVIOUS_START {
            Some(previous) => previous(query, flags),
            None => standard_start(query, flags),
        }
    }
}

unsafe extern "C-unwind" fn end(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as above.
    unsafe {
        take_up();
        match PREVIOUS_END {
            Some(previous) => previous(query),
            None => standard_end(query),
        }
    }
}

#[inline]
fn take_up() {
    if LEFT.get() {
        // SAFETY: guarded, and takes nothing.
        unsafe { take_up_now() }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn take_up_now() {
    /// An error may end a savepoint only, and what is left around that is still to be taken up.
    struct UnlessFailed;
    impl Drop for UnlessFailed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                LEFT.set(true);
            }
        }
    }
    LEFT.set(false);
    let _again = UnlessFailed;
    if let Some(take_up) = TAKE_UP.get() {
        take_up();
    }
}

unsafe extern "C-unwind" fn transaction_event(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT | pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => take_up(),
        pg_sys::XactEvent::XACT_EVENT_ABORT => LEFT.set(false),
        _ => {}
    }
}

unsafe extern "C-unwind" fn savepoint_event(
    event: pg_sys::SubXactEvent::Type,
    _mine: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_PRE_COMMIT_SUB {
        take_up();
    }
}

//! Work left for later, by triggers, is taken up before anybody can miss it: before a query that looks at one of the
//! tables it concerns, and in any case before the savepoint or transaction ends.
//!
//! A hook that passes through: no guard around what it calls, so that errors of users' queries keep all their fields,
//! and nothing in its frame that would have to be dropped.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};

unsafe extern "C-unwind" {
    // Of executor/executor.h; bound without pgrx's guard.
    #[link_name = "standard_ExecutorStart"]
    fn standard_start(query: *mut pg_sys::QueryDesc, flags: std::ffi::c_int);
}

static mut PREVIOUS_START: pg_sys::ExecutorStart_hook_type = None;

thread_local! {
    /// The one branch.
    static LEFT: Cell<bool> = const { Cell::new(false) };
    static ENDING: Cell<bool> = const { Cell::new(false) };
    static TAKE_UP: Cell<Option<fn()>> = const { Cell::new(None) };
    static CONCERNED: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
}

/// Has `take_up` called where something was left. Called once, when the library is loaded.
pub fn take_up_by(take_up: fn()) {
    TAKE_UP.set(Some(take_up));
    // SAFETY: set once by the only thread; the callbacks stay loaded with the library.
    unsafe {
        PREVIOUS_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(start);
        pg_sys::RegisterXactCallback(Some(transaction_event), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(savepoint_event), std::ptr::null_mut());
    }
}

/// Says that something is left, in the innermost savepoint.
#[inline]
pub fn leave() {
    LEFT.set(true);
}

/// Whether the transaction is being committed or prepared: what is left now nobody may take up any more.
#[inline]
pub fn is_ending() -> bool {
    ENDING.get()
}

/// Says which tables the work concerns: who reads one of them expects it done.
pub fn concerns(tables: Vec<pg_sys::Oid>) {
    CONCERNED.with_borrow_mut(|concerned| *concerned = tables);
}

unsafe extern "C-unwind" fn start(query: *mut pg_sys::QueryDesc, flags: std::ffi::c_int) {
    // SAFETY: the executor's own arguments, passed on as they came.
    unsafe {
        if LEFT.get() && is_concerned(query) {
            take_up();
        }
        match PREVIOUS_START {
            Some(previous) => previous(query, flags),
            None => standard_start(query, flags),
        }
    }
}

/// Whether a query looks at one of the tables.
///
/// # Safety
/// It is one that is about to be executed.
unsafe fn is_concerned(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: a planned statement has a list of what it ranges over, those of its views and subqueries included.
    unsafe {
        let statement = (*query).plannedstmt;
        if statement.is_null() || (*statement).rtable.is_null() {
            return false;
        }
        let ranges = (*statement).rtable;
        let cells = std::slice::from_raw_parts((*ranges).elements, (*ranges).length.max(0) as usize);
        CONCERNED.with(|concerned| {
            concerned.try_borrow().is_ok_and(|concerned| {
                cells.iter().any(|cell| {
                    let range: *const pg_sys::RangeTblEntry = cell.ptr_value.cast();
                    (*range).rtekind == pg_sys::RTEKind::RTE_RELATION && concerned.contains(&(*range).relid)
                })
            })
        })
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
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT | pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => {
            ENDING.set(true);
            take_up();
        }
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => ENDING.set(false),
        pg_sys::XactEvent::XACT_EVENT_ABORT => {
            ENDING.set(false);
            LEFT.set(false);
        }
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

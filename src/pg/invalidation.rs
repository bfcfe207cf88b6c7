//! What happened since a cache last looked: relations that changed, transactions that ended.
//!
//! The callbacks only take notes; they read no catalogue, raise nothing and free nothing.

use super::changed::Changed;
use pgrx::pg_sys;
use std::cell::Cell;

thread_local! {
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static ROLLBACKS: Cell<u64> = const { Cell::new(0) };
    static PENDING: Cell<bool> = const { Cell::new(false) };
    static CHANGED: Changed = const { Changed::new() };
    /// The lowest savepoint rolled back; 0 for a whole transaction.
    static ABORTED: Cell<u32> = const { Cell::new(NONE) };
    static COMMITTED: Cell<bool> = const { Cell::new(false) };
}

const NONE: u32 = u32::MAX;

/// What a cache must do before it trusts an entry.
pub struct Notes {
    /// Relations that changed; none means every relation may have.
    pub changed: Option<Vec<pg_sys::Oid>>,
    /// Rolled back (or prepared): the savepoint of this number and everything in it, 0 for a whole
    /// transaction. Rows this backend inserted in savepoints of this number and higher may be gone.
    pub aborted: Option<u32>,
    /// A transaction committed: rows inserted before are there for good.
    pub committed: bool,
}

/// Whether anything was noted: the one test a hot path makes.
#[inline]
pub fn pending() -> bool {
    PENDING.with(Cell::get)
}

/// Takes the notes, leaving none.
pub fn take() -> Notes {
    PENDING.with(|pending| pending.set(false));
    Notes {
        changed: CHANGED.with(Changed::take),
        aborted: Some(ABORTED.with(|lowest| lowest.replace(NONE))).filter(|&lowest| lowest != NONE),
        committed: COMMITTED.with(|flag| flag.replace(false)),
    }
}

/// Registers the callbacks; called once, when the library is loaded.
pub fn register() {
    // SAFETY: the callbacks stay loaded with the library, take no lock and raise no error.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0usize));
        pg_sys::RegisterXactCallback(Some(transaction_event), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(savepoint_event), std::ptr::null_mut());
    }
}

unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relid: pg_sys::Oid) {
    CHANGES.with(|changes| changes.set(changes.get() + 1));
    PENDING.with(|pending| pending.set(true));
    CHANGED.with(|changed| changed.note(relid));
}

unsafe extern "C-unwind" fn transaction_event(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PARALLEL_COMMIT => {
            COMMITTED.with(|flag| flag.set(true))
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT
        | pg_sys::XactEvent::XACT_EVENT_PARALLEL_ABORT
        | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            ROLLBACKS.with(|count| count.set(count.get() + 1));
            ABORTED.with(|lowest| lowest.set(0));
        }
        _ => return,
    }
    PENDING.with(|pending| pending.set(true));
}

unsafe extern "C-unwind" fn savepoint_event(
    event: pg_sys::SubXactEvent::Type,
    mine: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        ROLLBACKS.with(|count| count.set(count.get() + 1));
        ABORTED.with(|lowest| lowest.set(lowest.get().min(mine)));
        PENDING.with(|pending| pending.set(true));
    }
}

/// How many relation changes this backend has heard of.
#[inline]
pub fn changes() -> u64 {
    CHANGES.with(Cell::get)
}

/// How many transactions and savepoints of this session were rolled back (or prepared).
#[inline]
pub fn rollbacks() -> u64 {
    ROLLBACKS.with(Cell::get)
}

/// Makes every session look at a relation anew once this transaction commits.
pub fn announce(relid: pg_sys::Oid) {
    // SAFETY: sends an invalidation message; an unknown OID is an error that unwinds.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relid) }
}

/// Hears of what other sessions committed to the catalogue. Taking a lock on a relation does so too, an
/// advisory lock does not.
pub fn listen() {
    // SAFETY: inside a transaction; only marks caches of this backend stale.
    unsafe { pg_sys::AcceptInvalidationMessages() }
}

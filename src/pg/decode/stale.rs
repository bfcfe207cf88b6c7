//! Which relations changed since somebody last asked. Decoding replays the catalogue's history, and
//! PostgreSQL tells of each step by the same invalidations a session gets.
//!
//! Apart from `pg::invalidation`, whose notes belong to capture: both may be at work in one session.

use super::super::changed::Changed;
use pgrx::pg_sys;
use std::cell::Cell;

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    static PENDING: Cell<bool> = const { Cell::new(false) };
    static CHANGED: Changed = const { Changed::new() };
}

/// Starts taking notes; forgets those of a decoder before.
pub(super) fn listen() {
    take();
    if REGISTERED.replace(true) {
        return;
    }
    // SAFETY: the callbacks stay loaded with the library, take no lock and raise no error; registered
    // once a session.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0usize));
        // A schema that is renamed changes no relation.
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            Some(schema_changed),
            pg_sys::Datum::from(0usize),
        );
    }
}

/// Whether anything was noted.
#[inline]
pub fn pending() -> bool {
    PENDING.get()
}

/// Takes the notes: relations that changed; none means every relation may have.
pub fn take() -> Option<Vec<pg_sys::Oid>> {
    PENDING.set(false);
    CHANGED.with(Changed::take)
}

unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relid: pg_sys::Oid) {
    PENDING.set(true);
    CHANGED.with(|changed| changed.note(relid));
}

unsafe extern "C-unwind" fn schema_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    PENDING.set(true);
    CHANGED.with(|changed| changed.note(pg_sys::InvalidOid));
}

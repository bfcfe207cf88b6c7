//! Heavyweight locks: on relations, and on numbers of our own, which pg_locks shows as advisory ones, out of
//! reach of the advisory lock functions.

use pgrx::pg_sys;

/// `USER_LOCKMETHOD` of `storage/lock.h`.
const USER_LOCKMETHOD: u8 = 2;

/// Takes a share lock on `number` of `class` in this database, to the end of the transaction: prepared, it
/// keeps the lock, over a crash too; a savepoint rolled back gives it back. `class` is pg_locks.objsubid;
/// SQL's own advisory locks have 1 and 2. Nobody takes these in a mode that conflicts: this never waits.
pub fn mark(class: u16, number: i64) {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: super::session::database().to_u32(),
        locktag_field2: (number as u64 >> 32) as u32,
        locktag_field3: number as u64 as u32,
        locktag_field4: class,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: USER_LOCKMETHOD,
    };
    // SAFETY: a complete tag; an error (no room for locks) unwinds through the guard.
    unsafe {
        pg_sys::LockAcquire(&tag, pg_sys::ShareLock as pg_sys::LOCKMODE, false, false);
    }
}

/// Whether nobody else holds a lock on a relation that conflicts with one of this mode. Does not wait.
pub fn is_free(relid: pg_sys::Oid, mode: u32) -> bool {
    let mode = mode as pg_sys::LOCKMODE;
    // SAFETY: takes the lock if it is free, and what was taken is given back.
    unsafe {
        let free = pg_sys::ConditionalLockRelationOid(relid, mode);
        if free {
            pg_sys::UnlockRelationOid(relid, mode);
        }
        free
    }
}

/// Locks a relation of any kind, which LOCK TABLE does not, to the end of the transaction. Waits as
/// lock_timeout allows.
pub fn exclusively(relid: pg_sys::Oid) {
    // SAFETY: an error (the lock was not to be had, cancelled) unwinds through the guard.
    unsafe { pg_sys::LockRelationOid(relid, pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE) }
}

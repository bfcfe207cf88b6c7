//! Advisory locks of our own classes: what nobody can take or release with SQL functions, whose class
//! numbers are one and two, and what a session that waits for nothing can look up.

use pgrx::pg_sys;

/// A lock somebody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub number: u64,
    /// The session's process; 0 for a prepared transaction.
    pub pid: i32,
}

/// `USER_LOCKMETHOD` of `storage/lock.h`.
const USER_LOCKMETHOD: u8 = 2;

fn tag(class: u16, number: u64) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        locktag_field1: super::session::database().to_u32(),
        locktag_field2: (number >> 32) as u32,
        locktag_field3: number as u32,
        locktag_field4: class,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: USER_LOCKMETHOD,
    }
}

/// Waits until this transaction alone holds a lock; kept to the end of the transaction, if not released.
pub fn lock(class: u16, number: u64) {
    // SAFETY: a complete tag; waiting can be interrupted, which unwinds.
    unsafe {
        pg_sys::LockAcquire(&tag(class, number), pg_sys::ExclusiveLock as i32, false, false);
    }
}

/// Takes a lock if nobody else holds it; says whether it did.
pub fn try_lock(class: u16, number: u64) -> bool {
    // SAFETY: a complete tag; does not wait.
    let outcome =
        unsafe { pg_sys::LockAcquire(&tag(class, number), pg_sys::ExclusiveLock as i32, false, true) };
    outcome != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// Gives a lock back before the transaction ends, once for each time it was taken.
pub fn unlock(class: u16, number: u64) {
    // SAFETY: a complete tag; the caller took the lock in this transaction.
    unsafe {
        pg_sys::LockRelease(&tag(class, number), pg_sys::ExclusiveLock as i32, false);
    }
}

/// Every lock of a class that is held in this database, in whatever mode, by this session too.
pub fn held(class: u16) -> Vec<Held> {
    let database = super::session::database().to_u32();
    // SAFETY: returns palloc'd copies of as many entries as it says.
    unsafe {
        let data = pg_sys::GetLockStatusData();
        let count = (*data).nelements.max(0) as usize;
        let found = (0..count)
            .map(|i| &*(*data).locks.add(i))
            .filter(|lock| {
                let tag = &lock.locktag;
                lock.holdMask != 0
                    && tag.locktag_field4 == class
                    && tag.locktag_field1 == database
                    && tag.locktag_lockmethodid == USER_LOCKMETHOD
                    && tag.locktag_type == pg_sys::LockTagType::LOCKTAG_ADVISORY as u8
            })
            .map(|lock| Held {
                number: (u64::from(lock.locktag.locktag_field2) << 32)
                    | u64::from(lock.locktag.locktag_field3),
                pid: lock.pid,
            })
            .collect();
        if !(*data).locks.is_null() {
            pg_sys::pfree((*data).locks.cast());
        }
        pg_sys::pfree(data.cast());
        found
    }
}

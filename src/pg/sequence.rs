//! Sequences, below the privilege layer.

use super::ffi::unguarded;
use super::table::Table;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

mod raw {
    unsafe extern "C-unwind" {
        /// `commands/sequence.h`
        pub fn nextval_internal(relid: pgrx::pg_sys::Oid, check_permissions: bool) -> i64;
        // `storage/bufmgr.h`
        pub fn ReadBuffer(
            relation: pgrx::pg_sys::Relation,
            block: pgrx::pg_sys::BlockNumber,
        ) -> pgrx::pg_sys::Buffer;
        pub fn LockBuffer(buffer: pgrx::pg_sys::Buffer, mode: std::ffi::c_int);
        pub fn UnlockReleaseBuffer(buffer: pgrx::pg_sys::Buffer);
    }
}

/// `FormData_pg_sequence_data` of `commands/sequence.h`: a sequence's only row.
#[repr(C)]
struct Data {
    last_value: i64,
    log_count: i64,
    is_called: bool,
}

/// The next value of a sequence, without asking for the current role's privileges.
pub fn next(sequence: pg_sys::Oid) -> i64 {
    // SAFETY: raises an error for anything that is not a sequence; the boundary carries it.
    unsafe { pg_guard_ffi_boundary(|| raw::nextval_internal(sequence, false)) }
}

/// The last value any session took from a sequence, committed or not: `Some(None)` where none did yet, none
/// where it is not a sequence.
pub fn last(sequence: pg_sys::Oid) -> Option<Option<i64>> {
    let table = Table::open(sequence, pg_sys::AccessShareLock as i32).filter(Table::is_sequence)?;
    // SAFETY: an open, locked sequence; the boundary carries errors.
    let (value, called) = unsafe { pg_guard_ffi_boundary(|| read(table.raw())) };
    Some(called.then_some(value))
}

/// The same in a transaction that is about to take one itself, under the lock that takes.
pub fn last_before(sequence: pg_sys::Oid) -> Option<Option<i64>> {
    // SAFETY: the lock keeps the relation while it is open; the boundary carries errors.
    unsafe {
        pg_guard_ffi_boundary(|| {
            unguarded::LockRelationOid(sequence, pg_sys::RowExclusiveLock as i32);
            let relation = unguarded::RelationIdGetRelation(sequence);
            if relation.is_null() {
                return None;
            }
            let is_sequence = (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_SEQUENCE;
            let last = is_sequence.then(|| read(relation));
            unguarded::RelationClose(relation);
            last.map(|(value, called)| called.then_some(value))
        })
    }
}

/// The last value taken, in a transaction that has taken one itself and so holds a lock on the sequence; none where
/// it is gone all the same.
pub fn last_here(sequence: pg_sys::Oid) -> Option<i64> {
    // SAFETY: as above; the relation is closed again before anything else happens.
    unsafe {
        pg_guard_ffi_boundary(|| {
            let relation = unguarded::RelationIdGetRelation(sequence);
            if relation.is_null() {
                return None;
            }
            let (value, _) = read(relation);
            unguarded::RelationClose(relation);
            Some(value)
        })
    }
}

/// A sequence's last value, and whether it has been given out.
///
/// # Safety
/// Called inside a guard, with an open sequence.
unsafe fn read(sequence: pg_sys::Relation) -> (i64, bool) {
    // SAFETY: a sequence has one page with one row; read under the share lock that nextval excludes. The row is
    // laid out as `Data`, at the offset its header says.
    unsafe {
        let buffer = raw::ReadBuffer(sequence, 0);
        raw::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let page: *mut pg_sys::PageHeaderData = pg_sys::BufferGetPage(buffer).cast();
        let item = (*page).pd_linp.as_ptr();
        let header: pg_sys::HeapTupleHeader = page.byte_add((*item).lp_off() as usize).cast();
        let data: *const Data = header.byte_add(usize::from((*header).t_hoff)).cast();
        let found = ((*data).last_value, (*data).is_called);
        raw::UnlockReleaseBuffer(buffer);
        found
    }
}

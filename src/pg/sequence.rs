//! Sequences, below the privilege layer.

use super::table::Table;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

mod raw {
    unsafe extern "C-unwind" {
        /// `commands/sequence.h`
        pub fn nextval_internal(relid: pgrx::pg_sys::Oid, check_permissions: bool) -> i64;
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
    // SAFETY: an open sequence has one page with one row; read under the share lock that nextval excludes.
    // The row is laid out as `Data`, at the offset its header says.
    let (value, called) = unsafe {
        let buffer = pg_sys::ReadBuffer(table.raw(), 0);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let page: *mut pg_sys::PageHeaderData = pg_sys::BufferGetPage(buffer).cast();
        let item = (*page).pd_linp.as_ptr();
        let header: pg_sys::HeapTupleHeader = page.byte_add((*item).lp_off() as usize).cast();
        let data: *const Data = header.byte_add(usize::from((*header).t_hoff)).cast();
        let found = ((*data).last_value, (*data).is_called);
        pg_sys::UnlockReleaseBuffer(buffer);
        found
    };
    Some(called.then_some(value))
}

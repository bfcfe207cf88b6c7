//! PostgreSQL symbols that the bindings leave out, declared as in the server's headers.

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

mod raw {
    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        /// `utils/bytea.h`
        pub static mut bytea_output: std::ffi::c_int;
        /// `commands/sequence.h`
        pub fn nextval_internal(relid: pg_sys::Oid, check_permissions: bool) -> i64;
        /// `catalog/partition.h`
        pub fn get_partition_ancestors(relid: pg_sys::Oid) -> *mut pg_sys::List;
    }
}

/// `BYTEA_OUTPUT_HEX` of `utils/bytea.h`.
pub const BYTEA_OUTPUT_HEX: std::ffi::c_int = 1;

/// Sets `bytea_output` and returns what it was.
pub fn swap_bytea_output(value: std::ffi::c_int) -> std::ffi::c_int {
    // SAFETY: a plain C int that only this backend's only thread touches.
    unsafe { std::ptr::replace(&raw mut raw::bytea_output, value) }
}

/// The next value of a sequence, without asking for the current role's privileges.
pub fn next_value(sequence: pg_sys::Oid) -> i64 {
    // SAFETY: raises an error for anything that is not a sequence; the boundary carries it.
    unsafe { pg_guard_ffi_boundary(|| raw::nextval_internal(sequence, false)) }
}

/// The partitioned tables above a partition, nearest first.
pub fn partition_ancestors(relid: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: the function returns a palloc'd list of OIDs, empty for what is no partition.
    unsafe { oids_of(pg_guard_ffi_boundary(|| raw::get_partition_ancestors(relid))) }
}

/// # Safety
/// `list` is null or a list of OIDs.
pub(super) unsafe fn oids_of(list: *mut pg_sys::List) -> Vec<pg_sys::Oid> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { (0..(*list).length as usize).map(|i| (*(*list).elements.add(i)).oid_value).collect() }
}

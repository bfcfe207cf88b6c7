//! PostgreSQL symbols that the bindings leave out, declared as in the server's headers.

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

mod raw {
    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        /// `utils/bytea.h`
        pub static mut bytea_output: std::ffi::c_int;
        /// `catalog/partition.h`
        pub fn get_partition_ancestors(relid: pg_sys::Oid) -> *mut pg_sys::List;
        /// `utils/elog.h`
        pub fn geterrposition() -> std::ffi::c_int;
        /// `utils/datum.h`
        pub fn datumCopy(value: pg_sys::Datum, by_value: bool, length: std::ffi::c_int) -> pg_sys::Datum;
        /// `parser/parse_utilcmd.h`
        pub fn transformIndexStmt(
            relid: pg_sys::Oid,
            statement: *mut pg_sys::IndexStmt,
            text: *const std::ffi::c_char,
        ) -> *mut pg_sys::IndexStmt;
        /// `commands/view.h`
        pub fn StoreViewQuery(view: pg_sys::Oid, query: *mut pg_sys::Query, replace: bool);
    }
}

/// `BYTEA_OUTPUT_HEX` of `utils/bytea.h`.
pub const BYTEA_OUTPUT_HEX: std::ffi::c_int = 1;

/// Functions of the hot path, declared without the guard the bindings put around each call. Those that
/// may raise an error are only called inside one guard for all of them, from frames that own nothing.
pub(super) mod unguarded {
    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        // These raise no error.
        pub fn GetDatabaseEncoding() -> std::ffi::c_int;
        pub fn GetCurrentCommandId(used: bool) -> pg_sys::CommandId;
        pub fn GetTopFullTransactionIdIfAny() -> pg_sys::FullTransactionId;
        pub fn ReadNextFullTransactionId() -> pg_sys::FullTransactionId;
        pub fn TransactionIdIsCurrentTransactionId(xid: pg_sys::TransactionId) -> bool;
        pub fn HeapTupleHeaderGetCmin(tuple: pg_sys::HeapTupleHeader) -> pg_sys::CommandId;
        pub fn HeapTupleHeaderGetCmax(tuple: pg_sys::HeapTupleHeader) -> pg_sys::CommandId;
        pub fn heap_deform_tuple(
            tuple: pg_sys::HeapTuple,
            descriptor: pg_sys::TupleDesc,
            values: *mut pg_sys::Datum,
            nulls: *mut bool,
        );
        pub fn RelationClose(relation: pg_sys::Relation);
        pub fn pg_trigger_depth(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
        pub fn GetCurrentSubTransactionId() -> pg_sys::SubTransactionId;
        // These may.
        pub fn LockRelationOid(relid: pg_sys::Oid, mode: pg_sys::LOCKMODE);
        pub fn RelationIdGetRelation(relid: pg_sys::Oid) -> pg_sys::Relation;
        pub fn heap_form_tuple(
            descriptor: pg_sys::TupleDesc,
            values: *mut pg_sys::Datum,
            nulls: *mut bool,
        ) -> pg_sys::HeapTuple;
        pub fn heap_insert(
            relation: pg_sys::Relation,
            tuple: pg_sys::HeapTuple,
            command: pg_sys::CommandId,
            options: std::ffi::c_int,
            state: pg_sys::BulkInsertState,
        );
        pub fn index_insert(
            index: pg_sys::Relation,
            values: *mut pg_sys::Datum,
            nulls: *mut bool,
            tid: pg_sys::ItemPointer,
            relation: pg_sys::Relation,
            check: pg_sys::IndexUniqueCheck::Type,
            unchanged: bool,
            info: *mut pg_sys::IndexInfo,
        ) -> bool;
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        pub fn index_insert_cleanup(index: pg_sys::Relation, info: *mut pg_sys::IndexInfo);
        pub fn OutputPluginPrepareWrite(context: *mut pg_sys::LogicalDecodingContext, last: bool);
        pub fn OutputPluginWrite(context: *mut pg_sys::LogicalDecodingContext, last: bool);
        pub fn pfree(pointer: *mut std::ffi::c_void);
        // Signal handlers: they only set flags and a latch.
        pub fn die(signal: std::ffi::c_int);
        pub fn SignalHandlerForConfigReload(signal: std::ffi::c_int);
    }
}

/// Sets `bytea_output` and returns what it was.
pub fn swap_bytea_output(value: std::ffi::c_int) -> std::ffi::c_int {
    // SAFETY: a plain C int that only this backend's only thread touches.
    unsafe { std::ptr::replace(&raw mut raw::bytea_output, value) }
}

/// The partitioned tables above a partition, nearest first.
pub fn partition_ancestors(relid: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: the second function returns a palloc'd list of OIDs; it would take an inheritance parent
    // for an ancestor too, hence the first.
    unsafe {
        if !pg_sys::get_rel_relispartition(relid) {
            return Vec::new();
        }
        oids_of(pg_guard_ffi_boundary(|| raw::get_partition_ancestors(relid)))
    }
}

/// The place in the text that the error being raised names, in characters from one.
///
/// # Safety
/// Called from an error context callback.
pub(super) unsafe fn error_position() -> i32 {
    // SAFETY: the caller's promise; raises no error then.
    unsafe { raw::geterrposition() }
}

/// A copy of a value, in the current memory context.
///
/// # Safety
/// The value is of a type with this length and way of passing.
pub(super) unsafe fn copy_datum(value: pg_sys::Datum, by_value: bool, length: i16) -> pg_sys::Datum {
    // SAFETY: the caller's promise; the boundary carries what palloc raises.
    unsafe { pg_guard_ffi_boundary(|| raw::datumCopy(value, by_value, i32::from(length))) }
}

/// The expressions and the predicate of a CREATE INDEX statement, analysed.
///
/// # Safety
/// `statement` is the grammar's tree of such a statement; the caller holds a lock on the table.
pub(super) unsafe fn transform_index_statement(
    relid: pg_sys::Oid,
    statement: *mut pg_sys::IndexStmt,
    text: &std::ffi::CStr,
) -> *mut pg_sys::IndexStmt {
    // SAFETY: the caller's promise; the boundary carries errors.
    unsafe { pg_guard_ffi_boundary(|| raw::transformIndexStmt(relid, statement, text.as_ptr())) }
}

/// Puts another query in the place of a view's.
///
/// # Safety
/// The view has one; `query` is an analysed SELECT.
pub(super) unsafe fn store_view_query(view: pg_sys::Oid, query: *mut pg_sys::Query) {
    // SAFETY: the caller's promise; the boundary carries errors.
    unsafe { pg_guard_ffi_boundary(|| raw::StoreViewQuery(view, query, true)) }
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

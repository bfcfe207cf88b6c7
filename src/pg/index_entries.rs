//! Inserting a row with its index entries by way of the executor: slower than by hand, and right for
//! every kind of index somebody may add.

use pgrx::pg_sys;

/// Inserts `tuple` into a table and into all its indexes: expressions, predicates and constraints too. It counts as
/// written by `command` of this transaction.
///
/// # Safety
/// `relation` is an open heap, locked for writing; `tuple` has the values of its columns. Not to be called
/// inside another guard: each call below has its own.
pub(super) unsafe fn insert_with_entries(
    relation: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    command: pg_sys::CommandId,
) {
    // SAFETY: the caller's promise; everything made here is released here.
    unsafe {
        pg_sys::heap_insert(relation, tuple, command, 0, std::ptr::null_mut());
        let estate = pg_sys::CreateExecutorState();
        let target: *mut pg_sys::ResultRelInfo = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast();
        pg_sys::InitResultRelInfo(target, relation, 1, std::ptr::null_mut(), 0);
        pg_sys::ExecOpenIndices(target, false);
        let slot = pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsHeapTuple);
        pg_sys::ExecStoreHeapTuple(tuple, slot, false);
        (*slot).tts_tableOid = (*relation).rd_id;
        pg_sys::list_free(pg_sys::ExecInsertIndexTuples(
            target,
            slot,
            estate,
            false,
            false,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            #[cfg(any(feature = "pg16", feature = "pg17", feature = "pg18"))]
            false,
        ));
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::ExecCloseIndices(target);
        pg_sys::FreeExecutorState(estate);
    }
}

//! The rows a set-returning function gives back, kept by PostgreSQL (on disk if they are many).

use super::table::Fields;
use super::tuple::{Row, Value, Values};
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::prelude::*;

pub struct ResultSet {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    values: Values,
}

impl ResultSet {
    /// Makes the call return the rows put here: as many columns as the caller expects of the function.
    pub fn begin(call: pg_sys::FunctionCallInfo) -> Result<Self> {
        // SAFETY: the function manager's call; its result info, where it is one, says in what context
        // results are to be kept.
        unsafe {
            let info: *mut pg_sys::ReturnSetInfo = (*call).resultinfo.cast();
            let materialize = pg_sys::SetFunctionReturnMode::SFRM_Materialize as i32;
            let random = pg_sys::SetFunctionReturnMode::SFRM_Materialize_Random as i32;
            if info.is_null()
                || (*info).type_ != pg_sys::NodeTag::T_ReturnSetInfo
                || (*info).allowedModes & materialize == 0
            {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                    "set-valued function called in context that cannot accept a set",
                )
                .hint("Call it in FROM."));
            }
            let mut found: pg_sys::TupleDesc = std::ptr::null_mut();
            let class = pg_sys::get_call_result_type(call, std::ptr::null_mut(), &mut found);
            if class != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE || found.is_null() {
                return Err(Error::wrong_object_type("the function's rows must be of a table's row type")
                    .hint("Give the table's row type, as in NULL::schema.name."));
            }
            let previous = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = (*(*info).econtext).ecxt_per_query_memory;
            let descriptor = pg_sys::BlessTupleDesc(pg_sys::CreateTupleDescCopy(found));
            let store =
                pg_sys::tuplestore_begin_heap((*info).allowedModes & random != 0, false, pg_sys::work_mem);
            pg_sys::CurrentMemoryContext = previous;
            (*info).returnMode = pg_sys::SetFunctionReturnMode::SFRM_Materialize;
            (*info).setResult = store;
            (*info).setDesc = descriptor;
            Ok(Self { store, descriptor, values: Values::default() })
        }
    }

    /// Adds the first columns of a query's row, as many as the result has.
    pub fn put(&mut self, row: &Fields) {
        self.values.copy_from(&row.values);
        self.put_values_here();
    }

    /// Adds a row of one value for each column.
    pub fn put_values(&mut self, row: &Values) {
        self.values.copy_from(row);
        self.put_values_here();
    }

    /// Adds a row of datums of the declared types.
    pub fn put_datums(&mut self, row: &[Option<pg_sys::Datum>]) {
        self.values = Values::default();
        for datum in row {
            self.values.push(*datum);
        }
        self.put_values_here();
    }

    fn put_values_here(&mut self) {
        // SAFETY: the descriptor and the arrays go together: callers give rows of the declared types,
        // at least as many columns as there are; checked here for length. The store copies them.
        unsafe {
            assert!(self.values.len() >= (*self.descriptor).natts as usize, "a row too short for its result");
            let (datums, nulls) = self.values.arrays();
            pg_sys::tuplestore_putvalues(self.store, self.descriptor, datums, nulls);
        }
    }
}

/// The table whose row type an argument has, whatever its value; none where it is no row type.
pub fn table_of_argument(call: pg_sys::FunctionCallInfo, argument: i32) -> Option<pg_sys::Oid> {
    // SAFETY: the function manager's call; a syscache look-up about an existing type.
    unsafe {
        let type_oid = pg_sys::get_fn_expr_argtype((*call).flinfo, argument);
        if type_oid == pg_sys::InvalidOid || !pg_sys::type_is_rowtype(type_oid) {
            return None;
        }
        let relid = pg_sys::get_typ_typrelid(type_oid);
        (relid != pg_sys::InvalidOid).then_some(relid)
    }
}

/// Rows kept aside, on disk if they are many, to be read once.
pub struct RowStore {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    values: Values,
}

impl RowStore {
    /// A store of rows of the result's type.
    pub fn like(result: &ResultSet) -> Self {
        // SAFETY: lives in the current context and the current resource owner's files, both of which
        // last until the function returns; ended on drop.
        let store = unsafe { pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem) };
        Self { store, descriptor: result.descriptor, values: Values::default() }
    }

    pub fn put(&mut self, row: &Values) {
        self.values.copy_from(row);
        // SAFETY: rows of the result's type; the store copies them.
        unsafe {
            let (datums, nulls) = self.values.arrays();
            pg_sys::tuplestore_putvalues(self.store, self.descriptor, datums, nulls);
        }
    }

    /// Calls `each` with every row, as a value of the row type and taken apart.
    pub fn each(self, mut each: impl FnMut(Value, &Values) -> Result<()>) -> Result<()> {
        // SAFETY: the slot is of the stored rows' kind and dropped before the store ends.
        unsafe {
            let slot =
                pg_sys::MakeSingleTupleTableSlot(self.descriptor, &raw const pg_sys::TTSOpsMinimalTuple);
            let memory = super::memory::OwnedContext::new(c"db_architect row store");
            let mut outcome = Ok(());
            while outcome.is_ok() && pg_sys::tuplestore_gettupleslot(self.store, true, false, slot) {
                outcome = memory.within(|| {
                    let tuple = pg_sys::ExecCopySlotHeapTuple(slot);
                    let row = Row { tuple, descriptor: self.descriptor, _lifetime: std::marker::PhantomData };
                    let datum = pg_sys::heap_copy_tuple_as_datum(tuple, self.descriptor);
                    each(Value { datum, null: false }, &row.values())
                });
                memory.reset();
            }
            pg_sys::ExecDropSingleTupleTableSlot(slot);
            outcome
        }
    }
}

impl Drop for RowStore {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun by `like`, ended once; after an error the transaction's end closes its files.
            unsafe { pg_sys::tuplestore_end(self.store) }
        }
    }
}

//! The rows a set-returning function gives back, kept by PostgreSQL (on disk if they are many).

use super::table::{Attribute, Fields, attributes_of};
use super::tuple::Values;
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

    pub fn attributes(&self) -> Vec<Attribute> {
        attributes_of(self.descriptor)
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

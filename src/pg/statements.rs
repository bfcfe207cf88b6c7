//! Statements that change rows, many of one kind, with the triggers they fire kept for the end.

use super::append::varlena_from;
use super::memory::OwnedContext;
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;
use std::ffi::CString;

/// Statements prepared while this lives; their parameters are text.
pub struct Statements {
    plans: HashMap<String, pg_sys::SPIPlanPtr>,
    memory: OwnedContext,
}

/// Runs `work`; the AFTER triggers of its statements, checks and actions of foreign keys and deferrable
/// constraints among them, fire once all are done, in the order they came up. So rows may be changed in
/// any order that unique indexes allow.
pub fn with_triggers_last<T>(work: impl FnOnce(&mut Statements) -> Result<T>) -> Result<T> {
    Spi::connect_mut(|_| {
        let mut statements =
            Statements { plans: HashMap::new(), memory: OwnedContext::new(c"db_architect statements") };
        // SAFETY: a query level of triggers as the executor opens one, closed below; an error in between
        // leaves it to the abort of the (sub)transaction.
        unsafe { pg_sys::AfterTriggerBeginQuery() };
        let outcome = work(&mut statements)?;
        // SAFETY: as above; triggers see what the last statement did; what firing opens is closed.
        unsafe {
            pg_sys::CommandCounterIncrement();
            let estate = pg_sys::CreateExecutorState();
            pg_sys::AfterTriggerEndQuery(estate);
            pg_sys::ExecCloseResultRelations(estate);
            pg_sys::ExecResetTupleTable((*estate).es_tupleTable, false);
            pg_sys::FreeExecutorState(estate);
        }
        Ok(outcome)
    })
}

impl Statements {
    /// Runs a statement with its parameters; returns the number of rows it changed.
    pub fn run(&mut self, statement: &str, parameters: &[&[u8]]) -> Result<u64> {
        let plan = self.plan(statement, parameters.len())?;
        // SAFETY: connected to SPI; as many parameters as the plan was prepared for, all text.
        let (code, changed) = unsafe {
            let mut values: Vec<pg_sys::Datum> =
                self.memory.within(|| parameters.iter().map(|p| varlena_from(p)).collect());
            let nulls = vec![b' ' as std::ffi::c_char; parameters.len()];
            let code = pg_sys::SPI_execute_snapshot(
                plan,
                values.as_mut_ptr(),
                nulls.as_ptr(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                false,
                false,
                0,
            );
            (code, pg_sys::SPI_processed)
        };
        self.memory.reset();
        if code < 0 {
            return Err(Error::internal(format!("SPI_execute_snapshot returned {code}")));
        }
        Ok(changed)
    }

    fn plan(&mut self, statement: &str, parameters: usize) -> Result<pg_sys::SPIPlanPtr> {
        if let Some(plan) = self.plans.get(statement) {
            return Ok(*plan);
        }
        let text =
            CString::new(statement).map_err(|_| Error::internal("a statement contains a zero byte"))?;
        let mut types = vec![pg_sys::TEXTOID; parameters];
        // SAFETY: connected to SPI; the plan lives until it is disconnected.
        let plan = unsafe { pg_sys::SPI_prepare(text.as_ptr(), parameters as i32, types.as_mut_ptr()) };
        if plan.is_null() {
            return Err(Error::internal("a statement could not be prepared"));
        }
        self.plans.insert(statement.to_owned(), plan);
        Ok(plan)
    }
}

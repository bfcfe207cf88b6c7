//! Queries that are parsed and planned once a session: what reads the catalogue costs several times more to plan than
//! to run.
//!
//! For texts that are part of the program. PostgreSQL plans such a query again when something it reads has changed;
//! always under the same search_path, and as the role that runs it then.

use super::security;
use super::spi;
use crate::error::{Error, Result};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiHeapTupleData};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

thread_local! {
    /// By where the text lies and its length.
    static PLANS: RefCell<HashMap<(usize, usize), pg_sys::SPIPlanPtr>> = RefCell::new(HashMap::new());
}

/// Every row of a query, made into a value each, through a snapshot taken now; assigns no transaction id. The types of
/// the arguments are the same in every call.
pub fn read_now<T>(
    query: &'static str,
    arguments: &[DatumWithOid],
    each: impl FnMut(&SpiHeapTupleData) -> std::result::Result<T, pgrx::spi::Error>,
) -> Result<Vec<T>> {
    spi::with_fresh_snapshot(|| execute(query, arguments, true, each))
}

/// First column of the first row, none if there is no row or it is null.
pub fn read_one_now<T: FromDatum + IntoDatum>(
    query: &'static str,
    arguments: &[DatumWithOid],
) -> Result<Option<T>> {
    let rows = read_now(query, arguments, |row| row.get::<T>(1))?;
    Ok(rows.into_iter().next().flatten())
}

/// Runs a statement that changes something and returns the first column of its first row.
pub fn run_one<T: FromDatum + IntoDatum>(
    statement: &'static str,
    arguments: &[DatumWithOid],
) -> Result<Option<T>> {
    let rows = execute(statement, arguments, false, |row| row.get::<T>(1))?;
    Ok(rows.into_iter().next().flatten())
}

/// Runs a statement that changes something.
pub fn run(statement: &'static str, arguments: &[DatumWithOid]) -> Result<()> {
    execute(statement, arguments, false, |_| Ok(())).map(drop)
}

fn execute<T>(
    text: &'static str,
    arguments: &[DatumWithOid],
    read_only: bool,
    mut each: impl FnMut(&SpiHeapTupleData) -> std::result::Result<T, pgrx::spi::Error>,
) -> Result<Vec<T>> {
    let mut nulls: Vec<std::ffi::c_char> =
        arguments.iter().map(|a| if a.datum().is_some() { b' ' } else { b'n' } as _).collect();
    let mut values: Vec<pg_sys::Datum> = arguments
        .iter()
        .map(|a| a.datum().map_or(pg_sys::Datum::from(0usize), |datum| datum.sans_lifetime()))
        .collect();
    let work = |_: &SpiClient| {
        let plan = plan(text, arguments)?;
        let mut rows = Vec::new();
        // SAFETY: connected to SPI; as many values and nulls as the plan was made for, of its types; the rows are read
        // before SPI is left, which frees them.
        unsafe {
            let code = pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_mut_ptr(), read_only, 0);
            if code < 0 {
                return Err(Error::internal(format!("SPI_execute_plan returned {code}")));
            }
            let table = pg_sys::SPI_tuptable;
            let found = if table.is_null() { 0 } else { pg_sys::SPI_processed as usize };
            for i in 0..found {
                if let Some(row) = SpiHeapTupleData::new((*table).tupdesc, *(*table).vals.add(i))? {
                    rows.push(each(&row)?);
                }
            }
        }
        Ok(rows)
    };
    // Whatever the session's search_path: with another one, PostgreSQL would plan anew.
    security::with_safe_search_path(|| Spi::connect(work))
}

fn plan(query: &'static str, arguments: &[DatumWithOid]) -> Result<pg_sys::SPIPlanPtr> {
    let place = (query.as_ptr() as usize, query.len());
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(&place).copied()) {
        return Ok(plan);
    }
    let text = CString::new(query).map_err(|_| Error::internal("a query contains a zero byte"))?;
    let mut types: Vec<pg_sys::Oid> = arguments.iter().map(DatumWithOid::oid).collect();
    // SAFETY: connected to SPI; as many types as parameters. Kept, the plan lives as long as the session. One plan for
    // whatever values: these queries go by indexes of the catalogue.
    let plan = unsafe {
        let plan = pg_sys::SPI_prepare_cursor(
            text.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            pg_sys::CURSOR_OPT_GENERIC_PLAN as i32,
        );
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            return Err(Error::internal("a query could not be prepared"));
        }
        plan
    };
    PLANS.with_borrow_mut(|plans| plans.insert(place, plan));
    Ok(plan)
}

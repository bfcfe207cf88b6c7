//! A query's rows one at a time, as PostgreSQL holds them: nothing is copied that is not asked for and
//! no transaction id is assigned.

use super::memory::OwnedContext;
use super::table::Fields;
use super::tuple::Row;
use crate::error::{Error, Result};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CString;

/// Rows fetched at a time.
const BATCH: i64 = 1000;

/// Calls `each` for every row of a read-only query, through the statement's snapshot. What `each`
/// allocates on PostgreSQL's side lives until the next row.
pub fn each(query: &str, arguments: &[DatumWithOid], each: impl FnMut(&Fields) -> Result<()>) -> Result<()> {
    through(query, arguments, true, each)
}

/// The same for a query that may lock rows, through a snapshot taken now.
pub fn each_now(
    query: &str,
    arguments: &[DatumWithOid],
    each: impl FnMut(&Fields) -> Result<()>,
) -> Result<()> {
    through(query, arguments, false, each)
}

fn through(
    query: &str,
    arguments: &[DatumWithOid],
    read_only: bool,
    mut each: impl FnMut(&Fields) -> Result<()>,
) -> Result<()> {
    let query = CString::new(query).map_err(|_| Error::internal("a query text contains a zero byte"))?;
    let count = i32::try_from(arguments.len()).map_err(|_| Error::internal("too many arguments"))?;
    let mut types: Vec<pg_sys::Oid> = arguments.iter().map(DatumWithOid::oid).collect();
    let mut nulls: Vec<std::ffi::c_char> =
        arguments.iter().map(|a| if a.datum().is_some() { b' ' } else { b'n' } as _).collect();
    let mut values: Vec<pg_sys::Datum> = arguments
        .iter()
        .map(|a| a.datum().map_or(pg_sys::Datum::from(0usize), |datum| datum.sans_lifetime()))
        .collect();
    Spi::connect(|_| {
        let memory = OwnedContext::new(c"db_architect rows");
        // SAFETY: connected to SPI; the arrays have `count` entries each and outlive the portal; a
        // batch's rows are read before they are freed.
        unsafe {
            let portal = pg_sys::SPI_cursor_open_with_args(
                std::ptr::null(),
                query.as_ptr(),
                count,
                types.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
                read_only,
                0,
            );
            let mut fields = Fields::default();
            loop {
                pg_sys::SPI_cursor_fetch(portal, true, BATCH as _);
                let (fetched, table) = (pg_sys::SPI_processed as usize, pg_sys::SPI_tuptable);
                for i in 0..fetched {
                    let tuple = *(*table).vals.add(i);
                    let row =
                        Row { tuple, descriptor: (*table).tupdesc, _lifetime: std::marker::PhantomData };
                    row.values_into(&mut fields.values);
                    memory.within(|| each(&fields))?;
                    memory.reset();
                }
                pg_sys::SPI_freetuptable(table);
                if fetched == 0 {
                    break;
                }
            }
            pg_sys::SPI_cursor_close(portal);
        }
        Ok(())
    })
}

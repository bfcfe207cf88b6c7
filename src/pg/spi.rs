//! Queries through SPI.
//!
//! `read*` assign no transaction id and work on a standby, which `Spi::get_one` and `Spi::run` do not.
//! Callers qualify every name and operator or run within `security::with_safe_search_path`.

use crate::error::Result;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;

/// Runs `work` under a snapshot taken now: `read*` within it see what this statement has done and what
/// others committed while it waited for a lock.
pub fn with_fresh_snapshot<R>(work: impl FnOnce() -> R) -> R {
    let _fresh = FreshSnapshot::push();
    work()
}

/// First column of the first row, none if there is no row or it is null. Read only.
pub fn read_one<T: FromDatum + IntoDatum>(query: &str, arguments: &[DatumWithOid]) -> Option<T> {
    read(query, arguments, |row| row.get::<T>(1)).ok().and_then(|rows| rows.into_iter().next().flatten())
}

/// The same through a snapshot taken now.
pub fn read_one_now<T: FromDatum + IntoDatum>(query: &str, arguments: &[DatumWithOid]) -> Option<T> {
    read_now(query, arguments, |row| row.get::<T>(1)).ok().and_then(|rows| rows.into_iter().next().flatten())
}

/// Like `read`, through a snapshot taken now: sees what this statement itself has done, and what the
/// catalogue says after it. Still assigns no transaction id.
pub fn read_now<T>(
    query: &str,
    arguments: &[DatumWithOid],
    each: impl FnMut(&SpiHeapTupleData) -> std::result::Result<T, pgrx::spi::Error>,
) -> Result<Vec<T>> {
    let _fresh = FreshSnapshot::push();
    read(query, arguments, each)
}

struct FreshSnapshot;

impl FreshSnapshot {
    fn push() -> Self {
        // SAFETY: a copy of the transaction's snapshot, brought up to the current command, as
        // PL/pgSQL's volatile functions use; popped on drop.
        unsafe {
            pg_sys::PushCopiedSnapshot(pg_sys::GetTransactionSnapshot());
            pg_sys::UpdateActiveSnapshotCommandId();
        }
        Self
    }
}

impl Drop for FreshSnapshot {
    fn drop(&mut self) {
        // After an error the abort of the (sub)transaction pops it.
        if !std::thread::panicking() {
            // SAFETY: pops what `push` pushed.
            unsafe { pg_sys::PopActiveSnapshot() }
        }
    }
}

/// Every row of a query, made into a value each. Read only, through the statement's snapshot.
pub fn read<T>(
    query: &str,
    arguments: &[DatumWithOid],
    mut each: impl FnMut(&SpiHeapTupleData) -> std::result::Result<T, pgrx::spi::Error>,
) -> Result<Vec<T>> {
    Spi::connect(|client| {
        let mut rows = Vec::new();
        for row in client.select(query, None, arguments)? {
            rows.push(each(&row)?);
        }
        Ok(rows)
    })
}

/// Runs a statement that changes something; returns the number of rows it processed.
pub fn run(statement: &str, arguments: &[DatumWithOid]) -> Result<usize> {
    Spi::connect_mut(|client| Ok(client.update(statement, None, arguments)?.len()))
}

/// Runs a statement without arguments or result; no transaction id is assigned unless the statement does so itself.
pub fn run_plain(statement: &std::ffi::CStr) -> Result<()> {
    Spi::connect(|_| {
        // SAFETY: connected to SPI; an error unwinds.
        let code = unsafe { pg_sys::SPI_execute(statement.as_ptr(), false, 0) };
        if code < 0 {
            return Err(crate::error::Error::internal(format!("SPI_execute returned {code}")));
        }
        Ok(())
    })
}

/// Runs a statement that changes something and returns the first column of its first row.
pub fn run_one<T: FromDatum + IntoDatum>(statement: &str, arguments: &[DatumWithOid]) -> Result<Option<T>> {
    Spi::connect_mut(|client| {
        let table = client.update(statement, None, arguments)?;
        if table.is_empty() { Ok(None) } else { Ok(table.first().get_one::<T>()?) }
    })
}

/// Runs a statement that changes something; every row it returns, made into a value each.
pub fn run_rows<T>(
    statement: &str,
    arguments: &[DatumWithOid],
    mut each: impl FnMut(&SpiHeapTupleData) -> std::result::Result<T, pgrx::spi::Error>,
) -> Result<Vec<T>> {
    Spi::connect_mut(|client| {
        let mut rows = Vec::new();
        for row in client.update(statement, None, arguments)? {
            rows.push(each(&row)?);
        }
        Ok(rows)
    })
}

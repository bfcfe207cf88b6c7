//! Queries through SPI.
//!
//! `read*` assign no transaction id and work on a standby, which `Spi::get_one` and `Spi::run` do not.
//! Callers qualify every name and operator or run within `security::with_safe_search_path`.

use crate::error::Result;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;

/// First column of the first row, none if there is no row or it is null. Read only.
pub fn read_one<T: FromDatum + IntoDatum>(query: &str, arguments: &[DatumWithOid]) -> Option<T> {
    read(query, arguments, |row| row.get::<T>(1)).ok().and_then(|rows| rows.into_iter().next().flatten())
}

/// Every row of a query, made into a value each. Read only.
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

/// Runs a statement that changes something and returns the first column of its first row.
pub fn run_one<T: FromDatum + IntoDatum>(statement: &str, arguments: &[DatumWithOid]) -> Result<Option<T>> {
    Spi::connect_mut(|client| {
        let table = client.update(statement, None, arguments)?;
        if table.is_empty() { Ok(None) } else { Ok(table.first().get_one::<T>()?) }
    })
}

//! Work that may fail without taking the caller's transaction with it.

use crate::error::Result;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// Runs `work` and brings a PostgreSQL error back as a value, but nothing else: what `work` held stays held
/// to the end of the (sub)transaction, which must not be relied upon to go on for long. Costs nothing
/// while nothing fails.
pub fn caught(work: impl FnOnce()) -> Result<()> {
    let work = AssertUnwindSafe(|| {
        work();
        Ok(())
    });
    PgTryBuilder::new(work).catch_others(|caught| Err(caught.into())).execute()
}

/// Runs `work` in a subtransaction. If it fails, by result or by a PostgreSQL error, what it did is
/// rolled back and the error comes back as a value.
pub fn attempt<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // SAFETY: the usual frame around an internal subtransaction, as PL/pgSQL makes it: context and
    // resource owner are those from before once it ends, either way.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        let back = move || {
            pg_sys::CurrentMemoryContext = context;
            pg_sys::CurrentResourceOwner = owner;
        };
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::CurrentMemoryContext = context;
        let outcome =
            PgTryBuilder::new(AssertUnwindSafe(work)).catch_others(|caught| Err(caught.into())).execute();
        match &outcome {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        back();
        outcome
    }
}

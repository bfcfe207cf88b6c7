//! Work that may fail without taking the caller's transaction with it.

use crate::error::Result;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `work` and brings a PostgreSQL error back as a value, but nothing else: what `work` held stays held
/// to the end of the (sub)transaction, which must not be relied upon to go on for long. Costs nothing
/// while nothing fails.
#[inline]
pub fn caught(work: impl FnOnce()) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => Ok(()),
        Err(payload) => thrown(payload),
    }
}

#[cold]
fn thrown(payload: Box<dyn Any + Send>) -> Result<()> {
    PgTryBuilder::new(AssertUnwindSafe(|| resume_unwind(payload)))
        .catch_others(|caught| Err(caught.into()))
        .execute()
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

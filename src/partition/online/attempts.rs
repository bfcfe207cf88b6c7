//! Locks, taken politely: each attempt waits a short time only, since whoever comes after queues up behind
//! it; then a pause that grows, in which everybody gets through, until a deadline.

use crate::error::{Error, Result};
use crate::partition::locking::{is_busy, retry};
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Instant;

/// A procedure at work on somebody's table.
#[derive(Clone, Copy)]
pub struct Attempts<'p> {
    pub procedure: &'p Procedure,
    /// Everything is done as this role, the table's owner.
    pub owner: pg_sys::Oid,
    pub deadline: Instant,
    /// Milliseconds.
    pub lock_timeout: i32,
}

impl Attempts<'_> {
    /// Runs `work` as the owner in a transaction of its own, again and again while a lock is not to be
    /// had. Nothing of an attempt that fails stays.
    pub fn retrying<R>(&self, mut work: impl FnMut() -> Result<R>) -> Result<R> {
        let attempt = || self.once(self.lock_timeout, &mut work);
        retry(self.deadline, attempt, |pause| self.procedure.sleep(pause)).map_err(out_of_time)
    }

    /// Runs `work` as the owner in a transaction of its own, waiting for weak locks, behind which nobody
    /// who reads or writes has to queue, until the deadline.
    pub fn patiently<R>(&self, work: impl FnMut() -> Result<R>) -> Result<R> {
        let left = self.deadline.saturating_duration_since(Instant::now()).as_millis().clamp(1, 86_400_000);
        self.once(left as i32, work).map_err(out_of_time)
    }

    /// An error past the deadline, for work that takes many transactions.
    pub fn in_time(&self) -> Result<()> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(Error::new(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, "the work was not done by the deadline")
            .hint("Calling the procedure again, with a later deadline, goes on from where it stopped."))
    }

    /// Looks at something, as the owner.
    pub fn look<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.procedure.transaction(|| security::as_owner(self.owner, work))
    }

    fn once<R>(&self, lock_timeout: i32, mut work: impl FnMut() -> Result<R>) -> Result<R> {
        self.procedure.transaction(|| {
            security::as_owner(self.owner, || {
                set_lock_timeout(lock_timeout)?;
                autovacuum_gives_way()?;
                work()
            })
        })
    }
}

/// For the rest of the transaction.
pub(super) fn set_lock_timeout(milliseconds: i32) -> Result<()> {
    spi::run("SELECT pg_catalog.set_config('lock_timeout', $1, true)", &[milliseconds.to_string().into()])
        .map(|_| ())
}

/// Autovacuum leaves a table to whoever has waited for it as long as deadlock_timeout, which by default is
/// longer than we are willing to wait. Only superusers may set it; without, an attempt more may be needed.
fn autovacuum_gives_way() -> Result<()> {
    let set = || spi::run("SELECT pg_catalog.set_config('deadlock_timeout', '50ms', true)", &[]);
    match security::as_extension_owner(|| crate::pg::subtransaction::attempt(set)) {
        Err(error) if error.is_cancel() => Err(error),
        _ => Ok(()),
    }
}

/// What a lock that was not to be had means to the caller; other errors as they are.
fn out_of_time(error: Error) -> Error {
    if !is_busy(&error) {
        return error;
    }
    Error::new(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, "a lock was not to be had by the deadline")
        .detail(format!("The last attempt ended with: {}.", error.message()))
        .hint("Long transactions hold it: see pg_locks. Calling the procedure again goes on from where it stopped.")
}

//! Waiting for locks: a little, again and again, so that nobody queues up behind us for long. What functions and
//! procedures have in common; those of the latter, a transaction an attempt, are in `online/attempts.rs`.

use crate::error::{Error, Result};
use crate::pg::{procedure, security, subtransaction};
use pgrx::prelude::*;
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// How long one attempt waits.
const TIMEOUT: &CStr = c"200ms";
/// How long a function goes on trying; procedures have a deadline of their own.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether a lock was not to be had, and trying again makes sense.
#[must_use]
pub fn is_busy(error: &Error) -> bool {
    matches!(
        error.code(),
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE | PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED
    )
}

/// Runs `work` with the lock_timeout of one attempt.
pub fn with_timeout<R>(work: impl FnOnce() -> R) -> R {
    security::with_settings(&[(c"lock_timeout", TIMEOUT)], work)
}

/// Makes attempts while a lock is not to be had, with pauses that grow, until a deadline; then the last attempt's
/// error. Nothing of an attempt that fails may stay.
pub fn retry<R>(
    deadline: Instant,
    mut attempt: impl FnMut() -> Result<R>,
    sleep: impl Fn(Duration),
) -> Result<R> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && Instant::now() + pause < deadline => sleep(pause),
            done => return done,
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Tries `work` in a subtransaction until it gets its locks, in a function: the caller's transaction goes on.
pub fn retry_here<R>(mut work: impl FnMut() -> Result<R>) -> Result<R> {
    retry(Instant::now() + PATIENCE, || subtransaction::attempt(&mut work), procedure::sleep)
}

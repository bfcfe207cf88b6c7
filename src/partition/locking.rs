//! Waiting for locks: a little, again and again, so that nobody queues up behind us for long. What functions and
//! procedures have in common; those of the latter, a transaction an attempt, are in `online/attempts.rs`.

use crate::error::{Error, Result};
use crate::pg::{procedure, security, subtransaction};
use pgrx::prelude::*;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

/// How long one attempt waits, unless the caller says otherwise.
pub const TIMEOUT: &CStr = c"200ms";
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

/// Runs `work` with a lock_timeout.
pub fn with_timeout<R>(timeout: Option<Duration>, work: impl FnOnce() -> R) -> R {
    let text = timeout.and_then(|timeout| CString::new(format!("{}ms", timeout.as_millis().max(1))).ok());
    security::with_settings(&[(c"lock_timeout", text.as_deref().unwrap_or(TIMEOUT))], work)
}

/// Pauses that grow, until a deadline.
pub struct Pauses {
    deadline: Instant,
    next: Duration,
}

impl Pauses {
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self { deadline, next: FIRST_PAUSE }
    }

    /// How long to wait before the next attempt; none if there is no time for one.
    pub fn pause(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 3 / 2).min(LONGEST_PAUSE);
        (Instant::now() + pause < self.deadline).then_some(pause)
    }
}

/// Tries `work` in a subtransaction until it gets its locks, in a function: the caller's transaction goes on.
pub fn retry_here<R>(mut work: impl FnMut() -> Result<R>) -> Result<R> {
    let mut pauses = Pauses::until(Instant::now() + PATIENCE);
    loop {
        match subtransaction::attempt(&mut work) {
            Err(error) if is_busy(&error) => match pauses.pause() {
                Some(pause) => procedure::sleep(pause),
                None => return Err(error),
            },
            done => return done,
        }
    }
}

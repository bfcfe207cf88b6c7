//! How far the feed is decided: every entry up to there is committed and visible, or will never be.
//!
//! The other side of `capture::position`. Whoever reads the last position given out first, and the
//! writers' locks afterwards, misses no writer: one that took its lock later takes a later block. Locks are
//! released once the transaction counts as ended, so a snapshot taken after they were read sees all it wrote.

use crate::capture;
use crate::capture::position::{CLASS, given_out};
use crate::error::Result;
use crate::pg::lock_table;

/// How far the feed is decided, and who keeps it from being decided further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    pub position: i64,
    /// The process of the writer, 0 where it is a prepared transaction, and the number of its lock.
    pub held_by: Option<(i32, i64)>,
}

/// To be followed by a snapshot of what is at or below it. Of this transaction's own changes what can be written is.
pub fn now() -> Result<Horizon> {
    capture::write_pending();
    let last = given_out()?;
    let held = lock_table::held(CLASS);
    let lowest = held.iter().min_by_key(|lock| lock.number as i64);
    Ok(match lowest {
        Some(lock) if (lock.number as i64) < last => {
            Horizon { position: lock.number as i64, held_by: Some((lock.pid, lock.number as i64)) }
        }
        _ => Horizon { position: last, held_by: None },
    })
}

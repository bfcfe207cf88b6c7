//! The locks of an exchange: on the table, on those that refer to it and those it refers to, all taken in one short
//! attempt before anything is changed.

use super::attempts::set_lock_timeout;
use crate::error::Result;
use crate::pg::{lock, security, spi};
use pgrx::pg_sys;
use std::time::{Duration, Instant};

/// The order in which an attempt takes its locks. Transactions that use the tables in the opposite order are deadlocked
/// with it, and where there is always one of these, every attempt in the same order fails. So orders take turns.
#[derive(Default)]
pub struct Turns {
    attempts: u32,
}

impl Turns {
    /// Locks `own`, names of the table and of partitions of it in this order, ACCESS EXCLUSIVE, and the tables of its
    /// foreign keys and whoever else reads it. As the current role; those may be other roles'.
    pub fn lock(
        &mut self,
        table: pg_sys::Oid,
        own: &[String],
        readers: &[pg_sys::Oid],
        lock_timeout: i32,
    ) -> Result<()> {
        let until = Instant::now() + Duration::from_millis(lock_timeout.max(1) as u64);
        let hurry = || {
            let left = until.saturating_duration_since(Instant::now()).as_millis().max(1);
            set_lock_timeout(left as i32)
        };
        let take = |what: &str, mode: &str| {
            hurry()?;
            spi::run(&format!("LOCK TABLE {what} IN {mode} MODE"), &[]).map(|_| ())
        };
        let of_own = || own.iter().try_for_each(|name| take(&format!("ONLY {name}"), "ACCESS EXCLUSIVE"));
        let of_others = || {
            others(table)?
                .iter()
                .try_for_each(|(mode, name)| security::as_extension_owner(|| take(name, mode)))?;
            readers.iter().try_for_each(|reader| {
                hurry()?;
                lock::exclusively(*reader);
                Ok(())
            })
        };
        self.attempts += 1;
        if self.attempts % 2 == 1 {
            of_others()?;
            of_own()
        } else {
            of_own()?;
            of_others()
        }
    }
}

/// Mode and name of the tables of foreign keys to and from a table.
fn others(table: pg_sys::Oid) -> Result<Vec<(String, String)>> {
    spi::read_now(
        "SELECT x.mode, x.rel::pg_catalog.regclass::pg_catalog.text FROM (
             SELECT 1 AS n, 'ACCESS EXCLUSIVE' AS mode, c.conrelid AS rel FROM pg_constraint AS c
              WHERE c.confrelid = $1 AND c.conrelid <> $1 AND c.contype = 'f' AND c.conparentid = 0
             UNION
             SELECT 2, 'SHARE ROW EXCLUSIVE', c.confrelid FROM pg_constraint AS c
              WHERE c.conrelid = $1 AND c.confrelid <> $1 AND c.contype = 'f') AS x
          ORDER BY x.n, x.rel",
        &[table.into()],
        |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
    )
}

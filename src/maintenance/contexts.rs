//! Contexts nothing refers to any more. Audit log and change feed share them; each asks for this by what it
//! keeps itself.

use crate::error::Result;
use crate::maintenance::Run;
use crate::pg::{datum, spi};

/// Contexts purged in one transaction.
const BATCH: i64 = 10_000;

/// Deletes contexts older than anything that can refer to them, where nothing recorded before `limit` is kept:
/// a session stores its context anew at least every 28 days, so an entry's context is at most that much
/// older than the entry. Returns how many there were.
pub fn purge(run: &mut Run, limit: i64) -> Result<i64> {
    let mut after = i64::MIN;
    let mut purged = 0;
    loop {
        let batch = run.transaction(|| {
            spi::read_now(
                "WITH batch AS (
                     SELECT c.context_id, c.recorded_at FROM architect.capture_context AS c
                      WHERE c.context_id > $1 ORDER BY c.context_id LIMIT $3),
                 gone AS (
                     DELETE FROM architect.capture_context AS c USING batch AS b
                      WHERE c.context_id = b.context_id
                        AND b.recorded_at < $2 - '29 days'::pg_catalog.interval
                     RETURNING 1)
                 SELECT (SELECT pg_catalog.max(b.context_id) FROM batch AS b), (SELECT pg_catalog.count(*) FROM gone)",
                &[after.into(), datum::timestamptz(limit).into(), BATCH.into()],
                |row| Ok((row.get::<i64>(1)?, row.get::<i64>(2)?.unwrap_or_default())),
            )
        })?;
        match batch.first() {
            Some((Some(last), gone)) => {
                after = *last;
                purged += gone;
                // Numbers grow with time: past the first batch that keeps all, all are kept.
                if *gone == 0 {
                    break;
                }
            }
            _ => break,
        }
    }
    Ok(purged)
}

//! Contexts nothing refers to any more go once the months that could have are gone.

use crate::audit::partitions::{self, readable};
use crate::audit::settings;
use crate::error::Result;
use crate::maintenance::{Run, contexts};
use crate::partition::policy::{Fate, Keep};
use crate::pg::spi;
use pgrx::prelude::*;

/// Deletes contexts older than anything that can refer to them: a session stores its context anew at least
/// every 28 days, so an entry's context is at most that much older than the entry.
pub fn purge_contexts(run: &mut Run) -> Result<()> {
    let limit = run.transaction(|| {
        if !super::maintain::log_exists() {
            return Ok(None);
        }
        // Months that are detached or archived are of use only with the contexts they refer to.
        match settings::retention()? {
            Some(retention) if !matches!(retention.keep, Keep::Forever) && retention.fate == Fate::Drop => {
                oldest_kept()
            }
            _ => Ok(None),
        }
    })?;
    let Some(limit) = limit else { return Ok(()) };
    let purged = contexts::purge(run, limit)?;
    if purged > 0 {
        run.note(
            "capture_context",
            "purged",
            format!("{purged} contexts recorded before {}", readable(limit)),
        );
    }
    Ok(())
}

/// Nothing kept is older; none where that is not known.
fn oldest_kept() -> Result<Option<i64>> {
    let partitions = partitions::all()?;
    let lowest = partitions.iter().filter(|p| !p.is_default).map(|p| p.low.unwrap_or(i64::MIN)).min();
    let in_default = spi::read_one_now::<TimestampWithTimeZone>(
        "SELECT pg_catalog.min(e.changed_at) FROM architect.audit_entry_default AS e",
        &[],
    )
    .map(i64::from);
    let in_feed = crate::capture::feed::oldest()?;
    Ok(lowest.into_iter().chain(in_default).chain(in_feed).min().filter(|&at| at > i64::MIN))
}

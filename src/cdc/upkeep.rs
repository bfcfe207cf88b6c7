//! The upkeep of the feed's storage, as steps of run_maintenance(): what consumers have read is theirs.

use crate::capture::feed;
use crate::capture::policy::Kind;
use crate::capture::storage as shared;
use crate::cdc::storage;
use crate::error::Result;
use crate::maintenance::{Run, Step, contexts};
use crate::pg::session;

pub const STEPS: &[Step] = &[
    Step { name: "change feed origin", run: note_origin },
    Step { name: "change feed storage", run: repair },
    Step { name: "change feed contexts", run: purge_contexts },
];

/// After a restore into another cluster or database stored identifiers are looked up again.
fn note_origin(run: &mut Run) -> Result<()> {
    run.retrying(|| if Kind::Feed.storage_exists() { shared::note_origin() } else { Ok(()) })
}

/// Makes tables of the feed anew that somebody dropped.
fn repair(run: &mut Run) -> Result<()> {
    let made =
        run.retrying(|| if Kind::Feed.storage_exists() { storage::repair() } else { Ok(Vec::new()) })?;
    for name in made {
        run.note(name, "created", "a table of the feed was missing; what was in it is lost to its consumers");
    }
    Ok(())
}

/// Where there is an audit log, contexts go with its entries.
fn purge_contexts(run: &mut Run) -> Result<()> {
    let limit = run.transaction(|| {
        if !Kind::Feed.storage_exists() || Kind::Audit.storage_exists() {
            return Ok(None);
        }
        Ok(Some(feed::oldest()?.unwrap_or_else(session::clock)))
    })?;
    let Some(limit) = limit else { return Ok(()) };
    let purged = contexts::purge(run, limit)?;
    if purged > 0 {
        run.note("capture_context", "purged", format!("{purged} contexts no event refers to"));
    }
    Ok(())
}

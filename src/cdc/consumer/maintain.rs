//! The upkeep of the feed, as steps of run_maintenance().

use super::retention::{self, Note};
use super::{state, storage};
use crate::capture::policy::Kind;
use crate::error::Result;
use crate::maintenance::{Run, Step};

pub const STEPS: &[Step] =
    &[Step { name: "change feed consumers", run: give_up }, Step { name: "change feed tables", run: tidy }];

fn is_used() -> bool {
    Kind::Feed.storage_exists() && state::exists()
}

fn give_up(run: &mut Run) -> Result<()> {
    let notes = run.retrying(|| if is_used() { retention::give_up() } else { Ok(Vec::new()) })?;
    report(run, notes);
    Ok(())
}

/// Also where no consumer was ever made, or the feed would grow for ever: how long it is kept then is a setting
/// in the consumers' tables, which are made for that. Twice: the table that was written to until now may be one that every consumer has read.
fn tidy(run: &mut Run) -> Result<()> {
    for _ in 0..2 {
        let notes = run.retrying(|| {
            if !Kind::Feed.storage_exists() {
                return Ok(Vec::new());
            }
            storage::ensure()?;
            retention::tidy()
        })?;
        report(run, notes);
    }
    Ok(())
}

fn report(run: &mut Run, notes: Vec<Note>) {
    for note in notes {
        run.note(note.object, note.action, note.detail);
    }
}

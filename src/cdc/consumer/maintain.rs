//! The upkeep of the feed, as steps of run_maintenance().

use super::retention::{self, Note};
use super::{state, storage};
use crate::capture::policy::Kind;
use crate::error::Result;
use crate::maintenance::{Run, Step};

pub const STEPS: &[Step] =
    &[Step { name: "change feed consumers", run: give_up }, Step { name: "change feed tables", run: tidy }];

/// Passes one run makes at most: tables may fill as fast as they are emptied.
const MOST: usize = 100;

fn is_used() -> bool {
    Kind::Feed.storage_exists() && state::exists()
}

fn give_up(run: &mut Run) -> Result<()> {
    let notes = run.retrying(|| if is_used() { retention::give_up() } else { Ok(Vec::new()) })?;
    report(run, notes);
    Ok(())
}

/// Also where no consumer was ever made, or the feed would grow for ever: how long it is kept then is a setting
/// in the consumers' tables, which are made for that. Twice at least: the table that was written to until now may
/// be one that every consumer has read; and again while there is more to do than a transaction does at once.
fn tidy(run: &mut Run) -> Result<()> {
    let mut passes = 0;
    loop {
        let notes = run.retrying(|| {
            if !Kind::Feed.storage_exists() {
                return Ok(Vec::new());
            }
            storage::ensure()?;
            retention::tidy()
        })?;
        passes += 1;
        let done = passes > 1 && notes.is_empty() || passes >= MOST;
        report(run, notes);
        if done {
            return Ok(());
        }
    }
}

fn report(run: &mut Run, notes: Vec<Note>) {
    for note in notes {
        run.note(note.object, note.action, note.detail);
    }
}

//! Events that share a row of the feed, before that is written: at the latest when the query ends whose triggers
//! recorded them, or before the next one looks (src/pg/executor.rs), and before the savepoint they were recorded in ends.

use crate::capture::feed::{ChangeFeed, Entry};
use crate::capture::key::key_hash;
use crate::capture::log::{Operation, Statement};
use crate::capture::pack;
use crate::error::Result;
use crate::pg::{executor, session};

/// At most one row for each savepoint: what a trigger does in one of its own is written, or rolled back, with that.
#[derive(Default)]
pub struct Pending {
    packs: Vec<Pack>,
    spare: Vec<u8>,
}

struct Pack {
    statement: Statement,
    savepoint: u32,
    /// Written as by this command: what begins later sees it.
    command: u32,
    last: i64,
    events: i32,
    /// Of the first event.
    table_id: i32,
    json: Vec<u8>,
}

/// Bytes an event takes beside image and key.
const FRAME: usize = 40;

fn size(entry: &Entry) -> usize {
    entry.image.map_or(0, <[u8]>::len) + entry.key.map_or(0, <[u8]>::len) + FRAME
}

impl Pending {
    /// Whether an event that is not the first of its statement may wait for others: it is of a row, and small.
    #[inline]
    pub fn takes(entry: &Entry) -> bool {
        !matches!(entry.operation, Operation::Truncate | Operation::Event) && size(entry) <= pack::MOST / 2
    }

    pub fn add(
        &mut self,
        statement: &Statement,
        position: i64,
        entry: &Entry,
        feed: &mut ChangeFeed,
    ) -> Result<()> {
        let savepoint = session::savepoint();
        let goes_on = |pack: &Pack| {
            pack.last + 1 == position
                && pack.statement.txid == statement.txid
                && pack.statement.context_id == statement.context_id
                && pack.json.len() + size(entry) <= pack::MOST
        };
        if self.packs.iter().any(|pack| pack.savepoint == savepoint && !goes_on(pack)) {
            self.write(savepoint, feed)?;
        }
        let pack = match self.packs.iter().position(|pack| pack.savepoint == savepoint) {
            Some(at) => &mut self.packs[at],
            None => {
                let (statement, table_id) = (*statement, entry.table_id);
                let (json, command) = (std::mem::take(&mut self.spare), session::command_id());
                self.packs.push(Pack { statement, savepoint, command, last: 0, events: 0, table_id, json });
                let at = self.packs.len() - 1;
                &mut self.packs[at]
            }
        };
        pack.last = position;
        pack.events += 1;
        let former = entry.former_key.map(|key| key_hash(entry.table_id, key));
        let image = entry.image.unwrap_or(b"null");
        pack::add(&mut pack.json, entry.operation as u8, entry.relation_id, image, entry.key, former);
        executor::leave();
        Ok(())
    }

    /// Writes what waits in a savepoint.
    pub fn write(&mut self, savepoint: u32, feed: &mut ChangeFeed) -> Result<()> {
        let Some(at) = self.packs.iter().position(|pack| pack.savepoint == savepoint) else { return Ok(()) };
        let mut pack = self.packs.swap_remove(at);
        pack.json.push(b']');
        let Pack { statement, command, last, events, table_id, json, .. } = &pack;
        let written = match events {
            1 => feed.append_packed(statement, *command, *last, *table_id, json),
            _ => feed.append_pack(statement, *command, *last, *events, json),
        };
        pack.json.clear();
        self.spare = pack.json;
        written
    }

    pub fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }

    pub fn clear(&mut self) {
        self.packs.clear();
    }

    /// Savepoints of this number and higher are gone, with what waited in them.
    pub fn after_rollback(&mut self, lowest: u32) {
        self.packs.retain(|pack| pack.savepoint < lowest);
    }
}

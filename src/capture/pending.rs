//! Events that share a row of the feed, before that is written: at the latest when the transaction ends, or the
//! savepoint they were recorded in, and before a query that reads the feed (src/pg/executor.rs).
//!
//! Those outside any other trigger have no position until then: it need only be taken while the locks of their rows
//! are held, and what the transaction writes next has a higher one. One position, and one row, for a transaction of some
//! small changes is what many writers at a time wait for each other least with.

use crate::capture::feed::{ChangeFeed, Entry};
use crate::capture::key::key_hash;
use crate::capture::log::{Operation, Statement};
use crate::capture::notice;
use crate::capture::pack;
use crate::capture::position::Positions;
use crate::error::Result;
use crate::pg::{executor, session};

/// At most one row for each savepoint, outermost first: what is done in one is written, or rolled back, with it.
#[derive(Default)]
pub struct Pending {
    packs: Vec<Pack>,
    spare: Vec<u8>,
}

struct Pack {
    /// Of the first event.
    statement: Statement,
    table_id: i32,
    savepoint: u32,
    /// Command of the last event's statement.
    last_command: u32,
    /// Written as by this command: what begins later sees it.
    command: u32,
    /// Of the last event; none while they have none.
    position: Option<i64>,
    events: i32,
    json: Vec<u8>,
}

/// Bytes an event takes beside image and key.
const FRAME: usize = 50;

fn size(entry: &Entry) -> usize {
    entry.image.map_or(0, <[u8]>::len) + entry.key.map_or(0, <[u8]>::len) + FRAME
}

impl Pending {
    /// Whether an event may wait for others: it is of a row, and small, and there is still to be an end to wait for.
    #[inline]
    pub fn takes(entry: &Entry) -> bool {
        !matches!(entry.operation, Operation::Truncate | Operation::Event)
            && size(entry) <= pack::MOST / 2
            && !executor::is_ending()
    }

    /// Adds an event with the position it has, or that is to get one with those before it.
    pub fn add(
        &mut self,
        statement: &Statement,
        position: Option<i64>,
        entry: &Entry,
        feed: &mut ChangeFeed,
        positions: &mut Positions,
    ) -> Result<()> {
        let savepoint = session::savepoint();
        let goes_on = |pack: &Pack| {
            pack.position.map(|last| last + 1) == position
                && pack.statement.txid == statement.txid
                && pack.statement.context_id == statement.context_id
                && pack.json.len() + size(entry) <= pack::MOST
        };
        if self.packs.last().is_some_and(|pack| pack.savepoint == savepoint && !goes_on(pack)) {
            self.write(savepoint, feed, positions)?;
        }
        let pack = match self.packs.last_mut() {
            Some(pack) if pack.savepoint == savepoint => pack,
            _ => {
                self.packs.push(Pack {
                    statement: *statement,
                    table_id: entry.table_id,
                    savepoint,
                    last_command: statement.command,
                    command: 0,
                    position: None,
                    events: 0,
                    json: std::mem::take(&mut self.spare),
                });
                let last = self.packs.len() - 1;
                &mut self.packs[last]
            }
        };
        pack.last_command = statement.command;
        pack.command = session::command_id();
        pack.position = position;
        pack.events += 1;
        pack::add(
            &mut pack.json,
            entry.operation as u8,
            statement.at - pack.statement.at,
            entry.relation_id,
            entry.image.unwrap_or(b"null"),
            entry.key,
            entry.former_key.map(|key| key_hash(entry.table_id, key)),
        );
        executor::leave();
        Ok(())
    }

    /// Gives positions to the events that have none: what comes next has a higher one.
    pub fn take_positions(&mut self, positions: &mut Positions) -> Result<()> {
        for pack in self.packs.iter_mut().filter(|pack| pack.position.is_none()) {
            let last =
                positions.of_several(pack.statement.txid, pack.last_command, i64::from(pack.events))?;
            pack.position = Some(last);
            notice::positioned(pack.statement.txid, last);
        }
        Ok(())
    }

    /// Takes them back: the lock that kept readers below them went with a savepoint. Nothing that is still there came
    /// after.
    pub fn give_positions_back(&mut self) {
        self.packs.iter_mut().for_each(|pack| pack.position = None);
    }

    /// Writes what waits in a savepoint.
    pub fn write(&mut self, savepoint: u32, feed: &mut ChangeFeed, positions: &mut Positions) -> Result<()> {
        if self.packs.is_empty() {
            return Ok(());
        }
        self.take_positions(positions)?;
        let Some(mut pack) = self.packs.pop_if(|pack| pack.savepoint == savepoint) else { return Ok(()) };
        pack.json.push(b']');
        let Pack { statement, command, position, events, table_id, json, .. } = &pack;
        let last = position.unwrap_or_default();
        let written = match events {
            1 => feed.append_packed(statement, *command, last, *table_id, json),
            _ => feed.append_pack(statement, *command, last, *events, json),
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

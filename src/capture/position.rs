//! The order of the feed.
//!
//! A statement takes a block of positions at its first AFTER trigger call: by then it holds the locks of
//! all the rows it changed, so whoever changes one of them next has a higher block, statements its own
//! triggers run included (src/capture/blocks.rs). Positions are taken
//! in one order and committed in another; so that a reader knows how far the feed is complete, a
//! transaction holds a lock, before it takes its first position, on a number all its positions will be
//! above. A reader reads `given_out`, THEN the locks (pg_locks: advisory, objsubid CLASS, this database;
//! the number's halves are classid and objid): up to the least of these everything is committed and
//! visible, or gone, because locks go after the transaction has ended. Prepared transactions keep theirs,
//! over a crash too. A transaction that does not write to the feed holds nothing back.

use crate::capture::blocks::{Block, Blocks};
use crate::capture::policy::storage_missing;
use crate::error::Result;
use crate::pg::{lock, lookup, sequence, session, trigger};
use pgrx::pg_sys;

/// Positions taken at a time: the sequence's increment.
pub const BLOCK: i64 = 4096;
/// What pg_locks shows as objsubid: 'AC' in ASCII.
pub const CLASS: u16 = 0x4143;
const SEQUENCE: &str = "change_position_seq";

/// The highest position any transaction may have taken so far; 0 before the first.
pub fn given_out() -> Result<i64> {
    let sequence = lookup::own_relation(SEQUENCE).ok_or_else(|| storage_missing(SEQUENCE))?;
    highest(sequence)
}

fn highest(sequence: pg_sys::Oid) -> Result<i64> {
    let last = sequence::last(sequence).ok_or_else(|| storage_missing(SEQUENCE))?;
    Ok(last.map_or(0, |first_of_block| first_of_block + BLOCK - 1))
}

/// Where this session takes positions from.
pub struct Positions {
    sequence: pg_sys::Oid,
    /// The transaction the blocks are of.
    txid: u64,
    blocks: Blocks,
    /// The transaction that holds the lock, and the savepoint it was taken in.
    held: Option<(u64, u32)>,
}

impl Positions {
    /// Goes on with `known` where the sequence still is the one it was: a statement may be going on.
    pub fn open(known: Option<Self>) -> Result<Self> {
        let sequence = lookup::own_relation(SEQUENCE).ok_or_else(|| storage_missing(SEQUENCE))?;
        let same = known.filter(|known| known.sequence == sequence);
        Ok(same.unwrap_or_else(|| Self { sequence, txid: 0, blocks: Blocks::default(), held: None }))
    }

    pub fn depends_on(&self, relid: pg_sys::Oid) -> bool {
        relid == self.sequence
    }

    /// The next position of a statement whose row locks are all held, and whether it is its first, or that of a block. One
    /// that goes on after a statement its triggers ran, and has used its block up, gets a higher block than that one.
    pub fn of_statement(&mut self, txid: u64, command: u32) -> Result<(i64, bool)> {
        if self.txid != txid {
            self.blocks.clear();
            self.txid = txid;
        }
        if let Some(position) = self.blocks.next(command, trigger::depth) {
            return Ok((position, false));
        }
        let (depth, savepoint) = (trigger::depth(), session::savepoint());
        // What is left of the block of a statement that has ended will do while nobody took another since: who held
        // one of our rows before us has taken a lower one.
        if self.held.is_some_and(|(holder, _)| holder == txid)
            && let Some(rest) = self.blocks.rest(depth)
            && sequence::last_here(self.sequence) == Some(rest.first)
        {
            self.blocks.open(Block { command, depth, savepoint, next: rest.next + 1, ..rest });
            return Ok((rest.next, true));
        }
        let first = self.begin_block(txid)?;
        self.blocks.open(Block { command, depth, savepoint, first, next: first + 1, end: first + BLOCK });
        Ok((first, true))
    }

    /// A position by itself: for what may come while a statement is still taking its locks.
    pub fn single(&mut self, txid: u64) -> Result<i64> {
        self.begin_block(txid)
    }

    fn begin_block(&mut self, txid: u64) -> Result<i64> {
        if self.held.is_none_or(|(holder, _)| holder != txid) {
            lock::mark(CLASS, highest(self.sequence)?);
            self.held = Some((txid, session::savepoint()));
        }
        Ok(sequence::next(self.sequence))
    }

    /// Savepoints of this number and higher are gone, with the locks and blocks taken in them; 0: all.
    pub fn after_rollback(&mut self, lowest: u32) {
        self.held = self.held.filter(|&(_, savepoint)| savepoint < lowest);
        self.blocks.after_rollback(lowest);
        if self.held.is_none() {
            self.blocks.clear();
        }
    }
}

//! The order of the feed.
//!
//! A statement takes a block of positions at its first AFTER trigger call or later: by then it holds the locks of
//! all the rows it changed, so whoever changes one of them next has a higher block, statements its own
//! triggers run included (src/capture/blocks.rs). Several statements of a transaction may share one, taken when the
//! last of them has made its changes (src/capture/pending.rs). Positions are taken
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

/// How many triggers deep the capture trigger of a statement is that no trigger runs.
const OUTERMOST: i32 = 1;
/// Positions taken at a time: the sequence's increment.
pub const BLOCK: i64 = 4096;
/// What pg_locks shows as objsubid: 'AC' in ASCII.
pub const CLASS: u16 = 0x4143;
const SEQUENCE: &str = "change_position_seq";

/// The highest position any transaction may have taken so far; 0 before the first.
pub fn given_out() -> Result<i64> {
    let sequence = lookup::own_relation(SEQUENCE).ok_or_else(|| storage_missing(SEQUENCE))?;
    highest(sequence::last(sequence))
}

/// By what the sequence last gave out; none where it is not there.
fn highest(last: Option<Option<i64>>) -> Result<i64> {
    let last = last.ok_or_else(|| storage_missing(SEQUENCE))?;
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
        self.begin_transaction(txid);
        if let Some(position) = self.blocks.next(command, trigger::depth) {
            return Ok((position, false));
        }
        let (depth, savepoint) = (trigger::depth(), session::savepoint());
        if let Some(rest) = self.rest(txid, depth) {
            self.blocks.open(Block { command, depth, savepoint, next: rest.next + 1, ..rest });
            return Ok((rest.next, true));
        }
        let first = self.begin_block(txid)?;
        self.blocks.open(Block { command, depth, savepoint, first, next: first + 1, end: first + BLOCK });
        Ok((first, true))
    }

    /// The last of so many positions in a row, for events that could wait: of this statement, and of others before it.
    pub fn of_several(&mut self, txid: u64, command: u32, count: i64) -> Result<i64> {
        self.begin_transaction(txid);
        let savepoint = session::savepoint();
        let block = match self.rest(txid, OUTERMOST).filter(|rest| rest.end - rest.next >= count) {
            Some(block) => block,
            None => {
                let first = self.begin_block(txid)?;
                Block { command, depth: OUTERMOST, savepoint, first, next: first, end: first + BLOCK }
            }
        };
        let next = block.next + count;
        self.blocks.open(Block { command, savepoint, next, ..block });
        Ok(next - 1)
    }

    /// Whether an event of a statement need not have a position yet: no trigger's statement comes in between that
    /// might change the same rows.
    pub fn may_wait(&mut self, txid: u64, command: u32) -> bool {
        self.begin_transaction(txid);
        trigger::depth() == OUTERMOST && !self.blocks.has(command)
    }

    /// A position by itself: for what may come while a statement is still taking its locks.
    pub fn single(&mut self, txid: u64) -> Result<i64> {
        self.begin_block(txid)
    }

    fn begin_transaction(&mut self, txid: u64) {
        if self.txid != txid {
            self.blocks.clear();
            self.txid = txid;
        }
    }

    /// What is left of the block of a statement that has ended, while nobody took another since: who held one of our rows
    /// before us has taken a lower one.
    fn rest(&self, txid: u64, depth: i32) -> Option<Block> {
        let rest = self.blocks.rest(depth).filter(|_| self.held.is_some_and(|(holder, _)| holder == txid))?;
        (sequence::last_here(self.sequence) == Some(rest.first)).then_some(rest)
    }

    fn begin_block(&mut self, txid: u64) -> Result<i64> {
        if self.held.is_none_or(|(holder, _)| holder != txid) {
            lock::mark(CLASS, highest(sequence::last_before(self.sequence))?);
            self.held = Some((txid, session::savepoint()));
        }
        Ok(sequence::next(self.sequence))
    }

    /// Whether the transaction still has the lock that keeps readers below its positions.
    pub fn are_held(&self) -> bool {
        self.held.is_some()
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

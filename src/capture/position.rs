//! The order of the feed.
//!
//! A statement takes a block of positions at its first AFTER trigger call: by then it holds the locks of
//! all the rows it changed, so whoever changes one of them next has a higher block. Positions are taken
//! in one order and committed in another; so that a reader knows how far the feed is complete, a
//! transaction holds a lock, before it takes its first position, on a number all its positions will be
//! above. A reader reads `given_out`, THEN the locks (pg_locks: advisory, objsubid CLASS, this database;
//! the number's halves are classid and objid): up to the least of these everything is committed and
//! visible, or gone, because locks go after the transaction has ended. Prepared transactions keep theirs,
//! over a crash too. A transaction that does not write to the feed holds nothing back.

use crate::capture::policy::storage_missing;
use crate::error::Result;
use crate::pg::{lock, lookup, sequence, session};
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
    next: i64,
    end: i64,
    /// Transaction and command the block at hand was taken for.
    statement: Option<(u64, u32)>,
    /// The transaction that holds the lock, and the savepoint it was taken in.
    held: Option<(u64, u32)>,
}

impl Positions {
    pub fn open() -> Result<Self> {
        let sequence = lookup::own_relation(SEQUENCE).ok_or_else(|| storage_missing(SEQUENCE))?;
        Ok(Self { sequence, next: 0, end: 0, statement: None, held: None })
    }

    pub fn depends_on(&self, relid: pg_sys::Oid) -> bool {
        relid == self.sequence
    }

    /// The next position of a statement whose row locks are all held.
    pub fn of_statement(&mut self, txid: u64, command: u32) -> Result<i64> {
        if self.statement != Some((txid, command)) || self.next == self.end {
            self.begin_block(txid)?;
            self.statement = Some((txid, command));
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// A position by itself: for what may come while a statement is still taking its locks.
    pub fn single(&mut self, txid: u64) -> Result<i64> {
        self.begin_block(txid)?;
        self.statement = None;
        Ok(self.next)
    }

    fn begin_block(&mut self, txid: u64) -> Result<()> {
        if self.held.is_none_or(|(holder, _)| holder != txid) {
            lock::mark(CLASS, highest(self.sequence)?);
            self.held = Some((txid, session::savepoint()));
        }
        self.next = sequence::next(self.sequence);
        self.end = self.next + BLOCK;
        Ok(())
    }

    /// Savepoints of this number and higher are gone, with the locks taken in them; 0: all.
    pub fn after_rollback(&mut self, lowest: u32) {
        self.held = self.held.filter(|&(_, savepoint)| savepoint < lowest);
        self.statement = None;
    }
}

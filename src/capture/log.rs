//! One entry of the audit log.

use crate::capture::key::key_hash;
use crate::capture::plan::Part;
use crate::capture::policy::storage_missing;
use crate::error::{Error, Result};
use crate::pg::append::{Columns, Log, NewRow};
use crate::pg::range::ByRange;
use crate::pg::{lookup, sequence};
use pgrx::pg_sys;

/// Ids taken from the sequence at a time: its increment. Larger saves little and wastes more numbers
/// in short sessions.
const BLOCK: i64 = 64;

/// What happened, as audit_entry and change_entry store it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Insert = b'I' as isize,
    UpdateChanged = b'U' as isize,
    UpdateFull = b'F' as isize,
    Delete = b'D' as isize,
    Truncate = b'T' as isize,
    /// In the audit log: the same change, filed under the key the row had before.
    FormerKey = b'K' as isize,
    /// In the feed: what emit_event() was given.
    Event = b'E' as isize,
}

/// The statement a change belongs to.
#[derive(Clone, Copy)]
pub struct Statement {
    pub txid: u64,
    pub command: u32,
    pub at: i64,
    pub context_id: i64,
}

impl Statement {
    /// Of a change whose context could not be stored. No context has this number.
    pub const NO_CONTEXT: i64 = 0;
}

/// The audit log of this database, as this session writes it.
pub struct AuditLog {
    entries: Log<{ entry::COLUMNS }, ByRange>,
    sequence: pg_sys::Oid,
    next_id: i64,
    end_id: i64,
}

mod entry {
    pub const CHANGED_AT: usize = 0;
    pub const AUDIT_ID: usize = 1;
    pub const TXID: usize = 2;
    pub const CONTEXT_ID: usize = 3;
    pub const RELATION_ID: usize = 4;
    pub const STATEMENT: usize = 5;
    pub const KEY_HASH: usize = 6;
    pub const OPERATION: usize = 7;
    pub const ROW_KEY: usize = 8;
    pub const IMAGE: usize = 9;
    pub const COLUMNS: usize = 10;
}

/// As sql/storage/audit.sql creates them. A statement's rows have its time and transaction.
const COLUMNS: Columns<{ entry::COLUMNS }> = Columns {
    types: [
        pg_sys::TIMESTAMPTZOID,
        pg_sys::INT8OID,
        pg_sys::XID8OID,
        pg_sys::INT8OID,
        pg_sys::INT4OID,
        pg_sys::INT4OID,
        pg_sys::INT4OID,
        pg_sys::CHAROID,
        pg_sys::TEXTOID,
        pg_sys::JSONOID,
    ],
    steady: &[entry::CHANGED_AT, entry::TXID],
};

impl AuditLog {
    pub fn open() -> Result<Self> {
        let find = |name: &str| lookup::own_relation(name).ok_or_else(|| storage_missing(name));
        Ok(Self {
            entries: Log::new(ByRange(find("audit_entry")?), &COLUMNS),
            sequence: find("audit_id_seq")?,
            next_id: 0,
            end_id: 0,
        })
    }

    /// The relations this depends on; another may have taken their names.
    pub fn depends_on(&self, relid: pg_sys::Oid) -> bool {
        relid == self.entries.destination().0 || relid == self.sequence
    }

    /// To be called when a transaction or savepoint was rolled back.
    pub fn after_rollback(&mut self) {
        self.entries.after_rollback();
    }

    /// The next audit_id: grows within a session, unique in the database.
    pub fn next_id(&mut self) -> i64 {
        if self.next_id == self.end_id {
            self.next_id = sequence::next(self.sequence);
            self.end_id = self.next_id + BLOCK;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    pub fn append(
        &mut self,
        part: &Part,
        statement: &Statement,
        audit_id: i64,
        operation: Operation,
        key: Option<&[u8]>,
        image: Option<&[u8]>,
    ) -> Result<()> {
        let mut row = NewRow::<{ entry::COLUMNS }>::new();
        row.set_i64(entry::CHANGED_AT, statement.at);
        row.set_i64(entry::AUDIT_ID, audit_id);
        row.set_i64(entry::TXID, statement.txid as i64);
        row.set_i64(entry::CONTEXT_ID, statement.context_id);
        row.set_i32(entry::RELATION_ID, part.relation_id);
        row.set_i32(
            entry::STATEMENT,
            i32::try_from(statement.command).map_err(|_| Error::internal("command number out of range"))?,
        );
        row.set_i32(entry::KEY_HASH, key.map_or(0, |key| key_hash(part.table_id, key)));
        row.set_char(entry::OPERATION, operation as u8);
        if let Some(key) = key {
            row.set_bytes(entry::ROW_KEY, key);
        }
        if let Some(image) = image {
            row.set_bytes(entry::IMAGE, image);
        }
        self.entries.append(statement.at, (statement.txid, statement.at as u64), &mut row)
    }
}

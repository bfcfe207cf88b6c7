//! One entry of the change feed, and the table of the feed it goes to.

use crate::capture::key::key_hash;
use crate::capture::log::{Operation, Statement};
use crate::capture::policy::{Kind, own_table, storage_missing};
use crate::error::Result;
use crate::pg::append::{Columns, Destination, Log, NewRow, Target};
use crate::pg::{lookup, spi};
use pgrx::prelude::*;

mod entry {
    pub const POSITION: usize = 0;
    pub const TXID: usize = 1;
    pub const RECORDED_AT: usize = 2;
    pub const CONTEXT_ID: usize = 3;
    pub const RELATION_ID: usize = 4;
    pub const KEY_HASH: usize = 5;
    pub const FORMER_KEY_HASH: usize = 6;
    pub const OPERATION: usize = 7;
    pub const ROW_KEY: usize = 8;
    pub const IMAGE: usize = 9;
    pub const COLUMNS: usize = 10;
}

/// As sql/storage/cdc.sql creates them.
const COLUMNS: Columns<{ entry::COLUMNS }> = Columns {
    types: [
        pg_sys::INT8OID,
        pg_sys::XID8OID,
        pg_sys::TIMESTAMPTZOID,
        pg_sys::INT8OID,
        pg_sys::INT4OID,
        pg_sys::INT4OID,
        pg_sys::INT4OID,
        pg_sys::CHAROID,
        pg_sys::TEXTOID,
        pg_sys::JSONOID,
    ],
    steady: &[],
};

/// What an entry says; the rest is the statement's.
pub struct Entry<'a> {
    /// Numbers of the policy and of the relation as it looks; 0 for an event.
    pub table_id: i32,
    pub relation_id: i32,
    pub operation: Operation,
    pub key: Option<&'a [u8]>,
    pub former_key: Option<&'a [u8]>,
    pub image: Option<&'a [u8]>,
}

/// The change feed of this database, as this session writes it.
pub struct ChangeFeed {
    entries: Log<{ entry::COLUMNS }, Segments>,
}

impl ChangeFeed {
    pub fn open() -> Result<Self> {
        let segments =
            lookup::own_relation("change_segment").ok_or_else(|| storage_missing("change_segment"))?;
        Ok(Self { entries: Log::new(Segments(segments), &COLUMNS) })
    }

    /// The relation this depends on; another may have taken its name.
    pub fn depends_on(&self, relid: pg_sys::Oid) -> bool {
        relid == self.entries.destination().0
    }

    /// To be called when a transaction or savepoint was rolled back.
    pub fn after_rollback(&mut self) {
        self.entries.after_rollback();
    }

    pub fn append(&mut self, statement: &Statement, position: i64, entry: &Entry) -> Result<()> {
        let mut row = NewRow::<{ entry::COLUMNS }>::new();
        row.set_i64(entry::POSITION, position);
        row.set_i64(entry::TXID, statement.txid as i64);
        row.set_i64(entry::RECORDED_AT, statement.at);
        row.set_i64(entry::CONTEXT_ID, statement.context_id);
        row.set_i32(entry::RELATION_ID, entry.relation_id);
        row.set_i32(entry::KEY_HASH, entry.key.map_or(0, |key| key_hash(entry.table_id, key)));
        if let Some(key) = entry.former_key {
            row.set_i32(entry::FORMER_KEY_HASH, key_hash(entry.table_id, key));
        }
        row.set_char(entry::OPERATION, entry.operation as u8);
        if let Some(key) = entry.key {
            row.set_bytes(entry::ROW_KEY, key);
        }
        if let Some(image) = entry.image {
            row.set_bytes(entry::IMAGE, image);
        }
        self.entries.append(0, (statement.txid, 0), &mut row)
    }
}

/// The feed's tables, as change_segment lists them.
struct Segments(pg_sys::Oid);

impl Destination for Segments {
    /// The current one; where somebody dropped it, any that is there: what is in a table of the feed is
    /// read whatever its state, and looked at before it is emptied.
    fn find(&self, _key: i64) -> Result<Target> {
        let mut found: Vec<(bool, i32)> = Vec::new();
        own_table("change_segment", pg_sys::AccessShareLock)?.scan(None, |row| {
            let current = row.get::<String>(1).as_deref() == Some("current");
            found.push((!current, row.get(0).unwrap_or_default()));
        });
        found.sort_unstable();
        found
            .into_iter()
            .find_map(|(_, segment)| lookup::own_relation(&segment_name(segment)))
            .map(|relid| Target { relid, low: i64::MIN, high: i64::MAX })
            .ok_or_else(|| storage_missing("change_entry_0"))
    }
}

/// Nothing in the feed was recorded before; none where it is empty or not there.
pub fn oldest() -> Result<Option<i64>> {
    if !Kind::Feed.storage_exists() {
        return Ok(None);
    }
    // Positions grow with time, less what a statement takes to lock its rows.
    Ok(spi::read_one_now::<TimestampWithTimeZone>(
        "SELECT e.recorded_at OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval
           FROM architect.change_entry AS e ORDER BY e.position LIMIT 1",
        &[],
    )
    .map(i64::from))
}

/// The name of a table of the feed.
pub fn segment_name(segment: i32) -> String {
    format!("change_entry_{segment}")
}

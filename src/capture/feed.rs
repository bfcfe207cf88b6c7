//! One entry of the change feed, and the table of the feed it goes to.

use crate::capture::key::key_hash;
use crate::capture::log::{Operation, Statement};
use crate::capture::pack;
use crate::capture::policy::{Kind, storage_missing};
use crate::capture::segment::Segment;
use crate::error::Result;
use crate::pg::append::{Columns, Destination, Log, NewRow, Target};
use crate::pg::lookup;
use crate::pg::scan::{Ordered, View};
use pgrx::pg_sys;

/// Microseconds.
const DAY: i64 = 86_400_000_000;

/// Columns of an entry, as sql/storage/cdc.sql creates them.
pub mod entry {
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

/// The operation of a row of several events (src/capture/pack.rs).
pub const PACK: u8 = b'P';

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
        let mut row = begin(statement, position, entry.operation as u8, entry.relation_id);
        row.set_i32(entry::KEY_HASH, entry.key.map_or(0, |key| key_hash(entry.table_id, key)));
        if let Some(key) = entry.former_key {
            row.set_i32(entry::FORMER_KEY_HASH, key_hash(entry.table_id, key));
        }
        if let Some(key) = entry.key {
            row.set_bytes(entry::ROW_KEY, key);
        }
        if let Some(image) = entry.image {
            row.set_bytes(entry::IMAGE, image);
        }
        self.entries.append(0, (statement.txid, 0), &mut row)
    }

    /// Appends a row of several events, the last of which has the position.
    pub fn append_pack(
        &mut self,
        statement: &Statement,
        command: u32,
        position: i64,
        events: i32,
        json: &[u8],
    ) -> Result<()> {
        let mut row = begin(statement, position, PACK, 0);
        row.set_command(command);
        row.set_i32(entry::KEY_HASH, events);
        row.set_bytes(entry::IMAGE, json);
        self.entries.append(0, (statement.txid, 0), &mut row)
    }

    /// Appends the only event of such a row as a row of its own.
    pub fn append_packed(
        &mut self,
        statement: &Statement,
        command: u32,
        position: i64,
        table_id: i32,
        json: &[u8],
    ) -> Result<()> {
        for event in pack::events(json) {
            let mut row = begin(statement, position, event.operation, event.relation);
            row.set_i64(entry::RECORDED_AT, statement.at + event.later);
            row.set_command(command);
            let key = event.key.map(|place| &json[place]);
            row.set_i32(entry::KEY_HASH, key.map_or(0, |key| key_hash(table_id, key)));
            if let Some(hash) = event.former_hash {
                row.set_i32(entry::FORMER_KEY_HASH, hash);
            }
            if let Some(key) = key {
                row.set_bytes(entry::ROW_KEY, key);
            }
            row.set_bytes(entry::IMAGE, &json[event.image]);
            self.entries.append(0, (statement.txid, 0), &mut row)?;
        }
        Ok(())
    }
}

fn begin(
    statement: &Statement,
    position: i64,
    operation: u8,
    relation_id: i32,
) -> NewRow<{ entry::COLUMNS }> {
    let mut row = NewRow::<{ entry::COLUMNS }>::new();
    row.set_i64(entry::POSITION, position);
    row.set_i64(entry::TXID, statement.txid as i64);
    row.set_i64(entry::RECORDED_AT, statement.at);
    row.set_i64(entry::CONTEXT_ID, statement.context_id);
    row.set_i32(entry::RELATION_ID, relation_id);
    row.set_char(entry::OPERATION, operation);
    row
}

/// The feed's tables, as change_segment lists them.
struct Segments(pg_sys::Oid);

impl Destination for Segments {
    /// The current one; where somebody dropped it, any that is there, before one whose bounds are known: what is
    /// in a table of the feed is read whatever its state, and looked at before it is emptied.
    fn find(&self, _key: i64) -> Result<Target> {
        let mut segments = Segment::all()?;
        segments.sort_by_key(|segment| (segment.bounds.is_some(), segment.state));
        segments
            .iter()
            .find_map(Segment::relid)
            .map(|relid| Target { relid, low: i64::MIN, high: i64::MAX })
            .ok_or_else(|| storage_missing("change_entry_0"))
    }
}

/// What to look at to read the feed.
pub fn tables() -> Result<Vec<pg_sys::Oid>> {
    let parent = lookup::own_relation("change_entry");
    Ok(Segment::all()?.iter().filter_map(Segment::relid).chain(parent).collect())
}

/// Nothing in the feed was recorded before; none where it is empty or not there.
pub fn oldest() -> Result<Option<i64>> {
    if !Kind::Feed.storage_exists() {
        return Ok(None);
    }
    let view = View::now();
    let mut oldest: Option<i64> = None;
    for segment in Segment::all()? {
        let first = || {
            let table = Ordered::open(segment.relid()?, entry::POSITION)?;
            let mut rows = table.range(i64::MIN, i64::MAX, &view);
            if rows.advance() { rows.row().value(entry::RECORDED_AT).as_i64() } else { None }
        };
        let first = segment.bounds.map(|bounds| bounds.oldest).or_else(first);
        oldest = oldest.into_iter().chain(first).min();
    }
    // Positions grow with time, less what a transaction takes from recording to its end.
    Ok(oldest.map(|at| at - DAY))
}

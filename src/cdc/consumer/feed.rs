//! Reading the feed: the entries of all its tables in the order of position.

use crate::capture::feed::segment_name;
use crate::capture::policy::storage_missing;
use crate::error::Result;
use crate::pg::lookup;
use crate::pg::scan::{Ordered, Range, View};
use crate::pg::table::{Fields, Table};
use pgrx::pg_sys;

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
}

/// The tables of the feed. They are locked against being emptied while this lives.
pub struct Feed {
    segments: Vec<Ordered>,
}

/// A table of the feed: its number and state.
pub struct Segment {
    pub id: i32,
    pub state: String,
    pub since: i64,
}

/// Every table of the feed as change_segment has it now.
pub fn segments() -> Result<Vec<Segment>> {
    let mut found = Vec::new();
    lookup::own_relation("change_segment")
        .and_then(Table::open_briefly)
        .ok_or_else(|| storage_missing("change_segment"))?
        .scan(None, |row| {
            found.push(Segment {
                id: row.get(0).unwrap_or_default(),
                state: row.get(1).unwrap_or_default(),
                since: row.value(2).as_i64().unwrap_or_default(),
            });
        });
    found.sort_by_key(|segment| segment.id);
    Ok(found)
}

impl Feed {
    /// Every table is read, whatever its state: a writer that finds none current takes any.
    pub fn open() -> Result<Self> {
        let mut open = Vec::new();
        for segment in segments()? {
            let name = segment_name(segment.id);
            // One that was dropped by hand is gone; so are its entries.
            if let Some(relid) = lookup::own_relation(&name) {
                open.extend(Ordered::open(relid, entry::POSITION));
            }
        }
        Ok(Self { segments: open })
    }

    /// Entries with `after < position <= through`, in order.
    pub fn range<'a>(&'a self, after: i64, through: i64, view: &'a View) -> Entries<'a> {
        let mut heads = Vec::with_capacity(self.segments.len());
        for segment in self.segments.iter().filter(|_| after < through) {
            let mut range = segment.range(after, through, view);
            if range.advance() {
                heads.push(range);
            }
        }
        Entries { heads, current: None }
    }

    /// The entry at a position.
    pub fn at<R>(&self, position: i64, view: &View, read: impl FnOnce(&Fields) -> R) -> Option<R> {
        self.range(position - 1, position, view).next().map(read)
    }
}

/// A range of the feed being read.
pub struct Entries<'a> {
    heads: Vec<Range<'a>>,
    /// The head that was handed out last, to be moved on.
    current: Option<usize>,
}

impl Entries<'_> {
    /// The next entry; its values live until the one after.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<&Fields> {
        if let Some(current) = self.current.take()
            && !self.heads[current].advance()
        {
            drop(self.heads.swap_remove(current));
        }
        let lowest = (0..self.heads.len()).min_by_key(|&i| position(self.heads[i].row()))?;
        self.current = Some(lowest);
        Some(self.heads[lowest].row())
    }
}

pub fn position(row: &Fields) -> i64 {
    row.value(entry::POSITION).as_i64().unwrap_or_default()
}

pub fn operation(row: &Fields) -> u8 {
    row.value(entry::OPERATION).as_char().unwrap_or_default()
}

pub fn relation_id(row: &Fields) -> i32 {
    row.value(entry::RELATION_ID).as_i32().unwrap_or_default()
}

/// OIDs of the tables of the feed that may have entries, current one last.
pub fn table_of(segment: i32) -> Option<pg_sys::Oid> {
    lookup::own_relation(&segment_name(segment))
}

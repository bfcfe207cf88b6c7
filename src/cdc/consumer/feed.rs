//! Reading the feed: the events of all its tables in the order of position.
//!
//! Tables whose bounds are known are opened when the reading gets there and closed behind it, so that
//! however long a backlog is, a poll holds the locks of a few tables only.

use crate::capture::feed::PACK;
use crate::capture::key::key_hash;
use crate::capture::pack::{self, Packed};
use crate::capture::position::BLOCK;
use crate::capture::segment::{Bounds, Segment};
use crate::error::Result;
use crate::pg::scan::{Ordered, Range, View};
use crate::pg::table::Fields;
use pgrx::pg_sys;
use std::rc::Rc;

pub use crate::capture::feed::entry;

/// The tables of the feed. Those that may still get entries are locked against being emptied while this lives.
pub struct Feed {
    open: Vec<Rc<Ordered>>,
    /// By their first position, the highest first.
    full: Vec<(pg_sys::Oid, Bounds)>,
}

impl Feed {
    /// Every table is read, whatever its state: a writer that finds none current takes any.
    pub fn open() -> Result<Self> {
        let (mut open, mut full) = (Vec::new(), Vec::new());
        for segment in Segment::all()? {
            // One that was dropped by hand is gone; so are its entries.
            match (segment.relid(), segment.bounds) {
                (Some(relid), Some(bounds)) => full.push((relid, bounds)),
                (Some(relid), None) => open.extend(Ordered::open(relid, entry::POSITION)),
                (None, _) => {}
            }
        }
        full.sort_by_key(|(_, bounds)| std::cmp::Reverse(bounds.first));
        Ok(Self { open, full })
    }

    /// Events with `after < position <= through`, in order.
    pub fn range<'a>(&self, after: i64, through: i64, view: &'a View) -> Entries<'a> {
        let concerns = |bounds: &Bounds| after < bounds.last && bounds.first <= through;
        let later = self.full.iter().filter(|(_, bounds)| concerns(bounds)).copied().collect();
        let mut entries = Entries { heads: Vec::new(), current: None, later, after, through, view };
        if after < through {
            self.open.iter().for_each(|table| entries.read(table));
        } else {
            entries.later.clear();
        }
        entries
    }

    /// The event at a position.
    pub fn at<R>(&self, position: i64, view: &View, read: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.range(position - 1, position, view).next().map(|entry| read(&entry))
    }
}

/// A range of the feed being read.
pub struct Entries<'a> {
    heads: Vec<Head<'a>>,
    /// The head that was handed out last, to be moved on.
    current: Option<usize>,
    /// Tables the reading has not come to yet, the next one last.
    later: Vec<(pg_sys::Oid, Bounds)>,
    after: i64,
    through: i64,
    view: &'a View,
}

impl<'a> Entries<'a> {
    /// A range of one table.
    pub fn of(table: &Rc<Ordered>, after: i64, through: i64, view: &'a View) -> Self {
        let mut entries = Self { heads: Vec::new(), current: None, later: Vec::new(), after, through, view };
        entries.read(table);
        entries
    }

    /// The next event; its values live until the one after.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Entry<'_>> {
        if let Some(current) = self.current.take()
            && !self.heads[current].advance(self.through)
        {
            drop(self.heads.swap_remove(current));
        }
        loop {
            let lowest = (0..self.heads.len()).min_by_key(|&i| self.heads[i].position);
            let reached = lowest.map(|i| self.heads[i].position);
            match self.later.pop_if(|(_, bounds)| reached.is_none_or(|reached| bounds.first < reached)) {
                // Where it has gone meanwhile nobody needs it any more.
                Some((relid, _)) => {
                    Ordered::open(relid, entry::POSITION).iter().for_each(|table| self.read(table));
                }
                None => {
                    self.current = lowest;
                    return lowest.map(|i| self.heads[i].entry());
                }
            }
        }
    }

    fn read(&mut self, table: &Rc<Ordered>) {
        // A row of several events has the position of the last of them.
        let rows = table.range(self.after, self.through.saturating_add(BLOCK), self.view);
        let mut head = Head { rows, pack: Pack::default(), position: 0 };
        if head.begin(self.after, self.through) {
            self.heads.push(head);
        }
    }
}

/// Where the reading of a table is.
struct Head<'a> {
    rows: Range<'a>,
    pack: Pack,
    position: i64,
}

/// The events of the row at hand, where it has several.
#[derive(Default)]
struct Pack {
    json: Vec<u8>,
    events: Vec<Packed>,
    at: usize,
}

impl Head<'_> {
    /// Moves on to the first event after a position; false where there is none up to another.
    fn begin(&mut self, after: i64, through: i64) -> bool {
        let mut found = self.advance(through);
        while found && self.position <= after {
            found = self.advance(through);
        }
        found
    }

    /// Moves on to the next event; false where there is none up to a position.
    fn advance(&mut self, through: i64) -> bool {
        self.pack.at += 1;
        if self.pack.at < self.pack.events.len() {
            self.position += 1;
            return self.position <= through;
        }
        self.pack.events.clear();
        self.pack.at = 0;
        if !self.rows.advance() {
            return false;
        }
        let row = self.rows.row();
        self.position = row.value(entry::POSITION).as_i64().unwrap_or_default();
        if row.value(entry::OPERATION).as_char() == Some(PACK) {
            self.pack.json.clear();
            self.pack.json.extend_from_slice(row.bytes(entry::IMAGE));
            self.pack.events = pack::events(&self.pack.json);
            self.position -= self.pack.events.len() as i64 - 1;
        }
        self.position <= through
    }

    fn entry(&self) -> Entry<'_> {
        let packed = self.pack.events.get(self.pack.at).map(|event| (event, self.pack.json.as_slice()));
        Entry { position: self.position, row: self.rows.row(), first: 0, packed }
    }
}

/// An event of the feed, or a dead letter.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub position: i64,
    row: &'a Fields,
    /// Position of the first column of an entry in the row.
    first: usize,
    packed: Option<(&'a Packed, &'a [u8])>,
}

impl<'a> Entry<'a> {
    /// Of a row whose columns from `first` on are those of an entry.
    pub fn of(row: &'a Fields, first: usize) -> Self {
        let position = row.value(first + entry::POSITION).as_i64().unwrap_or_default();
        Self { position, row, first, packed: None }
    }

    fn number(&self, column: usize) -> Option<i64> {
        self.row.value(self.first + column).as_i64()
    }

    pub fn txid(&self) -> Option<u64> {
        self.number(entry::TXID).map(|txid| txid as u64)
    }

    pub fn recorded_at(&self) -> i64 {
        let later = self.packed.map_or(0, |(event, _)| event.later);
        self.number(entry::RECORDED_AT).unwrap_or_default() + later
    }

    pub fn context_id(&self) -> Option<i64> {
        self.number(entry::CONTEXT_ID)
    }

    pub fn relation_id(&self) -> i32 {
        let column = || self.row.value(self.first + entry::RELATION_ID).as_i32().unwrap_or_default();
        self.packed.map_or_else(column, |(event, _)| event.relation)
    }

    pub fn operation(&self) -> u8 {
        let column = || self.row.value(self.first + entry::OPERATION).as_char().unwrap_or_default();
        self.packed.map_or_else(column, |(event, _)| event.operation)
    }

    /// The row's key as JSON; detoasted into the current context.
    pub fn key(&self) -> Option<&'a [u8]> {
        match self.packed {
            Some((event, json)) => event.key.clone().map(|place| &json[place]),
            None => {
                let column = self.first + entry::ROW_KEY;
                (!self.row.value(column).is_null()).then(|| self.row.bytes(column))
            }
        }
    }

    pub fn key_hash(&self, table_id: i32) -> Option<i32> {
        match self.packed {
            Some(_) => self.key().map(|key| key_hash(table_id, key)),
            None => {
                let has_key = !self.row.value(self.first + entry::ROW_KEY).is_null();
                has_key.then(|| self.row.value(self.first + entry::KEY_HASH).as_i32().unwrap_or_default())
            }
        }
    }

    pub fn former_key_hash(&self) -> Option<i32> {
        match self.packed {
            Some((event, _)) => event.former_hash,
            None => self.row.value(self.first + entry::FORMER_KEY_HASH).as_i32(),
        }
    }

    /// The image as JSON; detoasted into the current context.
    pub fn image(&self) -> &'a [u8] {
        match self.packed {
            Some((event, json)) => &json[event.image.clone()],
            None => self.row.bytes(self.first + entry::IMAGE),
        }
    }
}

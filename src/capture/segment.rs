//! The tables of the feed, as change_segment lists them: one is written to, those before it wait for their
//! consumers, the rest are empty.
//!
//! What a table that nobody writes to any more holds is known by its bounds: who reads the feed, or looks
//! for what can be emptied, passes over the others without opening them, however many wait.

use crate::capture::policy::own_table;
use crate::error::Result;
use crate::pg::lookup;
use pgrx::pg_sys;

pub struct Segment {
    pub id: i32,
    pub state: State,
    /// When it got into that state.
    pub since: i64,
    /// Known once nobody can write to it any more.
    pub bounds: Option<Bounds>,
}

/// In the order in which a writer that finds none current takes one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Current,
    Free,
    Full,
}

#[derive(Clone, Copy)]
pub struct Bounds {
    /// The lowest and the highest position in it.
    pub first: i64,
    pub last: i64,
    /// When its first and its last entry were recorded.
    pub oldest: i64,
    pub newest: i64,
    pub bytes: i64,
}

impl Segment {
    /// Every table of the feed as change_segment has it now, by number.
    pub fn all() -> Result<Vec<Self>> {
        let mut found = Vec::new();
        own_table("change_segment", pg_sys::AccessShareLock)?.scan(None, |row| {
            let number = |column| row.value(column).as_i64();
            let bounds = || {
                Some(Bounds {
                    first: number(3)?,
                    last: number(4)?,
                    oldest: number(5)?,
                    newest: number(6)?,
                    bytes: number(7)?,
                })
            };
            found.push(Self {
                id: row.value(0).as_i32().unwrap_or_default(),
                state: match row.bytes(1) {
                    b"current" => State::Current,
                    b"full" => State::Full,
                    _ => State::Free,
                },
                since: number(2).unwrap_or_default(),
                bounds: bounds(),
            });
        });
        found.sort_by_key(|segment| segment.id);
        Ok(found)
    }

    pub fn name(&self) -> String {
        segment_name(self.id)
    }

    /// None where somebody dropped it by hand.
    pub fn relid(&self) -> Option<pg_sys::Oid> {
        lookup::own_relation(&self.name())
    }
}

/// The name of a table of the feed.
pub fn segment_name(segment: i32) -> String {
    format!("change_entry_{segment}")
}

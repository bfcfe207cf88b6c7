//! One event on its way to a worker.

use super::feed::entry;
use super::keys::EventKeys;
use super::relations::{self, Relation};
use crate::cdc::image::Image;
use crate::error::Result;
use crate::pg::table::Fields;

/// An event as it is handed out. The bytes live as long as the row they come from.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub position: i64,
    /// None for a row that was there at the start.
    pub txid: Option<u64>,
    pub recorded_at: i64,
    pub context_id: Option<i64>,
    pub relation: Option<&'a Relation>,
    pub key: Option<&'a [u8]>,
    pub keys: EventKeys,
    pub image: Image<'a>,
    pub attempt: i32,
}

/// Who takes the events of a poll.
pub trait Sink {
    fn take(&mut self, event: &Delivery) -> Result<()>;
}

impl<'a> Delivery<'a> {
    /// An entry of the feed, or of the dead letters, whose columns from `first` on are the same.
    pub fn of(row: &'a Fields, first: usize, relation: Option<&'a Relation>, attempt: i32) -> Self {
        let key = first + entry::ROW_KEY;
        Self {
            position: row.value(first + entry::POSITION).as_i64().unwrap_or_default(),
            txid: row.value(first + entry::TXID).as_i64().map(|txid| txid as u64),
            recorded_at: row.value(first + entry::RECORDED_AT).as_i64().unwrap_or_default(),
            context_id: row.value(first + entry::CONTEXT_ID).as_i64(),
            relation,
            key: (!row.value(key).is_null()).then(|| row.bytes(key)),
            keys: relations::keys(row, first, relation),
            image: Image {
                operation: row.value(first + entry::OPERATION).as_char().unwrap_or_default(),
                json: row.bytes(first + entry::IMAGE),
            },
            attempt,
        }
    }

    pub fn of_feed(row: &'a Fields, relation: Option<&'a Relation>, attempt: i32) -> Self {
        Self::of(row, 0, relation, attempt)
    }
}

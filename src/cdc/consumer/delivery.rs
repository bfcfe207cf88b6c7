//! One event on its way to a worker.

use super::feed::Entry;
use super::keys::EventKeys;
use super::relations::{self, Relation};
use crate::cdc::image::Image;
use crate::error::Result;

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
    pub fn of(event: &Entry<'a>, relation: Option<&'a Relation>, attempt: i32) -> Self {
        Self {
            position: event.position,
            txid: event.txid(),
            recorded_at: event.recorded_at(),
            context_id: event.context_id(),
            relation,
            key: event.key(),
            keys: relations::keys(event, relation),
            image: Image { operation: event.operation(), json: event.image() },
            attempt,
        }
    }
}

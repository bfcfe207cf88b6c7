//! The events of a batch: those of its range that are part of it, and those that had been put aside.

use super::dead_letter;
use super::delivery::Delivery;
use super::feed::Feed;
use super::relations::{self, Relation};
use super::state::{Aside, Consumer, Worker};
use crate::error::Result;
use crate::pg::memory::OwnedContext;
use crate::pg::scan::View;
use std::collections::HashSet;

/// The last relation looked up: most entries are of the same one as the entry before.
#[derive(Default)]
pub struct Remembered(Option<(i32, Option<std::rc::Rc<Relation>>)>);

impl Remembered {
    pub fn find(&mut self, relation_id: i32) -> Result<Option<&Relation>> {
        if self.0.as_ref().is_none_or(|(known, _)| *known != relation_id) {
            self.0 = Some((relation_id, relations::find(relation_id)?));
        }
        Ok(self.0.as_ref().and_then(|(_, relation)| relation.as_deref()))
    }
}

/// Positions in a batch's range that are not (any more) part of it.
pub fn elsewhere(worker: &Worker, aside: &[Aside]) -> HashSet<i64> {
    aside
        .iter()
        .map(|aside| aside.position)
        .filter(|&position| worker.after < position && position <= worker.through)
        .collect()
}

/// Calls `each` with every event of a batch of changes, in order, and whether it had been put aside, until
/// it says stop.
pub fn each_event(
    view: &View,
    feed: &Feed,
    consumer: &Consumer,
    batch: &Worker,
    aside: &[Aside],
    mut each: impl FnMut(&Delivery, bool) -> Result<bool>,
) -> Result<()> {
    let memory = OwnedContext::new(c"db_architect batch");
    let mut go_on = true;
    for own in aside.iter().filter(|aside| aside.worker_id == Some(batch.id) && !aside.is_mark()) {
        memory.within(|| {
            deliver_aside(view, feed, consumer, own, batch.attempt, |event| {
                go_on = each(event, true)?;
                Ok(())
            })
        })?;
        memory.reset();
        if !go_on {
            return Ok(());
        }
    }
    let elsewhere = elsewhere(batch, aside);
    let mut entries = feed.range(batch.after, batch.through, view);
    let mut relation = Remembered::default();
    while let Some(event) = entries.next() {
        let relation = relation.find(event.relation_id())?;
        let wanted = memory.within(|| relations::wants(&consumer.filter, &event, relation));
        if !wanted || elsewhere.contains(&event.position) {
            continue;
        }
        go_on = memory.within(|| each(&Delivery::of(&event, relation, batch.attempt), false))?;
        memory.reset();
        if !go_on {
            break;
        }
    }
    Ok(())
}

/// Hands over an event that was put aside; false where it is not there any more.
pub fn deliver_aside(
    view: &View,
    feed: &Feed,
    consumer: &Consumer,
    aside: &Aside,
    attempt: i32,
    mut each: impl FnMut(&Delivery) -> Result<()>,
) -> Result<bool> {
    let attempt = attempt.max(aside.attempt);
    if aside.dead_letter {
        return dead_letter::read(consumer.id, aside.position, view, attempt, &mut each);
    }
    let found = feed.at(aside.position, view, |event| {
        let relation = relations::find(event.relation_id())?;
        each(&Delivery::of(event, relation.as_deref(), attempt))
    });
    found.transpose().map(|found| found.is_some())
}

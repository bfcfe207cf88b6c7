//! Acknowledging: what is done need not be handed out again nor kept.

use super::batch::each_event;
use super::delivery::Delivery;
use super::feed::Feed;
use super::keys::{Blocked, EventKeys};
use super::state::{self, Aside, Consumer, Worker};
use super::{dead_letter, snapshot};
use crate::error::{Error, Result};
use crate::pg::scan::View;
use crate::pg::{session, spi};

/// The batches of a consumer as they are now.
struct Batches {
    consumer: Consumer,
    view: View,
    aside: Vec<Aside>,
    workers: Vec<Worker>,
}

impl Batches {
    fn read(name: &str) -> Result<Self> {
        let consumer = Consumer::find(name)?;
        consumer.check()?;
        let view = View::now();
        let aside = Aside::of(consumer.id)?;
        let workers = Worker::of(consumer.id)?;
        Ok(Self { consumer, view, aside, workers })
    }

    /// The batch a position is in; this session's own where that is not clear.
    fn holding(&self, position: i64) -> Option<&Worker> {
        let at = self.aside.iter().find(|aside| aside.position == position);
        let holds = |worker: &&Worker| {
            worker.events > 0
                && match at {
                    Some(aside) => aside.worker_id == Some(worker.id) && !aside.was_of_another(),
                    None => worker.after < position && position <= worker.through,
                }
        };
        let mut holders: Vec<&Worker> = self.workers.iter().filter(holds).collect();
        holders.sort_by_key(|worker| !worker.is(None));
        holders.first().copied()
    }

    fn not_handed_out(&self, position: i64) -> Option<Error> {
        let read = self.consumer.snapshot.as_ref().map_or(0, |s| s.reads);
        let known = if position < 0 {
            snapshot::FIRST.saturating_add(read) >= position
        } else {
            position <= self.consumer.claimed
        };
        (!known).then(|| {
            Error::invalid_parameter(format!("position {position} was not given to consumer \"{}\"", self.consumer.name))
                .detail(format!("It has been given what is at or before position {}.", self.consumer.claimed))
                .hint("Acknowledge the position of the last event that poll_changes() returned and that was processed.")
        })
    }
}

/// Acknowledges the events of the batch that holds a position, up to it. Returns how many these were: none
/// where they had been acknowledged before.
pub fn acknowledge(consumer: &str, position: i64) -> Result<i64> {
    loop {
        let batches = Batches::read(consumer)?;
        let Some(worker) = batches.holding(position) else {
            return match batches.not_handed_out(position) {
                Some(error) => Err(error),
                None => Ok(0),
            };
        };
        if let Some(done) = up_to(&batches, worker, position)? {
            return Ok(done);
        }
    }
}

/// None where the batch was changed by somebody else: look again.
fn up_to(batches: &Batches, worker: &Worker, position: i64) -> Result<Option<i64>> {
    let mut worker = worker.clone();
    let had = worker.events;
    if position >= worker.through {
        (worker.events, worker.put_aside, worker.after) = (0, 0, worker.through);
        worker.snapshot = None;
    } else if let (Some(reading), Some(started)) = (&mut worker.snapshot, &batches.consumer.snapshot) {
        reading.after = snapshot::key_at(started.position, reading, worker.after, position, &batches.view)?;
        worker.events -= (position - worker.after) as i32;
        worker.after = position;
    } else {
        let (mut done, mut from_aside, mut left) = (0, 0, 0);
        let feed = Feed::open()?;
        each_event(&batches.view, &feed, &batches.consumer, &worker, &batches.aside, |event, put_aside| {
            if event.position <= position {
                done += 1;
                from_aside += i32::from(put_aside);
            } else {
                left += 1;
            }
            // All done, by the count: make sure of it, for a batch that counts as done is given to nobody.
            Ok(event.position < position || done >= had)
        })?;
        worker.events = (worker.events - done).max(left);
        worker.put_aside = (worker.put_aside - from_aside).max(0);
        worker.after = worker.after.max(position);
    }
    let done = had - worker.events;
    if !worker.save()? {
        return Ok(None);
    }
    let own = batches.aside.iter().filter(|a| a.worker_id == Some(worker.id) && a.position <= position);
    let (retried, other): (Vec<_>, Vec<_>) = own.partition(|aside| aside.dead_letter);
    let positions = |asides: &[&Aside]| asides.iter().map(|aside| aside.position).collect::<Vec<_>>();
    if !retried.is_empty() {
        spi::run(
            "DELETE FROM architect.cdc_dead_letter AS d WHERE d.consumer_id = $1 AND d.position = ANY ($2)",
            &[worker.consumer_id.into(), positions(&retried).into()],
        )?;
    }
    state::forget_aside(worker.consumer_id, &positions(&[retried, other].concat()))?;
    Ok(Some(done.into()))
}

/// What became of an event that was refused, or of one that follows it.
pub struct Refused {
    pub position: i64,
    pub outcome: &'static str,
}

/// Takes an event back from the batch it is in: it is handed out again after a delay, or, refused too often,
/// becomes a dead letter. Later events of its key leave the batch with it.
pub fn refuse(consumer: &str, position: i64, reason: Option<&str>, delay: i64) -> Result<Vec<Refused>> {
    loop {
        let batches = Batches::read(consumer)?;
        let Some(worker) = batches.holding(position) else {
            return match batches.not_handed_out(position) {
                Some(error) => Err(error),
                None => Ok(Vec::new()),
            };
        };
        if worker.snapshot.is_some() {
            return Err(Error::not_in_prerequisite_state("a row read at the start cannot be refused")
                .detail(
                    "Rows that were there when the consumer was made are handed out in the table's order.",
                )
                .hint("Acknowledge it and keep it aside yourself, or poll again for the same batch."));
        }
        if let Some(refused) = take_back(&batches, worker, position, reason, delay)? {
            return Ok(refused);
        }
    }
}

/// An event on its way back.
struct Back<'a> {
    position: i64,
    keys: EventKeys,
    attempt: i32,
    was_aside: bool,
    reason: Option<&'a str>,
}

/// None where the batch was changed by somebody else: look again.
fn take_back(
    batches: &Batches,
    worker: &Worker,
    position: i64,
    reason: Option<&str>,
    delay: i64,
) -> Result<Option<Vec<Refused>>> {
    let mut refused: Option<Back> = None;
    let mut held = Vec::new();
    let mut blocked = Blocked::default();
    let gives_up = |attempt| batches.consumer.max_attempts.is_some_and(|most| attempt >= most);
    let feed = Feed::open()?;
    each_event(&batches.view, &feed, &batches.consumer, worker, &batches.aside, |event, was_aside| {
        let Delivery { position: at, keys, attempt, .. } = *event;
        let back = Back { position: at, keys, attempt, was_aside, reason };
        if at == position {
            refused = Some(back);
            // What is given up is in nobody's way.
            if gives_up(attempt) {
                return Ok(false);
            }
            blocked.add(keys);
        } else if blocked.holds(keys) {
            blocked.add(keys);
            held.push(back);
        }
        Ok(true)
    })?;
    let Some(refused) = refused else { return Ok(Some(Vec::new())) };
    let leaving = || held.iter().chain([&refused]);
    let mut left = worker.clone();
    left.events -= leaving().count() as i32;
    left.put_aside -= leaving().filter(|event| event.was_aside).count() as i32;
    if !left.save()? {
        return Ok(None);
    }
    if gives_up(refused.attempt) {
        bury(batches, worker, &refused)?;
        return Ok(Some(vec![Refused { position, outcome: "dead_letter" }]));
    }
    let new: Vec<_> =
        leaving().filter(|event| !event.was_aside).map(|event| (event.position, event.keys)).collect();
    state::put_aside(batches.consumer.id, &new, worker.attempt)?;
    spi::run(
        "UPDATE architect.cdc_aside AS a
            SET worker_id = NULL,
                attempt = CASE WHEN a.position = $3 THEN $4 ELSE a.attempt END,
                not_before = CASE WHEN a.position = $3 THEN $5 ELSE a.not_before END,
                reason = CASE WHEN a.position = $3 THEN $6 ELSE a.reason END
          WHERE a.consumer_id = $1 AND a.position = ANY ($2)",
        &[
            batches.consumer.id.into(),
            leaving().map(|event| event.position).collect::<Vec<_>>().into(),
            position.into(),
            (refused.attempt + 1).into(),
            session::clock().saturating_add(delay).into(),
            reason.into(),
        ],
    )?;
    let mut outcomes = vec![Refused { position, outcome: "retry" }];
    outcomes.extend(held.iter().map(|event| Refused { position: event.position, outcome: "held" }));
    Ok(Some(outcomes))
}

/// Makes an event a dead letter; in the middle of a batch's range a mark says that it is no part of it.
fn bury(batches: &Batches, worker: &Worker, event: &Back) -> Result<()> {
    let id = batches.consumer.id;
    dead_letter::bury(id, event.position, event.attempt, event.reason.unwrap_or("refused"))?;
    if !event.was_aside {
        state::put_aside(id, &[(event.position, event.keys)], event.attempt)?;
        spi::run(
            "UPDATE architect.cdc_aside AS a SET worker_id = $3, not_before = $4
              WHERE a.consumer_id = $1 AND a.position = $2",
            &[id.into(), event.position.into(), worker.id.into(), state::NEVER.into()],
        )?;
    }
    Ok(())
}

//! Handing out batches.
//!
//! Polls of one consumer take turns, by a lock of our own that is free again at once where a poll found
//! nothing, and with its transaction where it did. Acknowledging does not take it.

use super::batch::{Remembered, deliver_aside, each_event, elsewhere};
use super::compose::{Composer, Decision};
use super::dead_letter;
use super::delivery::{Delivery, Sink};
use super::feed::Feed;
use super::keys::{Blocked, EventKeys};
use super::relations;
use super::state::{self, Aside, Consumer, Worker};
use super::{horizon, snapshot};
use crate::capture;
use crate::error::{Error, Result};
use crate::pg::memory::OwnedContext;
use crate::pg::scan::View;
use crate::pg::{lock_table, session};
use std::cell::Cell;
use std::time::Duration;

/// Class of the locks by which polls of one consumer take turns: pg_locks.objsubid.
const POLLING: u16 = 0x4144;
/// Events nobody wants that are passed over before that is stored; and if fewer, microseconds between.
const SKIPPED: usize = 1000;
const SECOND: i64 = 1_000_000;
/// Waits between looks at the feed.
const SHORTEST_NAP: Duration = Duration::from_millis(2);
const LONGEST_NAP: Duration = Duration::from_millis(50);

pub struct Request<'a> {
    pub consumer: &'a str,
    pub worker: Option<&'a str>,
    pub max: usize,
    /// Microseconds to wait for events.
    pub wait: i64,
}

/// Gives the worker its batch: the one it has not acknowledged, one of a worker that is gone, or the next
/// events. Waits for some if there are none.
pub fn poll(request: &Request, sink: &mut dyn Sink) -> Result<()> {
    let deadline = session::clock().saturating_add(request.wait);
    let mut nap = SHORTEST_NAP;
    loop {
        let left = deadline.saturating_sub(session::clock());
        if turn(request, left <= 0, sink)? || left <= 0 {
            return Ok(());
        }
        session::nap(nap.min(Duration::from_micros(left as u64)));
        nap = (nap * 2).min(LONGEST_NAP);
    }
}

/// Waits for polls of a consumer under way, and keeps others waiting until this transaction ends.
pub fn take_turn(consumer_id: i32) -> Result<()> {
    lock_table::lock(POLLING, consumer_id as u64);
    Ok(())
}

/// Keeps the feed from being emptied until this transaction ends: a consumer not committed yet holds
/// nothing back by itself.
pub fn keep_the_feed() {
    lock_table::lock(POLLING, 0);
}

/// The same if nobody else does.
pub fn try_keep_the_feed() -> bool {
    lock_table::try_lock(POLLING, 0)
}

/// One look, the `last` of this poll or one of several; says whether anything came of it. If it did, polls
/// of others wait for the end of this transaction: so this one must not.
fn turn(request: &Request, last: bool, sink: &mut dyn Sink) -> Result<bool> {
    let id = Consumer::find(request.consumer)?.id as u64;
    lock_table::lock(POLLING, id);
    loop {
        let consumer = Consumer::find(request.consumer)?;
        consumer.check()?;
        match Turn::begin(request, consumer, last)?.take(sink)? {
            Outcome::Again => {}
            Outcome::Nothing => {
                lock_table::unlock(POLLING, id);
                return Ok(false);
            }
            Outcome::Wrote => return Ok(true),
        }
    }
}

enum Outcome {
    /// Nothing was handed out and nothing was stored.
    Nothing,
    /// Something was stored, and most likely handed out.
    Wrote,
    /// Another session acknowledged a batch just then, or something else is to be done now: look again.
    Again,
}

/// How far a poll got in the feed.
#[derive(Default)]
struct Scan {
    /// Everything up to here has been looked at.
    through: i64,
    last: i64,
    last_delivered: i64,
    delivered: usize,
    skipped: usize,
    put_aside: Vec<(i64, EventKeys)>,
}

/// What a poll works with, all of one moment.
struct Turn<'a> {
    request: &'a Request<'a>,
    consumer: Consumer,
    horizon: i64,
    view: View,
    workers: Vec<Worker>,
    aside: Vec<Aside>,
    now: i64,
    last: bool,
}

impl<'a> Turn<'a> {
    fn begin(request: &'a Request, consumer: Consumer, last: bool) -> Result<Self> {
        let horizon = horizon::now()?.position;
        let view = View::now();
        // What is aside first: what is acknowledged in between is then taken for not acknowledged.
        let aside = Aside::of(consumer.id)?;
        let workers = Worker::of(consumer.id)?;
        Ok(Self { request, consumer, horizon, view, workers, aside, now: session::clock(), last })
    }

    fn take(mut self, sink: &mut dyn Sink) -> Result<Outcome> {
        let mine = self.workers.iter().position(|worker| worker.is(self.request.worker));
        if let Some(mine) = mine.filter(|&i| self.workers[i].events > 0) {
            let worker = self.workers.swap_remove(mine);
            return self.again(worker, self.request.max, sink);
        }
        if let Some(worker) = self.left_behind()? {
            return self.take_over(worker, mine, sink);
        }
        let worker = match mine {
            Some(mine) => self.workers.swap_remove(mine),
            None => Worker::new(self.consumer.id, self.request.worker),
        };
        if self.consumer.snapshot.is_some() {
            return self.read_snapshot(worker, sink);
        }
        self.compose(worker, sink)
    }

    /// A batch whose worker has ended, or has had it for too long; locked. One that is being acknowledged just
    /// now is not: that may take as long as the transaction around it.
    fn left_behind(&self) -> Result<Option<usize>> {
        for (i, worker) in self.workers.iter().enumerate() {
            let left = worker.events > 0
                && !worker.is(self.request.worker)
                && (worker.leased_until <= self.now || !worker.is_alive());
            if left && worker.lock()? {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }

    /// Hands out, once more, what a worker has not acknowledged.
    fn again(&self, mut worker: Worker, limit: usize, sink: &mut dyn Sink) -> Result<Outcome> {
        // Never wait while others wait for our turn to end: being acknowledged just now, in a transaction that
        // may take long.
        if !worker.lock()? {
            return Ok(Outcome::Nothing);
        }
        self.lease(&mut worker);
        let attempt = worker.attempt;
        let batch = worker.clone();
        if !worker.save()? {
            return Ok(Outcome::Again);
        }
        let mut delivered = 0;
        let mut take = |event: &Delivery, _| {
            delivered += 1;
            sink.take(event)?;
            Ok(delivered < limit)
        };
        match (&batch.snapshot, &self.consumer.snapshot) {
            (Some(reading), Some(started)) => {
                let again = &mut |row: &Delivery, _: &str| take(row, false);
                snapshot::read_again(started.position, reading, batch.after, attempt, &self.view, again)?;
            }
            _ => {
                each_event(&self.view, &Feed::open()?, &self.consumer, &batch, &self.aside, take)?;
            }
        }
        if delivered == 0 {
            return self.close(worker);
        }
        Ok(Outcome::Wrote)
    }

    /// Ends a batch of which nothing is there any more, such as the rows of a table that was truncated: nobody
    /// could acknowledge it.
    fn close(&self, mut worker: Worker) -> Result<Outcome> {
        (worker.events, worker.put_aside, worker.after) = (0, 0, worker.through);
        worker.snapshot = None;
        worker.save()?;
        let own = self.aside.iter().filter(|aside| aside.worker_id == Some(worker.id));
        state::forget_aside(self.consumer.id, &own.map(|aside| aside.position).collect::<Vec<_>>())?;
        Ok(Outcome::Again)
    }

    /// Gives a batch that was left behind to the worker that asks.
    fn take_over(mut self, left: usize, mine: Option<usize>, sink: &mut dyn Sink) -> Result<Outcome> {
        let mut worker = self.workers[left].clone();
        let mut limit = self.request.max;
        worker.attempt += 1;
        if let Some(most) = self.consumer.max_attempts.filter(|_| worker.snapshot.is_none()) {
            if worker.attempt > most {
                dead_letter::bury_first(&self.consumer, &mut worker, &self.aside, &self.view)?;
                worker.attempt = most;
                self.aside = Aside::of(self.consumer.id)?;
            }
            if worker.attempt >= most {
                // The last attempt: one event at a time, so that the one that ends its workers is found.
                limit = 1;
            }
        }
        // The batch keeps its row; the worker's own, which has none, goes.
        if let Some(mine) = mine {
            self.forget(&[self.workers[mine].id])?;
        }
        worker.name = self.request.worker.map(str::to_owned);
        self.rename(&worker)?;
        worker.pid = session::backend_pid();
        worker.backend_start = session::backend_start();
        if worker.events == 0 {
            worker.save()?;
            return Ok(Outcome::Again);
        }
        self.again(worker, limit, sink)
    }

    fn lease(&self, worker: &mut Worker) {
        worker.pid = session::backend_pid();
        worker.backend_start = session::backend_start();
        worker.leased_at = self.now;
        worker.leased_until = self.now.saturating_add(self.consumer.visibility);
    }

    fn rename(&self, worker: &Worker) -> Result<()> {
        crate::pg::spi::run(
            "UPDATE architect.cdc_worker AS w SET name = $2 WHERE w.worker_id = $1",
            &[worker.id.into(), worker.name.clone().into()],
        )?;
        Ok(())
    }

    fn forget(&self, workers: &[i32]) -> Result<()> {
        if !workers.is_empty() {
            crate::pg::spi::run(
                "WITH gone AS (
                     DELETE FROM architect.cdc_worker AS w WHERE w.worker_id = ANY ($1) AND w.events = 0
                     RETURNING w.worker_id)
                 DELETE FROM architect.cdc_aside AS a USING gone WHERE a.worker_id = gone.worker_id",
                &[workers.to_vec().into()],
            )?;
        }
        Ok(())
    }

    /// The next rows of those that were there at the start; the changes begin once all are acknowledged.
    fn read_snapshot(&self, mut worker: Worker, sink: &mut dyn Sink) -> Result<Outcome> {
        // Rows this transaction changed are put back by what the feed says of them.
        capture::check_written()?;
        let Some(batch) = snapshot::next(&self.consumer, self.request.max, &self.view, sink)? else {
            let busy = self.workers.iter().any(|other| other.events > 0 && other.snapshot.is_some());
            if busy {
                return Ok(Outcome::Nothing);
            }
            snapshot::finish(self.consumer.id)?;
            return Ok(Outcome::Again);
        };
        if batch.count > 0 {
            (worker.events, worker.after, worker.through) =
                (batch.count as i32, batch.after, batch.after + batch.count as i64);
            (worker.put_aside, worker.attempt, worker.snapshot) = (0, 1, Some(batch.reading));
            self.begin_batch(&mut worker)?;
        }
        snapshot::advance(self.consumer.id, &batch.progress)?;
        Ok(if batch.count == 0 { Outcome::Again } else { Outcome::Wrote })
    }

    /// A new batch: what was put aside and is free now, then the next events of the feed.
    fn compose(&self, mut worker: Worker, sink: &mut dyn Sink) -> Result<Outcome> {
        let claimed = self.consumer.claimed;
        if self.aside.is_empty() && claimed >= self.horizon {
            return Ok(Outcome::Nothing);
        }
        let feed = Feed::open()?;
        let mut composer = Composer::new(self.blocked(&feed)?, self.request.max, self.aside.len());
        let mut given = Vec::new();
        let mut gone = Vec::new();
        for aside in self.aside.iter().filter(|aside| aside.worker_id.is_none() && !aside.is_mark()) {
            if composer.waiting(aside.keys, aside.not_before <= self.now) {
                let found = deliver_aside(&self.view, &feed, &self.consumer, aside, 1, |e| sink.take(e))?;
                if found { &mut given } else { &mut gone }.push(aside.position);
            }
        }
        let mut scan = Scan { through: self.horizon.max(claimed), last: claimed, ..Scan::default() };
        self.take_next(&feed, &mut composer, &mut scan, sink)?;
        // Tables are opened on the way: had one been emptied before that, the consumer would be lost by now.
        Consumer::find(self.request.consumer)?.check()?;
        state::forget_aside(self.consumer.id, &gone)?;
        let delivered = scan.delivered + given.len();
        if delivered == 0 && scan.put_aside.is_empty() {
            let note = scan.skipped >= SKIPPED || scan.skipped > 0 && self.last && self.is_time_to_note();
            if note {
                state::claim(self.consumer.id, scan.through)?;
            }
            return Ok(if note || !gone.is_empty() { Outcome::Wrote } else { Outcome::Nothing });
        }
        state::claim(self.consumer.id, scan.through)?;
        state::put_aside(self.consumer.id, &scan.put_aside, 1)?;
        if delivered > 0 {
            (worker.events, worker.after, worker.through) = (delivered as i32, claimed, scan.last_delivered);
            worker.through = worker.through.max(claimed);
            (worker.put_aside, worker.attempt, worker.snapshot) = (given.len() as i32, 1, None);
            self.begin_batch(&mut worker)?;
            state::assign(self.consumer.id, worker.id, &given)?;
        }
        Ok(Outcome::Wrote)
    }

    /// Goes on in the feed from where the consumer is.
    fn take_next(
        &self,
        feed: &Feed,
        composer: &mut Composer,
        scan: &mut Scan,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let memory = OwnedContext::new(c"db_architect poll");
        let mut entries = feed.range(self.consumer.claimed, self.horizon, &self.view);
        let mut relation = Remembered::default();
        while let Some(event) = entries.next() {
            let position = event.position;
            let relation = relation.find(event.relation_id())?;
            if memory.within(|| relations::wants(&self.consumer.filter, &event, relation)) {
                let keys = relations::keys(&event, relation);
                match composer.next(keys) {
                    None => {
                        scan.through = scan.last;
                        break;
                    }
                    Some(Decision::PutAside) => scan.put_aside.push((position, keys)),
                    Some(Decision::Deliver) => {
                        memory.within(|| sink.take(&Delivery::of(&event, relation, 1)))?;
                        scan.delivered += 1;
                        scan.last_delivered = position;
                    }
                }
            } else {
                scan.skipped += 1;
                if scan.skipped.is_multiple_of(SKIPPED) {
                    pgrx::check_for_interrupts!();
                }
            }
            memory.reset();
            scan.last = position;
        }
        Ok(())
    }

    /// Stores a worker's new batch.
    fn begin_batch(&self, worker: &mut Worker) -> Result<()> {
        self.lease(worker);
        if worker.id == 0 {
            let ended: Vec<i32> =
                self.workers.iter().filter(|w| w.events == 0 && !w.is_alive()).map(|w| w.id).collect();
            self.forget(&ended)?;
        }
        if worker.save()? {
            return Ok(());
        }
        Err(Error::internal("the worker's row was changed by another session"))
    }

    /// What other workers have and what waits for one of them.
    fn blocked(&self, feed: &Feed) -> Result<Blocked> {
        let mut blocked = Blocked::default();
        for aside in self.aside.iter().filter(|aside| aside.worker_id.is_some() && !aside.is_mark()) {
            blocked.add(aside.keys);
        }
        for worker in self.workers.iter().filter(|worker| worker.events > 0) {
            let elsewhere = elsewhere(worker, &self.aside);
            let mut entries = feed.range(worker.after, worker.through, &self.view);
            let mut relation = Remembered::default();
            while let Some(event) = entries.next() {
                let relation = relation.find(event.relation_id())?;
                if relations::wants(&self.consumer.filter, &event, relation)
                    && !elsewhere.contains(&event.position)
                {
                    blocked.add(relations::keys(&event, relation));
                }
            }
        }
        Ok(blocked)
    }

    /// Whether it is a while since this session stored that it passed over events nobody wants.
    fn is_time_to_note(&self) -> bool {
        thread_local! {
            static NOTED: Cell<i64> = const { Cell::new(0) };
        }
        let due = NOTED.get() < self.now - SECOND;
        if due {
            NOTED.set(self.now);
        }
        due
    }
}

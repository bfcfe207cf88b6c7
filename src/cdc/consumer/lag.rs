//! How far consumers are behind, what holds the feed back, and what keeps it from getting smaller.

use super::batch::Remembered;
use super::feed::Feed;
use super::horizon::{self, Horizon};
use super::state::{Aside, Consumer, Worker};
use super::{relations, retention};
use crate::capture::position;
use crate::capture::segment::Segment;
use crate::error::Result;
use crate::pg::memory::OwnedContext;
use crate::pg::scan::View;
use crate::pg::{session, spi};

/// Events are counted up to this many.
const MOST: i64 = 1_000_000;

/// One consumer.
pub struct Lag {
    pub name: String,
    pub state: &'static str,
    pub position: i64,
    pub horizon: i64,
    pub events: i64,
    pub bytes: i64,
    /// Microseconds since the first event it has not acknowledged was recorded.
    pub behind: i64,
    pub batches: i64,
    pub in_flight: i64,
    pub aside: i64,
    pub dead_letters: i64,
    pub held_back_by: Option<String>,
    pub holds_back_retention: bool,
}

pub fn all() -> Result<Vec<Lag>> {
    let horizon = horizon::now()?;
    let held_back_by = holder(&horizon)?;
    let keeps = retention::acknowledged_by_all()?;
    let view = View::now();
    let holds_events = Feed::open()?.range(i64::MIN, i64::MAX, &view).next().is_some();
    Consumer::all()?
        .into_iter()
        .map(|consumer| {
            let position = retention::position_of(&consumer)?;
            let workers = Worker::of(consumer.id)?;
            let (events, since) = unread(&consumer, position)?;
            let state = match (&consumer.lost, consumer.is_of_here()) {
                (Some(_), _) => "lost",
                (None, false) => "restored",
                (None, true) if consumer.owner().is_none() => "ownerless",
                (None, true) if consumer.snapshot.is_some() => "snapshot",
                (None, true) => "active",
            };
            Ok(Lag {
                state,
                position,
                horizon: horizon.position,
                events,
                bytes: retention::bytes_between(position, i64::MAX)?,
                behind: since.map_or(0, |since| session::clock().saturating_sub(since).max(0)),
                batches: workers.iter().filter(|worker| worker.events > 0).count() as i64,
                in_flight: workers.iter().map(|worker| i64::from(worker.events)).sum(),
                aside: Aside::of(consumer.id)?.iter().filter(|aside| !aside.is_mark()).count() as i64,
                dead_letters: dead_letters(Some(consumer.id)),
                held_back_by: held_back_by.clone(),
                holds_back_retention: keeps.as_ref().is_some_and(|(_, keeper)| *keeper == consumer.name)
                    && holds_events,
                name: consumer.name,
            })
        })
        .collect()
}

fn dead_letters(consumer_id: Option<i32>) -> i64 {
    spi::read_one_now::<i64>(
        "SELECT pg_catalog.count(*) FROM architect.cdc_dead_letter AS d
          WHERE d.consumer_id = COALESCE($1, d.consumer_id) AND d.retried_at IS NULL",
        &[consumer_id.into()],
    )
    .unwrap_or_default()
}

/// How many events of those it wants a consumer has not acknowledged, and when the first was recorded.
fn unread(consumer: &Consumer, position: i64) -> Result<(i64, Option<i64>)> {
    let view = View::now();
    let memory = OwnedContext::new(c"db_architect unread events");
    let mut unread = Feed::open()?.range(position, i64::MAX, &view);
    let mut relation = Remembered::default();
    let (mut events, mut since, mut seen) = (0, None, 0_u64);
    while events < MOST
        && let Some(event) = unread.next()
    {
        let relation = relation.find(event.relation_id())?;
        if memory.within(|| relations::wants(&consumer.filter, &event, relation)) {
            events += 1;
            since = Some(since.map_or(event.recorded_at(), |since: i64| since.min(event.recorded_at())));
        }
        seen += 1;
        if seen.is_multiple_of(1000) {
            memory.reset();
            pgrx::check_for_interrupts!();
        }
    }
    Ok((events, since))
}

/// Who keeps the feed from being decided further, in words.
pub fn holder(horizon: &Horizon) -> Result<Option<String>> {
    let Some((pid, number)) = horizon.held_by else { return Ok(None) };
    if pid != 0 {
        let application = spi::read_one::<String>(
            "SELECT NULLIF(a.application_name, '') FROM pg_catalog.pg_stat_get_activity($1) AS a",
            &[pid.into()],
        );
        return Ok(Some(match application {
            Some(application) => format!("process {pid} ({application})"),
            None => format!("process {pid}"),
        }));
    }
    let gid = spi::read_one::<String>(
        "SELECT p.gid FROM pg_catalog.pg_locks AS l
           JOIN pg_catalog.pg_locks AS x
             ON x.locktype = 'transactionid' AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction
           JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
          WHERE l.pid IS NULL AND l.locktype = 'advisory' AND l.objsubid = $1
            AND l.classid::pg_catalog.int8 = ($2 >> 32) AND l.objid::pg_catalog.int8 = ($2 & 4294967295)
          LIMIT 1",
        &[(position::CLASS as i16).into(), number.into()],
    );
    Ok(Some(match gid {
        Some(gid) => format!("prepared transaction {}", pgrx::spi::quote_literal(&gid)),
        None => "a prepared transaction".to_owned(),
    }))
}

/// Everything a monitoring system asks for, in one row.
#[derive(Default)]
pub struct Health {
    pub status: &'static str,
    pub detail: String,
    pub consumers: i64,
    pub lost: i64,
    pub most_events: i64,
    pub most_behind: i64,
    pub feed_bytes: i64,
    pub feed_tables: i64,
    pub held_back_by: Option<String>,
    pub retention_held_by: Option<String>,
    pub dead_letters: i64,
    pub queue_usage: f64,
}

/// Behind by more than this many microseconds is worth a warning.
const LATE: i64 = 5 * 60 * 1_000_000;

pub fn health() -> Result<Health> {
    let lags = all()?;
    let horizon = horizon::now()?;
    let mut feed_bytes = 0;
    let mut feed_tables = 0;
    for segment in Segment::all()? {
        feed_tables += 1;
        feed_bytes += segment.relid().map_or(Ok(0), retention::size)?;
    }
    let queue_usage =
        spi::read_one::<f64>("SELECT pg_catalog.pg_notification_queue_usage()", &[]).unwrap_or_default();
    let names = |which: &dyn Fn(&Lag) -> bool| -> Vec<&str> {
        lags.iter().filter(|lag| which(lag)).map(|lag| lag.name.as_str()).collect()
    };
    let lost = names(&|lag| matches!(lag.state, "lost" | "restored"));
    let ownerless = names(&|lag| lag.state == "ownerless");
    let late = names(&|lag| lag.behind > LATE);
    let dead_letters = dead_letters(None);
    let mut findings = Vec::new();
    if !lost.is_empty() {
        findings.push(format!("lost: {}; call reset_consumer()", lost.join(", ")));
    }
    if !ownerless.is_empty() {
        let names = ownerless.join(", ");
        findings.push(format!(
            "of a role that was dropped: {names}; call drop_consumer() as the extension's owner"
        ));
    }
    if !late.is_empty() {
        findings.push(format!("more than five minutes behind: {}", late.join(", ")));
    }
    if dead_letters > 0 {
        findings.push(format!("{dead_letters} dead letters; see dead_letters()"));
    }
    if queue_usage > 0.5 {
        findings.push("the notification queue is more than half full: a listening session is stuck".into());
    }
    Ok(Health {
        status: match (lost.is_empty(), findings.is_empty()) {
            (false, _) => "critical",
            (true, false) => "warning",
            (true, true) => "ok",
        },
        detail: findings.join(". "),
        consumers: lags.len() as i64,
        lost: lost.len() as i64,
        most_events: lags.iter().map(|lag| lag.events).max().unwrap_or_default(),
        most_behind: lags.iter().map(|lag| lag.behind).max().unwrap_or_default(),
        feed_bytes,
        feed_tables,
        held_back_by: holder(&horizon)?,
        retention_held_by: retention::acknowledged_by_all()?.map(|(_, name)| name),
        dead_letters,
        queue_usage,
    })
}

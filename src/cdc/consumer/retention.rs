//! Keeping the feed small: the table that is written to is changed for an empty one when it is large or old
//! enough, and one whose entries every consumer has acknowledged is emptied at once, whole.
//!
//! Nobody waits for this: a table is emptied only where its lock is free, else next time.

use super::feed::{Entries, Feed, entry};
use super::state::{self, Aside, Consumer, Worker};
use super::{horizon, poll};
use crate::capture::policy::storage_missing;
use crate::capture::segment::{Bounds, Segment, State, segment_name};
use crate::cdc::storage as tables;
use crate::error::{Error, Result};
use crate::pg::scan::{Ordered, View};
use crate::pg::{lock, session, spi, subtransaction};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;

/// Microseconds between two looks by one session that acknowledges.
const PAUSE: i64 = 1_000_000;
/// Empty tables that are kept for later; those a backlog has left beyond that are dropped.
const SPARE: usize = 2;
/// Most tables one transaction empties: it locks each of them, with its index and what is out of line.
const AT_ONCE: usize = 16;
/// The current table may get this part of the size of all that wait.
const SHARE: i64 = 8;

/// What was done with what, and why.
pub struct Note {
    pub object: String,
    pub action: &'static str,
    pub detail: String,
}

/// A row of cdc_setting.
pub struct Settings {
    pub segment_bytes: i64,
    pub segment_age: i64,
    pub keep_unread: i64,
}

impl Settings {
    pub fn read() -> Result<Self> {
        spi::read_now(
            "SELECT s.segment_bytes, (EXTRACT(epoch FROM s.segment_age) * 1000000)::pg_catalog.int8,
                    (EXTRACT(epoch FROM s.keep_unread) * 1000000)::pg_catalog.int8
               FROM architect.cdc_setting AS s",
            &[],
            |row| {
                Ok(Self {
                    segment_bytes: row.get(1)?.unwrap_or_default(),
                    segment_age: row.get(2)?.unwrap_or_default(),
                    keep_unread: row.get(3)?.unwrap_or_default(),
                })
            },
        )?
        .into_iter()
        .next()
        .ok_or_else(|| storage_missing("cdc_setting"))
    }
}

/// Up to where nobody needs the feed; none where there is no consumer it is kept for.
pub fn acknowledged_by_all() -> Result<Option<(i64, String)>> {
    let mut lowest: Option<(i64, String)> = None;
    for consumer in Consumer::all()?.into_iter().filter(|c| c.lost.is_none() && c.is_of_here()) {
        let position = position_of(&consumer)?;
        if lowest.as_ref().is_none_or(|(least, _)| position < *least) {
            lowest = Some((position, consumer.name));
        }
    }
    Ok(lowest)
}

/// Up to where a consumer has acknowledged everything.
pub fn position_of(consumer: &Consumer) -> Result<i64> {
    // The batches first: one that is acknowledged in between is taken for not acknowledged.
    let workers = Worker::of(consumer.id)?;
    Ok(state::acknowledged(consumer, &workers, &Aside::of(consumer.id)?))
}

/// Empties what can be emptied, then changes tables if it is time. As the extension's owner, in a
/// transaction that ends soon.
pub fn tidy() -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    if !poll::try_keep_the_feed() {
        return Ok(notes);
    }
    let settings = Settings::read()?;
    let acknowledged = acknowledged_by_all()?.map(|(position, _)| position);
    let segments = Segment::all()?;
    let mut spare = segments.iter().filter(|segment| segment.state == State::Free).count();
    let mut waiting = Waiting::default();
    for segment in segments.iter().filter(|segment| segment.state == State::Full) {
        let known = match segment.bounds {
            None => close(segment)?,
            bounds => Some(bounds),
        };
        let needless = known.is_some_and(|held| is_needless(held, acknowledged, &settings));
        if needless && notes.len() < AT_ONCE && empty(segment, spare >= SPARE, acknowledged, &settings)? {
            let action = if spare >= SPARE { "dropped" } else { "emptied" };
            spare += usize::from(spare < SPARE);
            let why = match acknowledged {
                Some(_) => "read by every consumer",
                None => "kept for as long as it was to be without a consumer",
            };
            notes.push(Note { object: segment.name(), action, detail: why.to_owned() });
        } else {
            waiting.tables += 1;
            waiting.bytes += known.flatten().map_or(0, |bounds| bounds.bytes);
        }
    }
    notes.extend(turn_over(&settings, &segments, &waiting)?);
    Ok(notes)
}

/// Tables that wait for their consumers.
#[derive(Default)]
struct Waiting {
    tables: usize,
    bytes: i64,
}

/// The same beside an acknowledgement, every now and then, where the transaction ends with the statement.
/// Never fails.
pub fn tidy_beside() {
    thread_local! {
        static LAST: Cell<i64> = const { Cell::new(0) };
    }
    let now = session::clock();
    if session::is_in_transaction_block() || LAST.get() > now - PAUSE {
        return;
    }
    LAST.set(now);
    // What fails here fails in run_maintenance() too, where it is reported.
    let _ = subtransaction::attempt(tidy);
}

/// What a table of the feed holds that is committed now, whatever the transaction's own snapshot sees: under
/// REPEATABLE READ that is of before what would be thrown away.
fn contents(segment: &Segment, relid: pg_sys::Oid) -> Result<Option<Bounds>> {
    let view = View::now();
    let table = Ordered::open(relid, entry::POSITION).ok_or_else(|| {
        Error::not_in_prerequisite_state("a table of the change feed cannot be read")
            .detail(format!("Table architect.{} has no index on position.", segment.name()))
            .hint("Create one, as the other tables of the feed have.")
    })?;
    let Some(last) = table.last(&view) else { return Ok(None) };
    let (mut of_first, mut of_last) =
        (Entries::of(&table, i64::MIN, i64::MAX, &view), Entries::of(&table, last - 1, last, &view));
    Ok(match (of_first.next(), of_last.next()) {
        (Some(first), Some(last)) => Some(Bounds {
            first: first.position,
            last: last.position,
            oldest: first.recorded_at(),
            newest: last.recorded_at(),
            bytes: size(relid)?,
        }),
        _ => None,
    })
}

pub fn size(relid: pg_sys::Oid) -> Result<i64> {
    let bytes = spi::read_one_now::<i64>(
        "SELECT pg_catalog.pg_total_relation_size($1::pg_catalog.oid::pg_catalog.regclass)",
        &[relid.into()],
    );
    Ok(bytes.unwrap_or_default())
}

/// Notes what a full table holds, once nobody writes to it any more; none while somebody may. What comes back
/// is empty where the table is.
fn close(segment: &Segment) -> Result<Option<Option<Bounds>>> {
    // Writers hear of it when this is committed, not before.
    let turned_over_just_now = segment.since >= session::transaction_start();
    let Some(relid) = segment.relid().filter(|_| !turned_over_just_now) else { return Ok(None) };
    // Who has written holds its lock to the end of the transaction; who takes it later hears, with it, that
    // another table is written to now.
    if !lock::is_free(relid, pg_sys::ShareLock) {
        return Ok(None);
    }
    let found = contents(segment, relid)?;
    if let Some(bounds) = found {
        spi::run(
            "UPDATE architect.change_segment AS s
                SET first_position = $2, last_position = $3, oldest_at = $4, newest_at = $5, bytes = $6
              WHERE s.segment_id = $1",
            &[
                segment.id.into(),
                bounds.first.into(),
                bounds.last.into(),
                TimestampWithTimeZone::try_from(bounds.oldest).ok().into(),
                TimestampWithTimeZone::try_from(bounds.newest).ok().into(),
                bounds.bytes.into(),
            ],
        )?;
    }
    Ok(Some(found))
}

fn is_needless(held: Option<Bounds>, acknowledged: Option<i64>, settings: &Settings) -> bool {
    match (held, acknowledged) {
        (None, _) => true,
        (Some(bounds), Some(acknowledged)) => bounds.last <= acknowledged,
        (Some(bounds), None) => bounds.newest < session::clock().saturating_sub(settings.keep_unread),
    }
}

/// Empties a table nobody needs any more, or drops it where there are spare ones enough; says whether it did:
/// not where somebody does need it, or where it is in use.
fn empty(segment: &Segment, drop_it: bool, acknowledged: Option<i64>, settings: &Settings) -> Result<bool> {
    let name = segment.name();
    let emptied = subtransaction::attempt(|| {
        spi::run(&format!("LOCK TABLE architect.{name} IN ACCESS EXCLUSIVE MODE NOWAIT"), &[])?;
        // Who wrote to it until now has ended: this is all there will be.
        let Some(relid) = segment.relid() else { return Ok(false) };
        if !is_needless(contents(segment, relid)?, acknowledged, settings) {
            return Ok(false);
        }
        if drop_it {
            spi::run(&format!("DROP TABLE architect.{name}"), &[])?;
            let gone = "DELETE FROM architect.change_segment AS s WHERE s.segment_id = $1";
            spi::run(gone, &[segment.id.into()])?;
        } else {
            spi::run(&format!("TRUNCATE architect.{name}"), &[])?;
            tables::set_state(segment.id, "free")?;
        }
        tables::announce_segments();
        Ok(true)
    });
    match emptied {
        Err(error) if error.code() == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => Ok(false),
        outcome => outcome,
    }
}

/// Has writers go on in an empty table, where the one they write to is large or old enough. Where much waits,
/// tables are larger: however long a backlog gets, it is in some dozens of them. One that is only old stays
/// where others wait: to change it would make nothing smaller.
fn turn_over(settings: &Settings, segments: &[Segment], waiting: &Waiting) -> Result<Option<Note>> {
    let Some(current) = segments.iter().find(|segment| segment.state == State::Current) else {
        return Ok(None);
    };
    let Some(relid) = current.relid() else { return Ok(None) };
    let bytes = size(relid)?;
    let large = bytes >= settings.segment_bytes.max(waiting.bytes / SHARE);
    let old = waiting.tables == 0 && current.since < session::clock().saturating_sub(settings.segment_age);
    if !(large || old && contents(current, relid)?.is_some()) {
        return Ok(None);
    }
    let next = match Segment::all()?.iter().find(|segment| segment.state == State::Free) {
        Some(free) => free.id,
        None => tables::add_segment("free")?,
    };
    tables::set_state(current.id, "full")?;
    tables::set_state(next, "current")?;
    tables::announce_segments();
    Ok(Some(Note {
        object: current.name(),
        action: "full",
        detail: format!("{bytes} bytes; {} is written to now", segment_name(next)),
    }))
}

/// Gives up on consumers that are further behind than they may be. Returns what was found.
pub fn give_up() -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    // What is not decided yet nobody can read: that is no consumer's fault.
    let horizon = horizon::now()?.position;
    for consumer in Consumer::all()?.into_iter().filter(|c| c.lost.is_none() && c.is_of_here()) {
        let position = position_of(&consumer)?;
        let Some(reason) = too_far_behind(&consumer, position, horizon)? else { continue };
        spi::run(
            "UPDATE architect.cdc_consumer AS c
                SET state = 'lost', lost_at = pg_catalog.clock_timestamp(), lost_reason = $2
              WHERE c.consumer_id = $1",
            &[consumer.id.into(), reason.as_str().into()],
        )?;
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("consumer \"{}\" of the change feed is lost: {reason}", consumer.name),
            "The feed is no longer kept for it. Call architect.reset_consumer() to say where it starts again."
        );
        notes.push(Note { object: consumer.name, action: "lost", detail: reason });
    }
    Ok(notes)
}

/// Why a consumer is too far behind what it could have read; none where it is not.
fn too_far_behind(consumer: &Consumer, position: i64, horizon: i64) -> Result<Option<String>> {
    let view = View::now();
    let feed = Feed::open()?;
    if let Some(most) = consumer.max_lag_events {
        let mut unread = feed.range(position, horizon, &view);
        let mut events = 0;
        while events <= most && unread.next().is_some() {
            events += 1;
        }
        if events > most {
            return Ok(Some(format!("more than {most} events behind (max_lag_events)")));
        }
    }
    if let Some(most) = consumer.max_lag_bytes {
        let bytes = bytes_between(position, horizon)?;
        if bytes > most {
            return Ok(Some(format!("{bytes} bytes behind, more than {most} (max_lag_bytes)")));
        }
    }
    if let Some(most) = consumer.max_lag_time {
        let mut unread = feed.range(position, horizon, &view);
        let first = unread.next().map(|event| event.recorded_at());
        let waits = first.map_or(0, |first| session::clock().saturating_sub(first));
        if waits > most {
            return Ok(Some(format!(
                "{} seconds behind, more than {} (max_lag)",
                waits / 1_000_000,
                most / 1_000_000
            )));
        }
    }
    Ok(None)
}

/// Bytes of the feed after a position and up to another, about: a table's bytes are taken to be spread evenly.
pub fn bytes_between(position: i64, through: i64) -> Result<i64> {
    let mut bytes = 0.0;
    for segment in Segment::all()? {
        let held = match (segment.bounds, segment.relid()) {
            (_, None) => None,
            (None, Some(relid)) => contents(&segment, relid)?,
            (known, Some(_)) => known,
        };
        if let Some(Bounds { first, last, bytes: size, .. }) = held
            && last > position
            && first <= through
        {
            let unread = (last.min(through) - position.max(first - 1)) as f64;
            bytes += size as f64 * unread / (last - first + 1) as f64;
        }
    }
    Ok(bytes as i64)
}

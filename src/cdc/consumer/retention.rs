//! Keeping the feed small: the table that is written to is changed for an empty one when it is large or old
//! enough, and one whose entries every consumer has acknowledged is emptied at once, whole.
//!
//! Nobody waits for this: a table is emptied only where its lock is free, else next time.

use super::state::{self, Aside, Consumer, Worker};
use super::{feed, horizon, poll};
use crate::capture::feed::segment_name;
use crate::capture::policy::storage_missing;
use crate::cdc::storage as tables;
use crate::error::{Error, Result};
use crate::pg::scan::View;
use crate::pg::{session, spi, subtransaction};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;
use std::cell::Cell;

/// Microseconds between two looks by one session that acknowledges.
const PAUSE: i64 = 1_000_000;

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
    for segment in feed::segments()?.iter().filter(|segment| segment.state == "full") {
        if let Some(entries) = empty(segment.id, acknowledged, &settings)? {
            notes.push(Note {
                object: segment_name(segment.id),
                action: "emptied",
                detail: format!("{entries} entries read by every consumer"),
            });
        }
    }
    if let Some(note) = turn_over(&settings)? {
        notes.push(note);
    }
    Ok(notes)
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

/// A query through the latest snapshot, which `spi::read_now` takes only under READ COMMITTED.
fn read_latest<T>(
    query: &str,
    arguments: &[DatumWithOid],
    each: impl FnMut(&SpiHeapTupleData) -> std::result::Result<T, pgrx::spi::Error>,
) -> Result<Vec<T>> {
    View::now().during(|| spi::read(query, arguments, each))
}

/// What a table of the feed holds.
struct Contents {
    entries: i64,
    last: Option<i64>,
    newest: i64,
}

/// What is committed now, whatever the transaction's own snapshot sees: under REPEATABLE READ that is of
/// before what would be thrown away.
fn contents(name: &str) -> Result<Contents> {
    let found = read_latest(
        &format!(
            "SELECT (SELECT pg_catalog.max(e.position) FROM architect.{name} AS e),
                    (SELECT e.recorded_at FROM architect.{name} AS e ORDER BY e.position DESC LIMIT 1),
                    (SELECT c.reltuples::pg_catalog.int8 FROM pg_catalog.pg_class AS c
                      WHERE c.oid = 'architect.{name}'::pg_catalog.regclass)"
        ),
        &[],
        |row| {
            Ok(Contents {
                entries: row.get::<i64>(3)?.unwrap_or_default().max(0),
                last: row.get(1)?,
                newest: row.get::<TimestampWithTimeZone>(2)?.map_or(i64::MIN, i64::from),
            })
        },
    )?;
    found.into_iter().next().ok_or_else(|| Error::internal("an aggregate query returned no row"))
}

/// Empties a table nobody needs any more; none where somebody does, or where it is in use.
fn empty(segment: i32, acknowledged: Option<i64>, settings: &Settings) -> Result<Option<i64>> {
    let name = segment_name(segment);
    if feed::table_of(segment).is_none() {
        return Ok(None);
    }
    let needless = |contents: &Contents| match (contents.last, acknowledged) {
        (None, _) => true,
        (Some(last), Some(acknowledged)) => last <= acknowledged,
        (Some(_), None) => contents.newest < session::clock().saturating_sub(settings.keep_unread),
    };
    if !needless(&contents(&name)?) {
        return Ok(None);
    }
    let emptied = subtransaction::attempt(|| {
        spi::run(&format!("LOCK TABLE architect.{name} IN ACCESS EXCLUSIVE MODE NOWAIT"), &[])?;
        // Who wrote to it until now has ended: this is all there will be.
        let contents = contents(&name)?;
        if !needless(&contents) {
            return Ok(None);
        }
        spi::run(&format!("TRUNCATE architect.{name}"), &[])?;
        spi::run(
            "UPDATE architect.change_segment AS s SET state = 'free', since = pg_catalog.clock_timestamp()
              WHERE s.segment_id = $1",
            &[segment.into()],
        )?;
        tables::announce_segments();
        Ok(Some(contents.entries))
    });
    match emptied {
        Err(error) if error.code() == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => Ok(None),
        outcome => outcome,
    }
}

/// Has writers go on in an empty table, where the one they write to is large or old enough.
fn turn_over(settings: &Settings) -> Result<Option<Note>> {
    let segments = feed::segments()?;
    let Some(current) = segments.iter().find(|segment| segment.state == "current") else {
        return Ok(None);
    };
    let name = segment_name(current.id);
    if feed::table_of(current.id).is_none() {
        return Ok(None);
    }
    let bytes = spi::run_one::<i64>(
        "SELECT pg_catalog.pg_total_relation_size($1::pg_catalog.oid::pg_catalog.regclass)",
        &[feed::table_of(current.id).into()],
    )?
    .unwrap_or_default();
    let old = current.since < session::clock().saturating_sub(settings.segment_age);
    if bytes < settings.segment_bytes && !(old && contents(&name)?.last.is_some()) {
        return Ok(None);
    }
    let next = match segments.iter().find(|segment| segment.state == "free") {
        Some(free) => free.id,
        None => tables::add_segment("free")?,
    };
    for (segment, state) in [(current.id, "full"), (next, "current")] {
        spi::run(
            "UPDATE architect.change_segment AS s SET state = $2, since = pg_catalog.clock_timestamp()
              WHERE s.segment_id = $1",
            &[segment.into(), state.into()],
        )?;
    }
    tables::announce_segments();
    Ok(Some(Note {
        object: name,
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
    if let Some(most) = consumer.max_lag_events {
        let events = read_latest(
            "SELECT pg_catalog.count(*)
               FROM (SELECT FROM architect.change_entry AS e
                      WHERE e.position > $1 AND e.position <= $2 LIMIT $3) AS unread",
            &[position.into(), horizon.into(), (most + 1).into()],
            |row| row.get::<i64>(1),
        )?;
        if events.into_iter().flatten().any(|events| events > most) {
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
        let first = read_latest(
            "SELECT e.recorded_at FROM architect.change_entry AS e WHERE e.position > $1 AND e.position <= $2
              ORDER BY e.position LIMIT 1",
            &[position.into(), horizon.into()],
            |row| row.get::<TimestampWithTimeZone>(1),
        )?;
        let first = first.into_iter().flatten().next();
        let waits = first.map_or(0, |first| session::clock().saturating_sub(first.into()));
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
    for segment in feed::segments()?.iter().filter(|segment| segment.state != "free") {
        let Some(relid) = feed::table_of(segment.id) else { continue };
        let name = segment_name(segment.id);
        let found = read_latest(
            &format!(
                "SELECT pg_catalog.min(e.position), pg_catalog.max(e.position),
                        pg_catalog.pg_total_relation_size($1::pg_catalog.oid::pg_catalog.regclass)
                   FROM architect.{name} AS e"
            ),
            &[relid.into()],
            |row| Ok((row.get::<i64>(1)?, row.get::<i64>(2)?, row.get::<i64>(3)?.unwrap_or_default())),
        )?;
        for (first, last, size) in found {
            if let (Some(first), Some(last)) = (first, last)
                && last > position
                && first <= through
            {
                let unread = (last.min(through) - position.max(first - 1)) as f64;
                bytes += size as f64 * unread / (last - first + 1) as f64;
            }
        }
    }
    Ok(bytes as i64)
}

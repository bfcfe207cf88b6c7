//! The SQL functions of consumers. Those whose arguments or rows are not all of types Rust names are
//! declared in sql/cdc_consumer.sql.

use super::documents::{Documents, Envelope, Shape};
use super::poll::Request;
use super::registry::{self, Start, Wanted};
use super::rows::Rows;
use super::{ack, dead_letter, permission, retention, state};
use crate::error::{self, Error};
use crate::pg::result_set::ResultSet;
use crate::pg::{security, session};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Bytes of a reason that are kept.
const LONGEST_REASON: usize = 1000;

/// Makes a named consumer of the change feed: a position in it that moves on as events are acknowledged.
///
/// Arguments: consumer, its name; tables, captured tables (null: all, those enabled later too); topics, of
/// emit_event() (null: all where tables is null, otherwise none); operations, any of insert, update,
/// delete, truncate, event; start, 'now' (changes not committed yet), 'beginning' (all the feed still
/// has) or 'snapshot' (the rows that are there as read events, then every change after them);
/// visibility_timeout, how long a worker may keep a batch before another gets it; max_attempts, after how
/// many of them an event becomes a dead letter (null: never); max_lag_events, max_lag_bytes, max_lag:
/// how far it may fall behind before run_maintenance() stops keeping the feed for it (null: without end).
/// Returns one row: created, exists or changed. A consumer that is there keeps its position.
/// Errors: 55000 a table is not captured; 42710 it exists and wants other tables, topics or operations;
/// 22023 invalid value; 42501 no right to read the tables. Lock: none on tables. Privilege: EXECUTE, and SELECT
/// on the tables, whose row-level security must not apply to the caller, or on architect.change_log where tables
/// is null; events of topics take no more than EXECUTE. The consumer belongs to the current role: its members,
/// and those of the extension's owner, may use it.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn create_consumer(
    consumer: Option<&str>,
    tables: Option<Vec<Option<pg_sys::Oid>>>,
    topics: Option<Vec<Option<String>>>,
    operations: Option<Vec<Option<String>>>,
    start: Option<&str>,
    visibility_timeout: Option<Interval>,
    max_attempts: Option<i32>,
    max_lag_events: Option<i64>,
    max_lag_bytes: Option<i64>,
    max_lag: Option<Interval>,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let consumer = Error::required("consumer", consumer)?;
    if consumer.is_empty() || consumer.len() > 200 {
        return Err(Error::invalid_parameter("the name of a consumer must have 1 to 200 bytes").into());
    }
    let visibility = microseconds("visibility_timeout", visibility_timeout)?.unwrap_or(30_000_000);
    let wanted = Wanted {
        name: consumer.to_owned(),
        tables: tables.map(|list| list.into_iter().flatten().collect()),
        topics: topics.map(|list| list.into_iter().flatten().collect()),
        operations: operations.unwrap_or_default().into_iter().flatten().collect(),
        visibility,
        max_attempts: at_least_one("max_attempts", max_attempts.map(i64::from))?.map(|n| n as i32),
        max_lag_events: at_least_one("max_lag_events", max_lag_events)?,
        max_lag_bytes: at_least_one("max_lag_bytes", max_lag_bytes)?,
        max_lag_time: microseconds("max_lag", max_lag)?,
    };
    let start = Start::parse(start.unwrap_or("now"))?;
    let report = registry::create(&wanted, start)?;
    put(&mut ResultSet::begin(call)?, &report);
    Ok(())
}

fn at_least_one(argument: &str, value: Option<i64>) -> error::Result<Option<i64>> {
    match value {
        Some(value) if value < 1 => {
            Err(Error::invalid_parameter(format!("invalid value for argument \"{argument}\": {value}"))
                .hint("Give a number of at least 1, or null for no limit."))
        }
        value => Ok(value),
    }
}

/// An interval that must not be negative.
fn microseconds(argument: &str, interval: Option<Interval>) -> error::Result<Option<i64>> {
    let Some(interval) = interval else { return Ok(None) };
    let value = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
    if value < 0 {
        return Err(Error::invalid_parameter(format!("invalid value for argument \"{argument}\""))
            .detail("The interval is negative.")
            .hint("Give an interval such as '30 seconds'."));
    }
    Ok(Some(value))
}

fn put(result: &mut ResultSet, (name, action, detail): &registry::Report) {
    result.put_datums(&[
        name.as_str().into_datum(),
        action.as_str().into_datum(),
        detail.as_str().into_datum(),
    ]);
}

/// Drops a consumer with its batches and dead letters. The feed is no longer kept for it.
///
/// Returns one row: dropped. Errors: 42704 no such consumer. Lock: waits for polls of it under way.
/// Privilege: EXECUTE, as a member of the role it belongs to; else 42501.
#[pg_extern]
fn drop_consumer(
    consumer: &str,
) -> Result<
    TableIterator<'static, (name!(consumer_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    Ok(TableIterator::once(registry::drop(consumer)?))
}

/// Puts a consumer at another position, forgetting its batches: after it was lost, or after the database
/// was restored elsewhere. Dead letters stay.
///
/// Arguments: consumer; start, 'now', 'beginning' or 'snapshot', as for create_consumer.
/// Returns one row: reset. Errors: 42704 no such consumer; 22023 invalid start. Lock: waits for polls of it
/// under way. Privilege: EXECUTE, as a member of the role it belongs to; else 42501.
#[pg_extern]
fn reset_consumer(
    consumer: &str,
    start: &str,
) -> Result<
    TableIterator<'static, (name!(consumer_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    Ok(TableIterator::once(registry::reset(consumer, Start::parse(start)?)?))
}

/// Hands out a batch of events in the order of the feed.
///
/// Arguments: consumer; max, how many events at most; wait, how long to wait for some if there are none;
/// worker, a name for who asks: without one it is this session, which is wrong behind a transaction pooler.
/// A worker that has not acknowledged its batch gets it again. Other workers get other events: all of one
/// row key go to one worker at a time and in order. A batch whose session has ended, or that was held for
/// longer than the consumer's visibility_timeout, goes to the next worker that asks.
/// Returns one row an event: position, txid, operation (insert, update, delete, truncate, event, read),
/// schema_name, table_name, row_key, old_values, new_values, changed_columns, actor, correlation_id,
/// context, recorded_at, topic and headers (of emit_event(), whose payload is new_values), attempt.
/// What this does is undone by a rollback: then the batch comes again. Until the transaction ends other
/// workers' polls wait, so with several workers let it be a transaction of its own.
/// Errors: 42704 no such consumer; 55000 the consumer is lost or belongs to another cluster: call
/// reset_consumer; 22023 invalid max or wait; 22004 null for one of them. Privilege: EXECUTE, as a member of the role the consumer
/// belongs to; else 42501.
#[pg_extern(sql = false)]
fn poll_changes(
    consumer: Option<&str>,
    max: Option<i32>,
    wait: Option<Interval>,
    worker: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let request = request(consumer, max, wait, worker)?;
    permission::check(request.consumer)?;
    let mut rows = Rows::new(ResultSet::begin(call)?);
    security::as_extension_owner(|| super::poll::poll(&request, &mut rows))?;
    Ok(())
}

/// The same as poll_changes, each event as one JSON document in the shape the WAL feed has too.
///
/// Arguments, errors, privilege: as for poll_changes.
/// Returns one row an event: position, to be acknowledged, and event: position, txid, operation, schema,
/// table, key, old, new, changed, masked, actor, correlation_id, context, recorded_at; for emit_event()
/// topic, key, payload and headers; attempt from the second on. What does not apply is left out.
#[pg_extern(sql = false)]
fn poll_changes_json(
    consumer: Option<&str>,
    max: Option<i32>,
    wait: Option<Interval>,
    worker: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let request = request(consumer, max, wait, worker)?;
    permission::check(request.consumer)?;
    let mut documents = Documents::new(ResultSet::begin(call)?, Shape::Native);
    security::as_extension_owner(|| super::poll::poll(&request, &mut documents))?;
    Ok(())
}

/// The same as poll_changes, each event in the envelope Debezium uses, for sinks that know it.
///
/// Arguments, errors, privilege: as for poll_changes.
/// Returns one row an event: position, to be acknowledged, and event: key, before, after, source (version,
/// connector, name, db, schema, table, ts_ms, snapshot, txId, position), op (c, u, d, t, r or m), ts_ms,
/// transaction (id, total_order, data_collection_order: the latter two count within the batch).
#[pg_extern(sql = false)]
fn poll_changes_envelope(
    consumer: Option<&str>,
    max: Option<i32>,
    wait: Option<Interval>,
    worker: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let request = request(consumer, max, wait, worker)?;
    permission::check(request.consumer)?;
    let mut documents = Documents::new(ResultSet::begin(call)?, Shape::Envelope(Envelope::new()));
    security::as_extension_owner(|| super::poll::poll(&request, &mut documents))?;
    Ok(())
}

/// The events a consumer could not process.
///
/// Arguments: consumer, or null for all.
/// Returns one row each: consumer_name, position, attempts, reason, dead_at, is_retried (it has been given
/// back and waits to be handed out), operation, schema_name, table_name, row_key and image as the feed
/// keeps them. Privilege: EXECUTE; of consumers that belong to a role the caller is a member of.
#[pg_extern(volatile)]
fn dead_letters(
    consumer: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(consumer_name, String),
            name!(position, i64),
            name!(attempts, i32),
            name!(reason, Option<String>),
            name!(dead_at, Option<TimestampWithTimeZone>),
            name!(is_retried, bool),
            name!(operation, String),
            name!(schema_name, Option<String>),
            name!(table_name, Option<String>),
            name!(row_key, Option<String>),
            name!(image, Option<pgrx::Json>),
        ),
    >,
    ErrorReport,
> {
    let usable = permission::usable()?;
    let letters = security::as_extension_owner(|| {
        if state::exists() { dead_letter::list(consumer) } else { Ok(Vec::new()) }
    })?;
    let letters: Vec<_> = letters.into_iter().filter(|letter| usable.contains(&letter.0)).collect();
    Ok(TableIterator::new(letters))
}

fn request<'a>(
    consumer: Option<&'a str>,
    max: Option<i32>,
    wait: Option<Interval>,
    worker: Option<&'a str>,
) -> error::Result<Request<'a>> {
    let consumer = Error::required("consumer", consumer)?;
    let max = Error::required("max", max)?;
    if !(1..=100_000).contains(&max) {
        return Err(Error::invalid_parameter(format!("invalid value for argument \"max\": {max}"))
            .hint("Give a number from 1 to 100000."));
    }
    let wait = microseconds("wait", Some(Error::required("wait", wait)?))?.unwrap_or_default();
    Ok(Request { consumer, worker, max: max as usize, wait })
}

/// Acknowledges the events of a batch up to a position: they are not handed out again.
///
/// Arguments: consumer; position, of an event that poll_changes returned: this and the earlier ones of its
/// batch are done. From any session. In the transaction that holds what the events led to in this
/// database, it makes for exactly once.
/// Returns how many events were acknowledged; 0 where they had been already.
/// Errors: 42704 no such consumer; 22023 the position was not handed out; 55000 lost, or of another
/// cluster. Lock: the batch's row. Privilege: EXECUTE, as a member of the role the consumer belongs to;
/// else 42501.
#[pg_extern]
fn ack_changes(consumer: &str, position: i64) -> Result<i64, ErrorReport> {
    permission::check(consumer)?;
    let ends_soon = session::is_in_outermost_query();
    let work = || {
        let done = ack::acknowledge(consumer, position)?;
        if done > 0 && ends_soon {
            retention::tidy_beside();
        }
        Ok::<_, Error>(done)
    };
    Ok(security::as_extension_owner(work)?)
}

/// Gives one event of a batch back: it could not be processed.
///
/// Arguments: consumer; position, of that event; reason, of which the first 1,000 bytes are kept with it; delay, how long until it is handed
/// out again. After the consumer's max_attempts it becomes a dead letter instead. Later events of its row
/// key leave the batch with it, so that they stay behind it: poll again for what is left.
/// Returns one row for each event that left the batch: position, outcome (retry, held, dead_letter); none
/// where it is in no batch any more.
/// Errors, privilege: as for ack_changes; 22004 a null argument other than reason.
#[pg_extern]
fn nack_changes(
    consumer: Option<&str>,
    position: Option<i64>,
    reason: default!(Option<&str>, "NULL"),
    delay: default!(Option<Interval>, "'1 second'"),
) -> Result<TableIterator<'static, (name!(position, i64), name!(outcome, String))>, ErrorReport> {
    let consumer = Error::required("consumer", consumer)?;
    let position = Error::required("position", position)?;
    let delay = microseconds("delay", Some(Error::required("delay", delay)?))?.unwrap_or_default();
    permission::check(consumer)?;
    let reason = reason.map(|reason| &reason[..reason.floor_char_boundary(LONGEST_REASON)]);
    let refused = security::as_extension_owner(|| ack::refuse(consumer, position, reason, delay))?;
    Ok(TableIterator::new(refused.into_iter().map(|event| (event.position, event.outcome.to_owned()))))
}

/// Hands dead letters out again.
///
/// Arguments: consumer; position, of one of them, or null for all.
/// Returns how many. Errors: 42704 no such consumer. Privilege: EXECUTE, as a member of the role the consumer
/// belongs to; else 42501.
#[pg_extern]
fn retry_dead_letter(
    consumer: Option<&str>,
    position: default!(Option<i64>, "NULL"),
) -> Result<i64, ErrorReport> {
    let consumer = Error::required("consumer", consumer)?;
    permission::check(consumer)?;
    let work = || dead_letter::retry(&state::Consumer::find(consumer)?, position);
    Ok(security::as_extension_owner(work)?)
}

/// Lets dead letters go for good.
///
/// Arguments: consumer; position, of one of them, or null for all that are not being retried.
/// Returns how many. Errors: 42704 no such consumer. Privilege: EXECUTE, as a member of the role the consumer
/// belongs to; else 42501.
#[pg_extern]
fn discard_dead_letter(
    consumer: Option<&str>,
    position: default!(Option<i64>, "NULL"),
) -> Result<i64, ErrorReport> {
    let consumer = Error::required("consumer", consumer)?;
    permission::check(consumer)?;
    let work = || dead_letter::discard(&state::Consumer::find(consumer)?, position);
    Ok(security::as_extension_owner(work)?)
}

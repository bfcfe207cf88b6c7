//! The SQL functions that report on consumers and say how the feed is kept.

use super::lag;
use super::state;
use crate::capture::policy::Kind;
use crate::error::{self, Error};
use crate::pg::{security, spi};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

fn interval(microseconds: i64) -> Option<Interval> {
    Some(Interval::from_micros(microseconds))
}

fn is_used() -> bool {
    Kind::Feed.storage_exists() && state::exists()
}

/// How far each consumer is behind, and why.
///
/// Returns one row for each consumer: consumer_name; state (active, snapshot: still reading the rows that
/// were there at the start, lost, restored: its position is of another cluster, ownerless: the role it belongs to was dropped); position, up to which it
/// has acknowledged everything; horizon, up to which the feed is decided and can be read; events (those it
/// wants and has not acknowledged, counted up to a million), bytes (of the feed after its position, about),
/// behind (since the first of those events was recorded); batches and in_flight, batches and events that
/// workers have; aside, events that wait for a worker or a retry; dead_letters; held_back_by, the process or
/// prepared transaction that wrote to the feed longest ago and is still open; holds_back_retention,
/// whether this is the consumer the feed is kept for.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(volatile)]
fn consumer_lag() -> Result<
    TableIterator<
        'static,
        (
            name!(consumer_name, String),
            name!(state, String),
            name!(position, i64),
            name!(horizon, i64),
            name!(events, i64),
            name!(bytes, i64),
            name!(behind, Option<Interval>),
            name!(batches, i64),
            name!(in_flight, i64),
            name!(aside, i64),
            name!(dead_letters, i64),
            name!(held_back_by, Option<String>),
            name!(holds_back_retention, bool),
        ),
    >,
    ErrorReport,
> {
    let lags = security::as_extension_owner(|| if is_used() { lag::all() } else { Ok(Vec::new()) })?;
    Ok(TableIterator::new(lags.into_iter().map(|l| {
        (
            l.name,
            l.state.to_owned(),
            l.position,
            l.horizon,
            l.events,
            l.bytes,
            interval(l.behind),
            l.batches,
            l.in_flight,
            l.aside,
            l.dead_letters,
            l.held_back_by,
            l.holds_back_retention,
        )
    })))
}

/// The change feed's health in one row, for monitoring.
///
/// Returns: status (ok, warning, critical); detail, what to look at; consumers, lost (of which lost or
/// restored elsewhere); max_events and max_behind, of the consumer furthest behind; feed_bytes and
/// feed_tables; held_back_by, as in consumer_lag(); retention_held_by, the consumer the feed is kept for;
/// dead_letters; notification_queue_usage, from 0 to 1.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(volatile)]
fn cdc_health() -> Result<
    TableIterator<
        'static,
        (
            name!(status, String),
            name!(detail, String),
            name!(consumers, i64),
            name!(lost, i64),
            name!(max_events, i64),
            name!(max_behind, Option<Interval>),
            name!(feed_bytes, i64),
            name!(feed_tables, i64),
            name!(held_back_by, Option<String>),
            name!(retention_held_by, Option<String>),
            name!(dead_letters, i64),
            name!(notification_queue_usage, f64),
        ),
    >,
    ErrorReport,
> {
    let work =
        || if is_used() { lag::health() } else { Ok(lag::Health { status: "ok", ..Default::default() }) };
    let h = security::as_extension_owner(work)?;
    Ok(TableIterator::once((
        h.status.to_owned(),
        h.detail,
        h.consumers,
        h.lost,
        h.most_events,
        interval(h.most_behind),
        h.feed_bytes,
        h.feed_tables,
        h.held_back_by,
        h.retention_held_by,
        h.dead_letters,
        h.queue_usage,
    )))
}

/// Says when the feed's current table is changed for an empty one, and how long events are kept while
/// there is no consumer. What every consumer has acknowledged is let go a table at a time.
///
/// Arguments: segment_bytes, how large the table may get (64 kB at least; null leaves it as it is), 64 MB by
/// default; segment_age, how old, one hour by default; keep_unread, a day by default.
/// Returns one row: changed or exists. Nothing is let go before the next run_maintenance() or
/// acknowledgement. Errors: 22023 invalid value. Privilege: EXECUTE.
#[pg_extern]
fn set_cdc_retention(
    segment_bytes: default!(Option<i64>, "NULL"),
    segment_age: default!(Option<Interval>, "NULL"),
    keep_unread: default!(Option<Interval>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let negative = |value: &Option<Interval>| value.as_ref().is_some_and(|i| i.as_micros() < 0);
    if segment_bytes.is_some_and(|bytes| bytes < 65_536) || negative(&segment_age) || negative(&keep_unread) {
        return Err(Error::invalid_parameter("invalid value for the retention of the change feed")
            .detail("segment_bytes must be at least 65536, and intervals must not be negative.")
            .into());
    }
    super::storage::ensure()?;
    let row = security::as_extension_owner(|| -> error::Result<_> {
        let changed = spi::run(
            "UPDATE architect.cdc_setting AS s
                SET segment_bytes = COALESCE($1, s.segment_bytes), segment_age = COALESCE($2, s.segment_age),
                    keep_unread = COALESCE($3, s.keep_unread)
              WHERE (s.segment_bytes, s.segment_age, s.keep_unread)
                    IS DISTINCT FROM (COALESCE($1, s.segment_bytes), COALESCE($2, s.segment_age), COALESCE($3, s.keep_unread))",
            &[segment_bytes.into(), segment_age.into(), keep_unread.into()],
        )?;
        let detail = security::with_settings(&[(c"IntervalStyle", c"postgres")], || {
            spi::read_one_now::<String>(
                "SELECT pg_catalog.format('a table of the feed is full at %s bytes or %s; unread events are kept %s',
                        s.segment_bytes, s.segment_age, s.keep_unread)
                   FROM architect.cdc_setting AS s",
                &[],
            )
        });
        let action = if changed > 0 { "changed" } else { "exists" };
        Ok(("change_entry".to_owned(), action.to_owned(), detail.unwrap_or_default()))
    })?;
    Ok(TableIterator::once(row))
}

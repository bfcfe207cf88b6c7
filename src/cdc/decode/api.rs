//! The SQL functions of the WAL path.

use super::advice::advice;
use super::message::{CONTEXT, EVENT};
use super::slots;
use crate::capture::context;
use crate::cdc::event::Object;
use crate::error::Error;
use crate::guc;
use crate::pg::spi;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Writes an event into the WAL, as part of the transaction, for readers of the WAL feed (output plugin
/// db_architect); no table holds it, and the trigger feed does not have it: that is emit_event().
///
/// Arguments: topic, what kind of event it is; key, what it is about, for readers that keep order by key;
/// payload and headers, as JSON.
/// Returns its place in the WAL. Readers get it when the transaction commits, in its order among the
/// transaction's changes.
/// Errors: 22023 no topic. Lock: none. Privilege: EXECUTE.
#[pg_extern]
fn emit_wal_event(
    topic: Option<&str>,
    key: default!(Option<&str>, "NULL"),
    payload: default!(Option<JsonB>, "NULL"),
    headers: default!(Option<JsonB>, "NULL"),
) -> Result<String, ErrorReport> {
    let Some(topic) = topic.filter(|topic| !topic.is_empty()) else {
        return Err(Error::invalid_parameter("a topic may be neither null nor empty").into());
    };
    let mut content = Vec::new();
    let mut object = Object::open(&mut content);
    object.text(b"topic", topic.as_bytes());
    if let Some(key) = key {
        object.text(b"key", key.as_bytes());
    }
    for (name, value) in [("payload", payload), ("headers", headers)] {
        if let Some(JsonB(value)) = value {
            object.value(name.as_bytes(), |out| out.extend_from_slice(value.to_string().as_bytes()));
        }
    }
    object.close();
    Ok(emit(EVENT, &content)?)
}

/// Writes into the WAL who acts and for which request, as the settings architect.actor,
/// architect.correlation_id and architect.context say: readers of the WAL feed get it with every later
/// change of the transaction. The trigger feed and audit need no such call.
///
/// Returns its place in the WAL. With none of the settings set, later changes have no context again.
/// Errors: 22023 a setting that is not a uuid or not JSON. Lock: none. Privilege: EXECUTE.
#[pg_extern]
fn set_wal_context() -> Result<String, ErrorReport> {
    let mut content = Vec::new();
    let mut object = Object::open(&mut content);
    if let Some(actor) = guc::ACTOR.get() {
        object.text(b"actor", actor.as_bytes());
    }
    if let Some(text) = guc::CORRELATION_ID.get() {
        object.text(b"correlation_id", context::correlation_id(&text)?.to_string().as_bytes());
    }
    if let Some(text) = guc::CONTEXT.get() {
        context::check_json(&text)?;
        object.value(b"context", |out| out.extend_from_slice(text.as_bytes()));
    }
    object.close();
    Ok(emit(CONTEXT, &content)?)
}

fn emit(prefix: &str, content: &[u8]) -> crate::error::Result<String> {
    let content = String::from_utf8_lossy(content);
    let lsn = spi::run_one::<String>(
        "SELECT pg_catalog.pg_logical_emit_message(true, $1, $2)::pg_catalog.text",
        &[prefix.into(), content.as_ref().into()],
    )?;
    Ok(lsn.unwrap_or_default())
}

/// The cluster's replication slots, how far behind they are and what to do before the disk fills.
///
/// Returns one row for each slot, of other output plugins and of standbys too, as any slot can fill the
/// disk: whether it is read and by which pid; lag_bytes, WAL its consumer has not confirmed;
/// retained_bytes, WAL kept for it; wal_status and safe_wal_size as in pg_replication_slots (bytes until
/// WAL it needs may go); max_keep_bytes, max_slot_wal_keep_size, null without a limit; and advice.
/// Lock: none. Privilege: EXECUTE.
#[pg_extern(volatile)]
fn cdc_slots() -> Result<
    TableIterator<
        'static,
        (
            name!(slot_name, String),
            name!(plugin, Option<String>),
            name!(database_name, Option<String>),
            name!(active, bool),
            name!(active_pid, Option<i32>),
            name!(lag_bytes, Option<i64>),
            name!(retained_bytes, Option<i64>),
            name!(wal_status, Option<String>),
            name!(safe_wal_size, Option<i64>),
            name!(max_keep_bytes, Option<i64>),
            name!(two_phase, bool),
            name!(advice, String),
        ),
    >,
    ErrorReport,
> {
    let rows = slots::list()?.into_iter().map(|listed| {
        let advice = advice(&listed.slot);
        let slot = listed.slot;
        (
            listed.name,
            listed.plugin,
            listed.database,
            slot.active,
            listed.pid,
            slot.lag,
            slot.retained,
            slot.wal_status,
            slot.safe,
            slot.limit,
            listed.two_phase,
            advice,
        )
    });
    Ok(TableIterator::new(rows.collect::<Vec<_>>()))
}

/// Keeps the slots of a quiet database moving. A consumer that confirms only what it was sent keeps WAL
/// from being removed while other databases write: for slots of output plugin db_architect in this
/// database that are being read, a heartbeat goes into the WAL, which the consumer gets and confirms.
///
/// Arguments: unread, also move slots that nobody reads to the end of the WAL, but only over WAL that has
/// nothing for them: no change of any table and no message of this database. All of it is decoded to
/// find out, which takes as long as reading it would; and a consumer that comes meanwhile is told that
/// the slot is in use.
/// Returns one row for each slot: heartbeat, advanced, kept (changes are waiting) or skipped.
/// Errors: 55000 on a standby. Lock: none. Privilege: EXECUTE; with unread, of the role attribute REPLICATION.
#[pg_extern]
fn advance_idle_slots(
    unread: default!(bool, "false"),
) -> Result<
    TableIterator<'static, (name!(slot_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let rows = slots::advance(unread)?.into_iter().map(|m| (m.slot, m.action.to_owned(), m.detail));
    Ok(TableIterator::new(rows.collect::<Vec<_>>()))
}

//! Events a consumer could not process: kept with all the feed had of them, to be looked at, retried or
//! let go.

use super::batch::each_event;
use super::delivery::Delivery;
use super::feed::{Entry, Feed, entry};
use super::filter::operation_name;
use super::relations;
use super::state::{Aside, Consumer, Worker};
use crate::error::Result;
use crate::pg::scan::{Ordered, View};
use crate::pg::{lookup, spi};
use pgrx::Json;
use pgrx::datum::TimestampWithTimeZone;

/// Columns of cdc_dead_letter: the entry's begin here.
const CONSUMER_ID: usize = 0;
pub const ENTRY: usize = 5;

/// Moves the first event of a batch to the dead letters: each of its workers ended over it.
pub fn bury_first(consumer: &Consumer, worker: &mut Worker, aside: &[Aside], view: &View) -> Result<()> {
    let mut first = None;
    each_event(view, &Feed::open()?, consumer, worker, aside, |event, put_aside| {
        first = Some((event.position, put_aside));
        Ok(false)
    })?;
    let Some((position, put_aside)) = first else {
        (worker.events, worker.put_aside) = (0, 0);
        return Ok(());
    };
    bury(consumer.id, position, worker.attempt - 1, "its workers ended without acknowledging it")?;
    worker.events -= 1;
    if put_aside {
        worker.put_aside -= 1;
    } else {
        worker.after = position;
    }
    Ok(())
}

/// Moves an event to the dead letters; it is no longer aside.
pub fn bury(consumer_id: i32, position: i64, attempts: i32, reason: &str) -> Result<()> {
    let again = spi::run(
        "UPDATE architect.cdc_dead_letter AS d
            SET dead_at = pg_catalog.clock_timestamp(), attempts = $3, reason = $4, retried_at = NULL
          WHERE d.consumer_id = $1 AND d.position = $2",
        &[consumer_id.into(), position.into(), attempts.into(), reason.into()],
    )?;
    if again == 0 {
        let insert = |event: &Entry| {
            let relation = relations::find(event.relation_id())?;
            let keys = relations::keys(event, relation.as_deref());
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let image = event.image();
            spi::run(
                "INSERT INTO architect.cdc_dead_letter (consumer_id, attempts, reason, position, txid, recorded_at,
                     context_id, relation_id, key_hash, former_key_hash, operation, row_key, image)
                 VALUES ($1, $2, $3, $4, $5::pg_catalog.text::pg_catalog.xid8, $6, $7, $8, $9, $10,
                         $11::pg_catalog.\"char\", $12, $13::pg_catalog.json)",
                &[
                    consumer_id.into(),
                    attempts.into(),
                    reason.into(),
                    position.into(),
                    event.txid().unwrap_or_default().to_string().into(),
                    TimestampWithTimeZone::try_from(event.recorded_at()).ok().into(),
                    event.context_id().into(),
                    event.relation_id().into(),
                    keys.key.unwrap_or_default().into(),
                    keys.former.into(),
                    char::from(event.operation()).to_string().into(),
                    event.key().map(text).into(),
                    (!image.is_empty()).then(|| text(image)).into(),
                ],
            )
        };
        Feed::open()?.at(position, &View::now(), insert).transpose()?;
    }
    super::state::forget_aside(consumer_id, &[position])
}

/// Hands over a dead letter's event; false where there is none.
pub fn read(
    consumer_id: i32,
    position: i64,
    view: &View,
    attempt: i32,
    each: &mut dyn FnMut(&Delivery) -> Result<()>,
) -> Result<bool> {
    let Some(table) = lookup::own_relation("cdc_dead_letter")
        .and_then(|relid| Ordered::open(relid, ENTRY + entry::POSITION))
    else {
        return Ok(false);
    };
    let mut range = table.range(position - 1, position, view);
    while range.advance() {
        let row = range.row();
        if row.value(CONSUMER_ID).as_i32() == Some(consumer_id) {
            let event = Entry::of(row, ENTRY);
            let relation = relations::find(event.relation_id())?;
            each(&Delivery::of(&event, relation.as_deref(), attempt))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives dead letters back to be handed out again: one, or all of a consumer. Returns how many.
pub fn retry(consumer: &Consumer, position: Option<i64>) -> Result<i64> {
    let retried = spi::run(
        "WITH again AS (
             UPDATE architect.cdc_dead_letter AS d SET retried_at = pg_catalog.clock_timestamp()
              WHERE d.consumer_id = $1 AND d.position = COALESCE($2, d.position) AND d.retried_at IS NULL
             RETURNING d.*)
         INSERT INTO architect.cdc_aside (consumer_id, position, table_id, key_hash, former_key_hash, worker_id,
             attempt, not_before, reason, dead_letter)
         SELECT $1, d.position, COALESCE(r.table_id, 0), CASE WHEN d.row_key IS NOT NULL THEN d.key_hash END,
                d.former_key_hash, NULL, 1, 0, d.reason, true
           FROM again AS d
           LEFT JOIN architect.capture_relation AS r ON r.relation_id = d.relation_id
             ON CONFLICT (consumer_id, position)
             DO UPDATE SET worker_id = NULL, attempt = 1, not_before = 0, dead_letter = true",
        &[consumer.id.into(), position.into()],
    )?;
    Ok(retried as i64)
}

/// Lets dead letters go: one, or all of a consumer that are not being retried. Returns how many.
pub fn discard(consumer: &Consumer, position: Option<i64>) -> Result<i64> {
    let gone = spi::run(
        "DELETE FROM architect.cdc_dead_letter AS d
          WHERE d.consumer_id = $1 AND d.position = COALESCE($2, d.position) AND d.retried_at IS NULL",
        &[consumer.id.into(), position.into()],
    )?;
    Ok(gone as i64)
}

/// A dead letter as dead_letters() shows it.
pub type Letter = (
    String,
    i64,
    i32,
    Option<String>,
    Option<TimestampWithTimeZone>,
    bool,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<Json>,
);

/// The dead letters of a consumer, or of all.
pub fn list(consumer: Option<&str>) -> Result<Vec<Letter>> {
    spi::read(
        "SELECT c.name, d.position, d.attempts, d.reason, d.dead_at, d.retried_at IS NOT NULL, d.operation,
                r.schema_name, r.table_name, d.row_key, d.image
           FROM architect.cdc_dead_letter AS d
           JOIN architect.cdc_consumer AS c ON c.consumer_id = d.consumer_id
           LEFT JOIN architect.capture_relation AS r ON r.relation_id = d.relation_id
          WHERE c.name = COALESCE($1, c.name)
          ORDER BY c.name, d.position",
        &[consumer.into()],
        |row| {
            let operation = row.get::<i8>(7)?.unwrap_or_default() as u8;
            Ok((
                row.get(1)?.unwrap_or_default(),
                row.get(2)?.unwrap_or_default(),
                row.get(3)?.unwrap_or_default(),
                row.get(4)?,
                row.get(5)?,
                row.get(6)?.unwrap_or_default(),
                operation_name(operation).to_owned(),
                row.get(8)?,
                row.get(9)?,
                row.get(10)?,
                row.get(11)?,
            ))
        },
    )
}

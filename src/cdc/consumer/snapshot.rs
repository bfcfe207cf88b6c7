//! The rows that were there when a consumer was made: handed out table by table in the order of their keys,
//! as they were at the position its changes begin after. Then each change comes once, and no other.
//!
//! Nothing is copied and no snapshot is held from one batch to the next: `existing.rs` puts rows that were
//! changed since back to what they were, by what the feed says of them.

use super::delivery::{Delivery, Sink};
use super::existing::Table;
use super::filter::Filter;
use super::state::{Consumer, Reading};
use crate::capture::policy::{self, Kind};
use crate::error::{Error, Result};
use crate::pg::scan::View;
use crate::pg::spi;

/// Rows that were there are numbered from here: below every position of the feed, and small enough for readers
/// of JSON that take every number for a double.
pub const FIRST: i64 = -(1 << 52);

/// The next batch of rows, and how far the consumer is after it.
pub struct Batch {
    pub count: usize,
    /// The position before that of the first row.
    pub after: i64,
    pub reading: Reading,
    pub progress: Progress,
}

pub struct Progress {
    /// Subscript, from zero, of the table to go on with; none after the last.
    table: Option<usize>,
    after: Option<String>,
    reads: i64,
}

/// Tables whose rows a consumer begins with; an error where one cannot be read that way.
pub fn tables(filter: &Filter) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for policy in policy::all(Kind::Feed)?.iter().filter(|p| p.enabled && filter.wants_table(p.table_id)) {
        if let Some(table) = Table::find(policy.table_id)? {
            table.check()?;
            found.push(policy.table_id);
        }
    }
    Ok(found)
}

/// Hands out the next rows; none where all have been given out.
pub fn next(consumer: &Consumer, max: usize, view: &View, sink: &mut dyn Sink) -> Result<Option<Batch>> {
    let Some(snapshot) = &consumer.snapshot else { return Ok(None) };
    let Some((at, table_id)) = snapshot.table.and_then(|at| Some((at, *snapshot.tables.get(at)?))) else {
        return Ok(None);
    };
    let mut reading = Reading { table_id, after: snapshot.after.clone(), through: None };
    let first = FIRST + snapshot.reads;
    let mut count = 0;
    let mut end = None;
    // A table that is gone has no rows.
    if let Some(table) = Table::find(table_id)? {
        end = table.read(snapshot.position, &reading, Some(max), view, &mut |row, _| {
            count += 1;
            sink.take(&Delivery { position: first + count, ..*row })?;
            Ok(true)
        })?;
    }
    reading.through = end.clone();
    let next = if end.is_some() { at } else { at + 1 };
    let progress = Progress {
        table: (next < snapshot.tables.len()).then_some(next),
        after: end,
        reads: snapshot.reads + count,
    };
    Ok(Some(Batch { count: count as usize, after: first, reading, progress }))
}

pub fn advance(consumer_id: i32, progress: &Progress) -> Result<()> {
    spi::run(
        "UPDATE architect.cdc_consumer AS c SET snapshot_table = $2, snapshot_after = $3, snapshot_reads = $4
          WHERE c.consumer_id = $1",
        &[
            consumer_id.into(),
            progress.table.map(|table| table as i32 + 1).into(),
            progress.after.clone().into(),
            progress.reads.into(),
        ],
    )?;
    Ok(())
}

/// All rows were given out and acknowledged.
pub fn finish(consumer_id: i32) -> Result<()> {
    spi::run(
        "UPDATE architect.cdc_consumer AS c SET snapshot_position = NULL, snapshot_tables = NULL
          WHERE c.consumer_id = $1",
        &[consumer_id.into()],
    )?;
    Ok(())
}

/// Hands out a batch of rows once more: as they were at `position`, numbered from `after` on, until `each`
/// says stop.
pub fn read_again(
    position: i64,
    reading: &Reading,
    after: i64,
    attempt: i32,
    view: &View,
    each: &mut dyn FnMut(&Delivery, &str) -> Result<bool>,
) -> Result<()> {
    let Some(table) = Table::find(reading.table_id)? else { return Ok(()) };
    let mut number = after;
    table.read(position, reading, None, view, &mut |row, key| {
        number += 1;
        each(&Delivery { position: number, attempt, ..*row }, key)
    })?;
    Ok(())
}

/// The key of the row that was given out at a position of a batch.
pub fn key_at(position: i64, reading: &Reading, after: i64, at: i64, view: &View) -> Result<Option<String>> {
    let mut found = None;
    read_again(position, reading, after, 1, view, &mut |row, key| {
        if row.position == at {
            found = Some(key.to_owned());
        }
        Ok(row.position < at)
    })?;
    found.map(Some).ok_or_else(|| {
        Error::not_in_prerequisite_state("the table was truncated since its rows were handed out")
            .hint("Acknowledge the whole batch.")
    })
}

//! Consumers, their workers and what is put aside, as stored: read below the transaction's snapshot, so
//! that a poll sees what others committed just before, and written by SQL.

use super::filter::Filter;
use super::keys::EventKeys;
use crate::error::{Error, Result};
use crate::pg::table::{Fields, Table};
use crate::pg::{lookup, security, session, spi};
use pgrx::pg_sys;

/// A row of cdc_consumer.
#[derive(Debug, Clone)]
pub struct Consumer {
    pub id: i32,
    pub name: String,
    pub lost: Option<String>,
    pub claimed: i64,
    pub system_identifier: String,
    pub database: u32,
    pub filter: Filter,
    pub visibility: i64,
    pub max_attempts: Option<i32>,
    pub max_lag_events: Option<i64>,
    pub max_lag_bytes: Option<i64>,
    pub max_lag_time: Option<i64>,
    pub snapshot: Option<Snapshot>,
    /// The role it belongs to: by its number, which survives a rename, in the cluster it was made in, else by name.
    owner: pg_sys::Oid,
    created_by: String,
}

/// How far the rows that were there at the start have been given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The rows as they were at this position.
    pub position: i64,
    pub tables: Vec<i32>,
    /// Subscript, from zero, of the table being read; none once all were given out.
    pub table: Option<usize>,
    /// Key of the last row given out, as the feed spells it.
    pub after: Option<String>,
    pub reads: i64,
}

/// A row of cdc_worker.
#[derive(Debug, Clone)]
pub struct Worker {
    pub id: i32,
    pub consumer_id: i32,
    pub name: Option<String>,
    pub pid: i32,
    pub backend_start: i64,
    pub version: i64,
    pub events: i32,
    pub after: i64,
    pub through: i64,
    pub put_aside: i32,
    pub attempt: i32,
    pub leased_at: i64,
    pub leased_until: i64,
    pub snapshot: Option<Reading>,
}

/// A batch of rows that were there at the start: those of a table with `after < key <= through`, numbered
/// from the worker's `after` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub table_id: i32,
    pub after: Option<String>,
    pub through: Option<String>,
}

/// A row of cdc_aside.
#[derive(Debug, Clone)]
pub struct Aside {
    pub position: i64,
    pub keys: EventKeys,
    pub worker_id: Option<i32>,
    pub attempt: i32,
    pub not_before: i64,
    pub dead_letter: bool,
}

fn storage(name: &str) -> Result<Table> {
    lookup::own_relation(name).and_then(Table::open_briefly).ok_or_else(|| {
        Error::not_in_prerequisite_state("the change feed has no consumers")
            .detail(format!("Table architect.{name} does not exist."))
            .hint("Call architect.create_consumer() first.")
    })
}

pub fn exists() -> bool {
    ["cdc_consumer", "cdc_worker", "cdc_aside", "cdc_dead_letter", "cdc_setting"]
        .iter()
        .all(|name| lookup::own_relation(name).is_some())
}

fn texts(row: &Fields, index: usize) -> Option<Vec<String>> {
    row.get::<Vec<Option<String>>>(index).map(|list| list.into_iter().flatten().collect())
}

fn numbers(row: &Fields, index: usize) -> Option<Vec<i32>> {
    row.get::<Vec<Option<i32>>>(index).map(|list| list.into_iter().flatten().collect())
}

fn i64_of(row: &Fields, index: usize) -> i64 {
    row.value(index).as_i64().unwrap_or_default()
}

fn i32_of(row: &Fields, index: usize) -> i32 {
    row.value(index).as_i32().unwrap_or_default()
}

impl Consumer {
    /// Every consumer, by name.
    pub fn all() -> Result<Vec<Self>> {
        let mut found = Vec::new();
        storage("cdc_consumer")?.scan(None, |row| found.push(Self::from(row)));
        found.sort_by(|a: &Self, b| a.name.cmp(&b.name));
        Ok(found)
    }

    pub fn find(name: &str) -> Result<Self> {
        let mut found = None;
        storage("cdc_consumer")?.scan(None, |row| {
            if row.bytes(1) == name.as_bytes() {
                found = Some(Self::from(row));
            }
        });
        found.ok_or_else(|| {
            Error::undefined_object(format!("consumer \"{name}\" does not exist"))
                .hint("Call architect.create_consumer() first; architect.consumer_lag() lists the consumers.")
        })
    }

    fn from(row: &Fields) -> Self {
        let snapshot = row.value(14).as_i64().map(|position| Snapshot {
            position,
            tables: numbers(row, 15).unwrap_or_default(),
            table: row.value(16).as_i32().and_then(|table| usize::try_from(table - 1).ok()),
            after: row.get(17),
            reads: i64_of(row, 18),
        });
        Self {
            id: i32_of(row, 0),
            name: row.get(1).unwrap_or_default(),
            lost: (row.bytes(2) == b"lost").then(|| row.get(22).unwrap_or_default()),
            claimed: i64_of(row, 3),
            system_identifier: row.get(4).unwrap_or_default(),
            database: row.get::<pg_sys::Oid>(5).map_or(0, |oid| oid.to_u32()),
            filter: Filter {
                tables: numbers(row, 6),
                topics: texts(row, 7),
                operations: texts(row, 8).unwrap_or_default(),
            },
            visibility: i64_of(row, 9),
            max_attempts: row.value(10).as_i32(),
            max_lag_events: row.value(11).as_i64(),
            max_lag_bytes: row.value(12).as_i64(),
            max_lag_time: row.value(13).as_i64(),
            snapshot,
            created_by: row.get(20).unwrap_or_default(),
            owner: row.get(23).unwrap_or(pg_sys::InvalidOid),
        }
    }

    /// Whether its position is one of this cluster and database.
    pub fn is_of_here(&self) -> bool {
        self.system_identifier == session::system_identifier()
            && self.database == session::database().to_u32()
    }

    /// The role it belongs to; none where that is gone.
    pub fn owner(&self) -> Option<pg_sys::Oid> {
        if self.is_of_here() {
            return Some(self.owner).filter(|&role| !security::role_name(role).is_empty());
        }
        security::role_named(&self.created_by)
    }

    /// What that role is called, or was.
    pub fn owner_name(&self) -> String {
        self.owner().map_or_else(|| self.created_by.clone(), security::role_name)
    }

    /// Fails where the consumer cannot go on from where it is.
    pub fn check(&self) -> Result<()> {
        if let Some(reason) = &self.lost {
            return Err(Error::not_in_prerequisite_state(format!("consumer \"{}\" is lost", self.name))
                .detail(format!("Events it had not acknowledged are no longer kept: {reason}."))
                .hint("Call architect.reset_consumer() to say where it starts again."));
        }
        if !self.is_of_here() {
            return Err(Error::not_in_prerequisite_state(format!(
                "consumer \"{}\" belongs to another cluster or database",
                self.name
            ))
            .detail("The change feed was restored here; positions of before mean nothing in it.")
            .hint("Call architect.reset_consumer() to say where it starts again."));
        }
        Ok(())
    }
}

impl Worker {
    pub fn of(consumer_id: i32) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        storage("cdc_worker")?.scan(None, |row| {
            if i32_of(row, 1) == consumer_id {
                found.push(Self::from(row));
            }
        });
        Ok(found)
    }

    fn from(row: &Fields) -> Self {
        let snapshot = row.value(13).as_i32().map(|table_id| Reading {
            table_id,
            after: row.get(14),
            through: row.get(15),
        });
        Self {
            id: i32_of(row, 0),
            consumer_id: i32_of(row, 1),
            name: row.get(2),
            pid: i32_of(row, 3),
            backend_start: i64_of(row, 4),
            version: i64_of(row, 5),
            events: i32_of(row, 6),
            after: i64_of(row, 7),
            through: i64_of(row, 8),
            put_aside: i32_of(row, 9),
            attempt: i32_of(row, 10),
            leased_at: i64_of(row, 11),
            leased_until: i64_of(row, 12),
            snapshot,
        }
    }

    /// A worker that does not exist yet: this session, or of a name.
    pub fn new(consumer_id: i32, name: Option<&str>) -> Self {
        Self {
            id: 0,
            consumer_id,
            name: name.map(str::to_owned),
            pid: session::backend_pid(),
            backend_start: session::backend_start(),
            version: 0,
            events: 0,
            after: 0,
            through: 0,
            put_aside: 0,
            attempt: 0,
            leased_at: 0,
            leased_until: 0,
            snapshot: None,
        }
    }

    /// Whether this is the worker that asks: by its name, or this very session.
    pub fn is(&self, name: Option<&str>) -> bool {
        match (&self.name, name) {
            (Some(own), Some(name)) => own == name,
            (None, None) => {
                self.pid == session::backend_pid() && self.backend_start == session::backend_start()
            }
            _ => false,
        }
    }

    /// Whether its session is there. A worker by name may come back from any session.
    pub fn is_alive(&self) -> bool {
        self.name.is_some() || is_session(self.pid, self.backend_start)
    }

    /// Whether a position is in the range of a batch of changes it has. What is aside there is not in the batch.
    pub fn has_in_range(&self, position: i64) -> bool {
        self.events > 0 && self.snapshot.is_none() && self.after < position && position <= self.through
    }

    /// Locks the worker as it was read; false where somebody is about to change it.
    pub fn lock(&self) -> Result<bool> {
        let found = spi::run_one::<i32>(
            "SELECT w.worker_id FROM architect.cdc_worker AS w WHERE w.worker_id = $1 AND w.version = $2
                FOR UPDATE SKIP LOCKED",
            &[self.id.into(), self.version.into()],
        )?;
        Ok(found.is_some())
    }

    /// Stores the worker as it is now; false where somebody else has changed it since it was read.
    pub fn save(&mut self) -> Result<bool> {
        let reading = self.snapshot.as_ref();
        let arguments = [
            self.id.into(),
            self.version.into(),
            self.pid.into(),
            self.backend_start.into(),
            self.events.into(),
            self.after.into(),
            self.through.into(),
            self.put_aside.into(),
            self.attempt.into(),
            self.leased_at.into(),
            self.leased_until.into(),
            reading.map(|r| r.table_id).into(),
            reading.and_then(|r| r.after.clone()).into(),
            reading.and_then(|r| r.through.clone()).into(),
            self.consumer_id.into(),
            self.name.clone().into(),
        ];
        let changed = if self.id == 0 {
            self.id = spi::run_one::<i32>(
                "INSERT INTO architect.cdc_worker (version, pid, backend_start, events, after, through, put_aside,
                     attempt, leased_at, leased_until, snapshot_table, snapshot_after, snapshot_through,
                     consumer_id, name)
                 SELECT $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 WHERE $1 IS NOT NULL
                 RETURNING worker_id",
                &arguments,
            )?
            .unwrap_or_default();
            1
        } else {
            spi::run(
                "UPDATE architect.cdc_worker AS w
                    SET version = $2 + 1, pid = $3, backend_start = $4, events = $5, after = $6, through = $7,
                        put_aside = $8, attempt = $9, leased_at = $10, leased_until = $11, snapshot_table = $12,
                        snapshot_after = $13, snapshot_through = $14
                  WHERE w.worker_id = $1 AND w.version = $2
                    AND w.consumer_id = $15 AND w.name IS NOT DISTINCT FROM $16",
                &arguments,
            )?
        };
        self.version += 1;
        Ok(changed == 1)
    }
}

/// Whether a session of this process number and start is there.
fn is_session(pid: i32, backend_start: i64) -> bool {
    session::is_backend(pid) && {
        let start = spi::read_one::<pgrx::datum::TimestampWithTimeZone>(
            "SELECT a.backend_start FROM pg_catalog.pg_stat_get_activity($1) AS a",
            &[pid.into()],
        );
        // Who may not see it takes it for the session it says.
        start.is_none_or(|start| i64::from(start) == backend_start)
    }
}

/// `not_before` of what does not come again: a dead letter, or what another worker has done, in the middle of a
/// batch that is still out.
pub const NEVER: i64 = i64::MAX;

impl Aside {
    /// `attempt` of a mark whose event another worker had.
    const DONE: i32 = 0;

    /// Whether it marks an event in a batch's range that another worker had: to acknowledge it once more says
    /// nothing about that batch.
    pub fn was_of_another(&self) -> bool {
        self.is_mark() && self.attempt == Self::DONE
    }

    /// Whether it only marks that an event is no longer part of the batch around it.
    pub fn is_mark(&self) -> bool {
        self.not_before == NEVER
    }

    /// What a consumer has aside, in order.
    pub fn of(consumer_id: i32) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        storage("cdc_aside")?.scan(None, |row| {
            if i32_of(row, 0) == consumer_id {
                found.push(Self {
                    position: i64_of(row, 1),
                    keys: EventKeys::of(i32_of(row, 2), row.value(3).as_i32(), row.value(4).as_i32()),
                    worker_id: row.value(5).as_i32(),
                    attempt: i32_of(row, 6),
                    not_before: i64_of(row, 7),
                    dead_letter: row.get(9).unwrap_or_default(),
                });
            }
        });
        found.sort_by_key(|aside| aside.position);
        Ok(found)
    }
}

/// Puts events aside for whoever can take them later.
pub fn put_aside(consumer_id: i32, events: &[(i64, EventKeys)], attempt: i32) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let positions: Vec<i64> = events.iter().map(|(position, _)| *position).collect();
    let tables: Vec<i32> = events.iter().map(|(_, keys)| keys.table).collect();
    let keys: Vec<Option<i32>> = events.iter().map(|(_, keys)| keys.key).collect();
    let former: Vec<Option<i32>> = events.iter().map(|(_, keys)| keys.former).collect();
    spi::run(
        "INSERT INTO architect.cdc_aside (consumer_id, position, table_id, key_hash, former_key_hash, worker_id,
             attempt, not_before, reason, dead_letter)
         SELECT $1, e.position, e.table_id, e.key_hash, e.former_key_hash, NULL, $6, 0, NULL, false
           FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5))
             AS e(position, table_id, key_hash, former_key_hash)",
        &[consumer_id.into(), positions.into(), tables.into(), keys.into(), former.into(), attempt.into()],
    )?;
    Ok(())
}

/// Gives events that are aside to a worker.
pub fn assign(consumer_id: i32, worker_id: i32, positions: &[i64]) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    spi::run(
        "UPDATE architect.cdc_aside AS a SET worker_id = $2
          WHERE a.consumer_id = $1 AND a.position = ANY ($3) AND a.worker_id IS NULL",
        &[consumer_id.into(), worker_id.into(), positions.to_vec().into()],
    )?;
    Ok(())
}

/// Forgets events that are aside: they are done, or the feed does not have them any more. In the range of
/// another worker's batch a mark takes the place of each, or it would count as an event of that batch.
pub fn forget_aside(consumer_id: i32, positions: &[i64]) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let workers = Worker::of(consumer_id)?;
    let around = |position: i64| workers.iter().find(|worker| worker.has_in_range(position));
    let (marked, gone): (Vec<i64>, Vec<i64>) =
        positions.iter().partition(|&&position| around(position).is_some());
    if !marked.is_empty() {
        let owners: Vec<i32> = marked.iter().filter_map(|&p| around(p)).map(|worker| worker.id).collect();
        spi::run(
            "UPDATE architect.cdc_aside AS a
                SET worker_id = m.worker_id, attempt = $4, not_before = $5, dead_letter = false
               FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) AS m(position, worker_id)
              WHERE a.consumer_id = $1 AND a.position = m.position",
            &[consumer_id.into(), marked.into(), owners.into(), Aside::DONE.into(), NEVER.into()],
        )?;
    }
    if !gone.is_empty() {
        spi::run(
            "DELETE FROM architect.cdc_aside AS a WHERE a.consumer_id = $1 AND a.position = ANY ($2)",
            &[consumer_id.into(), gone.into()],
        )?;
    }
    Ok(())
}

/// Notes that everything up to a position has been given out, put aside or is not wanted.
pub fn claim(consumer_id: i32, through: i64) -> Result<()> {
    spi::run(
        "UPDATE architect.cdc_consumer AS c SET claimed = $2 WHERE c.consumer_id = $1 AND c.claimed < $2",
        &[consumer_id.into(), through.into()],
    )?;
    Ok(())
}

/// Up to where a consumer has acknowledged everything: what the feed need not keep for it.
pub fn acknowledged(consumer: &Consumer, workers: &[Worker], aside: &[Aside]) -> i64 {
    let batches = workers.iter().filter(|w| w.events > 0 && w.snapshot.is_none()).map(|w| w.after);
    let waiting = aside.iter().filter(|a| !a.dead_letter && !a.is_mark()).map(|a| a.position - 1);
    let start = consumer.snapshot.as_ref().map(|snapshot| snapshot.position);
    batches.chain(waiting).chain(start).fold(consumer.claimed, i64::min)
}

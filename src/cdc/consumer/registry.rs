//! Making, changing, resetting and dropping consumers.

use super::filter::Filter;
use super::state::Consumer;
use super::{horizon, permission, poll, snapshot, storage};
use crate::capture::policy::Kind;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, session, spi};
use pgrx::pg_sys;

/// What a caller of create_consumer() asks for.
pub struct Wanted {
    pub name: String,
    pub tables: Option<Vec<pg_sys::Oid>>,
    pub topics: Option<Vec<String>>,
    pub operations: Vec<String>,
    pub visibility: i64,
    pub max_attempts: Option<i32>,
    pub max_lag_events: Option<i64>,
    pub max_lag_bytes: Option<i64>,
    pub max_lag_time: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Now,
    Beginning,
    Snapshot,
}

impl Start {
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "now" => Ok(Self::Now),
            "beginning" => Ok(Self::Beginning),
            "snapshot" => Ok(Self::Snapshot),
            _ => Err(Error::invalid_parameter(format!("invalid value for argument \"start\": \"{text}\""))
                .hint("Available values: now, beginning, snapshot.")),
        }
    }
}

/// Name, what was done, and where it starts.
pub type Report = (String, String, String);

pub fn create(wanted: &Wanted, start: Start) -> Result<Report> {
    let filter = Filter {
        tables: wanted.tables.as_ref().map(|tables| table_ids(tables)).transpose()?,
        topics: wanted.topics.clone(),
        operations: wanted.operations.clone(),
    }
    .checked()?;
    storage::ensure()?;
    match security::as_extension_owner(|| Consumer::find(&wanted.name)) {
        Ok(existing) => permission::check_found(&existing)?,
        Err(_) => permission::check_tables(wanted.tables.as_deref())?,
    }
    let owner = security::current_role();
    let by = security::role_name(owner);
    security::as_extension_owner(|| {
        poll::keep_the_feed();
        if let Ok(existing) = Consumer::find(&wanted.name) {
            return change(&existing, wanted, &filter);
        }
        let id = spi::run_one::<i32>(
            "INSERT INTO architect.cdc_consumer (name, state, claimed, system_identifier, database_oid, operations,
                 visibility_timeout, created_by, owner)
             VALUES ($1, 'active', 0, $2, $3, $4, $5, $6, $7) RETURNING consumer_id",
            &[
                wanted.name.as_str().into(),
                session::system_identifier().into(),
                session::database().into(),
                filter.operations.clone().into(),
                wanted.visibility.into(),
                by.into(),
                owner.into(),
            ],
        )?
        .unwrap_or_default();
        configure(id, wanted, &filter)?;
        let detail = start_at(id, &filter, start)?;
        Ok((wanted.name.clone(), "created".into(), detail))
    })
}

/// Numbers of captured tables; those of others are an error.
fn table_ids(tables: &[pg_sys::Oid]) -> Result<Vec<i32>> {
    tables
        .iter()
        .map(|&relid| {
            let name = lookup::qualified_name(relid).unwrap_or_else(|| relid.to_u32().to_string());
            let captured = if Kind::Feed.storage_exists() {
                crate::pg::security::as_extension_owner(|| {
                    spi::read_one_now::<i32>(
                        "SELECT t.table_id FROM architect.cdc_table AS t
                           JOIN pg_catalog.pg_class AS c ON c.oid = $1
                           JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                          WHERE t.enabled AND t.schema_name = n.nspname AND t.table_name = c.relname",
                        &[relid.into()],
                    )
                })
            } else {
                None
            };
            captured.ok_or_else(|| {
                Error::not_in_prerequisite_state(format!("changes of table {name} are not captured"))
                    .detail(format!("Table {name} has no policy of the change feed."))
                    .hint(format!("Call architect.enable_cdc({}) first.", pgrx::spi::quote_literal(&name)))
            })
        })
        .collect()
}

fn configure(id: i32, wanted: &Wanted, filter: &Filter) -> Result<usize> {
    spi::run(
        "UPDATE architect.cdc_consumer AS c
            SET table_ids = $2, topics = $3, operations = $4, visibility_timeout = $5, max_attempts = $6,
                max_lag_events = $7, max_lag_bytes = $8, max_lag_time = $9
          WHERE c.consumer_id = $1
            AND (c.table_ids, c.topics, c.operations, c.visibility_timeout, c.max_attempts, c.max_lag_events,
                 c.max_lag_bytes, c.max_lag_time) IS DISTINCT FROM ($2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            id.into(),
            filter.tables.clone().into(),
            filter.topics.clone().into(),
            filter.operations.clone().into(),
            wanted.visibility.into(),
            wanted.max_attempts.into(),
            wanted.max_lag_events.into(),
            wanted.max_lag_bytes.into(),
            wanted.max_lag_time.into(),
        ],
    )
}

/// A consumer that is there keeps its position; what it wants must not change under a batch.
fn change(existing: &Consumer, wanted: &Wanted, filter: &Filter) -> Result<Report> {
    poll::take_turn(existing.id)?;
    if *filter != existing.filter {
        return Err(Error::new(
            pgrx::PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("consumer \"{}\" already exists", wanted.name),
        )
        .detail("It wants other tables, topics or operations.")
        .hint("Drop it first, or make another: what a consumer wants does not change while it reads."));
    }
    let changed = configure(existing.id, wanted, filter)?;
    let action = if changed > 0 { "changed" } else { "exists" };
    Ok((existing.name.clone(), action.into(), format!("at position {}", existing.claimed)))
}

/// Puts a consumer at its start. Returns where that is.
fn start_at(id: i32, filter: &Filter, start: Start) -> Result<String> {
    let horizon = horizon::now()?.position;
    let position = if start == Start::Beginning { 0 } else { horizon };
    let tables = match start {
        Start::Snapshot => Some(snapshot::tables(filter)?),
        _ => None,
    };
    spi::run(
        "UPDATE architect.cdc_consumer AS c
            SET claimed = $2, state = 'active', lost_at = NULL, lost_reason = NULL, system_identifier = $5,
                database_oid = $6, snapshot_position = CASE WHEN $3 IS NOT NULL THEN $4 END, snapshot_tables = $3,
                snapshot_table = CASE WHEN pg_catalog.cardinality($3) > 0 THEN 1 END, snapshot_after = NULL,
                snapshot_reads = 0
          WHERE c.consumer_id = $1",
        &[
            id.into(),
            position.into(),
            tables.clone().into(),
            horizon.into(),
            session::system_identifier().into(),
            session::database().into(),
        ],
    )?;
    Ok(match (start, tables) {
        (Start::Beginning, _) => "from the beginning of the feed".into(),
        (_, Some(tables)) => {
            format!("after the rows of {} tables as of position {position}", tables.len())
        }
        _ => format!("after position {position}"),
    })
}

pub fn reset(name: &str, start: Start) -> Result<Report> {
    permission::check(name)?;
    security::as_extension_owner(|| {
        poll::keep_the_feed();
        let consumer = poll::take_turn(Consumer::find(name)?.id).and_then(|()| Consumer::find(name))?;
        forget_batches(consumer.id)?;
        // In another cluster roles have other numbers.
        let owner = consumer.owner().unwrap_or(pg_sys::InvalidOid);
        spi::run(
            "UPDATE architect.cdc_consumer AS c SET owner = $2 WHERE c.consumer_id = $1",
            &[consumer.id.into(), owner.into()],
        )?;
        let detail = start_at(consumer.id, &consumer.filter, start)?;
        Ok((consumer.name, "reset".into(), detail))
    })
}

pub fn drop(name: &str) -> Result<Report> {
    permission::check(name)?;
    security::as_extension_owner(|| {
        let consumer = Consumer::find(name)?;
        poll::take_turn(consumer.id)?;
        forget_batches(consumer.id)?;
        for table in ["cdc_dead_letter", "cdc_consumer"] {
            spi::run(
                &format!("DELETE FROM architect.{table} AS t WHERE t.consumer_id = $1"),
                &[consumer.id.into()],
            )?;
        }
        Ok((consumer.name, "dropped".into(), format!("was at position {}", consumer.claimed)))
    })
}

fn forget_batches(consumer_id: i32) -> Result<()> {
    for table in ["cdc_worker", "cdc_aside"] {
        spi::run(
            &format!("DELETE FROM architect.{table} AS t WHERE t.consumer_id = $1"),
            &[consumer_id.into()],
        )?;
    }
    // What was to be retried is a dead letter again.
    spi::run(
        "UPDATE architect.cdc_dead_letter AS d SET retried_at = NULL
          WHERE d.consumer_id = $1 AND d.retried_at IS NOT NULL",
        &[consumer_id.into()],
    )?;
    Ok(())
}

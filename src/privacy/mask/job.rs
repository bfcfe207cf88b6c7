//! Masking in batches that commit. How far it is, is kept in the same transaction as what was masked, so that
//! it goes on where it was after whatever ended it.

use super::keys::ForeignKey;
use super::logs;
use super::plan::{self, Plan};
use super::rewrite;
use super::rules::Checked;
use super::run::Masking;
use super::table::Stored;
use crate::error::{Error, Result};
use crate::pg::procedure::Procedure;
use crate::pg::{lookup, security, spi};
use crate::privacy::storage;
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Duration;

/// Key of the advisory lock that keeps two maskings apart: 'archmask' in ASCII.
const LOCK: i64 = 0x6172_6368_6d61_736b;

/// How to go about it.
pub struct Manner {
    pub batch_pages: i64,
    pub pause: Duration,
    /// Mask tables although a log keeps their values.
    pub keep_logs: bool,
    /// Write tables anew where that can be done.
    pub rewrite: bool,
}

/// Where one stored table is.
struct Progress {
    next: i64,
    blocks: i64,
    xids: Vec<String>,
    /// Every row is masked; what was put aside is being put in its place.
    settling: bool,
    finished: bool,
}

/// Masks the tables (null: all that are declared), or goes on with what was begun.
pub fn run(procedure: &Procedure, only: Option<Vec<pg_sys::Oid>>, manner: &Manner) -> Result<u64> {
    let (run, plan) = procedure.transaction(|| security::with_safe_search_path(|| begin(only, manner)))?;
    if manner.rewrite {
        for (relid, checked) in &plan.masked {
            procedure.transaction(|| anew(run, *relid, checked))?;
        }
    }
    for (stored, checked) in procedure.transaction(|| plan.stored())? {
        let Some(masking) = Masking::new(&stored, checked) else { continue };
        table(procedure, run, &stored, &masking, manner)?;
    }
    procedure.transaction(|| security::with_safe_search_path(|| end(run)))
}

/// Finds the run that was begun, or begins one: foreign keys whose columns change are dropped and kept in
/// the run's row.
fn begin(only: Option<Vec<pg_sys::Oid>>, manner: &Manner) -> Result<(i64, Plan)> {
    storage::require()?;
    lock()?;
    let unfinished = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT r.run_id, r.tables, r.domains,
                    EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(r.worker_pid) AS a
                             WHERE a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
                               AND a.backend_start OPERATOR(pg_catalog.=) r.worker_start AND a.state OPERATOR(pg_catalog.=) 'active')
               FROM architect.privacy_mask_run AS r
              WHERE r.status OPERATOR(pg_catalog.=) 'running' ORDER BY r.run_id LIMIT 1",
            &[],
            |row| {
                let domains = row.get::<JsonB>(3)?.map_or(serde_json::Value::Null, |domains| domains.0);
                let alive = row.get::<bool>(4)?.unwrap_or_default();
                Ok((row.get::<i64>(1)?.unwrap_or_default(), row.get::<Vec<Option<String>>>(2)?, domains, alive))
            },
        )
    })?;
    let names = only
        .as_ref()
        .map(|only| only.iter().filter_map(|relid| lookup::qualified_name(*relid)).collect::<Vec<_>>());
    let mut plan = plan::make(plan::declared(only.as_deref())?, !unfinished.is_empty())?;
    if let Some(line) = plan.lines.iter().find(|line| line.refused) {
        return Err(Error::not_in_prerequisite_state(format!(
            "column {} of {} cannot be masked",
            line.column, line.table
        ))
        .detail(format!("Action {}: {}.", line.action, line.detail))
        .hint(
            "CALL architect.mask_database(dry_run => true) shows every rule; declare_column() changes one.",
        ));
    }
    if let Some((run, tables, domains, alive)) = unfinished.into_iter().next() {
        if alive {
            return Err(busy());
        }
        let tables = tables.map(|tables| tables.into_iter().flatten().collect::<Vec<_>>());
        if tables != names {
            return Err(Error::not_in_prerequisite_state("another masking was begun and has not ended")
                .detail(format!(
                    "Run {run} masks {}.",
                    tables.map_or("every declared table".into(), |t| t.join(", "))
                ))
                .hint("Call mask_database() with the same tables to end it."));
        }
        let domains = serde_json::from_value(domains).map_err(|e| Error::internal(e.to_string()))?;
        if !plan.with_domains(domains) {
            return Err(Error::not_in_prerequisite_state(
                "the declared rules have changed since the masking was begun",
            )
            .hint("Declare them as they were, end the masking, then change them."));
        }
        security::as_extension_owner(|| {
            spi::run(
                "UPDATE architect.privacy_mask_run SET worker_pid = pg_catalog.pg_backend_pid(), worker_start =
                    (SELECT a.backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a)
                  WHERE run_id OPERATOR(pg_catalog.=) $1",
                &[run.into()],
            )
        })?;
        return Ok((run, plan));
    }
    if plan.masked.is_empty() {
        return Err(Error::not_in_prerequisite_state("no column of these tables is declared")
            .hint("Call declare_column() or accept_discovery() first."));
    }
    logs::check(&plan, manner.keep_logs)?;
    plan.foreign_keys.iter().try_for_each(ForeignKey::drop)?;
    let keys = serde_json::to_value(&plan.foreign_keys).map_err(|e| Error::internal(e.to_string()))?;
    let by = security::role_name(security::outer_role());
    let run = security::as_extension_owner(|| {
        spi::run_one::<i64>(
            "INSERT INTO architect.privacy_mask_run (tables, foreign_keys, domains, started_by, worker_pid, worker_start)
             SELECT $1, $2, $3, $4, a.pid, a.backend_start
               FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a
             RETURNING run_id",
            &[names.into(), JsonB(keys).into(), JsonB(plan.domains().into()).into(), by.into()],
        )
    })?;
    Ok((run.unwrap_or_default(), plan))
}

fn lock() -> Result<()> {
    match spi::run_one::<bool>("SELECT pg_catalog.pg_try_advisory_xact_lock($1)", &[LOCK.into()])? {
        Some(true) => Ok(()),
        _ => Err(busy()),
    }
}

fn busy() -> Error {
    Error::new(PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, "another masking is under way")
        .hint("Wait for it: architect.mask_progress() shows how far it is.")
}

/// Writes a table anew, unless it was begun by updates; where it cannot be it is left to them.
fn anew(run: i64, relid: pg_sys::Oid, checked: &[Checked]) -> Result<()> {
    lock()?;
    let stored = super::table::stored(relid)?;
    let mut begun = Vec::new();
    for one in &stored {
        let Some(masking) = Masking::new(one, checked) else { return Ok(()) };
        begun.push(progress(run, one, &masking)?);
    }
    if begun.iter().any(|progress| progress.finished || progress.next > 0 || !progress.xids.is_empty()) {
        return Ok(());
    }
    let Some(mut rows) = rewrite::table(relid, checked)? else { return Ok(()) };
    for (one, mut progress) in stored.iter().zip(begun) {
        (progress.next, progress.finished) = (progress.blocks, true);
        keep(run, one, &progress, std::mem::take(&mut rows) as usize)?;
    }
    Ok(())
}

fn table(procedure: &Procedure, run: i64, stored: &Stored, masking: &Masking, manner: &Manner) -> Result<()> {
    if procedure.transaction(|| progress(run, stored, masking))?.finished {
        return Ok(());
    }
    loop {
        let finished = procedure.transaction(|| {
            lock()?;
            let mut progress = progress(run, stored, masking)?;
            if progress.settling {
                return Ok(true);
            }
            if progress.next >= progress.blocks {
                // What was written behind the end meanwhile; rows of our own are told by their ids.
                let now = masking.blocks()?;
                if now <= progress.blocks {
                    // From here on rows bear other ids, and must not be taken for unmasked ones.
                    progress.settling = true;
                    keep(run, stored, &progress, 0)?;
                    return Ok(true);
                }
                progress.blocks = now;
            }
            let to = (progress.next + manner.batch_pages).min(progress.blocks);
            let (rows, xid) = masking.mask(progress.next, to, &progress.xids)?;
            if rows > 0 {
                progress.xids.push(xid);
            }
            progress.next = to;
            keep(run, stored, &progress, rows)?;
            Ok(false)
        })?;
        if finished {
            break;
        }
        pgrx::check_for_interrupts!();
        if !manner.pause.is_zero() {
            procedure.sleep(manner.pause);
        }
    }
    settle(procedure, run, stored, masking, manner)
}

/// Puts in their places what was put aside, and ends the table.
fn settle(
    procedure: &Procedure,
    run: i64,
    stored: &Stored,
    masking: &Masking,
    manner: &Manner,
) -> Result<()> {
    if masking.must_settle() {
        let blocks = procedure.transaction(|| masking.blocks())?;
        let mut next = 0;
        // What is settled may come to lie behind the end; it is in its place there.
        while next < blocks {
            let to = (next + manner.batch_pages).min(blocks);
            procedure.transaction(|| {
                lock()?;
                masking.settle(next, to)
            })?;
            next = to;
            pgrx::check_for_interrupts!();
        }
    }
    procedure.transaction(|| {
        let mut progress = progress(run, stored, masking)?;
        progress.finished = true;
        keep(run, stored, &progress, 0)
    })
}

fn progress(run: i64, stored: &Stored, masking: &Masking) -> Result<Progress> {
    let blocks = masking.blocks()?;
    let names = || [run.into(), stored.schema.as_str().into(), stored.name.as_str().into()];
    let found = security::as_extension_owner(|| {
        spi::run(
            "INSERT INTO architect.privacy_mask_table (run_id, schema_name, table_name, blocks)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            &[run.into(), stored.schema.as_str().into(), stored.name.as_str().into(), blocks.into()],
        )?;
        spi::read_now(
            "SELECT m.next_block, m.blocks, m.xids, m.settling, m.finished_at IS NOT NULL FROM architect.privacy_mask_table AS m
              WHERE m.run_id OPERATOR(pg_catalog.=) $1 AND m.schema_name OPERATOR(pg_catalog.=) $2
                AND m.table_name OPERATOR(pg_catalog.=) $3",
            &names(),
            |row| {
                Ok(Progress {
                    next: row.get(1)?.unwrap_or_default(),
                    blocks: row.get(2)?.unwrap_or_default(),
                    xids: row.get::<Vec<Option<String>>>(3)?.unwrap_or_default().into_iter().flatten().collect(),
                    settling: row.get(4)?.unwrap_or_default(),
                    finished: row.get(5)?.unwrap_or_default(),
                })
            },
        )
    })?;
    found.into_iter().next().ok_or_else(|| Error::internal("the masking has no row for its table"))
}

fn keep(run: i64, stored: &Stored, progress: &Progress, rows: usize) -> Result<()> {
    security::as_extension_owner(|| {
        spi::run(
            "UPDATE architect.privacy_mask_table
                SET next_block = $4, blocks = $5, xids = $6, rows_masked = rows_masked OPERATOR(pg_catalog.+) $7,
                    settling = $8, finished_at = CASE WHEN $9 THEN pg_catalog.clock_timestamp() END
              WHERE run_id OPERATOR(pg_catalog.=) $1 AND schema_name OPERATOR(pg_catalog.=) $2
                AND table_name OPERATOR(pg_catalog.=) $3",
            &[
                run.into(),
                stored.schema.as_str().into(),
                stored.name.as_str().into(),
                progress.next.into(),
                progress.blocks.into(),
                progress.xids.clone().into(),
                (rows as i64).into(),
                progress.settling.into(),
                progress.finished.into(),
            ],
        )
        .map(|_| ())
    })
}

/// Makes the foreign keys again and ends the run; returns the number of rows it masked.
fn end(run: i64) -> Result<u64> {
    lock()?;
    let keys = security::as_extension_owner(|| {
        spi::read_one_now::<JsonB>(
            "SELECT r.foreign_keys FROM architect.privacy_mask_run AS r WHERE r.run_id OPERATOR(pg_catalog.=) $1",
            &[run.into()],
        )
    });
    let keys: Vec<ForeignKey> = keys
        .map_or(Ok(Vec::new()), |keys| serde_json::from_value(keys.0))
        .map_err(|e| Error::internal(e.to_string()))?;
    keys.iter().try_for_each(ForeignKey::restore)?;
    security::as_extension_owner(|| {
        spi::run(
            "UPDATE architect.privacy_mask_run SET status = 'done', finished_at = pg_catalog.clock_timestamp()
              WHERE run_id OPERATOR(pg_catalog.=) $1",
            &[run.into()],
        )?;
        let rows = spi::run_one::<i64>(
            "SELECT COALESCE(pg_catalog.sum(m.rows_masked), 0)::pg_catalog.int8
               FROM architect.privacy_mask_table AS m WHERE m.run_id OPERATOR(pg_catalog.=) $1",
            &[run.into()],
        )?;
        Ok(u64::try_from(rows.unwrap_or_default()).unwrap_or_default())
    })
}

//! Running the steps.

use super::{CAPABILITIES, Step};
use crate::error::{Error, Result};
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi};
use pgrx::prelude::*;
use std::time::Duration;

/// Key of the advisory lock that keeps two runs apart: 'archmain' in ASCII.
const LOCK: i64 = 0x6172_6368_6d61_696e;
/// How long a step waits for a lock while others queue up behind it.
const LOCK_TIMEOUT: &str = "2s";
/// Waits between attempts to get a lock.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];
/// Runs whose results are kept.
const KEPT: i64 = 400;

/// What a step did, skipped or failed at.
struct Note {
    object: String,
    action: &'static str,
    detail: String,
}

/// One run of the upkeep, as its steps see it.
pub struct Run {
    procedure: Procedure,
    id: i64,
    notes: Vec<Note>,
}

impl Run {
    /// Runs every step; fails only if it is cancelled or another run takes over.
    pub fn all(procedure: Procedure) -> Result<()> {
        let mut run = Self { procedure, id: 0, notes: Vec::new() };
        run.id = run.transaction(|| {
            let by = security::role_name(security::session_role());
            let id = spi::run_one::<i64>(
                "INSERT INTO architect.maintenance_run (run_by) VALUES ($1) RETURNING run_id",
                &[by.into()],
            )?;
            spi::run(
                "DELETE FROM architect.maintenance_run WHERE run_id OPERATOR(pg_catalog.<=) $1",
                &[(id.unwrap_or_default() - KEPT).into()],
            )?;
            Ok(id.unwrap_or_default())
        })?;
        let mut failed = 0;
        for step in CAPABILITIES.iter().copied().flatten() {
            failed += i32::from(!run.step(step)?);
        }
        let id = run.id;
        run.transaction(|| {
            spi::run(
                "UPDATE architect.maintenance_run SET finished_at = pg_catalog.clock_timestamp(), failed_steps = $2
                  WHERE run_id OPERATOR(pg_catalog.=) $1",
                &[id.into(), failed.into()],
            )
        })?;
        Ok(())
    }

    /// Runs one step and keeps what it noted; says whether it succeeded.
    fn step(&mut self, step: &Step) -> Result<bool> {
        let outcome = (step.run)(self);
        let failure = match outcome {
            Err(error) if error.is_cancel() || is_busy(&error) => return Err(error),
            Err(error) => {
                let detail = error.one_line();
                ereport!(
                    PgLogLevel::WARNING,
                    PgSqlErrorCode::ERRCODE_WARNING,
                    format!("maintenance step {} failed: {detail}", step.name)
                );
                // Unless the step has said itself what failed.
                if self.notes.last().is_none_or(|note| note.action != "failed") {
                    self.note("", "failed", format!("{} ({})", detail, error.sqlstate()));
                }
                true
            }
            Ok(()) => false,
        };
        let notes = std::mem::take(&mut self.notes);
        let id = self.id;
        self.transaction(|| {
            for note in &notes {
                spi::run(
                    "INSERT INTO architect.maintenance_result (run_id, step, object_name, action, detail)
                     VALUES ($1, $2, $3, $4, $5)",
                    &[
                        id.into(),
                        step.name.into(),
                        note.object.as_str().into(),
                        note.action.into(),
                        note.detail.as_str().into(),
                    ],
                )?;
            }
            Ok(())
        })?;
        Ok(!failure)
    }

    /// The procedure itself, for work that has its own way of dividing itself into transactions.
    pub fn procedure(&self) -> &Procedure {
        &self.procedure
    }

    /// Notes what was done with an object; kept when the step ends, whether it succeeds or not.
    pub fn note(&mut self, object: impl Into<String>, action: &'static str, detail: impl Into<String>) {
        self.notes.push(Note { object: object.into(), action, detail: detail.into() });
    }

    /// Runs `work` in a transaction of its own, as the extension's owner, waiting two seconds at most
    /// for each lock.
    pub fn transaction<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.procedure.transaction(|| {
            security::as_extension_owner(|| {
                spi::run("SELECT pg_catalog.set_config('lock_timeout', $1, true)", &[LOCK_TIMEOUT.into()])?;
                let free =
                    spi::run_one::<bool>("SELECT pg_catalog.pg_try_advisory_xact_lock($1)", &[LOCK.into()])?;
                if free != Some(true) {
                    return Err(busy());
                }
                work()
            })
        })
    }

    /// The same, tried again after a pause where a lock was not to be had.
    pub fn retrying<R>(&self, mut work: impl FnMut() -> Result<R>) -> Result<R> {
        for pause in PAUSES {
            match self.transaction(&mut work) {
                Err(error) if is_lock_timeout(&error) => self.procedure.sleep(pause),
                done => return done,
            }
        }
        self.transaction(work)
    }
}

fn is_lock_timeout(error: &Error) -> bool {
    error.code() == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE
}

fn busy() -> Error {
    Error::new(PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, "another run of run_maintenance() is in progress")
        .hint("Wait for it: its results will be in architect.maintenance_log().")
}

fn is_busy(error: &Error) -> bool {
    error.code() == PgSqlErrorCode::ERRCODE_OBJECT_IN_USE && error.message() == busy().message()
}

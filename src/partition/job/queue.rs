//! The table of jobs. Written and read as the extension's owner, whoever asks.

use super::work::Work;
use crate::error::{Error, Result};
use crate::pg::{security, session, spi};
use pgrx::pg_sys;

/// A job as the worker takes it.
pub struct Job {
    pub work: Work,
    pub run_as: pg_sys::Oid,
}

/// What has become of a job.
pub enum State {
    Queued,
    /// By a process that is there; or was there, and ended without a word.
    Running {
        pid: i32,
        alive: bool,
    },
    Done,
    Failed(Error),
}

/// Days a finished job is kept to look at.
const KEPT_DAYS: i32 = 30;

pub fn enqueue(work: &Work, run_as: pg_sys::Oid, requested_by: &str) -> Result<i64> {
    let (kind, relation, other, columns, name) = match work {
        Work::Detach { parent, child } => ("detach", *parent, Some(*child), None, None),
        Work::FinalizeDetach { parent, child } => ("finalize_detach", *parent, Some(*child), None, None),
        Work::CreateIndex { table, like, key_columns, name } => {
            ("create_index", *table, Some(*like), Some(key_columns.clone()), Some(name.as_str()))
        }
        Work::DropIndex { table, index } => ("drop_index", *table, Some(*index), None, None),
    };
    security::as_extension_owner(|| {
        spi::run(
            "DELETE FROM architect.partition_job AS j
              WHERE j.finished_at OPERATOR(pg_catalog.<)
                    (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(days => $1))",
            &[KEPT_DAYS.into()],
        )?;
        spi::run_one::<i64>(
            "INSERT INTO architect.partition_job (kind, relation, other, key_columns, new_name, run_as, requested_by)
             VALUES ($1, $2, $3, $4, $5::pg_catalog.name, $6, $7) RETURNING job_id",
            &[
                kind.into(),
                relation.into(),
                other.into(),
                columns.into(),
                name.into(),
                run_as.into(),
                requested_by.into(),
            ],
        )?
        .ok_or_else(|| Error::internal("a job was not queued"))
    })
}

/// Takes a job, once: of two workers started for it the second gets none.
pub fn take(id: i64) -> Result<Option<Job>> {
    let rows = spi::run_rows(
        "UPDATE architect.partition_job AS j
            SET state = 'running', started_at = pg_catalog.clock_timestamp(), worker_pid = $2
          WHERE j.job_id OPERATOR(pg_catalog.=) $1 AND j.state OPERATOR(pg_catalog.=) 'queued'
         RETURNING j.kind, j.relation, j.other, j.key_columns, j.new_name::pg_catalog.text, j.run_as",
        &[id.into(), session::backend_pid().into()],
        |row| {
            let oid = |i| row.get::<pg_sys::Oid>(i).map(|oid| oid.unwrap_or(pg_sys::InvalidOid));
            let (relation, other) = (oid(2)?, oid(3)?);
            let work = match row.get::<String>(1)?.unwrap_or_default().as_str() {
                "detach" => Work::Detach { parent: relation, child: other },
                "finalize_detach" => Work::FinalizeDetach { parent: relation, child: other },
                "create_index" => Work::CreateIndex {
                    table: relation,
                    like: other,
                    key_columns: row.get::<Vec<i16>>(4)?.unwrap_or_default(),
                    name: row.get::<String>(5)?.unwrap_or_default(),
                },
                _ => Work::DropIndex { table: relation, index: other },
            };
            Ok(Job { work, run_as: oid(6)? })
        },
    )?;
    Ok(rows.into_iter().next())
}

/// The command as rendered, to look at while it runs.
pub fn note_command(id: i64, command: &str) -> Result<()> {
    spi::run(
        "UPDATE architect.partition_job AS j SET command = $2 WHERE j.job_id OPERATOR(pg_catalog.=) $1",
        &[id.into(), command.into()],
    )?;
    Ok(())
}

pub fn finish(id: i64, error: Option<&Error>) -> Result<()> {
    spi::run(
        "UPDATE architect.partition_job AS j
            SET state = $2, finished_at = pg_catalog.clock_timestamp(), sqlstate = $3, message = $4, detail = $5, hint = $6
          WHERE j.job_id OPERATOR(pg_catalog.=) $1",
        &[
            id.into(),
            if error.is_some() { "failed" } else { "done" }.into(),
            error.map(Error::sqlstate).into(),
            error.map(Error::message).into(),
            error.and_then(Error::detail_text).into(),
            error.and_then(Error::hint_text).into(),
        ],
    )?;
    Ok(())
}

/// Takes a job out of the queue that no worker has taken; false where one has, just now.
pub fn withdraw(id: i64, why: &Error) -> Result<bool> {
    security::as_extension_owner(|| {
        let withdrawn = spi::run_one::<i64>(
            "UPDATE architect.partition_job AS j SET state = 'failed', finished_at = pg_catalog.clock_timestamp(),
                    sqlstate = $2, message = $3
              WHERE j.job_id OPERATOR(pg_catalog.=) $1 AND j.state OPERATOR(pg_catalog.=) 'queued'
             RETURNING j.job_id",
            &[id.into(), why.sqlstate().into(), why.message().into()],
        )?;
        Ok(withdrawn.is_some())
    })
}

/// Takes a job out of the queue for somebody else to run; false where a worker has taken it, just now.
pub fn hand_on(id: i64, command: &str) -> Result<bool> {
    security::as_extension_owner(|| {
        let taken = spi::run_one::<i64>(
            "UPDATE architect.partition_job AS j
                SET state = 'running', started_at = pg_catalog.clock_timestamp(), command = $2
              WHERE j.job_id OPERATOR(pg_catalog.=) $1 AND j.state OPERATOR(pg_catalog.=) 'queued'
             RETURNING j.job_id",
            &[id.into(), command.into()],
        )?;
        Ok(taken.is_some())
    })
}

pub fn state(id: i64) -> Result<State> {
    let rows = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT j.state, j.worker_pid, j.sqlstate, j.message, j.detail, j.hint,
                    EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a
                             WHERE a.pid OPERATOR(pg_catalog.=) j.worker_pid
                               AND a.backend_start OPERATOR(pg_catalog.<=) j.started_at)
               FROM architect.partition_job AS j WHERE j.job_id OPERATOR(pg_catalog.=) $1",
            &[id.into()],
            |row| {
                Ok(match row.get::<String>(1)?.unwrap_or_default().as_str() {
                    "queued" => State::Queued,
                    "running" => State::Running {
                        pid: row.get(2)?.unwrap_or_default(),
                        alive: row.get(7)?.unwrap_or_default(),
                    },
                    "done" => State::Done,
                    _ => {
                        let code = Error::code_of(&row.get::<String>(3)?.unwrap_or_default());
                        let mut error = Error::new(code, row.get::<String>(4)?.unwrap_or_default());
                        if let Some(detail) = row.get::<String>(5)? {
                            error = error.detail(detail);
                        }
                        if let Some(hint) = row.get::<String>(6)? {
                            error = error.hint(hint);
                        }
                        State::Failed(error)
                    }
                })
            },
        )
    })?;
    rows.into_iter().next().ok_or_else(|| Error::internal("a job is no longer in the queue"))
}

/// Ends the record of a job whose worker is gone.
pub fn abandon(id: i64, why: &Error) -> Result<()> {
    security::as_extension_owner(|| {
        spi::run(
            "UPDATE architect.partition_job AS j SET state = 'failed', finished_at = pg_catalog.clock_timestamp(),
                    sqlstate = $2, message = $3
              WHERE j.job_id OPERATOR(pg_catalog.=) $1 AND j.state OPERATOR(pg_catalog.=) 'running'",
            &[id.into(), why.sqlstate().into(), why.message().into()],
        )?;
        Ok(())
    })
}

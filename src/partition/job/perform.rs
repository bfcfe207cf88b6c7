//! For procedures: queue a job, have a worker started, wait between transactions.

use super::cron;
use super::queue::{self, State};
use super::work::Work;
use crate::error::{Error, Result};
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi, worker};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// How a job went.
#[derive(Debug)]
pub enum Outcome {
    Done,
    Failed(Error),
    /// It was not done by the deadline, and stopped.
    Late(Error),
    /// No worker could be had before the deadline: the command, for somebody to run by hand.
    HandedOver(String),
}

/// Waits between looks at a job: short at first, most are done in no time.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_millis(250);
/// A worker that has not taken its job by then did not come up; another is started.
const START_UP: Duration = Duration::from_secs(5);
/// After so long without room for a worker pg_cron is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a worker is given to stop once told to.
const STOP: Duration = Duration::from_secs(10);

/// Has `work` done by a worker and waits for it, until the deadline. The caller has checked that the current
/// role may do it: it owns the table, and the worker acts as the owner. Past the deadline, and when the
/// caller is cancelled, the worker is told to stop. Errors are those of the waiting itself.
pub fn perform(procedure: &Procedure, work: &Work, deadline: Instant) -> Result<Outcome> {
    let (id, owner) = procedure.transaction(|| {
        let requested_by = security::role_name(security::current_role());
        let owner = owner_of(work.table())?;
        Ok((queue::enqueue(work, owner, &requested_by)?, owner))
    })?;
    let mut refused: Option<Instant> = None;
    let mut asked_cron = false;
    let mut started: Option<Instant> = None;
    let mut look = FIRST_LOOK;
    let mut told_to_stop: Option<Instant> = None;
    let mut missed = false;
    loop {
        let now = Instant::now();
        match procedure.transaction(|| queue::state(id))? {
            State::Done => return Ok(Outcome::Done),
            State::Failed(_) if told_to_stop.is_some() => return Ok(Outcome::Late(too_late(work))),
            State::Failed(error) => return Ok(Outcome::Failed(error)),
            // It may have written how it went after this look's snapshot was taken: another one tells.
            State::Running { alive: false, .. } if !missed => {
                missed = true;
                continue;
            }
            State::Running { alive: false, .. } => {
                let error = died();
                procedure.transaction(|| queue::abandon(id, &error))?;
                return Ok(Outcome::Failed(error));
            }
            State::Running { pid, .. } => {
                let _stop = StopOnCancel(pid);
                if now >= deadline && told_to_stop.is_none_or(|at| now > at + STOP) {
                    worker::cancel(pid);
                    told_to_stop = Some(now);
                }
                procedure.sleep(look);
            }
            State::Queued => {
                if now >= deadline {
                    let error = no_worker();
                    if procedure.transaction(|| queue::withdraw(id, &error))? {
                        return Ok(Outcome::HandedOver(procedure.transaction(|| work.command())?));
                    }
                    continue;
                }
                if started.is_none_or(|at| now > at + START_UP) {
                    let title = format!("db_architect partition job {id}");
                    started = worker::start_for(owner, "architect_partition_worker", &title, &id.to_string())
                        .then_some(now);
                    refused = if started.is_some() { None } else { refused.or(Some(now)) };
                }
                if !asked_cron && refused.is_some_and(|since| now > since + PATIENCE) {
                    asked_cron = true;
                    if let Some(job) = procedure.transaction(|| cron::submit(work, id, owner))? {
                        match by_cron(procedure, work, deadline, id, &job)? {
                            Some(outcome) => return Ok(outcome),
                            None => continue,
                        }
                    }
                }
                procedure.sleep(look);
            }
        }
        look = (look * 3 / 2).min(LONGEST_LOOK);
    }
}

/// Waits for what pg_cron has been given; none where a worker has been quicker.
fn by_cron(
    procedure: &Procedure,
    work: &Work,
    deadline: Instant,
    id: i64,
    job: &cron::Job,
) -> Result<Option<Outcome>> {
    if !procedure.transaction(|| queue::hand_on(id, &job.command))? {
        procedure.transaction(|| job.take_back())?;
        return Ok(None);
    }
    let outcome = job.wait(procedure, work, deadline)?;
    let nobody = no_worker();
    let error = match &outcome {
        Outcome::Done => None,
        Outcome::Failed(error) | Outcome::Late(error) => Some(error),
        Outcome::HandedOver(_) => Some(&nobody),
    };
    procedure.transaction(|| security::as_extension_owner(|| queue::finish(id, error)))?;
    Ok(Some(outcome))
}

/// Tells the worker to stop if the wait for it is cancelled.
struct StopOnCancel(i32);

impl Drop for StopOnCancel {
    fn drop(&mut self) {
        if std::thread::panicking() {
            worker::cancel(self.0);
        }
    }
}

fn owner_of(table: pg_sys::Oid) -> Result<pg_sys::Oid> {
    spi::read_one_now::<pg_sys::Oid>(
        "SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[table.into()],
    )
    .ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("relation with OID {} does not exist", table.to_u32()),
        )
    })
}

fn no_worker() -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        "no background worker could be started before the deadline",
    )
    .hint("Raise max_worker_processes, wait until others are done, or install pg_cron in this database.")
}

fn died() -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "the background worker ended before its command did",
    )
    .hint("The server's log says why. Calling the procedure again goes on from where it stopped.")
}

pub fn too_late(work: &Work) -> Error {
    let waits = match work {
        Work::Detach { .. } | Work::FinalizeDetach { .. } => {
            "It waits for transactions that use the partitioned table."
        }
        _ => "It waits for transactions that use the table, then reads it.",
    };
    Error::new(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, "the command was not done by the deadline")
        .detail(waits)
        .hint("Calling the procedure again, with a later deadline, goes on from where it stopped.")
}

//! Where no background worker is to be had: a job of pg_cron, which has connections of its own, once, as the
//! table's owner. Only where pg_cron works in this database and the caller may give it jobs.

use super::perform::Outcome;
use super::work::Work;
use crate::error::{Error, Result};
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi, subtransaction};
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// pg_cron begins jobs at full minutes: one that has not been begun by then will not be.
const BEGIN: Duration = Duration::from_secs(130);
const LOOK: Duration = Duration::from_millis(500);

/// A job pg_cron has been given.
pub struct Job {
    id: i64,
    pub command: String,
}

/// How it stands.
enum Stand {
    Waiting,
    Running(i32),
    Done,
    Failed(String),
}

/// Gives the work to pg_cron; none where it is not here, or not for the caller. As the caller.
pub fn submit(work: &Work, number: i64, owner: pg_sys::Oid) -> Result<Option<Job>> {
    // Its own workers would not be had either, and it connects as the owner.
    let able = spi::read_one_now::<bool>(
        "SELECT r.rolcanlogin AND pg_catalog.current_setting('cron.use_background_workers', true) IS DISTINCT FROM 'on'
           FROM pg_catalog.pg_extension AS e, pg_catalog.pg_roles AS r
          WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cron' AND r.oid OPERATOR(pg_catalog.=) $1",
        &[owner.into()],
    );
    if able != Some(true) {
        return Ok(None);
    }
    let command = work.command()?;
    let name = format!("architect partition job {number}");
    let given = subtransaction::attempt(|| {
        spi::run_one::<i64>(
            "SELECT cron.schedule_in_database($1, '* * * * *', $2, pg_catalog.current_database()::pg_catalog.text, $3)",
            &[name.as_str().into(), command.as_str().into(), security::role_name(owner).into()],
        )
    });
    match given {
        Ok(id) => Ok(id.map(|id| Job { id, command })),
        Err(error) if error.is_cancel() => Err(error),
        Err(_) => Ok(None),
    }
}

impl Job {
    /// Waits for it, and takes it back.
    pub fn wait(&self, procedure: &Procedure, work: &Work, deadline: Instant) -> Result<Outcome> {
        let begun = Instant::now();
        let back = TakeBack(self.id);
        let outcome = loop {
            let now = Instant::now();
            match procedure.transaction(|| self.stand(work))? {
                Stand::Done => break Outcome::Done,
                // It could not connect.
                Stand::Failed(why) if why.contains("connection") => {
                    break Outcome::HandedOver(self.command.clone());
                }
                Stand::Failed(why) => {
                    let error = Error::not_in_prerequisite_state(why)
                        .hint(format!("pg_cron ran: {}; see cron.job_run_details.", self.command));
                    break Outcome::Failed(error);
                }
                Stand::Running(pid) if now >= deadline => {
                    procedure.transaction(|| cancel(pid))?;
                    break Outcome::Late(super::perform::too_late(work));
                }
                Stand::Waiting if now >= deadline.min(begun + BEGIN) => {
                    break Outcome::HandedOver(self.command.clone());
                }
                Stand::Running(_) | Stand::Waiting => procedure.sleep(LOOK),
            }
        };
        std::mem::forget(back);
        procedure.transaction(|| self.take_back())?;
        Ok(outcome)
    }

    pub fn take_back(&self) -> Result<()> {
        unschedule(self.id)
    }

    fn stand(&self, work: &Work) -> Result<Stand> {
        if work.is_done()? {
            return Ok(Stand::Done);
        }
        let rows = spi::read_now(
            "SELECT d.status, d.job_pid, d.return_message FROM cron.job_run_details AS d
              WHERE d.jobid OPERATOR(pg_catalog.=) $1 ORDER BY d.runid LIMIT 1",
            &[self.id.into()],
            |row| {
                let message = row.get::<String>(3)?.unwrap_or_default();
                Ok(match row.get::<String>(1)?.unwrap_or_default().as_str() {
                    "failed" => Stand::Failed(message.trim().trim_start_matches("ERROR:").trim().to_owned()),
                    "running" | "sending" => Stand::Running(row.get(2)?.unwrap_or_default()),
                    _ => Stand::Waiting,
                })
            },
        )?;
        Ok(rows.into_iter().next().unwrap_or(Stand::Waiting))
    }
}

fn unschedule(id: i64) -> Result<()> {
    spi::run(
        "SELECT cron.unschedule(j.jobid) FROM cron.job AS j WHERE j.jobid OPERATOR(pg_catalog.=) $1",
        &[id.into()],
    )
    .map(|_| ())
}

/// Only who may does it: the command goes on otherwise.
fn cancel(pid: i32) -> Result<()> {
    let asked =
        subtransaction::attempt(|| spi::run("SELECT pg_catalog.pg_cancel_backend($1)", &[pid.into()]));
    match asked {
        Err(error) if error.is_cancel() => Err(error),
        _ => Ok(()),
    }
}

/// Takes the job back if the wait for it fails; not if it is cancelled, when nothing can be run any more.
struct TakeBack(i64);

impl Drop for TakeBack {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = subtransaction::attempt(|| unschedule(self.0));
        }
    }
}

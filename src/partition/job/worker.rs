//! What the worker does: one job, as the table's owner, and a record of how it went.

use super::queue;
use crate::error::{Error, Result};
use crate::pg::{security, spi, toplevel, worker};
use pgrx::prelude::*;

crate::export_worker!(architect_partition_worker, work);

fn work(argument: &str) {
    settle();
    let Ok(id) = argument.parse::<i64>() else { return };
    if let Err(error) = run(id) {
        ereport!(PgLogLevel::WARNING, error.code(), format!("partition job {id}: {}", error.one_line()));
    }
}

/// What databases and roles set by default, or a function of the owner's within a command, must not cut
/// anything short or change what it means.
fn settle() {
    for (name, value) in [
        (c"application_name", c"db_architect partition job"),
        (c"search_path", c"pg_catalog, pg_temp"),
        (c"lock_timeout", c"0"),
        (c"statement_timeout", c"0"),
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_read_only", c"off"),
    ] {
        worker::set(name, value);
    }
}

fn run(id: i64) -> Result<()> {
    let job = record(|| {
        // The extension may have been dropped meanwhile.
        let there = spi::read_one_now::<bool>(
            "SELECT pg_catalog.to_regclass('architect.partition_job') IS NOT NULL",
            &[],
        );
        if there == Some(true) { queue::take(id) } else { Ok(None) }
    })?;
    let Some(job) = job else { return Ok(()) };
    let outcome = record(|| {
        if security::role_name(job.run_as).is_empty() {
            return Err(Error::undefined_object("the role to run as no longer exists"));
        }
        let command = job.work.command()?;
        queue::note_command(id, &command)?;
        Ok(command)
    })
    .and_then(|command| {
        let outcome = worker::as_role(job.run_as, || toplevel::execute(&command));
        settle();
        outcome
    });
    record(|| queue::finish(id, outcome.as_ref().err()))?;
    outcome
}

/// A transaction on the queue, whose session may be the role's the command is run as.
fn record<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    toplevel::transaction(|| security::as_extension_owner(work))
}

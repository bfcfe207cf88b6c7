//! pg_cron in another database of the cluster: a worker goes there and registers the schedule as the role
//! that asked; another comes back and says how it went.

use super::schedule::{COMMAND, job_name_of};
use crate::error::{Error, Result};
use crate::pg::{procedure, security, session, spi, toplevel, worker};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// What a worker can be told in; the rest is for numbers.
const LONGEST_SCHEDULE: usize = 60;
const LONGEST_ANSWER: usize = 70;
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// The other database pg_cron works in, if there is one.
pub fn database() -> Option<(pg_sys::Oid, String)> {
    let rows = spi::read(
        "SELECT d.oid, d.datname::pg_catalog.text FROM pg_catalog.pg_database AS d
          WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_setting('cron.database_name', true)::pg_catalog.name
            AND d.datname OPERATOR(pg_catalog.<>) pg_catalog.current_database()",
        &[],
        |row| Ok(row.get::<pg_sys::Oid>(1)?.zip(row.get::<String>(2)?)),
    );
    rows.ok()?.into_iter().flatten().next()
}

/// Registers a schedule there, or takes it away where none is given; returns what was done.
pub fn ask(database: pg_sys::Oid, schedule: Option<&str>) -> Result<String> {
    let schedule = schedule.unwrap_or_default();
    if schedule.len() > LONGEST_SCHEDULE || schedule.contains('|') {
        return Err(Error::invalid_parameter("invalid schedule")
            .detail(format!(
                "A schedule for another database has {LONGEST_SCHEDULE} bytes at most, and no bar."
            ))
            .hint("Give a schedule such as '17 3 * * *'."));
    }
    let token = session::clock();
    let request =
        format!("{token}|{}|{}|{schedule}", security::current_role().to_u32(), session::database().to_u32());
    if !worker::start_in(database, "architect_schedule_worker", "db_architect schedule", &request) {
        return Err(no_worker());
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(answer) = answer(token)? {
            return answer;
        }
        procedure::sleep(LOOK);
    }
    Err(no_worker())
}

fn no_worker() -> Error {
    Error::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES, "no background worker came back from pg_cron's database")
        .hint("Raise max_worker_processes, or see the server's log; a schedule that was registered is in cron.job there.")
}

fn answer(token: i64) -> Result<Option<Result<String>>> {
    let rows = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT a.sqlstate, a.answer FROM architect.maintenance_answer AS a WHERE a.token OPERATOR(pg_catalog.=) $1",
            &[token.into()],
            |row| Ok((row.get::<String>(1)?, row.get::<String>(2)?.unwrap_or_default())),
        )
    })?;
    Ok(rows.into_iter().next().map(|(state, answer)| match state {
        None => Ok(answer),
        Some(state) => Err(Error::new(Error::code_of(&state), answer)
            .detail("This was said in the database pg_cron is installed in.")
            .hint("The role needs USAGE on schema cron there, and EXECUTE on cron.schedule_in_database.")),
    }))
}

crate::export_worker!(architect_schedule_worker, go);
crate::export_worker!(architect_answer_worker, come_back);

fn go(request: &str) {
    prepare();
    let mut parts = request.splitn(4, '|');
    let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok());
    let (Some(token), Some(role), Some(database)) = (number(), number(), number()) else { return };
    let schedule = parts.next().unwrap_or_default();
    let (role, database) = (pg_sys::Oid::from(role as u32), pg_sys::Oid::from(database as u32));
    let outcome = toplevel::transaction(|| security::as_owner(role, || register(database, schedule)));
    let (state, text) = match outcome {
        Ok(done) => (String::new(), done),
        Err(error) => (error.sqlstate(), error.message().to_owned()),
    };
    let text: String = text.chars().filter(char::is_ascii).take(LONGEST_ANSWER).collect();
    worker::start_in(
        database,
        "architect_answer_worker",
        "db_architect schedule",
        &format!("{token}|{state}|{text}"),
    );
}

/// In pg_cron's database, as the role that asked.
fn register(database: pg_sys::Oid, schedule: &str) -> Result<String> {
    let there = spi::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'pg_cron'",
        &[],
    );
    if there.is_none() {
        return Err(Error::not_in_prerequisite_state("pg_cron is not installed in its database"));
    }
    let name = spi::read_one_now::<String>(
        "SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database AS d WHERE d.oid OPERATOR(pg_catalog.=) $1",
        &[database.into()],
    )
    .unwrap_or_default();
    let jobs = spi::read_now(
        "SELECT j.jobid, j.schedule FROM cron.job AS j
          WHERE j.command OPERATOR(pg_catalog.=) $1 AND j.database OPERATOR(pg_catalog.=) $2 AND j.active
          ORDER BY j.jobid",
        &[COMMAND.into(), name.as_str().into()],
        |row| Ok((row.get::<i64>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
    )?;
    if schedule.is_empty() {
        for (job, _) in &jobs {
            spi::run("SELECT cron.unschedule($1)", &[(*job).into()])?;
        }
        return Ok(if jobs.is_empty() { "skipped" } else { "unscheduled" }.to_owned());
    }
    if jobs.iter().any(|(_, known)| known == schedule) {
        return Ok("exists".to_owned());
    }
    // A job of the same name and role is replaced.
    spi::run(
        "SELECT cron.schedule_in_database($1, $2, $3, $4)",
        &[job_name_of(&name).into(), schedule.into(), COMMAND.into(), name.as_str().into()],
    )?;
    Ok(if jobs.is_empty() { "scheduled" } else { "changed" }.to_owned())
}

fn come_back(answer: &str) {
    prepare();
    let mut parts = answer.splitn(3, '|');
    let Some(token) = parts.next().and_then(|part| part.parse::<i64>().ok()) else { return };
    let state = parts.next().filter(|state| !state.is_empty()).map(str::to_owned);
    let text = parts.next().unwrap_or_default().to_owned();
    let written = toplevel::transaction(|| {
        security::as_extension_owner(|| {
            spi::run(
                "DELETE FROM architect.maintenance_answer AS a
                  WHERE a.answered_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)",
                &[],
            )?;
            spi::run(
                "INSERT INTO architect.maintenance_answer (token, sqlstate, answer) VALUES ($1, $2, $3)",
                &[token.into(), state.as_deref().into(), text.as_str().into()],
            )
        })
    });
    if let Err(error) = written {
        ereport!(PgLogLevel::WARNING, error.code(), format!("db_architect schedule: {}", error.one_line()));
    }
}

/// What databases and roles set by default must not change what is done.
fn prepare() {
    for (name, value) in [
        (c"search_path", c"pg_catalog, pg_temp"),
        (c"lock_timeout", c"10s"),
        (c"statement_timeout", c"15s"),
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_read_only", c"off"),
    ] {
        worker::set(name, value);
    }
}

//! Registering with pg_cron.

use crate::error::{Error, Result};
use crate::pg::{lookup, spi};

const COMMAND: &str = "CALL architect.run_maintenance()";

/// Whether pg_cron is installed in this database. Its objects are always in schema cron.
fn installed() -> bool {
    spi::read_one::<bool>(
        "SELECT true FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'pg_cron'",
        &[],
    )
    .is_some()
}

/// The schedule registered for this database; none where there is none or pg_cron is not here.
pub fn current() -> Result<Option<String>> {
    if !installed() {
        return Ok(None);
    }
    let rows = spi::read(
        "SELECT j.schedule FROM cron.job AS j
          WHERE j.command OPERATOR(pg_catalog.=) $1 AND j.active
            AND j.database OPERATOR(pg_catalog.=) pg_catalog.current_database()::pg_catalog.text
          ORDER BY j.jobid LIMIT 1",
        &[COMMAND.into()],
        |row| row.get::<String>(1),
    )?;
    Ok(rows.into_iter().flatten().next())
}

/// The error where pg_cron is not here, with what to do where it is elsewhere.
fn not_here(sql: &str) -> Error {
    let elsewhere = spi::read_one::<String>(
        "SELECT pg_catalog.current_setting('cron.database_name', true)
          WHERE pg_catalog.current_setting('cron.database_name', true)
                OPERATOR(pg_catalog.<>) pg_catalog.current_database()::pg_catalog.text",
        &[],
    );
    let error = Error::not_in_prerequisite_state("pg_cron is not installed in this database");
    match elsewhere {
        Some(database) => error
            .detail(format!("It lives in database \"{database}\"."))
            .hint(format!("Run there, as a superuser: {sql};")),
        None => error.detail("Nothing here can call run_maintenance() at set times.").hint(
            "CREATE EXTENSION pg_cron (it needs shared_preload_libraries and cron.database_name), \
             or have another scheduler run: CALL architect.run_maintenance();",
        ),
    }
}

fn literal(text: &str) -> String {
    pgrx::spi::quote_literal(text)
}

/// Takes every schedule of ours for this database away; says how many there were.
pub fn unset() -> Result<(String, String, String)> {
    let name = job_name();
    if !installed() {
        return Err(not_here(&format!("SELECT cron.unschedule({})", literal(&name))));
    }
    let jobs = spi::read(
        "SELECT j.jobid, j.schedule FROM cron.job AS j
          WHERE j.command OPERATOR(pg_catalog.=) $1
            AND j.database OPERATOR(pg_catalog.=) pg_catalog.current_database()::pg_catalog.text ORDER BY j.jobid",
        &[COMMAND.into()],
        |row| Ok((row.get::<i64>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
    )?;
    for (job, _) in &jobs {
        spi::run("SELECT cron.unschedule($1)", &[(*job).into()])?;
    }
    let schedules: Vec<String> = jobs.into_iter().map(|(_, schedule)| schedule).collect();
    let action = if schedules.is_empty() { "skipped" } else { "unscheduled" };
    Ok((name, action.into(), schedules.join(", ")))
}

pub fn set(schedule: &str) -> Result<(String, String, String)> {
    if !installed() {
        let database = spi::read_one::<String>("SELECT pg_catalog.current_database()::pg_catalog.text", &[]);
        return Err(not_here(&format!(
            "SELECT cron.schedule_in_database({}, {}, {}, {})",
            literal(&job_name()),
            literal(schedule),
            literal(COMMAND),
            literal(&database.unwrap_or_default())
        )));
    }
    let known = current()?;
    let name = job_name();
    if known.as_deref() == Some(schedule) {
        return Ok((name, "exists".into(), format!("{schedule}: {COMMAND}")));
    }
    // A job of the same name and role is replaced.
    spi::run("SELECT cron.schedule($1, $2, $3)", &[name.as_str().into(), schedule.into(), COMMAND.into()])?;
    let action = if known.is_some() { "changed" } else { "scheduled" };
    Ok((name, action.into(), format!("{schedule}: {COMMAND}")))
}

fn job_name() -> String {
    let database = spi::read_one::<String>("SELECT pg_catalog.current_database()::pg_catalog.text", &[]);
    let schema = lookup::SCHEMA.to_string_lossy();
    format!("{schema} maintenance of {}", database.unwrap_or_default())
}

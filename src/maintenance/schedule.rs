//! Registering with pg_cron.

use super::elsewhere;
use crate::error::{Error, Result};
use crate::pg::{lookup, spi};

pub const COMMAND: &str = "CALL architect.run_maintenance()";

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

fn not_here() -> Error {
    Error::not_in_prerequisite_state("pg_cron is not installed in this database")
        .detail("Nothing here can call run_maintenance() at set times.")
        .hint(
            "CREATE EXTENSION pg_cron (it needs shared_preload_libraries and cron.database_name), \
             or have another scheduler run: CALL architect.run_maintenance();",
        )
}

/// Where pg_cron works in another database, what was done there.
fn elsewhere(schedule: Option<&str>) -> Result<(String, String, String)> {
    let Some((database, name)) = elsewhere::database() else { return Err(not_here()) };
    let action = elsewhere::ask(database, schedule)?;
    let what = schedule.map(|schedule| format!("{schedule}: {COMMAND}, ")).unwrap_or_default();
    Ok((job_name(), action, format!("{what}by pg_cron in database {name}")))
}

/// Takes every schedule of ours for this database away; says how many there were.
pub fn unset() -> Result<(String, String, String)> {
    let name = job_name();
    if !installed() {
        return elsewhere(None);
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
        return elsewhere(Some(schedule));
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
    job_name_of(&database.unwrap_or_default())
}

pub fn job_name_of(database: &str) -> String {
    format!("{} maintenance of {database}", lookup::SCHEMA.to_string_lossy())
}

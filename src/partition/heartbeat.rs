//! Whether maintenance is alive and well: by what it has written down itself, whatever calls it.

use super::civil::HOUR;
use super::health::Finding;
use crate::error::Result;
use crate::pg::{security, session, spi};
use pgrx::prelude::*;
use pgrx::spi::quote_literal;

/// A schedule that has not succeeded for so long is dead.
const SILENCE: i64 = 26 * HOUR;

/// Whether maintenance is alive: by its own heartbeat, whatever calls it.
pub fn heartbeat() -> Result<Vec<Finding>> {
    let rows = security::as_extension_owner(|| {
        spi::read(
            "SELECT max(r.finished_at), max(r.started_at) FROM (
                 SELECT finished_at, started_at FROM architect.partition_run
                 UNION ALL SELECT finished_at, started_at FROM architect.maintenance_run) r",
            &[],
            |row| {
                let at = |i| row.get::<TimestampWithTimeZone>(i).map(|at| at.map(i64::from));
                Ok((at(1)?, at(2)?))
            },
        )
    })?;
    let (finished, started) = rows.into_iter().next().unwrap_or_default();
    let finding = |severity, code, detail: &str| Finding {
        severity,
        code,
        parent: String::new(),
        detail: detail.to_owned(),
        fix: "SELECT architect.schedule_maintenance()".to_owned(),
    };
    let old = |at: i64| at < session::clock() - SILENCE;
    Ok(match (finished, started) {
        (None, None) => vec![finding("warning", "SCHEDULE_MISSING", "maintenance has never run")],
        (Some(at), _) if !old(at) => Vec::new(),
        (_, Some(at)) if !old(at) => vec![finding(
            "error",
            "SCHEDULE_FAILING",
            "maintenance begins and does not finish: see the server's log",
        )],
        _ => vec![finding("error", "SCHEDULE_MISSING", "maintenance has not run for more than a day")],
    })
}

/// What failed in the last run, of the managed tables.
pub fn last_failures() -> Result<Vec<Finding>> {
    security::as_extension_owner(|| {
        spi::read(
            "SELECT DISTINCT ON (a.parent_name) a.parent_name, a.object_name, a.detail FROM architect.partition_action a
              WHERE a.action = 'failed' AND a.run_id = (SELECT max(r.run_id) FROM architect.partition_run r)
              ORDER BY a.parent_name, a.action_id",
            &[],
            |row| {
                let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
                let parent = text(1)?;
                Ok(Finding {
                    severity: "error",
                    code: "LAST_RUN_FAILED",
                    detail: format!("{}: {}", text(2)?, text(3)?),
                    fix: format!("SELECT * FROM architect.partition_log({})", quote_literal(&parent)),
                    parent,
                })
            },
        )
    })
}

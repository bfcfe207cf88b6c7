//! Upkeep: one procedure, run_maintenance(), that a scheduler calls and that runs the steps the
//! capabilities register here, each in transactions of its own, none stopped by another's failure.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `run.rs` | running the steps: transactions, lock timeouts, retries, what is noted |
//! | `schedule.rs` | registering with pg_cron |
//! | `contexts.rs` | contexts nothing refers to any more |
//! | `elsewhere.rs` | the same where pg_cron works in another database |

mod api;
pub mod contexts;
mod elsewhere;
mod run;
mod schedule;

pub use run::Run;

use crate::error::Result;

/// One step of the upkeep. It divides its work into transactions itself: `Run::transaction`.
pub struct Step {
    pub name: &'static str,
    pub run: fn(&mut Run) -> Result<()>,
}

/// What each capability has registered, in the order it is run.
const CAPABILITIES: &[&[Step]] = &[
    crate::audit::maintain::BEFORE,
    crate::partition::maintain_api::STEPS,
    crate::audit::maintain::STEPS,
    crate::cdc::upkeep::STEPS,
    crate::cdc::consumer::maintain::STEPS,
    crate::cdc::decode::slots::STEPS,
    crate::index::snapshot::STEPS,
];

//! Commands that must be at the top level: DETACH PARTITION CONCURRENTLY, CREATE and DROP INDEX
//! CONCURRENTLY. A procedure queues one, commits, and waits between transactions while a background
//! worker, started for it, runs it as the table's owner and writes down how it went.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `work.rs` | what can be asked for, and the command it is, rendered from the catalogue |
//! | `queue.rs` | the table `architect.partition_job` |
//! | `perform.rs` | for procedures: queue, start a worker, wait, within a deadline |
//! | `cron.rs` | the same by pg_cron, where no worker is to be had |
//! | `worker.rs` | what the worker does |

mod cron;
mod perform;
mod queue;
mod work;
mod worker;

pub use perform::{Outcome, perform};
pub use work::{Work, index_below, index_definition, index_on, index_on_any};

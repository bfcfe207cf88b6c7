//! Range partitions: made ahead, kept healthy and retired without stalling the application.
//!
//! A pure planner turns a policy and what the catalogue says into steps, each with its SQL, its locks and
//! what it scans; one executor runs them, with a short lock_timeout, retries and a deadline.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `civil.rs` | pure: the calendar |
//! | `period.rs` | pure: periods and the grid they make in a time zone |
//! | `key.rs` | pure: what a partition key means |
//! | `bound.rs` | pure: bounds as the catalogue prints them |
//! | `name.rs` | pure: names of partitions |
//! | `zone.rs` | time zones, by name |
//! | `job/` | commands that must be at the top level, run by a background worker |
//! | `online/` | procedures that change what is partitioned beside those who use it |

pub mod bound;
pub mod civil;
pub mod job;
pub mod key;
pub mod name;
mod online;
pub mod period;
pub mod zone;

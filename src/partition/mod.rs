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

pub mod bound;
pub mod civil;
pub mod key;
pub mod name;
pub mod period;
pub mod zone;

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
//! | `missing.rs` | pure: what of a stretch no partition holds |
//! | `zone.rs` | time zones, by name |
//! | `table.rs` | partitioned tables and their partitions, as the catalogue has them |
//! | `layout.rs` | one table: its key, its grid, its partitions |
//! | `template.rs` | what a new partition takes from the parent and the latest one |
//! | `create.rs` | making partitions |
//! | `policy.rs` | what is to be done about a table: stored, read |
//! | `locking.rs` | short waits for locks, retried |
//! | `api.rs` | the SQL functions that make and show partitions |
//! | `convert/` | an existing table becomes partitioned |
//! | `job/` | commands that must be at the top level, run by a background worker |
//! | `online/` | procedures that change what is partitioned beside those who use it |

mod api;
pub mod bound;
pub mod civil;
mod convert;
pub mod create;
pub mod job;
pub mod key;
pub mod layout;
pub mod locking;
pub mod missing;
pub mod name;
pub mod online;
pub mod period;
pub mod policy;
pub mod table;
pub mod template;
pub mod zone;

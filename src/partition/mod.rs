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
//! | `guard.rs` | tables of our own: what is asked and said before their partitions change |
//! | `in_order.rs` | those tables' default partition: taken over from, emptied |
//! | `policy.rs` | what is to be done about a table: stored, read |
//! | `plan.rs` | what maintenance would do with a table now: steps |
//! | `maintain.rs` | running the steps, table by table |
//! | `retire.rs` | taking partitions out of use |
//! | `journal.rs` | what was done, refused and failed at |
//! | `health.rs` | what is wrong, or will be |
//! | `heartbeat.rs` | whether maintenance is alive |
//! | `import.rs` | taking over what pg_partman keeps |
//! | `advise.rs` | which tables would gain from being partitioned |
//! | `locking.rs` | short waits for locks, retried |
//! | `convert/` | an existing table becomes partitioned |
//! | `api.rs` | the SQL functions that make partitions |
//! | `report_api.rs` | those that show partitions and what is wrong with them |
//! | `policy_api.rs` | those that say how a table's are kept |
//! | `maintain_api.rs` | those that run maintenance, say what it would do and what it did |
//! | `job/` | commands that must be at the top level, run by a background worker |
//! | `remake/` | partitions split and merged |
//! | `online/` | procedures that change what is partitioned beside those who use it |

mod advise;
mod api;
pub mod bound;
pub mod civil;
mod convert;
pub mod create;
pub mod guard;
mod health;
mod heartbeat;
mod import;
mod in_order;
pub mod job;
mod journal;
pub mod key;
pub mod layout;
pub mod locking;
mod maintain;
pub mod maintain_api;
pub mod missing;
pub mod name;
pub mod online;
pub mod period;
mod plan;
pub mod policy;
pub mod policy_api;
mod remake;
mod report_api;
mod retire;
pub mod table;
pub mod template;
pub mod zone;

//! An existing table becomes partitioned, beside those who use it: a constraint that proves where its rows
//! lie is checked while they go on, then in one short transaction the table becomes the first partition of
//! a partitioned table that takes its name.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | convert_to_partitioned(), abort_partition_operation(), partition_progress() |
//! | `obstacles.rs` | what stands in the way |
//! | `carry.rs` | everything that hangs on a table, as the commands that make it anew |
//! | `uses.rs` | everything elsewhere that uses it, likewise |
//! | `cutover.rs` | the one short transaction |
//! | `later.rs` | foreign keys to be checked afterwards |
//! | `show.rs` | a dry run |
//! | `run.rs` | the steps, each of which can be the last before a crash |

mod api;
pub mod carry;
mod cutover;
pub mod later;
mod obstacles;
mod run;
mod show;
pub mod uses;

pub use cutover::as_role;

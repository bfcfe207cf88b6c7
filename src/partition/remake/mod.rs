//! Partitions made anew while they are used: one split into several, several merged into one.
//!
//! The rows are copied, block by block, into new tables behind the scenes; a trigger notes the keys of rows
//! that change meanwhile, and those are copied again until nothing is left to do, the last of it in the one
//! short transaction that exchanges the old partitions for the new ones.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | split_partition(), merge_partitions() |
//! | `begin.rs` | what a call asks for |
//! | `plan.rs` | which partitions become which, and whether that can be done |
//! | `stage.rs` | the new tables before they are attached, and what notes changes |
//! | `capture.rs` | the trigger function |
//! | `copy.rs` | copying, and copying again |
//! | `run.rs` | the steps, each of which can be the last before a crash |

mod api;
mod begin;
mod capture;
mod copy;
mod plan;
mod run;
mod stage;

pub use begin::{Terms, divide};
pub use plan::key;
pub use run::abort;

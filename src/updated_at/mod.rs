//! updated_at: columns that say when a row was last changed, by whom and how often, kept by a trigger
//! that runs after every other BEFORE trigger.
//!
//! What a table has enabled stands in its trigger's arguments: dumped and restored with the table,
//! copied to new partitions, gone with it. On INSERT the columns' defaults do the work, so that loading
//! rows costs nothing more; the trigger fires on UPDATE only.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `columns.rs` | the columns: what they may be, adding them, their defaults |
//! | `enable.rs` | attaching and detaching the trigger |
//! | `follow.rs` | what DDL on such a table means: renamed columns, later triggers |
//! | `kind.rs` | what types the columns may have |
//! | `list.rs` | what is enabled where, and in what state |
//! | `plan.rs` | which column of a relation is which, worked out once a session |
//! | `rules.rs` | pure: what an UPDATE does to the columns |
//! | `spec.rs` | pure: what is enabled, as trigger arguments |
//! | `state.rs` | what a table has now |
//! | `trigger.rs` | the trigger function |

mod api;
mod columns;
mod enable;
mod follow;
mod kind;
mod list;
mod plan;
mod rules;
mod spec;
mod state;
mod trigger;

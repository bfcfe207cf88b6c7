//! Consumers of the change feed: named positions in it, read by any number of workers.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `permission.rs` | who may use a consumer |
//! | `registry.rs` | making, changing, resetting and dropping consumers |
//! | `poll.rs`, `batch.rs` | handing out batches, and the events of one |
//! | `compose.rs` | pure: what goes into a batch |
//! | `keys.rs` | pure: which events must not overtake each other |
//! | `ack.rs` | acknowledging and refusing |
//! | `dead_letter.rs` | events that could not be processed |
//! | `snapshot.rs`, `existing.rs` | the rows that were there at the start |
//! | `horizon.rs` | how far the feed is decided |
//! | `feed.rs` | reading the feed in order |
//! | `relations.rs` | what an entry's relation is |
//! | `filter.rs` | pure: which events a consumer wants |
//! | `delivery.rs` | an event on its way out |
//! | `rows.rs`, `documents.rs` | events as rows, and as JSON |
//! | `retention.rs`, `maintain.rs` | keeping the feed small, and its steps of run_maintenance() |
//! | `lag.rs`, `report_api.rs` | how far consumers are behind, and the SQL functions that say so |
//! | `state.rs` | consumers, workers and what is put aside, as stored |
//! | `storage.rs` | their tables, made on first use |

mod ack;
mod api;
mod batch;
mod compose;
mod dead_letter;
mod delivery;
mod documents;
mod existing;
mod feed;
mod filter;
mod horizon;
mod keys;
mod lag;
pub mod maintain;
mod permission;
mod poll;
mod registry;
mod relations;
mod report_api;
mod retention;
mod rows;
mod snapshot;
mod state;
mod storage;

//! The WAL path: the library is a logical decoding output plugin, and this is what it makes of a change.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `advice.rs` | what to do about a slot before the disk fills |
//! | `api.rs` | the SQL functions |
//! | `options.rs` | what a client may ask for |
//! | `pattern.rs` | names of tables and columns in options |
//! | `plan.rs` | what to write of a relation, worked out once and dropped when the relation changes |
//! | `plugin.rs` | the plugin: transactions, and which events become lines |
//! | `message.rs` | logical messages: context, outbox events, heartbeats |
//! | `pretty.rs` | a line indented for people |
//! | `row.rs` | a row's change as the sections of an event |
//! | `slots.rs` | replication slots: their lag, keeping them moving |
//! | `transaction.rs` | what is known of transactions in progress |

mod advice;
mod api;
mod message;
mod options;
mod pattern;
mod plan;
mod plugin;
mod pretty;
mod row;
pub mod slots;
mod transaction;

crate::export_output_plugin!(plugin::WalFeed);

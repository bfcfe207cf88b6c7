//! Audit: who changed what, when, from where and why, for every row of the tables it is enabled on.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `enable.rs` | what enable_audit asks for |
//! | `coverage.rs` | what is not covered any more, and what to do |
//! | `using_api.rs` | the SQL functions that read the log and undo changes |
//! | `history.rs` | the life of one row |
//! | `as_of.rs` | a table's rows as they were |
//! | `answerable.rs` | since when the log has every change of a table |
//! | `rewind.rs` | pure: undoing recorded changes in memory |
//! | `revert.rs` | undoing changes in the table: what is chosen, refused, done |
//! | `revert_table.rs` | the same for one table: its rows now against what the log says |
//! | `revert_statement.rs`, `revert_sql.rs` | the statements, run and shown; the latter pure |
//! | `undo.rs` | pure: rows, steps and their order |
//! | `entries.rs` | log entries in terms of the table's present columns |
//! | `subject.rs` | the table a question is about: its numbers in the log, its shapes over time |
//! | `row_key.rs` | a key as asked for and as the log spells it |
//! | `lineage.rs` | pure: what a column of an earlier shape is called now |
//! | `options.rs` | pure: what a caller may ask for |
//! | `partitions.rs` | the log's months, as the catalogue has them |
//! | `keeping.rs` | the log as a table the policy engine keeps, and what that has to ask |
//! | `maintain.rs` | the steps run_maintenance() runs for the log |
//! | `redact.rs` | forgetting a person |
//! | `seal/` | the chain of hashes: sealing, verifying |
//! | `retention.rs` | dropping contexts nothing refers to |
//! | `keeping_api.rs` | the SQL functions of keeping and sealing |
//! | `settings.rs` | how long the log is kept |
//! | `storage.rs` | the log's tables, made on first use and owned by the extension's owner |

mod answerable;
mod api;
mod as_of;
mod coverage;
mod enable;
mod entries;
mod history;
pub mod keeping;
mod keeping_api;
mod lineage;
pub mod maintain;
mod options;
mod partitions;
pub mod redact;
mod retention;
mod revert;
mod revert_sql;
mod revert_statement;
mod revert_table;
mod rewind;
mod row_key;
pub mod seal;
mod settings;
pub mod storage;
mod subject;
mod undo;
mod using_api;

pub use enable::FOLLOWER;

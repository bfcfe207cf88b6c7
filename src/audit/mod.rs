//! Audit: who changed what, when, from where and why, for every row of the tables it is enabled on.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `enable.rs` | attaching and detaching: policy, triggers, partitions |
//! | `schema.rs` | the same for a whole schema, and tables created in it later |
//! | `ddl.rs` | following DDL: new tables and partitions, renames |
//! | `identity.rs` | policies in step with tables' names, after a rename or a restore |
//! | `coverage.rs` | what is not covered any more, and what to do |
//! | `options.rs` | pure: what a caller may ask for |
//! | `partitions.rs` | the log's months: listing, making, attaching |
//! | `maintain.rs` | the steps run_maintenance() runs for the log |
//! | `settings.rs` | how long the log is kept, how far ahead it is made |
//! | `storage.rs` | the log's tables, made on first use and owned by the extension's owner |

mod api;
mod coverage;
mod ddl;
mod enable;
pub mod identity;
pub mod maintain;
mod options;
mod partitions;
mod schema;
mod settings;
pub mod storage;

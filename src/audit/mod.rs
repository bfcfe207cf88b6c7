//! Audit: who changed what, when, from where and why, for every row of the tables it is enabled on.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `enable.rs` | attaching and detaching: policy, triggers, partitions |
//! | `options.rs` | pure: what a caller may ask for |
//! | `storage.rs` | the log's tables, made on first use and owned by the extension's owner |

mod api;
mod enable;
mod options;
pub mod storage;

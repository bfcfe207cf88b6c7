//! Privacy: what this database keeps of persons, and erasing, exporting and proving it.
//!
//! The catalogue says whose data there are (subjects), what columns hold and what happens to it (columns),
//! and how rows belong to persons (edges). Everything else follows from it.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `action.rs` | pure: the closed set of actions and their parameters |
//! | `secret.rs` | pure: HMAC, by which keys are kept without being kept |
//! | `catalogue.rs` | what was declared, read and resolved |
//! | `declare.rs`, `declare_api.rs` | declaring, with a history of who decided what |
//! | `discover/` | finding columns that hold personal data |
//! | `mask/` | static masking, masked views, k-anonymity |
//! | `crypt/` | encryption of values under a key for each person |
//! | `storage.rs` | the tables, made on first use and owned by the extension's owner |

#![allow(dead_code)]

mod action;
mod catalogue;
mod collect;
mod crypt;
mod declare;
mod declare_api;
mod deletion_log;
mod discover;
mod erase;
mod erase_api;
mod graph;
mod holds;
mod identity;
mod mask;
mod order;
mod owner;
mod plan;
mod replace;
mod request;
mod secret;
mod sql;
mod storage;
mod table;

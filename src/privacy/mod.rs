//! Privacy: what this database keeps of persons, and erasing, exporting and proving it.
//!
//! The catalogue says whose data there are (subjects), what columns hold and what happens to it (columns),
//! and how rows belong to persons (edges). Everything else follows from it.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `action.rs` | pure: the closed set of actions and their parameters |
//! | `catalogue.rs` | what was declared, read and resolved |
//! | `declare.rs`, `decide.rs`, `declare_api.rs` | declaring, with a history of who decided what |
//! | `table.rs`, `graph.rs`, `order.rs` | tables, how they hang together, in which order they are emptied |
//! | `person.rs` | a person, from the key somebody gave |
//! | `collect.rs`, `seek.rs` | a person's rows, found along the graph |
//! | `plan.rs`, `staying.rs`, `holds.rs` | what erasing comes to, step by step; which rows stay; what stands in the way |
//! | `trial.rs` | whether constraints take what masking puts into rows that stay |
//! | `replace.rs`, `sql.rs` | pure: what takes a value's place; pieces of SQL |
//! | `owner.rs` | statements on somebody's table, as its owner, that say nothing when they fail |
//! | `erase.rs`, `erase_api.rs` | carrying a plan out |
//! | `namesake.rs` | what identifies who is erased, and nobody else |
//! | `deletion_log.rs` | what was erased: a chain of hashes |
//! | `identity.rs`, `secret.rs` | pure: values and keys known by their HMACs only |
//! | `verify.rs`, `residue/` | where erased values still are |
//! | `export.rs`, `coverage.rs`, `prove_api.rs` | a person's data for the person; what nobody has decided; proofs |
//! | `request.rs`, `request_api.rs`, `rights.rs` | requests, holds, house rules; who may decide about them |
//! | `retention.rs`, `retention_hold.rs`, `tombstone.rs`, `retention_api.rs` | what is past its time; erasing again after a restore |
//! | `discover/` | finding columns that hold personal data |
//! | `mask/` | static masking, masked views, k-anonymity |
//! | `crypt/` | encryption of values under a key for each person |
//! | `storage.rs` | the tables, made on first use and owned by the extension's owner |

mod action;
mod catalogue;
mod collect;
mod coverage;
mod crypt;
mod decide;
mod declare;
mod declare_api;
mod deletion_log;
mod discover;
mod erase;
mod erase_api;
mod export;
mod graph;
mod holds;
mod identity;
mod mask;
mod namesake;
mod order;
mod owner;
mod person;
mod plan;
mod prove_api;
mod replace;
mod request;
mod request_api;
mod residue;
mod retention;
mod retention_api;
mod retention_hold;
mod rights;
mod secret;
mod seek;
mod sql;
mod staying;
mod storage;
mod table;
mod tombstone;
mod trial;
mod verify;

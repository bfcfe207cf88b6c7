//! What the row trigger of audit and change feed does: one plan a relation, cached and invalidated;
//! the difference between two rows; the row key; the image as JSON; one appended entry.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `plan.rs` | what to record of a relation, and the cache of these plans |
//! | `policy.rs` | the stored policies and names, read below the snapshot of the transaction |
//! | `context.rs` | who, where from and why: stored once, referred to by number |
//! | `identity.rs` | policies in step with tables' names, after a rename or a restore |
//! | `image.rs` | images and keys of rows |
//! | `key.rs` | pure: the hash that finds a key |
//! | `log.rs` | the entry itself |
//! | `storage.rs` | the tables audit and change feed share, made on first use |
//! | `trigger.rs` | the trigger function |

pub mod context;
pub mod identity;
pub mod image;
pub mod key;
pub mod log;
pub mod plan;
pub mod policy;
pub mod storage;
mod trigger;

pub use trigger::remembered;

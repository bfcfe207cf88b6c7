//! What the row trigger of audit and change feed does: one plan a relation, cached and invalidated;
//! the difference between two rows; the row key; the image as JSON; one appended entry.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `plan.rs` | what to record of a relation, and the cache of these plans |
//! | `policy.rs` | the stored policies and names, read below the snapshot of the transaction |
//! | `context.rs` | who, where from and why: stored once, referred to by number |
//! | `image.rs` | images and keys of rows |
//! | `key.rs` | pure: the hash that finds a key |
//! | `log.rs` | the entry itself |
//! | `trigger.rs` | the trigger function |

pub mod context;
pub mod image;
pub mod key;
pub mod log;
pub mod plan;
pub mod policy;
mod trigger;

pub use trigger::remembered;

//! What the row trigger of audit and change feed does: one plan a relation, cached and invalidated;
//! the difference between two rows; the row key; the image as JSON; one appended entry.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `plan.rs` | what to record of a relation, and the cache of these plans |
//! | `policy.rs` | the stored policies, read below the snapshot of the transaction |
//! | `shape.rs` | what relations have looked like, under a number that entries refer to |
//! | `enable.rs` | recording a table, and ending it |
//! | `options.rs` | pure: what may be asked for by callers of either |
//! | `schema.rs` | the same for a whole schema, and tables created in it later |
//! | `exchange.rs` | a table that takes the place of a recorded one |
//! | `ddl.rs` | following DDL: new tables and partitions, renames |
//! | `coverage.rs` | what is not recorded any more |
//! | `attach.rs` | the triggers policies ask for together |
//! | `report.rs` | what enabling and disabling did |
//! | `context.rs` | who, where from and why: stored once, referred to by number |
//! | `identity.rs` | policies in step with tables' names, after a rename or a restore |
//! | `image.rs` | images and keys of rows |
//! | `key.rs` | pure: the hash that finds a key |
//! | `log.rs` | an entry of the audit log |
//! | `feed.rs` | an entry of the change feed |
//! | `feed_writer.rs` | the feed as a session writes to it |
//! | `pack.rs`, `pending.rs` | events of a transaction that share an entry; those that wait for it to be written |
//! | `segment.rs` | the tables of the feed, and what is in those that are full |
//! | `position.rs` | the order of the feed: positions, and who may still write below one |
//! | `blocks.rs` | pure: the blocks of positions of statements within one another |
//! | `notice.rs` | consumers woken at commit |
//! | `recorder.rs` | a change on its way to the audit log and the feed |
//! | `raw_json.rs` | pure: JSON text taken apart byte for byte |
//! | `forget.rs`, `forget_match.rs`, `forget_image.rs` | forgetting a person: finding entries, whose they are, what goes from them |
//! | `deep_json.rs` | JSON as a tree, however deep it is |
//! | `identity_words.rs` | pure: values that identify a person, found as whole words |
//! | `redaction.rs` | recording without values while a person is erased, and what a log must do to forget one |
//! | `storage.rs` | the tables audit and change feed share, made on first use |
//! | `trigger.rs` | the trigger function |
//! | `warning.rs` | what is said when a change is not recorded and the write goes on |

pub mod attach;
mod blocks;
pub mod context;
pub mod coverage;
pub mod ddl;
pub mod deep_json;
pub mod enable;
pub mod exchange;
pub mod feed;
mod feed_writer;
pub mod forget;
mod forget_image;
mod forget_match;
pub mod identity;
pub mod identity_words;
pub mod image;
pub mod key;
pub mod log;
mod notice;
pub mod options;
pub mod pack;
mod pending;
pub mod plan;
pub mod policy;
pub mod position;
pub mod raw_json;
mod recorder;
pub mod redaction;
pub mod report;
pub mod schema;
pub mod segment;
pub mod shape;
pub mod storage;
mod trigger;
mod warning;

pub use notice::send as before_commit;
pub use recorder::{Emitted, check_written, emit, remembered, write_pending};

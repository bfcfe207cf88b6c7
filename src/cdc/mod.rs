//! Change data capture: a feed of what tables' rows become, for named consumers.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `storage.rs` | the feed's tables, made on first use and owned by the extension's owner |
//! | `event.rs` | what an event looks like as JSON, shared by the feed and the WAL path |
//! | `decode/` | the WAL path: an output plugin for logical decoding |

pub mod decode;
mod event;
#[allow(dead_code)] // Callers follow.
pub mod storage;

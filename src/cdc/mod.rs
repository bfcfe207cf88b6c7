//! Change data capture: a feed of what tables' rows become, for named consumers.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `storage.rs` | the feed's tables, made on first use and owned by the extension's owner |

#[allow(dead_code)] // Callers follow.
pub mod storage;

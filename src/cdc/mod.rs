//! Change data capture: a feed of what tables' rows become, for named consumers.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions of capturing |
//! | `options.rs` | pure: what a caller may ask for |
//! | `enable.rs` | what enable_cdc asks for |
//! | `coverage.rs` | what is not captured any more, and what to do |
//! | `emit.rs` | events of the application's own |
//! | `consumer/` | who reads the feed: polling, acknowledging, keeping the feed small |
//! | `image.rs` | pure: what the feed keeps of a change, taken apart |
//! | `redact.rs` | forgetting a person |
//! | `storage.rs` | the feed's tables, made on first use and owned by the extension's owner |
//! | `upkeep.rs` | the upkeep of the feed's tables |
//! | `event.rs` | what an event looks like as JSON, shared by the feed and the WAL path |
//! | `decode/` | the WAL path: an output plugin for logical decoding |

mod api;
pub mod consumer;
mod coverage;
pub mod decode;
mod emit;
mod enable;
mod event;
mod image;
mod options;
pub mod redact;
pub mod storage;
pub mod upkeep;

pub use enable::FOLLOWER;

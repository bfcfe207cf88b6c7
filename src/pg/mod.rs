//! The ground: the only unsafe code of the crate, behind safe faces.
//!
//! Nothing here knows about a capability; nothing here imports upward.

mod analysis;
pub mod append;
pub mod batches;
pub mod cursor;
pub mod datetime;
pub mod datum;
pub mod decode;
pub mod encode;
pub mod expression;
pub mod expression_stats;
pub mod ffi;
pub mod index_definition;
mod index_entries;
pub mod invalidation;
pub mod json;
pub mod lock;
pub mod lookup;
pub mod memory;
mod nodes;
pub mod notify;
mod output;
pub mod parse;
pub mod planning;
pub mod procedure;
pub mod range;
mod repair;
pub mod result_set;
pub mod row_type;
pub mod rows;
pub mod security;
pub mod sequence;
pub mod session;
pub mod settings;
pub mod spi;
mod statement_text;
pub mod statements;
pub mod subtransaction;
pub mod table;
pub mod table_sample;
pub mod toplevel;
pub mod trigger;
pub mod tuple;
pub mod whatif;
pub mod worker;

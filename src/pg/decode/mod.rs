//! Logical decoding: PostgreSQL's callbacks behind a safe trait.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `callbacks.rs` | the C callbacks, each one guarded call of the trait |
//! | `relation.rs` | the relation of a change, read without taking a lock |
//! | `sink.rs` | writing lines to the client |
//! | `stale.rs` | which relations changed since a plan was made |
//! | `transaction.rs` | the transaction and the change being decoded |

mod callbacks;
mod relation;
mod sink;
pub mod stale;
mod transaction;

pub use callbacks::fill;
pub use relation::{Identity, Relation, names};
pub use sink::{Lines, Sink};
pub use transaction::{Action, Change, Transaction, full_id};

use super::memory::OwnedContext;
use crate::error::Result;

/// Where in the life of a transaction the decoder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boundary {
    Begin,
    Commit,
    BeginPrepare,
    Prepare,
    CommitPrepared,
    RollbackPrepared,
    StreamStart,
    StreamStop,
    StreamAbort,
    StreamPrepare,
    StreamCommit,
}

/// What a client asked of the decoder by way of options that PostgreSQL wants to know.
#[derive(Default)]
pub struct Features {
    /// Send large transactions while they run.
    pub streaming: bool,
}

/// A message written by pg_logical_emit_message().
pub struct Message<'a> {
    pub prefix: &'a [u8],
    pub content: &'a [u8],
    /// Number of the (sub)transaction that wrote it, where it belongs to one.
    pub subtransaction: Option<u32>,
    pub lsn: u64,
}

/// How a TRUNCATE was asked for.
#[derive(Clone, Copy)]
pub struct Truncation {
    pub cascade: bool,
    pub restart_identity: bool,
    pub lsn: u64,
    pub subtransaction: u32,
}

/// An output plugin. Nothing here may fail once it has started: an error in a callback stops the slot
/// for good, as the same change comes again.
pub trait Plugin: Sized + 'static {
    fn start(options: &[(String, Option<String>)], features: &mut Features) -> Result<Self>;

    /// Whether changes that came from this replication origin are wanted.
    fn wants_origin(&self, origin: u16) -> bool;

    fn boundary(&mut self, boundary: Boundary, transaction: &Transaction, lsn: u64, sink: &mut Sink);

    fn change(&mut self, transaction: &Transaction, relation: &Relation, change: &Change, sink: &mut Sink);

    fn truncate(
        &mut self,
        transaction: &Transaction,
        relations: &[Relation],
        truncation: Truncation,
        sink: &mut Sink,
    );

    fn message(&mut self, transaction: Option<&Transaction>, message: &Message, sink: &mut Sink);
}

/// A decoder at work: what a decoding context carries in its private pointer.
struct Decoder<P> {
    plugin: P,
    /// What PostgreSQL allocates while one change is written; emptied after it.
    row: OwnedContext,
    /// Changes left out since something was sent.
    silent: u32,
}

/// Exports `_PG_output_plugin_init`, which makes the library an output plugin, for a type.
#[macro_export]
macro_rules! export_output_plugin {
    ($plugin:ty) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        #[::pgrx::pg_guard]
        pub extern "C-unwind" fn _PG_output_plugin_init(
            callbacks: *mut ::pgrx::pg_sys::OutputPluginCallbacks,
        ) {
            $crate::pg::decode::fill::<$plugin>(callbacks)
        }
    };
}

//! The seal: a chain of hashes over what is in the log, by which any later change to it is found.
//!
//! A seal covers what transactions wrote that were over when it was made (`make.rs`). Its entries are
//! hashed in chunks with the contexts and relations they refer to; a seal hashes its chunks and the seal
//! before it. Who changes the log must make every later seal anew, and then no seal has the hash that was
//! kept elsewhere. A hash kept elsewhere is the only thing that this rests on.
//!
//! Lawful changes are in the chain: a month that the retention policy drops is a seal of kind retire,
//! which expects nothing of that month any more, and stores the chunks that the month shares with its
//! neighbours again under a new hash, after having verified them (`retire.rs`). Erasing a person from the log works
//! the same way, under a seal of kind redact whose detail, which is hashed too, says on whose order (`redact.rs`):
//! the chunks concerned are verified, their entries rewritten, and the chunks stored again. Of several rows for one
//! chunk the one of the latest seal counts, and the old hash stays in the chain beside the new.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `digest.rs` | pure: what is hashed, in which encoding |
//! | `items.rs` | pure: the few bytes by which a mismatch is pinned to an entry |
//! | `compare.rs` | pure: what differs between entries as sealed and as found |
//! | `stream.rs` | the log in the order of its seals |
//! | `chain.rs` | seals and chunks as stored, and the hash that chains them |
//! | `make.rs` | sealing |
//! | `verify.rs`, `findings.rs` | verifying, and what it reports |
//! | `retire.rs` | dropping sealed months |
//! | `redact.rs` | forgetting a person in a sealed log |

pub mod chain;
mod compare;
mod digest;
mod findings;
mod items;
pub mod make;
pub mod redact;
pub mod retire;
mod stream;
pub mod verify;

pub use digest::from_hex;

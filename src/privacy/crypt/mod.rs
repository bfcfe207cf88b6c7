//! Encryption of single values under a key for each person, so that throwing the key away erases
//! whatever was encrypted under it, wherever copies of it are.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `sealed.rs` | pure: the format of an encrypted value, sealing and opening |
//! | `key_file.rs` | pure: the master keys as a file lists them |
//! | `master.rs` | the master keys of this session, from the file or the command of the settings |
//! | `keys.rs` | data keys: stored wrapped under a master key, remembered by the session |

mod api;
mod key_file;
mod keys;
mod master;
mod sealed;

pub use keys::shred_again;

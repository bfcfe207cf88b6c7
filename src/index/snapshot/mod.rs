//! Figures of the statistics system over time, so that "unused" means unused since a stated time, whatever
//! was reset in between, on standbys too.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `take.rs` | keeping figures of this server or a standby, and forgetting old ones |
//! | `evidence.rs` | what the kept figures and the present ones say of each index |
//! | `api.rs` | the SQL functions |

mod api;
pub mod evidence;
mod take;

pub use take::STEPS;

/// The name of the server that writes, among the nodes figures are from.
pub const PRIMARY: &str = "primary";

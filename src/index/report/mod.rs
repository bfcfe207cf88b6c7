//! The catalogue reports. Each runs as its caller and speaks only of tables the caller may know of.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `usage.rs` | how much each index is used, and over what time that is known |
//! | `unused.rs` | indexes not used for a stated time |
//! | `redundant.rs` | indexes that others make redundant |
//! | `foreign_keys.rs` | foreign keys whose checks search a whole table |
//! | `invalid.rs` | indexes that cannot be used |
//! | `bloat.rs` | indexes larger than they have to be |
//! | `review.rs` | what became of advice given before |
//! | `api.rs`, `bloat_api.rs`, `review_api.rs` | the SQL functions |

mod api;
mod bloat;
mod bloat_api;
pub mod foreign_keys;
mod invalid;
mod redundant;
mod review;
mod review_api;
mod unused;
pub mod usage;

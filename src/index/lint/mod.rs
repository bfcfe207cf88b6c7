//! Pure rules about indexes: what covers a foreign key, what makes an index redundant, what one must not
//! drop, how often is often. Nothing here reads anything.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `cover.rs` | whether an index serves a foreign key's checks and actions |
//! | `redundant.rs` | whether one index does all that another does |
//! | `outcome.rs` | whether advice turned out as predicted |
//! | `protect.rs` | what an index enforces or serves |
//! | `usage.rs` | how used an index is, given scans and days |

pub mod cover;
pub mod outcome;
pub mod protect;
pub mod redundant;
pub mod usage;

#[cfg(test)]
pub mod sample;

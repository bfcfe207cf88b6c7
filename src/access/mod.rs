//! Who may use what: three levels, given to roles of the installation's choosing.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `levels.rs` | pure: which function belongs to which level |
//! | `api.rs` | `grant_access` and `revoke_access` |

mod api;
mod levels;

//! Changing what is partitioned beside those who use it: procedures that commit step by step.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL procedures |
//! | `attempts.rs` | short waits for locks, retried until a deadline |
//! | `exchange_locks.rs` | the locks of several tables, taken together |
//! | `call.rs` | what every such procedure begins with |
//! | `operation.rs` | the table of operations that take long, to show and to resume |
//! | `scheme.rs` | by which column and in which steps |
//! | `index.rs` | create_partitioned_index() |
//! | `default.rs` | promote_default() and drain_default() |
//! | `detach.rs` | detach_partition() |

mod api;
pub mod attempts;
pub mod call;
mod default;
mod detach;
mod exchange_locks;
mod index;
mod operation;
mod scheme;

pub use attempts::Attempts;
pub use call::{Call, tell};
pub use detach::hand_over;
pub use exchange_locks::Turns;
pub use operation::{Operation, begin, finish, resume, unfinished};
pub use scheme::{Scheme, Wish};

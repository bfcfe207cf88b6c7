//! Changing what is partitioned beside those who use it: procedures that commit step by step.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL procedures |
//! | `attempts.rs` | short waits for locks, retried until a deadline |
//! | `call.rs` | what every such procedure begins with |
//! | `detach.rs` | detach_partition() |

mod api;
mod attempts;
mod call;
mod detach;

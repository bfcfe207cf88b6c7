//! Where erased values may still be, besides the tables themselves (`../verify.rs`).
//!
//! | file | what it looks at |
//! | --- | --- |
//! | `values.rs` | planner statistics, large objects, statement texts: looked through for the values |
//! | `catalogue.rs` | comments, definitions, partition bounds, names: looked through for the values |
//! | `statistics.rs` | what planner statistics of erased tables may hold besides, and how they are cleared |
//! | `touched.rs` | the files of what was erased from, as they were then; what was made from those tables |
//! | `aging.rs` | dead rows, bytes not overwritten yet, write-ahead log |
//! | `outside.rs` | copies this database cannot look into |

pub mod aging;
pub mod catalogue;
pub mod outside;
pub mod statistics;
pub mod touched;
pub mod values;

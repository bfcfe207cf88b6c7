//! Indexes: which would help, which are of no use, and what of that came true. Advice comes from
//! PostgreSQL's own planner, asked in process what it would do with indexes that are not there and without
//! some that are; reports come from the catalogue and the server's statistics.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `lint/` | pure rules: cover of foreign keys, redundancy, protection, categories of use |
//! | `report/` | the catalogue reports: usage, unused, redundant, foreign keys, invalid, bloat |
//! | `size.rs` | pure: pages and height of an index from what is known of its keys |
//! | `sizer.rs` | what is known of them: samples of tables, kept for one call |
//! | `slow/` | what slow statements really do |
//! | `snapshot/` | figures kept over time: taking, importing, and what they prove |
//! | `statement.rs` | the statements a report hands to the DBA |
//! | `whatif.rs` | from a CREATE INDEX statement to something the planner takes for an index |
//! | `whatif_api.rs` | `explain_with_indexes`, `index_cost` |

mod lint;
mod report;
mod size;
mod sizer;
mod slow;
pub mod snapshot;
mod statement;
mod whatif;
mod whatif_api;

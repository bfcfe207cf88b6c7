//! Indexes: which would help, which are of no use, and what of that came true. Advice comes from
//! PostgreSQL's own planner, asked in process what it would do with indexes that are not there and without
//! some that are; reports come from the catalogue and the server's statistics.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `advice.rs` | advice in words, and the log it is kept in |
//! | `advise_api.rs` | `suggest_indexes`, `workload_coverage` |
//! | `advisor.rs` | from a workload to the indexes worth creating |
//! | `candidate.rs` | indexes that could help a statement |
//! | `drops.rs` | existing indexes that cost more than they serve |
//! | `existing.rs` | whether an index that is there does what a new one would |
//! | `judged.rs` | existing indexes that advice may touch: what they cost, what takes their place |
//! | `lint/` | pure rules: cover of foreign keys, redundancy, protection, categories of use |
//! | `plans.rs` | pure: what the planner has said of one question, and what follows from it |
//! | `portfolio.rs` | pure: the best set of indexes under a budget, by the plans that are known |
//! | `price.rs` | pure: what writes pay for an index |
//! | `replace.rs` | existing indexes extended by an advised one, or merged into one |
//! | `report/` | the catalogue reports: usage, unused, redundant, foreign keys, invalid, bloat |
//! | `search.rs` | pure: which plans to ask for, until the best set is known |
//! | `size.rs` | pure: pages and height of an index from what is known of its keys |
//! | `size_gin.rs` | pure: the same for GIN, from the elements of values |
//! | `sizer.rs` | what is known of them: samples of tables, kept for one call |
//! | `slow/` | what slow statements really do |
//! | `snapshot/` | figures kept over time: taking, importing, and what they prove |
//! | `spec.rs` | an index that could be created |
//! | `statement.rs` | the statements a report hands to the DBA |
//! | `values.rs` | values for parameters, from pg_stats |
//! | `whatif.rs` | from a CREATE INDEX statement to something the planner takes for an index |
//! | `whatif_api.rs` | `explain_with_indexes`, `index_cost` |
//! | `workload.rs` | the statements to advise for, analysed, or why not |
//! | `writes.rs` | how often tables and their columns are written |

mod advice;
mod advise_api;
mod advisor;
mod candidate;
mod drops;
mod existing;
mod judged;
mod lint;
mod plans;
mod portfolio;
mod price;
mod replace;
mod report;
mod search;
mod size;
mod size_gin;
mod sizer;
mod slow;
pub mod snapshot;
mod spec;
mod statement;
mod values;
mod whatif;
mod whatif_api;
mod workload;
mod writes;

//! Static masking: what columns hold is replaced, in the table itself, by what was declared for them.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `api.rs` | the SQL functions |
//! | `pseudonym.rs` | pure: keyed replacements, the same for the same value, different for different ones |
//! | `feistel.rs` | pure: permutations of numbers, digit strings and ranges |
//! | `table.rs` | what must be known of a table and its columns before masking |
//! | `rules.rs` | what happens to each column: checked, with the reasons of refusals |
//! | `plan.rs` | what a masking would do, for several tables at once |
//! | `keys.rs` | foreign keys between masked columns |
//! | `logs.rs` | logs that keep the values as they were |
//! | `expression.rs` | pure: the SQL expression of a rule |
//! | `running.rs` | the pseudonyms of the masking that is under way, and the function SQL reaches them by |
//! | `run.rs` | masking a table, in one transaction or in batches that commit |
//! | `rewrite.rs` | masking by writing a table anew |
//! | `usage.rs` | the right to name our functions, for a moment |
//! | `job.rs` | how far a masking in batches is, kept so that it can be resumed |
//! | `view.rs` | masked views |
//! | `anonymity.rs` | k-anonymity and l-diversity |

mod anonymity;
mod api;
mod expression;
mod feistel;
mod job;
mod keys;
mod logs;
mod plan;
mod pseudonym;
mod rewrite;
mod rules;
mod run;
mod running;
mod table;
mod usage;
mod view;

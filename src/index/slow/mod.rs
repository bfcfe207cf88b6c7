//! What slow statements really do: their figures from pg_stat_statements, their plans from PostgreSQL's own
//! planner. Texts are analysed, never searched for words, and never shown.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `figures.rs` | what pg_stat_statements says of the statements |
//! | `rules.rs` | pure: findings from figures and a plan |
//! | `analyse.rs` | planning each, and trying the index that would help |
//! | `api.rs` | `analyze_slow_queries` |

mod analyse;
mod api;
mod figures;
mod rules;

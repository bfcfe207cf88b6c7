//! Indexes: which would help, which are of no use, and what of that came true.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `lint/` | pure rules: cover of foreign keys, redundancy, protection, categories of use |
//! | `report/` | the catalogue reports: usage, unused, redundant; foreign keys; invalid |
//! | `snapshot/` | figures kept over time: taking, importing, and what they prove |
//! | `statement.rs` | the statements a report hands to the DBA |

mod lint;
mod report;
pub mod snapshot;
mod statement;

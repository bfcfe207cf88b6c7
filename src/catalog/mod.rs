//! What PostgreSQL's catalogue says, typed: the one place that reads pg_catalog by query.

pub mod column;
pub mod foreign_key;
pub mod index;
pub mod relation;
pub mod trigger;
pub mod workload;
pub mod writing;

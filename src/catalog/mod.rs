//! What PostgreSQL's catalogue says, typed: the one place that reads pg_catalog by query.

pub mod column;
pub mod relation;
pub mod trigger;
pub mod writing;

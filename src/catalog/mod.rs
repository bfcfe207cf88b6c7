//! What PostgreSQL's catalogue says, typed: the one place that reads pg_catalog by query.

pub mod relation;
pub mod trigger;

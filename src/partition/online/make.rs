//! A new partition: made beside the table, then attached, which readers and writers do not notice.

use super::attempts::Attempts;
use crate::error::{Error, Result};
use crate::pg::{lookup, spi};
use pgrx::pg_sys;

pub struct Made<'a> {
    pub parent: pg_sys::Oid,
    pub schema: &'a str,
    pub name: &'a str,
    /// As SQL, between the parentheses.
    pub low: &'a str,
    pub high: &'a str,
}

/// Makes and attaches a partition.
pub fn make(attempts: &Attempts, made: &Made) -> Result<()> {
    attempts.retrying(|| {
        let parent =
            lookup::qualified_name(made.parent).ok_or_else(|| Error::internal("the table has gone"))?;
        let child = lookup::qualify(made.schema, made.name);
        // Parent first, always: who takes locks in this order cannot deadlock with us.
        spi::run(&format!("LOCK TABLE ONLY {parent} IN SHARE UPDATE EXCLUSIVE MODE"), &[])?;
        create(&parent, &child)?;
        spi::run(
            &format!(
                "ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES FROM ({}) TO ({})",
                made.low, made.high
            ),
            &[],
        )?;
        Ok(())
    })
}

/// A table like the partitioned one, with its indexes; identity belongs to the partitioned table.
pub fn create(parent: &str, child: &str) -> Result<()> {
    spi::run(&format!("CREATE TABLE {child} (LIKE {parent} INCLUDING ALL EXCLUDING IDENTITY)"), &[])?;
    Ok(())
}

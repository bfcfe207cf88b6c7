//! Foreign keys that came back unchecked, to be checked beside readers and writers.

use super::carry::Statement;
use crate::error::Result;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

/// A constraint to be validated. Kept as what it is, not as a command.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Unchecked {
    relation: u32,
    constraint: String,
}

/// Foreign keys to a table that have been checked once, and so will be again.
pub fn of(table: pg_sys::Oid) -> Result<Vec<Unchecked>> {
    spi::read_now(
        "SELECT c.conrelid, c.conname::text FROM pg_constraint AS c
          WHERE c.confrelid = $1 AND c.conrelid <> $1 AND c.contype = 'f' AND c.conparentid = 0 AND c.convalidated
          ORDER BY c.conrelid, c.conname",
        &[table.into()],
        |row| {
            Ok(Unchecked {
                relation: row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid).to_u32(),
                constraint: row.get::<String>(2)?.unwrap_or_default(),
            })
        },
    )
}

impl Unchecked {
    /// The command that checks it, as its table's owner; none where the table has gone.
    pub fn statement(&self) -> Result<Option<Statement>> {
        let relation = pg_sys::Oid::from(self.relation);
        let Some(name) = lookup::qualified_name(relation) else { return Ok(None) };
        let role = spi::read_one_now::<pg_sys::Oid>(
            "SELECT c.relowner FROM pg_class AS c JOIN pg_constraint AS k ON k.conrelid = c.oid
              WHERE c.oid = $1 AND k.conname = $2::name",
            &[relation.into(), self.constraint.as_str().into()],
        );
        let Some(role) = role else { return Ok(None) };
        let constraint = pgrx::spi::quote_identifier(&self.constraint);
        Ok(Some(Statement { role, sql: format!("ALTER TABLE {name} VALIDATE CONSTRAINT {constraint}") }))
    }

    /// Checks it.
    pub fn check(&self, owner: pg_sys::Oid) -> Result<()> {
        match self.statement()? {
            Some(statement) => super::as_role(owner, &statement),
            None => Ok(()),
        }
    }
}

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
    /// A foreign key of the first partition that is to become the partitioned table's, to itself.
    #[serde(default)]
    rises: bool,
}

/// Foreign keys of other tables to a table that have been checked once, and so will be again.
pub fn of(table: pg_sys::Oid) -> Result<Vec<Unchecked>> {
    foreign_keys(table, false, false)
}

/// Foreign keys of a table to itself, which are to become those of what it is a partition of by then, or not.
pub fn of_itself(table: pg_sys::Oid, rises: bool) -> Result<Vec<Unchecked>> {
    foreign_keys(table, true, rises)
}

fn foreign_keys(table: pg_sys::Oid, own: bool, rises: bool) -> Result<Vec<Unchecked>> {
    spi::read_now(
        "SELECT c.conrelid, c.conname::text FROM pg_constraint AS c
          WHERE c.confrelid = $1 AND (c.conrelid = $1) = $2 AND c.contype = 'f' AND c.conparentid = 0 AND c.convalidated
          ORDER BY c.conrelid, c.conname",
        &[table.into(), own.into()],
        |row| {
            Ok(Unchecked {
                relation: row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid).to_u32(),
                constraint: row.get::<String>(2)?.unwrap_or_default(),
                rises,
            })
        },
    )
}

impl Unchecked {
    pub fn name(&self) -> &str {
        &self.constraint
    }

    /// Whether the partitioned table is to have it too.
    pub fn rises(&self) -> bool {
        self.rises
    }

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

    /// Gives the partitioned table the constraint its partition has: no row is read, the partition's becomes
    /// part of it. SHARE ROW EXCLUSIVE on both.
    pub fn rise(&self, owner: pg_sys::Oid) -> Result<()> {
        if !self.rises {
            return Ok(());
        }
        let statements = spi::read_now(
            "SELECT p.relowner, sql
               FROM pg_constraint AS k JOIN pg_inherits AS i ON i.inhrelid = k.conrelid JOIN pg_class AS p ON p.oid = i.inhparent
              CROSS JOIN LATERAL (VALUES
                  (1, format('ALTER TABLE %s ADD CONSTRAINT %I %s', p.oid::regclass, k.conname, pg_get_constraintdef(k.oid))),
                  (2, CASE WHEN obj_description(k.oid, 'pg_constraint') IS NOT NULL
                           THEN format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, p.oid::regclass, obj_description(k.oid, 'pg_constraint')) END)
                ) AS part (n, sql)
              WHERE k.conrelid = $1 AND k.conname = $2::name AND k.contype = 'f' AND k.conparentid = 0 AND sql IS NOT NULL
              ORDER BY n",
            &[pg_sys::Oid::from(self.relation).into(), self.constraint.as_str().into()],
            |row| {
                Ok(Statement {
                    role: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                    sql: row.get(2)?.unwrap_or_default(),
                })
            },
        )?;
        statements.iter().try_for_each(|statement| super::as_role(owner, statement))
    }
}

//! Values whose time has come: retention declared with a column, counted from another column.

use super::action::Action;
use super::deletion_log::{self, Entry};
use super::owner::{self, Values};
use super::replace;
use super::seek::retained_until;
use super::sql::{self, of};
use super::table::{self, Table};
use super::{catalogue, graph, storage};
use crate::capture::redaction;
use crate::error::Result;
use crate::pg::{security, spi};

/// Rows changed in one transaction.
const BATCH: usize = 5000;

/// Something to be done with rows of a table that are past their time.
pub struct Due {
    pub table: Table,
    pub column: catalogue::Column,
    assignment: String,
    condition: String,
    values: Values,
}

impl Due {
    pub fn action(&self) -> &'static str {
        if self.column.action == Action::DeleteRow { "delete" } else { "mask" }
    }

    pub fn object(&self) -> String {
        format!("{}.{}", self.table.qualified, sql::identifier(&self.column.column))
    }

    pub fn count(&self) -> Result<u64> {
        let query = format!(
            "SELECT pg_catalog.count(*)::pg_catalog.text FROM {} AS t WHERE {}",
            self.table.qualified, self.condition
        );
        let rows =
            owner::within(self.table.owner, &self.table.qualified, || owner::texts(&query, &self.values, 1))?;
        Ok(rows.first().and_then(|row| row[0].as_ref()).and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    /// Does one batch; returns how many rows it found and how many it changed.
    pub fn batch(&self) -> Result<(usize, u64)> {
        let table = &self.table;
        let key: Vec<String> =
            table.key.iter().map(|column| format!("{}::pg_catalog.text", of("t", &column.name))).collect();
        let query = format!(
            "SELECT {} FROM {} AS t WHERE {} LIMIT {BATCH} FOR UPDATE OF t SKIP LOCKED",
            key.join(", "),
            table.qualified,
            self.condition
        );
        redaction::without_values(|| {
            owner::within(table.owner, &table.qualified, || {
                let keys = owner::texts(&query, &self.values, key.len())?;
                if keys.is_empty() {
                    return Ok((0, 0));
                }
                let mut values = self.values.clone();
                let rows = sql::among("t", &table.key, &keys, &mut values);
                let statement = if self.column.action == Action::DeleteRow {
                    format!("DELETE FROM {} AS t WHERE {rows}", table.qualified)
                } else {
                    format!("UPDATE {} AS t SET {} WHERE {rows}", table.qualified, self.assignment)
                };
                Ok((keys.len(), owner::run(&statement, &values)?))
            })
        })
    }

    pub fn note(&self, rows: u64) -> Result<()> {
        let run = deletion_log::Run { request_id: None, subject_type: "", plan_hash: "" };
        let entry = Entry {
            step: 0,
            object: self.table.qualified.clone(),
            action: format!("retention: {}", self.action()),
            columns: vec![self.column.column.clone()],
            affected: rows as i64,
            retained: 0,
            reason: Some("the time it had to be kept is over".to_owned()),
            until: None,
            owner: self.table.owner_name.clone(),
        };
        deletion_log::append(&run, &[entry])?;
        Ok(())
    }
}

/// Everything declared with a time limit, on tables without a hold.
pub fn due() -> Result<Vec<Due>> {
    storage::require()?;
    let columns = catalogue::columns()?;
    let mut found = Vec::new();
    for column in columns.iter().filter(|c| c.retention.is_some() && c.retention_from.is_some()) {
        if held(&column.schema, &column.table)? || column.action == Action::Keep {
            continue;
        }
        let relid = graph::resolve(&column.schema, &column.table)?;
        let Some(table) = table::load(&[relid], std::slice::from_ref(column))?.into_iter().next() else {
            continue;
        };
        let mut values = Values::default();
        let over =
            format!("{} OPERATOR(pg_catalog.<=) pg_catalog.now()", retained_until(column, &mut values));
        if column.action == Action::DeleteRow {
            found.push(Due {
                table,
                column: column.clone(),
                assignment: String::new(),
                condition: over,
                values,
            });
            continue;
        }
        let spare: Vec<String> = table.key.iter().map(|key| key.name.clone()).collect();
        let (replacements, _) = replace::replacements(
            &table,
            true,
            Some(std::slice::from_ref(&column.column)),
            &spare,
            &[],
            &mut values,
        );
        let Some(replacement) = replacements.into_iter().next().filter(|replacement| replacement.steady)
        else {
            continue;
        };
        let condition = format!(
            "{over} AND {}::pg_catalog.text IS DISTINCT FROM ({})::pg_catalog.text",
            of("t", &column.column),
            replacement.expression
        );
        let assignment = format!("{} = {}", sql::identifier(&column.column), replacement.expression);
        found.push(Due { table, column: column.clone(), assignment, condition, values });
    }
    Ok(found)
}

fn held(schema: &str, table: &str) -> Result<bool> {
    let held = security::as_extension_owner(|| {
        spi::read_one_now::<bool>(
            "SELECT true FROM architect.privacy_hold AS h
              WHERE h.lifted_at IS NULL AND (h.hold_until IS NULL OR h.hold_until OPERATOR(pg_catalog.>) pg_catalog.now())
                AND h.schema_name OPERATOR(pg_catalog.=) $1 AND h.table_name OPERATOR(pg_catalog.=) $2 LIMIT 1",
            &[schema.into(), table.into()],
        )
    });
    Ok(held == Some(true))
}

/// Whether a batch was the last.
pub fn is_last(found: usize) -> bool {
    found < BATCH
}

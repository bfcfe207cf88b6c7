//! Values whose time has come: retention declared with a column, counted from another column.

use super::action::Action;
use super::collect::Texts;
use super::deletion_log::{self, Entry};
use super::owner::{self, Values};
use super::replace;
use super::retention_hold::{self, Held, Persons};
use super::seek::retained_until;
use super::sql::{self, of};
use super::table::{self, Table};
use super::{catalogue, graph, storage};
use crate::capture::redaction;
use crate::error::{Error, Result};
use crate::pg::batches::Cursor;

/// Rows changed in one transaction.
const BATCH: usize = 5000;

/// Something to be done with rows of a table that are past their time.
pub struct Due {
    pub table: Table,
    pub column: catalogue::Column,
    assignment: String,
    condition: String,
    values: Values,
    /// Keys of rows that were found and are held.
    spared: Vec<Texts>,
}

impl Due {
    pub fn action(&self) -> &'static str {
        if self.column.action == Action::DeleteRow { "delete" } else { "mask" }
    }

    pub fn object(&self) -> String {
        format!("{}.{}", self.table.qualified, sql::identifier(&self.column.column))
    }

    fn deletes(&self) -> bool {
        self.column.action == Action::DeleteRow
    }

    /// Persons whose rows stay; fails where the whole table is held.
    fn held(&self) -> Result<Persons> {
        match retention_hold::of(self.table.relid, self.deletes())? {
            Held::Persons(persons) => Ok(persons),
            Held::Whole(why) => Err(Error::not_in_prerequisite_state(why)),
        }
    }

    /// Columns as texts: the row's key, and behind it what tells held persons apart.
    fn selected(&self, held: &Persons) -> Vec<String> {
        let key = self.table.key.iter().map(|column| &column.name);
        key.chain(held.columns()).map(|name| format!("{}::pg_catalog.text", of("t", name))).collect()
    }

    pub fn count(&self) -> Result<u64> {
        let table = &self.table;
        let held = self.held()?;
        let selected = self.selected(&held);
        let query =
            format!("SELECT {} FROM {} AS t WHERE {}", selected.join(", "), table.qualified, self.condition);
        let mut rows = 0;
        owner::within(table.owner, &table.qualified, || {
            Cursor::open(&query, &self.values.arguments())?.each(|row| {
                let person: Vec<Option<String>> =
                    (table.key.len()..selected.len()).map(|i| row.text(i)).collect();
                rows += u64::from(!held.hold(&person));
                Ok(())
            })
        })?;
        Ok(rows)
    }

    /// Does one batch; returns whether it was the last and how many rows it changed.
    pub fn batch(&mut self) -> Result<(bool, u64)> {
        retention_hold::keep_still()?;
        let held = self.held()?;
        let selected = self.selected(&held);
        let table = &self.table;
        let mut values = self.values.clone();
        let mut condition = self.condition.clone();
        if !self.spared.is_empty() {
            let spared = sql::among("t", &table.key, &self.spared, &mut values);
            condition.push_str(&format!(" AND NOT {spared}"));
        }
        let query = format!(
            "SELECT {} FROM {} AS t WHERE {condition} LIMIT {BATCH} FOR UPDATE OF t SKIP LOCKED",
            selected.join(", "),
            table.qualified,
        );
        let mut spared = Vec::new();
        let (found, changed) = redaction::without_values(|| {
            owner::within(table.owner, &table.qualified, || {
                let rows = owner::texts(&query, &values, selected.len())?;
                let found = rows.len();
                let mut keys = Vec::new();
                for mut row in rows {
                    let person = row.split_off(table.key.len());
                    if held.hold(&person) { spared.push(row) } else { keys.push(row) }
                }
                if keys.is_empty() {
                    return Ok((found, 0));
                }
                let mut values = self.values.clone();
                let rows = sql::among("t", &table.key, &keys, &mut values);
                let statement = if self.deletes() {
                    format!("DELETE FROM {} AS t WHERE {rows}", table.qualified)
                } else {
                    format!("UPDATE {} AS t SET {} WHERE {rows}", table.qualified, self.assignment)
                };
                Ok((found, owner::run(&statement, &values)?))
            })
        })?;
        let last = found < BATCH || changed == 0 && spared.is_empty();
        self.spared.extend(spared);
        Ok((last, changed))
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

/// Everything declared with a time limit, on tables that the caller may change and nobody holds.
pub fn due() -> Result<Vec<Due>> {
    storage::require()?;
    let columns = catalogue::columns()?;
    let mut found = Vec::new();
    for column in columns.iter().filter(|c| c.retention.is_some() && c.retention_from.is_some()) {
        if column.action == Action::Keep {
            continue;
        }
        let relid = graph::resolve(&column.schema, &column.table)?;
        let Some(table) = table::load(&[relid], std::slice::from_ref(column))?.into_iter().next() else {
            continue;
        };
        if !table.may_act() {
            pgrx::notice!("{} is left alone: it belongs to role {}", table.qualified, table.owner_name);
            continue;
        }
        if let Held::Whole(why) = retention_hold::of(relid, column.action == Action::DeleteRow)? {
            pgrx::notice!("{} is left alone: {why}", table.qualified);
            continue;
        }
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
                spared: Vec::new(),
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
        found.push(Due { table, column: column.clone(), assignment, condition, values, spared: Vec::new() });
    }
    Ok(found)
}

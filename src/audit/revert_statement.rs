//! The statement of a step: as it is run, and as a reader sees it.

use crate::audit::revert_sql::{self, Literal};
use crate::audit::revert_table::TableUndo;
use crate::audit::rewind::Cell;
use crate::audit::undo::{Action, Step};
use crate::capture::raw_json;
use crate::pg::subtransaction::attempt;

impl TableUndo {
    /// A step's statement, its parameters, and the same with literals.
    pub fn statement(&self, step: &Step) -> (String, Vec<Vec<u8>>) {
        let columns: Vec<String> = step.cells.iter().map(|(p, _)| self.quoted(*p)).collect();
        let key = self.key_object(&step.key);
        match step.action {
            Action::Update => (self.target.update(&columns), vec![self.object(&step.cells), key]),
            Action::Insert => (self.target.insert(&columns), vec![self.object(&step.cells)]),
            Action::Delete => (self.target.delete(), vec![key]),
        }
    }

    pub fn shown(&self, step: &Step) -> String {
        let literals = |cells: &[Cell]| -> Vec<Literal> {
            cells.iter().map(|(p, value)| (self.quoted(*p), self.literal(*p, value))).collect()
        };
        let key = literals(&self.key_cells(&step.key));
        match step.action {
            Action::Update => revert_sql::shown_update(&self.table, &literals(&step.cells), &key),
            Action::Insert => revert_sql::shown_insert(&self.table, &literals(&step.cells)),
            Action::Delete => revert_sql::shown_delete(&self.table, &key),
        }
    }

    fn literal(&self, position: usize, value: &[u8]) -> String {
        let quote = |text: &str| pgrx::spi::quote_literal(text);
        let plain = String::from_utf8_lossy(value);
        if plain == "null" {
            return "NULL".to_owned();
        }
        if self.columns.iter().any(|c| c.position == position && c.json) {
            return quote(&plain);
        }
        match value.first() {
            Some(b'"') => quote(&raw_json::unquoted(value)),
            Some(b'[' | b'{') => {
                let object = self.object(&[(position, value.into())]);
                let made = attempt(|| {
                    let row = self.row_type.populate(None, &object);
                    Ok(self.row_type.expand(row).and_then(|row| self.row_type.text(&row, position)))
                });
                quote(&made.ok().flatten().unwrap_or_else(|| plain.into_owned()))
            }
            _ => plain.into_owned(),
        }
    }

    fn quoted(&self, position: usize) -> String {
        pgrx::spi::quote_identifier(&self.row_type.attributes[position].name)
    }
}

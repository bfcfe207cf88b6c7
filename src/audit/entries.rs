//! Log entries of one table, read raw and understood in terms of its present columns.

use crate::audit::lineage::LoggedShape;
use crate::audit::rewind::{Cell, Change, Key};
use crate::audit::subject::Subject;
use crate::capture::raw_json::{elements, members};
use crate::error::Result;
use crate::pg::{rows, security};
use pgrx::datum::DatumWithOid;
use std::collections::HashMap;

/// One row of audit_entry. A key change is one entry here, with both keys.
#[derive(Debug, Clone)]
pub struct Entry {
    pub changed_at: i64,
    pub audit_id: i64,
    pub operation: u8,
    pub relation_id: i32,
    pub key: Option<Key>,
    pub former_key: Option<Key>,
    pub image: Box<[u8]>,
}

/// What a relation's images and keys mean for the table as it is now.
pub struct Meaning {
    /// Present positions of the columns, by their names then.
    columns: HashMap<String, usize>,
    /// Present positions of the key's columns; none if one is no longer there.
    pub key: Option<Vec<usize>>,
    pub keyless: bool,
    /// The partition, or the table itself.
    pub relid: u32,
    /// The table, not a partition of it.
    pub whole: bool,
}

impl Meaning {
    fn of(subject: &Subject, shape: &LoggedShape) -> Self {
        let position = |column: &String| {
            let now = subject.lineage.current_name(shape, column)?;
            subject.lineage.target.iter().position(|name| *name == now)
        };
        Self {
            columns: shape
                .columns
                .iter()
                .filter(|column| !column.is_empty())
                .filter_map(|column| Some((column.clone(), position(column)?)))
                .collect(),
            key: shape.key_columns.iter().map(position).collect(),
            keyless: shape.key_columns.is_empty(),
            relid: shape.relid,
            whole: shape.partition.is_none(),
        }
    }

    pub fn all(subject: &Subject) -> HashMap<i32, Self> {
        subject.lineage.shapes.iter().map(|s| (s.relation_id, Self::of(subject, s))).collect()
    }

    /// What the entry says, in present columns. Key columns that were not recorded are taken from the key.
    pub fn change(&self, entry: &Entry) -> Change {
        match entry.operation {
            b'I' => Change::Insert(self.with_key(self.row(&entry.image), entry.key.as_deref())),
            b'D' => Change::Delete(self.with_key(self.row(&entry.image), entry.key.as_deref())),
            b'F' => {
                let image = members(&entry.image);
                let part =
                    |wanted: &str| image.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
                let (old, new) = self.changes(part("changes").unwrap_or_default(), entry);
                let row = self.with_key(
                    self.row(part("row").unwrap_or_default()),
                    entry.former_key.as_deref().or(entry.key.as_deref()),
                );
                Change::Update { old, new, row: Some(row), former_key: entry.former_key.clone() }
            }
            _ => {
                let (old, new) = self.changes(&entry.image, entry);
                Change::Update { old, new, row: None, former_key: entry.former_key.clone() }
            }
        }
    }

    fn row(&self, object: &[u8]) -> Vec<Cell> {
        members(object)
            .into_iter()
            .filter_map(|(name, value)| Some((*self.columns.get(&name)?, value.into())))
            .collect()
    }

    fn changes(&self, object: &[u8], entry: &Entry) -> (Vec<Cell>, Vec<Cell>) {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (name, pair) in members(object) {
            let (Some(&column), &[before, after]) = (self.columns.get(&name), elements(pair).as_slice())
            else {
                continue;
            };
            old.push((column, before.into()));
            new.push((column, after.into()));
        }
        if let Some(former) = &entry.former_key {
            old = self.with_key(old, Some(former));
            new = self.with_key(new, entry.key.as_deref());
        }
        (old, new)
    }

    fn with_key(&self, mut cells: Vec<Cell>, key: Option<&[u8]>) -> Vec<Cell> {
        if let (Some(columns), Some(key)) = (&self.key, key) {
            add_key(&mut cells, columns, key);
        }
        cells
    }
}

/// Adds the values of a key that are not among the cells.
pub fn add_key(cells: &mut Vec<Cell>, columns: &[usize], key: &[u8]) {
    let parts = if columns.len() == 1 { vec![key] } else { elements(key) };
    for (&column, part) in columns.iter().zip(parts) {
        if !cells.iter().any(|(known, _)| *known == column) {
            cells.push((column, part.into()));
        }
    }
}

/// Reads entries for which `condition` holds (on audit_entry AS e, with `arguments` from $1), in `order`
/// of time, as the log's owner. A key change comes once.
pub fn read(
    condition: &str,
    order: Order,
    images: bool,
    arguments: &[DatumWithOid],
    mut each: impl FnMut(Entry) -> Result<()>,
) -> Result<()> {
    let direction = match order {
        Order::OldestFirst => "",
        Order::NewestFirst => "DESC",
    };
    let image = if images { "e.image" } else { "NULL::pg_catalog.json" };
    let query = format!(
        "SELECT e.changed_at, e.audit_id, e.operation, e.relation_id, e.row_key, {image}
           FROM architect.audit_entry AS e
          WHERE {condition}
          ORDER BY e.changed_at {direction}, e.audit_id {direction}, e.operation OPERATOR(pg_catalog.=) 'K' DESC"
    );
    let mut former: Option<(i64, Key)> = None;
    security::as_extension_owner(|| {
        rows::each(&query, arguments, |row| {
            let audit_id = row.get(1).unwrap_or_default();
            let operation = row.get::<i8>(2).unwrap_or_default() as u8;
            let key = (!row.value(4).is_null()).then(|| Key::from(row.bytes(4)));
            if operation == b'K' {
                former = key.map(|key| (audit_id, key));
                return Ok(());
            }
            each(Entry {
                changed_at: row.get(0).unwrap_or_default(),
                audit_id,
                operation,
                relation_id: row.get(3).unwrap_or_default(),
                key,
                former_key: former.take().filter(|(id, _)| *id == audit_id).map(|(_, key)| key),
                image: row.bytes(5).into(),
            })
        })
    })
}

#[derive(Clone, Copy)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

//! What an entry's relation number stands for, remembered for the session: a stored shape never changes.

use super::feed::Entry;
use super::filter::{Filter, Topics};
use super::keys::{EventKeys, OUTBOX};
use crate::capture::policy::storage_missing;
use crate::cdc::image::{Image, label};
use crate::error::Result;
use crate::pg::lookup;
use crate::pg::table::Table;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A table as it was when an entry was written.
pub struct Relation {
    pub table_id: i32,
    pub schema_name: String,
    pub table_name: String,
    pub partition: Option<(String, String)>,
    /// The key columns as JSON strings.
    pub key_labels: Vec<Vec<u8>>,
    /// Masked columns as a JSON array, empty where there are none.
    pub masked: Vec<u8>,
}

#[derive(Default)]
struct Known {
    /// capture_relation, whose numbers these are.
    storage: Option<pg_sys::Oid>,
    relations: HashMap<i32, Option<Rc<Relation>>>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// The relation of a number; none for emitted events and where it is not stored (any more).
pub fn find(relation_id: i32) -> Result<Option<Rc<Relation>>> {
    if relation_id == 0 {
        return Ok(None);
    }
    let storage = lookup::own_relation("capture_relation");
    let known = KNOWN.with_borrow_mut(|known| {
        if known.storage != storage {
            *known = Known { storage, ..Known::default() };
        }
        known.relations.get(&relation_id).cloned()
    });
    if let Some(Some(relation)) = known {
        return Ok(Some(relation));
    }
    let relations = read_all(storage)?;
    Ok(KNOWN.with_borrow_mut(|known| {
        known.relations = relations;
        known.relations.entry(relation_id).or_default().clone()
    }))
}

fn read_all(storage: Option<pg_sys::Oid>) -> Result<HashMap<i32, Option<Rc<Relation>>>> {
    let table = storage.and_then(Table::open_briefly).ok_or_else(|| storage_missing("capture_relation"))?;
    let mut found = HashMap::new();
    table.scan(None, |row| {
        let text = |i| row.get::<String>(i).unwrap_or_default();
        let texts = |i| {
            row.get::<Vec<Option<String>>>(i).unwrap_or_default().into_iter().flatten().collect::<Vec<_>>()
        };
        let key_columns = texts(9);
        let masked = texts(10);
        let relation = Relation {
            table_id: row.get(1).unwrap_or_default(),
            schema_name: text(4),
            table_name: text(5),
            partition: row.get::<String>(6).zip(row.get::<String>(7)),
            key_labels: key_columns.iter().map(|name| label(name)).collect(),
            masked: array(&masked),
        };
        found.insert(row.get::<i32>(0).unwrap_or_default(), Some(Rc::new(relation)));
    });
    Ok(found)
}

/// Names as a JSON array; nothing where there are none.
pub fn array(names: &[String]) -> Vec<u8> {
    if names.is_empty() {
        return Vec::new();
    }
    let labels: Vec<Vec<u8>> = names.iter().map(|name| label(name)).collect();
    [b"[", labels.join(&b","[..]).as_slice(), b"]"].concat()
}

/// What an event is about, for the order of a row's changes.
pub fn keys(event: &Entry, relation: Option<&Relation>) -> EventKeys {
    let table = relation.map_or(OUTBOX, |relation| relation.table_id);
    EventKeys::of(table, event.key_hash(table), event.former_key_hash())
}

/// Whether a consumer wants an event.
pub fn wants(filter: &Filter, event: &Entry, relation: Option<&Relation>) -> bool {
    let operation = event.operation();
    if !filter.wants_operation(operation) {
        return false;
    }
    if operation != b'E' {
        return relation.is_some_and(|relation| filter.wants_table(relation.table_id));
    }
    match filter.wants_topics() {
        Topics::All => true,
        Topics::None => false,
        Topics::Only(topics) => {
            let image = Image { operation, json: event.image() };
            image.topic().is_some_and(|topic| topics.iter().any(|wanted| label(wanted) == topic))
        }
    }
}

//! Which entries are about whom, and what goes from them: pure rules over what is stored.
#![forbid(unsafe_code)]

use super::forget_image::{self, Removal};
use super::identity_words::Sought;
use super::key::key_hash;
use super::redaction::{Redaction, Target};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// What the log knows a table by.
pub struct Relation {
    pub table_id: i32,
    pub key_columns: Vec<String>,
    /// Targets of this table.
    pub targets: Vec<usize>,
}

/// An event of an entry that has several (src/capture/pack.rs).
pub struct Event<'a> {
    pub operation: u8,
    pub relation: i32,
    pub image: &'a mut Value,
    pub key: Option<&'a mut Value>,
}

pub fn event(event: &mut Value) -> Option<Event<'_>> {
    let [operation, relation, image, rest @ ..] = event.as_array_mut()?.as_mut_slice() else {
        return None;
    };
    Some(Event {
        operation: *operation.as_str()?.as_bytes().first()?,
        relation: i32::try_from(relation.as_i64()?).ok()?,
        image,
        key: rest.first_mut(),
    })
}

/// What is to be forgotten.
pub struct What<'a> {
    pub redaction: &'a Redaction,
    pub relations: &'a HashMap<i32, Relation>,
    pub keys: Vec<HashSet<Vec<Option<String>>>>,
    pub sought: &'a Sought,
}

/// What became of an event.
pub struct Forgotten {
    pub changed: bool,
    /// In place of its key.
    pub key: Option<Value>,
}

impl What<'_> {
    pub fn key_hash(&self, relation_id: i32, key: &str) -> i32 {
        self.relations.get(&relation_id).map_or(0, |relation| key_hash(relation.table_id, key.as_bytes()))
    }

    /// Takes out of an event's image what is to go.
    pub fn forget(
        &self,
        operation: u8,
        relation_id: i32,
        key: Option<&Value>,
        image: &mut Value,
    ) -> Forgotten {
        let sought = self.sought;
        let concerned: Vec<&Target> = self
            .relations
            .get(&relation_id)
            .map(|relation| {
                let about = |&&number: &&usize| {
                    let target = &self.redaction.targets[number];
                    is_about(target, &self.keys[number], relation, key, operation, image)
                };
                let targets = relation.targets.iter().filter(about);
                targets.map(|&number| &self.redaction.targets[number]).collect()
            })
            .unwrap_or_default();
        let mut changed = false;
        for target in &concerned {
            // The key of a row that stays is needed to find its events; it says nothing of itself.
            let spared: Vec<String>;
            let columns = match (&target.columns, target.clear_key) {
                (None, false) => {
                    spared = all_but(image, operation, &target.key_columns);
                    Some(spared.as_slice())
                }
                (None, true) => None,
                (Some(columns), _) => Some(columns.as_slice()),
            };
            changed |= forget_image::clear(operation, image, &Removal { columns, sought });
        }
        changed |= forget_image::clear(operation, image, &Removal { columns: Some(&[]), sought });
        let whole = concerned.iter().any(|target| target.clear_key);
        let cleared = key.cloned().and_then(|key| cleared_key(key, whole, sought));
        let cleared = cleared.filter(|cleared| Some(cleared) != key);
        Forgotten { changed: changed || cleared.is_some(), key: cleared }
    }
}

/// A row's key without what identifies the person; none where it says nothing of them.
fn cleared_key(mut key: Value, whole: bool, sought: &Sought) -> Option<Value> {
    if !whole {
        return forget_image::clear_sought(&mut key, sought).then_some(key);
    }
    Some(match key {
        Value::Array(values) => Value::Array(vec![forget_image::marker(); values.len()]),
        _ => forget_image::marker(),
    })
}

/// Columns of an image that are not part of the key.
fn all_but(image: &Value, operation: u8, key_columns: &[String]) -> Vec<String> {
    let parts = match operation {
        b'I' | b'D' => vec![Some(image)],
        _ if image.get("row").is_some() && image.get("changes").is_some() => {
            vec![image.get("row"), image.get("changes")]
        }
        _ => vec![Some(image)],
    };
    let names = parts.into_iter().flatten().filter_map(Value::as_object).flat_map(|fields| fields.keys());
    names.filter(|name| !key_columns.contains(name)).cloned().collect()
}

/// Whether an entry is about one of the rows: by its key, or, where the row is gone, by what it referred to.
pub fn is_about(
    target: &Target,
    keys: &HashSet<Vec<Option<String>>>,
    relation: &Relation,
    key: Option<&Value>,
    operation: u8,
    image: &Value,
) -> bool {
    if let Some(key) = key
        && !keys.is_empty()
        && relation.key_columns == target.key_columns
    {
        let values: Vec<Option<String>> = match key {
            Value::Array(values) if relation.key_columns.len() > 1 => {
                values.iter().map(forget_image::text_of).collect()
            }
            only => vec![forget_image::text_of(only)],
        };
        let alike = |known: &Vec<Option<String>>| {
            known.len() == values.len()
                && known.iter().zip(&values).all(|(a, b)| match (a, b) {
                    (Some(a), Some(b)) => forget_image::same(a, b),
                    _ => false,
                })
        };
        if keys.contains(&values) || keys.iter().any(alike) {
            return true;
        }
    }
    target.references.iter().any(|(columns, rows)| {
        rows.iter().any(|row| {
            columns.iter().zip(row).all(|(column, wanted)| {
                let Some(wanted) = wanted else { return false };
                let of_image = forget_image::values_of(operation, image, column);
                let of_key = || {
                    let place = relation.key_columns.iter().position(|name| name == column)?;
                    match key? {
                        Value::Array(values) if relation.key_columns.len() > 1 => values.get(place),
                        only => Some(only),
                    }
                };
                of_image
                    .into_iter()
                    .chain(of_key())
                    .filter_map(forget_image::text_of)
                    .any(|value| forget_image::same(&value, wanted))
            })
        })
    })
}

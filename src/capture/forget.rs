//! Forgetting a person: values go from a log's entries and contexts, events stay. Shared by audit and change feed,
//! whose entries say things in one way.

use super::forget_image::{self, Removal};
use super::key::key_hash;
use super::policy::{self, Kind};
use super::redaction::{Redaction, Target};
use crate::error::{Error, Result};
use crate::pg::batches::Cursor;
use crate::pg::{lookup, spi};
use pgrx::datum::DatumWithOid;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Where a log keeps its entries. Names of ours, not anybody's input.
pub struct Log {
    pub kind: Kind,
    pub table: &'static str,
    pub id: &'static str,
    pub at: &'static str,
}

/// An entry that is about to be changed, or refers to a context that is.
pub struct Place {
    pub txid: u64,
    pub id: i64,
    pub operation: u8,
    pub at: i64,
}

/// What the log knows a table by.
struct Relation {
    table_id: i32,
    key_columns: Vec<String>,
    /// Targets of this table.
    targets: Vec<usize>,
}

/// An entry as it is to be.
struct Change {
    partition: String,
    place: String,
    row_key: Option<String>,
    key_hash: i32,
    image: Option<String>,
}

/// Everything a log has to forget, found and not yet touched.
pub struct Forgetting {
    changes: Vec<Change>,
    contexts: Vec<i64>,
    pub places: Vec<Place>,
}

impl Log {
    fn is_there(&self) -> bool {
        lookup::own_relation(self.table).is_some() && lookup::own_relation("capture_relation").is_some()
    }
}

/// Values that some columns of a row had, as far as the log says. To be called as the extension's owner.
pub fn former_values(log: &Log, row: &Target, columns: &[String]) -> Result<Vec<String>> {
    if !log.is_there() || columns.is_empty() {
        return Ok(Vec::new());
    }
    let redaction = Redaction { targets: vec![row.clone()], ..Redaction::default() };
    let relations = relations(log, &redaction)?;
    let keys: HashSet<Vec<Option<String>>> = row.keys.iter().cloned().collect();
    let mut ids: Vec<i32> = relations.keys().copied().collect();
    ids.sort_unstable();
    let query = format!(
        "SELECT e.relation_id, e.operation, e.row_key, e.image FROM architect.{} AS e WHERE e.relation_id = ANY ($1)",
        log.table
    );
    let mut found = Vec::new();
    Cursor::open(&query, &[ids.into()])?.each(|entry| {
        let Some(relation) = relations.get(&entry.i32(0)) else { return Ok(()) };
        let Some(image) = json(entry.text(3)) else { return Ok(()) };
        if is_about(row, &keys, relation, json(entry.text(2)).as_ref(), entry.char(1), &image) {
            for column in columns {
                let values = forget_image::values_of(entry.char(1), &image, column);
                found.extend(
                    values.into_iter().filter(|value| !value.is_object()).filter_map(forget_image::text_of),
                );
            }
        }
        Ok(())
    })?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn json(text: Option<String>) -> Option<Value> {
    serde_json::from_str(&text?).ok()
}

impl Forgetting {
    /// Finds it; nothing where the log is not there. To be called as the extension's owner.
    pub fn of(log: &Log, redaction: &Redaction) -> Result<Option<Self>> {
        if !log.is_there() {
            return Ok(None);
        }
        let identities: Vec<String> = redaction.identities.iter().map(|value| value.to_lowercase()).collect();
        let relations = relations(log, redaction)?;
        let contexts = contexts(&identities)?;
        let mut places = Vec::new();
        let changes = changes(log, redaction, &relations, &identities, &mut places)?;
        note_contexts(log, &contexts, &mut places)?;
        Ok(Some(Self { changes, contexts, places }))
    }

    pub fn entries(&self) -> u64 {
        self.changes.len() as u64
    }

    pub fn contexts(&self) -> u64 {
        self.contexts.len() as u64
    }

    pub fn carry_out(&self) -> Result<()> {
        for change in &self.changes {
            apply(change)?;
        }
        spi::run(
            "UPDATE architect.capture_context
                SET actor = CASE WHEN actor IS NOT NULL THEN '[redacted]' END, context = NULL,
                    application_name = CASE WHEN application_name IS NOT NULL THEN '[redacted]' END
              WHERE context_id = ANY ($1)",
            &[self.contexts.clone().into()],
        )?;
        Ok(())
    }
}

/// The numbers the log knows the targets' tables by, whatever they were called.
fn relations(log: &Log, redaction: &Redaction) -> Result<HashMap<i32, Relation>> {
    let mut found: HashMap<i32, Relation> = HashMap::new();
    for (number, target) in redaction.targets.iter().enumerate() {
        let policy = policy::find(log.kind, target.relid)?.map(|(policy, _)| policy.table_id);
        let rows = spi::read_now(
            "SELECT r.relation_id, r.table_id, r.key_columns FROM architect.capture_relation AS r
              WHERE r.table_id = $1
                 OR r.table_id = ANY (SELECT o.table_id FROM architect.capture_relation AS o
                                       WHERE o.schema_name = $2 AND o.table_name = $3)",
            &[policy.into(), target.schema.as_str().into(), target.table.as_str().into()],
            |row| {
                Ok((
                    row.get::<i32>(1)?.unwrap_or_default(),
                    row.get::<i32>(2)?.unwrap_or_default(),
                    row.get::<Vec<Option<String>>>(3)?.unwrap_or_default(),
                ))
            },
        )?;
        for (id, table_id, key_columns) in rows {
            found
                .entry(id)
                .or_insert_with(|| Relation {
                    table_id,
                    key_columns: key_columns.into_iter().flatten().collect(),
                    targets: Vec::new(),
                })
                .targets
                .push(number);
        }
    }
    Ok(found)
}

/// Contexts that name the person as who acted, or in what the application said.
fn contexts(identities: &[String]) -> Result<Vec<i64>> {
    if identities.is_empty() {
        return Ok(Vec::new());
    }
    let rows = spi::read_now(
        "SELECT c.context_id FROM architect.capture_context AS c
          WHERE EXISTS (SELECT FROM pg_catalog.unnest($1) AS i (identity)
                         WHERE pg_catalog.strpos(pg_catalog.lower(pg_catalog.concat_ws(' ', c.actor, c.context::pg_catalog.text,
                                                                                       c.application_name)), i.identity) > 0)",
        &[identities.to_vec().into()],
        |row| row.get::<i64>(1),
    )?;
    Ok(rows.into_iter().flatten().collect())
}

/// Entries that refer to contexts are sealed with them.
fn note_contexts(log: &Log, contexts: &[i64], places: &mut Vec<Place>) -> Result<()> {
    if contexts.is_empty() {
        return Ok(());
    }
    let Log { table, id, at, .. } = log;
    let query = format!(
        "SELECT e.txid, e.{id}, e.operation, e.{at} FROM architect.{table} AS e WHERE e.context_id = ANY ($1)"
    );
    Cursor::open(&query, &[contexts.to_vec().into()])?.each(|row| {
        places.push(Place {
            txid: row.i64(0) as u64,
            id: row.i64(1),
            operation: row.char(2),
            at: row.i64(3),
        });
        Ok(())
    })
}

fn changes(
    log: &Log,
    redaction: &Redaction,
    relations: &HashMap<i32, Relation>,
    identities: &[String],
    places: &mut Vec<Place>,
) -> Result<Vec<Change>> {
    let mut ids: Vec<i32> = relations.keys().copied().collect();
    ids.sort_unstable();
    // As JSON writes them.
    let escaped: Vec<String> = identities
        .iter()
        .map(|identity| Value::from(identity.as_str()).to_string())
        .map(|quoted| quoted[1..quoted.len() - 1].to_owned())
        .collect();
    let keys: Vec<HashSet<Vec<Option<String>>>> =
        redaction.targets.iter().map(|target| target.keys.iter().cloned().collect()).collect();
    let Log { table, id, at, .. } = log;
    let query = format!(
        "SELECT e.tableoid::pg_catalog.regclass::pg_catalog.text, e.ctid::pg_catalog.text, e.txid, e.{id}, e.operation,
                e.{at}, e.relation_id, e.key_hash, e.row_key, e.image
           FROM architect.{table} AS e
          WHERE e.relation_id = ANY ($1)
             OR EXISTS (SELECT FROM pg_catalog.unnest($2) AS i (identity)
                         WHERE pg_catalog.strpos(pg_catalog.lower(pg_catalog.concat(e.row_key, ' ', e.image)), i.identity) > 0)"
    );
    let arguments: [DatumWithOid; 2] = [ids.into(), escaped.into()];
    let mut found = Vec::new();
    Cursor::open(&query, &arguments)?.each(|row| {
        let operation = row.char(4);
        let relation = relations.get(&row.i32(6));
        let stored_key = row.text(8);
        let Some(mut image) = json(row.text(9)) else {
            return Ok(());
        };
        let key: Option<Value> = json(stored_key.clone());
        let concerned: Vec<&Target> = relation
            .map(|relation| {
                relation
                    .targets
                    .iter()
                    .filter(|&&number| {
                        is_about(
                            &redaction.targets[number],
                            &keys[number],
                            relation,
                            key.as_ref(),
                            operation,
                            &image,
                        )
                    })
                    .map(|&number| &redaction.targets[number])
                    .collect()
            })
            .unwrap_or_default();
        let mut changed = false;
        for target in &concerned {
            // The key of a row that stays is needed to find its events; it says nothing of itself.
            let spared: Vec<String>;
            let columns = match (&target.columns, target.clear_key) {
                (None, false) => {
                    spared = all_but(&image, operation, &target.key_columns);
                    Some(spared.as_slice())
                }
                (None, true) => None,
                (Some(columns), _) => Some(columns.as_slice()),
            };
            changed |= forget_image::clear(operation, &mut image, &Removal { columns, identities });
        }
        changed |= forget_image::clear(operation, &mut image, &Removal { columns: Some(&[]), identities });
        let identifies = concerned.iter().any(|target| target.clear_key)
            || key.as_ref().is_some_and(|key| forget_image::holds(key, identities));
        let mut new_key = stored_key.clone();
        let mut new_hash = row.i32(7);
        if identifies && stored_key.is_some() {
            let several = key.as_ref().and_then(Value::as_array).map(Vec::len);
            let marker = match several {
                Some(count) => Value::Array(vec![forget_image::marker(); count]),
                None => forget_image::marker(),
            }
            .to_string();
            if stored_key.as_deref() != Some(marker.as_str()) {
                new_hash = relation.map_or(0, |relation| key_hash(relation.table_id, marker.as_bytes()));
                new_key = Some(marker);
                changed = true;
            }
        }
        if changed {
            places.push(Place { txid: row.i64(2) as u64, id: row.i64(3), operation, at: row.i64(5) });
            found.push(Change {
                partition: row.text(0).unwrap_or_default(),
                place: row.text(1).unwrap_or_default(),
                row_key: new_key,
                key_hash: new_hash,
                image: Some(image.to_string()),
            });
        }
        Ok(())
    })?;
    Ok(found)
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
fn is_about(
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

fn apply(change: &Change) -> Result<()> {
    let done = spi::run(
        &format!(
            "UPDATE ONLY {} AS e SET row_key = $2, key_hash = $3, image = $4::pg_catalog.json WHERE e.ctid = $1::pg_catalog.tid",
            change.partition
        ),
        &[
            change.place.as_str().into(),
            change.row_key.clone().into(),
            change.key_hash.into(),
            change.image.clone().into(),
        ],
    )?;
    if done == 1 {
        return Ok(());
    }
    Err(Error::new(
        pgrx::PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "an entry of a log was moved while a person was being erased",
    )
    .hint("Try again: maintenance moves entries."))
}

//! Forgetting a person: values go from a log's entries and contexts, events stay. Shared by audit and change feed,
//! whose entries say things in one way.

use super::deep_json;
use super::feed::PACK;
use super::forget_image;
use super::forget_match::{Relation, What, event, is_about};
use super::identity_words::Sought;
use super::pack;
use super::policy::{self, Kind};
use super::raw_json::elements;
use super::recorder;
use super::redaction::{Redaction, Target};
use crate::error::{Error, Result};
use crate::pg::batches::Cursor;
use crate::pg::{lookup, spi};
use pgrx::datum::DatumWithOid;
use serde_json::Value;
use std::borrow::Cow;
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

/// An entry as it is to be.
struct Change {
    /// Of the events in it that are changed: one, but where several share an entry.
    ids: Vec<i64>,
    partition: String,
    place: String,
    row_key: Option<String>,
    key_hash: i32,
    image: Option<String>,
}

/// A context as it is to be.
struct ContextChange {
    id: i64,
    actor: Option<String>,
    context: Option<String>,
    application_name: Option<String>,
}

/// Everything a log has to forget, found and not yet touched.
pub struct Forgetting {
    changes: Vec<Change>,
    contexts: Vec<ContextChange>,
    pub places: Vec<Place>,
}

impl Log {
    /// Which entries may be of the relations in $1; one of several events says of which within.
    fn may_be_of_relations(&self) -> &'static str {
        match self.kind {
            Kind::Audit => "e.relation_id = ANY ($1)",
            Kind::Feed => "(e.relation_id = ANY ($1) OR e.operation = 'P')",
        }
    }

    pub fn is_there(&self) -> bool {
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
        "SELECT e.relation_id, e.operation, e.row_key, e.image FROM architect.{} AS e WHERE {}",
        log.table,
        log.may_be_of_relations()
    );
    let mut found = Vec::new();
    let mut look = |relation_id: i32, operation: u8, key: Option<&Value>, image: &Value| {
        let Some(relation) = relations.get(&relation_id) else { return };
        if is_about(row, &keys, relation, key, operation, image) {
            for column in columns {
                let values = forget_image::values_of(operation, image, column);
                found.extend(
                    values.into_iter().filter(|value| !value.is_object()).filter_map(forget_image::text_of),
                );
            }
        }
    };
    Cursor::open(&query, &[ids.into()])?.each(|entry| {
        let Some(mut image) = json(entry.text(3)) else { return Ok(()) };
        match entry.char(1) {
            PACK => {
                image.as_array_mut().into_iter().flatten().filter_map(event).for_each(|event| {
                    look(event.relation, event.operation, event.key.as_deref(), event.image)
                })
            }
            operation => look(entry.i32(0), operation, json(entry.text(2)).as_ref(), &image),
        }
        Ok(())
    })?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn json(text: Option<String>) -> Option<Value> {
    deep_json::parse(&text?)
}

impl Forgetting {
    /// Finds it; nothing where the log is not there. To be called as the extension's owner.
    pub fn of(log: &Log, redaction: &Redaction) -> Result<Option<Self>> {
        if !log.is_there() {
            return Ok(None);
        }
        if log.kind == Kind::Feed {
            recorder::check_written()?;
        }
        let sought = Sought::of(redaction.identities.iter().map(String::as_str));
        let relations = relations(log, redaction)?;
        let contexts = contexts(&sought)?;
        let mut places = Vec::new();
        let changes = changes(log, redaction, &relations, &sought, &mut places)?;
        note_contexts(log, &contexts, &mut places)?;
        Ok(Some(Self { changes, contexts, places }))
    }

    pub fn entries(&self) -> u64 {
        self.ids().len() as u64
    }

    /// Numbers of the entries.
    pub fn ids(&self) -> Vec<i64> {
        self.changes.iter().flat_map(|change| &change.ids).copied().collect()
    }

    pub fn contexts(&self) -> u64 {
        self.contexts.len() as u64
    }

    pub fn carry_out(&self) -> Result<()> {
        for change in &self.changes {
            apply(change)?;
        }
        for change in &self.contexts {
            spi::run(
                "UPDATE architect.capture_context
                    SET actor = $2, context = $3::pg_catalog.text::pg_catalog.jsonb, application_name = $4
                  WHERE context_id = $1",
                &[
                    change.id.into(),
                    change.actor.clone().into(),
                    change.context.clone().into(),
                    change.application_name.clone().into(),
                ],
            )?;
        }
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

/// Takes from the log what may have what is sought: whoever reads it looks closely. An escape may stand for anything.
struct Trace {
    condition: String,
    traces: Vec<String>,
}

impl Trace {
    /// `text` is SQL; the traces are parameter `number`.
    fn of(sought: &Sought, text: &str, number: usize) -> Self {
        match sought.traces() {
            Some(traces) => Self {
                condition: format!(
                    "(pg_catalog.strpos({text}, '\\') > 0 AND pg_catalog.cardinality(${number}) > 0
                      OR EXISTS (SELECT FROM pg_catalog.unnest(${number}) AS i (trace)
                                  WHERE pg_catalog.strpos(pg_catalog.lower({text} COLLATE pg_catalog.\"C\"), i.trace) > 0))"
                ),
                traces,
            },
            None => Self { condition: format!("pg_catalog.cardinality(${number}) IS NOT NULL"), traces: Vec::new() },
        }
    }
}

const REDACTED: &str = "[redacted]";

/// Contexts that name the person as who acted, or in what the application said: as they are to be.
fn contexts(sought: &Sought) -> Result<Vec<ContextChange>> {
    if sought.is_empty() {
        return Ok(Vec::new());
    }
    let trace = Trace::of(
        sought,
        "pg_catalog.concat_ws(' ', c.actor, c.context::pg_catalog.text, c.application_name)",
        1,
    );
    let query = format!(
        "SELECT c.context_id, c.actor, c.context::pg_catalog.text, c.application_name
           FROM architect.capture_context AS c WHERE {}",
        trace.condition
    );
    let mut found = Vec::new();
    Cursor::open(&query, &[trace.traces.into()])?.each(|row| {
        let (actor, context, application_name) = (row.text(1), row.text(2), row.text(3));
        let mut changed = false;
        let mut plain = |text: Option<String>| match text {
            Some(text) if sought.is_in(&text) => {
                changed = true;
                Some(REDACTED.to_owned())
            }
            other => other,
        };
        let (actor, application_name) = (plain(actor), plain(application_name));
        let cleared = json(context.clone()).and_then(|mut document| {
            forget_image::clear_sought(&mut document, sought).then(|| deep_json::render(&document))
        });
        changed |= cleared.is_some();
        let context = cleared.or(context);
        if changed {
            found.push(ContextChange { id: row.i64(0), actor, context, application_name });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Entries that refer to contexts are sealed with them.
fn note_contexts(log: &Log, contexts: &[ContextChange], places: &mut Vec<Place>) -> Result<()> {
    if contexts.is_empty() {
        return Ok(());
    }
    let Log { table, id, at, .. } = log;
    let query = format!(
        "SELECT e.txid, e.{id}, e.operation, e.{at} FROM architect.{table} AS e WHERE e.context_id = ANY ($1)"
    );
    let ids: Vec<i64> = contexts.iter().map(|context| context.id).collect();
    Cursor::open(&query, &[ids.into()])?.each(|row| {
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
    sought: &Sought,
    places: &mut Vec<Place>,
) -> Result<Vec<Change>> {
    let mut ids: Vec<i32> = relations.keys().copied().collect();
    ids.sort_unstable();
    let keys: Vec<HashSet<Vec<Option<String>>>> =
        redaction.targets.iter().map(|target| target.keys.iter().cloned().collect()).collect();
    let Log { table, id, at, .. } = log;
    let trace = Trace::of(sought, "pg_catalog.concat(e.row_key, ' ', e.image)", 2);
    let query = format!(
        "SELECT e.tableoid::pg_catalog.regclass::pg_catalog.text, e.ctid::pg_catalog.text, e.txid, e.{id}, e.operation,
                e.{at}, e.relation_id, e.key_hash, e.row_key, e.image
           FROM architect.{table} AS e
          WHERE {} OR {}",
        log.may_be_of_relations(),
        trace.condition
    );
    let arguments: [DatumWithOid; 2] = [ids.into(), trace.traces.into()];
    let what = What { redaction, relations, keys, sought };
    let mut found = Vec::new();
    Cursor::open(&query, &arguments)?.each(|row| {
        let (id, operation, relation_id) = (row.i64(3), row.char(4), row.i32(6));
        let mut row_key = row.text(8);
        let mut key_hash = row.i32(7);
        let Some(stored) = row.text(9) else { return Ok(()) };
        let Some(mut image) = deep_json::parse(&stored) else { return Ok(()) };
        let mut parts: Vec<Cow<[u8]>> = Vec::new();
        let mut ids = Vec::new();
        if operation == PACK {
            // Events that are not changed keep their text to the last blank.
            parts = elements(stored.as_bytes()).into_iter().map(Cow::Borrowed).collect();
            let events = image.as_array_mut().into_iter().flatten();
            for ((position, part), whole) in (id - i64::from(key_hash) + 1..).zip(&mut parts).zip(events) {
                let Some(event) = event(whole) else { continue };
                let forgotten =
                    what.forget(event.operation, event.relation, event.key.as_deref(), event.image);
                if let (Some(key), Some(cleared)) = (event.key, forgotten.key) {
                    *key = cleared;
                }
                if forgotten.changed {
                    ids.push(position);
                    *part = Cow::Owned(deep_json::render(whole).into_bytes());
                }
            }
        } else {
            let forgotten = what.forget(operation, relation_id, json(row_key.clone()).as_ref(), &mut image);
            ids.extend(forgotten.changed.then_some(id));
            if let Some(cleared) = forgotten.key {
                let cleared = deep_json::render(&cleared);
                key_hash = what.key_hash(relation_id, &cleared);
                row_key = Some(cleared);
            }
        }
        if !ids.is_empty() {
            places.push(Place { txid: row.i64(2) as u64, id, operation, at: row.i64(5) });
            found.push(Change {
                ids,
                partition: row.text(0).unwrap_or_default(),
                place: row.text(1).unwrap_or_default(),
                row_key,
                key_hash,
                image: Some(if operation == PACK {
                    pack::joined(&parts)?
                } else {
                    deep_json::render(&image)
                }),
            });
        }
        Ok(())
    })?;
    Ok(found)
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

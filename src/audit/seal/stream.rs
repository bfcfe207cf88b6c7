//! The log's entries in the order of its seals, each with its hashes.

use super::digest::{ABSENT, Encoding, Entry, Hash, Key};
use crate::error::Result;
use crate::pg::batches::{Cursor, Record};
use crate::pg::security;
use std::collections::{HashMap, VecDeque};

/// Entries read at a time.
const BATCH: usize = 2048;
/// Contexts remembered; more are looked up again.
const CONTEXTS: usize = 100_000;

/// Hashes of what entries refer to, looked up a batch at a time.
#[derive(Default)]
pub struct References {
    contexts: HashMap<i64, Hash>,
    relations: HashMap<i64, Hash>,
}

/// Which entries: those of the interval after `after` and up to `through` whose ids are in a range.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub after: Bound,
    pub through: Bound,
    pub from_audit_id: i64,
    /// Entries from this id on are another's.
    pub to_audit_id: Option<i64>,
}

/// An end of a window: at the beginning of a transaction, or after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Transaction(u64),
    Entry(Key),
}

pub struct Entries<'a> {
    cursor: Cursor,
    references: &'a mut References,
    ready: VecDeque<Entry>,
    ended: bool,
}

impl<'a> Entries<'a> {
    pub fn open(window: &Window, references: &'a mut References) -> Result<Self> {
        let mut conditions = String::new();
        let mut bound = |bound: Bound, from: bool| match (bound, from) {
            (Bound::Transaction(txid), true) => conditions += &format!(" AND e.txid >= '{txid}'"),
            (Bound::Transaction(txid), false) => conditions += &format!(" AND e.txid < '{txid}'"),
            (Bound::Entry(key), from) => {
                // The first condition alone is one the index can answer.
                let (coarse, exact) = if from { (">=", ">") } else { ("<=", "<=") };
                let Key { txid, audit_id, operation } = key;
                conditions += &format!(
                    " AND e.txid {coarse} '{txid}' AND (e.txid, e.audit_id, e.operation::pg_catalog.\"char\") {exact}
                      ('{txid}'::pg_catalog.xid8, '{audit_id}'::pg_catalog.int8, {operation}::pg_catalog.int4::pg_catalog.\"char\")"
                );
            }
        };
        bound(window.after, true);
        bound(window.through, false);
        if let Some(to) = window.to_audit_id {
            conditions += &format!(" AND e.audit_id < '{to}'");
        }
        let query = format!(
            "SELECT e.changed_at, e.audit_id, e.txid, e.context_id, e.relation_id, e.statement, e.key_hash,
                    e.operation, e.row_key, e.image
               FROM architect.audit_entry AS e
              WHERE e.audit_id >= '{}'{conditions}
              ORDER BY e.txid, e.audit_id, e.operation",
            window.from_audit_id
        );
        // The few entries looked for are where the block range index says; statistics of a log that only
        // grows are always behind and would suggest to read all of it.
        let settings = [
            (c"enable_seqscan", c"off"),
            (c"enable_indexscan", c"off"),
            (c"work_mem", c"64MB"),
            (c"cursor_tuple_fraction", c"1"),
            (c"jit", c"off"),
        ];
        let cursor = security::with_settings(&settings, || Cursor::open(&query, &[]))?;
        Ok(Self { cursor, references, ready: VecDeque::new(), ended: false })
    }

    pub fn next(&mut self) -> Result<Option<Entry>> {
        if self.ready.is_empty() && !self.ended {
            let mut encoding = Encoding::new();
            let ready = &mut self.ready;
            let found = self.cursor.fetch(BATCH, |row| {
                ready.push_back(entry(row, &mut encoding));
                Ok(())
            })?;
            self.ended = found < BATCH;
            self.references.look_up(&mut self.ready)?;
        }
        Ok(self.ready.pop_front())
    }

    /// The next entry where it is not past `bound`.
    pub fn next_through(&mut self, bound: Bound) -> Result<Option<Entry>> {
        let Some(entry) = self.next()? else { return Ok(None) };
        let within = match bound {
            Bound::Transaction(txid) => entry.key.txid < txid,
            Bound::Entry(key) => entry.key <= key,
        };
        if within {
            return Ok(Some(entry));
        }
        self.ready.push_front(entry);
        Ok(None)
    }
}

fn entry(row: &Record, encoding: &mut Encoding) -> Entry {
    let key = Key { txid: row.i64(2) as u64, audit_id: row.i64(1), operation: row.char(7) };
    encoding
        .begin("db_architect audit entry 1")
        .integer(row.i64(0))
        .integer(key.audit_id)
        .integer(key.txid as i64)
        .integer(row.i64(3))
        .integer(row.i32(4).into())
        .integer(row.i32(5).into())
        .integer(row.i32(6).into())
        .integer(key.operation.into())
        .variable(|into| row.append_text(8, into))
        .variable(|into| row.append_text(9, into));
    Entry {
        key,
        changed_at: row.i64(0),
        context_id: row.i64(3),
        relation_id: row.i32(4),
        own: encoding.hash(),
        context: ABSENT,
        relation: ABSENT,
    }
}

impl References {
    fn look_up(&mut self, entries: &mut VecDeque<Entry>) -> Result<()> {
        if self.contexts.len() > CONTEXTS {
            self.contexts.clear();
        }
        let contexts = missing(&self.contexts, entries.iter().map(|e| e.context_id));
        read(
            "SELECT c.context_id, c.recorded_at, c.session_role, c.set_role, c.current_role_name, c.actor,
                    c.correlation_id::pg_catalog.text, c.context::pg_catalog.text, c.application_name,
                    c.client_addr::pg_catalog.text, c.backend_pid
               FROM architect.capture_context AS c WHERE c.context_id = ANY ($1)",
            contexts,
            &mut self.contexts,
            |row, encoding| {
                encoding.begin("db_architect audit context 1").integer(row.i64(0)).integer(row.i64(1));
                for column in 2..=9 {
                    encoding.variable(|into| row.append_text(column, into));
                }
                encoding.integer(row.i32(10).into());
            },
        )?;
        let relations = missing(&self.relations, entries.iter().map(|e| e.relation_id.into()));
        read(
            "SELECT r.relation_id::pg_catalog.int8, r.table_id, r.relid::pg_catalog.int8, r.seen_at, r.schema_name,
                    r.table_name, r.partition_schema, r.partition_name,
                    pg_catalog.array_to_json(r.columns)::pg_catalog.text,
                    pg_catalog.array_to_json(r.key_columns)::pg_catalog.text
               FROM architect.capture_relation AS r WHERE r.relation_id = ANY ($1)",
            relations,
            &mut self.relations,
            |row, encoding| {
                encoding
                    .begin("db_architect audit relation 1")
                    .integer(row.i64(0))
                    .integer(row.i32(1).into())
                    .integer(row.i64(2))
                    .integer(row.i64(3));
                for column in 4..=9 {
                    encoding.variable(|into| row.append_text(column, into));
                }
            },
        )?;
        for entry in entries.iter_mut() {
            entry.context = self.contexts.get(&entry.context_id).copied().unwrap_or(ABSENT);
            entry.relation = self.relations.get(&entry.relation_id.into()).copied().unwrap_or(ABSENT);
        }
        Ok(())
    }
}

fn missing(known: &HashMap<i64, Hash>, ids: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.filter(|id| !known.contains_key(id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn read(
    query: &str,
    ids: Vec<i64>,
    into: &mut HashMap<i64, Hash>,
    encode: impl Fn(&Record, &mut Encoding),
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut encoding = Encoding::new();
    Cursor::open(query, &[ids.into()])?.each(|row| {
        encode(row, &mut encoding);
        into.insert(row.i64(0), encoding.hash());
        Ok(())
    })
}

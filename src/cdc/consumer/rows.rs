//! Events as rows of poll_changes().

use super::delivery::{Delivery, Sink};
use super::filter::operation_name;
use super::relations::Relation;
use crate::capture::raw_json::unquoted;
use crate::cdc::image::key_object;
use crate::error::Result;
use crate::pg::result_set::ResultSet;
use crate::pg::scan::{Ordered, View};
use crate::pg::{datum, lookup};
use pgrx::IntoDatum;
use pgrx::pg_sys::Datum;
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

/// Who, where from and why, as values of a result row.
#[derive(Clone, Copy, Default)]
struct Author {
    actor: Option<Datum>,
    correlation_id: Option<Datum>,
    context: Option<Datum>,
}

/// Contexts looked up during one call.
pub struct Contexts<T> {
    known: HashMap<i64, T>,
    table: Option<Rc<Ordered>>,
}

impl<T: Clone + Default> Contexts<T> {
    pub fn new() -> Self {
        let table = lookup::own_relation("capture_context").and_then(|relid| Ordered::open(relid, 0));
        Self { known: HashMap::new(), table }
    }

    pub fn find(&mut self, id: i64, make: impl FnOnce(&crate::pg::table::Fields) -> T) -> T {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let view = View::now();
        let mut found = T::default();
        if let Some(table) = &self.table {
            let mut range = table.range(id - 1, id, &view);
            if range.advance() {
                found = make(range.row());
            }
        }
        self.known.insert(id, found.clone());
        found
    }
}

/// Columns of capture_context.
pub mod context {
    pub const ACTOR: usize = 5;
    pub const CORRELATION_ID: usize = 6;
    pub const CONTEXT: usize = 7;
}

/// What is the same in all events of a relation.
struct Names {
    relation_id: *const Relation,
    schema: Option<Datum>,
    table: Option<Datum>,
}

/// Puts events into the result of poll_changes().
pub struct Rows {
    result: ResultSet,
    contexts: Contexts<Author>,
    names: Option<Names>,
    operations: HashMap<u8, Datum>,
    /// Where values live that many rows share.
    memory: crate::pg::memory::OwnedContext,
    buffer: Vec<u8>,
}

impl Rows {
    pub fn new(result: ResultSet) -> Self {
        Self {
            result,
            contexts: Contexts::new(),
            names: None,
            operations: HashMap::new(),
            memory: crate::pg::memory::OwnedContext::new(c"db_architect poll names"),
            buffer: Vec::new(),
        }
    }

    fn names(&mut self, relation: &Relation) -> (Option<Datum>, Option<Datum>) {
        if self.names.as_ref().is_none_or(|names| !std::ptr::eq(names.relation_id, relation)) {
            let (schema, table) = self.memory.within(|| {
                let text = |text: &str| Some(datum::varlena(text.as_bytes()));
                (text(&relation.schema_name), text(&relation.table_name))
            });
            self.names = Some(Names { relation_id: relation, schema, table });
        }
        self.names.as_ref().map_or((None, None), |names| (names.schema, names.table))
    }

    fn author(&mut self, event: &Delivery) -> Author {
        let Some(id) = event.context_id else { return Author::default() };
        let memory = &self.memory;
        self.contexts.find(id, |row| {
            memory.within(|| Author {
                actor: row.kept(context::ACTOR),
                correlation_id: row
                    .get::<pgrx::Uuid>(context::CORRELATION_ID)
                    .and_then(IntoDatum::into_datum),
                context: row.kept(context::CONTEXT),
            })
        })
    }

    /// A JSON value as a datum; none where `write` says there is none.
    fn json(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<Datum> {
        self.buffer.clear();
        write(&mut self.buffer).then(|| datum::varlena(&self.buffer))
    }
}

impl Sink for Rows {
    fn take(&mut self, event: &Delivery) -> Result<()> {
        let (schema, table) = match event.relation {
            Some(relation) => self.names(relation),
            None => (None, None),
        };
        let author = self.author(event);
        let operation = event.image.operation;
        let memory = &self.memory;
        let operation = *self
            .operations
            .entry(operation)
            .or_insert_with(|| memory.within(|| datum::varlena(operation_name(operation).as_bytes())));
        let labels = event.relation.map_or(&[][..], |relation| &relation.key_labels);
        let key = event.key.and_then(|key| {
            self.json(|out| {
                key_object(labels, key, out);
                true
            })
        });
        let image = event.image;
        let old = if image.is_before() {
            Some(datum::varlena(image.json))
        } else {
            self.json(|out| image.before(out))
        };
        let new = if image.is_after() {
            Some(datum::varlena(image.json))
        } else {
            self.json(|out| image.after(out))
        };
        let changed = image.changed().map(|names| datum::text_array(names.map(plain)));
        let topic = image.topic().map(|topic| datum::varlena(&plain(topic)));
        let headers = self.json(|out| image.headers(out));
        self.result.put_datums(&[
            Some(Datum::from(event.position)),
            event.txid.map(|txid| Datum::from(txid as i64)),
            Some(operation),
            schema,
            table,
            key,
            old,
            new,
            changed,
            author.actor,
            author.correlation_id,
            author.context,
            Some(Datum::from(event.recorded_at)),
            topic,
            headers,
            Some(Datum::from(event.attempt)),
        ]);
        Ok(())
    }
}

/// The characters of a JSON string; most have no escapes.
pub fn plain(string: &[u8]) -> Cow<'_, [u8]> {
    match string {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Cow::Borrowed(inner),
        _ => Cow::Owned(unquoted(string).into_bytes()),
    }
}

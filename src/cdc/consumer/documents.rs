//! Events as JSON documents: in the shape the WAL feed has too, or in Debezium's envelope.

use super::delivery::{Delivery, Sink};
use super::relations::Relation;
use super::rows::{Contexts, context};
use crate::cdc::event::{self, Body, Event, Operation, Position, Section};
use crate::cdc::image::key_object;
use crate::error::Result;
use crate::pg::result_set::ResultSet;
use crate::pg::{datum, memory::OwnedContext, session};
use pgrx::pg_sys::Datum;
use std::collections::HashMap;
use std::rc::Rc;

/// Puts events into the result of poll_changes_json() or poll_changes_envelope(): position and document.
pub struct Documents {
    result: ResultSet,
    shape: Shape,
    contexts: Contexts<Rc<[u8]>>,
    names: Option<(*const Relation, Vec<u8>)>,
    memory: OwnedContext,
    buffer: Vec<u8>,
}

pub enum Shape {
    Native,
    Envelope(Envelope),
}

/// What envelopes have beyond the event itself.
pub struct Envelope {
    source: Vec<u8>,
    /// Number of the last event of each transaction in this batch, and of each table in it.
    orders: HashMap<(u64, i32), u64>,
}

impl Envelope {
    pub fn new() -> Self {
        let database = session::database_name();
        Self { source: event::source(&database, &database), orders: HashMap::new() }
    }

    fn next(&mut self, txid: u64, table: i32) -> u64 {
        let order = self.orders.entry((txid, table)).or_default();
        *order += 1;
        *order
    }
}

impl Documents {
    pub fn new(result: ResultSet, shape: Shape) -> Self {
        Self {
            result,
            shape,
            contexts: Contexts::new(),
            names: None,
            memory: OwnedContext::new(c"db_architect poll documents"),
            buffer: Vec::new(),
        }
    }

    fn author(&mut self, event: &Delivery) -> Rc<[u8]> {
        let Some(id) = event.context_id else { return Rc::default() };
        let memory = &self.memory;
        self.contexts.find(id, |row| {
            memory.within(|| {
                let actor = row.get::<String>(context::ACTOR);
                let correlation = row.get::<pgrx::Uuid>(context::CORRELATION_ID).map(|id| id.to_string());
                let about = row.get::<pgrx::JsonB>(context::CONTEXT).map(|json| json.0.to_string());
                let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
                let (actor, correlation, about) = (bytes(&actor), bytes(&correlation), bytes(&about));
                event::author(actor.as_deref(), correlation.as_deref(), about.as_deref()).into()
            })
        })
    }

    fn learn_names(&mut self, event: &Delivery) {
        match event.relation {
            Some(relation) => {
                if self.names.as_ref().is_none_or(|(known, _)| !std::ptr::eq(*known, relation)) {
                    let partition = relation
                        .partition
                        .as_ref()
                        .map(|(schema, name)| (schema.as_bytes(), name.as_bytes()));
                    let (schema, table) = (relation.schema_name.as_bytes(), relation.table_name.as_bytes());
                    self.names = Some((relation, event::names(schema, table, partition)));
                }
            }
            None => {
                let mut names = Vec::new();
                if let Some(topic) = event.image.topic() {
                    names.extend_from_slice(b"\"topic\":");
                    names.extend_from_slice(topic);
                }
                self.names = Some((std::ptr::null(), names));
            }
        }
    }
}

/// The parts of an event that come from its image.
struct Parts<'a>(&'a Delivery<'a>);

impl Body for Parts<'_> {
    fn write(&mut self, section: Section, out: &mut Vec<u8>) -> bool {
        let event = self.0;
        let is_emitted = event.image.operation == b'E';
        match section {
            Section::Key => {
                let Some(key) = event.key else { return false };
                key_object(event.relation.map_or(&[][..], |relation| &relation.key_labels), key, out);
                true
            }
            Section::Old => event.image.before(out),
            Section::New => !is_emitted && event.image.after(out),
            Section::Payload => is_emitted && event.image.after(out),
            Section::Headers => event.image.headers(out),
            Section::Changed => {
                let Some(changed) = event.image.changed() else { return false };
                out.push(b'[');
                for (i, name) in changed.enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(name);
                }
                out.push(b']');
                true
            }
            Section::Masked => {
                let masked = event.relation.map_or(&[][..], |relation| &relation.masked);
                out.extend_from_slice(masked);
                !masked.is_empty() && event.image.operation != b'T'
            }
            Section::UnchangedToast => false,
        }
    }
}

fn operation(operation: u8) -> Operation {
    match operation {
        b'I' => Operation::Insert,
        b'D' => Operation::Delete,
        b'T' => Operation::Truncate,
        b'E' => Operation::Event,
        b'R' => Operation::Read,
        _ => Operation::Update,
    }
}

impl Sink for Documents {
    fn take(&mut self, delivery: &Delivery) -> Result<()> {
        let author = self.author(delivery);
        self.learn_names(delivery);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let attempt =
            if delivery.attempt > 1 { format!("\"attempt\":{}", delivery.attempt) } else { String::new() };
        let event = Event {
            operation: operation(delivery.image.operation),
            position: Some(Position::Feed(delivery.position)),
            ordinal: None,
            txid: delivery.txid,
            names: self.names.as_ref().map_or(&[][..], |(_, names)| names),
            about: attempt.as_bytes(),
            author: &author,
            at: Some(delivery.recorded_at),
        };
        match &mut self.shape {
            Shape::Native => event::native(&event, &mut Parts(delivery), &mut buffer),
            Shape::Envelope(envelope) => {
                let order = delivery.txid.map(|txid| {
                    let table = delivery.keys.table;
                    (envelope.next(txid, i32::MIN), envelope.next(txid, table))
                });
                let event = Event { ordinal: order.map(|(all, _)| all), ..event };
                event::envelope(
                    &event,
                    &envelope.source,
                    order.map(|(_, of_table)| of_table),
                    event::milliseconds(session::clock()),
                    &mut Parts(delivery),
                    &mut buffer,
                );
            }
        }
        self.result.put_datums(&[Some(Datum::from(delivery.position)), Some(datum::varlena(&buffer))]);
        self.buffer = buffer;
        Ok(())
    }
}

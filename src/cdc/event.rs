//! What an event looks like as JSON: our own shape, one object, and Debezium's envelope.
//!
//! The parts that change seldom (names, who acted) are made once and passed as ready JSON; those that
//! change with every event are written in place, so that a large value is copied once.
#![forbid(unsafe_code)]

use crate::pg::{calendar, json};
use std::io::Write;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Insert,
    Update,
    Delete,
    Truncate,
    /// An existing row, read for a consumer that starts from a snapshot.
    Read,
    /// Written by the application itself: emit_event(), emit_wal_event().
    Event,
    /// Any other logical message.
    Message,
    Heartbeat,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Read => "read",
            Self::Event => "event",
            Self::Message => "message",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// Debezium's letter.
    fn letter(self) -> &'static str {
        match self {
            Self::Insert => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Truncate => "t",
            Self::Read => "r",
            Self::Event | Self::Message | Self::Heartbeat => "m",
        }
    }
}

/// Where an event is in the feed or in the WAL.
#[derive(Clone, Copy, Debug)]
pub enum Position {
    #[allow(dead_code, reason = "the trigger path's events")]
    Feed(i64),
    Wal(u64),
}

/// The parts of an event that are written in place, in the order they come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Key,
    Old,
    New,
    Changed,
    UnchangedToast,
    Masked,
    Payload,
    Headers,
}

const SECTIONS: [(Section, &[u8]); 8] = [
    (Section::Key, b"key"),
    (Section::Old, b"old"),
    (Section::New, b"new"),
    (Section::Changed, b"changed"),
    (Section::UnchangedToast, b"unchanged_toast"),
    (Section::Masked, b"masked"),
    (Section::Payload, b"payload"),
    (Section::Headers, b"headers"),
];

/// Writes the sections of one event. Sections are asked for in the order above.
pub trait Body {
    /// Appends the section's JSON value; says whether it applies to this event. If not, what was
    /// appended is taken back.
    fn write(&mut self, section: Section, out: &mut Vec<u8>) -> bool;
}

/// What an event says about itself. `names`, `about` and `author` are members of an object as `names()`
/// and `author()` make them, or empty.
pub struct Event<'a> {
    pub operation: Operation,
    pub position: Option<Position>,
    /// Number of the event within its transaction, from 1.
    pub ordinal: Option<u64>,
    pub txid: Option<u64>,
    /// Schema, table and partition, or topic.
    pub names: &'a [u8],
    /// Whatever else belongs to this event alone.
    pub about: &'a [u8],
    pub author: &'a [u8],
    /// Microseconds since 2000-01-01 00:00 UTC: when it was recorded or committed.
    pub at: Option<i64>,
}

/// Appends the event in our own shape.
pub fn native(event: &Event, body: &mut impl Body, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    match event.position {
        Some(Position::Feed(position)) => object.integer(b"position", position),
        Some(Position::Wal(lsn)) => object.lsn(b"lsn", lsn),
        None => {}
    }
    if let Some(ordinal) = event.ordinal {
        object.integer(b"ordinal", ordinal);
    }
    if let Some(txid) = event.txid {
        object.integer(b"txid", txid);
    }
    object.text(b"operation", event.operation.name().as_bytes());
    object.members(event.names);
    object.members(event.about);
    for (section, name) in SECTIONS {
        object.section(name, |out| body.write(section, out));
    }
    object.members(event.author);
    if let Some(at) = event.at {
        let name: &[u8] =
            if matches!(event.position, Some(Position::Feed(_))) { b"recorded_at" } else { b"committed_at" };
        object.value(name, |out| timestamp(at, out));
    }
    object.close();
}

/// What is the same in the `source` block of all envelopes: made once by `source()`.
pub fn source(server: &[u8], database: &[u8]) -> Vec<u8> {
    let mut members = Vec::new();
    let mut object = Object::members_of(&mut members);
    object.text(b"version", env!("CARGO_PKG_VERSION").as_bytes());
    object.text(b"connector", b"db_architect");
    object.text(b"name", server);
    object.text(b"db", database);
    members
}

/// Appends the event as Debezium shapes it. `order`: the event's number among those of its table in the
/// transaction; `now`: when it is written, in milliseconds since 1970.
pub fn envelope(
    event: &Event,
    source: &[u8],
    order: Option<u64>,
    now: i64,
    body: &mut impl Body,
    out: &mut Vec<u8>,
) {
    let mut object = Object::open(out);
    let is_message = event.operation.letter() == "m";
    if !is_message {
        object.section(b"key", |out| body.write(Section::Key, out));
        object.section_or_null(b"before", |out| body.write(Section::Old, out));
        object.section_or_null(b"after", |out| body.write(Section::New, out));
    }
    object.value(b"source", |out| {
        let mut block = Object::open(out);
        block.members(source);
        match event.at {
            Some(at) => block.integer(b"ts_ms", milliseconds(at)),
            None => block.null(b"ts_ms"),
        }
        block.text(b"snapshot", if event.operation == Operation::Read { b"true" } else { b"false" });
        if !is_message {
            block.members(event.names);
        }
        block.members(event.about);
        if let Some(txid) = event.txid {
            block.integer(b"txId", txid);
        }
        match event.position {
            Some(Position::Feed(position)) => block.integer(b"position", position),
            Some(Position::Wal(lsn)) => block.integer(b"lsn", lsn),
            None => {}
        }
        block.members(event.author);
        block.close();
    });
    object.text(b"op", event.operation.letter().as_bytes());
    if is_message {
        object.value(b"message", |out| {
            let mut block = Object::open(out);
            block.members(event.names);
            block.section(b"key", |out| body.write(Section::Key, out));
            block.section(b"content", |out| body.write(Section::Payload, out));
            block.section(b"headers", |out| body.write(Section::Headers, out));
            block.close();
        });
    }
    object.section(b"masked", |out| body.write(Section::Masked, out));
    object.integer(b"ts_ms", now);
    if let Some(txid) = event.txid {
        object.value(b"transaction", |out| {
            let mut block = Object::open(out);
            block.value(b"id", |out| {
                let _ = write!(out, "\"{txid}\"");
            });
            if let Some(ordinal) = event.ordinal {
                block.integer(b"total_order", ordinal);
            }
            if let Some(order) = order {
                block.integer(b"data_collection_order", order);
            }
            block.close();
        });
    }
    object.close();
}

/// The members that name a table and, where the row is in one, its partition.
pub fn names(schema: &[u8], table: &[u8], partition: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let mut members = Vec::new();
    let mut object = Object::members_of(&mut members);
    object.text(b"schema", schema);
    object.text(b"table", table);
    if let Some((schema, table)) = partition {
        object.text(b"partition_schema", schema);
        object.text(b"partition_table", table);
    }
    members
}

/// The members that say who acted: texts, and the context as JSON.
pub fn author(actor: Option<&[u8]>, correlation_id: Option<&[u8]>, context: Option<&[u8]>) -> Vec<u8> {
    let mut members = Vec::new();
    let mut object = Object::members_of(&mut members);
    if let Some(actor) = actor {
        object.text(b"actor", actor);
    }
    if let Some(correlation_id) = correlation_id {
        object.text(b"correlation_id", correlation_id);
    }
    if let Some(context) = context {
        object.value(b"context", |out| out.extend_from_slice(context));
    }
    members
}

/// A JSON object being written.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// More members for an object that is put together from parts.
    pub fn members_of(members: &'a mut Vec<u8>) -> Self {
        let first = members.is_empty();
        Self { out: members, first }
    }

    pub fn close(self) {
        self.out.push(b'}');
    }

    /// Members that are JSON already, without the braces.
    #[inline]
    pub fn members(&mut self, members: &[u8]) {
        if !members.is_empty() {
            self.separate();
            self.out.extend_from_slice(members);
        }
    }

    #[inline]
    pub fn value(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        write(self.out);
    }

    /// A member that may turn out not to apply.
    #[inline]
    pub fn section(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let (start, first) = (self.out.len(), self.first);
        self.name(name);
        if !write(self.out) {
            self.out.truncate(start);
            self.first = first;
        }
    }

    fn section_or_null(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.name(name);
        let start = self.out.len();
        if !write(self.out) {
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
        }
    }

    pub fn text(&mut self, name: &[u8], text: &[u8]) {
        self.value(name, |out| json::string(text, out));
    }

    pub fn integer(&mut self, name: &[u8], value: impl itoa::Integer) {
        self.value(name, |out| {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        });
    }

    pub fn null(&mut self, name: &[u8]) {
        self.value(name, |out| out.extend_from_slice(b"null"));
    }

    /// A place in the WAL as PostgreSQL writes it, 0/16B3748.
    pub fn lsn(&mut self, name: &[u8], lsn: u64) {
        self.value(name, |out| {
            out.push(b'"');
            hexadecimal((lsn >> 32) as u32, out);
            out.push(b'/');
            hexadecimal(lsn as u32, out);
            out.push(b'"');
        });
    }

    #[inline]
    fn name(&mut self, name: &[u8]) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b"\":");
    }

    #[inline]
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
    }
}

fn hexadecimal(value: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits: [u8; 8] = std::array::from_fn(|i| DIGITS[(value >> (28 - 4 * i)) as usize & 15]);
    out.extend_from_slice(&digits[(value.leading_zeros() as usize / 4).min(7)..]);
}

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin.
const EPOCH: i64 = 946_684_800_000_000;

/// A timestamptz as milliseconds since 1970.
pub fn milliseconds(at: i64) -> i64 {
    at.saturating_add(EPOCH).div_euclid(1000)
}

/// Appends a timestamptz as a JSON string, as values of that type are written.
pub fn timestamp(at: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    if calendar::timestamp(at, true, out).is_none() {
        out.extend_from_slice(b"-infinity");
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [(Section, &'static str)]);

    impl Body for Fixed {
        fn write(&mut self, section: Section, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(b"left over");
            let found = self.0.iter().find(|(s, _)| *s == section);
            let Some((_, text)) = found else { return false };
            out.truncate(out.len() - "left over".len());
            out.extend_from_slice(text.as_bytes());
            true
        }
    }

    fn event(operation: Operation, position: Position, names: &[u8]) -> Event<'_> {
        Event {
            operation,
            position: Some(position),
            ordinal: Some(1),
            txid: Some(735),
            names,
            about: b"",
            author: b"",
            at: Some(0),
        }
    }

    #[test]
    fn sections_that_do_not_apply_leave_nothing() {
        let names = names(b"public", b"a\"b", None);
        let mut out = Vec::new();
        let mut body = Fixed(&[(Section::Key, "{\"id\":1}"), (Section::New, "{\"id\":1}")]);
        native(&event(Operation::Insert, Position::Wal(0x1_0000_00ff), &names), &mut body, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"lsn":"1/FF","ordinal":1,"txid":735,"operation":"insert","schema":"public","table":"a\"b","key":{"id":1},"new":{"id":1},"committed_at":"2000-01-01T00:00:00+00:00"}"#
        );
    }

    #[test]
    fn the_envelope_has_before_and_after_always() {
        let names = names(b"s", b"t", Some((b"s", b"t1")));
        let mut out = Vec::new();
        let mut body = Fixed(&[(Section::Old, "{\"id\":1}")]);
        let source = source(b"shop", b"db");
        envelope(
            &event(Operation::Delete, Position::Feed(7), &names),
            &source,
            Some(2),
            5,
            &mut body,
            &mut out,
        );
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["before"]["id"], 1);
        assert!(value["after"].is_null());
        assert_eq!(value["op"], "d");
        assert_eq!(value["source"]["partition_table"], "t1");
        assert_eq!(value["source"]["ts_ms"], 946_684_800_000_i64);
        assert_eq!(value["source"]["position"], 7);
        assert_eq!(value["transaction"]["id"], "735");
        assert_eq!(value["transaction"]["data_collection_order"], 2);
    }

    #[test]
    fn messages_have_no_rows() {
        let mut out = Vec::new();
        let mut body = Fixed(&[(Section::Payload, "{}"), (Section::Key, "\"k\"")]);
        envelope(
            &event(Operation::Event, Position::Wal(1), b"\"prefix\":\"p\""),
            b"",
            None,
            5,
            &mut body,
            &mut out,
        );
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["op"], "m");
        assert_eq!(value["message"]["prefix"], "p");
        assert_eq!(value["message"]["key"], "k");
        assert!(value.get("before").is_none());
    }

    #[test]
    fn timestamps_of_every_age() {
        for (at, text) in [
            (0, "2000-01-01T00:00:00+00:00"),
            (-1, "1999-12-31T23:59:59.999999+00:00"),
            (100_000, "2000-01-01T00:00:00.1+00:00"),
            (5_097_599_999_999 * 1000, "2161-07-14T23:59:59.999+00:00"),
            (-EPOCH - 86_400_000_000, "1969-12-31T00:00:00+00:00"),
            (5_097_600_000_000, "2000-02-29T00:00:00+00:00"),
        ] {
            let mut out = Vec::new();
            timestamp(at, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{text}\""));
        }
        assert_eq!(milliseconds(-EPOCH), 0);
    }
}

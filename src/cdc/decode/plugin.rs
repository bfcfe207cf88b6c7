//! The plugin: which events become lines, and what is known of the transactions they are in.

use super::message::{self, Said};
use super::options::{Format, Options, Partitions};
use super::plan::Plan;
use super::pretty;
use super::row::{Notes, Row};
use super::transaction::{InProgress, Transactions};
use crate::cdc::event::{self, Body, Event, Object, Operation, Position};
use crate::error::Result;
use crate::pg::decode::{
    Action, Boundary, Change, Features, Lines, Message, Plugin, Relation, Sink, Transaction, Truncation,
    full_id, stale,
};
use crate::pg::tuple::Values;
use crate::pg::{session, subtransaction};
use pgrx::pg_sys;
use std::collections::HashMap;
use std::rc::Rc;

pub struct WalFeed {
    options: Options,
    plans: HashMap<pg_sys::Oid, Option<Rc<Plan>>>,
    last: Option<(pg_sys::Oid, Rc<Plan>)>,
    transactions: Transactions,
    writer: Writer,
    old: Values,
    new: Values,
    notes: Notes,
}

/// Turns events into lines.
struct Writer {
    format: Format,
    lsn: bool,
    timestamp: bool,
    pretty: bool,
    /// Lines of a transaction are sent together once they have so many bytes; 0: each by itself.
    batch: usize,
    name: String,
    /// What all envelopes have in common: made with the first one, as a replication client's decoder
    /// starts outside any transaction, where the catalogue cannot be read.
    source: Option<Vec<u8>>,
    /// Lines yet to be sent, and where the one being written begins.
    lines: Lines,
    start: usize,
    indented: Lines,
}

impl Plugin for WalFeed {
    fn start(options: &[(String, Option<String>)], features: &mut Features) -> Result<Self> {
        let options = Options::parse(options)?;
        features.streaming = options.streaming;
        Ok(Self {
            writer: Writer {
                format: options.format,
                lsn: options.include_lsn,
                timestamp: options.include_timestamp,
                pretty: options.pretty,
                batch: options.batch,
                name: options.name.clone().unwrap_or_else(|| "postgresql".into()),
                source: None,
                lines: Lines::default(),
                start: 0,
                indented: Lines::default(),
            },
            options,
            plans: HashMap::new(),
            last: None,
            transactions: Transactions::default(),
            old: Values::default(),
            new: Values::default(),
            notes: Notes::default(),
        })
    }

    fn wants_origin(&self, origin: u16) -> bool {
        !self.options.local_only || origin == pg_sys::InvalidRepOriginId as u16
    }

    fn boundary(&mut self, boundary: Boundary, transaction: &Transaction, lsn: u64, sink: &mut Sink) {
        let records = self.options.wants_transactions();
        match boundary {
            Boundary::Begin => self.transactions.begin(transaction, records),
            Boundary::BeginPrepare => {
                self.transactions.begin(transaction, true);
                let known = self.transactions.get(transaction);
                known.begun = true;
                self.writer.mark("begin", transaction, Some(known), transaction.final_lsn(), sink);
            }
            Boundary::StreamStart => self.transactions.resume(transaction),
            Boundary::StreamStop => {
                let known = self.transactions.get(transaction);
                if std::mem::replace(&mut known.block_open, false) {
                    self.writer.mark("stream_stop", transaction, Some(known), 0, sink);
                }
            }
            Boundary::StreamAbort => {
                let known = self.transactions.get(transaction);
                if known.begun {
                    self.writer.mark("stream_abort", transaction, Some(known), lsn, sink);
                }
                match transaction.subtransaction() {
                    Some(part) => known.authors.retain(|(by, _)| *by != part),
                    None => self.transactions.end(transaction),
                }
            }
            Boundary::Commit | Boundary::Prepare | Boundary::StreamPrepare | Boundary::StreamCommit => {
                let name = match boundary {
                    Boundary::Commit => "commit",
                    Boundary::Prepare => "prepare",
                    Boundary::StreamPrepare => "stream_prepare",
                    _ => "stream_commit",
                };
                let known = self.transactions.get(transaction);
                known.at = transaction.ended_at();
                match (known.begun, known.records) {
                    (true, true) => self.writer.mark(name, transaction, Some(known), lsn, sink),
                    (begun, _) => sink.progress(!begun),
                }
                self.transactions.end(transaction);
            }
            Boundary::CommitPrepared => self.writer.mark("commit_prepared", transaction, None, lsn, sink),
            Boundary::RollbackPrepared => self.writer.mark("rollback_prepared", transaction, None, lsn, sink),
        }
        if !matches!(boundary, Boundary::Begin | Boundary::BeginPrepare | Boundary::StreamStart) {
            self.writer.flush(sink);
        }
    }

    fn change(&mut self, transaction: &Transaction, relation: &Relation, change: &Change, sink: &mut Sink) {
        let operation = match change.action {
            Action::Insert => Operation::Insert,
            Action::Update => Operation::Update,
            Action::Delete => Operation::Delete,
        };
        let Some(plan) = self.plan(relation).filter(|_| self.options.wants(operation)) else {
            sink.nothing();
            return;
        };
        let known = self.transactions.get(transaction);
        self.writer.open(transaction, known, sink);
        let (ordinal, order) = known.count(relation.id(), self.writer.format == Format::Envelope);
        let about = known.about(change.subtransaction);
        let event = Event {
            operation,
            position: self.writer.lsn.then_some(Position::Wal(change.lsn)),
            ordinal: self.writer.lsn.then_some(ordinal),
            txid: Some(known.id),
            names: &plan.names,
            about: &about,
            author: known.author(),
            at: known.at.filter(|_| self.writer.timestamp),
        };
        let Some(encoder) = &plan.encoder else {
            self.writer.event(&event, order, &mut Empty, sink);
            return;
        };
        if let Some(old) = &change.old {
            old.values_into(&mut self.old);
        }
        if let Some(new) = &change.new {
            new.values_into(&mut self.new);
        }
        let mut row = Row {
            plan: &plan,
            encoder,
            action: change.action,
            old: change.old.is_some().then_some(&self.old),
            new: change.new.is_some().then_some(&self.new),
            notes: &mut self.notes,
            placeholder: self.writer.format == Format::Envelope,
        };
        let writer = &mut self.writer;
        // Values are written without a subtransaction each until one of the relation's fails.
        if !plan.careful.get()
            && let Err(error) = subtransaction::caught(|| writer.render(&event, order, &mut row))
        {
            if error.is_cancel() {
                error.raise();
            }
            plan.careful.set(true);
        }
        if plan.careful.get() {
            writer.render(&event, order, &mut row);
        }
        writer.send(plan.foreign_json || known.has_context(), sink);
    }

    fn truncate(
        &mut self,
        transaction: &Transaction,
        relations: &[Relation],
        truncation: Truncation,
        sink: &mut Sink,
    ) {
        if !self.options.wants(Operation::Truncate) {
            return;
        }
        let truncated: Vec<pg_sys::Oid> = relations.iter().map(Relation::id).collect();
        for relation in relations {
            let Some(plan) = self.plan(relation) else { continue };
            // TRUNCATE of a partitioned table names it and its partitions: one event, or one for each
            // partition, as rows are named.
            let redundant = match self.options.partitions {
                Partitions::Root => plan.ancestors.iter().any(|above| truncated.contains(above)),
                Partitions::Leaf => relation.kind() == b'p',
            };
            if redundant {
                continue;
            }
            let known = self.transactions.get(transaction);
            self.writer.open(transaction, known, sink);
            let (ordinal, order) = known.count(relation.id(), self.writer.format == Format::Envelope);
            let mut about = known.about(truncation.subtransaction);
            for (name, set) in
                [("cascade", truncation.cascade), ("restart_identity", truncation.restart_identity)]
            {
                if set {
                    about.extend_from_slice(if about.is_empty() { b"\"" } else { b",\"" });
                    about.extend_from_slice(name.as_bytes());
                    about.extend_from_slice(b"\":true");
                }
            }
            let event = Event {
                operation: Operation::Truncate,
                position: self.writer.lsn.then_some(Position::Wal(truncation.lsn)),
                ordinal: self.writer.lsn.then_some(ordinal),
                txid: Some(known.id),
                names: &plan.names,
                about: &about,
                author: known.author(),
                at: known.at.filter(|_| self.writer.timestamp),
            };
            self.writer.event(&event, order, &mut Empty, sink);
        }
    }

    fn message(&mut self, transaction: Option<&Transaction>, message: &Message, sink: &mut Sink) {
        if message.prefix == message::CONTEXT.as_bytes() {
            if let (Some(transaction), Some(author)) = (transaction, message::author(message.content)) {
                let part = message.subtransaction.unwrap_or_default();
                self.transactions.get(transaction).authors.push((part, author));
            }
            return;
        }
        let mut said = Said::of(message.prefix, message.content, session::is_text(message.content));
        let wanted = self.options.wants(said.operation)
            && (said.operation != Operation::Message || self.options.wants_message(message.prefix));
        if !wanted {
            sink.nothing();
            return;
        }
        let mut event = Event {
            operation: said.operation,
            position: self.writer.lsn.then_some(Position::Wal(message.lsn)),
            ordinal: None,
            txid: None,
            names: &said.names.clone(),
            about: b"\"transactional\":false",
            author: b"",
            at: None,
        };
        let Some(transaction) = transaction else {
            self.writer.event(&event, None, &mut said, sink);
            self.writer.flush(sink);
            return;
        };
        let known = self.transactions.get(transaction);
        self.writer.open(transaction, known, sink);
        let (ordinal, _) = known.count(pg_sys::InvalidOid, false);
        let about = known.about(message.subtransaction.unwrap_or(transaction.short_id()));
        event.about = &about;
        event.ordinal = self.writer.lsn.then_some(ordinal);
        event.txid = Some(known.id);
        event.author = known.author();
        event.at = known.at.filter(|_| self.writer.timestamp);
        self.writer.event(&event, None, &mut said, sink);
    }
}

impl WalFeed {
    fn plan(&mut self, relation: &Relation) -> Option<Rc<Plan>> {
        if stale::pending() {
            self.forget_stale();
        }
        let relid = relation.id();
        if let Some((_, plan)) = self.last.as_ref().filter(|(last, _)| *last == relid) {
            return Some(Rc::clone(plan));
        }
        let plan = match self.plans.get(&relid) {
            Some(plan) => plan.clone(),
            None => {
                let plan = match Plan::of(relation, &self.options) {
                    Ok(plan) => plan.map(Rc::new),
                    Err(error) => error.raise(),
                };
                self.plans.insert(relid, plan.clone());
                plan
            }
        };
        self.last = plan.clone().map(|plan| (relid, plan));
        plan
    }

    fn forget_stale(&mut self) {
        self.last = None;
        let Some(changed) = stale::take() else {
            self.plans.clear();
            return;
        };
        self.plans.retain(|relid, plan| {
            !changed.contains(relid) && plan.as_ref().is_none_or(|plan| !plan.depends_on(&changed))
        });
    }
}

impl Writer {
    /// Sees to it that the transaction's begin, or the block of a streamed one, is there before its
    /// first event. A transaction of which nothing is written leaves no trace.
    #[inline]
    fn open(&mut self, transaction: &Transaction, known: &mut InProgress, sink: &mut Sink) {
        if known.streamed && !known.block_open {
            self.mark("stream_start", transaction, Some(known), 0, sink);
        } else if !known.begun && known.records {
            self.mark("begin", transaction, Some(known), transaction.final_lsn(), sink);
        }
        known.begun = true;
        known.block_open = known.streamed;
    }

    #[inline]
    fn event(&mut self, event: &Event, order: Option<u64>, body: &mut impl Body, sink: &mut Sink) {
        self.render(event, order, body);
        self.send(true, sink);
    }

    /// Writes the event behind the lines that wait; again, if it was written before.
    #[inline]
    fn render(&mut self, event: &Event, order: Option<u64>, body: &mut impl Body) {
        self.lines.truncate(self.start);
        match self.format {
            Format::Native => event::native(event, body, self.lines.end()),
            Format::Envelope => {
                let now = event::milliseconds(session::clock());
                let name = self.name.as_bytes();
                let source =
                    self.source.get_or_insert_with(|| event::source(name, &session::database_name()));
                event::envelope(event, source, order, now, body, self.lines.end());
            }
        }
    }

    /// Sends the line that was written, or keeps it with others of its transaction. Through SQL each line
    /// is a row. `foreign`: it may hold JSON that somebody else wrote, with line breaks for white space.
    #[inline]
    fn send(&mut self, foreign: bool, sink: &mut Sink) {
        if self.pretty {
            pretty::indented(self.lines.text(), self.indented.end());
            sink.send(&mut self.indented);
            self.lines.truncate(0);
            return;
        }
        if foreign {
            for byte in &mut self.lines.text_mut()[self.start..] {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        if self.lines.text().len() >= self.batch || !sink.is_stream() {
            sink.send(&mut self.lines);
            self.start = 0;
        } else {
            self.lines.end().push(b'\n');
            self.start = self.lines.text().len();
        }
    }

    /// Sends what is kept: at the end of every transaction and block.
    fn flush(&mut self, sink: &mut Sink) {
        if self.start > 0 {
            self.lines.truncate(self.start - 1);
            sink.send(&mut self.lines);
            self.start = 0;
        }
    }

    /// A line that says where a transaction stands.
    fn mark(
        &mut self,
        name: &str,
        transaction: &Transaction,
        known: Option<&InProgress>,
        lsn: u64,
        sink: &mut Sink,
    ) {
        let mut object = Object::open(self.lines.end());
        if self.lsn && lsn != 0 {
            object.lsn(b"lsn", lsn);
        }
        let ended = matches!(
            name,
            "commit"
                | "prepare"
                | "commit_prepared"
                | "rollback_prepared"
                | "stream_prepare"
                | "stream_commit"
        );
        if self.lsn && ended && transaction.end_lsn() != 0 {
            object.lsn(b"end_lsn", transaction.end_lsn());
        }
        object.integer(b"txid", known.map_or_else(|| transaction.id(), |known| known.id));
        object.text(b"operation", name.as_bytes());
        if let Some(part) = transaction.subtransaction() {
            object.integer(b"subtxid", full_id(part));
        }
        if let Some(gid) = transaction.gid() {
            object.text(b"gid", gid);
        }
        if let Some(known) = known {
            object.members(&known.origin);
            if ended {
                object.integer(b"events", known.events());
            }
        }
        if let Some(at) = transaction.ended_at().filter(|_| self.timestamp) {
            let name: &[u8] = match name {
                "prepare" | "stream_prepare" => b"prepared_at",
                "rollback_prepared" => b"rolled_back_at",
                _ => b"committed_at",
            };
            object.value(name, |out| event::timestamp(at, out));
        }
        object.close();
        self.send(false, sink);
    }
}

/// An event without values.
struct Empty;

impl Body for Empty {
    fn write(&mut self, _section: event::Section, _out: &mut Vec<u8>) -> bool {
        false
    }
}

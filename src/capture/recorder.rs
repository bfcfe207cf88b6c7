//! A change on its way to the audit log and to the feed: one call serves both, and what both record alike
//! is written once.

use crate::capture::context::Contexts;
use crate::capture::feed::Entry;
use crate::capture::feed_writer::FeedWriter;
use crate::capture::image;
use crate::capture::log::{AuditLog, Operation, Statement};
use crate::capture::notice;
use crate::capture::plan::{Audit, Feed, Plan, Plans};
use crate::capture::policy::Image;
use crate::capture::warning;
use crate::error::{Error, Result};
use crate::pg::trigger::{Event, TriggerCall};
use crate::pg::tuple::Values;
use crate::pg::{executor, ffi, invalidation, lookup, session};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::rc::Rc;

/// Buffers larger than this are given back after use.
const KEEP: usize = 1 << 20;

/// What the session remembers between calls. Nothing here grows with the rows it has seen.
#[derive(Default)]
struct State {
    plans: Plans,
    contexts: Contexts,
    log: Option<AuditLog>,
    feed: FeedWriter,
    statement: Option<Statement>,
    /// Transaction, command and relation of the last TRUNCATE, in the log and in the feed.
    truncated: [Option<(u64, u32, pg_sys::Oid)>; 2],
    rows: Rows,
}

/// The row at hand, as it was and as it became, and what is written of it.
#[derive(Default)]
struct Rows {
    old: Values,
    new: Values,
    audit_image: Vec<u8>,
    feed_image: Vec<u8>,
    audit_key: Vec<u8>,
    feed_key: Vec<u8>,
    former_key: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn with_state<T>(work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
    STATE.with(|state| {
        let mut state = state
            .try_borrow_mut()
            .map_err(|_| Error::internal("a change was recorded while another was being recorded"))?;
        state.catch_up();
        work(&mut state)
    })
}

/// Records what a trigger was called for.
pub fn record(call: &TriggerCall) -> Result<()> {
    with_state(|state| state.record(call))
}

/// What emit_event was given, as JSON texts.
pub struct Emitted<'a> {
    /// Events of one key stay in order.
    pub key: Option<&'a [u8]>,
    pub image: &'a [u8],
    pub channel: Option<&'a str>,
}

/// Puts an event into the feed; returns its position. Unlike a row's change, what cannot be stored is an
/// error: the caller asked for nothing else.
pub fn emit(event: &Emitted) -> Result<i64> {
    with_state(|state| state.emit(event))
}

/// Writes events that wait for others of their transaction, as far as the present savepoint is theirs. To be called
/// before the feed is read below the executor; src/pg/executor.rs does so before a query that reads it, and at the end.
pub fn write_pending() {
    STATE.with(|state| match state.try_borrow_mut() {
        Ok(mut state) => {
            state.catch_up();
            state.feed.write_pending();
        }
        // A query within the recording of a change: whoever began that has an end too.
        Err(_) => executor::leave(),
    });
}

/// Writes events that wait; fails where some do that only what is around the present savepoint can write.
pub fn check_written() -> Result<()> {
    write_pending();
    if !with_state(|state| Ok(state.feed.has_pending()))? {
        return Ok(());
    }
    Err(Error::not_in_prerequisite_state("changes of this transaction are not in the feed yet")
        .detail("They were made outside the present savepoint or exception block.")
        .hint("Call this in a transaction of its own, or before the savepoint."))
}

/// How much a session remembers: relations with a plan, contexts, bytes of buffers.
pub fn remembered() -> (usize, usize, usize) {
    STATE.with_borrow(|state| (state.plans.len(), state.contexts.len(), state.rows.capacity()))
}

impl State {
    fn record(&mut self, call: &TriggerCall) -> Result<()> {
        let feed_only = || call.arguments().iter().any(|argument| argument == "feed");
        let plan = match self.plans.get(call.relid(), feed_only)? {
            Some(plan) if plan.columns.len() == call.attribute_count() || !call.is_row() => plan,
            Some(_) => return Err(Error::internal("the relation is not the one the plan was made for")),
            None => {
                warning::not_recorded(call.relid());
                return Ok(());
            }
        };
        let event = call.event();
        // A trigger with a WHEN clause is the feed's own.
        let audit = plan.audit.as_ref().filter(|audit| !call.has_condition() && audit.part.concerns(event));
        let feed = plan.feed.as_ref().filter(|feed| {
            (feed.conditional == call.has_condition() || event == Event::Truncate)
                && feed.part.concerns(event)
        });
        if audit.is_none() && feed.is_none() {
            return Ok(());
        }
        if event == Event::Truncate {
            return self.truncate(&plan, audit, feed, call.relid());
        }
        let mut rows = std::mem::take(&mut self.rows);
        let outcome = self.record_row(&plan, audit, feed, call, &mut rows);
        rows.shrink();
        self.rows = rows;
        outcome
    }

    fn record_row(
        &mut self,
        plan: &Plan,
        audit: Option<&Audit>,
        feed: Option<&Feed>,
        call: &TriggerCall,
        rows: &mut Rows,
    ) -> Result<()> {
        rows.clear();
        match (call.old(), call.new_row()) {
            (None, None) => Ok(()),
            (None, Some(row)) => {
                row.values_into(&mut rows.new);
                self.one_version(plan, audit, feed, row.inserted_by_command(), Operation::Insert, rows)
            }
            (Some(row), None) => {
                row.values_into(&mut rows.new);
                self.one_version(plan, audit, feed, row.deleted_by_command(), Operation::Delete, rows)
            }
            (Some(before), Some(after)) => {
                before.values_into(&mut rows.old);
                after.values_into(&mut rows.new);
                self.update(plan, audit, feed, after.inserted_by_command(), rows)
            }
        }
    }

    /// A row that came or went: `rows.new`.
    fn one_version(
        &mut self,
        plan: &Plan,
        audit: Option<&Audit>,
        feed: Option<&Feed>,
        command: Option<u32>,
        operation: Operation,
        rows: &mut Rows,
    ) -> Result<()> {
        if let Some(audit) = audit {
            image::row(plan, &audit.part, &rows.new, &mut rows.audit_image)?;
            self.append(plan, audit, command, operation, rows)?;
        }
        if let Some(feed) = feed {
            if !(feed.as_audit && audit.is_some()) {
                image::row(plan, &feed.part, &rows.new, &mut rows.feed_image)?;
            }
            self.feed(plan, audit, feed, command, operation, rows)?;
        }
        Ok(())
    }

    fn update(
        &mut self,
        plan: &Plan,
        audit: Option<&Audit>,
        feed: Option<&Feed>,
        command: Option<u32>,
        rows: &mut Rows,
    ) -> Result<()> {
        let operation = |image| match image {
            Image::Changed => Operation::UpdateChanged,
            Image::Full => Operation::UpdateFull,
        };
        let mut audited = None;
        if let Some(audit) = audit {
            let part = &audit.part;
            audited = image::update(plan, part, &rows.old, &rows.new, &mut rows.audit_image)?;
            let same_key = image::same_key(plan, part, &rows.old, &rows.new);
            if audited.is_some() || !same_key {
                let id = self.append(plan, audit, command, operation(part.image), rows)?;
                if !same_key {
                    self.file_under_former_key(plan, audit, id, rows)?;
                }
            }
        }
        let Some(feed) = feed else { return Ok(()) };
        let part = &feed.part;
        let changed = match audit {
            Some(audit) if feed.as_audit => {
                if part.image != audit.part.image
                    && let Some(changes) = audited.clone()
                {
                    let changes = &rows.audit_image[changes];
                    image::update_from(plan, part, &rows.old, changes, &mut rows.feed_image)?;
                }
                audited.is_some()
            }
            _ => image::update(plan, part, &rows.old, &rows.new, &mut rows.feed_image)?.is_some(),
        };
        if changed || !image::same_key(plan, part, &rows.old, &rows.new) {
            self.feed(plan, audit, feed, command, operation(part.image), rows)?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        plan: &Plan,
        audit: &Audit,
        command: Option<u32>,
        operation: Operation,
        rows: &mut Rows,
    ) -> Result<i64> {
        let has_key = image::key(plan, &audit.part, &rows.new, &mut rows.audit_key)?;
        let statement = self.begin_audited_statement(plan, audit, command)?;
        let log = self.log()?;
        let id = log.next_id();
        let key = has_key.then_some(&rows.audit_key[..]);
        log.append(&audit.part, &statement, id, operation, key, Some(&rows.audit_image))?;
        Ok(id)
    }

    fn file_under_former_key(&mut self, plan: &Plan, audit: &Audit, id: i64, rows: &mut Rows) -> Result<()> {
        image::key(plan, &audit.part, &rows.old, &mut rows.former_key)?;
        if rows.former_key == rows.audit_key {
            return Ok(());
        }
        let statement = self.statement.ok_or_else(|| Error::internal("no statement is being recorded"))?;
        let (key, image) = (Some(&rows.former_key[..]), Some(&rows.audit_image[..]));
        self.log()?.append(&audit.part, &statement, id, Operation::FormerKey, key, image)
    }

    /// Puts the row at hand into the feed. It never fails the statement: what cannot be written is not
    /// captured, and said once.
    fn feed(
        &mut self,
        plan: &Plan,
        audit: Option<&Audit>,
        feed: &Feed,
        command: Option<u32>,
        operation: Operation,
        rows: &mut Rows,
    ) -> Result<()> {
        let part = &feed.part;
        let shared_key = feed.key_as_audit && audit.is_some();
        let has_key = !part.key.is_empty();
        if !shared_key {
            image::key(plan, part, &rows.new, &mut rows.feed_key)?;
        }
        let updated = matches!(operation, Operation::UpdateChanged | Operation::UpdateFull);
        rows.former_key.clear();
        if updated && !image::same_key(plan, part, &rows.old, &rows.new) {
            image::key(plan, part, &rows.old, &mut rows.former_key)?;
        }
        let key = if shared_key { &rows.audit_key } else { &rows.feed_key };
        let as_audit =
            audit.is_some_and(|audit| feed.as_audit && (!updated || audit.part.image == part.image));
        let entry = Entry {
            table_id: part.table_id,
            relation_id: part.relation_id,
            operation,
            key: has_key.then_some(&key[..]),
            former_key: (!rows.former_key.is_empty() && rows.former_key != *key)
                .then_some(&rows.former_key[..]),
            image: Some(if as_audit { &rows.audit_image } else { &rows.feed_image }),
        };
        self.publish(command, feed.channel.as_ref(), &entry)
    }

    fn truncate(
        &mut self,
        plan: &Plan,
        audit: Option<&Audit>,
        feed: Option<&Feed>,
        relid: pg_sys::Oid,
    ) -> Result<()> {
        if let Some(audit) = audit {
            let statement = self.begin_audited_statement(plan, audit, None)?;
            if self.is_first_truncate(0, &statement, relid) {
                let log = self.log()?;
                let id = log.next_id();
                log.append(&audit.part, &statement, id, Operation::Truncate, None, None)?;
            }
        }
        if let Some(feed) = feed {
            let statement = self.begin_statement(None, false)?;
            if self.is_first_truncate(1, &statement, relid) {
                let entry = Entry {
                    table_id: feed.part.table_id,
                    relation_id: feed.part.relation_id,
                    operation: Operation::Truncate,
                    key: None,
                    former_key: None,
                    image: None,
                };
                self.publish(None, feed.channel.as_ref(), &entry)?;
            }
        }
        Ok(())
    }

    /// TRUNCATE of a partitioned table fires on it first, then on each partition: one entry.
    fn is_first_truncate(&mut self, of: usize, statement: &Statement, relid: pg_sys::Oid) -> bool {
        if let Some((txid, command, above)) = self.truncated[of]
            && (txid, command) == (statement.txid, statement.command)
            && ffi::partition_ancestors(relid).contains(&above)
        {
            return false;
        }
        self.truncated[of] = Some((statement.txid, statement.command, relid));
        true
    }

    fn publish(&mut self, command: Option<u32>, channel: Option<&Rc<str>>, entry: &Entry) -> Result<()> {
        let statement = self.begin_statement(command, false)?;
        self.feed.publish(&statement, channel, entry);
        Ok(())
    }

    fn emit(&mut self, event: &Emitted) -> Result<i64> {
        let statement = self.begin_statement(None, true)?;
        self.feed.emit(&statement, event)
    }

    fn log(&mut self) -> Result<&mut AuditLog> {
        if self.log.is_none() {
            self.log = Some(AuditLog::open()?);
        }
        self.log.as_mut().ok_or_else(|| Error::internal("no log is open"))
    }

    fn begin_audited_statement(
        &mut self,
        plan: &Plan,
        audit: &Audit,
        command: Option<u32>,
    ) -> Result<Statement> {
        let statement = self.begin_statement(command, true)?;
        if audit.require_context {
            self.contexts.require(&plan.table)?;
        }
        Ok(statement)
    }

    /// The statement that made the change: the command that wrote the row. So rows of one statement share
    /// a time and a place, also when another trigger's writes come in between. Settings that cannot be
    /// recorded are an error if `strict`; else the statement has no context.
    fn begin_statement(&mut self, command: Option<u32>, strict: bool) -> Result<Statement> {
        let txid = session::transaction_id();
        let command = command.unwrap_or_else(session::command_id);
        let previous = self.statement.filter(|s| s.txid == txid);
        let known = previous.filter(|s| s.command == command);
        if let Some(statement) = known.filter(|s| !strict || s.context_id != Statement::NO_CONTEXT) {
            return Ok(statement);
        }
        let later = || previous.map_or(i64::MIN, |s| s.at + 1).max(session::clock());
        let at = known.map_or_else(later, |s| s.at);
        let context_id = match self.contexts.id(at) {
            Ok(id) => id,
            Err(error) if strict => return Err(error),
            Err(error) => {
                warning::without_context(&error);
                Statement::NO_CONTEXT
            }
        };
        let statement = Statement { txid, command, at, context_id };
        self.statement = Some(statement);
        Ok(statement)
    }

    /// Drops what relations, rollbacks and commits since the last call made stale.
    fn catch_up(&mut self) {
        if !invalidation::pending() {
            return;
        }
        let notes = invalidation::take();
        self.plans.apply(&notes);
        if let Some(lowest) = notes.aborted {
            self.contexts.forget_uncommitted(lowest);
            notice::after_rollback(lowest);
            self.statement = None;
            if let Some(log) = &mut self.log {
                log.after_rollback();
            }
            self.feed.after_rollback(lowest);
        }
        if notes.committed {
            self.contexts.committed();
        }
        let any = |depends: &dyn Fn(pg_sys::Oid) -> bool| {
            notes.changed.as_ref().is_none_or(|changed| changed.iter().any(|&oid| depends(oid)))
        };
        if self.log.as_ref().is_some_and(|log| any(&|oid| log.depends_on(oid))) {
            self.log = None;
            self.contexts.clear();
            self.statement = None;
        }
        if self.feed.look_again(any) {
            self.contexts.clear();
            self.statement = None;
        }
        // Its rows may be gone: TRUNCATE by hand. VACUUM changes it too; then a context is stored anew.
        if let Some(changed) = notes.changed.filter(|changed| !changed.is_empty())
            && let Some(contexts) = lookup::own_relation("capture_context")
            && changed.contains(&contexts)
        {
            self.contexts.clear();
            self.statement = None;
        }
    }
}

impl Rows {
    fn clear(&mut self) {
        for buffer in self.buffers() {
            buffer.clear();
        }
    }

    fn shrink(&mut self) {
        for buffer in self.buffers() {
            if buffer.capacity() > KEEP {
                *buffer = Vec::new();
            }
        }
    }

    fn buffers(&mut self) -> [&mut Vec<u8>; 5] {
        [
            &mut self.audit_image,
            &mut self.feed_image,
            &mut self.audit_key,
            &mut self.feed_key,
            &mut self.former_key,
        ]
    }

    fn capacity(&self) -> usize {
        [&self.audit_image, &self.feed_image, &self.audit_key, &self.feed_key, &self.former_key]
            .iter()
            .map(|buffer| buffer.capacity())
            .sum()
    }
}

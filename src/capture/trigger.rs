//! The trigger function: AFTER ROW for rows, AFTER STATEMENT for TRUNCATE.
//!
//! A row trigger, not a statement trigger with transition tables: it alone sees rows changed through a
//! partition, by logical replication and by foreign keys' actions; its queue cannot spill; and with
//! everything resolved beforehand it costs no more (bench/README.md).

use crate::capture::context::Contexts;
use crate::capture::image;
use crate::capture::log::{AuditLog, Operation, Statement};
use crate::capture::plan::{Plan, Plans};
use crate::capture::policy::Image;
use crate::error::{Error, Result};
use crate::pg::trigger::{Event, Outcome, TriggerCall, protocol_violation};
use crate::pg::tuple::Values;
use crate::pg::{invalidation, session};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::RefCell;

crate::export_trigger!(architect_capture, pg_finfo_architect_capture, capture);

/// Buffers larger than this are given back after use.
const KEEP: usize = 1 << 20;

/// What the session remembers between calls. Nothing here grows with the rows it has seen.
#[derive(Default)]
struct State {
    plans: Plans,
    contexts: Contexts,
    log: Option<AuditLog>,
    statement: Option<Statement>,
    /// Transaction, command and relation of the last TRUNCATE.
    truncated: Option<(u64, u32, pg_sys::Oid)>,
    old: Values,
    new: Values,
    image: Vec<u8>,
    key: Vec<u8>,
    former_key: Vec<u8>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn capture(call: &TriggerCall) -> Result<Outcome> {
    if !call.is_after() || call.is_row() == (call.event() == Event::Truncate) {
        return Err(protocol_violation(
            "capture",
            "AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW or AFTER TRUNCATE FOR EACH STATEMENT",
        ));
    }
    if !call.is_first_of_its_function() {
        return Ok(Outcome::Unchanged);
    }
    STATE.with(|state| {
        let mut state = state
            .try_borrow_mut()
            .map_err(|_| Error::internal("the capture trigger was called from within itself"))?;
        state.record(call)
    })?;
    Ok(Outcome::Unchanged)
}

/// How much a session remembers: relations with a plan, contexts, bytes of buffers.
pub fn remembered() -> (usize, usize, usize) {
    STATE.with_borrow(|state| {
        (
            state.plans.len(),
            state.contexts.len(),
            state.image.capacity() + state.key.capacity() + state.former_key.capacity(),
        )
    })
}

impl State {
    fn record(&mut self, call: &TriggerCall) -> Result<()> {
        if invalidation::pending() {
            self.catch_up();
        }
        let plan = match self.plans.get(call.relid())? {
            Some(plan) if plan.columns.len() == call.attribute_count() || !call.is_row() => plan,
            Some(_) => return Err(Error::internal("the relation is not the one the plan was made for")),
            None => {
                not_audited(call.relid());
                return Ok(());
            }
        };
        self.image.clear();
        self.key.clear();
        let (mut old, mut new) = (std::mem::take(&mut self.old), std::mem::take(&mut self.new));
        match (call.old(), call.new_row()) {
            (None, None) => self.truncate(&plan, call),
            (None, Some(row)) => {
                row.values_into(&mut new);
                image::row(&plan, &new, &mut self.image)?;
                self.append(&plan, row.inserted_by_command(), Operation::Insert, &new)
            }
            (Some(row), None) => {
                row.values_into(&mut old);
                image::row(&plan, &old, &mut self.image)?;
                self.append(&plan, row.deleted_by_command(), Operation::Delete, &old)
            }
            (Some(before), Some(after)) => {
                before.values_into(&mut old);
                after.values_into(&mut new);
                self.update(&plan, after.inserted_by_command(), &old, &new)
            }
        }?;
        (self.old, self.new) = (old, new);
        if self.image.capacity() > KEEP {
            self.image = Vec::new();
        }
        Ok(())
    }

    fn update(&mut self, plan: &Plan, command: Option<u32>, old: &Values, new: &Values) -> Result<()> {
        let operation = match plan.image {
            Image::Changed => Operation::UpdateChanged,
            Image::Full => {
                self.image.extend_from_slice(b"{\"row\":");
                image::row(plan, old, &mut self.image)?;
                self.image.extend_from_slice(b",\"changes\":");
                Operation::UpdateFull
            }
        };
        let changed = image::changes(plan, old, new, &mut self.image)?;
        if plan.image == Image::Full {
            self.image.push(b'}');
        }
        let same_key = image::same_key(plan, old, new);
        if !changed && same_key {
            return Ok(());
        }
        let id = self.append_with_id(plan, command, operation, new)?;
        if !same_key {
            self.former_key.clear();
            image::key(plan, old, &mut self.former_key)?;
            if self.former_key != self.key {
                let (Some(log), Some(statement)) = (&mut self.log, &self.statement) else {
                    return Err(Error::internal("no statement is being recorded"));
                };
                let (key, image) = (Some(&self.former_key[..]), Some(&self.image[..]));
                log.append(plan, statement, id, Operation::FormerKey, key, image)?;
            }
        }
        Ok(())
    }

    fn truncate(&mut self, plan: &Plan, call: &TriggerCall) -> Result<()> {
        self.begin_statement(plan, None)?;
        let Some(statement) = self.statement else {
            return Err(Error::internal("no statement is being recorded"));
        };
        // TRUNCATE of a partitioned table fires on it first, then on each partition: one entry.
        if let Some((txid, command, above)) = self.truncated
            && (txid, command) == (statement.txid, statement.command)
            && crate::pg::ffi::partition_ancestors(call.relid()).contains(&above)
        {
            return Ok(());
        }
        self.truncated = Some((statement.txid, statement.command, call.relid()));
        let log = self.log.as_mut().ok_or_else(|| Error::internal("no log is open"))?;
        let id = log.next_id();
        log.append(plan, &statement, id, Operation::Truncate, None, None)
    }

    fn append(
        &mut self,
        plan: &Plan,
        command: Option<u32>,
        operation: Operation,
        keyed: &Values,
    ) -> Result<()> {
        self.append_with_id(plan, command, operation, keyed).map(|_| ())
    }

    fn append_with_id(
        &mut self,
        plan: &Plan,
        command: Option<u32>,
        operation: Operation,
        keyed: &Values,
    ) -> Result<i64> {
        let has_key = image::key(plan, keyed, &mut self.key)?;
        self.begin_statement(plan, command)?;
        let (Some(log), Some(statement)) = (&mut self.log, &self.statement) else {
            return Err(Error::internal("no statement is being recorded"));
        };
        let id = log.next_id();
        log.append(plan, statement, id, operation, has_key.then_some(&self.key[..]), Some(&self.image))?;
        Ok(id)
    }

    /// Makes `self.statement` the one that made the change: the command that wrote the row. So rows of
    /// one statement share a time and a place, also when another trigger's writes come in between.
    fn begin_statement(&mut self, plan: &Plan, command: Option<u32>) -> Result<()> {
        let txid = session::transaction_id();
        let command = command.unwrap_or_else(session::command_id);
        if self.log.is_none() {
            self.log = Some(AuditLog::open()?);
        }
        let previous = self.statement.filter(|s| s.txid == txid);
        if previous.is_none_or(|s| s.command != command) {
            let at = previous.map_or(i64::MIN, |s| s.at + 1).max(session::clock());
            let context_id = self.contexts.id(at)?;
            self.statement = Some(Statement { txid, command, at, context_id });
        }
        if plan.require_context {
            self.contexts.require(&plan.table)?;
        }
        Ok(())
    }

    /// Drops what relations, rollbacks and commits since the last call made stale.
    fn catch_up(&mut self) {
        let notes = invalidation::take();
        self.plans.apply(&notes);
        if let Some(lowest) = notes.aborted {
            self.contexts.forget_uncommitted(lowest);
            self.statement = None;
        }
        if notes.committed {
            self.contexts.committed();
        }
        let Some(log) = &mut self.log else { return };
        if notes.aborted.is_some() {
            log.after_rollback();
        }
        if notes.changed.as_ref().is_none_or(|changed| changed.iter().any(|&oid| log.depends_on(oid))) {
            self.log = None;
            self.contexts.clear();
            self.statement = None;
        }
        // Its rows may be gone: TRUNCATE by hand. VACUUM changes it too; then a context is stored anew.
        if let Some(changed) = notes.changed.filter(|changed| !changed.is_empty())
            && let Some(contexts) = crate::pg::lookup::own_relation("capture_context")
            && changed.contains(&contexts)
        {
            self.contexts.clear();
            self.statement = None;
        }
    }
}

/// The trigger is there but no policy is: say so once a session for each table, and let the write pass.
fn not_audited(relid: pg_sys::Oid) {
    thread_local! {
        static WARNED: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
    }
    WARNED.with_borrow_mut(|warned| {
        if warned.contains(&relid) || warned.len() > 1000 {
            return;
        }
        warned.push(relid);
        let name = crate::pg::lookup::qualified_name(relid).unwrap_or_default();
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("changes of table {name} are not recorded"),
            "The table has the capture trigger but no policy says how it is audited. Call architect.enable_audit()."
        );
    });
}

//! The trigger function: BEFORE UPDATE, FOR EACH ROW.

use crate::error::{Error, Result};
use crate::guc;
use crate::pg::cursor::{Comparison, Cursor};
use crate::pg::trigger::{Event, NewTuple, Outcome, TriggerCall, protocol_violation};
use crate::pg::tuple::{Row, Value, Values, same_image};
use crate::pg::{datetime, security, session, settings};
use crate::updated_at::kind::Kind;
use crate::updated_at::plan::{Plan, Plans, Position};
use crate::updated_at::rules::{self, Action, Difference};
use crate::updated_at::spec::{Clock, Role};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::RefCell;

crate::export_trigger!(architect_stamp_row, pg_finfo_architect_stamp_row, stamp_row);

/// What the session remembers between calls. Nothing here grows with the rows it has seen.
#[derive(Default)]
struct State {
    plans: Plans,
    old: Values,
    new: Values,
    actor: Actor,
    local_time: datetime::LocalTime,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn stamp_row(call: &TriggerCall) -> Result<Outcome> {
    if !call.is_before() || !call.is_row() || call.event() != Event::Update {
        return Err(protocol_violation("stamp_row", "BEFORE UPDATE FOR EACH ROW"));
    }
    STATE.with(|state| {
        state
            .try_borrow_mut()
            .map_err(|_| Error::internal("the stamp_row trigger was called from within itself"))?
            .stamp(call)
    })
}

/// How many triggers' plans the session remembers.
pub fn remembered() -> usize {
    STATE.with_borrow(|state| state.plans.len())
}

impl State {
    fn stamp(&mut self, call: &TriggerCall) -> Result<Outcome> {
        let plan = self.plans.get(call)?;
        if plan.attributes != call.attribute_count() {
            return Err(Error::internal("the relation is not the one the plan was made for"));
        }
        let (Some(old), Some(new)) = (call.old(), call.new_row()) else {
            return Err(Error::internal("the trigger was given no row"));
        };
        if let Some(outcome) = self.patch(&plan, old, new)? {
            return Ok(outcome);
        }
        old.values_into(&mut self.old);
        new.values_into(&mut self.new);
        let action = rules::action(plan.only_if_changed, self.difference(&plan));
        let replaced = self.apply(&plan, action)?;
        Ok(if replaced { Outcome::Replaced(new.rebuilt(&mut self.new)) } else { Outcome::Unchanged })
    }

    /// The usual case without taking the rows apart: the application changed a column of its own, and
    /// what is to be set can be written over what a copy of the new row has there. None where the case
    /// is another one.
    fn patch(&mut self, plan: &Plan, old: Row, new: Row) -> Result<Option<Outcome>> {
        let (Some(mut before), Some(mut after)) =
            (Cursor::of(old, &plan.layout), Cursor::of(new, &plan.layout))
        else {
            return Ok(None);
        };
        if plan.only_if_changed {
            match Cursor::compare(&mut before, &mut after) {
                Comparison::Same => return Ok(Some(Outcome::Unchanged)),
                Comparison::Differ(index) if plan.is_application[index] => {}
                _ => return Ok(None),
            }
        }
        let mut time = None;
        let mut version = None;
        for target in &plan.targets {
            let index = target.at.index;
            match (target.role, after.seek(index)) {
                (Role::UpdatedAt, Some(found)) => time = Some((found, self.time(plan.clock, target.kind))),
                (Role::Version, Some(found)) => {
                    let old = before.seek(index).map(|found| found.value);
                    version = Some((found, next_version(target.kind, old)?, target.kind));
                }
                (Role::UpdatedBy, Some(found)) if found.value.is_plain_text(self.actor.name()) => {}
                (Role::CreatedAt | Role::CreatedBy, found) => match (before.seek(index), found) {
                    (None, None) => {}
                    (Some(old), Some(new)) if same_image(target.at.storage, old.value, new.value) => {}
                    _ => return Ok(None),
                },
                _ => return Ok(None),
            }
        }
        let mut tuple = NewTuple::copy_of(&new);
        if let Some((found, time)) = time {
            tuple.patch(found, time.to_ne_bytes());
        }
        match version {
            Some((found, version, Kind::Int4)) => tuple.patch(found, (version as i32).to_ne_bytes()),
            Some((found, version, _)) => tuple.patch(found, version.to_ne_bytes()),
            None => {}
        }
        Ok(Some(Outcome::Replaced(tuple)))
    }

    #[inline]
    fn differs(&self, at: Position) -> bool {
        !same_image(at.storage, self.old.get(at.index), self.new.get(at.index))
    }

    /// Looks no further than the rules need to know.
    fn difference(&self, plan: &Plan) -> Difference {
        if !plan.only_if_changed || plan.application.iter().any(|&at| self.differs(at)) {
            return Difference { application: true, ..Difference::default() };
        }
        let differs = |role| plan.targets.iter().any(|target| target.role == role && self.differs(target.at));
        Difference {
            application: false,
            counted: differs(Role::Version) || differs(Role::UpdatedBy),
            time: differs(Role::UpdatedAt),
        }
    }

    /// Sets what is to be set and puts back what no UPDATE may change; says whether anything was.
    fn apply(&mut self, plan: &Plan, action: Action) -> Result<bool> {
        let mut set = false;
        for target in &plan.targets {
            let index = target.at.index;
            match target.role {
                Role::UpdatedAt if action.time => {
                    let time = self.time(plan.clock, target.kind);
                    self.new.set_i64(index, time);
                }
                Role::Version if action.count => {
                    let next = next_version(target.kind, Some(self.old.get(index)))?;
                    match target.kind {
                        Kind::Int4 => self.new.set_i32(index, next as i32),
                        _ => self.new.set_i64(index, next),
                    }
                }
                Role::UpdatedBy if action.count => {
                    let actor = self.actor.name();
                    if let Kind::Text(Some(most)) = target.kind {
                        fits(actor, most)?;
                    }
                    self.new.set_text(index, actor);
                }
                Role::CreatedAt | Role::CreatedBy if self.differs(target.at) => {
                    self.new.put(index, self.old.get(index));
                }
                _ => continue,
            }
            set = true;
        }
        Ok(set)
    }

    #[inline]
    fn time(&mut self, clock: Clock, kind: Kind) -> i64 {
        let now = match clock {
            Clock::Transaction => session::transaction_start(),
            Clock::Statement => session::statement_start(),
            Clock::Wall => session::clock(),
        };
        match kind {
            Kind::Local(decimals) => rules::to_precision(self.local_time.at(now), decimals),
            Kind::Instant(decimals) => rules::to_precision(now, decimals),
            _ => now,
        }
    }
}

/// The version after `old`, within the column's range.
fn next_version(kind: Kind, old: Option<Value>) -> Result<i64> {
    let (old, largest) = match kind {
        Kind::Int4 => (old.and_then(Value::as_i32).map(i64::from), i64::from(i32::MAX)),
        _ => (old.and_then(Value::as_i64), i64::MAX),
    };
    rules::next_version(old, largest).ok_or_else(|| {
        Error::new(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "version is out of range")
            .detail("The row was updated as often as its version column can count.")
            .hint("ALTER TABLE ... ALTER COLUMN ... TYPE bigint.")
    })
}

fn fits(actor: &str, most: usize) -> Result<()> {
    let length = actor.chars().count();
    if length <= most {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type character varying({most})"),
    )
    .detail(format!("The actor's name has {length} characters."))
    .hint("Widen the updated_by column, or set architect.actor to something shorter."))
}

/// Who acts: architect.actor, else the session's role, read again when either may have changed.
#[derive(Default)]
struct Actor {
    assignments: u64,
    set: bool,
    role: pg_sys::Oid,
    statement: i64,
    name: String,
}

impl Actor {
    fn name(&mut self) -> &str {
        let assignments = settings::assignments();
        if self.assignments != assignments {
            self.assignments = assignments;
            let actor = guc::ACTOR.get();
            self.set = actor.is_some();
            self.name = actor.unwrap_or_default();
            self.role = pg_sys::InvalidOid;
        }
        if !self.set {
            // A role can be renamed by another session: ask again for each statement.
            let (role, statement) = (security::session_role(), session::statement_start());
            if self.role != role || self.statement != statement {
                (self.role, self.statement) = (role, statement);
                self.name = security::role_name(role);
            }
        }
        &self.name
    }
}

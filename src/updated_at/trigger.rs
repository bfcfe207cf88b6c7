//! The trigger function: BEFORE UPDATE, FOR EACH ROW.

use crate::error::{Error, Result};
use crate::guc;
use crate::pg::trigger::{Event, Outcome, TriggerCall, protocol_violation};
use crate::pg::tuple::{Values, same_image};
use crate::pg::{datetime, security, session, settings};
use crate::updated_at::kind::Kind;
use crate::updated_at::plan::{Plan, Plans, Position, Target};
use crate::updated_at::rules::{self, Action, Difference};
use crate::updated_at::spec::Clock;
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
        old.values_into(&mut self.old);
        new.values_into(&mut self.new);
        let action = rules::action(plan.only_if_changed, self.difference(&plan));
        let mut replaced = self.restore(&plan.fixed);
        replaced |= self.apply(&plan, action)?;
        Ok(if replaced { Outcome::Replaced(new.rebuilt(&mut self.new)) } else { Outcome::Unchanged })
    }

    #[inline]
    fn differs(&self, at: Position) -> bool {
        !same_image(at.storage, self.old.get(at.index), self.new.get(at.index))
    }

    /// Looks no further than the rules need to know.
    #[inline]
    fn difference(&self, plan: &Plan) -> Difference {
        if !plan.only_if_changed || plan.application.iter().any(|&at| self.differs(at)) {
            return Difference { application: true, ..Difference::default() };
        }
        let differs = |target: Option<Target>| target.is_some_and(|target| self.differs(target.at));
        Difference {
            application: false,
            counted: differs(plan.version) || differs(plan.updated_by),
            time: differs(plan.updated_at),
        }
    }

    /// Puts back what no UPDATE may change.
    fn restore(&mut self, fixed: &[Position]) -> bool {
        let mut restored = false;
        for &at in fixed {
            if self.differs(at) {
                self.new.put(at.index, self.old.get(at.index));
                restored = true;
            }
        }
        restored
    }

    fn apply(&mut self, plan: &Plan, action: Action) -> Result<bool> {
        let mut set = false;
        if let Some(target) = plan.updated_at.filter(|_| action.time) {
            let time = self.time(plan.clock, target.kind);
            self.new.set_i64(target.at.index, time);
            set = true;
        }
        if !action.count {
            return Ok(set);
        }
        if let Some(target) = plan.version {
            self.count(target)?;
            set = true;
        }
        if let Some(target) = plan.updated_by {
            let actor = self.actor.name();
            if let Kind::Text(Some(most)) = target.kind {
                fits(actor, most)?;
            }
            self.new.set_text(target.at.index, actor);
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

    fn count(&mut self, target: Target) -> Result<()> {
        let index = target.at.index;
        let old = self.old.get(index);
        let range = || {
            Error::new(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "version is out of range")
                .detail("The row was updated as often as its version column can count.")
                .hint("ALTER TABLE ... ALTER COLUMN ... TYPE bigint.")
        };
        match target.kind {
            Kind::Int4 => {
                let next = rules::next_version(old.as_i32().map(i64::from), i64::from(i32::MAX));
                let next = next.and_then(|next| i32::try_from(next).ok()).ok_or_else(range)?;
                self.new.set_i32(index, next);
            }
            _ => {
                self.new.set_i64(index, rules::next_version(old.as_i64(), i64::MAX).ok_or_else(range)?);
            }
        }
        Ok(())
    }
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

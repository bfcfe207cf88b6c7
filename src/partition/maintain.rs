//! Running what the planner says, table by table, each step in a transaction of its own: one table that
//! fails stops no other, and what was committed stays.

use super::civil::DAY;
use super::create::{self, Creation};
use super::guard;
use super::in_order;
use super::job::{Outcome, Work, perform};
use super::journal::Journal;
use super::layout::{Layout, Shape};
use super::missing::Cell;
use super::online::attempts::Attempts;
use super::period::Period;
use super::plan::{self, Act, Step};
use super::policy::{self, Policy, Retention};
use super::retire;
use super::table::{self, Parent, Partition};
use crate::error::{Error, Result};
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi, subtransaction};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Every table gets so much time at least, whoever is in the way of others.
const LEAST_SHARE: Duration = Duration::from_secs(5);

/// Who maintains what, until when.
#[derive(Clone, Copy)]
pub struct Maintenance<'p> {
    pub procedure: &'p Procedure,
    /// Whose rights decide which tables may be touched.
    pub acting: pg_sys::Oid,
    pub deadline: Instant,
    /// Milliseconds one attempt at a lock may take.
    pub lock_timeout: i32,
}

/// A table with a policy, as read at the beginning.
pub struct Managed {
    pub policy: Policy,
    pub parent: Option<Parent>,
    pub partitions: Vec<Partition>,
}

/// What is to be done with a table, or why nothing can be.
struct Planned {
    policy: Policy,
    steps: Result<(Layout, Vec<Step>)>,
}

impl Planned {
    fn is_idle(&self) -> bool {
        matches!(&self.steps, Ok((_, steps)) if steps.is_empty())
    }

    fn of(table: Managed, holds: &[(String, String)]) -> Self {
        let Managed { policy, parent, partitions } = table;
        let steps = match parent {
            None => Err(Error::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                "there is no such table partitioned by range any more",
            )
            .hint("partition_health() says how to forget it.")),
            Some(parent) => permitted(&policy, &parent).and_then(|()| {
                // Whatever fails here concerns this table alone.
                subtransaction::attempt(|| {
                    security::as_owner(parent.owner, || {
                        let layout = Layout::new(parent, partitions, &policy.shape)?;
                        let steps = plan::of(&policy, &layout, holds)?;
                        Ok((layout, steps))
                    })
                })
            }),
        };
        Self { policy, steps }
    }
}

impl Maintenance<'_> {
    /// Maintains one managed table, or all. Returns what was done, and has written it down.
    pub fn all(&self, only: Option<pg_sys::Oid>) -> Result<Journal> {
        // Everything is read and planned in one transaction, which assigns no id: where there is nothing to do
        // that is all there is.
        let plans = self.procedure.transaction(|| {
            policy::follow_tables()?;
            let holds = policy::holds()?;
            let mut managed = self.as_acting(|| read(only))?;
            // Tables of our own are run_maintenance()'s, which acts as their owner; others leave them alone.
            managed.retain(|table| {
                !table.parent.as_ref().is_some_and(|p| !p.owned && guard::of_parent(p).is_some())
            });
            Ok(managed.into_iter().map(|table| Planned::of(table, &holds)).collect::<Vec<_>>())
        })?;
        let mut left = plans.iter().filter(|planned| !planned.is_idle()).count() as u32;
        let idle = left == 0;
        let mut journal = Journal::begin(self.procedure)?;
        for planned in plans.into_iter().filter(|planned| !planned.is_idle()) {
            let (name, relid) =
                (planned.policy.qualified_name(), planned.policy.relid.unwrap_or(pg_sys::InvalidOid));
            let begun = Instant::now();
            let share = (self.deadline.saturating_duration_since(begun) / left.max(1)).max(LEAST_SHARE);
            let within = Self { deadline: (begun + share).min(self.deadline), ..*self };
            left = left.saturating_sub(1);
            let outcome = planned.steps.and_then(|(layout, steps)| {
                within.steps(&planned.policy.retention, &planned.policy.shape, &layout, steps, &mut journal)
            });
            match outcome {
                Ok(()) => {}
                Err(error) if error.is_cancel() => return Err(error),
                Err(error) if error.code() == PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE => {
                    journal.note((relid, &name), &name, "refused", told(&error), begun);
                }
                Err(error) => {
                    warn(&name, &error);
                    journal.note((relid, &name), &name, "failed", told(&error), begun);
                }
            }
            journal.write(self.procedure)?;
        }
        if !idle || self.procedure.transaction(retire::any_left)? {
            retire::finish_interrupted(self, &mut journal)?;
        }
        journal.finish(self.procedure)?;
        Ok(journal)
    }

    pub fn as_acting<R>(&self, work: impl FnOnce() -> R) -> R {
        security::as_role(self.acting, || security::with_safe_search_path(work))
    }

    pub fn attempts(&self, owner: pg_sys::Oid) -> Attempts<'_> {
        Attempts {
            procedure: self.procedure,
            owner,
            deadline: self.deadline,
            lock_timeout: self.lock_timeout,
        }
    }

    /// Runs steps of one table, those of one group in one transaction.
    pub fn steps(
        &self,
        retention: &Retention,
        shape: &Shape,
        layout: &Layout,
        steps: Vec<Step>,
        journal: &mut Journal,
    ) -> Result<()> {
        let parent = &layout.parent;
        let name = parent.qualified_name();
        let about = (parent.oid, name.as_str());
        let mut steps = steps.into_iter().peekable();
        // A proof that fails makes what relies on it impossible.
        let mut unproven: Option<String> = None;
        while let Some(step) = steps.next() {
            let begun = Instant::now();
            if begun >= self.deadline && !matches!(step.act, Act::Refuse | Act::Unprove) {
                journal.note(
                    about,
                    step.object,
                    "deferred",
                    format!("{}: the deadline has come", step.action),
                    begun,
                );
                continue;
            }
            let attempts = self.attempts(parent.owner);
            let proving = matches!(step.act, Act::Prove);
            let outcome = match step.act {
                Act::Refuse => {
                    journal.note(about, step.object, step.action, step.detail, begun);
                    continue;
                }
                Act::Create(first) => {
                    let mut group = vec![*first];
                    while let Some(next) = steps.next_if(|next| next.group == step.group) {
                        if let Act::Create(creation) = next.act {
                            group.push(*creation);
                        } else {
                            journal.note(about, next.object, next.action, next.detail, begun);
                        }
                    }
                    if let Some(why) = &unproven {
                        for creation in &group {
                            let row = creation.row(layout, "conflict", why.clone());
                            journal.note(about, row.name, row.action, row.detail, begun);
                        }
                        continue;
                    }
                    match attempts.retrying(|| create_group(parent, shape, &group)) {
                        Ok(rows) => {
                            for row in rows {
                                journal.note(about, row.name, row.action, row.detail, begun);
                            }
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                Act::Finalize(child) => {
                    self.top_level(&Work::FinalizeDetach { parent: parent.oid, child }).map(|()| "finalized")
                }
                Act::Prove => attempts
                    .retrying(|| {
                        spi::run(&create::lock_parent(parent), &[])?;
                        spi::run(&step.sql, &[])
                    })
                    .map(|_| ""),
                Act::Unprove => attempts.retrying(|| spi::run(&step.sql, &[])).map(|_| ""),
                Act::Validate => match attempts.patiently(|| spi::run(&step.sql, &[])) {
                    Ok(_) => Ok(""),
                    Err(error) if error.is_cancel() => {
                        // The constraint refuses rows: it should not stay.
                        let once = Attempts { deadline: begun, ..attempts };
                        let _ = once.retrying(|| plan::drop_proof(layout));
                        return Err(error);
                    }
                    Err(error) if error.code() == PgSqlErrorCode::ERRCODE_CHECK_VIOLATION => {
                        unproven = Some(create::explain(&error, layout).detail);
                        continue;
                    }
                    Err(error) => {
                        unproven = Some(error.one_line());
                        continue;
                    }
                },
                Act::TakeOver(pieces) => {
                    in_order::take_over(&attempts, shape, layout, &pieces, journal)?;
                    continue;
                }
                Act::MoveOut(creation) => {
                    in_order::move_out(&attempts, layout, &creation, journal)?;
                    continue;
                }
                Act::Analyze => attempts.patiently(|| spi::run(&step.sql, &[])).map(|_| "analyzed"),
                Act::Retire(partition) => {
                    retire::retire(self, retention, layout, &partition, journal)?;
                    continue;
                }
            };
            match outcome {
                Ok("") => {}
                Ok(done) => journal.note(about, step.object, done, step.detail, begun),
                Err(error) if error.is_cancel() => return Err(error),
                Err(error) => {
                    warn(&step.object, &error);
                    journal.note(
                        about,
                        step.object,
                        "failed",
                        format!("{}: {}", step.action, told(&error)),
                        begun,
                    );
                    if proving {
                        unproven = Some(told(&error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Has a worker run what must be at the top level.
    pub fn top_level(&self, work: &Work) -> Result<()> {
        match perform(self.procedure, work, self.deadline)? {
            Outcome::Done => Ok(()),
            Outcome::Failed(error) => Err(error),
            // Nobody has cancelled anything: the others are gone on with.
            Outcome::Late(error) => Err(error.with_code(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE)),
            Outcome::HandedOver(command) => Err(Error::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                "no background worker could be started before the deadline",
            )
            .detail(format!("To be run by hand: {command};"))
            .hint("Raise max_worker_processes.")),
        }
    }
}

/// Tables with a policy, with their partitions: two queries, however many there are.
pub fn read(only: Option<pg_sys::Oid>) -> Result<Vec<Managed>> {
    let managed = managed(only)?;
    if let (Some(relid), true) = (only, managed.is_empty()) {
        let name = crate::pg::lookup::qualified_name(relid).unwrap_or_default();
        return Err(Error::not_in_prerequisite_state(format!("{name} is not managed"))
            .hint("SELECT architect.manage_partitions(...) says how its partitions are kept."));
    }
    Ok(managed)
}

/// The same; none where one table was asked for that is not managed.
pub fn managed(only: Option<pg_sys::Oid>) -> Result<Vec<Managed>> {
    let policies = policy::read(only)?;
    let relations: Vec<pg_sys::Oid> = policies.iter().filter_map(|policy| policy.relid).collect();
    let mut parents: HashMap<pg_sys::Oid, Parent> =
        table::parents(Some(&relations))?.into_iter().map(|parent| (parent.oid, parent)).collect();
    let mut partitions = table::partitions(&relations)?;
    Ok(policies
        .into_iter()
        .map(|policy| {
            let parent = policy.relid.and_then(|relid| parents.remove(&relid));
            let partitions = policy.relid.and_then(|relid| partitions.remove(&relid)).unwrap_or_default();
            Managed { policy, parent, partitions }
        })
        .collect())
}

/// A table that is not managed, divided as its last partition is, as near as a number of days goes.
pub fn unmanaged(parent: &Parent) -> Result<Layout> {
    let kind = parent.kind(None)?;
    let mut partitions = table::partitions(&[parent.oid])?.remove(&parent.oid).unwrap_or_default();
    table::understand(&mut partitions, kind);
    let length = partitions
        .iter()
        .rev()
        .filter_map(|p| p.bounds.range())
        .find_map(|(low, high)| high.edge.at()?.checked_sub(low.edge.at()?))
        .filter(|length| *length > 0);
    let period = match (kind.is_time(), length) {
        (false, length) => Period::Step(length.unwrap_or(1)),
        (true, None) => Period::Months(1),
        (true, Some(length)) if length < DAY => Period::Micros((length / 60_000_000).max(1) * 60_000_000),
        (true, Some(length)) => match length / DAY {
            28..=31 => Period::Months(1),
            89..=92 => Period::Months(3),
            365..=366 => Period::Months(12),
            days => Period::Days(days as i32),
        },
    };
    Layout::new(parent.clone(), partitions, &Shape { unit: None, period, timezone: None, anchor: None })
}

/// Whether a policy may be followed: by somebody with the rights of the table's owner, and as the owner had
/// it who made it.
pub fn permitted(policy: &Policy, parent: &Parent) -> Result<()> {
    let name = parent.qualified_name();
    let owner = security::role_name(parent.owner);
    if !parent.owned {
        return Err(Error::insufficient_privilege(format!("must be owner of table {name}"))
            .detail(format!("It belongs to {owner}.")));
    }
    if owner != policy.owner_name {
        return Err(Error::insufficient_privilege(format!("the policy of {name} is not its owner's"))
            .detail(format!(
                "It was made while the table belonged to {}; now it belongs to {owner}.",
                policy.owner_name
            ))
            .hint("The owner looks at it and calls manage_partitions() again."));
    }
    Ok(())
}

/// Makes partitions in one transaction, those that are still missing once nobody else can change that.
fn create_group(parent: &Parent, shape: &Shape, group: &[Creation]) -> Result<Vec<create::Row>> {
    spi::run(&create::lock_parent(parent), &[])?;
    let layout = Layout::read(parent, shape)?;
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(Vec::new()) };
    let missing: Vec<_> = layout
        .cells(first.piece.from, last.piece.to)
        .into_iter()
        .filter_map(|cell| if let Cell::Missing(piece) = cell { Some(piece) } else { None })
        .collect();
    let mut rows = Vec::new();
    for creation in group.iter().filter(|creation| missing.contains(&creation.piece)) {
        rows.push(match creation.attempt(&layout)? {
            Ok(notes) => creation.row(&layout, "created", notes),
            Err(refused) => creation.row(&layout, refused.action, refused.detail),
        });
    }
    Ok(rows)
}

/// An error in one line, with what to do.
pub fn told(error: &Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{} ({}) {hint}", error.one_line(), error.sqlstate()),
        None => format!("{} ({})", error.one_line(), error.sqlstate()),
    }
}

pub fn warn(object: &str, error: &Error) {
    ereport!(
        PgLogLevel::WARNING,
        PgSqlErrorCode::ERRCODE_WARNING,
        format!("maintenance of partitions failed at {object}: {}", error.one_line())
    );
}

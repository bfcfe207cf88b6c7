//! Which column of a relation is which: worked out once a session for each trigger, and again after any
//! relation changed.

use crate::error::{Error, Result};
use crate::pg::cursor::Layout;
use crate::pg::trigger::TriggerCall;
use crate::pg::tuple::Storage;
use crate::pg::{ffi, invalidation, lookup, session};
use crate::updated_at::kind::{Kind, wrong_type};
use crate::updated_at::spec::{Clock, Origin, Role, Spec};
use pgrx::pg_sys;
use std::collections::HashMap;
use std::rc::Rc;

/// A column, by its position in the row.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub index: usize,
    pub storage: Storage,
}

/// A column that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub role: Role,
    pub at: Position,
    pub kind: Kind,
}

pub struct Plan {
    pub attributes: usize,
    pub layout: Layout,
    pub clock: Clock,
    pub only_if_changed: bool,
    /// Columns whose change makes an UPDATE a change.
    pub application: Vec<Position>,
    /// The same, asked for each column.
    pub is_application: Vec<bool>,
    /// In the order they have in the row.
    pub targets: Vec<Target>,
}

impl Plan {
    fn of(call: &TriggerCall) -> Result<Self> {
        let relid = call.relid();
        let spec = Spec::parse(&call.arguments())?;
        let numbers_hold = spec.origin.as_ref().is_some_and(|origin| is_about(origin, relid));
        let attributes = call.attributes();
        let mut targets: Vec<Target> = Vec::new();
        for kept in &spec.kept {
            let by_number = spec
                .origin
                .as_ref()
                .filter(|_| numbers_hold)
                .zip(kept.number)
                .and_then(|(origin, number)| lookup::attribute_name(origin.table.into(), number));
            let index = [by_number.as_ref(), Some(&kept.name)]
                .into_iter()
                .flatten()
                .find_map(|name| attributes.iter().position(|a| !a.dropped && a.name == *name))
                .ok_or_else(|| column_gone(relid, kept.role, &kept.name))?;
            let attribute = &attributes[index];
            let kind = Kind::of(kept.role, attribute.type_oid, attribute.typmod)
                .filter(|_| !attribute.generated)
                .ok_or_else(|| {
                    let type_name = lookup::type_name(attribute.type_oid, attribute.typmod);
                    let table = lookup::qualified_name(relid).unwrap_or_default();
                    let type_name =
                        if attribute.generated { format!("{type_name}, generated") } else { type_name };
                    wrong_type(kept.role, &attribute.name, &table, &type_name)
                })?;
            let at = Position { index, storage: attribute.storage };
            targets.push(Target { role: kept.role, at, kind });
        }
        targets.sort_by_key(|target| target.at.index);
        let is_application: Vec<bool> = attributes
            .iter()
            .enumerate()
            .map(|(i, a)| !a.dropped && !a.generated && !targets.iter().any(|t| t.at.index == i))
            .collect();
        Ok(Self {
            attributes: attributes.len(),
            layout: Layout::of(&attributes),
            clock: spec.clock,
            only_if_changed: !spec.always,
            application: attributes
                .iter()
                .enumerate()
                .filter(|(index, _)| is_application[*index])
                .map(|(index, a)| Position { index, storage: a.storage })
                .collect(),
            is_application,
            targets,
        })
    }
}

/// Whether attribute numbers taken from `origin` tell about `relid`: it is that table or part of it.
pub fn is_about(origin: &Origin, relid: pg_sys::Oid) -> bool {
    let table = pg_sys::Oid::from(origin.table);
    origin.database == session::database().to_u32()
        && origin.system == session::system_identifier()
        && (table == relid || ffi::partition_ancestors(relid).contains(&table))
}

fn column_gone(relid: pg_sys::Oid, role: Role, column: &str) -> Error {
    let table = lookup::qualified_name(relid).unwrap_or_default();
    Error::undefined_column(format!(
        "column \"{column}\" of relation \"{}\" does not exist",
        lookup::relation_name(relid).unwrap_or_default()
    ))
    .detail(format!("A trigger on table {table} keeps this column as {}.", role.name()))
    .hint(format!(
        "Add the column again, or call architect.{}() to do without it.",
        if role == Role::UpdatedAt { "disable_updated_at" } else { "remove_standard_columns" }
    ))
}

/// The session's plans, by trigger. Any change to any relation empties it: working one out again is
/// cheap, and this way it holds no more than the triggers in use since.
#[derive(Default)]
pub struct Plans {
    plans: HashMap<pg_sys::Oid, Rc<Plan>>,
    last: Option<(pg_sys::Oid, Rc<Plan>)>,
    changes: u64,
}

impl Plans {
    #[inline]
    pub fn get(&mut self, call: &TriggerCall) -> Result<Rc<Plan>> {
        let changes = invalidation::changes();
        if self.changes == changes
            && let Some((trigger, plan)) = &self.last
            && *trigger == call.trigger_oid()
        {
            return Ok(Rc::clone(plan));
        }
        self.find(call)
    }

    fn find(&mut self, call: &TriggerCall) -> Result<Rc<Plan>> {
        // Read before the plan is made: a change heard of meanwhile makes it stale.
        let changes = invalidation::changes();
        if self.changes != changes {
            self.plans.clear();
            self.last = None;
            self.changes = changes;
        }
        let trigger = call.trigger_oid();
        let plan = match self.plans.get(&trigger) {
            Some(plan) => Rc::clone(plan),
            None => {
                let plan = Rc::new(Plan::of(call)?);
                self.plans.insert(trigger, Rc::clone(&plan));
                plan
            }
        };
        self.last = Some((trigger, Rc::clone(&plan)));
        Ok(plan)
    }

    pub fn len(&self) -> usize {
        self.plans.len()
    }
}

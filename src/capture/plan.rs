//! What to record of a relation: worked out once a session, dropped when the relation, the table it is
//! a partition of, or its policy changes.

use crate::capture::policy::{self, Image, OnError, Shape};
use crate::error::Result;
use crate::pg::encode::Encoder;
use crate::pg::invalidation::Notes;
use crate::pg::table::Table;
use crate::pg::tuple::Storage;
use crate::pg::{ffi, lookup, session};
use pgrx::pg_sys;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

pub struct Plan {
    pub table_id: i32,
    pub relation_id: i32,
    /// Schema-qualified name of the audited table, for messages.
    pub table: String,
    pub image: Image,
    pub require_context: bool,
    pub on_error: OnError,
    pub columns: Vec<Column>,
    /// Positions of the key's columns, in key order.
    pub key: Vec<usize>,
    pub encoder: Encoder,
    /// Relations whose change makes this plan stale.
    depends_on: Vec<pg_sys::Oid>,
    /// The savepoint that may have stored the row of capture_relation, while its transaction has not committed.
    uncommitted: Cell<Option<u32>>,
}

pub struct Column {
    pub name: String,
    /// `"name":`, ready to be written.
    pub label: Vec<u8>,
    pub storage: Storage,
    pub recorded: bool,
}

impl Plan {
    /// Works out the plan of a relation; none where nothing audits it.
    fn of(relid: pg_sys::Oid) -> Result<Option<Self>> {
        let Some((policy, top)) = policy::find(relid)? else { return Ok(None) };
        let Some(table) = Table::open(relid, pg_sys::AccessShareLock as i32) else { return Ok(None) };
        let attributes = table.attributes();
        let key = table.key_columns();
        // Attribute numbers in the policy are those of the table it was set on; a partition's differ.
        let top_names: Option<Vec<String>> = (policy.relid == top)
            .then(|| Table::open(top, pg_sys::AccessShareLock as i32))
            .flatten()
            .map(|top| top.attributes().into_iter().map(|a| a.name).collect());
        let number = |name: &str| {
            top_names.as_ref()?.iter().position(|n| n == name).and_then(|i| i16::try_from(i + 1).ok())
        };
        let columns = attributes
            .iter()
            .map(|a| {
                let number = number(&a.name);
                let included = policy.include.as_ref().is_none_or(|set| set.contains(&a.name, number));
                let mut label = Vec::new();
                crate::pg::json::string(a.name.as_bytes(), &mut label);
                label.push(b':');
                Column {
                    name: a.name.clone(),
                    label,
                    storage: a.storage,
                    recorded: !a.dropped
                        && !a.virtual_generated
                        && included
                        && !policy.exclude.contains(&a.name, number),
                }
            })
            .collect();
        let relation_id = Shape::of(policy.table_id, relid, top, &attributes, &key).relation_id()?;
        let mut depends_on = vec![relid];
        depends_on.extend(ffi::partition_ancestors(relid));
        Ok(Some(Self {
            table_id: policy.table_id,
            relation_id,
            table: lookup::qualified_name(top).unwrap_or_default(),
            image: policy.image,
            require_context: policy.require_context,
            on_error: policy.on_error,
            columns,
            key,
            encoder: table.encoder(),
            depends_on,
            uncommitted: Cell::new(Some(session::savepoint())),
        }))
    }
}

/// The session's plans. An entry without a plan is a relation nothing audits.
#[derive(Default)]
pub struct Plans {
    plans: HashMap<pg_sys::Oid, Option<Rc<Plan>>>,
    last: Option<(pg_sys::Oid, Rc<Plan>)>,
}

impl Plans {
    pub fn get(&mut self, relid: pg_sys::Oid) -> Result<Option<Rc<Plan>>> {
        if let Some((_, plan)) = self.last.as_ref().filter(|(last, _)| *last == relid) {
            return Ok(Some(Rc::clone(plan)));
        }
        let plan = match self.plans.get(&relid) {
            Some(plan) => plan.clone(),
            None => {
                let plan = Plan::of(relid)?.map(Rc::new);
                self.plans.insert(relid, plan.clone());
                plan
            }
        };
        self.last = plan.clone().map(|plan| (relid, plan));
        Ok(plan)
    }

    pub fn apply(&mut self, notes: &Notes) {
        self.last = None;
        if notes.committed && notes.aborted.is_none() {
            self.plans.values().flatten().for_each(|plan| plan.uncommitted.set(None));
        }
        self.plans.retain(|relid, plan| {
            let changed =
                |oid: &pg_sys::Oid| notes.changed.as_ref().is_none_or(|changed| changed.contains(oid));
            let gone = |plan: &Plan| {
                plan.uncommitted.get().zip(notes.aborted).is_some_and(|(stored, lowest)| stored >= lowest)
            };
            match plan {
                Some(plan) => !gone(plan) && !plan.depends_on.iter().any(changed),
                None => !changed(relid),
            }
        });
    }

    pub fn len(&self) -> usize {
        self.plans.len()
    }
}

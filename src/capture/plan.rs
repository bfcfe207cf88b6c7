//! What to record of a relation: worked out once a session, dropped when the relation, the table it is
//! a partition of, or a policy of it changes.

use crate::capture::policy::{self, Image, Kind, Mask, OnError, Policy};
use crate::capture::shape::Shape;
use crate::capture::warning;
use crate::error::Result;
use crate::pg::encode::Encoder;
use crate::pg::invalidation::Notes;
use crate::pg::table::{Attribute, Table};
use crate::pg::trigger::Event;
use crate::pg::tuple::Storage;
use crate::pg::{ffi, lookup, session};
use pgrx::pg_sys;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// What the trigger does for a relation: a part for each of what its changes are recorded for.
pub struct Plan {
    /// Schema-qualified name of the recorded table, for messages.
    pub table: String,
    pub columns: Vec<Column>,
    pub encoder: Encoder,
    pub audit: Option<Audit>,
    pub feed: Option<Feed>,
    /// The feed's part could not be made out: to be tried again when anything changes.
    broken: bool,
    /// Relations whose change makes this plan stale.
    depends_on: Vec<pg_sys::Oid>,
    /// The savepoint that may have stored rows of capture_relation, while its transaction has not committed.
    uncommitted: Cell<Option<u32>>,
}

pub struct Column {
    pub name: String,
    /// `"name":`, ready to be written.
    pub label: Vec<u8>,
    pub storage: Storage,
}

pub struct Audit {
    pub part: Part,
    pub require_context: bool,
}

pub struct Feed {
    pub part: Part,
    /// Rows come by way of triggers of its own, with a WHEN clause.
    pub conditional: bool,
    /// Where consumers are woken.
    pub channel: Option<Rc<str>>,
    /// Records the columns the audit log records, as they are.
    pub as_audit: bool,
    /// Has the key the audit log has.
    pub key_as_audit: bool,
}

/// What is recorded, for the audit log or for the feed.
pub struct Part {
    pub table_id: i32,
    pub relation_id: i32,
    pub image: Image,
    pub on_error: OnError,
    pub fields: Vec<Field>,
    /// The key's columns, in key order.
    pub key: Vec<Field>,
    operations: Vec<Event>,
    replicated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Position among the relation's columns.
    pub column: usize,
    pub mask: Option<Mask>,
}

impl Part {
    /// Whether an event of this kind is to be recorded in this session.
    #[inline]
    pub fn concerns(&self, event: Event) -> bool {
        (self.replicated || !session::is_replica_session()) && self.operations.contains(&event)
    }

    fn of(policy: &Policy, relid: pg_sys::Oid, top: pg_sys::Oid, table: &Table) -> Result<Self> {
        let attributes = table.attributes();
        // Attribute numbers in the policy are those of the table it was set on; a partition's differ.
        let top_names: Option<Vec<String>> = (policy.relid == top)
            .then(|| Table::open(top, pg_sys::AccessShareLock as i32))
            .flatten()
            .map(|top| top.attributes().into_iter().map(|a| a.name).collect());
        let number = |name: &str| {
            top_names.as_ref()?.iter().position(|n| n == name).and_then(|i| i16::try_from(i + 1).ok())
        };
        let field = |column: usize| {
            let name = &attributes[column].name;
            Field { column, mask: policy.mask(name, number(name)) }
        };
        let recorded = |a: &Attribute| {
            let number = number(&a.name);
            !a.dropped
                && !a.virtual_generated
                && policy.include.as_ref().is_none_or(|set| set.contains(&a.name, number))
                && !policy.exclude.contains(&a.name, number)
        };
        let fields = (0..attributes.len()).filter(|&i| recorded(&attributes[i])).map(field).collect();
        let key = key_columns(policy, table, &attributes, number);
        let shape = Shape::of(policy, relid, top, &attributes, &key);
        Ok(Self {
            table_id: policy.table_id,
            relation_id: shape.relation_id()?,
            image: policy.image,
            on_error: policy.on_error,
            fields,
            key: key.into_iter().map(field).collect(),
            operations: [
                ("insert", Event::Insert),
                ("update", Event::Update),
                ("delete", Event::Delete),
                ("truncate", Event::Truncate),
            ]
            .into_iter()
            .filter(|(name, _)| policy.records(name))
            .map(|(_, event)| event)
            .collect(),
            replicated: policy.replicated,
        })
    }
}

/// Positions of the columns that identify a row: those the policy names, while all are there, else the
/// primary key or replica identity; for the feed, whose order they decide, none that is deferrable.
pub fn key_columns(
    policy: &Policy,
    table: &Table,
    attributes: &[Attribute],
    number: impl Fn(&str) -> Option<i16>,
) -> Vec<usize> {
    let named = policy.key.as_ref().and_then(|key| {
        let place = |(i, name): (usize, &String)| {
            let called = |a: &Attribute| !a.dropped && a.name == *name;
            let renamed =
                |a: &Attribute| !a.dropped && number(&a.name).is_some_and(|n| key.numbers.get(i) == Some(&n));
            attributes.iter().position(called).or_else(|| attributes.iter().position(renamed))
        };
        key.names.iter().enumerate().map(place).collect::<Option<Vec<usize>>>()
    });
    named.unwrap_or_else(|| policy.kind.key_columns(table))
}

impl Feed {
    /// The feed's part, with the table its policy is about.
    fn of(relid: pg_sys::Oid, table: &Table, audit: Option<&Audit>) -> Result<Option<(Self, pg_sys::Oid)>> {
        if !Kind::Feed.storage_exists() {
            return Ok(None);
        }
        let Some((policy, top)) = policy::find(Kind::Feed, relid)? else { return Ok(None) };
        let part = Part::of(&policy, relid, top, table)?;
        let feed = Self {
            conditional: policy.condition.is_some(),
            channel: policy.notify.then(|| policy.channel.as_str().into()),
            as_audit: audit.is_some_and(|audit| {
                audit.part.fields == part.fields && audit.part.on_error == part.on_error
            }),
            key_as_audit: audit.is_some_and(|audit| audit.part.key == part.key),
            part,
        };
        Ok(Some((feed, top)))
    }
}

impl Plan {
    /// Works out the plan of a relation; none where nothing records it. The trigger of a table that only
    /// the feed records says so: without the audit log's storage its rows are no less to be written.
    pub fn of(relid: pg_sys::Oid, feed_only: bool) -> Result<Option<Self>> {
        let audit =
            if feed_only && !Kind::Audit.storage_exists() { None } else { policy::find(Kind::Audit, relid)? };
        let Some(table) = Table::open(relid, pg_sys::AccessShareLock as i32) else { return Ok(None) };
        let audit = audit
            .map(|(policy, top)| {
                Part::of(&policy, relid, top, &table)
                    .map(|part| (Audit { part, require_context: policy.require_context }, top))
            })
            .transpose()?;
        let mut broken = false;
        let feed = Feed::of(relid, &table, audit.as_ref().map(|(audit, _)| audit)).unwrap_or_else(|error| {
            warning::feed_is_broken(&error);
            broken = true;
            None
        });
        let top = audit.as_ref().map(|(_, top)| *top).or(feed.as_ref().map(|(_, top)| *top));
        let Some(top) = top.or(broken.then_some(relid)) else { return Ok(None) };
        let mut depends_on = vec![relid];
        depends_on.extend(ffi::partition_ancestors(relid));
        Ok(Some(Self {
            table: lookup::qualified_name(top).unwrap_or_default(),
            columns: table.attributes().iter().map(Column::of).collect(),
            encoder: table.encoder(),
            audit: audit.map(|(audit, _)| audit),
            feed: feed.map(|(feed, _)| feed),
            broken,
            depends_on,
            uncommitted: Cell::new(Some(session::savepoint())),
        }))
    }
}

impl Column {
    fn of(attribute: &Attribute) -> Self {
        let mut label = Vec::new();
        crate::pg::json::string(attribute.name.as_bytes(), &mut label);
        label.push(b':');
        Self { name: attribute.name.clone(), label, storage: attribute.storage }
    }
}

/// The session's plans. An entry without a plan is a relation nothing records.
#[derive(Default)]
pub struct Plans {
    plans: HashMap<pg_sys::Oid, Option<Rc<Plan>>>,
    last: Option<(pg_sys::Oid, Rc<Plan>)>,
}

impl Plans {
    pub fn get(&mut self, relid: pg_sys::Oid, feed_only: impl FnOnce() -> bool) -> Result<Option<Rc<Plan>>> {
        if let Some((_, plan)) = self.last.as_ref().filter(|(last, _)| *last == relid) {
            return Ok(Some(Rc::clone(plan)));
        }
        let plan = match self.plans.get(&relid) {
            Some(plan) => plan.clone(),
            None => {
                let plan = Plan::of(relid, feed_only())?.map(Rc::new);
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
            let anything = notes.changed.as_ref().is_none_or(|changed| !changed.is_empty());
            match plan {
                Some(plan) if plan.broken && anything => false,
                Some(plan) => !gone(plan) && !plan.depends_on.iter().any(changed),
                None => !changed(relid),
            }
        });
    }

    pub fn len(&self) -> usize {
        self.plans.len()
    }
}

//! What a table has now: its columns, our triggers on it and its partitions, everybody else's.

use crate::catalog::column::{self, Column};
use crate::catalog::relation::{self, Relation};
use crate::catalog::trigger::{self, Trigger};
use crate::error::Result;
use crate::pg::ffi;
use crate::updated_at::columns::is_our_default;
use crate::updated_at::plan::is_about;
use crate::updated_at::spec::{Kept, Role, Spec};
use pgrx::pg_sys;

/// The trigger function, in schema architect.
pub const FUNCTION: &str = "stamp_row";

pub struct State {
    /// The table and its partitions at every level.
    pub relations: Vec<pg_sys::Oid>,
    /// Tables that inherit from it without being partitions.
    pub children: Vec<pg_sys::Oid>,
    pub columns: Vec<Column>,
    /// The columns of each of `relations`.
    parts: Vec<(pg_sys::Oid, Vec<Column>)>,
    /// Our triggers on `relations`.
    pub triggers: Vec<Trigger>,
    /// Partitioned tables that have the trigger themselves.
    pub above: Vec<pg_sys::Oid>,
    pub own: Option<Own>,
    /// Names of other BEFORE UPDATE row triggers on `relations`.
    pub others: Vec<String>,
}

/// The table's own trigger.
pub struct Own {
    pub trigger: Trigger,
    pub spec: Spec,
    /// Attribute numbers in the spec are this table's.
    numbers_hold: bool,
}

impl State {
    pub fn read(target: &Relation) -> Result<Self> {
        let relations: Vec<pg_sys::Oid> =
            std::iter::once(target.oid).chain(relation::partitions(target.oid)?).collect();
        let ancestors = trigger::on_relations(&ffi::partition_ancestors(target.oid), FUNCTION)?;
        let above = ancestors.iter().filter(|t| !t.cloned).map(|t| t.relid).collect();
        let triggers = trigger::on_relations(&relations, FUNCTION)?;
        let own = triggers.iter().find(|t| t.relid == target.oid && !t.cloned);
        let own = own.map(Own::read).transpose()?;
        let parts: Vec<(pg_sys::Oid, Vec<Column>)> =
            relations.iter().map(|&relid| Ok((relid, column::columns(relid)?))).collect::<Result<_>>()?;
        Ok(Self {
            children: relation::inheriting(target.oid)?,
            columns: parts.first().map(|(_, columns)| columns.clone()).unwrap_or_default(),
            others: trigger::other_before_update(&relations, FUNCTION)?,
            relations,
            parts,
            triggers,
            above,
            own,
        })
    }

    /// The column of the table that `kept` is about, whatever it is called now.
    pub fn column(&self, kept: &Kept) -> Option<&Column> {
        let numbers_hold = self.own.as_ref().is_some_and(|own| own.numbers_hold);
        let by_number = kept.number.filter(|_| numbers_hold);
        self.columns
            .iter()
            .find(|column| by_number == Some(column.number))
            .or_else(|| self.columns.iter().find(|column| column.name == kept.name))
    }

    /// A column's default in the table and in each partition.
    pub fn defaults(&self, column: &str) -> Vec<(pg_sys::Oid, Option<&str>)> {
        self.parts
            .iter()
            .filter_map(|(relid, columns)| {
                let column = columns.iter().find(|c| c.name == column)?;
                Some((*relid, column.default.as_deref()))
            })
            .collect()
    }

    /// Relations where the column's default is one that enabling set.
    pub fn our_defaults(&self, role: Role, column: &str) -> Vec<pg_sys::Oid> {
        self.defaults(column)
            .into_iter()
            .filter(|(_, default)| default.is_some_and(|default| is_our_default(role, default)))
            .map(|(relid, _)| relid)
            .collect()
    }
}

impl Own {
    fn read(trigger: &Trigger) -> Result<Self> {
        // Arguments somebody wrote by hand and wrongly are no reason to refuse a repair.
        let spec = Spec::parse(&trigger::arguments(trigger.oid)?).unwrap_or_default();
        let numbers_hold = spec.origin.as_ref().is_some_and(|origin| is_about(origin, trigger.relid));
        Ok(Self { trigger: trigger.clone(), spec, numbers_hold })
    }
}

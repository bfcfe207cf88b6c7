//! The existing indexes that advice may touch: what they cost, who else needs them, what takes their place.

use crate::catalog::index::{self, Index, Tree};
use crate::error::{Error, Result};
use crate::index::advisor::{Outcome, Request};
use crate::index::lint::protect;
use crate::index::price::{self, Upkeep};
use crate::index::report::foreign_keys::Served;
use crate::index::report::usage::Usage;
use crate::index::snapshot::evidence::{self, Evidence};
use crate::index::workload::Workload;
use crate::index::writes::WriteRates;
use crate::pg::planning::Plan;
use crate::pg::security;
use crate::pg::whatif::{Configuration, HypotheticalIndex, Part};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use std::collections::HashMap;

pub struct Inventory {
    pub indexes: Vec<Index>,
    evidence: HashMap<pg_sys::Oid, Vec<Evidence>>,
    standbys: i64,
}

/// An index, or a tree of them, that nothing but queries needs.
pub struct Judged<'a> {
    pub tree: Tree<'a>,
    pub usage: Usage,
}

/// An index no statement of the workload uses is still kept if this much of the workload's time could not be
/// analysed, and it is scanned by somebody.
const UNSEEN: f64 = 0.05;

impl Inventory {
    pub fn read() -> Result<Self> {
        let window = Interval::new(0, 30, 0).map_err(|_| Error::internal("thirty days are no interval"))?;
        security::with_safe_search_path(|| {
            let indexes = index::all()?;
            let evidence = evidence::gather(&indexes, &window)?;
            Ok(Self { indexes, evidence, standbys: evidence::standbys()? })
        })
    }

    pub fn served(&self) -> Result<Served<'_>> {
        security::with_safe_search_path(|| Served::by(&self.indexes))
    }

    /// Those on tables of the workload; whether a foreign key needs one is not asked here.
    pub fn judged(&self, request: &Request, outcome: &Outcome) -> Vec<Judged<'_>> {
        let concerned: Vec<pg_sys::Oid> = outcome
            .statements
            .iter()
            .flat_map(|s| s.shape.uses.iter().map(|u| u.relid).chain(s.shape.change.iter().map(|c| c.relid)))
            .collect();
        let may_go = |top: &Index| {
            concerned.contains(&top.table)
                && request.schemas.as_ref().is_none_or(|schemas| schemas.contains(&top.schema))
                && top.usable()
                && protect::reason(top).is_none()
        };
        index::trees(&self.indexes)
            .into_iter()
            .filter(|tree| may_go(tree.top))
            .filter_map(|tree| Some(Judged { usage: Usage::of(&tree, &self.evidence)?, tree }))
            // A standby whose figures are not known may need it.
            .filter(|judged| self.standbys <= judged.usage.standbys.len() as i64)
            .collect()
    }
}

impl Judged<'_> {
    /// Somebody scans it, and the workload does not tell who.
    pub fn may_serve_others(&self, workload: &Workload, coverage: f64) -> bool {
        self.usage.everywhere() > 0 && (1.0 - coverage > UNSEEN || !workload.measured)
    }

    pub fn upkeep(&self, writes: &WriteRates) -> Upkeep {
        let index = self.tree.top;
        let mut watched = index.included.clone();
        watched.extend(index.keys.iter().filter_map(|key| key.column));
        let summarizing =
            cfg!(any(feature = "pg16", feature = "pg17", feature = "pg18")) && index.method == "brin";
        let rows = crate::pg::table_sample::estimated_size(index.table).map_or(0.0, |(_, rows)| rows);
        let bytes = self.tree.size() as f64;
        let entry = if rows > 0.0 { (bytes / rows).clamp(12.0, 2000.0) } else { 24.0 };
        let share = if index.predicate.is_empty() { 1.0 } else { 0.5 };
        price::upkeep(&index.method, entry, share, &writes.of(index.table, &watched), summarizing)
    }

    pub fn oids(&self) -> Vec<pg_sys::Oid> {
        self.tree.members.iter().map(|member| member.oid).collect()
    }

    /// The configuration without it.
    pub fn without(&self, configuration: &Configuration) -> Configuration {
        let mut hidden = configuration.hidden.clone();
        hidden.extend(self.oids());
        Configuration { created: configuration.created.clone(), hidden }
    }

    /// Whether an index to be created finds whatever this one finds.
    pub fn is_begun_by(&self, new: &HypotheticalIndex) -> bool {
        self.tree.members.iter().all(|member| new.parts.iter().any(|part| begins_with(part, member)))
    }
}

fn begins_with(part: &Part, index: &Index) -> bool {
    let new = &part.definition;
    new.relid == index.table
        && new.method_name == index.method
        && index.method == "btree"
        && new.predicate.is_none()
        && index.predicate.is_empty()
        && new.keys >= index.keys.len()
        && index.included.iter().all(|column| new.columns.iter().any(|c| c.attnum == *column))
        && new.columns.iter().zip(&index.keys).all(|(new, old)| {
            old.column == Some(new.attnum)
                && (new.opclass, new.collation) == (old.opclass, old.collation)
                && (new.descending, new.nulls_first) == (old.descending, old.nulls_first)
        })
}

/// What the statements that use a table cost, each with each of its values, and by which indexes.
#[derive(Clone)]
pub struct Read(Vec<Vec<Plan>>);

impl Read {
    pub fn of(outcome: &Outcome, table: pg_sys::Oid, with: &Configuration) -> Result<Self> {
        let mut all = Vec::new();
        for statement in &outcome.statements {
            let mut plans = Vec::new();
            if statement.shape.uses.iter().any(|of| of.relid == table) {
                for values in &statement.parameters {
                    pgrx::check_for_interrupts!();
                    plans.push(statement.statement.plan(with, values)?);
                }
            }
            all.push(plans);
        }
        Ok(Self(all))
    }

    /// With other indexes. A plan that uses none of what is `gone` is still there.
    pub fn without(&self, outcome: &Outcome, with: &Configuration, gone: &[pg_sys::Oid]) -> Result<Self> {
        let mut all = self.clone();
        for (statement, plans) in outcome.statements.iter().zip(&mut all.0) {
            for (values, plan) in statement.parameters.iter().zip(plans) {
                if plan.indexes.iter().any(|index| gone.contains(index)) {
                    pgrx::check_for_interrupts!();
                    *plan = statement.statement.plan(with, values)?;
                }
            }
        }
        Ok(all)
    }

    /// By statement, in milliseconds a day.
    pub fn costs(&self, outcome: &Outcome) -> Vec<f64> {
        let mean = |plans: &Vec<Plan>| {
            plans.iter().map(|plan| plan.total_cost).sum::<f64>() / plans.len().max(1) as f64
        };
        self.0.iter().zip(&outcome.weights).map(|(plans, weight)| weight * mean(plans)).collect()
    }

    pub fn total(&self, outcome: &Outcome) -> f64 {
        self.costs(outcome).iter().sum()
    }
}

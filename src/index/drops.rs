//! Existing indexes that cost more than they serve, given those advised: what the planner loses without
//! them, against the writes they make dearer.

use crate::catalog::index::{self, Index};
use crate::error::Result;
use crate::index::advisor::{Outcome, Request};
use crate::index::candidate::Spec;
use crate::index::lint::protect;
use crate::index::price::{self, Upkeep};
use crate::index::report::foreign_keys;
use crate::index::report::usage::Usage;
use crate::index::snapshot::evidence;
use crate::index::statement;
use crate::index::workload::Workload;
use crate::index::writes::WriteRates;
use crate::pg::lookup;
use crate::pg::query_shape::Key;
use crate::pg::security;
use crate::pg::whatif::Configuration;
use pgrx::datum::Interval;
use pgrx::pg_sys;

pub struct Removal {
    pub relid: pg_sys::Oid,
    pub table: String,
    pub index_name: String,
    pub columns: Vec<String>,
    pub method: String,
    pub statement: String,
    pub undo: String,
    pub bytes: f64,
    /// Of the workload, in milliseconds a day, before and after.
    pub before: f64,
    pub after: f64,
    pub upkeep: Upkeep,
    pub affected: Vec<i64>,
    /// An index advised above does its work.
    pub superseded: bool,
    pub scans: i64,
    pub days: f64,
}

/// An index no statement of the workload uses is still kept if this much of the workload's time could not be
/// analysed, and it is scanned by somebody.
const UNSEEN: f64 = 0.05;

pub fn removals(
    request: &Request,
    workload: &Workload,
    outcome: &mut Outcome,
    coverage: f64,
) -> Result<Vec<Removal>> {
    let window =
        Interval::new(0, 30, 0).map_err(|_| crate::error::Error::internal("thirty days are no interval"))?;
    let (indexes, evidence, standbys) = security::with_safe_search_path(|| {
        let indexes = index::all()?;
        let evidence = evidence::gather(&indexes, &window)?;
        Ok::<_, crate::error::Error>((indexes, evidence, evidence::standbys()?))
    })?;
    let mut served = security::with_safe_search_path(|| foreign_keys::Served::by(&indexes))?;
    let writes = WriteRates::read(&outcome.statements, workload)?;
    let concerned: Vec<pg_sys::Oid> = outcome
        .statements
        .iter()
        .flat_map(|s| s.shape.uses.iter().map(|u| u.relid).chain(s.shape.change.iter().map(|c| c.relid)))
        .collect();
    let mut removals = Vec::new();
    for tree in index::trees(&indexes) {
        pgrx::check_for_interrupts!();
        let top = tree.top;
        if !concerned.contains(&top.table)
            || request.schemas.as_ref().is_some_and(|schemas| !schemas.contains(&top.schema))
            || !top.usable()
            || protect::reason(top).is_some()
            || tree.members.iter().any(|member| served.only_by(member.oid).is_some())
        {
            continue;
        }
        let Some(usage) = Usage::of(&tree, &evidence) else { continue };
        // What cannot be undone is not advised.
        let Some(undo) = statement::create_again(top) else { continue };
        // A standby whose figures are not known may need it.
        if standbys > usage.standbys.len() as i64 {
            continue;
        }
        let superseded = outcome.creations.iter().any(|c| begins_with(&c.spec, top));
        if usage.everywhere() > 0 && !superseded && (1.0 - coverage > UNSEEN || !workload.measured) {
            continue;
        }
        let mut hidden = outcome.configuration.hidden.clone();
        hidden.extend(tree.members.iter().map(|member| member.oid));
        let without = Configuration { created: outcome.configuration.created.clone(), hidden };
        let (mut loss, mut affected) = (0.0, Vec::new());
        for (statement, weight) in outcome.statements.iter().zip(&outcome.weights) {
            if !statement.shape.uses.iter().any(|table| table.relid == top.table) {
                continue;
            }
            let (mut with, mut then) = (0.0, 0.0);
            for values in &statement.parameters {
                let plan = statement.statement.plan(&outcome.configuration, values)?;
                with += plan.total_cost;
                // A plan that does not use it is the plan without it.
                let uses = tree.members.iter().any(|member| plan.indexes.contains(&member.oid));
                then += if uses {
                    statement.statement.plan(&without, values)?.total_cost
                } else {
                    plan.total_cost
                };
            }
            if then > with * 1.01 {
                affected.push(statement.entry.query_id);
            }
            loss += (then - with) / statement.parameters.len().max(1) as f64 * weight;
        }
        let upkeep = upkeep(top, tree.size() as f64, &writes);
        let tolerated = if superseded { upkeep.ms.max(outcome.total_after * 0.002) } else { upkeep.ms };
        let idle = loss <= 0.0 && upkeep.ms <= 0.0 && usage.everywhere() > 0 && !superseded;
        if loss > tolerated || idle {
            continue;
        }
        removals.push(Removal {
            relid: top.table,
            table: top.qualified_table(),
            index_name: top.name.clone(),
            columns: columns(top),
            method: top.method.clone(),
            statement: statement::drop_index(top),
            undo,
            bytes: tree.size() as f64,
            before: outcome.total_after,
            after: outcome.total_after + loss - upkeep.ms,
            upkeep,
            affected,
            superseded,
            scans: usage.everywhere(),
            days: usage.days,
        });
        outcome.total_after += loss - upkeep.ms;
        outcome.configuration = without;
        served.without(&tree.members);
    }
    removals.sort_by(|a, b| (b.before - b.after).total_cmp(&(a.before - a.after)));
    Ok(removals)
}

fn upkeep(index: &Index, bytes: f64, writes: &WriteRates) -> Upkeep {
    let mut watched = index.included.clone();
    watched.extend(index.keys.iter().filter_map(|key| key.column));
    let summarizing =
        cfg!(any(feature = "pg16", feature = "pg17", feature = "pg18")) && index.method == "brin";
    let rows = crate::pg::table_sample::estimated_size(index.table).map_or(0.0, |(_, rows)| rows);
    let entry = if rows > 0.0 { (bytes / rows).clamp(12.0, 2000.0) } else { 24.0 };
    let share = if index.predicate.is_empty() { 1.0 } else { 0.5 };
    price::upkeep(&index.method, entry, share, &writes.of(index.table, &watched), summarizing)
}

/// Whether an index to be created finds whatever the existing one finds.
fn begins_with(spec: &Spec, index: &Index) -> bool {
    spec.relid == index.table
        && spec.method == index.method
        && spec.predicate.is_none()
        && index.predicate.is_empty()
        && spec.keys.len() >= index.keys.len()
        && index.included.iter().all(|column| spec.watched().contains(column))
        && spec.keys.iter().zip(&index.keys).all(|(new, old)| {
            new.opclass.is_none()
                && matches!(new.key, Key::Column(column) if Some(column) == old.column)
                && (new.descending, new.nulls_first) == (old.descending, old.nulls_first)
        })
}

fn columns(index: &Index) -> Vec<String> {
    let name = |column: Option<i16>| {
        column
            .and_then(|c| lookup::attribute_name(index.table, c))
            .unwrap_or_else(|| "(expression)".to_owned())
    };
    index
        .keys
        .iter()
        .map(|key| name(key.column))
        .chain(index.included.iter().map(|c| name(Some(*c))))
        .collect()
}

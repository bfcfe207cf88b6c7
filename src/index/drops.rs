//! Existing indexes that cost more than they serve, given those advised: what the planner loses without
//! them, against the writes they make dearer.

use crate::catalog::index::Index;
use crate::error::Result;
use crate::index::advisor::Outcome;
use crate::index::judged::{Inventory, Judged, Read};
use crate::index::lint::redundant::gives_way;
use crate::index::price::Upkeep;
use crate::index::statement;
use crate::index::workload::Workload;
use crate::pg::lookup;
use pgrx::pg_sys;
use std::collections::HashMap;

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
    /// What does its work.
    pub successor: Option<Successor>,
    pub scans: i64,
    pub days: f64,
}

pub enum Successor {
    /// An index advised above, which begins with its columns.
    Advised,
    /// An index advised above in its place, by what the workload asks.
    Merged,
    /// An index that is there, by name.
    Existing(String),
}

/// Part of the workload's time that may be lost where another index does an index's work.
const TOLERATED: f64 = 0.002;

pub fn removals(
    existing: &Inventory,
    judged: &[Judged],
    workload: &Workload,
    outcome: &mut Outcome,
    coverage: f64,
) -> Result<Vec<Removal>> {
    let mut served = existing.served()?;
    let mut removals = Vec::new();
    // Of each table, with what is left by then.
    let mut read: HashMap<pg_sys::Oid, Read> = HashMap::new();
    // Each is judged given those above it: first what another index does as well, as redundant_indexes() says
    // too, then what saves most.
    let mut judged: Vec<(&Judged, Upkeep)> =
        judged.iter().map(|judged| (judged, judged.upkeep(&outcome.writes))).collect();
    let is_first = |(judged, _): &(&Judged, Upkeep)| successor(judged, existing, outcome).is_some();
    judged.sort_by_cached_key(|one| (!is_first(one), std::cmp::Reverse((one.1.ms * 1e6) as i64)));
    for (judged, upkeep) in judged {
        pgrx::check_for_interrupts!();
        let (tree, usage, top) = (&judged.tree, &judged.usage, judged.tree.top);
        let successor = successor(judged, existing, outcome);
        let alone = tree.members.iter().any(|member| served.only_by(member.oid).is_some());
        if alone && matches!(successor, None | Some(Successor::Merged))
            || successor.is_none() && judged.may_serve_others(workload, coverage)
        {
            continue;
        }
        // What cannot be undone is not advised.
        let Some(undo) = statement::create_again(top) else { continue };
        let without = judged.without(&outcome.configuration);
        let with = match read.remove(&top.table) {
            Some(known) => known,
            None => Read::of(outcome, top.table, &outcome.configuration)?,
        };
        let then = with.without(outcome, &without, &judged.oids())?;
        let (loss, affected) = loss(outcome, &with, &then);
        let tolerated =
            if successor.is_some() { upkeep.ms.max(outcome.total_after * TOLERATED) } else { upkeep.ms };
        let idle = loss <= 0.0 && upkeep.ms <= 0.0 && usage.everywhere() > 0 && successor.is_none();
        if loss > tolerated || idle {
            read.insert(top.table, with);
            continue;
        }
        read.insert(top.table, then);
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
            successor,
            scans: usage.everywhere(),
            days: usage.days,
        });
        outcome.total_after += loss - upkeep.ms;
        outcome.configuration = without;
        served.without(&tree.members);
    }
    Ok(removals)
}

fn successor(judged: &Judged, existing: &Inventory, outcome: &Outcome) -> Option<Successor> {
    if outcome.creations.iter().any(|creation| judged.is_begun_by(&creation.index)) {
        return Some(Successor::Advised);
    }
    let top = judged.tree.top;
    let name = top.qualified_name();
    if outcome.creations.iter().any(|creation| creation.replaces.contains(&name)) {
        return Some(Successor::Merged);
    }
    let stays = |other: &&Index| {
        // Of two that do each other's work one stays.
        gives_way(top, other).is_some() && !outcome.configuration.hidden.contains(&other.oid)
    };
    // The parts of a tree are hidden, its top is not.
    let other = existing.indexes.iter().filter(|other| !other.partitioned).find(stays)?;
    Some(Successor::Existing(other.qualified_name()))
}

/// What the workload loses, in milliseconds a day, and the statements that get dearer.
fn loss(outcome: &Outcome, with: &Read, then: &Read) -> (f64, Vec<i64>) {
    let (with, then) = (with.costs(outcome), then.costs(outcome));
    let mut affected = Vec::new();
    for ((statement, with), then) in outcome.statements.iter().zip(&with).zip(&then) {
        if *then > with * 1.01 {
            affected.push(statement.entry.query_id);
        }
    }
    (then.iter().sum::<f64>() - with.iter().sum::<f64>(), affected)
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

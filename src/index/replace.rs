//! One new index in the place of existing ones: an advised one that begins with an existing one's columns
//! instead, so that the existing one can go; and one for two that begin alike. What is made superfluous is
//! dropped by `drops.rs`, which asks the planner once more.

use crate::catalog::index::{self, Index};
use crate::error::Result;
use crate::index::advisor::{self, Creation, Outcome, Request, WORTH_SAYING};
use crate::index::judged::{Inventory, Judged, Read};
use crate::index::lint::redundant::makes_redundant;
use crate::index::price::Upkeep;
use crate::index::spec::{MOST_INCLUDED, Spec, SpecKey};
use crate::index::whatif;
use crate::index::workload::{self, Workload};
use crate::pg::query_shape::Key;
use crate::pg::session;
use crate::pg::subtransaction::attempt;
use crate::pg::whatif::{Configuration, HypotheticalIndex, Part};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Replacements that are sized and planned: each costs some plans of each statement on its table.
const MOST_TRIED: usize = 24;

pub struct Replacing<'a> {
    pub request: &'a Request,
    pub workload: &'a Workload,
    pub existing: &'a Inventory,
    pub judged: &'a [Judged<'a>],
    pub coverage: f64,
    pub tried: usize,
}

/// Milliseconds of a call that an index must save which only adds columns to one that is there. The planner
/// counts a page of the table that need not be read as if it came from disk; a lookup of a few rows that are in
/// memory gets no faster.
pub const LEAST_OF_A_CALL: f64 = 0.05;

/// Part of a table's rows that are updated a day from which index-only scans are not to be had: its pages are marked
/// all-visible by VACUUM, which comes when a fifth of the rows have changed, and one change unmarks a page.
const UPDATED_A_DAY: f64 = 0.05;

/// Takes back what finds no rows that an existing index does not find, and saves next to nothing.
pub fn without_trifles(outcome: &mut Outcome, existing: &Inventory, workload: &Workload) {
    let mut number = 0;
    while let Some(creation) = outcome.creations.get(number) {
        let calls: f64 = outcome
            .statements
            .iter()
            .filter(|statement| creation.helped.contains(&statement.entry.query_id))
            .map(|statement| statement.entry.calls / workload.days)
            .sum();
        let saved = creation.before - creation.after;
        let parts = &creation.index.parts;
        let rows: f64 = parts.iter().map(|part| outcome.sizer.table(part.definition.relid).1).sum();
        let updated = outcome.writes.of(creation.spec.relid, &[]).updates > UPDATED_A_DAY * rows;
        let trifle = (updated || saved + creation.upkeep.ms < LEAST_OF_A_CALL * calls)
            && existing.indexes.iter().any(|index| index.usable() && has_keys_of(index, creation));
        if !trifle {
            number += 1;
            continue;
        }
        let gone = outcome.creations.remove(number);
        outcome.configuration.created.retain(|index| !Rc::ptr_eq(index, &gone.index));
        outcome.total_after += saved;
        for later in &mut outcome.creations[number..] {
            later.before += saved;
            later.after += saved;
        }
    }
}

/// Whether an existing index of all rows begins with the keys of the one to be created.
fn has_keys_of(index: &Index, creation: &Creation) -> bool {
    index.table == creation.spec.relid
        && index.method == "btree"
        && index.predicate_tree.is_none()
        && plain(&creation.spec).is_some()
        && creation.spec.keys.len() <= index.keys.len()
        && creation.spec.keys.iter().zip(&index.keys).all(|(new, old)| {
            matches!(new.key, Key::Column(column) if Some(column) == old.column)
                && (new.descending, new.nulls_first) == (old.descending, old.nulls_first)
        })
}

/// A replacement that PostgreSQL would accept.
struct Made {
    spec: Spec,
    index: Rc<HypotheticalIndex>,
    upkeep: Upkeep,
}

impl Replacing<'_> {
    pub fn run(&mut self, outcome: &mut Outcome) -> Result<()> {
        for number in 0..outcome.creations.len() {
            for judged in self.judged {
                self.extend(outcome, number, judged)?;
            }
        }
        for (place, one) in self.judged.iter().enumerate() {
            for other in &self.judged[place + 1..] {
                self.merge(outcome, one, other)?;
            }
        }
        Ok(())
    }

    /// An advised index, its columns after those of an existing one, where that does as well.
    fn extend(&mut self, outcome: &mut Outcome, number: usize, old: &Judged) -> Result<()> {
        let creation = &outcome.creations[number];
        let table = old.tree.top.table;
        // What stands in for one already would no longer.
        let taken = self.judged.iter().any(|judged| judged.is_begun_by(&creation.index));
        if creation.spec.relid != table || taken || replaced(outcome, old) {
            return Ok(());
        }
        let (Some(keys), Some(_)) = (keys_of(old), plain(&creation.spec)) else { return Ok(()) };
        if !matches!(keys[0].key, Key::Column(first) if creation.spec.watched().contains(&first)) {
            return Ok(());
        }
        let included = [&old.tree.top.included, &creation.spec.included];
        let Some(spec) = self.combined(&creation.spec, &keys, &creation.spec.keys, included) else {
            return Ok(());
        };
        let others = outcome.creations.iter().map(|c| c.bytes).sum::<f64>() - creation.bytes;
        let Some(new) = self.made(spec, outcome, others)? else { return Ok(()) };
        let bytes = whatif::bytes(&new.index);
        if !old.is_begun_by(&new.index) || bytes >= outcome.creations[number].bytes + old.tree.size() as f64 {
            return Ok(());
        }
        let now = &outcome.configuration;
        let replaced = &outcome.creations[number];
        let mut created = now.created.clone();
        created.retain(|index| !Rc::ptr_eq(index, &replaced.index));
        created.push(Rc::clone(&new.index));
        let with = Configuration { created, hidden: now.hidden.clone() };
        let parts: Vec<pg_sys::Oid> = replaced.index.parts.iter().map(Part::oid).collect();
        let writes = new.upkeep.ms - replaced.upkeep.ms;
        let saved = old.upkeep(&outcome.writes).ms;
        let before = Read::of(outcome, table, now)?;
        let instead = before.without(outcome, &old.without(&with), &[parts.clone(), old.oids()].concat())?;
        let before_ms = before.total(outcome);
        if instead.total(outcome) - before_ms + writes - saved > WORTH_SAYING * outcome.total_before {
            return Ok(());
        }
        let difference = before.without(outcome, &with, &parts)?.total(outcome) - before_ms + writes;
        outcome.configuration = with;
        outcome.total_after += difference;
        for later in &mut outcome.creations[number + 1..] {
            later.before += difference;
            later.after += difference;
        }
        let creation = &mut outcome.creations[number];
        creation.after += difference;
        creation.bytes = bytes;
        creation.upkeep = new.upkeep;
        creation.spec = new.spec;
        creation.index = new.index;
        creation.replaces.push(old.tree.top.qualified_name());
        Ok(())
    }

    /// One index for two that begin alike, where writes pay for both and readers do as well with one.
    fn merge(&mut self, outcome: &mut Outcome, one: &Judged, other: &Judged) -> Result<()> {
        let (first, second) = (one.tree.top, other.tree.top);
        if first.table != second.table || replaced(outcome, one) || replaced(outcome, other) {
            return Ok(());
        }
        // Where one does the other's work already, that one is enough.
        if makes_redundant(first, second).is_some() || makes_redundant(second, first).is_some() {
            return Ok(());
        }
        let (Some(keys), Some(other_keys)) = (keys_of(one), keys_of(other)) else { return Ok(()) };
        let upkeep = [one, other].map(|judged| judged.upkeep(&outcome.writes).ms);
        let worth = WORTH_SAYING * outcome.total_before;
        if keys[0] != other_keys[0] || upkeep[0] + upkeep[1] <= worth {
            return Ok(());
        }
        let base = Spec { relid: first.table, ..Spec::btree(first.table, Vec::new()) };
        let planned: f64 = outcome.creations.iter().map(|creation| creation.bytes).sum();
        let before = Read::of(outcome, first.table, &outcome.configuration)?;
        let mut best: Option<(f64, Made)> = None;
        for (keys, others) in [(&keys, &other_keys), (&other_keys, &keys)] {
            let included = [&first.included, &second.included];
            let Some(spec) = self.combined(&base, keys, others, included) else { continue };
            let Some(new) = self.made(spec, outcome, planned)? else { continue };
            if !self.may_stand_in(&new.index, one)? || !self.may_stand_in(&new.index, other)? {
                continue;
            }
            let with = other.without(&one.without(&plus(&outcome.configuration, &new.index)));
            let then = before.without(outcome, &with, &[one.oids(), other.oids()].concat())?;
            let loss = then.total(outcome) - before.total(outcome);
            let gain = upkeep[0] + upkeep[1] - new.upkeep.ms - loss;
            if loss <= upkeep[0].min(upkeep[1])
                && gain > worth
                && best.as_ref().is_none_or(|(known, _)| gain > *known)
            {
                best = Some((gain, new));
            }
        }
        let Some((_, new)) = best else { return Ok(()) };
        // Beside the two it is of no use yet.
        let total = outcome.total_after;
        outcome.total_after += new.upkeep.ms;
        outcome.configuration = plus(&outcome.configuration, &new.index);
        outcome.creations.push(Creation {
            bytes: whatif::bytes(&new.index),
            spec: new.spec,
            index: new.index,
            before: total,
            after: outcome.total_after,
            upkeep: new.upkeep,
            helped: Vec::new(),
            helped_ms: (0.0, 0.0),
            statements: 0,
            some_values: false,
            replaces: vec![first.qualified_name(), second.qualified_name()],
        });
        Ok(())
    }

    /// Whether whoever needs the old index can do with the new one.
    fn may_stand_in(&self, new: &HypotheticalIndex, old: &Judged) -> Result<bool> {
        if old.is_begun_by(new) {
            return Ok(true);
        }
        let served = self.existing.served()?;
        let alone = old.tree.members.iter().any(|member| served.only_by(member.oid).is_some());
        Ok(!alone && !old.may_serve_others(self.workload, self.coverage))
    }

    /// An index on the first keys and then the others, with what either includes.
    fn combined(
        &self,
        like: &Spec,
        first: &[SpecKey],
        others: &[SpecKey],
        included: [&Vec<i16>; 2],
    ) -> Option<Spec> {
        let mut keys = first.to_vec();
        keys.extend(others.iter().filter(|key| !first.iter().any(|known| known.key == key.key)).cloned());
        if keys.len() > self.request.max_columns.max(first.len()) {
            return None;
        }
        let spec = Spec { keys, included: Vec::new(), ..like.clone() };
        let stored = spec.watched();
        let rest: BTreeSet<i16> =
            included.into_iter().flatten().copied().filter(|column| !stored.contains(column)).collect();
        (rest.len() <= MOST_INCLUDED).then(|| Spec { included: rest.into_iter().collect(), ..spec })
    }

    /// The index sized, where it fits beside `others`, bytes that are advised already.
    fn made(&mut self, spec: Spec, outcome: &mut Outcome, others: f64) -> Result<Option<Made>> {
        if self.tried >= MOST_TRIED || session::clock() > self.request.deadline {
            return Ok(None);
        }
        self.tried += 1;
        // Plain columns: nobody's functions are run.
        outcome.sizer.serve(None);
        let (sizer, writes) = (&mut outcome.sizer, &outcome.writes);
        match attempt(|| workload::patiently(|| advisor::made(&spec, sizer, writes))) {
            Ok((index, upkeep)) => {
                let fits = others + whatif::bytes(&index) <= self.request.budget;
                Ok(fits.then_some(Made { spec, index, upkeep }))
            }
            Err(error) if error.is_cancel() => Err(error),
            Err(_) => Ok(None),
        }
    }
}

fn plus(configuration: &Configuration, index: &Rc<HypotheticalIndex>) -> Configuration {
    let mut with = configuration.clone();
    with.created.push(Rc::clone(index));
    with
}

/// Whether something advised stands in for it already.
fn replaced(outcome: &Outcome, old: &Judged) -> bool {
    let name = old.tree.top.qualified_name();
    outcome.creations.iter().any(|c| c.replaces.contains(&name) || old.is_begun_by(&c.index))
}

/// The keys of a btree on plain columns of all rows.
fn keys_of(old: &Judged) -> Option<Vec<SpecKey>> {
    let index = old.tree.top;
    if index.method != "btree" || index.predicate_tree.is_some() {
        return None;
    }
    let key = |key: &index::Key| {
        let (descending, nulls_first) = (key.descending, key.nulls_first);
        Some(SpecKey { key: Key::Column(key.column?), opclass: None, descending, nulls_first })
    };
    index.keys.iter().map(key).collect()
}

fn plain(spec: &Spec) -> Option<()> {
    let columns = spec.keys.iter().all(|key| matches!(key.key, Key::Column(_)) && key.opclass.is_none());
    (spec.method == "btree" && spec.predicate.is_none() && columns).then_some(())
}

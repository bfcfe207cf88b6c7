//! Indexes that could help a statement, from what it asks of each table.

use crate::error::Result;
use crate::index::spec::{MOST_INCLUDED, Spec, SpecKey};
use crate::index::values::Distributions;
use crate::pg::query_shape::{Clause, Key, Kind, OrderKey, Predicate, TableUse};
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// Columns and expressions of one kind of condition that are combined with others: what is made of them grows with
/// their square, and statements with hundreds of conditions are made by machines.
const MOST_KEYS: usize = 12;
/// Bytes of values for which a hash index is worth considering.
const LONG: i32 = 100;
/// A partial index on a constant is worth while where few rows have it.
const RARE: f64 = 0.3;
/// Conditions of one use of a table that are tried for partial indexes.
const MOST_CONDITIONS: usize = 3;

/// Conditions on constants are worth an index if they come back: executions of statements that have one, at least.
const RECURRENT: f64 = 2.0;

/// How often the workload asks for the rows of each condition on constants.
#[derive(Default)]
pub struct Recurrence(HashMap<(pg_sys::Oid, String), f64>);

impl Recurrence {
    /// `calls` executions of a statement that uses tables in these ways.
    pub fn count(&mut self, uses: &[TableUse], calls: f64) {
        let of =
            |table: &TableUse| table.predicates.iter().map(|p| (table.relid, p.clone())).collect::<Vec<_>>();
        // Once a statement, however many of its uses of the table have the condition.
        let conditions: HashSet<(pg_sys::Oid, Predicate)> = uses.iter().flat_map(of).collect();
        for (relid, predicate) in conditions {
            if !predicate.constants.is_empty() {
                *self.0.entry((relid, predicate.sql)).or_default() += calls;
            }
        }
    }

    fn comes_back(&self, relid: pg_sys::Oid, predicate: &Predicate) -> bool {
        self.0.get(&(relid, predicate.sql.clone())).is_some_and(|calls| *calls >= RECURRENT)
    }
}

/// Candidates of one statement, each once.
pub struct Candidates<'a> {
    pub specs: Vec<Spec>,
    known: HashMap<Spec, usize>,
    max_columns: usize,
    operators: HashMap<pg_sys::Oid, Vec<(String, Option<String>)>>,
    distributions: Distributions,
    /// Of the table in hand: not written.
    quiet: bool,
    recurrence: &'a Recurrence,
}

impl<'a> Candidates<'a> {
    pub fn new(max_columns: usize, recurrence: &'a Recurrence) -> Self {
        Self {
            specs: Vec::new(),
            known: HashMap::new(),
            max_columns,
            operators: HashMap::new(),
            distributions: Distributions::default(),
            quiet: false,
            recurrence,
        }
    }

    fn add(&mut self, mut spec: Spec) {
        spec.packed = self.quiet && spec.method == "btree";
        if spec.keys.is_empty() || self.known.contains_key(&spec) {
            return;
        }
        self.known.insert(spec.clone(), self.specs.len());
        self.specs.push(spec);
    }

    /// Adds what could help one use of a table, which is `quiet` where nothing writes to it.
    pub fn of_use(&mut self, table: &TableUse, quiet: bool) -> Result<()> {
        self.quiet = quiet;
        let equal = distinct(table.clauses.iter().filter(|c| c.kind == Kind::Equal && !c.join && c.certain));
        let several = distinct(table.clauses.iter().filter(|c| c.kind == Kind::In && c.certain));
        let joined = distinct(table.clauses.iter().filter(|c| c.kind == Kind::Equal && c.join));
        let ranges = distinct(table.clauses.iter().filter(|c| c.kind == Kind::Range && c.certain));
        let loose = distinct(table.clauses.iter().filter(|c| !c.certain && c.kind != Kind::Other));
        let fixed: Vec<Key> = equal.iter().chain(&several).cloned().collect();
        let fixed = unique(fixed);

        let mut lists: Vec<Vec<SpecKey>> = Vec::new();
        let plain = |keys: &[&[Key]]| -> Vec<SpecKey> {
            unique(keys.iter().flat_map(|part| part.iter().cloned()).collect())
                .into_iter()
                .map(SpecKey::plain)
                .collect()
        };
        for key in fixed.iter().chain(&joined).chain(&ranges).chain(&loose) {
            lists.push(plain(&[std::slice::from_ref(key)]));
        }
        lists.push(plain(&[&fixed]));
        lists.push(plain(&[&equal]));
        for range in &ranges {
            let range = std::slice::from_ref(range);
            lists.push(plain(&[&fixed, range]));
            lists.push(plain(&[&equal, range]));
            for key in &fixed {
                lists.push(plain(&[std::slice::from_ref(key), range]));
            }
        }
        for join in &joined {
            let join = std::slice::from_ref(join);
            lists.push(plain(&[join, &fixed]));
            lists.push(plain(&[&fixed, join]));
            for key in fixed.iter().chain(&ranges) {
                lists.push(plain(&[join, std::slice::from_ref(key)]));
                lists.push(plain(&[std::slice::from_ref(key), join]));
            }
            for range in &ranges {
                lists.push(plain(&[&fixed, join, std::slice::from_ref(range)]));
            }
        }
        if joined.len() > 1 {
            lists.push(plain(&[&joined]));
            let backward: Vec<Key> = joined.iter().rev().cloned().collect();
            lists.push(plain(&[&backward]));
        }
        for order in &table.orders {
            let tail: Vec<SpecKey> = order.iter().map(order_key).collect();
            for front in [&[][..], &fixed, &equal] {
                let mut list = plain(&[front]);
                // Behind columns that are equal to something either direction is found, read backward.
                list.extend(backwards(
                    tail.iter().filter(|key| !front.contains(&key.key)).cloned().collect(),
                ));
                lists.push(list);
            }
        }
        self.lists(table, lists);
        self.rows_of_conditions(table);
        self.by_operator(table)?;
        Ok(())
    }

    /// Each list of keys as it is, with the other columns included, and for the rows of a condition only.
    fn lists(&mut self, table: &TableUse, lists: Vec<Vec<SpecKey>>) {
        let predicates = self.allowed(table);
        for mut keys in lists {
            keys.truncate(self.max_columns);
            if keys.is_empty() {
                continue;
            }
            let plain = Spec::btree(table.relid, keys);
            let covering = covering(table, &plain, &[]);
            for predicate in &predicates {
                // The condition's own columns need not be stored, unless a row's value is asked for.
                let kept: Vec<SpecKey> = plain
                    .keys
                    .iter()
                    .filter(|key| !matches!(&key.key, Key::Column(c) if predicate.columns.contains(c)))
                    .cloned()
                    .collect();
                if kept.is_empty() {
                    continue;
                }
                let partial = Spec { keys: kept, predicate: Some(predicate.sql.clone()), ..plain.clone() };
                if let Some(spec) = self::covering(table, &partial, &predicate.columns) {
                    self.add(spec);
                }
                self.add(partial);
            }
            self.add(plain);
            if let Some(spec) = covering {
                self.add(spec);
            }
        }
    }

    /// The rows of a condition, whatever else is asked of them.
    fn rows_of_conditions(&mut self, table: &TableUse) {
        for predicate in self.allowed(table) {
            let Some(column) = predicate.columns.first() else { continue };
            let key = SpecKey::plain(Key::Column(*column));
            let partial =
                Spec { predicate: Some(predicate.sql.clone()), ..Spec::btree(table.relid, vec![key]) };
            if let Some(spec) = covering(table, &partial, &predicate.columns) {
                self.add(spec);
            }
            self.add(partial);
        }
    }

    /// Conditions a partial index may have: without constants, or on constants that the workload comes back to,
    /// that pg_stats already shows the caller among the column's most common values, and that few rows have.
    /// All of them together are one more.
    fn allowed(&mut self, table: &TableUse) -> Vec<Predicate> {
        let mut allowed: Vec<Predicate> = Vec::new();
        for predicate in &table.predicates {
            if allowed.len() < MOST_CONDITIONS && self.fits(table.relid, predicate) {
                allowed.push(predicate.clone());
            }
        }
        // All of them, and all that no constant is in.
        let lasting: Vec<Predicate> = allowed.iter().filter(|p| p.constants.is_empty()).cloned().collect();
        let all = allowed.clone();
        for several in [lasting, all] {
            if several.len() > 1 {
                let joined = joined(&several);
                if !allowed.contains(&joined) {
                    allowed.push(joined);
                }
            }
        }
        allowed
    }

    fn fits(&mut self, relid: pg_sys::Oid, predicate: &Predicate) -> bool {
        let [column] = predicate.columns[..] else { return predicate.constants.is_empty() };
        let Ok(of) = self.distributions.of(relid, column) else { return false };
        if predicate.constants.is_empty() {
            return of.common.is_empty()
                || of.null_fraction > 0.0
                || of.common.iter().any(|(_, share)| *share < RARE);
        }
        if !self.recurrence.comes_back(relid, predicate) {
            return false;
        }
        let mut rows = 0.0;
        for constant in &predicate.constants {
            match of.common.iter().find(|(value, _)| value.trim_end() == constant.trim_end()) {
                Some((_, share)) => rows += share,
                None => return false,
            }
        }
        rows < RARE
    }

    /// Other access methods, where an operator asks for them.
    fn by_operator(&mut self, table: &TableUse) -> Result<()> {
        for clause in &table.clauses {
            match clause.kind {
                Kind::Pattern => {
                    let mut key = SpecKey::plain(clause.key.clone());
                    key.opclass = Some("pg_catalog.text_pattern_ops".to_owned());
                    if self.is_text(table.relid, &clause.key) {
                        self.add(Spec::btree(table.relid, vec![key]));
                    }
                    self.classes(table, clause, &["gin"])?;
                }
                Kind::Other => self.classes(table, clause, &["gin", "gist"])?,
                Kind::Range => {
                    if let Key::Column(column) = clause.key
                        && self.distributions.of(table.relid, column)?.correlation.abs() > 0.9
                    {
                        self.add(Spec {
                            method: "brin".to_owned(),
                            ..Spec::btree(table.relid, vec![SpecKey::plain(clause.key.clone())])
                        });
                    }
                }
                // It stores four bytes of a value however long, which may be too long for a btree.
                Kind::Equal | Kind::In => {
                    if let Key::Column(column) = clause.key
                        && self.distributions.of(table.relid, column)?.width >= LONG
                    {
                        self.add(Spec {
                            method: "hash".to_owned(),
                            ..Spec::btree(table.relid, vec![SpecKey::plain(clause.key.clone())])
                        });
                    }
                }
                Kind::Null => {}
            }
        }
        Ok(())
    }

    fn is_text(&self, relid: pg_sys::Oid, key: &Key) -> bool {
        match key {
            Key::Column(column) => {
                let type_oid = lookup::attribute_type(relid, *column);
                type_oid == pg_sys::TEXTOID || type_oid == pg_sys::VARCHAROID
            }
            Key::Expression(_) => true,
        }
    }

    fn classes(&mut self, table: &TableUse, clause: &Clause, methods: &[&str]) -> Result<()> {
        if let Entry::Vacant(unknown) = self.operators.entry(clause.operator) {
            unknown.insert(spi::read(
                "SELECT DISTINCT m.amname::pg_catalog.text,
                        CASE WHEN NOT c.opcdefault THEN
                            pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||)
                            pg_catalog.quote_ident(c.opcname) END
                   FROM pg_catalog.pg_amop AS o
                   JOIN pg_catalog.pg_opclass AS c ON c.opcfamily OPERATOR(pg_catalog.=) o.amopfamily
                   JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.opcnamespace
                   JOIN pg_catalog.pg_am AS m ON m.oid OPERATOR(pg_catalog.=) o.amopmethod
                  WHERE o.amopopr OPERATOR(pg_catalog.=) $1 AND o.amoppurpose OPERATOR(pg_catalog.=) 's'
                    AND m.amname OPERATOR(pg_catalog.=) ANY ('{gin,gist}'::pg_catalog.name[])
                  ORDER BY 1, 2",
                &[clause.operator.into()],
                |row| {
                    Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?))
                },
            )?);
        }
        for (method, opclass) in self.operators.get(&clause.operator).cloned().unwrap_or_default() {
            if methods.contains(&method.as_str()) {
                let key = SpecKey { opclass, ..SpecKey::plain(clause.key.clone()) };
                self.add(Spec { method, ..Spec::btree(table.relid, vec![key]) });
            }
        }
        Ok(())
    }
}

fn joined(predicates: &[Predicate]) -> Predicate {
    let mut parts: Vec<String> = predicates.iter().map(|p| format!("({})", p.sql)).collect();
    parts.sort();
    Predicate {
        sql: parts.join(" AND "),
        columns: predicates.iter().flat_map(|p| p.columns.iter().copied()).collect(),
        constants: Vec::new(),
    }
}

fn order_key(order: &OrderKey) -> SpecKey {
    SpecKey {
        key: Key::Column(order.column),
        opclass: None,
        descending: order.descending,
        nulls_first: order.nulls_first,
    }
}

/// An order that is descending throughout is an ascending index read backward.
fn backwards(keys: Vec<SpecKey>) -> Vec<SpecKey> {
    if keys.iter().all(|key| key.descending && key.nulls_first) {
        return keys.into_iter().map(|key| SpecKey::plain(key.key)).collect();
    }
    keys
}

/// With every other column the statement reads, save those `unneeded`: an index that need not go to the table.
fn covering(table: &TableUse, spec: &Spec, unneeded: &[i16]) -> Option<Spec> {
    if table.whole_row || spec.keys.iter().any(|key| matches!(key.key, Key::Expression(_))) {
        return None;
    }
    let stored = spec.watched();
    let rest: Vec<i16> = table
        .columns
        .iter()
        .copied()
        .filter(|c| *c > 0 && !stored.contains(c) && !unneeded.contains(c))
        .collect();
    if rest.is_empty() || rest.len() > MOST_INCLUDED {
        return None;
    }
    Some(Spec { included: rest, ..spec.clone() })
}

fn distinct<'a>(clauses: impl Iterator<Item = &'a Clause>) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for clause in clauses {
        if keys.len() < MOST_KEYS && !keys.contains(&clause.key) {
            keys.push(clause.key.clone());
        }
    }
    keys
}

fn unique(keys: Vec<Key>) -> Vec<Key> {
    let mut seen: Vec<Key> = Vec::new();
    for key in keys {
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_hundreds_of_conditions_some_are_combined() {
        let clause = |column| Clause {
            key: Key::Column(column),
            kind: Kind::Equal,
            operator: pg_sys::Oid::INVALID,
            join: false,
            certain: true,
        };
        let clauses: Vec<Clause> = (1..=300).chain(1..=300).map(clause).collect();
        let keys = distinct(clauses.iter());
        assert_eq!(keys.len(), MOST_KEYS);
        assert_eq!(keys[..2], [Key::Column(1), Key::Column(2)]);
    }
}

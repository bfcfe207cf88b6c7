//! Foreign keys without an index: each delete or key update of a referenced row searches the whole table.

use crate::catalog::foreign_key::{self, Column, ForeignKey, Holder};
use crate::catalog::index::{self, Index};
use crate::catalog::relation;
use crate::error::Result;
use crate::index::lint::cover::{Cover, Operators, cover};
use crate::index::statement::NewIndex;
use crate::pg::{expression, lookup};
use pgrx::pg_sys;
use std::collections::HashMap;

pub struct Finding {
    pub table: String,
    /// Foreign keys of these columns.
    pub constraints: Vec<String>,
    pub columns: Vec<String>,
    pub referenced: String,
    pub finding: &'static str,
    pub priority: &'static str,
    pub table_bytes: i64,
    pub referenced_changes: i64,
    pub reason: String,
    pub fix: String,
    pub undo: String,
}

/// What the catalogue knows of operators.
pub struct Catalogue;

impl Operators for Catalogue {
    fn in_family(&self, operator: pg_sys::Oid, family: pg_sys::Oid) -> bool {
        lookup::in_operator_family(operator, family)
    }

    fn predicate_follows(&self, index: &Index, columns: &[Column]) -> bool {
        let columns: Vec<_> = columns.iter().map(|c| (c.number, c.type_oid, c.typmod, c.collation)).collect();
        index
            .predicate_tree
            .as_deref()
            .is_some_and(|stored| expression::follows_from_not_null(stored, &columns))
    }
}

pub fn findings() -> Result<Vec<Finding>> {
    let indexes = index::all()?;
    let mut by_table: HashMap<pg_sys::Oid, Vec<&Index>> = HashMap::new();
    for index in &indexes {
        by_table.entry(index.table).or_default().push(index);
    }
    let mut taken = Vec::new();
    let mut found: Vec<Finding> = Vec::new();
    for key in foreign_key::all()? {
        let Some(missing) = Missing::of(&key, &by_table) else { continue };
        let referenced = lookup::qualified_name(key.referenced).unwrap_or_default();
        let table = lookup::qualify(&key.schema, &key.table_name);
        // One index serves all the keys of these columns.
        if let Some(same) = found.iter_mut().find(|f| f.table == table && same_set(&f.columns, &key.columns))
        {
            same.constraints.push(key.name.clone());
            same.referenced = format!("{}, {referenced}", same.referenced);
            same.referenced_changes += key.referenced_deletes + key.referenced_updates;
            continue;
        }
        let (fix, undo) = missing.statements(&key, &mut taken)?;
        found.push(Finding {
            finding: missing.finding(&key),
            priority: missing.priority(&key),
            table_bytes: missing.bytes(),
            referenced_changes: key.referenced_deletes + key.referenced_updates,
            reason: missing.reason(&key),
            constraints: vec![key.name.clone()],
            columns: key.columns.clone(),
            table,
            referenced,
            fix,
            undo,
        });
    }
    let rank = |priority| ["HIGH", "MEDIUM", "LOW"].iter().position(|p| *p == priority);
    found.sort_by_key(|f| (rank(f.priority), std::cmp::Reverse(f.table_bytes)));
    Ok(found)
}

fn same_set(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|column| b.contains(column))
}

/// The foreign keys, and which indexes serve them while others go.
pub struct Served<'a> {
    keys: Vec<ForeignKey>,
    left: Vec<&'a Index>,
    sole: HashMap<pg_sys::Oid, String>,
}

impl<'a> Served<'a> {
    pub fn by(indexes: &'a [Index]) -> Result<Self> {
        let mut served =
            Self { keys: foreign_key::all()?, left: indexes.iter().collect(), sole: HashMap::new() };
        served.sole = served.sole();
        Ok(served)
    }

    /// The foreign key that only this index serves, on some table.
    pub fn only_by(&self, index: pg_sys::Oid) -> Option<&String> {
        self.sole.get(&index)
    }

    /// These indexes are advised to be dropped: what they served others have to.
    pub fn without(&mut self, gone: &[&Index]) {
        self.left.retain(|index| !gone.iter().any(|other| other.oid == index.oid));
        self.sole = self.sole();
    }

    fn sole(&self) -> HashMap<pg_sys::Oid, String> {
        let mut sole = HashMap::new();
        for key in &self.keys {
            for holder in &key.holders {
                let mut serving = self.left.iter().filter(|i| {
                    i.table == holder.table && cover(&holder.columns, i, &Catalogue) == Cover::Full
                });
                if let (Some(only), None) = (serving.next(), serving.next()) {
                    sole.entry(only.oid).or_insert_with(|| key.name.clone());
                }
            }
        }
        sole
    }
}

/// The tables that hold rows of a key and have no index that serves it, each with the best it has.
struct Missing<'a> {
    without: Vec<(&'a Holder, Cover, Option<&'a Index>)>,
}

impl<'a> Missing<'a> {
    fn of(key: &'a ForeignKey, by_table: &HashMap<pg_sys::Oid, Vec<&'a Index>>) -> Option<Self> {
        let without: Vec<_> = key
            .holders
            .iter()
            .filter_map(|holder| {
                let indexes = by_table.get(&holder.table).map(Vec::as_slice).unwrap_or_default();
                let best = indexes
                    .iter()
                    .map(|&index| (cover(&holder.columns, index, &Catalogue), index))
                    .min_by_key(|(cover, _)| *cover);
                match best {
                    Some((Cover::Full, _)) => None,
                    Some((cover, index)) => Some((holder, cover, Some(index))),
                    None => Some((holder, Cover::None, None)),
                }
            })
            .collect();
        (!without.is_empty()).then_some(Self { without })
    }

    /// The nearest an index comes on the table that is worst off.
    fn worst(&self) -> (Cover, Option<&'a Index>) {
        self.without
            .iter()
            .map(|&(_, cover, index)| (cover, index))
            .max_by_key(|(cover, _)| *cover)
            .unwrap_or((Cover::None, None))
    }

    fn finding(&self, key: &ForeignKey) -> &'static str {
        if self.without.len() < key.holders.len() {
            return "some_partitions_missing";
        }
        match self.worst().0 {
            Cover::SomeColumns => "covered_partially",
            Cover::Partial => "partial_index",
            Cover::Invalid => "invalid_index",
            Cover::OtherOperators => "other_operators",
            Cover::NotFirst => "not_first",
            Cover::Full | Cover::None => "missing",
        }
    }

    fn bytes(&self) -> i64 {
        self.without.iter().map(|(holder, _, _)| holder.size()).sum()
    }

    /// A search of a whole table costs its size each time a referenced row goes.
    fn priority(&self, key: &ForeignKey) -> &'static str {
        let megabytes = self.bytes() / (1024 * 1024);
        let changes = key.referenced_deletes + key.referenced_updates;
        if megabytes >= 8 && key.referenced_deletes > 0 {
            "HIGH"
        } else if megabytes >= 8 || changes > 0 && megabytes >= 1 {
            "MEDIUM"
        } else {
            "LOW"
        }
    }

    fn reason(&self, key: &ForeignKey) -> String {
        let action = match key.on_delete {
            'c' => "deletes the rows it finds",
            'n' | 'd' => "updates the rows it finds",
            _ => "looks for a row",
        };
        let mut reason = format!("each delete of a referenced row {action} by reading the whole table");
        let (cover, index) = self.worst();
        if let Some(near) = index.and_then(|index| cover.explain(&index.qualified_name())) {
            reason = format!("{reason}; {near}");
        }
        if self.without.len() < key.holders.len() {
            reason =
                format!("{reason}; {} of {} partitions have none", self.without.len(), key.holders.len());
        }
        if key.referenced_deletes + key.referenced_updates == 0 {
            reason += "; no referenced row was deleted or updated since statistics began";
        }
        reason
    }

    fn statements(&self, key: &ForeignKey, taken: &mut Vec<String>) -> Result<(String, String)> {
        if let (Cover::Invalid, Some(index), 1) = (self.worst().0, self.worst().1, self.without.len())
            && !key.partitioned
        {
            return Ok((crate::index::statement::rebuild(index), String::new()));
        }
        let top = NewIndex::named(&key.schema, &key.table_name, &key.columns, key.table, taken);
        if !key.partitioned {
            return Ok((top.create(), top.drop()));
        }
        // Without stopping writes: the top alone, each partition's concurrently, then together.
        let mut lines = vec![top.create_only()];
        of_partitions(key.table, &top, &relation::children(key.table)?, taken, &mut lines);
        Ok((lines.join("\n"), top.drop_partitioned()))
    }
}

/// What makes the indexes of a table's partitions and attaches each to its table's.
fn of_partitions(
    table: pg_sys::Oid,
    index: &NewIndex,
    children: &HashMap<pg_sys::Oid, Vec<pg_sys::Oid>>,
    taken: &mut Vec<String>,
    lines: &mut Vec<String>,
) {
    for &child in children.get(&table).into_iter().flatten() {
        let (Some(schema), Some(name)) = (lookup::relation_schema(child), lookup::relation_name(child))
        else {
            continue;
        };
        let part = NewIndex::named(&schema, &name, index.columns, child, taken);
        if lookup::is_partitioned(child) {
            lines.push(part.create_only());
            of_partitions(child, &part, children, taken, lines);
        } else {
            lines.push(part.create());
        }
        lines.push(index.attach(&part));
    }
}

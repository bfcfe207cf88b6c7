//! Indexes that another index makes redundant, at the top of their partition trees.

use crate::catalog::index::{self, Index};
use crate::error::Result;
use crate::index::lint::protect;
use crate::index::lint::redundant::{Kind, gives_way};
use crate::index::statement;
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet};

pub struct Finding {
    pub table: String,
    pub index: String,
    pub kind: &'static str,
    pub by: String,
    pub size: i64,
    pub scans: i64,
    pub verdict: &'static str,
    pub reason: String,
    pub fix: Option<String>,
    pub undo: Option<String>,
}

/// How many times larger an index may be that takes over before it is said.
const MUCH_LARGER: i64 = 4;

pub fn findings(include_kept: bool) -> Result<Vec<Finding>> {
    let indexes = index::all()?;
    let trees = index::trees(&indexes);
    let sizes: HashMap<pg_sys::Oid, i64> = trees.iter().map(|tree| (tree.top.oid, tree.size())).collect();
    let mut by_table: HashMap<pg_sys::Oid, Vec<&Index>> = HashMap::new();
    for index in &indexes {
        by_table.entry(index.table).or_default().push(index);
    }
    // What goes with an index: those attached to it.
    let top: HashMap<pg_sys::Oid, pg_sys::Oid> =
        trees.iter().flat_map(|tree| tree.members.iter().map(|member| (member.oid, tree.top.oid))).collect();
    let top = |index: &Index| top.get(&index.oid).copied().unwrap_or(index.oid);
    let successors = |index: &Index| -> Vec<(Kind, &Index)> {
        by_table[&index.table].iter().filter_map(|&other| Some((gives_way(index, other)?, other))).collect()
    };
    // What is to go, so that nothing is said to be replaced by what goes too.
    let going: HashSet<pg_sys::Oid> = trees
        .iter()
        .filter(|tree| protect::reason_if_redundant(tree.top).is_none() && !successors(tree.top).is_empty())
        .map(|tree| tree.top.oid)
        .collect();
    let mut found = Vec::new();
    for tree in &trees {
        let index = tree.top;
        let kept = protect::reason_if_redundant(index);
        let successor = successors(index)
            .into_iter()
            .filter(|(_, other)| !going.contains(&top(other)))
            .min_by_key(|(_, other)| (other.keys.len(), other.included.len()));
        let Some((kind, other)) = successor else { continue };
        if kept.is_some() && !include_kept {
            continue;
        }
        let size = sizes.get(&index.oid).copied().unwrap_or_default();
        let other_size = sizes.get(&other.oid).copied().unwrap_or_else(|| other.size());
        let mut reason = match kind {
            Kind::Duplicate => "the other has the same columns".to_owned(),
            Kind::Reversed => "the other has the same columns, read backward".to_owned(),
            Kind::Prefix => "the other starts with the same columns".to_owned(),
            Kind::Subset => "the other has these columns too, and is searched by any of them".to_owned(),
        };
        if kind != Kind::Duplicate && size > 0 && other_size > MUCH_LARGER * size {
            reason += &format!(
                "; it is {} times larger, so scans of many entries will read more",
                other_size / size
            );
        }
        if let Some(kept) = &kept {
            reason = format!("{reason}; stays: {kept}");
        }
        let drop = kept.is_none();
        found.push(Finding {
            table: index.qualified_table(),
            index: index.qualified_name(),
            kind: kind.name(),
            by: other.qualified_name(),
            size,
            scans: tree.members.iter().map(|member| member.scans).sum(),
            verdict: if drop { "drop" } else { "keep" },
            reason,
            fix: drop.then(|| statement::drop_index(index)),
            undo: if drop { statement::create_again(index) } else { None },
        });
    }
    found.sort_by(|a, b| {
        b.verdict.cmp(a.verdict).reverse().then(b.size.cmp(&a.size)).then(a.index.cmp(&b.index))
    });
    Ok(found)
}

//! Indexes there are that do what one to be created would. The planner may find a new one cheaper, which is packed and
//! shallow where the old one is bloated: that calls for REINDEX, and the two would be redundant.

use crate::catalog::index::{self, Index};
use crate::error::Result;
use crate::pg::index_definition::{IndexColumn, IndexDefinition};
use crate::pg::security;
use crate::pg::whatif::HypotheticalIndex;
use pgrx::pg_sys;
use std::collections::HashMap;

#[derive(Default)]
pub struct Existing {
    of_table: HashMap<pg_sys::Oid, Vec<Index>>,
}

impl Existing {
    pub fn read() -> Result<Self> {
        let mut of_table: HashMap<pg_sys::Oid, Vec<Index>> = HashMap::new();
        for index in security::with_safe_search_path(index::all)? {
            of_table.entry(index.table).or_default().push(index);
        }
        Ok(Self { of_table })
    }

    /// Whether each table it would be on has an index that finds whatever it finds.
    pub fn serve_as(&self, wanted: &HypotheticalIndex) -> bool {
        !wanted.parts.is_empty()
            && wanted.parts.iter().all(|part| {
                let there = self.of_table.get(&part.definition.relid);
                there.is_some_and(|indexes| indexes.iter().any(|index| serves_as(index, &part.definition)))
            })
    }
}

fn serves_as(index: &Index, wanted: &IndexDefinition) -> bool {
    let (keys, included) = wanted.columns.split_at(wanted.keys);
    let same = |(new, old): (&IndexColumn, &index::Key)| {
        new.attnum != 0
            && old.column == Some(new.attnum)
            && (old.opclass, old.collation) == (new.opclass, new.collation)
            && (old.descending, old.nulls_first) == (new.descending, new.nulls_first)
    };
    let has = |column: i16| {
        index.included.contains(&column) || index.keys.iter().any(|key| key.column == Some(column))
    };
    index.usable()
        && !index.partitioned
        && index.method == wanted.method_name
        && index.predicate.is_empty()
        && wanted.predicate.is_none()
        && (index.keys.len() == keys.len() || index.method == "btree" && index.keys.len() > keys.len())
        && keys.iter().zip(&index.keys).all(same)
        && included.iter().all(|column| has(column.attnum))
}

//! From a CREATE INDEX statement to something the planner takes for an index.

use crate::catalog::relation;
use crate::error::{Error, Result};
use crate::index::sizer::Sizer;
use crate::pg::index_definition::{self, IndexDefinition};
use crate::pg::table::Table;
use crate::pg::whatif::{HypotheticalIndex, Part};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::rc::Rc;

/// The statement's index, sized, on its table or on each partition of it.
/// `name` is what plans call it, if the statement names none.
pub fn hypothetical(statement: &str, name: Option<&str>, sizer: &mut Sizer) -> Result<Rc<HypotheticalIndex>> {
    let (relid, own_name) = index_definition::target_of(statement)?;
    let mut parts = Vec::new();
    for relid in scanned(relid)? {
        // Keeps its shape while plans are made.
        if Table::open(relid, pg_sys::AccessShareLock as i32).is_none() {
            continue;
        }
        let resolve = || IndexDefinition::resolve(statement, relid);
        let definition = security::as_author(sizer.author(), resolve)?;
        let size = sizer.size(&definition)?;
        let statistics = sizer.statistics(&definition)?;
        parts.push(Part::new(definition, size, statistics));
    }
    let name = own_name.or_else(|| name.map(str::to_owned)).unwrap_or_else(|| invented_name(relid, &parts));
    let name =
        CString::new(name).map_err(|_| Error::invalid_parameter("an index name contains a zero byte"))?;
    Ok(Rc::new(HypotheticalIndex { name, parts }))
}

/// Reads what the sizes of indexes on these columns of a table will need.
pub fn prepare(relid: pg_sys::Oid, columns: &BTreeSet<i16>, sizer: &mut Sizer) -> Result<()> {
    let names: Vec<String> = columns
        .iter()
        .filter(|column| **column > 0)
        .filter_map(|column| lookup::attribute_name(relid, *column))
        .collect();
    for relid in scanned(relid)? {
        if Table::open(relid, pg_sys::AccessShareLock as i32).is_some() {
            sizer.prepare(relid, &names)?;
        }
    }
    Ok(())
}

/// As PostgreSQL would name it, with a word before that says what it is.
fn invented_name(relid: pg_sys::Oid, parts: &[Part]) -> String {
    let mut name = format!("hypothetical_{}", lookup::relation_name(relid).unwrap_or_default());
    for column in parts.iter().take(1).flat_map(|part| &part.definition.columns) {
        name.push('_');
        name.push_str(
            &lookup::attribute_name(parts[0].definition.relid, column.attnum).unwrap_or("expr".to_owned()),
        );
    }
    name + "_idx"
}

/// A table itself, or the partitions that hold a partitioned table's rows.
fn scanned(relid: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>> {
    if !lookup::is_partitioned(relid) {
        return Ok(vec![relid]);
    }
    Ok(relation::partitions(relid)?.into_iter().filter(|p| !lookup::is_partitioned(*p)).collect())
}

/// An index and, where it is on a partitioned table, those of the partitions.
pub fn with_partitions(index: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>> {
    spi::read_now(
        "WITH RECURSIVE below (oid) AS (
             SELECT $1::pg_catalog.oid
             UNION ALL
             SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN below AS b ON i.inhparent OPERATOR(pg_catalog.=) b.oid)
         SELECT b.oid FROM below AS b",
        &[index.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}

/// Bytes of all parts.
pub fn bytes(index: &HypotheticalIndex) -> f64 {
    index.parts.iter().map(|part| part.size.pages * 8192.0).sum()
}

/// Size of an existing index on disk.
pub fn measured_bytes(index: pg_sys::Oid) -> f64 {
    spi::read_one_now::<i64>(
        "SELECT pg_catalog.pg_relation_size($1::pg_catalog.oid::pg_catalog.regclass)",
        &[index.into()],
    )
    .unwrap_or(0) as f64
}

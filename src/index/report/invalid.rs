//! Indexes that PostgreSQL does not use, and why.

use crate::catalog::index::{self, Index};
use crate::error::Result;
use crate::index::lint::redundant::makes_redundant;
use crate::index::statement;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;

pub struct Finding {
    pub table: String,
    pub index: String,
    pub size: i64,
    pub finding: &'static str,
    pub reason: String,
    pub fix: Option<String>,
    pub undo: Option<String>,
}

pub fn findings() -> Result<Vec<Finding>> {
    let indexes = index::all()?;
    let building = building()?;
    let mut found = Vec::new();
    // Those of a partitioned table that is incomplete are reported there; those that failed, each.
    for index in indexes.iter().filter(|index| !index.usable()) {
        let (finding, reason, fix, undo) = if index.partitioned {
            incomplete(index)?
        } else if building.contains(&index.table) {
            (
                "building",
                "a session is building or rebuilding it, or maintaining its table".to_owned(),
                None,
                None,
            )
        } else if let Some(twin) = twin(index, &indexes) {
            let reason = format!(
                "what CREATE INDEX or REINDEX CONCURRENTLY left when it failed; {} does its work",
                twin.qualified_name()
            );
            ("leftover", reason, Some(statement::drop_index(index)), statement::create_again(index))
        } else {
            let reason = if index.ready {
                "CREATE INDEX CONCURRENTLY failed: it is maintained, and checked if unique, but never read"
            } else {
                "CREATE INDEX CONCURRENTLY failed: it is neither maintained nor read"
            };
            ("failed", reason.to_owned(), Some(statement::rebuild(index)), Some(statement::drop_index(index)))
        };
        found.push(Finding {
            table: index.qualified_table(),
            index: index.qualified_name(),
            size: index.size(),
            finding,
            reason,
            fix,
            undo,
        });
    }
    Ok(found)
}

/// Tables that some session holds as building an index does.
fn building() -> Result<Vec<pg_sys::Oid>> {
    spi::read_now(
        "SELECT DISTINCT l.relation FROM pg_locks AS l
          WHERE l.locktype = 'relation' AND l.relation IS NOT NULL AND l.granted AND l.pid <> pg_backend_pid()
            AND l.database = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())
            AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')",
        &[],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|oids| oids.into_iter().flatten().collect())
}

/// A usable index that does all the invalid one would.
fn twin<'a>(index: &Index, indexes: &'a [Index]) -> Option<&'a Index> {
    let whole = Index { valid: true, ready: true, ..index.clone() };
    indexes
        .iter()
        .find(|other| other.keys.len() == index.keys.len() && makes_redundant(&whole, other).is_some())
}

/// The index of a partitioned table is not valid as long as some partition has none attached.
fn incomplete(index: &Index) -> Result<(&'static str, String, Option<String>, Option<String>)> {
    let missing = spi::read_now(
        "SELECT t.inhrelid FROM pg_inherits AS t
           JOIN pg_class AS c ON c.oid = t.inhrelid AND c.relkind IN ('r', 'p')
          WHERE t.inhparent = $1
            AND NOT EXISTS (SELECT FROM pg_inherits AS h
                              JOIN pg_index AS i ON i.indexrelid = h.inhrelid AND i.indisvalid
                             WHERE h.inhparent = $2 AND i.indrelid = t.inhrelid)
          ORDER BY t.inhrelid",
        &[index.table.into(), index.oid.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )?;
    let missing: Vec<pg_sys::Oid> = missing.into_iter().flatten().collect();
    let names: Vec<String> = missing.iter().filter_map(|&oid| lookup::qualified_name(oid)).collect();
    let reason = format!("no valid index of these partitions is attached to it: {}", names.join(", "));
    let mut taken = Vec::new();
    let lines: Vec<String> =
        missing.iter().flat_map(|&oid| statement::on_partition(index, oid, &mut taken)).collect();
    let (fix, undo) = (lines.join("\n"), statement::drop_index(index));
    Ok(("incomplete", reason, (!fix.is_empty()).then_some(fix), Some(undo)))
}

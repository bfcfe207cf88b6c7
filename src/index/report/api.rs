//! The SQL functions of the catalogue reports.

use crate::index::report::unused::Request;
use crate::index::report::{foreign_keys, invalid, redundant, unused, usage};
use crate::pg::security;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// How much each index is used, and over what time that is known. The view index_usage is its answer for
/// 30 days.
///
/// Arguments: evidence, how far to look back. Without snapshots figures reach back to the last reset of
/// statistics and no further; with them (take_snapshot) to the snapshot before that time.
/// Returns one row for each index, the least used first; a partitioned table's index stands for those of
/// its partitions. method; enforces, what else it is for than queries; scans, entries read and rows fetched
/// in that time on this server, standby_scans on standbys whose figures were imported; scans_per_day, of
/// all; category: UNUSED (no scan), RARELY_USED (less than one a day), OCCASIONALLY_USED (less than 100 a
/// day) or FREQUENTLY_USED; evidence_since and evidence_days, the time the scans were counted in; last_used,
/// a time since when no use is known (exact on PostgreSQL 16 and newer); size_bytes; basis, what the
/// figures rest on.
/// Lock: none; sizes are those of the last VACUUM where somebody holds the index exclusively. Privilege:
/// EXECUTE; shows indexes of tables the caller may read, all of them to members of pg_read_all_stats.
#[pg_extern(volatile)]
pub fn index_usage(
    evidence: default!(Interval, "'30 days'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(index_name, String),
            name!(method, String),
            name!(enforces, Option<String>),
            name!(category, String),
            name!(scans, i64),
            name!(standby_scans, i64),
            name!(scans_per_day, f64),
            name!(tuples_read, i64),
            name!(tuples_fetched, i64),
            name!(last_used, Option<TimestampWithTimeZone>),
            name!(evidence_since, TimestampWithTimeZone),
            name!(evidence_days, f64),
            name!(size_bytes, i64),
            name!(basis, String),
        ),
    >,
    ErrorReport,
> {
    let rows = security::with_safe_search_path(|| usage::rows(&evidence))?;
    Ok(TableIterator::new(rows.into_iter().map(|row| {
        let usage::Row { index, size, usage } = row;
        (
            index.qualified_table(),
            index.qualified_name(),
            index.method.clone(),
            crate::index::lint::protect::reason(&index),
            usage.category().to_owned(),
            usage.scans,
            usage.everywhere() - usage.scans,
            usage.per_day(),
            usage.tuples_read,
            usage.tuples_fetched,
            usage.last_used,
            usage.since,
            usage.days,
            size,
            usage.basis(),
        )
    })))
}

extension_sql!(
    "CREATE VIEW architect.index_usage AS SELECT * FROM architect.index_usage();
REVOKE ALL ON architect.index_usage FROM PUBLIC;
COMMENT ON VIEW architect.index_usage IS 'How much each index was used in the last 30 days, as far as that is known. See function index_usage().';
",
    name = "index_usage_view",
    requires = [index_usage]
);

/// Indexes that no query has used for a stated time, on this server and on its standbys.
///
/// Arguments: unused_for, how long; include_kept, whether to show also those that must stay;
/// ignore_standbys, whether to judge by this server alone although standbys are connected.
/// Returns: verdict 'drop', with the statement that drops the index and the one that makes it again;
/// 'wait', where no scan was seen but not long enough, or not on all connected standbys; 'keep', where it
/// enforces or serves something: a constraint, uniqueness, a foreign key, replica identity, clustering, an
/// extension; reason; evidence_since and evidence_days, how long it was observed. A partitioned table's
/// index stands for those of its partitions. An index that is not valid is in invalid_indexes().
/// Lock and privilege: as index_usage().
#[pg_extern(volatile)]
fn unused_indexes(
    unused_for: default!(Interval, "'30 days'"),
    include_kept: default!(bool, "false"),
    ignore_standbys: default!(bool, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(index_name, String),
            name!(verdict, String),
            name!(reason, String),
            name!(size_bytes, i64),
            name!(evidence_since, TimestampWithTimeZone),
            name!(evidence_days, f64),
            name!(fix, Option<String>),
            name!(undo, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let request = Request { unused_for, include_kept, ignore_standbys };
    let found = security::with_safe_search_path(|| unused::findings(&request))?;
    Ok(TableIterator::new(
        found.into_iter().map(|f| {
            (f.table, f.index, f.verdict.to_owned(), f.reason, f.size, f.since, f.days, f.fix, f.undo)
        }),
    ))
}

/// Indexes that another index of the same table makes redundant.
///
/// Arguments: include_kept, whether to show also those that must stay.
/// An index is redundant by another of the same kind that is valid, has the same predicate, has its columns
/// (or expressions) first, with the same operator classes, their options and collations, in the same order
/// or all in the opposite one, and has its included columns; of GIN and BRIN, that has its columns anywhere.
/// A unique one is redundant only by one that is unique in the same columns, as soon and with the same view
/// of nulls.
/// Returns: kind, duplicate, reversed, prefix or subset; made_redundant_by, an index that stays; scans
/// since statistics began; verdict 'drop', with the statement that drops it and the one that makes it
/// again, or 'keep', where it enforces a constraint or serves a foreign key, replica identity, clustering or
/// an extension; reason. A partitioned table's index stands for those of its partitions.
/// Lock and privilege: as index_usage().
#[pg_extern(volatile)]
fn redundant_indexes(
    include_kept: default!(bool, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(index_name, String),
            name!(made_redundant_by, String),
            name!(kind, String),
            name!(verdict, String),
            name!(reason, String),
            name!(size_bytes, i64),
            name!(scans, i64),
            name!(fix, Option<String>),
            name!(undo, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let found = security::with_safe_search_path(|| redundant::findings(include_kept))?;
    Ok(TableIterator::new(found.into_iter().map(|f| {
        (
            f.table,
            f.index,
            f.by,
            f.kind.to_owned(),
            f.verdict.to_owned(),
            f.reason,
            f.size,
            f.scans,
            f.fix,
            f.undo,
        )
    })))
}

/// Foreign keys that no index of the referencing table serves: each delete of a referenced row, and each
/// update of its key, reads that table whole, holding its locks meanwhile.
///
/// A key is served by an index that is valid, that begins with the key's columns in any order, compares
/// with the key's operators and collations, and is not partial (or only by what holds wherever the columns
/// are not null). Included columns, BRIN, and hash indexes for several columns do not serve it.
/// Returns one row for each set of columns: constraint_names, the keys of these columns; finding: missing,
/// covered_partially (an index begins with some of the columns), partial_index, invalid_index,
/// other_operators, not_first, or some_partitions_missing; priority HIGH where the table is large and
/// referenced rows are deleted, LOW where it is small; table_bytes; referenced_changes, rows of the
/// referenced tables deleted or updated since statistics began; reason; fix and undo. A partitioned table's
/// key is reported once, with the statements for each partition.
/// Lock: none. Privilege: EXECUTE; shows tables the caller may read, all of them to members of
/// pg_read_all_stats.
#[pg_extern(volatile)]
fn unindexed_foreign_keys() -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(constraint_names, Vec<String>),
            name!(column_names, Vec<String>),
            name!(referenced_tables, String),
            name!(finding, String),
            name!(priority, String),
            name!(reason, String),
            name!(table_bytes, i64),
            name!(referenced_changes, i64),
            name!(fix, String),
            name!(undo, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let found = security::with_safe_search_path(foreign_keys::findings)?;
    Ok(TableIterator::new(found.into_iter().map(|f| {
        (
            f.table,
            f.constraints,
            f.columns,
            f.referenced,
            f.finding.to_owned(),
            f.priority.to_owned(),
            f.reason,
            f.table_bytes,
            f.referenced_changes,
            f.fix,
            Some(f.undo).filter(|undo| !undo.is_empty()),
        )
    })))
}

/// Indexes that PostgreSQL does not use because they are not valid.
///
/// Returns: finding, building (some session holds the table as one that builds an index does: no fix yet),
/// failed (CREATE INDEX CONCURRENTLY did not finish; the fix builds it anew), leftover (another index does
/// its work; the fix drops it) or incomplete (the index of a partitioned table, some of whose partitions
/// have none attached; the fix makes and attaches them); reason; fix and undo.
/// Lock and privilege: as index_usage().
#[pg_extern(volatile)]
fn invalid_indexes() -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(index_name, String),
            name!(finding, String),
            name!(reason, String),
            name!(size_bytes, i64),
            name!(fix, Option<String>),
            name!(undo, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let found = security::with_safe_search_path(invalid::findings)?;
    Ok(TableIterator::new(
        found.into_iter().map(|f| (f.table, f.index, f.finding.to_owned(), f.reason, f.size, f.fix, f.undo)),
    ))
}

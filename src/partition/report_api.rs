//! The SQL functions that show partitions and what is wrong with them.

use super::layout::Layout;
use super::{health, maintain, policy, table};
use crate::error::{self, Error};
use crate::pg::{lookup, security, spi};
use pgrx::PgRelation;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::HashMap;

/// The partitions of a table, or of all managed ones, in order.
///
/// Returns one row for each: from_value and to_value as the policy's time zone shows them, null where open;
/// bytes with indexes and TOAST; rows_estimate as the planner believes, null where it does not know;
/// is_default; detach_pending; on_hold, why it is not retired.
/// Errors: 42809 not partitioned by range. Lock: ACCESS SHARE. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
#[allow(clippy::type_complexity)]
fn partition_list(
    parent: default!(Option<PgRelation>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(parent_name, String),
            name!(partition_name, String),
            name!(from_value, Option<String>),
            name!(to_value, Option<String>),
            name!(bytes, i64),
            name!(rows_estimate, Option<i64>),
            name!(is_default, bool),
            name!(detach_pending, bool),
            name!(on_hold, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let only = parent.as_ref().map(PgRelation::oid);
    drop(parent);
    let rows = security::with_safe_search_path(|| -> error::Result<_> {
        let holds: HashMap<String, String> = policy::holds()?.into_iter().collect();
        let mut rows = Vec::new();
        let layouts = layouts(only)?;
        let sizes = sizes(&layouts)?;
        for layout in &layouts {
            for partition in &layout.partitions {
                let name = partition.qualified_name();
                let range = partition.bounds.range();
                let shown = |edge: super::bound::Edge| edge.at().map(|at| layout.readable(at));
                rows.push((
                    layout.parent.qualified_name(),
                    name.clone(),
                    range.and_then(|(low, _)| shown(low.edge)),
                    range.and_then(|(_, high)| shown(high.edge)),
                    sizes.get(&partition.oid).copied().unwrap_or_default(),
                    (partition.rows >= 0.0).then_some(partition.rows as i64),
                    partition.bounds == super::bound::Bounds::Default,
                    partition.detach_pending,
                    holds.get(&name).cloned(),
                ));
            }
        }
        Ok(rows)
    })?;
    Ok(TableIterator::new(rows))
}

fn layouts(only: Option<pg_sys::Oid>) -> error::Result<Vec<Layout>> {
    let mut layouts = Vec::new();
    for managed in maintain::managed(only)? {
        if let Some(parent) = managed.parent {
            layouts.push(Layout::new(parent, managed.partitions, &managed.policy.shape)?);
        }
    }
    if let (Some(relid), true) = (only, layouts.is_empty()) {
        let parent = table::find(relid).ok_or_else(|| {
            Error::wrong_object_type(format!(
                "{} is not partitioned by range",
                lookup::qualified_name(relid).unwrap_or_default()
            ))
            .hint("Give the partitioned table's name.")
        })?;
        layouts.push(maintain::unmanaged(&parent)?);
    }
    Ok(layouts)
}

/// Sizes of all partitions, with what is below them.
fn sizes(layouts: &[Layout]) -> error::Result<HashMap<pg_sys::Oid, i64>> {
    let parents: Vec<pg_sys::Oid> = layouts.iter().map(|layout| layout.parent.oid).collect();
    let rows = spi::read(
        "SELECT i.inhrelid, CASE c.relkind WHEN 'p'
                THEN (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint FROM pg_partition_tree(c.oid) t WHERE t.isleaf)
                ELSE pg_total_relation_size(c.oid) END
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = ANY ($1)",
        &[parents.into()],
        |row| Ok((row.get(1)?.unwrap_or(pg_sys::InvalidOid), row.get(2)?.unwrap_or_default())),
    )?;
    Ok(rows.into_iter().collect())
}

/// What is wrong with partitioned tables, or will be, and what to do about it.
///
/// Arguments: parent, one table, managed or not; by default all that are managed.
/// Returns one row for each finding: severity error, warning or info; code: NO_PARTITION_NOW, RUNWAY_SHORT,
/// KEY_RUNS_OUT, GAP, OVERLAP, OPEN_END, MISALIGNED_BOUNDS, TIME_ZONE_MISMATCH, ROWS_IN_DEFAULT,
/// DEFAULT_PARTITION, PROOF_LEFT_OVER, PENDING_DETACH, NAME_COLLISION, MISSING_INDEX, INVALID_INDEX,
/// OWNER_DRIFT, OWNER_CHANGED, PRIVILEGE_DRIFT, STALE_STATISTICS, FOREIGN_KEY_BLOCKS_RETENTION,
/// RETENTION_BEHIND, SCHEDULE_MISSING, SCHEDULE_FAILING, LAST_RUN_FAILED, TABLE_GONE, POLICY_INVALID,
/// UNMANAGED; detail; fix_sql. No row: all is well.
/// What needs the rights of a table's owner (whether a default partition is empty, what is past keeping) is
/// looked at where the role has them.
/// Errors: 42809 not partitioned by range. Lock: ACCESS SHARE. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn partition_health(
    parent: default!(Option<PgRelation>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(severity, String),
            name!(code, String),
            name!(parent_name, Option<String>),
            name!(detail, String),
            name!(fix_sql, String),
        ),
    >,
    ErrorReport,
> {
    let only = parent.as_ref().map(PgRelation::oid);
    drop(parent);
    let mut findings = security::with_safe_search_path(|| -> error::Result<_> {
        match only {
            Some(relid) if maintain::managed(only)?.is_empty() => {
                layouts(only)?;
                health::examine_unmanaged(relid)
            }
            _ => health::examine(only),
        }
    })?;
    findings.sort_by_key(|finding| ["error", "warning", "info"].iter().position(|s| *s == finding.severity));
    Ok(TableIterator::new(findings.into_iter().map(|f| {
        (
            f.severity.to_owned(),
            f.code.to_owned(),
            (!f.parent.is_empty()).then_some(f.parent),
            f.detail,
            f.fix,
        )
    })))
}

/// Which tables would gain from being partitioned, by which column and how, and why.
///
/// Arguments: table_name, one table whatever its size; min_size in bytes, 10 GB by default.
/// Returns one row for each table and its best key, the most urgent first: period; bytes; score; reasons,
/// from its size, growth, the order its rows lie in, the deletes and predicates pg_stat_statements has seen,
/// where it is installed; obstacles; next_sql, to see the steps. Only columns that say when are considered.
/// Statistics are those the role may see: run ANALYZE first.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
#[allow(clippy::type_complexity)]
fn advise_partitioning(
    table_name: default!(Option<PgRelation>, "NULL"),
    min_size: default!(i64, "10737418240"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(key_column, String),
            name!(period, String),
            name!(bytes, i64),
            name!(score, i64),
            name!(reasons, String),
            name!(obstacles, Option<String>),
            name!(next_sql, String),
        ),
    >,
    ErrorReport,
> {
    let only = table_name.as_ref().map(PgRelation::oid);
    drop(table_name);
    let settings = [(c"DateStyle", c"ISO"), (c"TimeZone", c"UTC")];
    let advice = security::with_safe_search_path(|| {
        security::with_settings(&settings, || super::advise::advise(only, min_size))
    })?;
    Ok(TableIterator::new(advice.into_iter().map(|a| {
        let next = format!(
            "CALL architect.convert_to_partitioned({}, {}, '{}')",
            pgrx::spi::quote_literal(&a.table),
            pgrx::spi::quote_literal(&a.key),
            a.every
        );
        let obstacles = (!a.obstacles.is_empty()).then(|| a.obstacles.join("; "));
        (a.table, a.key, a.every, a.bytes, a.score, a.reasons.join("; "), obstacles, next)
    })))
}

//! How often tables are written, by the statistics system, and which of their columns, by the workload.

use crate::error::Result;
use crate::index::price::Writes;
use crate::index::workload::{Analysed, Workload};
use crate::pg::query_shape::ChangeKind;
use crate::pg::{session, spi};
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub struct WriteRates {
    tables: HashMap<pg_sys::Oid, Writes>,
    /// Rows a day updated by the statements seen, with the columns they set.
    updates: Vec<(pg_sys::Oid, Vec<i16>, f64)>,
    /// Tables that nothing has written to since they were loaded and analysed, nor a statement seen.
    quiet: HashSet<pg_sys::Oid>,
}

/// Rows that a table still holds came once. Without a statement that says how fast, they are taken to have
/// come over this many days at least: what a table was loaded with is no day's work.
const LOAD_DAYS: f64 = 30.0;

impl WriteRates {
    pub fn read(statements: &[Analysed], workload: &Workload) -> Result<Self> {
        let mut rates = Self::default();
        // The counters start with the last reset, or, never reset, with the server at the latest.
        let days = spi::read_one::<f64>(
            "SELECT (pg_catalog.extract('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
                        COALESCE(d.stats_reset, pg_catalog.pg_postmaster_start_time())) OPERATOR(pg_catalog./) 86400)::float8
               FROM pg_catalog.pg_stat_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()",
            &[],
        )
        .unwrap_or(1.0)
        // Rates are told against times that were measured in as short a time, or not at all.
        .max(if workload.measured { 1.0 / 24.0 } else { 1.0 });
        // A partitioned table's writes are counted with its partitions.
        let rows = spi::read(
            "SELECT COALESCE(pg_catalog.pg_partition_root(s.relid::pg_catalog.regclass)::pg_catalog.oid, s.relid),
                    pg_catalog.sum(s.n_tup_ins)::float8, pg_catalog.sum(s.n_tup_upd)::float8, pg_catalog.sum(s.n_tup_hot_upd)::float8,
                    pg_catalog.sum(LEAST(s.n_tup_ins, s.n_live_tup))::float8,
                    pg_catalog.bool_and(s.n_mod_since_analyze OPERATOR(pg_catalog.=) 0 AND s.n_tup_upd OPERATOR(pg_catalog.=) 0
                        AND s.n_tup_del OPERATOR(pg_catalog.=) 0) AND pg_catalog.sum(s.n_live_tup) OPERATOR(pg_catalog.>) 0
               FROM pg_catalog.pg_stat_user_tables AS s GROUP BY 1",
            &[],
            |row| {
                let count = |i| row.get::<f64>(i).map(|v| v.unwrap_or_default());
                let kept = count(5)?;
                let inserts = (count(2)? - kept) / days + kept / days.max(LOAD_DAYS);
                let (updates, hot_updates) = (count(3)? / days, count(4)? / days);
                let writes = Writes { inserts, updates, hot_updates, of_columns: 0.0 };
                Ok((row.get::<pg_sys::Oid>(1)?, writes, row.get::<bool>(6)?.unwrap_or(false)))
            },
        )?;
        // A standby does not count what is written.
        let counted = !session::in_recovery();
        for (relid, writes, quiet) in rows {
            let Some(relid) = relid else { continue };
            rates.tables.insert(relid, writes);
            if quiet && counted {
                rates.quiet.insert(relid);
            }
        }
        let indexed = indexed_columns()?;
        let mut inserted: HashMap<pg_sys::Oid, f64> = HashMap::new();
        // Rows updated, and those of them that set no column of an index.
        let mut updated: HashMap<pg_sys::Oid, (f64, f64)> = HashMap::new();
        for statement in statements {
            let Some(change) = &statement.shape.change else { continue };
            rates.quiet.remove(&change.relid);
            let rows = if workload.measured { statement.entry.rows } else { statement.entry.calls };
            match change.kind {
                ChangeKind::Update => {
                    let of = updated.entry(change.relid).or_default();
                    of.0 += rows / workload.days;
                    let in_index = |c: &i16| indexed.get(&change.relid).is_some_and(|i| i.contains(c));
                    if !change.columns.iter().any(in_index) {
                        of.1 += rows / workload.days;
                    }
                    rates.updates.push((change.relid, change.columns.clone(), rows / workload.days));
                }
                ChangeKind::Insert => *inserted.entry(change.relid).or_default() += rows / workload.days,
                ChangeKind::Delete => {}
            }
        }
        for (relid, rows) in inserted {
            let writes = rates.tables.entry(relid).or_default();
            writes.inserts = writes.inserts.max(rows);
        }
        for (relid, (rows, hot)) in updated {
            let writes = rates.tables.entry(relid).or_default();
            // What the statistics system has counted tells which are HOT; else those that could be.
            if writes.updates < rows {
                let share =
                    if writes.updates > 0.0 { writes.hot_updates / writes.updates } else { hot / rows };
                (writes.updates, writes.hot_updates) = (rows, rows * share);
            }
        }
        Ok(rates)
    }

    pub fn is_quiet(&self, relid: pg_sys::Oid) -> bool {
        self.quiet.contains(&relid)
    }

    /// The writes of a table as an index that has `columns` would feel them.
    pub fn of(&self, relid: pg_sys::Oid, columns: &[i16]) -> Writes {
        let mut writes = self.tables.get(&relid).copied().unwrap_or_default();
        writes.of_columns = self
            .updates
            .iter()
            .filter(|(table, set, _)| *table == relid && set.iter().any(|column| columns.contains(column)))
            .map(|(.., rows)| rows)
            .sum();
        writes
    }
}

/// The columns of each table's indexes; those in expressions and conditions are not among them.
fn indexed_columns() -> Result<HashMap<pg_sys::Oid, HashSet<i16>>> {
    let rows = spi::read(
        "SELECT i.indrelid, a.number FROM pg_catalog.pg_index AS i, pg_catalog.unnest(i.indkey::pg_catalog.int2[]) AS a (number)
          WHERE i.indrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
        &[],
        |row| Ok(row.get::<pg_sys::Oid>(1)?.zip(row.get::<i16>(2)?)),
    )?;
    let mut columns: HashMap<pg_sys::Oid, HashSet<i16>> = HashMap::new();
    for (relid, column) in rows.into_iter().flatten() {
        columns.entry(relid).or_default().insert(column);
    }
    Ok(columns)
}

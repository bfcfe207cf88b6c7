//! How often tables are written, by the statistics system, and which of their columns, by the workload.

use crate::error::Result;
use crate::index::price::Writes;
use crate::index::workload::{Analysed, Workload};
use crate::pg::query_shape::ChangeKind;
use crate::pg::spi;
use pgrx::pg_sys;
use std::collections::HashMap;

#[derive(Default)]
pub struct WriteRates {
    tables: HashMap<pg_sys::Oid, Writes>,
    /// Rows a day updated by the statements seen, with the columns they set.
    updates: Vec<(pg_sys::Oid, Vec<i16>, f64)>,
}

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
        // What a young server was loaded with is no day's work: rates are told against times that were
        // measured in as short a time, or not at all.
        .max(if workload.measured { 1.0 / 24.0 } else { 1.0 });
        // A partitioned table's writes are counted with its partitions.
        let rows = spi::read(
            "SELECT COALESCE(pg_catalog.pg_partition_root(s.relid::pg_catalog.regclass)::pg_catalog.oid, s.relid),
                    pg_catalog.sum(s.n_tup_ins)::float8, pg_catalog.sum(s.n_tup_upd)::float8, pg_catalog.sum(s.n_tup_hot_upd)::float8
               FROM pg_catalog.pg_stat_user_tables AS s GROUP BY 1",
            &[],
            |row| {
                let rate = |i| row.get::<f64>(i).map(|v| v.unwrap_or_default() / days);
                let writes = Writes { inserts: rate(2)?, updates: rate(3)?, hot_updates: rate(4)?, of_columns: 0.0 };
                Ok((row.get::<pg_sys::Oid>(1)?, writes))
            },
        )?;
        rates.tables = rows.into_iter().filter_map(|(relid, writes)| Some((relid?, writes))).collect();
        for statement in statements {
            let Some(change) = &statement.shape.change else { continue };
            if change.kind == ChangeKind::Update {
                let rows = if workload.measured { statement.entry.rows } else { statement.entry.calls };
                rates.updates.push((change.relid, change.columns.clone(), rows / workload.days));
            }
        }
        Ok(rates)
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

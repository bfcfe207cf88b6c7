//! What pg_stat_statements says of the statements worth a look.

use crate::catalog::workload;
use crate::error::{Error, Result};
use crate::index::workload::AUTHOR;
use crate::pg::{security, spi};
use pgrx::datum::Interval;
use pgrx::pg_sys;

/// A statement's figures, all roles' together.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub query_id: i64,
    /// None where the caller may not see it.
    pub text: Option<String>,
    pub calls: f64,
    pub rows: f64,
    pub total_ms: f64,
    pub plan_ms: f64,
    pub hit: f64,
    pub read: f64,
    pub temp_written: f64,
    pub wal_bytes: f64,
    pub jit_ms: f64,
    /// As whom it is planned; none where the caller has the rights of no role that ran it.
    pub author: Option<pg_sys::Oid>,
}

impl Figures {
    pub fn mean_ms(&self) -> f64 {
        self.total_ms / self.calls.max(1.0)
    }

    pub fn rows_per_call(&self) -> f64 {
        self.rows / self.calls.max(1.0)
    }
}

/// Calls from which a fast statement is looked at all the same, if it is among those that take the most
/// time.
pub const MANY_CALLS: i64 = 1000;

/// The statements whose mean time is at least `min_mean`, and those called very often, by their total time.
pub fn read(min_mean: &Interval, top: i32) -> Result<Vec<Figures>> {
    security::with_safe_search_path(|| {
        let view = workload::view()?.ok_or_else(|| {
            Error::not_in_prerequisite_state("there are no figures of statements to read")
                .detail("Extension pg_stat_statements is not installed in this database, not loaded, or not readable by the current role.")
                .hint("Add pg_stat_statements to shared_preload_libraries, restart, and CREATE EXTENSION pg_stat_statements.")
        })?;
        // Columns that only newer versions of the view have are asked for by name of a JSON member.
        spi::read_now(
            &format!(
                "WITH statement AS (
                     SELECT p.queryid, max(p.query) AS query, sum(p.calls)::float8 AS calls, sum(p.rows)::float8 AS rows,
                            sum(p.total_exec_time) AS exec_ms, sum(p.total_plan_time) AS plan_ms,
                            sum(p.shared_blks_hit)::float8 AS hit, sum(p.shared_blks_read)::float8 AS read,
                            sum(p.temp_blks_written)::float8 AS temp, sum(p.wal_bytes)::float8 AS wal,
                            sum(coalesce((j.j ->> 'jit_generation_time')::float8, 0) + coalesce((j.j ->> 'jit_inlining_time')::float8, 0)
                                + coalesce((j.j ->> 'jit_optimization_time')::float8, 0) + coalesce((j.j ->> 'jit_emission_time')::float8, 0)) AS jit_ms,
                            {AUTHOR} AS author
                       FROM {view} AS p LEFT JOIN pg_roles AS r ON r.oid = p.userid
                       CROSS JOIN LATERAL (SELECT CASE WHEN p.total_exec_time > 1000 THEN to_jsonb(p) - 'query' END) AS j (j)
                      WHERE p.queryid IS NOT NULL
                        AND p.dbid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())
                      GROUP BY p.queryid)
                 SELECT s.queryid, s.query, s.calls, s.rows, s.exec_ms, s.plan_ms, s.hit, s.read, s.temp, s.wal, s.jit_ms, s.author
                   FROM statement AS s
                  WHERE s.calls > 0 AND (s.exec_ms / s.calls >= extract(epoch FROM $1)::float8 * 1000 OR s.calls >= $3)
                  ORDER BY s.exec_ms DESC, s.queryid LIMIT $2"
            ),
            &[(*min_mean).into(), i64::from(top.max(0)).into(), MANY_CALLS.into()],
            |row| {
                let number = |i| row.get::<f64>(i).map(Option::unwrap_or_default);
                Ok(Figures {
                    query_id: row.get(1)?.unwrap_or_default(),
                    text: row.get::<String>(2)?.filter(|text| text != "<insufficient privilege>"),
                    calls: number(3)?,
                    rows: number(4)?,
                    total_ms: number(5)?,
                    plan_ms: number(6)?,
                    hit: number(7)?,
                    read: number(8)?,
                    temp_written: number(9)?,
                    wal_bytes: number(10)?,
                    jit_ms: number(11)?,
                    author: row.get(12)?,
                })
            },
        )
    })
}

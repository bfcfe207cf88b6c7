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
    /// Its mean time is what was asked for, and not only its calls are many.
    pub slow: bool,
    /// A statement that returned, or changed, about as many rows as this one was called.
    pub caller: Option<Caller>,
}

#[derive(Debug, Clone)]
pub struct Caller {
    pub query_id: i64,
    pub text: String,
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

/// Calls from which a fast statement that returns a row or two is looked at all the same.
pub const CALLS_FOR_ROWS: f64 = 100.0;

/// The statements whose mean time is at least `min_mean`, and fast ones called often, by their
/// total time: so many of each at most.
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
                "WITH entry AS MATERIALIZED (
                     SELECT p.* FROM {view} AS p
                      WHERE p.queryid IS NOT NULL
                        AND p.dbid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())),
                 statement AS MATERIALIZED (
                     SELECT p.queryid, max(p.query) AS query, sum(p.calls)::float8 AS calls, sum(p.rows)::float8 AS rows,
                            sum(p.total_exec_time) AS exec_ms, sum(p.total_plan_time) AS plan_ms,
                            sum(p.shared_blks_hit)::float8 AS hit, sum(p.shared_blks_read)::float8 AS read,
                            sum(p.temp_blks_written)::float8 AS temp, sum(p.wal_bytes)::float8 AS wal, {AUTHOR} AS author
                       FROM entry AS p LEFT JOIN pg_roles AS r ON r.oid = p.userid
                      GROUP BY p.queryid HAVING sum(p.calls) > 0),
                 judged AS (
                     SELECT s.*, s.exec_ms / s.calls >= extract(epoch FROM $1)::float8 * 1000 AS slow FROM statement AS s),
                 chosen AS (
                     (SELECT s.* FROM judged AS s WHERE s.slow ORDER BY s.exec_ms DESC, s.queryid LIMIT $2)
                     UNION ALL
                     (SELECT s.* FROM judged AS s WHERE NOT s.slow AND s.calls >= $3 AND s.rows <= 2 * s.calls
                       ORDER BY s.exec_ms DESC, s.queryid LIMIT $2))
                 SELECT s.queryid, s.query, s.calls, s.rows, s.exec_ms, s.plan_ms, s.hit, s.read, s.temp, s.wal, j.ms, s.author,
                        s.slow, c.queryid, c.query, c.author
                   FROM chosen AS s
                   CROSS JOIN LATERAL (
                        SELECT coalesce(sum((m.value #>> '{{}}')::float8), 0) AS ms
                          FROM entry AS p, jsonb_each(to_jsonb(p) - 'query') AS m
                         WHERE p.queryid = s.queryid
                           AND m.key IN ('jit_generation_time', 'jit_inlining_time', 'jit_optimization_time', 'jit_emission_time')) AS j
                   LEFT JOIN LATERAL (
                        SELECT p.queryid, p.query, p.author FROM statement AS p
                         WHERE s.calls >= $3 AND s.rows <= 2 * s.calls AND p.queryid <> s.queryid
                           AND p.rows >= 2 * p.calls AND p.rows BETWEEN 0.5 * s.calls AND 1.5 * s.calls
                         ORDER BY abs(p.rows - s.calls), p.queryid LIMIT 1) AS c ON true
                  ORDER BY s.exec_ms DESC, s.queryid"
            ),
            &[(*min_mean).into(), i64::from(top.max(0)).into(), CALLS_FOR_ROWS.into()],
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
                    slow: row.get(13)?.unwrap_or_default(),
                    caller: row.get::<i64>(14)?.zip(row.get::<String>(15)?).map(|(query_id, text)| Caller {
                        query_id,
                        text,
                        author: row.get(16).ok().flatten(),
                    }),
                })
            },
        )
    })
}

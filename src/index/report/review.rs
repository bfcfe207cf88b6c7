//! What became of the advice in advice_log.

use crate::catalog::index::{self, Index, Tree};
use crate::catalog::workload;
use crate::error::Result;
use crate::index::lint::outcome::{Outcome, verdict};
use crate::index::report::usage::Usage;
use crate::index::snapshot::PRIMARY;
use crate::index::snapshot::evidence;
use crate::pg::{lookup, security, spi};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys;
use std::collections::HashMap;

/// A row of advice_log.
struct Advice {
    id: i64,
    at: TimestampWithTimeZone,
    creates: bool,
    table: pg_sys::Oid,
    table_name: String,
    index_name: String,
    columns: Vec<String>,
    method: String,
    bytes: Option<i64>,
    cost: Option<(f64, f64)>,
    queries: Vec<i64>,
}

pub struct Review {
    pub id: i64,
    pub at: TimestampWithTimeZone,
    pub action: &'static str,
    pub table: String,
    pub index: String,
    pub status: &'static str,
    pub predicted_bytes: Option<i64>,
    pub bytes: Option<i64>,
    pub scans: Option<i64>,
    pub before_ms: Option<f64>,
    pub after_ms: Option<f64>,
    pub verdict: String,
}

pub fn reviews() -> Result<Vec<Review>> {
    let indexes = index::all()?;
    let trees = index::trees(&indexes);
    let mut reviews = Vec::new();
    let statements = Statements::now()?;
    for advice in advice()? {
        // Only of tables the caller may know of.
        if !may_know(advice.table)? {
            continue;
        }
        let built = trees.iter().find(|tree| is_it(tree.top, &advice));
        reviews.push(match (advice.creates, built) {
            (true, Some(tree)) => built_review(&advice, tree, &statements)?,
            (true, None) => plain(&advice, "not_built", "no such index"),
            (false, Some(tree)) => {
                let mut review = plain(&advice, "not_dropped", "the index is still there");
                review.bytes = Some(tree.size());
                review.scans = Some(tree.members.iter().map(|member| member.scans).sum());
                review
            }
            (false, None) => plain(&advice, "dropped", "the index is gone"),
        });
    }
    Ok(reviews)
}

fn plain(advice: &Advice, status: &'static str, verdict: &str) -> Review {
    Review {
        id: advice.id,
        at: advice.at,
        action: if advice.creates { "CREATE" } else { "DROP" },
        table: lookup::qualified_name(advice.table).unwrap_or_else(|| advice.table_name.clone()),
        index: advice.index_name.clone(),
        status,
        predicted_bytes: advice.bytes,
        bytes: None,
        scans: None,
        before_ms: None,
        after_ms: None,
        verdict: verdict.to_owned(),
    }
}

/// By its name, or for one to be made, by what it is.
fn is_it(index: &Index, advice: &Advice) -> bool {
    if index.table != advice.table {
        return false;
    }
    if index.name == advice.index_name {
        return true;
    }
    let name = |column: Option<i16>| column.and_then(|c| lookup::attribute_name(index.table, c));
    let keys: Option<Vec<String>> = index.keys.iter().map(|key| name(key.column)).collect();
    advice.creates && index.method == advice.method && keys.as_ref() == Some(&advice.columns)
}

fn built_review(advice: &Advice, tree: &Tree, statements: &Statements) -> Result<Review> {
    if !tree.top.usable() {
        return Ok(plain(advice, "invalid", "it is not valid: see invalid_indexes()"));
    }
    let members: Vec<Index> = tree.members.iter().map(|member| (*member).clone()).collect();
    let since = spi::read_one::<Interval>("SELECT clock_timestamp() - $1", &[advice.at.into()]);
    let evidence = since.map_or(Ok(HashMap::new()), |since| evidence::gather(&members, &since))?;
    let usage = Usage::of(tree, &evidence);
    let (before_ms, after_ms) = statements.around(&advice.queries, &members)?;
    let outcome = Outcome {
        predicted_bytes: advice.bytes.map(|bytes| bytes as f64),
        bytes: tree.size() as f64,
        predicted_share: advice
            .cost
            .filter(|(before, _)| *before > 0.0)
            .map(|(before, after)| after / before),
        before_ms,
        after_ms,
        scans: usage.as_ref().map_or(0, Usage::everywhere),
        days: usage.as_ref().map_or(0.0, |usage| usage.days),
    };
    let mut review = plain(advice, "built", &verdict(&outcome));
    review.index = tree.top.name.clone();
    review.bytes = Some(tree.size());
    review.scans = Some(outcome.scans);
    review.before_ms = before_ms;
    review.after_ms = after_ms;
    Ok(review)
}

/// Calls and time of statements, by their number.
struct Statements(HashMap<i64, (f64, f64)>);

impl Statements {
    fn now() -> Result<Self> {
        let Some(view) = workload::view()? else { return Ok(Self(HashMap::new())) };
        let rows = spi::read_now(
            &format!(
                "SELECT p.queryid, sum(p.calls)::float8, sum(p.total_exec_time) FROM {view} AS p
                  WHERE p.queryid IS NOT NULL
                    AND p.dbid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())
                  GROUP BY p.queryid"
            ),
            &[],
            |row| Ok(row.get::<i64>(1)?.zip(row.get::<f64>(2)?).zip(row.get::<f64>(3)?)),
        )?;
        Ok(Self(rows.into_iter().flatten().map(|((id, calls), ms)| (id, (calls, ms))).collect()))
    }

    /// Mean time of some statements until the last snapshot without these indexes, and since the first
    /// one with them.
    fn around(&self, queries: &[i64], indexes: &[Index]) -> Result<(Option<f64>, Option<f64>)> {
        let oids: Vec<pg_sys::Oid> = indexes.iter().map(|index| index.oid).collect();
        let kept = security::as_extension_owner(|| {
            spi::read_now(
                "WITH found AS (
                     SELECT min(s.taken_at) AS at FROM architect.index_snapshot AS p
                       JOIN architect.statistics_snapshot AS s USING (snapshot_id)
                      WHERE p.index_oid = ANY ($2) AND s.node = $3),
                 side (is_after, snapshot_id) AS (
                     SELECT false, (SELECT s.snapshot_id FROM architect.statistics_snapshot AS s
                                     WHERE s.node = $3 AND s.taken_at < f.at ORDER BY s.taken_at DESC LIMIT 1) FROM found AS f
                     UNION ALL
                     SELECT true, (SELECT s.snapshot_id FROM architect.statistics_snapshot AS s
                                    WHERE s.node = $3 AND s.taken_at = f.at) FROM found AS f)
                 SELECT side.is_after, q.query_id, q.calls::float8, q.total_ms FROM side
                   JOIN architect.statement_snapshot AS q USING (snapshot_id)
                  WHERE q.query_id = ANY ($1)",
                &[queries.to_vec().into(), oids.into(), PRIMARY.into()],
                |row| {
                    let number = |i| row.get::<f64>(i).map(Option::unwrap_or_default);
                    let is_after = row.get::<bool>(1)?.unwrap_or_default();
                    Ok((is_after, row.get::<i64>(2)?.unwrap_or_default(), number(3)?, number(4)?))
                },
            )
        })?;
        let (mut before, mut after) = ((0.0, 0.0), (0.0, 0.0));
        for (is_after, query, calls, ms) in kept {
            if !is_after {
                before = (before.0 + calls, before.1 + ms);
            } else if let Some((calls_now, ms_now)) = self.0.get(&query).filter(|now| now.0 > calls) {
                after = (after.0 + calls_now - calls, after.1 + ms_now - ms);
            }
        }
        let mean = |(calls, ms): (f64, f64)| (calls > 0.0).then(|| ms / calls);
        Ok((mean(before), mean(after)))
    }
}

fn advice() -> Result<Vec<Advice>> {
    security::as_extension_owner(|| {
        let rows = spi::read_now(
            "SELECT l.advice_id, l.advised_at, l.action = 'CREATE', l.table_oid,
                    format('%I.%I', l.schema_name, l.table_name), l.index_name, l.columns, l.method,
                    l.estimated_bytes, l.cost_before, l.cost_after, l.query_ids
               FROM architect.advice_log AS l ORDER BY l.advised_at DESC, l.advice_id DESC",
            &[],
            |row| {
                let Some(at) = row.get(2)? else { return Ok(None) };
                let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
                Ok(Some(Advice {
                    id: row.get(1)?.unwrap_or_default(),
                    at,
                    creates: row.get(3)?.unwrap_or_default(),
                    table: row.get(4)?.unwrap_or(pg_sys::InvalidOid),
                    table_name: text(5)?,
                    index_name: text(6)?,
                    columns: row.get(7)?.unwrap_or_default(),
                    method: text(8)?,
                    bytes: row.get(9)?,
                    cost: row.get::<f64>(10)?.zip(row.get::<f64>(11)?),
                    queries: row.get(12)?.unwrap_or_default(),
                }))
            },
        )?;
        Ok(rows.into_iter().flatten().collect())
    })
}

fn may_know(table: pg_sys::Oid) -> Result<bool> {
    let known = spi::read_now(
        &format!(
            "SELECT true FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace
              WHERE t.oid = $1 AND {}",
            index::VISIBLE
        ),
        &[table.into()],
        |row| row.get::<bool>(1),
    )?;
    Ok(!known.is_empty())
}

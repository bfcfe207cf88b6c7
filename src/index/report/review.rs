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
    /// Of the statements it was to help, before and after.
    helped: Option<(f64, f64)>,
    queries: Vec<i64>,
    partial: bool,
    /// Days since it was given.
    days: f64,
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
                let scans = usage_since(&advice, tree)?.map_or(0, |usage| usage.everywhere());
                let mut review = plain(&advice, "not_dropped", "the index is still there");
                if scans > 0 {
                    review.verdict += &format!(", and has been scanned {scans} times since the advice");
                }
                review.bytes = Some(tree.size());
                review.scans = Some(scans);
                review
            }
            (false, None) => {
                let mut review = plain(&advice, "dropped", "the index is gone");
                (review.before_ms, review.after_ms) = statements.around(&advice, &[])?;
                if let (Some(before), Some(after)) = (review.before_ms, review.after_ms)
                    && after > 1.1 * before
                {
                    review.verdict += "; the statements that were to get dearer have";
                }
                review
            }
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
    let stored = index.keys.iter().map(|key| key.column).chain(index.included.iter().copied().map(Some));
    let columns: Option<Vec<String>> = stored.map(name).collect();
    advice.creates
        && index.method == advice.method
        && columns.as_ref() == Some(&advice.columns)
        && index.predicate_tree.is_some() == advice.partial
}

fn usage_since(advice: &Advice, tree: &Tree) -> Result<Option<Usage>> {
    let members: Vec<Index> = tree.members.iter().map(|member| (*member).clone()).collect();
    let since = spi::read_one::<Interval>("SELECT clock_timestamp() - $1", &[advice.at.into()]);
    let evidence = since.map_or(Ok(HashMap::new()), |since| evidence::gather(&members, &since))?;
    Ok(Usage::of(tree, &evidence))
}

fn built_review(advice: &Advice, tree: &Tree, statements: &Statements) -> Result<Review> {
    if !tree.top.usable() {
        return Ok(plain(advice, "invalid", "it is not valid: see invalid_indexes()"));
    }
    let usage = usage_since(advice, tree)?;
    let oids: Vec<pg_sys::Oid> = tree.members.iter().map(|member| member.oid).collect();
    let (before_ms, after_ms) = statements.around(advice, &oids)?;
    let outcome = Outcome {
        predicted_bytes: advice.bytes.map(|bytes| bytes as f64),
        bytes: tree.size() as f64,
        predicted_share: advice
            .helped
            .filter(|(before, _)| *before > 0.0)
            .map(|(before, after)| after / before),
        before_ms,
        after_ms,
        scans: usage.as_ref().map_or(0, Usage::everywhere),
        // It was not there before the advice, however far back the figures reach.
        days: usage.as_ref().map_or(0.0, |usage| usage.days).min(advice.days),
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

    /// Mean time of a call of the advice's statements until the last snapshot without these indexes, and
    /// since the first one with them; of an index that is gone, around the advice. Of statements called
    /// before and since, in the proportion in which they were called since.
    fn around(&self, advice: &Advice, indexes: &[pg_sys::Oid]) -> Result<(Option<f64>, Option<f64>)> {
        let kept = security::as_extension_owner(|| {
            spi::read_now(
                "WITH found AS (
                     SELECT CASE WHEN cardinality($2) = 0
                            THEN (SELECT min(s.taken_at) FROM architect.statistics_snapshot AS s
                                   WHERE s.node = $3 AND s.taken_at > $4)
                            ELSE (SELECT min(s.taken_at) FROM architect.index_snapshot AS p
                                    JOIN architect.statistics_snapshot AS s USING (snapshot_id)
                                   WHERE p.index_oid = ANY ($2) AND s.node = $3) END AS at),
                 side (is_after, snapshot_id) AS (
                     SELECT false, (SELECT s.snapshot_id FROM architect.statistics_snapshot AS s
                                     WHERE s.node = $3 AND s.taken_at < f.at ORDER BY s.taken_at DESC LIMIT 1) FROM found AS f
                     UNION ALL
                     SELECT true, (SELECT s.snapshot_id FROM architect.statistics_snapshot AS s
                                    WHERE s.node = $3 AND s.taken_at = f.at) FROM found AS f)
                 SELECT side.is_after, q.query_id, q.calls::float8, q.total_ms FROM side
                   JOIN architect.statement_snapshot AS q USING (snapshot_id)
                  WHERE q.query_id = ANY ($1)",
                &[advice.queries.clone().into(), indexes.to_vec().into(), PRIMARY.into(), advice.at.into()],
                |row| {
                    let number = |i| row.get::<f64>(i).map(Option::unwrap_or_default);
                    let is_after = row.get::<bool>(1)?.unwrap_or_default();
                    Ok((is_after, row.get::<i64>(2)?.unwrap_or_default(), number(3)?, number(4)?))
                },
            )
        })?;
        let mut means: HashMap<i64, f64> = HashMap::new();
        for (_, query, calls, ms) in kept.iter().filter(|(is_after, _, calls, _)| !is_after && *calls > 0.0) {
            means.insert(*query, ms / calls);
        }
        let (mut all, mut before, mut after) = (0.0, 0.0, 0.0);
        for (_, query, calls, ms) in kept.iter().filter(|(is_after, ..)| *is_after) {
            let (Some(mean), Some((calls_now, ms_now))) = (means.get(query), self.0.get(query)) else {
                continue;
            };
            // Fewer than there were: counted anew.
            let (more, took) = (calls_now - calls, ms_now - ms);
            if more > 0.0 && took >= 0.0 {
                (all, before, after) = (all + more, before + more * mean, after + took);
            }
        }
        Ok(if all > 0.0 { (Some(before / all), Some(after / all)) } else { (None, None) })
    }
}

fn advice() -> Result<Vec<Advice>> {
    security::as_extension_owner(|| {
        let rows = spi::read_now(
            "SELECT l.advice_id, l.advised_at, l.action = 'CREATE', l.table_oid,
                    format('%I.%I', l.schema_name, l.table_name), l.index_name, l.columns, l.method,
                    l.estimated_bytes, l.helped_before, l.helped_after, l.query_ids, l.statement ~ ' WHERE ',
                    (extract(epoch FROM clock_timestamp() - l.advised_at) / 86400)::float8
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
                    helped: row.get::<f64>(10)?.zip(row.get::<f64>(11)?),
                    queries: row.get(12)?.unwrap_or_default(),
                    partial: row.get(13)?.unwrap_or_default(),
                    days: row.get(14)?.unwrap_or_default(),
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

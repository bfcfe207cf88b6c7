//! Keeping figures.

use crate::catalog::index::{self, Index};
use crate::error::{Error, Result};
use crate::index::snapshot::PRIMARY;
use crate::maintenance::{Run, Step};
use crate::pg::{security, session, spi};
use pgrx::datum::{JsonB, TimestampWithTimeZone};
use serde_json::{Value, json};

pub const STEPS: &[Step] = &[Step { name: "statistics snapshot", run: maintain }];

/// How long figures are kept.
const KEPT: &str = "400 days";
/// Statements whose figures are kept: those that take the most time.
const STATEMENTS: i64 = 500;

/// What a snapshot kept.
pub struct Taken {
    pub node: String,
    pub taken_at: TimestampWithTimeZone,
    pub stats_since: TimestampWithTimeZone,
    pub indexes: i64,
    pub changed: i64,
    pub statements: i64,
}

fn maintain(run: &mut Run) -> Result<()> {
    let taken = run.retrying(take)?;
    let Some(taken) = taken else { return Ok(()) };
    let detail =
        format!("{} indexes, {} changed; {} statements", taken.indexes, taken.changed, taken.statements);
    run.note(PRIMARY, "taken", detail);
    Ok(())
}

/// Keeps this server's figures now; none where it is a standby, which cannot keep any.
pub fn take() -> Result<Option<Taken>> {
    if session::in_recovery() {
        return Ok(None);
    }
    let figures = security::as_extension_owner(figures)?;
    let Some(mut taken) = security::as_extension_owner(|| keep(PRIMARY, &figures))? else { return Ok(None) };
    security::as_extension_owner(|| {
        taken.statements = keep_statements(&taken)?;
        forget()
    })?;
    Ok(Some(taken))
}

/// Since when the counters of this database count. A crash discards them and says so nowhere but in the
/// times of those counters of the whole server that nobody has reset since.
pub const STATS_SINCE: &str = "greatest(
    (SELECT d.stats_reset FROM pg_stat_database AS d WHERE d.datid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())),
    least((SELECT a.stats_reset FROM pg_stat_archiver AS a), (SELECT b.stats_reset FROM pg_stat_bgwriter AS b),
          (SELECT w.stats_reset FROM pg_stat_wal AS w)))";

/// The present counters of all indexes, as a document that another server can import.
pub fn figures() -> Result<Value> {
    security::with_safe_search_path(|| {
        let indexes: Vec<Value> = index::all()?.iter().filter(|i| !i.partitioned).map(figures_of).collect();
        let header = spi::read_now(
            &format!(
                "SELECT jsonb_build_object('taken_at', clock_timestamp(), 'stats_since', {STATS_SINCE},
                        'in_recovery', pg_is_in_recovery())"
            ),
            &[],
            |row| row.get::<JsonB>(1),
        )?;
        let mut document = header.into_iter().flatten().next().map_or(json!({}), |header| header.0);
        document["system_identifier"] = json!(session::system_identifier());
        document["database_oid"] = json!(session::database().to_u32());
        document["indexes"] = Value::Array(indexes);
        Ok(document)
    })
}

fn figures_of(index: &Index) -> Value {
    json!({
        "index_oid": index.oid.to_u32(),
        "table_oid": index.table.to_u32(),
        "index_name": index.name,
        "definition": index.fingerprint(),
        "scans": index.scans,
        "tuples_read": index.tuples_read,
        "tuples_fetched": index.tuples_fetched,
        "last_scan": index.last_scan,
    })
}

/// Keeps a standby's figures.
pub fn import(node: &str, figures: &Value) -> Result<Option<Taken>> {
    let refuse = |detail: &str, hint: &str| {
        Err(Error::invalid_parameter("these figures cannot be imported").detail(detail).hint(hint))
    };
    if node == PRIMARY || node.is_empty() {
        return refuse("A standby needs a name of its own.", "Name it as in application_name.");
    }
    if figures["system_identifier"] != json!(session::system_identifier())
        || figures["database_oid"] != json!(session::database().to_u32())
    {
        return refuse(
            "They are not of a physical standby of this cluster and this database.",
            "SELECT architect.statistics_figures() on the standby, in the database of this name.",
        );
    }
    if figures["in_recovery"] != json!(true) {
        return refuse("They are of a server that is not a standby.", "This server's own: take_snapshot().");
    }
    security::as_extension_owner(|| keep(node, figures))
}

/// Keeps a document of figures; none where figures of that time or a later one are there.
fn keep(node: &str, figures: &Value) -> Result<Option<Taken>> {
    let header = spi::read_now(
        "SELECT f.taken_at, coalesce(f.stats_since, '-infinity')
           FROM jsonb_to_record($1) AS f (taken_at timestamptz, stats_since timestamptz)
          WHERE f.taken_at IS NOT NULL AND f.taken_at < clock_timestamp() + '1 day'::interval
            AND NOT EXISTS (SELECT FROM architect.statistics_snapshot AS s
                             WHERE s.node = $2 AND s.taken_at >= f.taken_at)",
        &[JsonB(figures.clone()).into(), node.into()],
        |row| Ok(row.get(1)?.zip(row.get(2)?)),
    )?;
    let Some((taken_at, stats_since)) = header.into_iter().flatten().next() else { return Ok(None) };
    let (taken_at, stats_since): (TimestampWithTimeZone, TimestampWithTimeZone) = (taken_at, stats_since);
    let id = spi::run_one::<i64>(
        "INSERT INTO architect.statistics_snapshot (node, taken_at, stats_since) VALUES ($1, $2, $3)
         RETURNING snapshot_id",
        &[node.into(), taken_at.into(), stats_since.into()],
    )?
    .unwrap_or_default();
    // Only what is not as the last row of this node says. After a reset everything that is not zero
    // counts from the start again, whatever the last row says.
    let changed = spi::run(
        "INSERT INTO architect.index_snapshot
             (snapshot_id, index_oid, table_oid, index_name, definition, scans, tuples_read, tuples_fetched, last_scan)
         SELECT $1, f.index_oid, f.table_oid, f.index_name, f.definition, f.scans, f.tuples_read, f.tuples_fetched,
                f.last_scan
           FROM jsonb_to_recordset($2) AS f (index_oid oid, table_oid oid, index_name text, definition uuid, scans int8,
                                             tuples_read int8, tuples_fetched int8, last_scan timestamptz)
           JOIN pg_index AS i ON i.indexrelid = f.index_oid
           LEFT JOIN LATERAL (
                SELECT p.scans, p.tuples_read, p.index_name, p.definition, s.stats_since
                  FROM architect.index_snapshot AS p
                  JOIN architect.statistics_snapshot AS s USING (snapshot_id)
                 WHERE p.index_oid = f.index_oid AND s.node = $3
                 ORDER BY s.taken_at DESC LIMIT 1) AS p ON true
          WHERE p.scans IS NULL OR p.scans <> f.scans OR p.tuples_read <> f.tuples_read
             OR p.index_name <> f.index_name OR p.definition <> f.definition
             OR p.stats_since <> $4 AND f.scans > 0",
        &[id.into(), JsonB(figures["indexes"].clone()).into(), node.into(), stats_since.into()],
    )?;
    Ok(Some(Taken {
        node: node.to_owned(),
        taken_at,
        stats_since,
        indexes: figures["indexes"].as_array().map_or(0, |all| all.len() as i64),
        changed: changed as i64,
        statements: 0,
    }))
}

/// Keeps the counters of the statements that take the most time, where pg_stat_statements shows them.
fn keep_statements(taken: &Taken) -> Result<i64> {
    let Some(statements) = crate::catalog::workload::view()? else { return Ok(0) };
    let kept = spi::run(
        &format!(
            "INSERT INTO architect.statement_snapshot (snapshot_id, query_id, calls, total_ms)
             SELECT s.snapshot_id, q.queryid, q.calls, q.total_ms
               FROM architect.statistics_snapshot AS s
               CROSS JOIN (
                    SELECT p.queryid, sum(p.calls)::int8, sum(p.total_exec_time) FROM {statements} AS p
                     WHERE p.queryid IS NOT NULL
                       AND p.dbid = (SELECT b.oid FROM pg_database AS b WHERE b.datname = current_database())
                     GROUP BY p.queryid ORDER BY 3 DESC LIMIT $3) AS q (queryid, calls, total_ms)
              WHERE s.node = $1 AND s.taken_at = $2"
        ),
        &[taken.node.as_str().into(), taken.taken_at.into(), STATEMENTS.into()],
    )?;
    Ok(kept as i64)
}

/// Forgets figures past their time. Of each index the last row before that time stays, and so does the last
/// snapshot: they are what the later ones are counted from.
fn forget() -> Result<()> {
    spi::run(
        "DELETE FROM architect.index_snapshot AS p
          USING architect.statistics_snapshot AS s
          WHERE s.snapshot_id = p.snapshot_id AND s.taken_at < clock_timestamp() - $1::interval
            AND EXISTS (SELECT FROM architect.index_snapshot AS q
                          JOIN architect.statistics_snapshot AS z ON z.snapshot_id = q.snapshot_id
                         WHERE q.index_oid = p.index_oid AND z.node = s.node AND z.taken_at > s.taken_at
                           AND z.taken_at < clock_timestamp() - $1::interval)",
        &[KEPT.into()],
    )?;
    spi::run(
        "DELETE FROM architect.statistics_snapshot AS s
          WHERE s.taken_at < clock_timestamp() - $1::interval
            AND NOT EXISTS (SELECT FROM architect.index_snapshot AS p WHERE p.snapshot_id = s.snapshot_id)
            AND EXISTS (SELECT FROM architect.statistics_snapshot AS z
                         WHERE z.node = s.node AND z.taken_at > s.taken_at
                           AND z.taken_at < clock_timestamp() - $1::interval)",
        &[KEPT.into()],
    )?;
    Ok(())
}

//! Copying rows, and copying those again that have changed since.

use super::run::Settings;
use crate::error::{Error, Result};
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// Columns that take a value: all but generated ones.
fn columns(settings: &Settings) -> Result<Vec<String>> {
    let columns = crate::catalog::column::columns(pg_sys::Oid::from(settings.parent))?;
    Ok(columns.iter().filter(|c| !c.generated).map(|c| quote_identifier(&c.name)).collect())
}

fn source_name(source: u32) -> Result<String> {
    lookup::qualified_name(pg_sys::Oid::from(source)).ok_or_else(|| Error::internal("a partition has gone"))
}

/// Copies the rows of some blocks. A row that is there already came back by another way: it has changed,
/// so it is noted.
pub fn blocks(settings: &Settings, source: u32, from: i64, to: i64) -> Result<usize> {
    let columns = columns(settings)?;
    let key: Vec<String> = settings.key.columns.iter().map(quote_identifier).collect();
    all_rows()?;
    spi::run(
        &format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM ONLY {} AS s
              WHERE s.ctid >= '({from},0)'::tid AND s.ctid < '({to},0)'::tid
             ON CONFLICT ({}) DO NOTHING",
            settings.stage(),
            columns.join(", "),
            columns.iter().map(|c| format!("s.{c}")).collect::<Vec<_>>().join(", "),
            source_name(source)?,
            key.join(", "),
        ),
        &[],
    )
}

/// Brings up to `limit` noted keys up to date, in one statement and so through one snapshot: whoever's note
/// is seen, their change is seen too. Returns how many notes it took.
pub fn again(settings: &Settings, limit: i64) -> Result<i64> {
    let columns = columns(settings)?;
    let key: Vec<String> = settings.key.columns.iter().map(quote_identifier).collect();
    let (stage, noted) = (settings.stage(), settings.noted());
    let same =
        |a: &str, b: &str| key.iter().map(|k| format!("{a}.{k} = {b}.{k}")).collect::<Vec<_>>().join(" AND ");
    let sources = settings
        .sources
        .iter()
        .map(|source| {
            Ok(format!(
                "SELECT {} FROM ONLY {} AS s JOIN keys AS k ON {}",
                columns.iter().map(|c| format!("s.{c}")).collect::<Vec<_>>().join(", "),
                source_name(*source)?,
                same("s", "k"),
            ))
        })
        .collect::<Result<Vec<_>>>()?
        .join(" UNION ALL ");
    all_rows()?;
    // The old copies are gone before the first new one comes: what counts them is evaluated first.
    let taken = spi::run_one::<i64>(
        &format!(
            "WITH taken AS (DELETE FROM {noted} AS n WHERE n.ctid = ANY (ARRAY(SELECT m.ctid FROM {noted} AS m LIMIT {limit})) RETURNING n.*),
                  keys AS MATERIALIZED (SELECT DISTINCT {key_list} FROM taken),
                  gone AS (DELETE FROM {stage} AS t USING keys AS k WHERE {match_stage} RETURNING 1),
                  came AS (INSERT INTO {stage} ({column_list}) OVERRIDING SYSTEM VALUE
                           SELECT {column_list} FROM ({sources}) AS s WHERE (SELECT count(*) FROM gone) >= 0 RETURNING 1)
             SELECT (SELECT count(*) FROM taken) + 0 * (SELECT count(*) FROM came)",
            key_list = key.join(", "),
            match_stage = same("t", "k"),
            column_list = columns.join(", "),
        ),
        &[],
    )?;
    Ok(taken.unwrap_or_default())
}

/// Brings the last noted keys up to date in the new tables themselves, which no staging table gathers any
/// more; the old partitions are locked. A key has the partition key in it, so each belongs to one table.
pub fn last(settings: &Settings) -> Result<()> {
    let columns = columns(settings)?;
    let key: Vec<String> = settings.key.columns.iter().map(quote_identifier).collect();
    let same =
        |a: &str, b: &str| key.iter().map(|k| format!("{a}.{k} = {b}.{k}")).collect::<Vec<_>>().join(" AND ");
    all_rows()?;
    for piece in &settings.pieces {
        let table = settings.qualify(&piece.name);
        let keys = format!(
            "WITH keys AS MATERIALIZED (SELECT DISTINCT {} FROM {} WHERE {})",
            key.join(", "),
            settings.noted(),
            super::stage::bound_of(settings, piece)?
        );
        spi::run(&format!("{keys} DELETE FROM {table} AS t USING keys AS k WHERE {}", same("t", "k")), &[])?;
        for source in &settings.sources {
            spi::run(
                &format!(
                    "{keys} INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM ONLY {} AS s JOIN keys AS k ON {}",
                    columns.join(", "),
                    columns.iter().map(|c| format!("s.{c}")).collect::<Vec<_>>().join(", "),
                    source_name(*source)?,
                    same("s", "k"),
                ),
                &[],
            )?;
        }
    }
    Ok(())
}

/// An error instead of silence where row-level security would hide a row.
fn all_rows() -> Result<()> {
    spi::run("SELECT set_config('row_security', 'off', true)", &[]).map(|_| ())
}

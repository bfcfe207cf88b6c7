//! Which tables would gain from being partitioned, by what and why.

use super::civil::DAY;
use super::period::Period;
use crate::error::Result;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;

/// What a partition should hold about: small enough to vacuum, index and drop at ease.
const COMFORTABLE: i64 = 20 << 30;
/// More partitions than this slow planning down.
const MANY: i64 = 500;

pub struct Advice {
    pub table: String,
    pub key: String,
    pub every: String,
    pub bytes: i64,
    pub score: i64,
    pub reasons: Vec<String>,
    pub obstacles: Vec<String>,
}

struct Table {
    oid: pg_sys::Oid,
    name: String,
    bytes: i64,
    rows: f64,
    inserted: i64,
    deleted: i64,
    dead: i64,
    days: f64,
    incoming: i64,
}

struct Column {
    name: String,
    kind: String,
    not_null: bool,
    correlation: f64,
    /// Days between the ends of its histogram.
    span: Option<f64>,
    in_unique: bool,
    unique_indexes: i64,
}

/// Advice about tables of at least a size, the most urgent first.
pub fn advise(only: Option<pg_sys::Oid>, min_bytes: i64) -> Result<Vec<Advice>> {
    let statements = statements()?;
    let mut advice = Vec::new();
    for table in tables(only, min_bytes)? {
        let columns = columns(table.oid)?;
        let best = columns
            .into_iter()
            .map(|column| weigh(&table, &column, &statements))
            .max_by_key(|advice| advice.score);
        if let Some(best) = best.filter(|best| only.is_some() || best.score >= 3) {
            advice.push(best);
        }
    }
    advice.sort_by_key(|advice| (-advice.score, -advice.bytes));
    Ok(advice)
}

fn tables(only: Option<pg_sys::Oid>, min_bytes: i64) -> Result<Vec<Table>> {
    spi::read(
        "SELECT c.oid, format('%I.%I', n.nspname, c.relname), pg_total_relation_size(c.oid), c.reltuples::float8,
                pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_deleted(c.oid), pg_stat_get_dead_tuples(c.oid),
                extract(epoch FROM now() - coalesce((SELECT d.stats_reset FROM pg_stat_database d WHERE d.datname = current_database()),
                                                    pg_postmaster_start_time()))::float8 / 86400,
                (SELECT count(*) FROM pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f')
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence = 'p' AND c.oid >= 16384
            AND n.nspname NOT IN ('architect', 'information_schema', 'pg_catalog', 'pg_toast')
            AND ($1::oid IS NULL OR c.oid = $1)
            AND ($1::oid IS NOT NULL OR pg_total_relation_size(c.oid) >= $2)
            AND NOT EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))",
        &[only.into(), min_bytes.into()],
        |row| {
            let number = |i| row.get::<i64>(i).map(Option::unwrap_or_default);
            let real = |i| row.get::<f64>(i).map(Option::unwrap_or_default);
            Ok(Table {
                oid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                name: row.get(2)?.unwrap_or_default(),
                bytes: number(3)?,
                rows: real(4)?,
                inserted: number(5)?,
                deleted: number(6)?,
                dead: number(7)?,
                days: real(8)?.max(0.04),
                incoming: number(9)?,
            })
        },
    )
}

/// Columns that could be the key, as far as the role may see their statistics.
fn columns(table: pg_sys::Oid) -> Result<Vec<Column>> {
    spi::read(
        "SELECT a.attname::text, t.typname::text, a.attnotnull, coalesce(s.correlation, 0)::float8,
                CASE WHEN t.typname IN ('timestamptz', 'timestamp', 'date') AND s.histogram_bounds IS NOT NULL
                     THEN extract(epoch FROM (s.histogram_bounds::text::text[])[array_upper(s.histogram_bounds::text::text[], 1)]::timestamptz
                                           - (s.histogram_bounds::text::text[])[1]::timestamptz)::float8 / 86400 END,
                coalesce((SELECT bool_and(a.attnum = ANY (i.indkey::int2[])) FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique), true),
                (SELECT count(*) FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique)
           FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
          WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
            AND t.typname IN ('timestamptz', 'timestamp', 'date') AND t.typnamespace = 'pg_catalog'::regnamespace
          ORDER BY a.attnum",
        &[table.into()],
        |row| {
            Ok(Column {
                name: row.get(1)?.unwrap_or_default(),
                kind: row.get(2)?.unwrap_or_default(),
                not_null: row.get(3)?.unwrap_or_default(),
                correlation: row.get(4)?.unwrap_or_default(),
                span: row.get(5)?,
                in_unique: row.get(6)?.unwrap_or_default(),
                unique_indexes: row.get(7)?.unwrap_or_default(),
            })
        },
    )
}

/// Statements the server has seen in this database, with their calls, in lower case.
fn statements() -> Result<Vec<(String, i64)>> {
    let schema = spi::read_one::<String>(
        "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'",
        &[],
    );
    let Some(schema) = schema else { return Ok(Vec::new()) };
    let view = lookup::qualify(&schema, "pg_stat_statements");
    // Installed, but not preloaded, it is an error to read: then there is nothing to learn from it.
    let read = || {
        spi::read(
            &format!(
                "SELECT lower(s.query), s.calls FROM {view} s
                  WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND s.query ~* 'where'
                  ORDER BY s.calls DESC LIMIT 2000"
            ),
            &[],
            |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<i64>(2)?.unwrap_or_default())),
        )
    };
    match crate::pg::subtransaction::attempt(read) {
        Err(error) if error.is_cancel() => Err(error),
        read => Ok(read.unwrap_or_default()),
    }
}

fn weigh(table: &Table, column: &Column, statements: &[(String, i64)]) -> Advice {
    let mut score = 0;
    let (mut reasons, mut obstacles) = (Vec::new(), Vec::new());
    let gigabytes = table.bytes as f64 / f64::from(1 << 30);
    reasons.push(format!("{gigabytes:.1} GB"));
    score += i64::from(gigabytes >= 10.0) + i64::from(gigabytes >= 100.0);
    if column.correlation.abs() > 0.9 {
        score += 2;
        reasons.push(format!(
            "rows lie in the order of {} (correlation {:.2})",
            column.name, column.correlation
        ));
    }
    let daily = table.inserted as f64 / table.days;
    if table.rows > 0.0 && daily * 365.0 > table.rows * 0.2 {
        score += 1;
        reasons.push(format!("grows by {daily:.0} rows a day"));
    }
    let bare = table.name.rsplit('.').next().unwrap_or_default().trim_matches('"').to_lowercase();
    let name = column.name.to_lowercase();
    let about = |text: &str| text.contains(&bare) && mentions(text, &name);
    let filtered: i64 = statements.iter().filter(|(text, _)| about(text)).map(|(_, calls)| calls).sum();
    if filtered > 0 {
        score += 2;
        reasons.push(format!("{filtered} calls filter on {}", column.name));
    }
    let purges: i64 = statements
        .iter()
        .filter(|(text, _)| text.trim_start().starts_with("delete") && about(text))
        .map(|(_, calls)| calls)
        .sum();
    if purges > 0 {
        score += 3;
        reasons.push(format!("{purges} deletes by {}: dropping partitions would replace them", column.name));
    } else if table.deleted > 0 && table.deleted * 5 > table.inserted {
        score += 1;
        reasons.push(format!("{} rows deleted, {} dead", table.deleted, table.dead));
    }
    if !column.not_null {
        score -= 1;
        obstacles.push(format!("{} may be null", column.name));
    }
    if !column.in_unique {
        obstacles.push(format!(
            "{} of its unique indexes must be widened by {} (widen_key)",
            column.unique_indexes, column.name
        ));
    }
    if table.incoming > 0 {
        score -= 1;
        obstacles.push(format!("{} foreign keys refer to it", table.incoming));
    }
    Advice {
        table: table.name.clone(),
        key: column.name.clone(),
        every: period(table.bytes, column).to_string(),
        bytes: table.bytes,
        score,
        reasons,
        obstacles,
    }
}

/// Whether a statement has a column's name as a word after WHERE.
fn mentions(text: &str, column: &str) -> bool {
    let Some((_, after)) = text.split_once("where") else { return false };
    after.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == column)
}

/// The shortest usual period whose partitions are not too many, and the longest whose are not too large.
fn period(bytes: i64, column: &Column) -> Period {
    let Some(days) = column.span.filter(|days| *days >= 1.0) else { return Period::Months(1) };
    let daily = bytes as f64 / days;
    let candidates =
        [Period::Months(12), Period::Months(3), Period::Months(1), Period::Days(7), Period::Days(1)];
    let fits = |period: &&Period| daily * (period.about() / DAY) as f64 <= COMFORTABLE as f64;
    let few = |period: &Period| days / (period.about() / DAY) as f64 <= MANY as f64;
    let found = candidates.iter().find(fits).copied().unwrap_or(Period::Days(1));
    let least = if column.kind == "date" || days > 60.0 { Period::Months(1) } else { found };
    // Not longer than a month where there is less than a year of it: retention goes by whole partitions.
    let chosen = if matches!(found, Period::Months(2..)) && days < 3.0 * 365.0 { least } else { found };
    if few(&chosen) { chosen } else { Period::Months(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(days: f64) -> Column {
        Column {
            name: "at".into(),
            kind: "timestamptz".into(),
            not_null: true,
            correlation: 1.0,
            span: Some(days),
            in_unique: true,
            unique_indexes: 1,
        }
    }

    #[test]
    fn the_period_follows_size_and_span() {
        assert_eq!(period(500 << 30, &column(730.0)), Period::Days(7));
        assert_eq!(period(100 << 30, &column(730.0)), Period::Months(1));
        assert_eq!(period(1 << 30, &column(4000.0)), Period::Months(12));
        assert_eq!(period(5 << 40, &column(365.0)), Period::Days(1));
    }

    #[test]
    fn a_column_is_a_word() {
        assert!(mentions("delete from t where at < $1", "at"));
        assert!(!mentions("select at from t where that = $1", "at"));
        assert!(!mentions("select at from t", "at"));
    }
}

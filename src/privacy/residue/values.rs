//! Places other than tables that are looked through for the values: planner statistics, large objects, statement texts.

use super::statistics;
use crate::error::Result;
use crate::pg::batches::Cursor;
use crate::pg::subtransaction::attempt;
use crate::pg::{security, spi};
use crate::privacy::identity::Seeker;
use crate::privacy::verify::Place;

/// What ANALYZE has kept of columns, of expressions of indexes and of extended statistics: the table, what of it, the values,
/// and the index or the statistics object they are stored under.
const STATISTICS: &[(&str, &str)] = &[
    (
        "pg_stats",
        "SELECT c.oid::pg_catalog.int8, pg_catalog.format('%I.%I', s.schemaname, c.relname), pg_catalog.format('column %I', s.attname),
                pg_catalog.concat_ws(' ', s.most_common_vals::pg_catalog.text, s.histogram_bounds::pg_catalog.text,
                                     s.most_common_elems::pg_catalog.text),
                pg_catalog.format('%I.%I', s.schemaname, s.tablename), NULL, NULL
           FROM pg_catalog.pg_stats AS s
           JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) s.schemaname
           JOIN pg_catalog.pg_class AS o ON o.relnamespace OPERATOR(pg_catalog.=) n.oid AND o.relname OPERATOR(pg_catalog.=) s.tablename
           LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid OPERATOR(pg_catalog.=) o.oid
           JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) COALESCE(i.indrelid, o.oid)
          WHERE s.schemaname OPERATOR(pg_catalog.<>) 'pg_catalog'",
    ),
    (
        "pg_stats_ext",
        "SELECT x.stxrelid::pg_catalog.int8, pg_catalog.format('%I.%I', s.schemaname, s.tablename),
                pg_catalog.format('statistics %I', s.statistics_name), s.most_common_vals::pg_catalog.text,
                NULL, s.statistics_name::pg_catalog.text, s.statistics_schemaname::pg_catalog.text
           FROM pg_catalog.pg_stats_ext AS s
           JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) s.statistics_schemaname
           JOIN pg_catalog.pg_statistic_ext AS x ON x.stxname OPERATOR(pg_catalog.=) s.statistics_name
                AND x.stxnamespace OPERATOR(pg_catalog.=) n.oid
          WHERE s.most_common_vals IS NOT NULL",
    ),
    (
        "pg_stats_ext_exprs",
        "SELECT x.stxrelid::pg_catalog.int8, pg_catalog.format('%I.%I', s.schemaname, s.tablename),
                pg_catalog.format('statistics %I', s.statistics_name),
                pg_catalog.concat_ws(' ', s.most_common_vals::pg_catalog.text, s.histogram_bounds::pg_catalog.text),
                NULL, s.statistics_name::pg_catalog.text, s.statistics_schemaname::pg_catalog.text
           FROM pg_catalog.pg_stats_ext_exprs AS s
           JOIN pg_catalog.pg_namespace AS n ON n.nspname OPERATOR(pg_catalog.=) s.statistics_schemaname
           JOIN pg_catalog.pg_statistic_ext AS x ON x.stxname OPERATOR(pg_catalog.=) s.statistics_name
                AND x.stxnamespace OPERATOR(pg_catalog.=) n.oid",
    ),
];

pub fn statistics(seeker: &Seeker) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    for (view, query) in STATISTICS {
        Cursor::open(query, &[])?.each(|row| {
            if row.text(3).is_some_and(|text| seeker.finds(&text)) {
                let relid = pgrx::pg_sys::Oid::from(row.i64(0) as u32);
                let stored = match row.text(4) {
                    Some(relation) => statistics::stored(&relation),
                    None => statistics::stored_extended(
                        &row.text(5).unwrap_or_default(),
                        &row.text(6).unwrap_or_default(),
                    ),
                };
                found.push((
                    *view,
                    relid,
                    row.text(1).unwrap_or_default(),
                    row.text(2).unwrap_or_default(),
                    stored,
                ));
            }
            Ok(())
        })?;
    }
    let mut places: Vec<Place> = found
        .into_iter()
        .map(|(view, relid, table, what, stored)| {
            Place::new(format!("{view} of {table}"), "present", what)
                .clear_statistics_of(relid, &table, stored)
        })
        .collect();
    if places.is_empty() {
        let detail = if is_superuser() { "all of them" } else { "those of tables you may read" };
        places.push(Place::new("planner statistics", "clear", detail));
    }
    Ok(places)
}

fn is_superuser() -> bool {
    spi::read_one_now::<bool>(
        "SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) $1",
        &[security::current_role().into()],
    ) == Some(true)
}

pub fn large_objects(seeker: &Seeker) -> Result<Vec<Place>> {
    let there =
        spi::read_one_now::<bool>("SELECT true FROM pg_catalog.pg_largeobject_metadata AS m LIMIT 1", &[]);
    if there.is_none() {
        return Ok(Vec::new());
    }
    if !is_superuser() {
        return Ok(vec![
            Place::new("large objects", "not searched", "only a superuser may")
                .clear_by("call this as a superuser"),
        ]);
    }
    // A page and the next one: a value may lie across both.
    let mut found = Vec::new();
    let mut last: Option<(i64, Vec<u8>)> = None;
    Cursor::open(
        "SELECT l.loid::pg_catalog.int8, l.data FROM pg_catalog.pg_largeobject AS l ORDER BY l.loid, l.pageno",
        &[],
    )?
    .each(|row| {
        let (oid, data) = (row.i64(0), row.bytes(1).unwrap_or_default());
        let mut text = match &last {
            Some((before, tail)) if *before == oid => tail.clone(),
            _ => Vec::new(),
        };
        text.extend_from_slice(&data);
        if seeker.finds(&String::from_utf8_lossy(&text)) && found.last() != Some(&oid) {
            found.push(oid);
        }
        let tail = data[data.len().saturating_sub(512)..].to_vec();
        last = Some((oid, tail));
        Ok(())
    })?;
    if found.is_empty() {
        return Ok(vec![Place::new("large objects", "clear", "all of them")]);
    }
    Ok(found
        .into_iter()
        .map(|oid| {
            Place::new(format!("large object {oid}"), "present", "")
                .clear_by(format!("SELECT lo_unlink({oid}), then VACUUM pg_largeobject"))
        })
        .collect())
}

/// Texts of statements: the last of each session, and those that pg_stat_statements keeps.
pub fn statements(seeker: &Seeker) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    Cursor::open(
        "SELECT a.pid, a.query FROM pg_catalog.pg_stat_activity AS a
          WHERE a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() AND a.query IS NOT NULL ORDER BY 1",
        &[],
    )?
    .each(|row| {
        if row.text(1).is_some_and(|text| seeker.finds(&text)) {
            places.push(
                Place::new(
                    format!("pg_stat_activity, session {}", row.i32(0)),
                    "present",
                    "its last statement",
                )
                .clear_by("its next statement, or its end"),
            );
        }
        Ok(())
    })?;
    let schema = spi::read_one_now::<String>(
        "SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_extension AS e
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
          WHERE e.extname OPERATOR(pg_catalog.=) 'pg_stat_statements'",
        &[],
    );
    let Some(schema) = schema else { return Ok(places) };
    let view = crate::pg::lookup::qualify(&schema, "pg_stat_statements");
    let outcome = attempt(|| {
        let mut found = 0;
        Cursor::open(&format!("SELECT s.query FROM {view} AS s"), &[])?.each(|row| {
            found += u64::from(row.text(0).is_some_and(|text| seeker.finds(&text)));
            Ok(())
        })?;
        Ok(found)
    });
    places.push(match outcome {
        Ok(0) => Place::new("pg_stat_statements", "clear", "texts of statements"),
        Ok(found) => Place::new("pg_stat_statements", "present", format!("{found} texts of statements"))
            .clear_by(format!("SELECT {}.pg_stat_statements_reset()", pgrx::spi::quote_identifier(&schema))),
        Err(error) => Place::new("pg_stat_statements", "not searched", error.message()),
    });
    Ok(places)
}

//! Planner statistics: samples of values that stay until ANALYZE, and in an empty table after it as well.

use super::touched;
use crate::error::Result;
use crate::pg::spi;
use crate::privacy::owner::{self, Values};
use crate::privacy::request::Request;
use crate::privacy::table;
use crate::privacy::verify::Place;
use pgrx::pg_sys;

/// Where statistics are stored, for a superuser to delete.
pub fn stored(relation: &str) -> String {
    format!(
        "DELETE FROM pg_catalog.pg_statistic WHERE starelid = {}::regclass",
        pgrx::spi::quote_literal(relation)
    )
}

/// The same for CREATE STATISTICS.
pub fn stored_extended(name: &str, schema: &str) -> String {
    let literal = |text: &str| pgrx::spi::quote_literal(text);
    format!(
        "DELETE FROM pg_catalog.pg_statistic_ext_data WHERE stxoid = (SELECT oid FROM pg_catalog.pg_statistic_ext WHERE stxname = {} AND stxnamespace = {}::regnamespace)",
        literal(name),
        literal(&pgrx::spi::quote_identifier(schema)),
    )
}

impl Place {
    /// How statistics of a table are cleared. ANALYZE leaves those of an empty table alone.
    pub fn clear_statistics_of(self, relid: pg_sys::Oid, name: &str, stored: String) -> Self {
        if !is_empty(relid) {
            return self.clear_by(format!("ANALYZE {name}"));
        }
        let detail = format!("{}; the table is empty, and ANALYZE leaves these alone", self.detail);
        Self { detail, ..self }.clear_by(stored)
    }
}

fn is_empty(relid: pg_sys::Oid) -> bool {
    let Ok(tables) = table::load(&[relid], &[]) else { return false };
    let Some(table) = tables.into_iter().next().filter(|table| table.may_act() && !table.hides_rows) else {
        return false;
    };
    let query = format!("SELECT ''::pg_catalog.text FROM {} AS t LIMIT 1", table.qualified);
    owner::within(table.owner, &table.qualified, || owner::texts(&query, &Values::default(), 1))
        .is_ok_and(|rows| rows.is_empty())
}

/// Tables that were erased from, and what was made from them, whose statistics are from before: the person's other values
/// may be among them, which nobody can look for any more.
pub fn from_before(request: &Request) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut tables = Vec::new();
    let mut dated: Vec<(pg_sys::Oid, String, String)> = Vec::new();
    for (object, at) in touched::erased(request)? {
        for relid in touched::relations(&object) {
            tables.push(relid);
            dated.push((relid, object.clone(), at.clone()));
        }
    }
    for view in touched::made_from(request, tables)? {
        if view.from_before {
            places.push(
                Place::new(
                    format!("materialized view {}", view.name),
                    "pending",
                    "was made from what has been erased since; whether it has some of it cannot be told",
                )
                .clear_by(format!("REFRESH MATERIALIZED VIEW {}", view.name)),
            );
        }
        if let Some((_, _, at)) = dated.first() {
            dated.push((view.relid, view.name, at.clone()));
        }
    }
    for (relid, name, at) in dated {
        let from_before = spi::read_one_now::<bool>(
            "SELECT true FROM (SELECT $1::pg_catalog.oid UNION
                               SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) AS p) AS t (oid)
               JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.oid
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
               LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid OPERATOR(pg_catalog.=) c.oid
              WHERE EXISTS (SELECT FROM pg_catalog.pg_stats AS p
                             WHERE p.schemaname OPERATOR(pg_catalog.=) n.nspname AND p.tablename OPERATOR(pg_catalog.=) c.relname)
                AND (GREATEST(s.last_analyze, s.last_autoanalyze) OPERATOR(pg_catalog.>) $2::pg_catalog.timestamptz) IS NOT TRUE
              LIMIT 1",
            &[relid.into(), at.into()],
        );
        if from_before == Some(true) || has_statistics(relid) && is_empty(relid) {
            places.push(
                Place::new(
                    format!("planner statistics of {name}"),
                    "pending",
                    "are from before and may have some of the values",
                )
                .clear_statistics_of(relid, &name, stored(&name)),
            );
        }
    }
    Ok(places)
}

fn has_statistics(relid: pg_sys::Oid) -> bool {
    spi::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
           JOIN pg_catalog.pg_stats AS p ON p.schemaname OPERATOR(pg_catalog.=) n.nspname AND p.tablename OPERATOR(pg_catalog.=) c.relname
          WHERE c.oid OPERATOR(pg_catalog.=) $1 LIMIT 1",
        &[relid.into()],
    ) == Some(true)
}

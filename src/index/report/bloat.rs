//! Btree indexes that are larger than they would be if they were built now.

use crate::catalog::index::{self, Index};
use crate::error::{Error, Result};
use crate::index::sizer::Sizer;
use crate::index::statement;
use crate::pg::index_definition::IndexDefinition;
use crate::pg::subtransaction::attempt;
use crate::pg::table::Table;
use crate::pg::{lookup, security, spi};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;

pub struct Finding {
    pub table: String,
    pub index: String,
    pub size: i64,
    pub expected: Option<i64>,
    pub method: &'static str,
    pub reason: String,
    pub fix: Option<String>,
}

impl Finding {
    pub fn wasted(&self) -> Option<i64> {
        self.expected.map(|expected| (self.size - expected).max(0))
    }

    pub fn percent(&self) -> Option<f64> {
        let wasted = self.wasted()?;
        (self.size > 0).then(|| (1000.0 * wasted as f64 / self.size as f64).round() / 10.0)
    }
}

/// Part of an index, in percent, that has to be wasted for a rebuild to be worth its work. An index that
/// grows by splits has its pages three quarters full on average, and is soon so again.
const WORTH: f64 = 40.0;

pub fn findings(min_size: &str, exact: bool) -> Result<Vec<Finding>> {
    let least = spi::read_now("SELECT pg_size_bytes($1)", &[min_size.into()], |row| row.get::<i64>(1))?;
    let least = least.into_iter().flatten().next().unwrap_or_default();
    let measured_by = if exact { Some(pgstatindex()?) } else { None };
    let mut sizer = Sizer::default();
    let mut found = Vec::new();
    for index in index::all()? {
        if index.method != "btree" || index.partitioned || !index.usable() {
            continue;
        }
        // Where somebody holds it exclusively it could only be waited for.
        let Some(size) = lookup::relation_size(index.oid).filter(|size| *size >= least) else { continue };
        if lookup::relation_size(index.table).is_none() {
            continue;
        }
        let judged = match &measured_by {
            Some(function) => measured(&index, function),
            None => estimated(&index, &mut sizer),
        };
        let (expected, method, mut reason) = match judged {
            Ok((expected, method)) => (Some(expected), method, String::new()),
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => (None, "none", unknown(&error)),
        };
        let mut finding = Finding {
            table: index.qualified_table(),
            index: index.qualified_name(),
            size,
            expected,
            method,
            reason: String::new(),
            fix: None,
        };
        if let Some(percent) = finding.percent() {
            if percent >= WORTH {
                reason = format!("built now it would be {percent} % smaller");
                finding.fix = Some(statement::rebuild(&index));
            } else {
                reason = "as large as an index in use is".to_owned();
            }
        }
        finding.reason = reason;
        found.push(finding);
    }
    found.sort_by(|a, b| b.wasted().cmp(&a.wasted()).then(a.index.cmp(&b.index)));
    Ok(found)
}

/// Why nothing is known. What a function of an index says of a row may hold the row's values.
fn unknown(error: &Error) -> String {
    match error.code() {
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE => error.message().to_owned(),
        _ => format!("its rows could not be sampled: SQLSTATE {}", error.sqlstate()),
    }
}

/// Bytes it would have, by a sample of its table's rows.
fn estimated(index: &Index, sizer: &mut Sizer) -> Result<(i64, &'static str)> {
    if spi::read_one_now::<bool>("SELECT has_table_privilege($1, 'SELECT')", &[index.table.into()])
        != Some(true)
    {
        return Err(Error::insufficient_privilege("no privilege to read rows of the table"));
    }
    // Reading a table runs what its owner put into its indexes, policies and constraints.
    let owner = Table::open(index.table, pg_sys::AccessShareLock as i32).map(|table| table.owner());
    let reader = owner.filter(|owner| security::has_rights_of(*owner));
    if reader.is_none() && !owner.is_some_and(security::is_superuser) {
        return Err(Error::insufficient_privilege("reading the table would run its owner's functions"));
    }
    sizer.serve(reader);
    let size = attempt(|| {
        let resolve = || IndexDefinition::resolve(&lookup::index_definition(index.oid), index.table);
        sizer.size(&security::as_author(reader, resolve)?)
    })?;
    Ok(((size.pages * f64::from(pg_sys::BLCKSZ)) as i64, "sample of the table"))
}

/// Bytes it would have, by what its own pages hold: all of them are read.
fn measured(index: &Index, function: &str) -> Result<(i64, &'static str)> {
    let fillfactor = index
        .options
        .iter()
        .find_map(|option| option.strip_prefix("fillfactor=")?.parse::<f64>().ok())
        .unwrap_or(90.0);
    let pages = attempt(|| {
        spi::read_now(
            &format!(
                "SELECT CASE WHEN s.leaf_pages = 0 THEN 1
                             ELSE ceil(s.leaf_pages * least(s.avg_leaf_density / $2, 1)) + s.internal_pages + 1 END::float8
                   FROM {function}($1::oid::regclass) AS s"
            ),
            &[index.oid.into(), fillfactor.into()],
            |row| row.get::<f64>(1),
        )
    })?;
    let pages = pages.into_iter().flatten().next().unwrap_or_default();
    Ok(((pages * f64::from(pg_sys::BLCKSZ)) as i64, "pgstattuple"))
}

fn pgstatindex() -> Result<String> {
    spi::read_one_now::<String>(
        "SELECT format('%I.pgstatindex', n.nspname)
           FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
          WHERE e.extname = 'pgstattuple'",
        &[],
    )
    .ok_or_else(|| {
        Error::not_in_prerequisite_state("exact figures need extension pgstattuple")
            .hint("CREATE EXTENSION pgstattuple, or call index_bloat() without exact for an estimate.")
    })
}

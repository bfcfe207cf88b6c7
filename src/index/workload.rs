//! The statements to advise for: from pg_stat_statements or as given, each analysed, or why it cannot be.

use crate::catalog::workload;
use crate::error::{Error, Result};
use crate::index::values::{self, Distributions};
use crate::pg::planning::{Parameters, Statement};
use crate::pg::query_shape::Shape;
use crate::pg::subtransaction::attempt;
use crate::pg::whatif::Configuration;
use crate::pg::{security, spi};
use pgrx::PgSqlErrorCode;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;
use std::ffi::{CStr, CString};

/// A statement as it was found.
#[derive(Debug, Clone)]
pub struct Entry {
    pub query_id: i64,
    pub text: String,
    pub calls: f64,
    pub total_ms: f64,
    /// Rows returned or changed.
    pub rows: f64,
    /// As whom it is planned: a role that ran it, since planning runs functions, and those of a statement may be
    /// anybody's. None where the caller has the rights of no such role.
    pub author: Option<pg_sys::Oid>,
    /// Where its names are looked up, if not on the caller's search_path.
    pub search_path: Option<CString>,
}

pub struct Workload {
    pub entries: Vec<Entry>,
    /// Days the figures are of.
    pub days: f64,
    /// From pg_stat_statements, with measured times; else as given, with times guessed from costs.
    pub measured: bool,
}

/// A statement that can be planned.
pub struct Analysed {
    pub entry: Entry,
    pub statement: Statement,
    pub shape: Shape,
    /// Values to plan with: one set where there are no parameters, else a spread.
    pub parameters: Vec<Parameters>,
    /// Cost as things are, with each of them; on average, and at its least and most.
    pub costs: Vec<f64>,
    pub cost: f64,
    pub spread: (f64, f64),
}

/// A cost unit in milliseconds, where no time was measured: a page read in sequence from memory.
pub const MS_PER_COST: f64 = 0.01;

/// Milliseconds in a day's part that is taken for one at least: figures of a minute tell little of a day.
const LEAST_DAYS: f64 = 1.0 / 24.0;

/// The statements of this database in pg_stat_statements, those that took most time first.
pub fn from_statistics(min_calls: i64) -> Result<Workload> {
    let Some(view) = workload::view()? else {
        return Err(Error::not_in_prerequisite_state("pg_stat_statements is not installed in this database")
            .detail("Without it nothing tells which statements are run, and how often.")
            .hint("CREATE EXTENSION pg_stat_statements (it must be in shared_preload_libraries), or give the statements as workload => ARRAY[...]."));
    };
    let schema = view.rsplit_once('.').map_or("public", |(schema, _)| schema);
    let days = spi::read_one::<f64>(
        &format!(
            "SELECT (pg_catalog.extract('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) i.stats_reset)
                     OPERATOR(pg_catalog./) 86400)::float8
               FROM {schema}.pg_stat_statements_info AS i"
        ),
        &[],
    );
    let entries = read(
        &format!(
            "SELECT COALESCE(s.queryid, 0), s.query, pg_catalog.sum(s.calls)::float8,
                    pg_catalog.sum(s.total_exec_time)::float8, pg_catalog.sum(s.rows)::float8, {AUTHOR}
               FROM {view} AS s LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) s.userid
              WHERE s.dbid OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database AS d
                        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
              GROUP BY 1, 2 HAVING pg_catalog.sum(s.calls) OPERATOR(pg_catalog.>=) $1::numeric
              ORDER BY 4 DESC, 1"
        ),
        &[min_calls.into()],
    )?;
    Ok(Workload { entries, days: days.unwrap_or(1.0).max(LEAST_DAYS), measured: true })
}

/// Of the roles that ran a statement, `r`, one whose rights the caller has, rather no superuser.
pub const AUTHOR: &str = "(pg_catalog.array_agg(r.oid ORDER BY r.rolsuper, r.oid)
                FILTER (WHERE pg_catalog.pg_has_role(r.oid, 'USAGE')))[1]";

fn read(query: &str, arguments: &[DatumWithOid]) -> Result<Vec<Entry>> {
    let mut entries = spi::read(query, arguments, |row| {
        Ok(Entry {
            query_id: row.get(1)?.unwrap_or_default(),
            text: row.get(2)?.unwrap_or_default(),
            calls: row.get(3)?.unwrap_or_default(),
            total_ms: row.get(4)?.unwrap_or_default(),
            rows: row.get(5)?.unwrap_or_default(),
            author: row.get(6)?,
            search_path: None,
        })
    })?;
    let mut paths: HashMap<pg_sys::Oid, Option<CString>> = HashMap::new();
    for entry in &mut entries {
        let Some(author) = entry.author else { continue };
        if let Vacant(unknown) = paths.entry(author) {
            unknown.insert(workload::search_path_of(author)?);
        }
        entry.search_path = paths.get(&author).cloned().flatten();
    }
    Ok(entries)
}

/// Statements as given, run so many times a day each.
pub fn given(texts: Vec<Option<String>>, calls: Vec<Option<f64>>) -> Result<Workload> {
    if !calls.is_empty() && calls.len() != texts.len() {
        return Err(Error::invalid_parameter("workload and weights differ in length").detail(format!(
            "There are {} statements and {} weights.",
            texts.len(),
            calls.len()
        )));
    }
    let mut entries = Vec::new();
    for (place, text) in texts.into_iter().enumerate() {
        let Some(text) = text else { continue };
        let calls = calls.get(place).copied().flatten().unwrap_or(1.0);
        if !calls.is_finite() || calls < 0.0 {
            return Err(Error::invalid_parameter("a weight is not a number of calls"));
        }
        // Numbered as they stand in the array.
        let author = Some(security::current_role());
        entries.push(Entry {
            query_id: place as i64 + 1,
            text,
            calls,
            total_ms: 0.0,
            rows: 0.0,
            author,
            search_path: None,
        });
    }
    Ok(Workload { entries, days: 1.0, measured: false })
}

impl Workload {
    /// Milliseconds a day the statement takes.
    pub fn ms_per_day(&self, statement: &Analysed) -> f64 {
        if self.measured {
            statement.entry.total_ms / self.days
        } else {
            statement.entry.calls * statement.cost * MS_PER_COST
        }
    }
}

/// Analyses and plans a statement; what fails is undone and says why. Only a cancel ends the call.
pub fn analyse(
    entry: &Entry,
    distributions: &mut Distributions,
) -> Result<std::result::Result<Analysed, String>> {
    if entry.text == "<insufficient privilege>" {
        return Ok(Err(
            "its text is not shown to this role: membership in pg_read_all_stats shows it".to_owned()
        ));
    }
    if entry.author.is_none() {
        return Ok(Err("it was run by roles whose rights this role does not have".to_owned()));
    }
    let in_its_name = || {
        let statement = Statement::repaired(&entry.text, entry.author)?;
        let shape = statement.asks();
        let types = statement.parameter_types().len();
        let samples = if types == 0 { &values::SAMPLES[..1] } else { &values::SAMPLES[..] };
        let mut parameters = Vec::new();
        for sample in samples {
            let values = values::choose(&shape, types, *sample, distributions)?;
            parameters.push(Parameters::from_text(statement.parameter_types(), &values));
        }
        let mut costs = Vec::new();
        for values in &parameters {
            costs.push(statement.plan(&Configuration::default(), values)?.total_cost);
        }
        let cost = costs.iter().sum::<f64>() / costs.len().max(1) as f64;
        let spread =
            costs.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), c| (least.min(*c), most.max(*c)));
        Ok(Analysed { entry: entry.clone(), statement, shape, parameters, costs, cost, spread })
    };
    let work =
        || in_names_of(entry.search_path.as_deref(), || security::as_author(entry.author, in_its_name));
    match attempt(|| patiently(work)) {
        Ok(analysed) => Ok(Ok(analysed)),
        Err(error) if error.is_cancel() => Err(error),
        Err(error) => Ok(Err(why(&error))),
    }
}

/// Runs `work` with names looked up on this path, or on the caller's.
pub fn in_names_of<R>(search_path: Option<&CStr>, work: impl FnOnce() -> R) -> R {
    match search_path {
        Some(path) => security::with_settings(&[(c"search_path", path)], work),
        None => work(),
    }
}

/// Runs `work`, which does not wait long for a table that somebody else holds: what it has locked by then it keeps,
/// in the way of others.
pub fn patiently<R>(work: impl FnOnce() -> R) -> R {
    security::with_settings(&[(c"lock_timeout", c"200ms")], work)
}

/// Why a statement cannot be analysed. PostgreSQL's own messages may repeat a literal of the text, so they
/// are not shown.
fn why(error: &Error) -> String {
    use PgSqlErrorCode as Code;
    match error.code() {
        Code::ERRCODE_INVALID_PARAMETER_VALUE if error.message().contains("not one that is planned") => {
            "a utility statement: it has no plan".to_owned()
        }
        Code::ERRCODE_SYNTAX_ERROR => "the text is cut off, or not SQL of this version".to_owned(),
        Code::ERRCODE_UNDEFINED_TABLE | Code::ERRCODE_INVALID_SCHEMA_NAME => {
            "a table in it does not exist (any more), or is not on this search_path".to_owned()
        }
        Code::ERRCODE_UNDEFINED_COLUMN => "a column in it does not exist (any more)".to_owned(),
        Code::ERRCODE_LOCK_NOT_AVAILABLE => "a table in it is held by somebody else just now".to_owned(),
        Code::ERRCODE_INSUFFICIENT_PRIVILEGE => "this role may not do what the statement does".to_owned(),
        Code::ERRCODE_AMBIGUOUS_FUNCTION
        | Code::ERRCODE_UNDEFINED_FUNCTION
        | Code::ERRCODE_INDETERMINATE_DATATYPE
        | Code::ERRCODE_DATATYPE_MISMATCH => "nothing determines the types of its parameters".to_owned(),
        code => format!("PostgreSQL cannot plan it: SQLSTATE {}", sqlstate(code)),
    }
}

/// The five characters of a code.
fn sqlstate(code: PgSqlErrorCode) -> String {
    let mut packed = code as i32;
    let mut text = String::new();
    for _ in 0..5 {
        text.push(char::from((packed & 0x3f) as u8 + b'0'));
        packed >>= 6;
    }
    text
}

//! The SQL functions that advise on a whole workload.

use crate::error::{Error, Result};
use crate::index::advisor::{self, Outcome, Request};
use crate::index::judged::Inventory;
use crate::index::replace::{self, Replacing};
use crate::index::values::Distributions;
use crate::index::workload::{self, Workload};
use crate::index::{advice, drops};
use crate::pg::{security, session, spi};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The set of indexes that is worth most to a workload, and the existing ones that cost more than they
/// serve. PostgreSQL's planner is asked, in process, what it would do with each; nothing is created or
/// dropped.
///
/// Arguments: budget, size that all new indexes may have together ('500MB'); max_columns, key columns of an
/// index at most; min_calls, statements run less often are left out; time_limit, after which the best answer
/// found so far is given; schemas, whose tables to advise on (null: all); workload, statements to advise for
/// instead of those in pg_stat_statements, parameters ($1) allowed; weights, how often a day each of those
/// is run (default: once), their time being guessed from their cost; include_drops, whether existing indexes
/// are judged too.
/// Returns one row for each action, the most valuable first, each given those above it: rank; action, CREATE
/// or DROP; table_name; columns, keys and included ones; method; statement, to be run outside a transaction;
/// size_bytes, estimated; query_ids, statements it makes cheaper (of a DROP: dearer) by a per cent or more,
/// by their queryid or place in workload; query_count; cost_before and cost_after, of the whole workload in
/// ms a day, upkeep of the indexes advised included; benefit_ms_per_day; benefit_share of the workload's
/// time; write_ms_per_day and wal_bytes_per_day, what writes pay for it (a DROP saves it); ends_hot_updates,
/// whether updates that touch no index now would touch it; priority, high (a tenth of the workload), medium
/// (a fiftieth) or low; reason; undo, the opposite statement; confidence and caveats. Advice is kept in
/// advice_log where the server can be written to.
/// Errors: 55000 pg_stat_statements is not there and no workload given; 22023 invalid argument. A statement
/// that cannot be analysed is left out: workload_coverage() says why.
/// Lock: ACCESS SHARE on the tables of the workload (ROW EXCLUSIVE on those its statements change) until the
/// transaction ends. Privilege: EXECUTE; a statement of
/// pg_stat_statements is analysed as a role that ran it and whose rights the caller has (others are left out),
/// a given one as the caller, on the caller's search_path: planning runs functions.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn suggest_indexes(
    budget: default!(&str, "'500MB'"),
    max_columns: default!(i32, "4"),
    min_calls: default!(i64, "5"),
    time_limit: default!(Interval, "'10 seconds'"),
    schemas: default!(Option<Vec<Option<String>>>, "NULL"),
    workload: default!(Option<Vec<Option<String>>>, "NULL"),
    weights: default!(Option<Vec<Option<f64>>>, "NULL"),
    include_drops: default!(bool, "true"),
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(rank, i32),
            name!(action, String),
            name!(table_name, String),
            name!(columns, Vec<String>),
            name!(method, String),
            name!(statement, String),
            name!(size_bytes, i64),
            name!(query_ids, Vec<i64>),
            name!(query_count, i32),
            name!(cost_before, f64),
            name!(cost_after, f64),
            name!(benefit_ms_per_day, f64),
            name!(benefit_share, f64),
            name!(write_ms_per_day, f64),
            name!(wal_bytes_per_day, i64),
            name!(ends_hot_updates, bool),
            name!(priority, String),
            name!(reason, String),
            name!(undo, String),
            name!(confidence, String),
            name!(caveats, Vec<String>),
        ),
    >,
    ErrorReport,
> {
    let request = Request {
        budget: bytes_of(budget)?,
        max_columns: usize::try_from(max_columns).ok().filter(|n| (1..=32).contains(n)).ok_or_else(|| {
            Error::invalid_parameter("invalid value for argument \"max_columns\"").hint("Give 1 to 32.")
        })?,
        deadline: session::clock().saturating_add(microseconds(time_limit)?),
        schemas: schemas.map(|list| list.into_iter().flatten().collect()),
        weigh_writes: true,
    };
    let (workload, mut outcome) = run(&request, min_calls, workload, weights)?;
    let coverage = coverage(&workload, &outcome);
    let existing = Inventory::read()?;
    replace::without_trifles(&mut outcome, &existing, &workload);
    let removals = if include_drops && !outcome.expired {
        let judged = existing.judged(&request, &outcome);
        let (request, workload, existing, judged) = (&request, &workload, &existing, judged.as_slice());
        Replacing { request, workload, existing, judged, coverage, tried: 0 }.run(&mut outcome)?;
        replace::without_trifles(&mut outcome, existing, workload);
        drops::removals(existing, judged, workload, &mut outcome, coverage)?
    } else {
        Vec::new()
    };
    let mut rows = advice::creations(&outcome, &workload, coverage);
    rows.extend(advice::removals(removals, &outcome, &workload, coverage));
    tell(&workload, &outcome, coverage);
    advice::keep(&rows)?;
    Ok(TableIterator::new(rows.into_iter().enumerate().map(|(place, row)| {
        (
            place as i32 + 1,
            row.action.to_owned(),
            row.table,
            row.columns,
            row.method,
            row.statement,
            row.bytes as i64,
            row.query_ids.clone(),
            row.query_ids.len() as i32,
            row.before,
            row.after,
            row.before - row.after,
            row.share,
            row.upkeep.ms,
            row.upkeep.wal_bytes as i64,
            row.upkeep.ends_hot,
            row.priority.to_owned(),
            row.reason,
            row.undo,
            row.confidence.to_owned(),
            row.caveats,
        )
    })))
}

/// How much of the workload suggest_indexes() can advise on, and why it cannot on the rest.
///
/// Arguments: min_calls and workload as in suggest_indexes.
/// Returns one row for each outcome, the one with most time first: outcome, 'analysed' or why statements
/// could not be; statements, how many; calls; total_ms, measured (null where a workload is given);
/// share_of_time (of a given workload: of the statements); query_ids, up to 100 of them.
/// Errors and privilege as suggest_indexes. Lock: ACCESS SHARE on the tables of the workload (ROW EXCLUSIVE
/// on those its statements change) until the transaction ends.
#[pg_extern]
fn workload_coverage(
    min_calls: default!(i64, "1"),
    workload: default!(Option<Vec<Option<String>>>, "NULL"),
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(outcome, String),
            name!(statements, i64),
            name!(calls, i64),
            name!(total_ms, Option<f64>),
            name!(share_of_time, f64),
            name!(query_ids, Vec<i64>),
        ),
    >,
    ErrorReport,
> {
    let workload = read(min_calls, workload, None)?;
    let mut distributions = Distributions::default();
    let mut outcomes: Vec<(String, Vec<&workload::Entry>)> = Vec::new();
    for entry in &workload.entries {
        pgrx::check_for_interrupts!();
        let outcome = match workload::analyse(entry, &mut distributions)? {
            Ok(_) => "analysed".to_owned(),
            Err(why) => why,
        };
        match outcomes.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, entries)) => entries.push(entry),
            None => outcomes.push((outcome, vec![entry])),
        }
    }
    let time = |entries: &[&workload::Entry]| entries.iter().map(|e| e.total_ms).sum::<f64>();
    let all: f64 = workload.entries.iter().map(|e| e.total_ms).sum();
    let count = workload.entries.len() as f64;
    let mut rows: Vec<_> = outcomes
        .into_iter()
        .map(|(outcome, entries)| {
            let share = if all > 0.0 { time(&entries) / all } else { entries.len() as f64 / count };
            (
                outcome,
                entries.len() as i64,
                entries.iter().map(|e| e.calls).sum::<f64>() as i64,
                workload.measured.then(|| time(&entries)),
                share,
                entries.iter().take(100).map(|e| e.query_id).collect::<Vec<i64>>(),
            )
        })
        .collect();
    rows.sort_by(|a, b| b.4.total_cmp(&a.4));
    Ok(TableIterator::new(rows))
}

fn read(
    min_calls: i64,
    texts: Option<Vec<Option<String>>>,
    weights: Option<Vec<Option<f64>>>,
) -> Result<Workload> {
    match texts {
        Some(texts) => workload::given(texts, weights.unwrap_or_default()),
        None => security::with_safe_search_path(|| workload::from_statistics(min_calls)),
    }
}

fn run(
    request: &Request,
    min_calls: i64,
    texts: Option<Vec<Option<String>>>,
    weights: Option<Vec<Option<f64>>>,
) -> Result<(Workload, Outcome)> {
    let workload = read(min_calls, texts, weights)?;
    let outcome = advisor::advise(request, &workload)?;
    Ok((workload, outcome))
}

/// The part of the workload's time that could be analysed; of its statements, where no time is known.
fn coverage(workload: &Workload, outcome: &Outcome) -> f64 {
    let weigh = |entry: &workload::Entry| if workload.measured { entry.total_ms } else { 1.0 };
    let all: f64 = workload.entries.iter().map(weigh).sum();
    let analysed: f64 = outcome.statements.iter().map(|s| weigh(&s.entry)).sum();
    if all > 0.0 { analysed / all } else { 1.0 }
}

/// Says what the answer rests on where that is less than everything.
fn tell(workload: &Workload, outcome: &Outcome, coverage: f64) {
    if outcome.expired {
        pgrx::notice!(
            "the time limit ended the search after {} plans: the answer is the best found until then",
            outcome.plans
        );
    }
    if coverage < 0.95 {
        pgrx::notice!(
            "{} of {} statements, {:.0} % of the workload, could be analysed; workload_coverage() says why the others could not",
            outcome.statements.len(),
            workload.entries.len(),
            coverage * 100.0
        );
    }
    pgrx::debug1!(
        "{} candidates weighed, {} plans made, {} answers found without planning",
        outcome.candidates,
        outcome.plans,
        outcome.reused
    );
}

fn bytes_of(size: &str) -> Result<f64> {
    let bytes = spi::read_one::<i64>("SELECT pg_catalog.pg_size_bytes($1)", &[size.into()]).unwrap_or(0);
    if bytes < 0 {
        return Err(Error::invalid_parameter("invalid value for argument \"budget\"")
            .hint("Give a size such as '500MB'."));
    }
    Ok(bytes as f64)
}

fn microseconds(interval: Interval) -> Result<i64> {
    let seconds = spi::read_one::<f64>(
        "SELECT pg_catalog.extract('epoch', $1::pg_catalog.interval)::float8",
        &[interval.into()],
    )
    .unwrap_or(0.0);
    if seconds <= 0.0 {
        return Err(Error::invalid_parameter("invalid value for argument \"time_limit\"")
            .hint("Give an interval such as '10 seconds'."));
    }
    Ok((seconds.min(1e6) * 1e6) as i64)
}

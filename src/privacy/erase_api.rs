//! The SQL functions of planning and erasing.

use super::erase::{self, Outcome, Wanted};
use super::graph::Graph;
use super::{deletion_log, storage};
use crate::pg::security;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

type Row = (
    i32,
    String,
    String,
    Vec<String>,
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<i64>,
);

/// Which tables hold rows of a kind of person, and how they hang together.
///
/// Arguments: subject_type. Returns one row for each reference: depth from the person's own table, the reference,
/// ownership (undecided where nobody has said), what happens on erasing, where it comes from (foreign key or
/// declared), the foreign key's delete rule, whether an index finds the rows, and the number of the circle the
/// table is in, where it refers back to itself.
/// Errors: 42704 no such subject type; 55000 what was declared is not there any more.
/// Lock: none. Privilege: EXECUTE.
#[pg_extern]
fn subject_graph(
    subject_type: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(depth, i32),
            name!(table_name, String),
            name!(reference, String),
            name!(ownership, String),
            name!(on_erase, String),
            name!(source, String),
            name!(delete_rule, Option<String>),
            name!(index_serves, bool),
            name!(circle, Option<i32>),
        ),
    >,
    ErrorReport,
> {
    let rows = security::with_safe_search_path(|| {
        storage::require()?;
        let graph = Graph::of(subject_type)?;
        let mut rows: Vec<_> = graph
            .links
            .iter()
            .map(|link| {
                (
                    graph.depth[link.to] as i32,
                    graph.tables[link.to].qualified.clone(),
                    link.describe(&graph.tables),
                    link.ownership.name().to_owned(),
                    link.on_erase.clone(),
                    if link.declared { "declared" } else { "foreign key" }.to_owned(),
                    link.foreign_key.as_ref().map(|key| key.delete_rule().to_owned()),
                    link.indexed,
                    graph.circle(link.to).map(|circle| circle as i32),
                )
            })
            .collect();
        rows.sort();
        Ok::<_, crate::error::Error>(rows)
    })?;
    Ok(TableIterator::new(rows))
}

fn rows(outcome: &Outcome) -> Vec<Row> {
    let plan = &outcome.plan;
    let mut rows: Vec<Row> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| {
            (
                i as i32 + 1,
                plan.graph.tables[step.table].qualified.clone(),
                step.act.name().to_owned(),
                step.columns.clone(),
                step.rows as i64,
                outcome.affected.as_ref().map(|affected| affected[i] as i64),
                step.blocker.clone(),
                step.reason.clone(),
                step.until.clone(),
                plan.hash.clone(),
                outcome.request_id,
            )
        })
        .collect();
    for (object, count, detail) in &outcome.logs {
        rows.push((
            plan.steps.len() as i32 + 1,
            object.clone(),
            "redact".to_owned(),
            Vec::new(),
            *count as i64,
            Some(*count as i64),
            None,
            Some(detail.clone()),
            None,
            plan.hash.clone(),
            outcome.request_id,
        ));
    }
    if rows.is_empty() {
        rows.push((
            0,
            plan.graph.tables[0].qualified.clone(),
            "nothing to do".to_owned(),
            Vec::new(),
            0,
            outcome.affected.as_ref().map(|_| 0),
            None,
            None,
            None,
            plan.hash.clone(),
            outcome.request_id,
        ));
    }
    rows
}

/// What erasing a person would do, step by step, without doing it.
///
/// Arguments: subject_type; key, the person's key as a JSON object of the key columns, or its value where it is one
/// column; allow_scans, whether tables of more than 100,000 rows may be read from end to end where no index
/// finds the person's rows.
/// Returns one row for each step, in the order they are done: the table; the action: delete, mask (rows stay, values
/// go), detach (the reference goes), keep, or blocked with the reason in blocker; columns that change; rows, counted;
/// why rows stay and until when; and plan_hash, the same in each row, to be given to erase_subject.
/// Errors: 42704 no such subject type; 22023 not a key; 55000 what was declared is not there any more.
/// Lock: ACCESS SHARE on the tables. Privilege: the rights of the tables' owners, as whom they are read.
/// Assigns no transaction id.
#[pg_extern]
fn plan_erasure(
    subject_type: &str,
    key: JsonB,
    allow_scans: default!(bool, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(step, i32),
            name!(object_name, String),
            name!(action, String),
            name!(columns, Vec<String>),
            name!(rows, i64),
            name!(blocker, Option<String>),
            name!(reason, Option<String>),
            name!(retained_until, Option<String>),
            name!(plan_hash, String),
        ),
    >,
    ErrorReport,
> {
    let wanted = Wanted { request_id: None, expected_plan: None, dry_run: true, allow_scans };
    let outcome = security::with_safe_search_path(|| erase::erase(subject_type, &key.0, &wanted))?;
    let rows = rows(&outcome).into_iter().map(
        |(step, object, action, columns, rows, _, blocker, reason, until, hash, _)| {
            (step, object, action, columns, rows, blocker, reason, until, hash)
        },
    );
    Ok(TableIterator::new(rows.collect::<Vec<_>>()))
}

/// Erases a person: everywhere the graph leads to, and in the audit log, in this one transaction.
///
/// Arguments: subject_type and key as for plan_erasure; request_id, the request this answers (null: a new one);
/// expected_plan, the plan_hash that was approved: when the plan is another by now, nothing happens (null: the
/// plan as it is now, unless the request has an approved one); dry_run, true
/// unless told otherwise; allow_scans as for plan_erasure.
/// Rows that refer go before what they refer to. Rows that another person owns too are masked. Rows that must be
/// retained, or that others refer to, stay with their values masked, and are reported. Nothing of what goes is
/// recorded again by the audit trigger. A second run finds nothing to do and changes nothing.
/// Each statement runs as the owner of its table in a restricted context; messages of failing statements are withheld.
/// Returns the plan's rows with the number of rows affected, what was taken out of logs, and the request's number.
/// Errors: 55000 the plan has changed, or something stands in the way; 42501 four eyes.
/// Lock: ROW EXCLUSIVE on the tables, and the person's rows. Privilege: the rights of the tables' owners.
#[pg_extern]
fn erase_subject(
    subject_type: &str,
    key: JsonB,
    request_id: default!(Option<i64>, "NULL"),
    expected_plan: default!(Option<&str>, "NULL"),
    dry_run: default!(bool, "true"),
    allow_scans: default!(bool, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(step, i32),
            name!(object_name, String),
            name!(action, String),
            name!(columns, Vec<String>),
            name!(rows, i64),
            name!(rows_affected, Option<i64>),
            name!(blocker, Option<String>),
            name!(reason, Option<String>),
            name!(retained_until, Option<String>),
            name!(plan_hash, String),
            name!(request_id, Option<i64>),
        ),
    >,
    ErrorReport,
> {
    let wanted = Wanted { request_id, expected_plan, dry_run, allow_scans };
    let outcome = security::with_safe_search_path(|| erase::erase(subject_type, &key.0, &wanted))?;
    Ok(TableIterator::new(rows(&outcome)))
}

/// Whether the deletion log is what was written: each entry hashes to what it says and follows the one before.
///
/// Arguments: expected_hash, a hash kept elsewhere that must be in the chain.
/// Returns one row for each finding, and a summary: ok or failed, with the number of entries and the last hash.
/// Lock: none. Privilege: EXECUTE.
#[pg_extern]
fn verify_deletion_log(
    expected_hash: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (name!(severity, String), name!(code, String), name!(seq, Option<i64>), name!(detail, String)),
    >,
    ErrorReport,
> {
    let expected = expected_hash
        .map(|text| {
            crate::audit::seal::from_hex(text).ok_or_else(|| {
                crate::error::Error::invalid_parameter("invalid value for argument \"expected_hash\"")
                    .hint("Give a hash as the certificate or this function shows it.")
            })
        })
        .transpose()?;
    let found = deletion_log::verify(expected.as_deref())?;
    Ok(TableIterator::new(found))
}

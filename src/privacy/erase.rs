//! Erasing: the plan, made again under locks and compared with the one that was approved, step by step.

use super::collect::{Class, Texts};
use super::deletion_log::{self, Entry};
use super::identity::Identities;
use super::owner::{self, Values};
use super::plan::{self, Act, Plan, Step, Which, Wishes};
use super::residue::touched;
use super::sql::{self, of};
use super::{namesake, request, storage};
use crate::capture::redaction::{self, PersonalLog, Redaction, Target};
use crate::error::{Error, Result};
use crate::pg::{security, statements};
use serde_json::Value;
use std::collections::BTreeMap;

/// Logs that record what tables hold.
pub const LOGS: &[&dyn PersonalLog] = &[&crate::audit::redact::AuditLog, &crate::cdc::redact::ChangeLog];

pub struct Wanted<'a> {
    pub request_id: Option<i64>,
    pub expected_plan: Option<&'a str>,
    pub dry_run: bool,
    pub allow_scans: bool,
}

/// A plan carried out, or not.
pub struct Outcome {
    pub plan: Plan,
    pub request_id: Option<i64>,
    /// Rows changed by each step; none in a dry run.
    pub affected: Option<Vec<u64>>,
    /// What was taken out of logs: object, entries, detail.
    pub logs: Vec<(String, u64, String)>,
}

pub fn erase(subject_type: &str, key: &Value, wanted: &Wanted) -> Result<Outcome> {
    let wishes = Wishes {
        lock: !wanted.dry_run,
        every_row: false,
        allow_scans: wanted.allow_scans,
        ignore_holds: false,
    };
    let plan = plan::make(subject_type, key, &wishes)?;
    if wanted.dry_run {
        return Ok(Outcome { plan, request_id: wanted.request_id, affected: None, logs: Vec::new() });
    }
    check(&plan)?;
    let request = request::answering(&plan, wanted.request_id)?;
    check_expected(&plan, wanted.expected_plan.or(request.approved_plan.as_deref()))?;
    check_four_eyes(&request, &plan)?;
    carry_out(plan, &request)
}

fn check(plan: &Plan) -> Result<()> {
    if let Some(step) = plan.steps.iter().find(|step| step.act == Act::Blocked) {
        let table = &plan.graph.tables[step.table].qualified;
        return Err(Error::not_in_prerequisite_state("the person cannot be erased")
            .detail(format!("{table}: {}.", step.blocker.clone().unwrap_or_default()))
            .hint("architect.plan_erasure() lists everything that stands in the way. Nothing was changed."));
    }
    Ok(())
}

/// Where nobody expects or has approved a plan, what was found under locks is what is done.
fn check_expected(plan: &Plan, expected: Option<&str>) -> Result<()> {
    if expected.is_none_or(|expected| expected == plan.hash) {
        return Ok(());
    }
    Err(Error::not_in_prerequisite_state("the plan has changed since it was approved")
        .detail("Rows, tables, declarations or holds are not what they were. Nothing was changed.")
        .hint("Look at architect.plan_erasure() again."))
}

fn check_four_eyes(request: &request::Request, plan: &Plan) -> Result<()> {
    if !request::four_eyes() {
        return Ok(());
    }
    let me = security::role_name(security::session_role());
    let approved = request.approved_plan.as_deref() == Some(plan.hash.as_str());
    let by_another = request.approved_by.as_ref().is_some_and(|by| *by != me);
    if approved && by_another {
        return Ok(());
    }
    Err(Error::insufficient_privilege("erasing needs the approval of another role")
        .detail("Four eyes are required here, and nobody else has approved this plan.")
        .hint("Have another role call architect.approve_request() with this request and plan hash."))
}

/// Carries a plan out that was made under locks, for a request.
pub fn carry_out(plan: Plan, request: &request::Request) -> Result<Outcome> {
    let secret = storage::secret()?;
    let values = namesake::values(&plan)?;
    let unshared = namesake::unshared(&plan, &values)?;
    let mut sought = values;
    sought.extend(namesake::declared_values(&plan));
    let lexemes = namesake::lexemes(&sought)?;
    let identities =
        Identities::of(sought.into_iter().chain(lexemes.texts), &secret).with_lexemes(&lexemes.sets, &secret);
    let affected = redaction::without_values(|| run_steps(&plan))?;
    let redaction = redaction_of(&plan, unshared, request.request_id);
    let mut logs = Vec::new();
    for log in LOGS {
        if let Some(done) = log.redact(&redaction)?
            && done.entries + done.contexts > 0
        {
            logs.push((done.object, done.entries + done.contexts, done.detail));
        }
    }
    note(&plan, request.request_id, &affected, &logs)?;
    let nothing_found = affected.iter().all(|&rows| rows == 0) && logs.is_empty();
    let files = files(&plan, &affected, &logs)?;
    request::done(&plan, request, &identities, retained(&plan, &affected), files, nothing_found)?;
    Ok(Outcome { plan, request_id: Some(request.request_id), affected: Some(affected), logs })
}

fn run_steps(plan: &Plan) -> Result<Vec<u64>> {
    let mut affected = vec![0; plan.steps.len()];
    for group in &plan.graph.order {
        let of_group: Vec<usize> =
            (0..plan.steps.len()).filter(|&i| group.contains(&plan.steps[i].table)).collect();
        for &i in &of_group {
            if matches!(plan.steps[i].act, Act::Mask | Act::Detach) {
                affected[i] = update(plan, &plan.steps[i])?;
            }
        }
        let going: Vec<usize> = of_group.into_iter().filter(|&i| plan.steps[i].act == Act::Delete).collect();
        delete(plan, &going, &mut affected)?;
    }
    Ok(affected)
}

fn update(plan: &Plan, step: &Step) -> Result<u64> {
    let table = &plan.graph.tables[step.table];
    let mut values = Values::default();
    let (replacements, _) = plan.replacements(step, &mut values);
    let mut assignments: Vec<String> = Vec::new();
    let mut differs: Vec<String> = Vec::new();
    let mut steady = true;
    for replacement in &replacements {
        assignments.push(format!("{} = {}", sql::identifier(&replacement.column), replacement.expression));
        differs.push(format!(
            "{}::pg_catalog.text IS DISTINCT FROM ({})::pg_catalog.text",
            of("t", &replacement.column),
            replacement.expression
        ));
        steady &= replacement.steady;
    }
    let mut emptied: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &link in &step.detach {
        for column in &plan.graph.links[link].to_columns {
            emptied.entry(column).or_default().push(link);
        }
    }
    for (column, links) in emptied {
        let own = of("t", column);
        let paths: Vec<_> =
            links.iter().map(|&l| &plan.graph.links[l].json_path).filter(|p| !p.is_empty()).collect();
        if paths.is_empty() {
            assignments.push(format!("{} = NULL", sql::identifier(column)));
            differs.push(format!("{own} IS NOT NULL"));
            continue;
        }
        if replacements.iter().any(|r| r.column == column) {
            continue;
        }
        let full_type = table.column(column).map(|c| c.full_type.clone()).unwrap_or_default();
        let mut document = format!("{own}::pg_catalog.jsonb");
        for path in paths {
            let path = values.add(sql::array(path.iter().map(|step| Some(step.as_str()))));
            document = format!("({document} OPERATOR(pg_catalog.#-) {path}::pg_catalog.text[])");
        }
        assignments.push(format!("{} = {document}::{full_type}", sql::identifier(column)));
        differs.push("true".to_owned());
    }
    if assignments.is_empty() {
        return Ok(0);
    }
    let condition = rows_condition(plan, step, &mut values);
    let changed = if steady { format!(" AND ({})", differs.join(" OR ")) } else { String::new() };
    let statement =
        format!("UPDATE {} AS t SET {} WHERE {condition}{changed}", table.qualified, assignments.join(", "));
    owner::within(table.owner, &table.qualified, || owner::run(&statement, &values))
}

/// The rows of a step.
fn rows_condition(plan: &Plan, step: &Step, values: &mut Values) -> String {
    let table = &plan.graph.tables[step.table];
    let node = &plan.collection.nodes[step.table];
    match &step.which {
        Which::Rows(rows) => {
            let keys: Vec<Texts> = rows.iter().map(|&row| node.rows[row].key.clone()).collect();
            sql::among("t", &table.key, &keys, values)
        }
        Which::Link(number) => plan.link_condition(*number, values),
        Which::None => "false".to_owned(),
    }
}

/// Deletes of tables that refer to each other: their foreign keys are checked once all are done.
fn delete(plan: &Plan, going: &[usize], affected: &mut [u64]) -> Result<()> {
    let mut prepared = Vec::new();
    for &i in going {
        let step = &plan.steps[i];
        let mut values = Values::default();
        let condition = rows_condition(plan, step, &mut values);
        let table = &plan.graph.tables[step.table];
        prepared.push((i, format!("DELETE FROM {} AS t WHERE {condition}", table.qualified), values));
    }
    let Some(first) = prepared.first() else { return Ok(()) };
    let table = &plan.graph.tables[plan.steps[first.0].table];
    let one_owner =
        prepared.iter().all(|(i, ..)| plan.graph.tables[plan.steps[*i].table].owner == table.owner);
    if prepared.len() > 1 && one_owner {
        let counts = owner::within(table.owner, &table.qualified, || {
            statements::with_triggers_last(|statements| {
                prepared
                    .iter()
                    .map(|(_, statement, values)| statements.run(statement, &values.bytes()))
                    .collect::<Result<Vec<u64>>>()
            })
        })?;
        for ((i, ..), count) in prepared.iter().zip(counts) {
            affected[*i] = count;
        }
    } else {
        for (i, statement, values) in &prepared {
            let table = &plan.graph.tables[plan.steps[*i].table];
            affected[*i] = owner::within(table.owner, &table.qualified, || owner::run(statement, values))?;
        }
    }
    for (i, ..) in &prepared {
        if affected[*i] < plan.steps[*i].rows {
            check_gone(plan, &plan.steps[*i])?;
        }
    }
    Ok(())
}

/// Rows that were not deleted must be gone already: a trigger may have kept them.
fn check_gone(plan: &Plan, step: &Step) -> Result<()> {
    let table = &plan.graph.tables[step.table];
    let mut values = Values::default();
    let condition = rows_condition(plan, step, &mut values);
    let query =
        format!("SELECT true::pg_catalog.text FROM {} AS t WHERE {condition} LIMIT 1", table.qualified);
    let left = owner::within(table.owner, &table.qualified, || owner::texts(&query, &values, 1))?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::not_in_prerequisite_state(format!("rows of table {} cannot be deleted", table.qualified))
        .detail("A trigger or rule keeps them. Nothing was changed.")
        .hint("Declare the rows to be masked, or disable the trigger for the time being."))
}

/// What the logs are to forget.
fn redaction_of(plan: &Plan, identities: Vec<String>, request_id: i64) -> Redaction {
    let mut targets = Vec::new();
    for (number, table) in plan.graph.tables.iter().enumerate() {
        let node = &plan.collection.nodes[number];
        let key_columns: Vec<String> = if table.has_key {
            table.key.iter().map(|column| column.name.clone()).collect()
        } else {
            Vec::new()
        };
        let clear_key = key_columns.iter().any(|column| {
            (number == 0 && plan.graph.subject.identity.contains(column))
                || table.declared.iter().any(|d| {
                    d.column == *column && d.json_path.is_empty() && d.action != super::action::Action::Keep
                })
        });
        let target = |keys, references, columns| Target {
            relid: table.relid,
            schema: table.schema.clone(),
            table: table.name.clone(),
            key_columns: key_columns.clone(),
            keys,
            clear_key,
            references,
            columns,
        };
        let keys_of = |step: &Step| -> Vec<Texts> {
            match &step.which {
                Which::Rows(rows) => rows.iter().map(|&row| node.rows[row].key.clone()).collect(),
                _ => Vec::new(),
            }
        };
        for step in plan.steps.iter().filter(|step| step.table == number) {
            let keys = keys_of(step);
            match step.act {
                Act::Delete => targets.push(target(keys, Vec::new(), None)),
                Act::Mask | Act::Detach => {
                    targets.push(target(keys, Vec::new(), Some(step.columns.clone())));
                }
                Act::Keep | Act::Blocked => {}
            }
        }
        // Rows that were the person's and are gone: known by what they referred to.
        let mut references = Vec::new();
        let links = plan.graph.links.iter().filter(|link| {
            link.to == number
                && link.referring
                && link.json_path.is_empty()
                && link.discriminator.is_none()
                && link.ownership == super::graph::Ownership::Owned
                && link.on_erase == "delete"
        });
        for link in links {
            let from = &plan.collection.nodes[link.from];
            let values: Vec<Texts> = from
                .rows
                .iter()
                .filter(|row| row.class > Class::Kept && row.class != Class::Shared)
                .map(|row| from.pick(row, &link.from_columns))
                .filter(|values| values.iter().all(Option::is_some))
                .collect();
            if !values.is_empty() {
                references.push((link.to_columns.clone(), values));
            }
        }
        if number == 0 {
            let key: Texts = plan.key.iter().cloned().map(Some).collect();
            references.push((plan.graph.subject.key.clone(), vec![key]));
        }
        if !references.is_empty() {
            let retained = plan.steps.iter().any(|step| step.table == number && step.act == Act::Keep);
            if !retained {
                targets.push(target(Vec::new(), references, None));
            }
        }
    }
    Redaction {
        targets,
        identities,
        authority: format!(
            "erasure of a person of type {}, request {request_id}, by role {}",
            plan.graph.subject.subject_type,
            security::role_name(security::session_role())
        ),
    }
}

fn note(plan: &Plan, request_id: i64, affected: &[u64], logs: &[(String, u64, String)]) -> Result<()> {
    let mut entries: Vec<Entry> = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let table = &plan.graph.tables[step.table];
        if affected[i] == 0 && step.retained == 0 {
            continue;
        }
        entries.push(Entry {
            step: i as i32 + 1,
            object: table.qualified.clone(),
            action: step.act.name().to_owned(),
            columns: step.columns.clone(),
            affected: affected[i] as i64,
            retained: step.retained as i64,
            reason: step.reason.clone(),
            until: step.until.clone(),
            owner: table.owner_name.clone(),
        });
    }
    for (object, count, detail) in logs {
        entries.push(Entry {
            step: plan.steps.len() as i32 + 1,
            object: object.clone(),
            action: "redact".to_owned(),
            columns: Vec::new(),
            affected: *count as i64,
            retained: 0,
            reason: Some(detail.clone()),
            until: None,
            owner: String::new(),
        });
    }
    if affected.iter().all(|&rows| rows == 0) && logs.is_empty() {
        entries.push(Entry {
            step: 0,
            object: plan.graph.tables[0].qualified.clone(),
            action: "nothing to do".to_owned(),
            columns: Vec::new(),
            affected: 0,
            retained: 0,
            reason: None,
            until: None,
            owner: plan.graph.tables[0].owner_name.clone(),
        });
    }
    let run = deletion_log::Run {
        request_id: Some(request_id),
        subject_type: &plan.graph.subject.subject_type,
        plan_hash: &plan.hash,
    };
    deletion_log::append(&run, &entries)?;
    Ok(())
}

/// The files of what was changed: until they are others, bytes of the old rows may be in them.
fn files(plan: &Plan, affected: &[u64], logs: &[(String, u64, String)]) -> Result<Value> {
    let tables = plan.steps.iter().zip(affected).filter(|(_, rows)| **rows > 0);
    let tables = tables.map(|(step, _)| plan.graph.tables[step.table].qualified.as_str());
    touched::now(tables.chain(logs.iter().map(|(object, ..)| object.as_str())))
}

/// What stays, for the request and the certificate.
fn retained(plan: &Plan, affected: &[u64]) -> Value {
    let list = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.retained > 0)
        .map(|(i, step)| {
            serde_json::json!({
                "object": plan.graph.tables[step.table].qualified,
                "rows": step.retained,
                "reason": step.reason,
                "until": step.until,
                "masked": affected[i],
            })
        })
        .collect();
    Value::Array(list)
}

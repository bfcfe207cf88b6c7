//! What a database holds of a person, for the person: the rows that erasing accounts for.

use super::collect::{Class, Row, Texts};
use super::graph::Ownership;
use super::owner::{self, Values};
use super::plan::{self, Plan, Wishes};
use super::sql::{self, of};
use super::staying::ghost;
use crate::error::{Error, Result};
use crate::pg::json::fits_jsonb;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};

pub fn export(
    subject_type: &str,
    key: &Value,
    scope: &str,
    redact: bool,
    allow_scans: bool,
) -> Result<String> {
    if !["access", "portability"].contains(&scope) {
        return Err(Error::invalid_parameter(format!("invalid value for argument \"scope\": \"{scope}\""))
            .hint("Available values: access, portability."));
    }
    let wishes = Wishes { lock: false, every_row: true, allow_scans, ignore_holds: true };
    let plan = plan::make(subject_type, key, &wishes)?;
    // An undecided foreign key does not stop an answer; what cannot be read does.
    if plan.collection.nodes.is_empty() {
        let why = plan.steps.iter().find_map(|step| {
            Some(format!("{}: {}.", plan.graph.tables[step.table].qualified, step.blocker.as_ref()?))
        });
        return Err(Error::not_in_prerequisite_state("the person's data cannot be exported")
            .detail(why.unwrap_or_default())
            .hint("architect.plan_erasure() lists everything that stands in the way."));
    }
    let mut tables = Vec::new();
    for number in 0..plan.graph.tables.len() {
        let rows = rows(&plan, number, scope, redact)?;
        if !rows.is_empty() {
            tables.push(Exported { table: &plan.graph.tables[number].qualified, count: rows.len(), rows });
        }
    }
    let columns = plan.graph.subject.key.iter().map(String::as_str);
    let key = columns.zip(plan.key.iter().map(String::as_str)).collect();
    let export = Export {
        subject_type,
        key,
        scope,
        third_parties: if redact { "redacted" } else { "included" },
        tables,
    };
    serde_json::to_string(&export).map_err(|_| Error::internal("an export is not JSON"))
}

#[derive(Serialize)]
struct Export<'a> {
    subject_type: &'a str,
    key: BTreeMap<&'a str, &'a str>,
    scope: &'a str,
    third_parties: &'a str,
    tables: Vec<Exported<'a>>,
}

#[derive(Serialize)]
struct Exported<'a> {
    table: &'a str,
    count: usize,
    rows: Vec<Fields>,
}

/// A row's columns, each as its JSON text: documents nested however deep pass through as they are.
type Fields = BTreeMap<String, Box<RawValue>>;

fn fields(row: &str) -> Result<Fields> {
    let mut fields: Fields =
        serde_json::from_str(row).map_err(|_| Error::internal("a row is not an object"))?;
    for field in fields.values_mut() {
        // json takes what jsonb does not.
        if !fits_jsonb(field.get().as_bytes()) {
            *field = text(field.get())?;
        }
    }
    Ok(fields)
}

fn text(value: &str) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|_| Error::internal("a text is not JSON"))
}

fn rows(plan: &Plan, number: usize, scope: &str, redact: bool) -> Result<Vec<Fields>> {
    let table = &plan.graph.tables[number];
    let known: Vec<&Row> = plan.collection.nodes[number]
        .rows
        .iter()
        .filter(|row| !row.key.is_empty() && !ghost(row))
        .filter(|row| scope == "access" || matches!(row.class, Class::Own | Class::Masked | Class::Kept))
        .collect();
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Texts> = known.iter().map(|row| row.key.clone()).collect();
    let mut values = Values::default();
    let condition = sql::among("t", &table.key, &keys, &mut values);
    let mut columns: Vec<String> =
        table.key.iter().map(|column| format!("{}::pg_catalog.text", of("t", &column.name))).collect();
    columns.push("pg_catalog.row_to_json(t)::pg_catalog.text".to_owned());
    let order: Vec<String> = table.key.iter().map(|column| of("t", &column.name)).collect();
    let query = format!(
        "SELECT {} FROM {} AS t WHERE {condition} ORDER BY {}",
        columns.join(", "),
        table.qualified,
        order.join(", ")
    );
    let found =
        owner::within(table.owner, &table.qualified, || owner::texts(&query, &values, columns.len()))?;
    let mut exported = Vec::new();
    for mut texts in found {
        let document = texts.pop().flatten().unwrap_or_default();
        let Some(row) = known.iter().find(|row| row.key == texts) else { continue };
        let fields = shown(plan, number, row, fields(&document)?, scope, redact)?;
        if !fields.is_empty() {
            exported.push(fields);
        }
    }
    Ok(exported)
}

/// A row as the person may see it.
fn shown(
    plan: &Plan,
    number: usize,
    row: &Row,
    mut fields: Fields,
    scope: &str,
    redact: bool,
) -> Result<Fields> {
    let table = &plan.graph.tables[number];
    let key: HashSet<&str> = table.key.iter().map(|column| column.name.as_str()).collect();
    if scope == "portability" {
        // What the person provided: by consent or for a contract.
        fields.retain(|name, _| {
            key.contains(name.as_str())
                || table.declared.iter().any(|column| {
                    column.column == *name
                        && matches!(column.legal_basis.as_deref(), Some("consent" | "contract"))
                })
        });
    }
    if !redact || !matches!(row.class, Class::Shared | Class::Touched) {
        return Ok(fields);
    }
    let links: Vec<_> = row.links.iter().map(|&link| &plan.graph.links[link]).collect();
    let own: HashSet<&str> = links
        .iter()
        .flat_map(|link| link.to_columns.iter().chain(link.person_columns.iter().flatten()))
        .map(String::as_str)
        .collect();
    if row.class == Class::Touched {
        // Somebody else's row: that it names the person, and what it says of them.
        fields.retain(|name, _| key.contains(name.as_str()) || own.contains(name.as_str()));
        return Ok(fields);
    }
    let narrowed = links.iter().any(|link| link.person_columns.is_some());
    let others: HashSet<&str> = plan
        .graph
        .links
        .iter()
        .enumerate()
        .filter(|(i, link)| {
            link.to == number && link.ownership == Ownership::CoOwned && !row.links.contains(i)
        })
        .flat_map(|(_, link)| link.to_columns.iter().chain(link.person_columns.iter().flatten()))
        .map(String::as_str)
        .collect();
    for (name, value) in &mut fields {
        let name = name.as_str();
        let declared = table.declared.iter().any(|column| column.column == name);
        if !own.contains(name) && !key.contains(name) && (others.contains(name) || narrowed && declared) {
            *value = text("[another person]")?;
        }
    }
    Ok(fields)
}

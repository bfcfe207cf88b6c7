//! A person, from the key somebody gave.

use super::graph::Graph;
use super::owner::{self, Values};
use super::sql::of;
use super::table::Column;
use super::{catalogue, storage};
use crate::error::{Error, Result};
use serde_json::Value;

/// A person as the database knows them.
pub struct Person {
    pub graph: Graph,
    pub key: Vec<String>,
    pub hmac: Vec<u8>,
}

pub fn find(subject_type: &str, key: &Value) -> Result<Person> {
    storage::require()?;
    let graph = Graph::of(subject_type)?;
    // As the key column's type writes it: '007' and 7 are one person.
    let key = canonical(&graph, &key_of(&graph.subject, key)?)?;
    let hmac = storage::secret()?.key(subject_type, &key);
    Ok(Person { graph, key, hmac })
}

/// A person's key as texts, from what somebody gave: an object of the key columns, or the value of the only one.
fn key_of(subject: &catalogue::Subject, key: &Value) -> Result<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    };
    let values: Option<Vec<String>> = match key {
        Value::Object(fields) if fields.len() == subject.key.len() => {
            subject.key.iter().map(|name| fields.get(name).and_then(text)).collect()
        }
        Value::Object(_) => None,
        scalar if subject.key.len() == 1 => text(scalar).map(|value| vec![value]),
        _ => None,
    };
    values.ok_or_else(|| {
        Error::invalid_parameter("the key must be a JSON object of the key columns")
            .detail(format!(
                "The key of subject type {} is ({}).",
                subject.subject_type,
                subject.key.join(", ")
            ))
            .hint("Give every column of the key, as in '{\"id\": 5}'.")
    })
}

/// The key as the person's row spells it: 7 is 7.00 in a numeric(10,2), and a type may take capitals for small letters.
/// Where there is no such row, as the columns' types do.
fn canonical(graph: &Graph, key: &[String]) -> Result<Vec<String>> {
    let root = &graph.tables[0];
    if !root.may_act() {
        return Err(Error::insufficient_privilege(format!("must be owner of table {}", root.name))
            .detail(format!("Table {} belongs to role {}.", root.qualified, root.owner_name))
            .hint("Call this as the table's owner, as a member of the owning role or as a superuser."));
    }
    let mut values = Values::default();
    let (mut given, mut stored, mut same) = (Vec::new(), Vec::new(), Vec::new());
    for (column, value) in graph.subject.key.iter().filter_map(|name| root.column(name)).zip(key) {
        let place = values.add(value.as_str());
        given.push(spelled(column, &place));
        stored.push(format!("{}::pg_catalog.text", of("t", column.name())));
        same.push(column.typed.equals("t", &place));
    }
    let width = given.len();
    let as_given = format!("SELECT {}", given.join(", "));
    let as_stored =
        format!("SELECT {} FROM {} AS t WHERE {}", stored.join(", "), root.qualified, same.join(" AND "));
    let rows = owner::within(root.owner, &root.qualified, || {
        let mut rows = owner::texts(&as_given, &values, width)?;
        if !root.hides_rows {
            rows.extend(owner::texts(&as_stored, &values, width)?);
        }
        Ok(rows)
    })
    .map_err(|error| Error::new(error.code(), "the key is not of the types of the key columns"))?;
    Ok(rows.into_iter().next_back().unwrap_or_default().into_iter().flatten().collect())
}

/// A value as its column would keep it, where the column would keep all of it.
fn spelled(column: &Column, value: &str) -> String {
    let plain = format!("{value}::{}", column.typed.base_type);
    match (&column.limited_type, &column.typed.equality) {
        (Some(limited), Some(equality)) => format!(
            "(CASE WHEN {plain}::{limited} {equality} {plain} THEN {plain}::{limited} ELSE {plain} END)::pg_catalog.text"
        ),
        _ => format!("({plain})::pg_catalog.text"),
    }
}

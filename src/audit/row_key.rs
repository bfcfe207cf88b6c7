//! A row's key as the log spells it, from a key as somebody asks for it.

use crate::audit::lineage::LoggedShape;
use crate::audit::subject::Subject;
use crate::capture::raw_json;
use crate::error::{Error, Result};
use crate::pg::row_type::RowType;
use crate::pg::tuple::Values;
use serde_json::Value;
use std::collections::BTreeSet;

/// Most bytes of a key's text.
const LIMIT: usize = 250_000_000;

/// Appends the key of a row: the values at `columns` as the capture trigger writes them.
pub fn write(row_type: &RowType, columns: &[usize], row: &Values, out: &mut Vec<u8>) {
    let several = columns.len() > 1;
    if several {
        out.push(b'[');
    }
    for (i, &column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        // A value too large for an index cannot be one.
        if row_type.encoder.write_key(column, row.get(column), out, LIMIT).is_err() {
            out.extend_from_slice(b"null");
        }
    }
    if several {
        out.push(b']');
    }
}

/// Every spelling in the log of the key asked for: one for each set of key columns the table has had
/// whose columns are all given.
pub fn spellings(subject: &Subject, key: &Value) -> Result<BTreeSet<Vec<u8>>> {
    let row_type = subject.relid.and_then(RowType::of_relation);
    let mut lists: Vec<&LoggedShape> = Vec::new();
    for shape in subject.lineage.shapes.iter().filter(|s| !s.key_columns.is_empty()) {
        if !lists.iter().any(|other| other.key_columns == shape.key_columns) {
            lists.push(shape);
        }
    }
    let Some(last) = lists.last() else {
        return Err(Error::not_in_prerequisite_state(format!("table {} has no key", subject.name))
            .detail("Its changes are recorded without row_key, so no row can be told from another.")
            .hint("Give the table a primary key, or ask architect.audit_log by the values of the row."));
    };
    let mut found = BTreeSet::new();
    for shape in &lists {
        if let Some(given) = given(subject, shape, key) {
            found.extend(spell(row_type.as_ref(), &given));
        }
    }
    if found.is_empty() {
        let names: Vec<String> = last
            .key_columns
            .iter()
            .map(|column| subject.lineage.current_name(last, column).unwrap_or_else(|| column.clone()))
            .collect();
        let missing = names.iter().find(|name| key.get(name.as_str()).is_none());
        return Err(Error::invalid_parameter(match missing {
            Some(column) if key.is_object() => format!("key column \"{column}\" is missing in the key"),
            _ => "the key must be a JSON object of the key columns".to_owned(),
        })
        .detail(format!("The key of table {} is ({}).", subject.name, names.join(", ")))
        .hint("Name every column of the key, as in '{\"id\": 5}'."));
    }
    Ok(found)
}

/// A key column: its position in the table now, if it is still there, and the value asked for.
type Given<'a> = (Option<usize>, &'a Value);

fn given<'a>(subject: &Subject, shape: &LoggedShape, key: &'a Value) -> Option<Vec<Given<'a>>> {
    shape
        .key_columns
        .iter()
        .map(|column| {
            let now = subject.lineage.current_name(shape, column);
            let position =
                now.as_ref().and_then(|now| subject.lineage.target.iter().position(|name| name == now));
            let by_name = now.as_ref().and_then(|now| key.get(now)).or_else(|| key.get(column));
            // The only column of a key need not be named.
            let value = match key {
                Value::Object(_) => by_name,
                scalar => (shape.key_columns.len() == 1 && !scalar.is_array()).then_some(scalar),
            };
            value.map(|value| (position, value))
        })
        .collect()
}

fn spell(row_type: Option<&RowType>, given: &[Given]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    for (position, value) in given {
        let ways = match (row_type, position) {
            (Some(row_type), Some(position)) => vec![typed(row_type, *position, value)],
            _ => untyped(value),
        };
        all = all
            .into_iter()
            .flat_map(|so_far| {
                ways.iter().map(move |way| so_far.iter().cloned().chain([way.clone()]).collect::<Vec<_>>())
            })
            .take(256)
            .collect();
    }
    all.into_iter()
        .map(|values| match values.as_slice() {
            [only] => only.clone(),
            several => [b"[", several.join(&b","[..]).as_slice(), b"]"].concat(),
        })
        .collect()
}

/// The value read as its column's type and written as the trigger writes it.
fn typed(row_type: &RowType, position: usize, value: &Value) -> Vec<u8> {
    let name = Value::String(row_type.attributes[position].name.clone());
    let row = row_type.populate(None, format!("{{{name}:{value}}}").as_bytes());
    let mut out = Vec::new();
    if let Some(row) = row_type.expand(row) {
        write(row_type, &[position], &row, &mut out);
    }
    out
}

/// The column is gone, and its type with it: as given, and as a number and a string.
fn untyped(value: &Value) -> Vec<Vec<u8>> {
    let number = |text: &str| {
        serde_json::from_str::<serde_json::Number>(text)
            .is_ok()
            .then(|| raw_json::trimmed_number(text.as_bytes()).to_vec())
    };
    match value {
        Value::Number(n) => {
            let plain = raw_json::trimmed_number(n.to_string().as_bytes()).to_vec();
            let string = [b"\"", plain.as_slice(), b"\""].concat();
            vec![plain, string]
        }
        Value::String(text) => {
            let mut ways = vec![value.to_string().into_bytes()];
            ways.extend(number(text));
            ways
        }
        other => vec![other.to_string().into_bytes()],
    }
}

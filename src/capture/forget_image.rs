//! Values taken out of what an entry says: pure rules over its JSON.
#![forbid(unsafe_code)]

use super::identity_words::Sought;
use super::redaction::{MARKED, MARKER};
use serde_json::{Map, Value};

/// What is to go from an image.
pub struct Removal<'a> {
    /// Columns to clear; none: all.
    pub columns: Option<&'a [String]>,
    /// What has one of these goes, whichever column it is in, and nothing beside it.
    pub sought: &'a Sought,
}

impl Removal<'_> {
    fn clear(&self, column: &str, value: &mut Value) -> bool {
        if value.is_null() || is_marker(value) {
            return false;
        }
        if self.columns.is_none_or(|columns| columns.iter().any(|name| name == column)) {
            *value = marker();
            return true;
        }
        clear_sought(value, self.sought)
    }
}

pub fn marker() -> Value {
    serde_json::from_slice(MARKER).unwrap_or(Value::Null)
}

fn is_marker(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| fields.len() == 1 && fields.contains_key(MARKED))
}

/// Takes texts out that have what is sought, however deep, and nothing beside them; says whether there were any.
pub fn clear_sought(value: &mut Value, sought: &Sought) -> bool {
    if sought.is_empty() {
        return false;
    }
    match value {
        Value::String(text) => {
            let found = sought.is_in(text);
            if found {
                *value = marker();
            }
            found
        }
        Value::Number(number) => {
            let found = sought.is_in(&number.to_string());
            if found {
                *value = marker();
            }
            found
        }
        Value::Array(values) => {
            values.iter_mut().fold(false, |changed, value| clear_sought(value, sought) | changed)
        }
        Value::Object(fields) => clear_fields(fields, sought),
        Value::Null | Value::Bool(_) => false,
    }
}

/// A field whose name has it goes with its value.
fn clear_fields(fields: &mut Map<String, Value>, sought: &Sought) -> bool {
    let mut changed = false;
    for value in fields.values_mut() {
        changed |= clear_sought(value, sought);
    }
    if !fields.keys().any(|name| sought.is_in(name)) {
        return changed;
    }
    let before = std::mem::take(fields);
    for (name, value) in before {
        if sought.is_in(&name) {
            fields.insert(MARKED.to_owned(), Value::Bool(true));
        } else {
            fields.insert(name, value);
        }
    }
    true
}

/// Clears values of an entry's image; says whether any were there.
pub fn clear(operation: u8, image: &mut Value, removal: &Removal) -> bool {
    let Some(fields) = image.as_object_mut() else { return false };
    match operation {
        b'F' => {
            let row =
                fields.get_mut("row").and_then(Value::as_object_mut).is_some_and(|row| plain(row, removal));
            let changes = fields
                .get_mut("changes")
                .and_then(Value::as_object_mut)
                .is_some_and(|changes| pairs(changes, removal));
            row || changes
        }
        // Also of an entry filed under a former key, whose image may be of either kind.
        b'U' | b'K' if fields.contains_key("row") && fields.contains_key("changes") => {
            clear(b'F', image, removal)
        }
        b'U' | b'K' => pairs(fields, removal),
        _ => plain(fields, removal),
    }
}

fn plain(fields: &mut Map<String, Value>, removal: &Removal) -> bool {
    fields.iter_mut().fold(false, |changed, (column, value)| removal.clear(column, value) | changed)
}

fn pairs(fields: &mut Map<String, Value>, removal: &Removal) -> bool {
    let mut changed = false;
    for (column, pair) in fields.iter_mut() {
        for value in pair.as_array_mut().into_iter().flatten() {
            changed |= removal.clear(column, value);
        }
    }
    changed
}

/// Every value an image gives a column.
pub fn values_of<'a>(operation: u8, image: &'a Value, column: &str) -> Vec<&'a Value> {
    let pair = |fields: &'a Value| fields.get(column).and_then(Value::as_array).into_iter().flatten();
    match operation {
        b'I' | b'D' => image.get(column).into_iter().collect(),
        _ => match (image.get("row"), image.get("changes")) {
            (Some(row), Some(changes)) => row.get(column).into_iter().chain(pair(changes)).collect(),
            _ => pair(image).collect(),
        },
    }
}

/// A value as its column's type writes it as text.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        other => Some(other.to_string()),
    }
}

/// Whether two spellings mean the same value: numbers without zeros at their end, times with T or a space.
pub fn same(a: &str, b: &str) -> bool {
    fn plain(text: &str) -> String {
        let number = text.parse::<f64>().is_ok() && text.contains('.') && !text.contains(['e', 'E']);
        if number {
            return text.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        let bytes = text.as_bytes();
        if bytes.len() >= 19 && bytes[10] == b'T' && bytes[4] == b'-' {
            return text.replacen('T', " ", 1).trim_end_matches(":00").to_owned();
        }
        text.to_owned()
    }
    a == b || plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cleared(
        operation: u8,
        mut image: Value,
        columns: Option<&[String]>,
        identities: &[&str],
    ) -> (bool, Value) {
        let sought = Sought::of(identities.iter().copied());
        let changed = clear(operation, &mut image, &Removal { columns, sought: &sought });
        (changed, image)
    }

    #[test]
    fn what_was_erased_goes_from_every_kind_of_entry() {
        let gone = marker();
        let email = ["email".to_owned()];
        assert_eq!(
            cleared(b'I', json!({"id": 1, "email": "a@b", "x": null}), Some(&email), &[]),
            (true, json!({"id": 1, "email": gone, "x": null}))
        );
        assert_eq!(
            cleared(b'U', json!({"email": ["a", "b"], "n": [1, 2]}), Some(&email), &[]),
            (true, json!({"email": [gone, gone], "n": [1, 2]}))
        );
        assert_eq!(
            cleared(
                b'F',
                json!({"row": {"email": "a", "n": 1}, "changes": {"email": ["a", null]}}),
                None,
                &[]
            ),
            (true, json!({"row": {"email": gone, "n": gone}, "changes": {"email": [gone, null]}}))
        );
        assert_eq!(
            cleared(b'K', json!({"row": {"n": 1}, "changes": {"n": [1, 2]}}), None, &[]).1,
            json!({"row": {"n": gone}, "changes": {"n": [gone, gone]}})
        );
    }

    #[test]
    fn an_identity_goes_wherever_it_stands_and_twice_changes_nothing() {
        let image = json!({"note": "met Ann@X.org", "doc": {"deep": ["ann@x.org", 1], "ann@x.org": 2, "b": 3}, "n": 5});
        let (changed, once) = cleared(b'D', image, Some(&[]), &["ann@x.org"]);
        assert!(changed);
        assert_eq!(
            once,
            json!({"note": marker(), "doc": {"deep": [marker(), 1], "architect_redacted": true, "b": 3}, "n": 5})
        );
        assert!(cleared(b'D', once.clone(), None, &["ann@x.org"]).0);
        let all = cleared(b'D', once, None, &[]).1;
        assert_eq!(cleared(b'D', all.clone(), None, &["ann@x.org"]), (false, all));
    }

    #[test]
    fn what_merely_looks_alike_stays_byte_for_byte() {
        let before = r#"{"name":"Anna","mail":"joann@x.org","doc":{"b":1.50,"a":["Ann Archers"]},"n":7}"#;
        let image: Value = serde_json::from_str(before).unwrap_or_default();
        let (changed, after) = cleared(b'I', image, Some(&[]), &["ann@x.org", "Ann Archer", "Ann", "7"]);
        assert!(!changed);
        assert_eq!(after.to_string(), before);
    }

    #[test]
    fn spellings_of_one_value_are_the_same() {
        assert!(
            same("1.50", "1.5")
                && same("7", "7")
                && same("2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05+00")
        );
        assert!(!same("150", "15") && !same("a", "b"));
    }
}

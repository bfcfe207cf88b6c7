//! What takes the place of a value that is erased in a row that stays.
//!
//! Erasing never pseudonymises: where a hash, a pseudonym, noise or shuffling was declared for masking, the
//! value becomes null or, where that cannot be, a constant or random one.
#![forbid(unsafe_code)]

use super::action::{Action, UNITS};
use super::catalogue;
use super::owner::Values;
use super::sql::{array, of};
use super::table::{Column, Kind, Table};
use serde_json::Value;

/// An assignment of an UPDATE.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub column: String,
    pub expression: String,
    /// Gives the same when done again: rows that have it already need not be touched.
    pub steady: bool,
}

/// Why a value stays although it should not.
pub type Kept = (String, &'static str);

const RANDOM: &str = "pg_catalog.replace(pg_catalog.gen_random_uuid()::pg_catalog.text, '-', '')";

/// Replacements for the columns of rows that stay. `declared_only`: columns nobody has declared are left; else
/// whatever can hold text is taken for personal data. `person_columns` narrows it to some. `spare` names columns
/// that must keep their value: keys, references, what has to be retained.
pub fn replacements(
    table: &Table,
    declared_only: bool,
    person_columns: Option<&[String]>,
    spare: &[String],
    always: &[String],
    values: &mut Values,
) -> (Vec<Replacement>, Vec<Kept>) {
    let mut done = Vec::new();
    let mut kept = Vec::new();
    for column in &table.columns {
        let name = column.name();
        let declared: Vec<&catalogue::Column> = table.declared.iter().filter(|d| d.column == name).collect();
        let named = person_columns.is_some_and(|names| names.iter().any(|n| n == name));
        if person_columns.is_some() && !named {
            continue;
        }
        let whole = declared.iter().find(|d| d.json_path.is_empty());
        let paths: Vec<&&catalogue::Column> = declared.iter().filter(|d| !d.json_path.is_empty()).collect();
        let wanted = match whole {
            Some(declaration) => declaration.action != Action::Keep,
            None if !paths.is_empty() => true,
            None => named || always.iter().any(|n| n == name) || (!declared_only && column.holds_text()),
        };
        if !wanted || column.generated {
            continue;
        }
        if spare.iter().any(|n| n == name) || column.identity_always {
            if whole.is_some() || always.iter().any(|n| n == name) {
                kept.push((name.to_owned(), "it is part of a key, refers to a row, or must be retained"));
            }
            continue;
        }
        let replacement = match whole {
            None if !paths.is_empty() => by_path(column, &paths, values),
            Some(declaration) => by_action(column, declaration.action, &declaration.params, values),
            None => by_type(column, values),
        };
        match replacement {
            Some((expression, steady)) => {
                done.push(Replacement { column: name.to_owned(), expression, steady });
            }
            None => kept.push((name.to_owned(), "no value of its type could take its place")),
        }
    }
    (done, kept)
}

fn by_action(column: &Column, action: Action, params: &Value, values: &mut Values) -> Option<(String, bool)> {
    let own = of("t", column.name());
    let number = |name: &str| params.get(name).and_then(Value::as_u64).unwrap_or(0);
    match action {
        Action::Constant if !column.unique => {
            let value = match &params["value"] {
                Value::Null => return by_type(column, values),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((format!("{}::{}", values.add(value), column.full_type), true))
        }
        Action::Partial if column.kind == Kind::Text && !column.unique => {
            let (prefix, suffix) = (number("prefix"), number("suffix"));
            let mask = params.get("mask").and_then(Value::as_str).unwrap_or("*").to_owned();
            let mask = values.add(mask);
            let length = format!("pg_catalog.length({own}::pg_catalog.text)");
            // A value too short to have a middle is masked whole.
            Some((
                format!(
                    "CASE WHEN {length} OPERATOR(pg_catalog.>) {shown} THEN pg_catalog.concat(pg_catalog.left({own}::pg_catalog.text, {prefix}),
                     pg_catalog.repeat({mask}, {length} OPERATOR(pg_catalog.-) {shown}), pg_catalog.right({own}::pg_catalog.text, {suffix}))
                     ELSE pg_catalog.repeat({mask}, {length}) END::{type_name}",
                    shown = prefix + suffix,
                    type_name = column.full_type,
                ),
                true,
            ))
        }
        Action::Generalise => match column.kind {
            Kind::Date | Kind::Timestamp => {
                let unit = params.get("unit").and_then(Value::as_str).unwrap_or("year");
                let unit = UNITS.iter().find(|known| **known == unit)?;
                Some((format!("pg_catalog.date_trunc('{unit}', {own})::{}", column.full_type), true))
            }
            Kind::Number if !column.unique => {
                let step = values.add(params.get("step").map_or("100".to_owned(), Value::to_string));
                Some((
                    format!(
                        "(pg_catalog.floor({own}::pg_catalog.numeric OPERATOR(pg_catalog./) {step}::pg_catalog.numeric)
                          OPERATOR(pg_catalog.*) {step}::pg_catalog.numeric)::{}",
                        column.full_type
                    ),
                    true,
                ))
            }
            _ => by_type(column, values),
        },
        Action::Random if column.kind == Kind::Text => Some(random_text(column)),
        _ => by_type(column, values),
    }
}

/// What stands for a text that there must be.
const ERASED: &str = "erased";
/// Behind it where it must be an address: in a domain nobody can have.
const DOMAIN: &str = "@erased.invalid";
/// Digits behind the word, in hexadecimal, where the column has room.
const DIGITS: i32 = 32;
/// Shorter columns have no room for the word and digits enough.
const FEWEST: i32 = 13;

/// `erased-` and something random, kept once it is there: of exactly this shape, so that nobody is spared who calls
/// himself so.
fn random_text(column: &Column) -> (String, bool) {
    let own = of("t", column.name());
    let behind = if column.wants_at { DOMAIN } else { "" };
    let room = column.length.map_or(DIGITS, |length| length - (ERASED.len() + 1 + behind.len()) as i32);
    if room < FEWEST {
        let length = column.length.unwrap_or(DIGITS);
        return (format!("pg_catalog.left({RANDOM}, {length})::{}", column.full_type), false);
    }
    let digits = room.min(DIGITS);
    (
        format!(
            "CASE WHEN {own}::pg_catalog.text OPERATOR(pg_catalog.~) '^{ERASED}-[0-9a-f]{{{digits}}}{behind}$' THEN {own}
              ELSE pg_catalog.concat('{ERASED}-', pg_catalog.left({RANDOM}, {digits}), '{behind}')::{} END",
            column.full_type
        ),
        true,
    )
}

/// Whether a text is one that erasing writes.
pub fn is_ours(text: &str) -> bool {
    let text = text.strip_suffix(DOMAIN).unwrap_or(text);
    if !text.is_empty() && ERASED.starts_with(text) {
        return true;
    }
    let Some(digits) = text.strip_prefix(ERASED).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    (FEWEST..=DIGITS).contains(&(digits.len() as i32))
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Nothing, where there may be nothing, else what says least.
fn by_type(column: &Column, values: &mut Values) -> Option<(String, bool)> {
    if !column.not_null {
        return Some((format!("NULL::{}", column.full_type), true));
    }
    let own = of("t", column.name());
    let constant =
        |text: &str, values: &mut Values| Some((format!("{}::{}", values.add(text), column.full_type), true));
    match column.kind {
        Kind::Text if column.unique => Some(random_text(column)),
        Kind::Text => {
            if column.wants_at
                && column.length.is_none_or(|length| length as usize >= ERASED.len() + DOMAIN.len())
            {
                return constant(&format!("{ERASED}{DOMAIN}"), values);
            }
            let word: String = ERASED.chars().take(column.length.unwrap_or(6).max(0) as usize).collect();
            constant(&word, values)
        }
        Kind::Uuid => Some((format!("pg_catalog.gen_random_uuid()::{}", column.full_type), false)),
        _ if column.unique => None,
        Kind::Number => constant("0", values),
        Kind::Date | Kind::Timestamp => {
            Some((format!("pg_catalog.date_trunc('year', {own})::{}", column.full_type), true))
        }
        Kind::Bool => constant("false", values),
        Kind::Bytes => constant("", values),
        Kind::Network => constant("0.0.0.0", values),
        Kind::Json | Kind::Jsonb => constant("{}", values),
        Kind::Array => constant("{}", values),
        Kind::Made if column.typed.base_type == "macaddr" => constant("00:00:00:00:00:00", values),
        // Where the type takes an empty text; where it does not, the plan says so.
        Kind::Made => constant("", values),
        Kind::Other => None,
    }
}

/// A json column with what was declared at its paths taken out or put in place.
fn by_path(column: &Column, paths: &[&&catalogue::Column], values: &mut Values) -> Option<(String, bool)> {
    if !matches!(column.kind, Kind::Json | Kind::Jsonb) {
        return None;
    }
    let own = of("t", column.name());
    let mut document = format!("{own}::pg_catalog.jsonb");
    for declared in paths {
        let path = values.add(array(declared.json_path.iter().map(|step| Some(step.as_str()))));
        let path = format!("{path}::pg_catalog.text[]");
        document = match declared.action {
            Action::Keep => document,
            Action::Constant => {
                let value = values.add(declared.params["value"].to_string());
                format!("pg_catalog.jsonb_set({document}, {path}, {value}::pg_catalog.jsonb, false)")
            }
            _ => format!("({document} OPERATOR(pg_catalog.#-) {path})"),
        };
    }
    Some((
        format!(
            "CASE WHEN pg_catalog.jsonb_typeof({own}::pg_catalog.jsonb) OPERATOR(pg_catalog.=) ANY ('{{object,array}}'::pg_catalog.text[])
              THEN {document}::{type_name} ELSE {own} END",
            type_name = column.full_type
        ),
        true,
    ))
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_what_erasing_writes_is_ours() {
        for text in ["erased", "era", "erased-0123456789abcdef0123456789abcdef", "erased-0123456789abc"] {
            assert!(is_ours(text), "{text}");
        }
        for text in [
            "",
            "erased-",
            "erased-john",
            "erased-0123456789ABC",
            "erased-0123456789abcdef0123456789abcdef0",
            "erased ",
        ] {
            assert!(!is_ours(text), "{text}");
        }
    }
}

//! What happens to each column: rules that were declared or given, checked against the table.

use super::pseudonym::Format;
use super::table::Column;
use crate::privacy::action::Action;
use pgrx::pg_sys;
use serde_json::Value;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Rule {
    pub column: String,
    pub json_path: Vec<String>,
    pub category: String,
    pub action: Action,
    pub params: Value,
}

/// A rule that can be carried out.
#[derive(Clone, Debug)]
pub struct Checked {
    pub rule: Rule,
    pub column: Column,
    /// For pseudonyms and hashes.
    pub format: Option<Format>,
    /// Told apart from other pseudonyms by it.
    pub domain: String,
    /// A pseudonym may be what another row has still to be masked from, and the column is unique: new values
    /// are put out of the way first and in their places when all are masked.
    pub aside: bool,
}

/// Kinds of values, as far as actions tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Text,
    Integer,
    /// Numbers with a fraction.
    Number,
    Date,
    Timestamp,
    Network,
    Uuid,
    Boolean,
    Bytes,
    Json,
    Other,
}

pub fn kind(column: &Column) -> Kind {
    match column.base {
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Kind::Integer,
        pg_sys::NUMERICOID | pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => Kind::Number,
        pg_sys::DATEOID => Kind::Date,
        pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Kind::Timestamp,
        pg_sys::INETOID => Kind::Network,
        pg_sys::UUIDOID => Kind::Uuid,
        pg_sys::BOOLOID => Kind::Boolean,
        pg_sys::BYTEAOID => Kind::Bytes,
        pg_sys::JSONOID | pg_sys::JSONBOID => Kind::Json,
        _ if column.category == 'S' => Kind::Text,
        _ => Kind::Other,
    }
}

/// The rule with what it needs, or why it cannot be carried out.
pub fn check(rule: Rule, columns: &[Column]) -> Result<Checked, String> {
    let Some(column) = columns.iter().find(|column| column.name == rule.column) else {
        return Err("there is no such column".into());
    };
    let within = !rule.json_path.is_empty();
    // What a path within json holds is text, as far as a rule can know.
    let kind = if within { Kind::Text } else { kind(column) };
    if within && self::kind(column) != Kind::Json {
        return Err("the column is not json".into());
    }
    if column.generated {
        return Err("the column is generated: mask the columns it is computed from".into());
    }
    if column.identity_always {
        return Err("the column is GENERATED ALWAYS AS IDENTITY, which no UPDATE may change".into());
    }
    if column.partition_key {
        return Err(
            "the column is in the partition key: masking it would move rows between partitions".into()
        );
    }
    let changes_keys = column.foreign_key && !within;
    if changes_keys && rule.action != Action::Pseudonym && rule.action != Action::Null {
        return Err(
            "the column is in a foreign key: only pseudonyms keep it valid, declared on both sides".into()
        );
    }
    let fits = match rule.action {
        Action::Keep => true,
        Action::DeleteRow => return Err("rows are deleted by erasing, not by masking".into()),
        Action::Null => {
            if column.not_null && !within {
                return Err("the column is NOT NULL".into());
            }
            true
        }
        Action::Constant => {
            if column.unique_alone && !within {
                return Err("the column is unique: rows would have the same value".into());
            }
            true
        }
        Action::Random => !matches!(kind, Kind::Json | Kind::Other),
        Action::Hash => matches!(kind, Kind::Text | Kind::Bytes),
        Action::Pseudonym => matches!(kind, Kind::Text | Kind::Integer | Kind::Uuid),
        Action::Partial => kind == Kind::Text,
        Action::Generalise => matches!(
            (kind, ["unit", "step", "bits"].map(|name| rule.params.get(name).is_some())),
            (Kind::Date | Kind::Timestamp, [true, false, false])
                | (Kind::Integer | Kind::Number, [false, true, false])
                | (Kind::Network, [false, false, true])
        ),
        Action::Noise => matches!(
            (kind, ["ratio", "amount", "interval"].map(|name| rule.params.get(name).is_some())),
            (Kind::Integer | Kind::Number, [true, false, false] | [false, true, false])
                | (Kind::Date | Kind::Timestamp, [false, false, true])
        ),
        Action::Shuffle => !within,
    };
    if !fits {
        return Err(format!(
            "action {} with these parameters is not for type {}",
            rule.action.name(),
            if within { "text within json" } else { &column.type_name }
        ));
    }
    let loses = matches!(rule.action, Action::Partial | Action::Generalise | Action::Noise | Action::Shuffle);
    if loses && column.unique && !within {
        return Err(format!("the column is unique, which action {} does not keep", rule.action.name()));
    }
    let format = format_of(&rule, kind)?;
    if let (Some(format), Some(longest)) = (format, column.longest)
        && !within
        && longest < format.least()
        && (format == Format::Hash || column.unique || format.length().is_some_and(|_| longest < 8))
    {
        return Err(format!("{longest} characters are too few to tell its pseudonyms apart"));
    }
    let domain = match rule.params.get("domain").and_then(Value::as_str) {
        Some(domain) => domain.to_owned(),
        // What a foreign key compares must become the same on both sides, however it is declared.
        None if column.foreign_key && !within => column.domain.clone(),
        None if !rule.category.is_empty() => format!("category {}", rule.category),
        None if within => format!("{} #> {{{}}}", column.domain, rule.json_path.join(",")),
        None => column.domain.clone(),
    };
    let alike = kind == Kind::Integer || format == Some(Format::Digits);
    let aside = rule.action == Action::Pseudonym && alike && column.unique && !within;
    if aside && kind != Kind::Integer && column.longest.is_some() {
        return Err(
            "the column is unique and of limited length, which format digits cannot do: choose format text"
                .into(),
        );
    }
    Ok(Checked { column: column.clone(), format, domain, aside, rule })
}

fn format_of(rule: &Rule, kind: Kind) -> Result<Option<Format>, String> {
    match rule.action {
        Action::Hash => Ok(Some(Format::Hash)),
        Action::Pseudonym => match rule.params.get("format").and_then(Value::as_str) {
            Some(name) => Format::parse(name)
                .map(Some)
                .ok_or_else(|| "formats are text, email, digits, name and uuid".to_owned()),
            None => Ok(Some(match (kind, rule.category.as_str()) {
                (Kind::Uuid, _) => Format::Uuid,
                (_, "email") => Format::Email,
                (_, "phone" | "national_id" | "payment_card" | "postal_code") => Format::Digits,
                (_, "person_name") => Format::Name,
                _ => Format::Text,
            })),
        },
        _ => Ok(None),
    }
}

/// What the result is, in the law's words.
pub fn standing(action: Action) -> &'static str {
    match action {
        Action::Keep => "kept, personal data",
        action if action.anonymises() => "anonymised",
        _ => "pseudonymised, still personal data",
    }
}

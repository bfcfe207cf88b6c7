//! The SQL expression of a rule. Names come quoted from the catalogue, values go as parameters.
#![forbid(unsafe_code)]

use super::rules::{Checked, Kind, kind};
use crate::privacy::action::Action;
use pgrx::spi::{quote_identifier, quote_literal};
use serde_json::Value;

/// Values of a statement: its parameters after the fixed ones, all of type text, or literals.
pub struct Parameters {
    /// Number of the first of them; none for literals.
    first: Option<usize>,
    pub values: Vec<Option<String>>,
    /// What comes before the name of a column.
    prefix: &'static str,
}

impl Parameters {
    pub fn from(first: usize) -> Self {
        Self { first: Some(first), values: Vec::new(), prefix: "t." }
    }

    /// For a view, which has no parameters.
    pub fn literals() -> Self {
        Self { first: None, values: Vec::new(), prefix: "t." }
    }

    /// For ALTER TABLE, which has none, and in which each partition goes by its own name.
    pub fn unqualified() -> Self {
        Self { first: None, values: Vec::new(), prefix: "" }
    }

    fn text(&mut self, value: Option<String>) -> String {
        let Some(first) = self.first else {
            let literal = value.as_ref().map_or_else(|| "NULL".to_owned(), quote_literal);
            return format!("{literal}::pg_catalog.text");
        };
        self.values.push(value);
        format!("${}::pg_catalog.text", first + self.values.len() - 1)
    }
}

/// Quoted name and new value of each column; `token` is the place of the parameter that
/// opens the pseudonyms, which the rules that have a format number in their order.
pub fn values(checked: &[Checked], token: &str, parameters: &mut Parameters) -> Vec<(String, String)> {
    let mut columns: Vec<(&Checked, String)> = Vec::new();
    let mut number = 0;
    for rule in checked.iter().filter(|c| !matches!(c.rule.action, Action::Keep | Action::Shuffle)) {
        let value = format!("{}{}", parameters.prefix, quote_identifier(&rule.column.name));
        if rule.rule.json_path.is_empty() {
            let masked = masked(rule, kind(&rule.column), &value, number, token, parameters);
            columns.push((rule, if rule.aside { aside(rule, &masked) } else { masked }));
        } else {
            let path = parameters.text(Some(array_literal(&rule.rule.json_path)));
            let path = format!("{path}::pg_catalog.text[]");
            let text = format!("({value}::pg_catalog.jsonb OPERATOR(pg_catalog.#>>) {path})");
            let masked = masked(rule, Kind::Text, &text, number, token, parameters);
            let whole = |inner: &str| {
                // Only what is there is replaced.
                format!(
                    "pg_catalog.jsonb_set({inner}, {path},
                        COALESCE(pg_catalog.to_jsonb(({masked})::pg_catalog.text), 'null'::pg_catalog.jsonb), false)"
                )
            };
            match columns.iter_mut().find(|(known, _)| known.column.name == rule.column.name) {
                Some((_, expression)) => *expression = whole(expression),
                None => columns.push((rule, whole(&format!("{value}::pg_catalog.jsonb")))),
            }
        }
        number += usize::from(rule.format.is_some());
    }
    columns
        .into_iter()
        .map(|(rule, expression)| {
            (quote_identifier(&rule.column.name), format!("CAST({expression} AS {})", rule.column.type_name))
        })
        .collect()
}

/// Out of the way of values that are still to be masked: below zero, or behind a sign that no value begins with.
fn aside(checked: &Checked, masked: &str) -> String {
    match kind(&checked.column) {
        Kind::Integer => format!("(OPERATOR(pg_catalog.~) ({masked}))"),
        _ => format!("'{ASIDE}' OPERATOR(pg_catalog.||) ({masked})"),
    }
}

const ASIDE: &str = "\u{1}";

/// Name and value of a column whose values were put aside, put in their places, and whether one still is.
pub fn settled(checked: &Checked) -> (String, String, String) {
    let name = quote_identifier(&checked.column.name);
    let value = format!("t.{name}");
    let (still, settled) = match kind(&checked.column) {
        Kind::Integer => {
            (format!("{value} OPERATOR(pg_catalog.<) 0"), format!("(OPERATOR(pg_catalog.~) {value})"))
        }
        _ => (
            format!("pg_catalog.starts_with({value}::pg_catalog.text, '{ASIDE}')"),
            format!("pg_catalog.substr({value}::pg_catalog.text, 2)"),
        ),
    };
    let whole =
        format!("CAST(CASE WHEN {still} THEN {settled} ELSE {value} END AS {})", checked.column.type_name);
    (name, whole, still)
}

fn masked(
    checked: &Checked,
    kind: Kind,
    value: &str,
    number: usize,
    token: &str,
    parameters: &mut Parameters,
) -> String {
    let params = &checked.rule.params;
    let text = |value: &str| format!("{value}::pg_catalog.text");
    let number_of = |name: &str| params.get(name).map(Value::to_string);
    let float = |parameters: &mut Parameters, name: &str| {
        format!("{}::pg_catalog.numeric", parameters.text(number_of(name)))
    };
    match checked.rule.action {
        Action::Keep | Action::DeleteRow | Action::Shuffle => value.to_owned(),
        Action::Null => "NULL".to_owned(),
        Action::Constant => {
            let constant = match params.get("value") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            };
            parameters.text(constant)
        }
        Action::Random => format!("CASE WHEN {value} IS NOT NULL THEN {} END", random(checked, kind)),
        Action::Hash if kind == Kind::Bytes => {
            format!(
                "pg_catalog.decode(architect.mask_text({token}, {number}, pg_catalog.encode({value}, 'hex')), 'hex')"
            )
        }
        Action::Pseudonym if kind == Kind::Integer => {
            format!("architect.mask_integer({token}, {number}, {value}::pg_catalog.int8)")
        }
        Action::Hash | Action::Pseudonym => {
            format!("architect.mask_text({token}, {number}, {})", text(value))
        }
        Action::Partial => {
            let length = |name: &str| params.get(name).and_then(Value::as_u64).unwrap_or(0);
            let (prefix, suffix) = (length("prefix"), length("suffix"));
            let mask = params.get("mask").and_then(Value::as_str).unwrap_or("*").to_owned();
            let mask = parameters.text(Some(mask));
            let value = text(value);
            let all = format!("pg_catalog.char_length({value})");
            // A value too short to keep something secret is masked whole.
            format!(
                "CASE WHEN {all} OPERATOR(pg_catalog.<=) {} THEN pg_catalog.repeat({mask}, {all})
                      ELSE pg_catalog.\"left\"({value}, {prefix}) OPERATOR(pg_catalog.||)
                           pg_catalog.repeat({mask}, {all} OPERATOR(pg_catalog.-) {}) OPERATOR(pg_catalog.||)
                           pg_catalog.\"right\"({value}, {suffix}) END",
                prefix + suffix,
                prefix + suffix
            )
        }
        Action::Generalise => match kind {
            Kind::Date | Kind::Timestamp => {
                let unit = parameters.text(params.get("unit").and_then(Value::as_str).map(str::to_owned));
                format!(
                    "pg_catalog.date_trunc({unit}, {value}{})",
                    if kind == Kind::Date { "::pg_catalog.timestamp" } else { "" }
                )
            }
            Kind::Network => {
                let bits = number_of("bits");
                let bits = parameters.text(bits);
                format!(
                    "pg_catalog.network(pg_catalog.set_masklen({value}, CASE WHEN {bits}::pg_catalog.int4 OPERATOR(pg_catalog.>)
                        pg_catalog.masklen({value}) THEN pg_catalog.masklen({value}) ELSE {bits}::pg_catalog.int4 END))"
                )
            }
            _ => {
                let step = float(parameters, "step");
                format!(
                    "pg_catalog.floor({value}::pg_catalog.numeric OPERATOR(pg_catalog./) {step}) OPERATOR(pg_catalog.*) {step}"
                )
            }
        },
        Action::Noise => {
            let spread = "((pg_catalog.random() OPERATOR(pg_catalog.*) 2) OPERATOR(pg_catalog.-) 1)";
            match kind {
                Kind::Date | Kind::Timestamp => {
                    let interval =
                        parameters.text(params.get("interval").and_then(Value::as_str).map(str::to_owned));
                    format!(
                        "{value} OPERATOR(pg_catalog.+) ({interval}::pg_catalog.interval OPERATOR(pg_catalog.*) {spread})"
                    )
                }
                _ if params.get("ratio").is_some() => {
                    let ratio = float(parameters, "ratio");
                    format!(
                        "{value}::pg_catalog.numeric OPERATOR(pg_catalog.*)
                         (1 OPERATOR(pg_catalog.+) {ratio} OPERATOR(pg_catalog.*) {spread}::pg_catalog.numeric)"
                    )
                }
                _ => {
                    let amount = float(parameters, "amount");
                    format!(
                        "{value}::pg_catalog.numeric OPERATOR(pg_catalog.+) ({amount} OPERATOR(pg_catalog.*) {spread}::pg_catalog.numeric)"
                    )
                }
            }
        }
    }
}

/// A value that says nothing of the one before.
fn random(checked: &Checked, kind: Kind) -> String {
    let uuid = "pg_catalog.replace(pg_catalog.gen_random_uuid()::pg_catalog.text, '-', '')";
    match kind {
        Kind::Text | Kind::Json | Kind::Other => match checked.column.longest {
            Some(longest) if longest < 32 && checked.rule.json_path.is_empty() => {
                format!("pg_catalog.\"left\"({uuid}, {longest})")
            }
            _ => uuid.to_owned(),
        },
        Kind::Integer => {
            // Within the range of smallint, or of integer for the wider types.
            let most = if checked.column.base == pgrx::pg_sys::INT2OID { 32_767 } else { 2_147_483_647 };
            format!("pg_catalog.floor(pg_catalog.random() OPERATOR(pg_catalog.*) {most})")
        }
        Kind::Number => "pg_catalog.round((pg_catalog.random() OPERATOR(pg_catalog.*) 1000)::pg_catalog.numeric, 2)".to_owned(),
        Kind::Date | Kind::Timestamp => "'1970-01-01'::pg_catalog.timestamp OPERATOR(pg_catalog.+)
             ('1 day'::pg_catalog.interval OPERATOR(pg_catalog.*) pg_catalog.floor(pg_catalog.random() OPERATOR(pg_catalog.*) 18000))"
            .to_owned(),
        Kind::Network => "'10.0.0.0'::pg_catalog.inet OPERATOR(pg_catalog.+)
             pg_catalog.floor(pg_catalog.random() OPERATOR(pg_catalog.*) 16777216)::pg_catalog.int8"
            .to_owned(),
        Kind::Uuid => "pg_catalog.gen_random_uuid()".to_owned(),
        Kind::Boolean => "pg_catalog.random() OPERATOR(pg_catalog.<) 0.5".to_owned(),
        Kind::Bytes => format!("pg_catalog.decode({uuid}, 'hex')"),
    }
}

/// A text array as PostgreSQL reads it.
fn array_literal(items: &[String]) -> String {
    let quoted: Vec<String> =
        items.iter().map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

//! What may happen to a value: a closed set, with typed parameters and no SQL.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Keep,
    Null,
    Constant,
    Random,
    Hash,
    Pseudonym,
    Partial,
    Generalise,
    Noise,
    Shuffle,
    DeleteRow,
}

/// Names, and the parameters each action takes.
const ACTIONS: &[(Action, &str, &[&str])] = &[
    (Action::Keep, "keep", &[]),
    (Action::Null, "null", &[]),
    (Action::Constant, "constant", &["value"]),
    (Action::Random, "random", &[]),
    (Action::Hash, "hash", &["domain"]),
    (Action::Pseudonym, "pseudonym", &["domain", "format"]),
    (Action::Partial, "partial", &["prefix", "suffix", "mask"]),
    (Action::Generalise, "generalise", &["unit", "step", "bits"]),
    (Action::Noise, "noise", &["ratio", "amount", "interval"]),
    (Action::Shuffle, "shuffle", &[]),
    (Action::DeleteRow, "delete_row", &[]),
];

/// Units a date or time is cut to.
pub const UNITS: &[&str] = &["century", "decade", "year", "quarter", "month", "week", "day", "hour"];

impl Action {
    pub fn parse(text: &str) -> Result<Self> {
        ACTIONS.iter().find(|(_, name, _)| *name == text).map(|(action, ..)| *action).ok_or_else(|| {
            let names: Vec<&str> = ACTIONS.iter().map(|(_, name, _)| *name).collect();
            Error::invalid_parameter(format!("unrecognized action \"{text}\""))
                .hint(format!("Actions are {}.", names.join(", ")))
        })
    }

    pub fn name(self) -> &'static str {
        ACTIONS.iter().find(|(action, ..)| *action == self).map_or("", |(_, name, _)| name)
    }

    /// Whether the result says nothing of the person any more. Of the others it is pseudonymised or kept,
    /// still personal data.
    pub fn anonymises(self) -> bool {
        matches!(self, Self::Null | Self::Constant | Self::Random | Self::DeleteRow)
    }

    /// Refuses parameters the action does not have, and values that are none.
    pub fn check(self, params: &Value) -> Result<()> {
        let known = ACTIONS.iter().find(|(action, ..)| *action == self).map_or(&[][..], |(.., known)| known);
        let Some(params) = params.as_object() else {
            return Err(Error::invalid_parameter("params must be a JSON object"));
        };
        if let Some(unknown) = params.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Error::invalid_parameter(format!(
                "action {} has no parameter \"{unknown}\"",
                self.name()
            ))
            .hint(if known.is_empty() {
                "It takes none.".to_owned()
            } else {
                format!("It takes {}.", known.join(", "))
            }));
        }
        for (name, value) in params {
            let (valid, wanted) = match name.as_str() {
                "value" => (!value.is_array() && !value.is_object(), "a string, a number, a boolean or null"),
                "prefix" | "suffix" => {
                    (value.as_u64().is_some_and(|n| n <= 1000), "a number of characters, 1000 at most")
                }
                "bits" => (value.as_u64().is_some_and(|n| n <= 128), "a number of bits, 128 at most"),
                "mask" => {
                    (value.as_str().is_some_and(|text| text.chars().count() == 1), "a single character")
                }
                "unit" => (value.as_str().is_some_and(|unit| UNITS.contains(&unit)), "a unit of time"),
                "step" | "amount" | "ratio" => {
                    (value.as_f64().is_some_and(|n| n > 0.0 && n.is_finite()), "a number above zero")
                }
                _ => (value.is_string(), "a string"),
            };
            if !valid {
                return Err(Error::invalid_parameter(format!(
                    "invalid value for parameter \"{name}\" of action {}",
                    self.name()
                ))
                .hint(format!("It must be {wanted}.")));
            }
        }
        if self == Self::Constant && !params.contains_key("value") {
            return Err(Error::invalid_parameter("action constant needs parameter \"value\""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_read_back() {
        for (action, name, _) in ACTIONS {
            assert_eq!(Action::parse(name).map(Action::name).ok(), Some(*name));
            assert_eq!(action.name(), *name);
        }
        assert!(Action::parse("sql").is_err());
    }

    #[test]
    fn only_known_parameters_of_the_right_kind_pass() {
        assert!(Action::Partial.check(&json!({"prefix": 2, "suffix": 0, "mask": "*"})).is_ok());
        assert!(Action::Partial.check(&json!({"prefix": -1})).is_err());
        assert!(Action::Partial.check(&json!({"expression": "now()"})).is_err());
        assert!(Action::Constant.check(&json!({"value": "x"})).is_ok());
        assert!(Action::Constant.check(&json!({})).is_err());
        assert!(Action::Constant.check(&json!({"value": ["x"]})).is_err());
        assert!(Action::Generalise.check(&json!({"unit": "year'); DROP"})).is_err());
        assert!(Action::Keep.check(&json!([])).is_err());
    }
}

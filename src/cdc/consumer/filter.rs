//! Which events a consumer wants.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};

pub const OPERATIONS: [&str; 5] = ["insert", "update", "delete", "truncate", "event"];

/// What a consumer was created with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Numbers of tables; none for all.
    pub tables: Option<Vec<i32>>,
    /// Topics of emit_event(); none for all where `tables` is none too, else for no topic.
    pub topics: Option<Vec<String>>,
    pub operations: Vec<String>,
}

impl Filter {
    pub fn checked(self) -> Result<Self> {
        if self.operations.is_empty() {
            return Err(Error::invalid_parameter("a consumer of no operation would get nothing")
                .hint(format!("Available operations: {}.", OPERATIONS.join(", "))));
        }
        match self.operations.iter().find(|wanted| !OPERATIONS.contains(&wanted.as_str())) {
            Some(unknown) => Err(Error::invalid_parameter(format!("unrecognized operation \"{unknown}\""))
                .hint(format!("Available operations: {}.", OPERATIONS.join(", ")))),
            None => Ok(self),
        }
    }

    pub fn wants_operation(&self, operation: u8) -> bool {
        self.operations.iter().any(|wanted| wanted == operation_name(operation))
    }

    pub fn wants_table(&self, table: i32) -> bool {
        self.tables.as_ref().is_none_or(|tables| tables.contains(&table))
    }

    /// Whether every topic is wanted, so that no event need be looked into.
    pub fn wants_topics(&self) -> Topics<'_> {
        match (&self.topics, &self.tables) {
            (Some(topics), _) => Topics::Only(topics),
            (None, None) => Topics::All,
            (None, Some(_)) => Topics::None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Topics<'a> {
    All,
    None,
    Only(&'a [String]),
}

/// What an operation of the feed is called.
pub fn operation_name(operation: u8) -> &'static str {
    match operation {
        b'I' => "insert",
        b'D' => "delete",
        b'T' => "truncate",
        b'E' => "event",
        b'R' => "read",
        _ => "update",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_topics_go_together() {
        let everything = Filter::default();
        assert!(everything.wants_table(1) && everything.wants_topics() == Topics::All);
        let one = Filter { tables: Some(vec![1]), ..Filter::default() };
        assert!(one.wants_table(1) && !one.wants_table(2) && one.wants_topics() == Topics::None);
        let outbox = Filter { tables: Some(vec![]), topics: Some(vec!["t".into()]), ..Filter::default() };
        assert!(!outbox.wants_table(1) && outbox.wants_topics() == Topics::Only(&["t".to_owned()]));
    }

    #[test]
    fn operations_are_known_ones() {
        let of = |names: &[&str]| {
            Filter { operations: names.iter().map(|s| (*s).to_owned()).collect(), ..Filter::default() }
                .checked()
        };
        assert!(of(&["insert", "event"]).is_ok_and(|f| f.wants_operation(b'I') && !f.wants_operation(b'F')));
        assert!(of(&["update"]).is_ok_and(|f| f.wants_operation(b'F') && f.wants_operation(b'U')));
        assert!(of(&["upsert"]).is_err() && of(&[]).is_err());
    }
}

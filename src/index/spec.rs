//! An index that could be created, in PostgreSQL's words and ours.

use crate::pg::lookup;
use crate::pg::query_shape::Key;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;
use std::collections::BTreeSet;

/// Included columns that are still taken for an index and not for a second table.
pub const MOST_INCLUDED: usize = 6;

/// An index that could be created.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spec {
    pub relid: pg_sys::Oid,
    pub method: String,
    pub keys: Vec<SpecKey>,
    pub included: Vec<i16>,
    pub predicate: Option<String>,
    /// With full pages: for a table that is not written.
    pub packed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpecKey {
    pub key: Key,
    /// Qualified, where it is not the default.
    pub opclass: Option<String>,
    pub descending: bool,
    pub nulls_first: bool,
}

impl SpecKey {
    pub fn plain(key: Key) -> Self {
        Self { key, opclass: None, descending: false, nulls_first: false }
    }
}

impl Spec {
    pub fn btree(relid: pg_sys::Oid, keys: Vec<SpecKey>) -> Self {
        Self { relid, method: "btree".to_owned(), keys, included: Vec::new(), predicate: None, packed: false }
    }

    /// The statement that creates it, without a final semicolon.
    pub fn statement(&self, name: Option<&str>, concurrently: bool) -> String {
        let table = lookup::qualified_name(self.relid).unwrap_or_default();
        let how = if concurrently { "CONCURRENTLY " } else { "" };
        let name = name.map(|name| format!("{} ", quote_identifier(name))).unwrap_or_default();
        format!("CREATE INDEX {how}{name}ON {table} {}", self.definition())
    }

    /// What follows the table's name in it.
    pub fn definition(&self) -> String {
        let mut text = String::new();
        if self.method != "btree" {
            text.push_str(&format!("USING {} ", self.method));
        }
        let keys: Vec<String> = self.keys.iter().map(|key| self.spelled(key)).collect();
        text.push_str(&format!("({})", keys.join(", ")));
        if !self.included.is_empty() {
            text.push_str(&format!(" INCLUDE ({})", self.names(&self.included).join(", ")));
        }
        if self.packed {
            text.push_str(" WITH (fillfactor = 100)");
        }
        if let Some(predicate) = &self.predicate {
            text.push_str(&format!(" WHERE {predicate}"));
        }
        text
    }

    fn spelled(&self, key: &SpecKey) -> String {
        let mut text = match &key.key {
            Key::Column(column) => self.names(&[*column]).join(""),
            Key::Expression(sql) => format!("({sql})"),
        };
        if let Some(opclass) = &key.opclass {
            text.push_str(&format!(" {opclass}"));
        }
        if key.descending {
            text.push_str(" DESC");
        }
        if key.nulls_first != key.descending {
            text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
        text
    }

    fn names(&self, columns: &[i16]) -> Vec<String> {
        columns
            .iter()
            .map(|column| quote_identifier(lookup::attribute_name(self.relid, *column).unwrap_or_default()))
            .collect()
    }

    /// Keys, then included columns, as a report lists them.
    pub fn columns(&self) -> Vec<String> {
        let mut list: Vec<String> = self
            .keys
            .iter()
            .map(|key| match &key.key {
                Key::Column(column) => lookup::attribute_name(self.relid, *column).unwrap_or_default(),
                Key::Expression(sql) => sql.clone(),
            })
            .collect();
        list.extend(self.included.iter().filter_map(|column| lookup::attribute_name(self.relid, *column)));
        list
    }

    /// On one column or expression, and nothing else.
    pub fn is_simple(&self) -> bool {
        self.keys.len() == 1 && self.included.is_empty() && self.predicate.is_none()
    }

    /// One index that does what two do: the longer keys, and the columns of both. None where the keys of one
    /// do not begin with those of the other, or that is one of the two.
    pub fn merged(&self, other: &Self) -> Option<Self> {
        let (long, short) = if self.keys.len() >= other.keys.len() { (self, other) } else { (other, self) };
        if (self.relid, &self.method, &self.predicate, self.packed)
            != (other.relid, &other.method, &other.predicate, other.packed)
            || self.method != "btree"
            || !long.keys.starts_with(&short.keys)
        {
            return None;
        }
        let mut merged = Self { included: Vec::new(), ..long.clone() };
        let stored = merged.watched();
        merged.included = self
            .included
            .iter()
            .chain(&other.included)
            .copied()
            .filter(|column| !stored.contains(column))
            .collect::<BTreeSet<i16>>()
            .into_iter()
            .collect();
        (merged.included.len() <= MOST_INCLUDED && merged != *self && merged != *other).then_some(merged)
    }

    /// Keys as they name the index, expressions as PostgreSQL calls them there.
    pub fn key_names(&self) -> Vec<String> {
        let name = |key: &SpecKey| match key.key {
            Key::Column(column) => lookup::attribute_name(self.relid, column).unwrap_or_default(),
            Key::Expression(_) => "expr".to_owned(),
        };
        self.keys.iter().map(name).collect()
    }

    /// Columns whose change changes the index.
    pub fn watched(&self) -> Vec<i16> {
        let mut columns = self.included.clone();
        columns.extend(self.keys.iter().filter_map(|key| match key.key {
            Key::Column(column) => Some(column),
            Key::Expression(_) => None,
        }));
        columns
    }
}

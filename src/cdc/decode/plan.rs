//! What to write of a relation: worked out once, dropped when the relation or a table above it changes.

use super::options::{Options, Partitions};
use crate::capture::policy::Mask;
use crate::cdc::event;
use crate::error::{Error, Result};
use crate::pg::decode::{Identity, Relation, names};
use crate::pg::encode::Encoder;
use crate::pg::tuple::Storage;
use crate::pg::{ffi, json, session, subtransaction};
use pgrx::pg_sys;
use std::cell::Cell;

pub struct Plan {
    /// Its names as members of an event.
    pub names: Vec<u8>,
    /// Partitioned tables above it.
    pub ancestors: Vec<pg_sys::Oid>,
    pub columns: Vec<Column>,
    /// Positions of the columns that are written.
    pub shown: Vec<usize>,
    /// Positions of the key's columns, in key order.
    pub key: Vec<usize>,
    /// Whether the WAL has the whole row as it was.
    pub full: bool,
    /// Names of the masked columns as a JSON array; empty without any.
    pub masked: Vec<u8>,
    pub encoder: Option<Encoder>,
    /// Whether it has values of type json, which are passed on as they were written.
    pub foreign_json: bool,
    /// Whether texts may be in any encoding.
    pub any_encoding: bool,
    /// A value of this relation failed to be written: each is tried by itself from now on.
    pub careful: Cell<bool>,
}

pub struct Column {
    /// `"name":`, as JSON.
    label: Vec<u8>,
    pub storage: Storage,
    pub shown: bool,
    /// Whether the WAL has its value in the row as it was.
    pub logged: bool,
    pub mask: Option<Mask>,
}

impl Plan {
    /// The plan of a relation; none where the client does not want it. A relation that cannot be read
    /// gets a plan that says so: an error would stop the slot.
    pub fn of(relation: &Relation, options: &Options) -> Result<Option<Self>> {
        match subtransaction::attempt(|| Self::worked_out(relation, options)) {
            Err(error) if error.is_cancel() => Err(error),
            Err(error) => Ok(Some(Self::unreadable(relation, &error))),
            plan => plan,
        }
    }

    fn worked_out(relation: &Relation, options: &Options) -> Result<Option<Self>> {
        let Some(own) = names(relation.id()) else {
            return Err(Error::undefined_object("the relation has no name"));
        };
        let ancestors = ffi::partition_ancestors(relation.id());
        let mut all = vec![own];
        all.extend(ancestors.iter().filter_map(|&relid| names(relid)));
        let borrowed: Vec<(&[u8], &[u8])> = all.iter().map(|(s, t)| (&s[..], &t[..])).collect();
        // Tables only: changes of a materialized view are a query's, not a user's.
        if !matches!(relation.kind(), b'r' | b'p') || !options.wants_table(&borrowed) {
            return Ok(None);
        }
        let (leaf, root) = (borrowed[0], borrowed[borrowed.len() - 1]);
        let names = match options.partitions {
            Partitions::Root if borrowed.len() > 1 => event::names(root.0, root.1, Some(leaf)),
            _ => event::names(leaf.0, leaf.1, None),
        };
        let identity = relation.identity();
        let logged = relation.identity_columns();
        let columns = relation.columns();
        let encoder = relation.encoder(&columns);
        // By the index the WAL identifies rows with, so that all operations have the same key.
        let key = if logged.is_empty() { relation.primary_key() } else { logged.clone() };
        let columns: Vec<Column> = columns
            .into_iter()
            .enumerate()
            .map(|(i, column)| Column {
                label: label(&column.name),
                storage: column.storage,
                shown: !column.dropped
                    && !column.virtual_generated
                    && options.wants_column(&borrowed, &column.name),
                logged: identity == Identity::Full || logged.contains(&i),
                mask: options.mask(&borrowed, &column.name),
            })
            .collect();
        let masked: Vec<&[u8]> = columns
            .iter()
            .enumerate()
            .filter(|(i, c)| c.mask.is_some() && (c.shown || key.contains(i)))
            .map(|(_, c)| c.name())
            .collect();
        Ok(Some(Self {
            names,
            shown: (0..columns.len()).filter(|&i| columns[i].shown).collect(),
            masked: if masked.is_empty() { Vec::new() } else { array(&masked) },
            ancestors,
            columns,
            key,
            full: identity == Identity::Full,
            foreign_json: encoder.may_pass_json(),
            encoder: Some(encoder),
            any_encoding: session::is_sql_ascii(),
            careful: Cell::new(false),
        }))
    }

    fn unreadable(relation: &Relation, error: &Error) -> Self {
        let mut names = format!("\"relation\":{},\"unreadable\":", relation.id().to_u32()).into_bytes();
        json::string(error.one_line().as_bytes(), &mut names);
        Self {
            names,
            ancestors: Vec::new(),
            columns: Vec::new(),
            shown: Vec::new(),
            key: Vec::new(),
            full: false,
            masked: Vec::new(),
            encoder: None,
            foreign_json: false,
            any_encoding: false,
            careful: Cell::new(false),
        }
    }

    /// Whether this is out of date when these relations have changed.
    pub fn depends_on(&self, changed: &[pg_sys::Oid]) -> bool {
        self.ancestors.iter().any(|relid| changed.contains(relid))
    }
}

impl Column {
    /// Its name as a JSON string.
    pub fn name(&self) -> &[u8] {
        &self.label[..self.label.len() - 1]
    }

    /// Its name and a colon.
    #[inline]
    pub fn label(&self) -> &[u8] {
        &self.label
    }
}

fn label(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    json::string(name, &mut out);
    out.push(b':');
    out
}

/// A JSON array of what is JSON already.
pub fn array(items: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.push(b']');
    out
}

//! What holds keep retention from: whole tables, or the rows of persons in their own table.

use super::catalogue::{self, Subject};
use super::graph::Graph;
use super::secret::Secret;
use super::storage;
use crate::error::Result;
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use std::collections::{BTreeMap, HashSet};

pub enum Held {
    /// Nothing of the table may go, for this reason.
    Whole(String),
    /// All but the rows of these persons.
    Persons(Persons),
}

/// Held persons whose own table it is.
#[derive(Default)]
pub struct Persons {
    held: Vec<(Subject, HashSet<Vec<u8>>)>,
    secret: Option<Box<Secret>>,
}

impl Persons {
    /// Columns that tell the persons apart, those of each subject type after those of the one before.
    pub fn columns(&self) -> impl Iterator<Item = &String> {
        self.held.iter().flat_map(|(subject, _)| &subject.key)
    }

    /// Whether a row with these values of the columns is of a held person.
    pub fn hold(&self, values: &[Option<String>]) -> bool {
        let Some(secret) = &self.secret else { return false };
        let mut rest = values;
        self.held.iter().any(|(subject, hmacs)| {
            let (own, others) = rest.split_at(subject.key.len().min(rest.len()));
            rest = others;
            let key: Vec<String> = own.iter().flatten().cloned().collect();
            hmacs.contains(&secret.key(&subject.subject_type, &key))
        })
    }
}

struct Hold {
    id: i64,
    person: Option<(String, Vec<u8>)>,
    table: Option<(String, String)>,
}

/// Nobody places a hold before the transaction has ended: what is done in it heeds all there are.
pub fn keep_still() -> Result<()> {
    security::as_extension_owner(|| spi::run("LOCK TABLE architect.privacy_hold IN SHARE MODE", &[]))?;
    Ok(())
}

/// What is held of a table, rows of which are to be masked, or deleted with all that goes with them.
pub fn of(relid: pg_sys::Oid, deletes: bool) -> Result<Held> {
    let holds = active()?;
    if holds.is_empty() {
        return Ok(Held::Persons(Persons::default()));
    }
    let reached = if deletes { reached(relid)? } else { HashSet::from([relid]) };
    let mut persons: BTreeMap<String, (i64, HashSet<Vec<u8>>)> = BTreeMap::new();
    for hold in holds {
        if let Some((schema, name)) = &hold.table
            && lookup::relation_named(schema, name).is_some_and(|held| reached.contains(&held))
        {
            return Ok(Held::Whole(format!("hold {} is on {}", hold.id, lookup::qualify(schema, name))));
        }
        if let Some((subject_type, hmac)) = hold.person {
            persons.entry(subject_type).or_insert((hold.id, HashSet::new())).1.insert(hmac);
        }
    }
    let subjects = catalogue::subjects()?;
    let mut own = Persons::default();
    for subject in subjects {
        let Some((id, hmacs)) = persons.remove(&subject.subject_type) else { continue };
        let graph = Graph::of(&subject.subject_type)?;
        if graph.tables[0].relid == relid {
            own.held.push((subject, hmacs));
            own.secret = Some(Box::new(storage::secret()?));
        } else if let Some(table) = graph.tables.iter().find(|table| reached.contains(&table.relid)) {
            return Ok(Held::Whole(format!(
                "hold {id} is on a person of type {}, whose rows table {} has",
                subject.subject_type, table.qualified
            )));
        }
    }
    if let Some((subject_type, (id, _))) = persons.into_iter().next() {
        return Ok(Held::Whole(format!(
            "hold {id} is on a person of type {subject_type}, which is not declared any more"
        )));
    }
    Ok(Held::Persons(own))
}

fn active() -> Result<Vec<Hold>> {
    security::as_extension_owner(|| {
        spi::read_now(
            "SELECT h.hold_id, h.subject_type, h.key_hmac, h.schema_name, h.table_name FROM architect.privacy_hold AS h
              WHERE h.lifted_at IS NULL AND (h.hold_until IS NULL OR h.hold_until OPERATOR(pg_catalog.>) pg_catalog.now())
              ORDER BY h.hold_id",
            &[],
            |row| {
                Ok(Hold {
                    id: row.get(1)?.unwrap_or_default(),
                    person: row.get::<String>(2)?.zip(row.get::<Vec<u8>>(3)?),
                    table: row.get::<String>(4)?.zip(row.get::<String>(5)?),
                })
            },
        )
    })
}

/// The table, and tables whose rows change when rows of it are deleted.
fn reached(relid: pg_sys::Oid) -> Result<HashSet<pg_sys::Oid>> {
    let rows = spi::read_now(
        "WITH RECURSIVE reached (oid) AS (
             SELECT $1::pg_catalog.oid
             UNION
             SELECT f.conrelid FROM reached AS r
               JOIN pg_catalog.pg_constraint AS f ON f.confrelid OPERATOR(pg_catalog.=) r.oid
              WHERE f.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog.\"char\"
                AND f.confdeltype OPERATOR(pg_catalog.=) ANY ('{c,n,d}'::pg_catalog.\"char\"[]))
         SELECT r.oid FROM reached AS r",
        &[relid.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )?;
    Ok(rows.into_iter().flatten().collect())
}

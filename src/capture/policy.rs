//! Stored policies and the names tables have had, read and written below privileges and below the
//! transaction's snapshot: a trigger that fires must see the policy that made it.

use crate::error::{Error, Result};
use crate::pg::table::{Attribute, Table};
use crate::pg::{ffi, lookup, session};
use pgrx::pg_sys;
use pgrx::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Image {
    Changed,
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    Degrade,
    Fail,
}

/// How a table is audited: a row of audit_table.
#[derive(Clone, Debug)]
pub struct Policy {
    pub table_id: i32,
    pub relid: pg_sys::Oid,
    pub schema_name: String,
    pub table_name: String,
    pub enabled: bool,
    pub image: Image,
    pub include: Option<Columns>,
    pub exclude: Columns,
    pub require_context: bool,
    pub on_error: OnError,
    pub replicated: bool,
    pub operations: Vec<String>,
}

/// A set of columns, by name and, while the table is the one they were named in, by number: a renamed
/// column stays in the set.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    pub names: Vec<String>,
    pub numbers: Vec<i16>,
}

impl Columns {
    pub fn contains(&self, name: &str, number: Option<i16>) -> bool {
        self.names.iter().any(|n| n == name) || number.is_some_and(|number| self.numbers.contains(&number))
    }
}

/// Positions of audit_table's columns.
mod audit_table {
    pub const TABLE_ID: usize = 0;
    pub const RELID: usize = 1;
    pub const SCHEMA_NAME: usize = 2;
    pub const TABLE_NAME: usize = 3;
    pub const ENABLED: usize = 4;
    pub const OPERATIONS: usize = 5;
    pub const IMAGE: usize = 6;
    pub const INCLUDE_COLUMNS: usize = 7;
    pub const EXCLUDE_COLUMNS: usize = 8;
    pub const INCLUDE_ATTNUMS: usize = 9;
    pub const EXCLUDE_ATTNUMS: usize = 10;
    pub const REPLICATED: usize = 11;
    pub const REQUIRE_CONTEXT: usize = 12;
    pub const ON_ERROR: usize = 13;
}

impl Policy {
    /// Whether the policy's table, whose stored number is of this database, exists and is not `relid`:
    /// one of its former names does not make `relid` that table.
    pub fn is_about_another_table(&self, relid: pg_sys::Oid) -> bool {
        self.relid != relid && lookup::relation_name(self.relid).is_some()
    }
}

fn own_table(name: &str, lock: u32) -> Result<Table> {
    lookup::own_relation(name)
        .and_then(|relid| Table::open(relid, lock as i32))
        // A view may have taken its name.
        .filter(Table::is_heap)
        .ok_or_else(|| storage_missing(name))
}

pub fn storage_missing(name: &str) -> Error {
    Error::not_in_prerequisite_state("the audit log is not there")
        .detail(format!("Table architect.{name} does not exist."))
        .hint("Restore schema architect together with the audited tables, or call architect.enable_audit() again.")
}

/// Whether the storage has been made: by the first enable_audit, or by a restore.
pub fn storage_exists() -> bool {
    // All of it: in the middle of a restore some tables are there and some are not.
    ["audit_table", "capture_origin", "capture_relation", "audit_schema", "audit_entry", "audit_log"]
        .iter()
        .all(|name| lookup::own_relation(name).is_some())
}

/// Every stored policy.
pub fn all() -> Result<Vec<Policy>> {
    let mut found = Vec::new();
    own_table("audit_table", pg_sys::AccessShareLock)?.scan(None, |row| {
        let texts =
            |i| row.get::<Vec<Option<String>>>(i).map(|v| v.into_iter().flatten().collect::<Vec<_>>());
        let numbers = |i| row.get::<Vec<Option<i16>>>(i).map(|v| v.into_iter().flatten().collect::<Vec<_>>());
        let text = |i| row.get::<String>(i).unwrap_or_default();
        found.push(Policy {
            table_id: row.get(audit_table::TABLE_ID).unwrap_or_default(),
            relid: row.get(audit_table::RELID).unwrap_or(pg_sys::InvalidOid),
            schema_name: text(audit_table::SCHEMA_NAME),
            table_name: text(audit_table::TABLE_NAME),
            enabled: row.get(audit_table::ENABLED).unwrap_or_default(),
            image: if text(audit_table::IMAGE) == "full" { Image::Full } else { Image::Changed },
            include: texts(audit_table::INCLUDE_COLUMNS).map(|names| Columns {
                names,
                numbers: numbers(audit_table::INCLUDE_ATTNUMS).unwrap_or_default(),
            }),
            exclude: Columns {
                names: texts(audit_table::EXCLUDE_COLUMNS).unwrap_or_default(),
                numbers: numbers(audit_table::EXCLUDE_ATTNUMS).unwrap_or_default(),
            },
            replicated: row.get(audit_table::REPLICATED).unwrap_or_default(),
            operations: texts(audit_table::OPERATIONS).unwrap_or_default(),
            require_context: row.get(audit_table::REQUIRE_CONTEXT).unwrap_or_default(),
            on_error: if text(audit_table::ON_ERROR) == "fail" { OnError::Fail } else { OnError::Degrade },
        });
    });
    Ok(found)
}

/// Whether stored object identifiers belong to this database: not so after a restore elsewhere.
pub fn identifiers_are_ours() -> Result<bool> {
    let mut latest: Option<(i32, String, pg_sys::Oid)> = None;
    own_table("capture_origin", pg_sys::AccessShareLock)?.scan(None, |row| {
        let id: i32 = row.get(0).unwrap_or_default();
        if latest.as_ref().is_none_or(|(last, ..)| id > *last) {
            latest = Some((id, row.get(1).unwrap_or_default(), row.get(2).unwrap_or(pg_sys::InvalidOid)));
        }
    });
    Ok(latest.is_some_and(|(_, system, database)| {
        system == session::system_identifier() && database == session::database()
    }))
}

/// The policy a relation is recorded under, its own or that of a partitioned table above it, with the
/// relation it was set on.
pub fn find(relid: pg_sys::Oid) -> Result<Option<(Policy, pg_sys::Oid)>> {
    let policies = all()?;
    let ours = identifiers_are_ours()?;
    let mut chain = vec![relid];
    chain.extend(ffi::partition_ancestors(relid));
    // From the top: a partition of an audited table is part of that table, whatever was set on it.
    Ok(chain.into_iter().rev().find_map(|candidate| {
        let schema = lookup::relation_schema(candidate)?;
        let name = lookup::relation_name(candidate)?;
        let named = |p: &&Policy| {
            p.schema_name == schema && p.table_name == name && !(ours && p.is_about_another_table(candidate))
        };
        let enabled = || policies.iter().filter(|p| p.enabled);
        let by_number = ours.then(|| enabled().find(|p| p.relid == candidate)).flatten();
        by_number.or_else(|| enabled().find(named)).map(|policy| (policy.clone(), candidate))
    }))
}

/// What a relation looks like now, as capture_relation stores it.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    pub table_id: i32,
    pub relid: pg_sys::Oid,
    pub schema_name: String,
    pub table_name: String,
    pub partition: Option<(String, String)>,
    pub columns: Vec<String>,
    pub key_columns: Vec<String>,
    /// Columns whose values are not recorded as they are.
    pub masked_columns: Vec<String>,
}

impl Shape {
    /// Describes `relid`, audited as (part of) `top` under `table_id`.
    pub fn of(
        table_id: i32,
        relid: pg_sys::Oid,
        top: pg_sys::Oid,
        attributes: &[Attribute],
        key: &[usize],
    ) -> Self {
        let names = |relid| {
            (
                lookup::relation_schema(relid).unwrap_or_default(),
                lookup::relation_name(relid).unwrap_or_default(),
            )
        };
        let (schema_name, table_name) = names(top);
        Self {
            table_id,
            relid,
            schema_name,
            table_name,
            partition: (relid != top).then(|| names(relid)),
            columns: attributes
                .iter()
                .map(|a| if a.dropped { String::new() } else { a.name.clone() })
                .collect(),
            key_columns: key.iter().map(|&i| attributes[i].name.clone()).collect(),
            masked_columns: Vec::new(),
        }
    }

    /// The number this shape is stored under, stored now if it is new.
    pub fn relation_id(&self) -> Result<i32> {
        let table = own_table("capture_relation", pg_sys::RowExclusiveLock)?;
        let index = lookup::own_relation("capture_relation_relid_idx");
        let mut found: Option<i32> = None;
        table.scan(index.map(|index| (index, 2, self.relid)), |row| {
            let text = |i| row.get::<String>(i).unwrap_or_default();
            let texts = |i| {
                row.get::<Vec<Option<String>>>(i)
                    .unwrap_or_default()
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
            };
            let stored = Shape {
                table_id: row.get(1).unwrap_or_default(),
                relid: row.get(2).unwrap_or(pg_sys::InvalidOid),
                schema_name: text(4),
                table_name: text(5),
                partition: row.get::<String>(6).zip(row.get::<String>(7)),
                columns: texts(8),
                key_columns: texts(9),
                masked_columns: texts(10),
            };
            if stored == *self {
                found = found.max(row.get(0));
            }
        });
        if let Some(id) = found {
            return Ok(id);
        }
        let sequence = lookup::own_relation("capture_relation_id_seq")
            .ok_or_else(|| storage_missing("capture_relation_id_seq"))?;
        let id = i32::try_from(ffi::next_value(sequence))
            .map_err(|_| Error::internal("capture_relation_id_seq is past the range of integer"))?;
        table.append(&[
            id.into_datum(),
            self.table_id.into_datum(),
            self.relid.into_datum(),
            session::clock().into_datum(),
            self.schema_name.as_str().into_datum(),
            self.table_name.as_str().into_datum(),
            self.partition.as_ref().and_then(|(schema, _)| schema.as_str().into_datum()),
            self.partition.as_ref().and_then(|(_, name)| name.as_str().into_datum()),
            self.columns.clone().into_datum(),
            self.key_columns.clone().into_datum(),
            self.masked_columns.clone().into_datum(),
        ])?;
        Ok(id)
    }
}

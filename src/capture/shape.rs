//! What relations have looked like: names, columns and key under a number that entries refer to.

use crate::capture::policy::{Policy, own_table, storage_missing};
use crate::error::{Error, Result};
use crate::pg::scan::btree_on;
use crate::pg::table::Attribute;
use crate::pg::{lookup, sequence, session};
use pgrx::pg_sys;
use pgrx::prelude::*;

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
    /// Describes `relid`, recorded as (part of) `top` under a policy, with the key that has.
    pub fn of(
        policy: &Policy,
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
        let columns = || attributes.iter().filter(|a| !a.dropped);
        Self {
            table_id: policy.table_id,
            relid,
            schema_name,
            table_name,
            partition: (relid != top).then(|| names(relid)),
            columns: attributes
                .iter()
                .map(|a| if a.dropped { String::new() } else { a.name.clone() })
                .collect(),
            key_columns: key.iter().map(|&i| attributes[i].name.clone()).collect(),
            masked_columns: columns()
                .filter(|a| policy.mask(&a.name, None).is_some())
                .map(|a| a.name.clone())
                .collect(),
        }
    }

    /// The number this shape is stored under, stored now if it is new.
    pub fn relation_id(&self) -> Result<i32> {
        let table = own_table("capture_relation", pg_sys::RowExclusiveLock)?;
        let index = btree_on(&table, 3);
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
        let numbers = lookup::own_relation("capture_relation_id_seq")
            .ok_or_else(|| storage_missing("capture_relation_id_seq"))?;
        let id = i32::try_from(sequence::next(numbers))
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

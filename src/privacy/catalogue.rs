//! What was declared, as the rest of the room reads it.

use super::action::Action;
use super::storage;
use crate::error::{Error, Result};
use crate::pg::{kept, security};
use pgrx::JsonB;
use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Subject {
    pub subject_type: String,
    pub schema: String,
    pub table: String,
    pub key: Vec<String>,
    pub identity: Vec<String>,
    pub on_erase: String,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub schema: String,
    pub table: String,
    pub column: String,
    pub json_path: Vec<String>,
    pub category: String,
    pub identifier_class: String,
    pub action: Action,
    pub params: Value,
    pub purpose: Option<String>,
    pub legal_basis: Option<String>,
    /// As PostgreSQL writes an interval.
    pub retention: Option<String>,
    pub retention_from: Option<String>,
    pub recipients: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub edge_id: i64,
    pub schema: String,
    pub table: String,
    pub columns: Vec<String>,
    pub json_path: Vec<String>,
    pub to_schema: String,
    pub to_table: String,
    pub to_columns: Vec<String>,
    /// Whether `table` refers to the person's row, or the person's row (in `table`) refers to what is owned.
    pub referred: bool,
    pub discriminator: Option<(String, String)>,
    pub ownership: String,
    pub on_erase: String,
    pub person_columns: Option<Vec<String>>,
}

pub fn no_such_subject(subject_type: &str) -> Error {
    Error::undefined_object(format!("subject type \"{subject_type}\" does not exist"))
        .hint("Call architect.declare_subject() first; architect.privacy_subjects() lists what there is.")
}

pub fn subjects() -> Result<Vec<Subject>> {
    if !storage::exists() {
        return Ok(Vec::new());
    }
    security::as_extension_owner(|| {
        kept::read_now(
            "SELECT s.subject_type, s.schema_name, s.table_name, s.key_columns, s.identity_columns, s.on_erase
               FROM architect.privacy_subject AS s ORDER BY s.subject_type",
            &[],
            |row| {
                Ok(Subject {
                    subject_type: row.get(1)?.unwrap_or_default(),
                    schema: row.get(2)?.unwrap_or_default(),
                    table: row.get(3)?.unwrap_or_default(),
                    key: row.get(4)?.unwrap_or_default(),
                    identity: row.get(5)?.unwrap_or_default(),
                    on_erase: row.get(6)?.unwrap_or_default(),
                })
            },
        )
    })
}

pub fn subject(subject_type: &str) -> Result<Subject> {
    subjects()?
        .into_iter()
        .find(|subject| subject.subject_type == subject_type)
        .ok_or_else(|| no_such_subject(subject_type))
}

pub fn columns() -> Result<Vec<Column>> {
    if !storage::exists() {
        return Ok(Vec::new());
    }
    let rows = security::as_extension_owner(|| {
        kept::read_now(
            "SELECT c.schema_name, c.table_name, c.column_name, c.json_path, c.category, c.identifier_class, c.action,
                    c.params, c.purpose, c.legal_basis, c.retention::pg_catalog.text, c.retention_from, c.recipients
               FROM architect.privacy_column AS c ORDER BY c.schema_name, c.table_name, c.column_id",
            &[],
            |row| {
                let column = Column {
                    schema: row.get(1)?.unwrap_or_default(),
                    table: row.get(2)?.unwrap_or_default(),
                    column: row.get(3)?.unwrap_or_default(),
                    json_path: row.get(4)?.unwrap_or_default(),
                    category: row.get(5)?.unwrap_or_default(),
                    identifier_class: row.get(6)?.unwrap_or_default(),
                    action: Action::Keep,
                    params: row.get::<JsonB>(8)?.map_or(Value::Null, |params| params.0),
                    purpose: row.get(9)?,
                    legal_basis: row.get(10)?,
                    retention: row.get(11)?,
                    retention_from: row.get(12)?,
                    recipients: row.get(13)?.unwrap_or_default(),
                };
                Ok((column, row.get::<String>(7)?.unwrap_or_default()))
            },
        )
    })?;
    rows.into_iter()
        .map(|(column, action)| Ok(Column { action: Action::parse(&action)?, ..column }))
        .collect()
}

pub fn edges(subject_type: &str) -> Result<Vec<Edge>> {
    security::as_extension_owner(|| {
        kept::read_now(
            "SELECT e.edge_id, e.schema_name, e.table_name, e.columns, e.json_path, e.to_schema, e.to_table, e.to_columns,
                    e.direction, e.discriminator_column, e.discriminator_value, e.ownership, e.on_erase, e.person_columns
               FROM architect.privacy_edge AS e
              WHERE e.subject_type OPERATOR(pg_catalog.=) $1 ORDER BY e.edge_id",
            &[subject_type.into()],
            |row| {
                Ok(Edge {
                    edge_id: row.get(1)?.unwrap_or_default(),
                    schema: row.get(2)?.unwrap_or_default(),
                    table: row.get(3)?.unwrap_or_default(),
                    columns: row.get(4)?.unwrap_or_default(),
                    json_path: row.get(5)?.unwrap_or_default(),
                    to_schema: row.get(6)?.unwrap_or_default(),
                    to_table: row.get(7)?.unwrap_or_default(),
                    to_columns: row.get(8)?.unwrap_or_default(),
                    referred: row.get::<String>(9)?.as_deref() == Some("referred"),
                    discriminator: row.get::<String>(10)?.zip(row.get::<String>(11)?),
                    ownership: row.get(12)?.unwrap_or_default(),
                    on_erase: row.get(13)?.unwrap_or_default(),
                    person_columns: row.get(14)?,
                })
            },
        )
    })
}

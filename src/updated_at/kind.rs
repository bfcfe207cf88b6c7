//! What types the columns may have.

use crate::error::Error;
use crate::updated_at::spec::Role;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// How a column's value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// timestamptz with so many decimals; -1: all.
    Instant(i32),
    /// timestamp with so many decimals: the time in the session's time zone, as a cast gives it.
    Local(i32),
    Int4,
    Int8,
    /// text, or varchar of at most so many characters.
    Text(Option<usize>),
}

impl Kind {
    pub fn of(role: Role, type_oid: pg_sys::Oid, typmod: i32) -> Option<Self> {
        match (role, type_oid) {
            (Role::CreatedAt | Role::UpdatedAt, pg_sys::TIMESTAMPTZOID) => Some(Kind::Instant(typmod)),
            (Role::CreatedAt | Role::UpdatedAt, pg_sys::TIMESTAMPOID) => Some(Kind::Local(typmod)),
            (Role::CreatedBy | Role::UpdatedBy, pg_sys::TEXTOID) => Some(Kind::Text(None)),
            (Role::CreatedBy | Role::UpdatedBy, pg_sys::VARCHAROID) => {
                // A varchar's typmod counts the four bytes of its header.
                Some(Kind::Text(usize::try_from(typmod - pg_sys::VARHDRSZ as i32).ok()))
            }
            (Role::Version, pg_sys::INT4OID) => Some(Kind::Int4),
            (Role::Version, pg_sys::INT8OID) => Some(Kind::Int8),
            _ => None,
        }
    }
}

/// The error for a column whose type does not fit its role.
pub fn wrong_type(role: Role, column: &str, table: &str, type_name: &str) -> Error {
    let types = match role {
        Role::CreatedAt | Role::UpdatedAt => "timestamp with time zone or timestamp without time zone",
        Role::CreatedBy | Role::UpdatedBy => "text or character varying",
        Role::Version => "integer or bigint",
    };
    Error::new(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        format!("column \"{column}\" of table {table} cannot be kept as {}", role.name()),
    )
    .detail(format!("The column is of type {type_name}; {} must be of type {types}.", role.name()))
    .hint("Name a column of such a type, or change the column's type.")
}

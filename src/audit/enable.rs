//! What enable_audit asks for: the policy's own half; the triggers are capture's.

use crate::audit::options::Options;
use crate::audit::storage;
use crate::capture::ddl::Follower;
use crate::capture::enable::Request;
use crate::capture::policy::{Image, Kind, OnError, Policy};
use crate::capture::schema::{self, ForSchema};
use crate::capture::{enable, identity};
use crate::catalog::relation::Relation;
use crate::error::Result;
use crate::pg::table::Table;
use crate::pg::{security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;

pub use crate::capture::report::Report;

pub const FOLLOWER: Follower = Follower { kind: Kind::Audit, created: schema::record_new::<Options> };

/// Audits a table.
pub fn enable(relid: pg_sys::Oid, options: &Options) -> Result<Vec<Report>> {
    enable::enable(relid, options)
}

/// Ends a table's audit; the log stays.
pub fn disable(relid: pg_sys::Oid) -> Result<Report> {
    enable::disable(Kind::Audit, relid)
}

impl Request for Options {
    const KIND: Kind = Kind::Audit;

    fn prepare(&self, _target: &Relation) -> Result<()> {
        storage::ensure()
    }

    fn columns(&self) -> Vec<&str> {
        self.columns.iter().flatten().chain(&self.exclude).map(String::as_str).collect()
    }

    fn same(&self, known: &Policy) -> bool {
        known.operations == self.operations
            && (known.image == Image::Full) == (self.image == "full")
            && known.include.as_ref().map(|c| &c.names) == self.columns.as_ref()
            && known.exclude.names == self.exclude
            && known.replicated == self.replicated
            && known.require_context == self.require_context
            && (known.on_error == OnError::Fail) == (self.on_error == "fail")
    }

    fn store(&self, target: &Relation, known: Option<i32>) -> Result<i32> {
        store(target, self, known)
    }

    fn detail(&self, target: &Relation, partitions: usize, news: bool) -> String {
        let name = target.qualified_name();
        let mut detail = format!("{} ({} image)", self.operations.join(", "), self.image);
        if target.partitioned {
            detail += &format!(", {partitions} partitions");
        }
        if keyless(target.oid) {
            detail += "; no primary key or replica identity: row_key will be null";
            if news {
                ereport!(
                    PgLogLevel::NOTICE,
                    PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
                    format!(
                        "table {name} has no primary key and no replica identity index; its changes are recorded without row_key"
                    )
                );
            }
        }
        detail
    }
}

impl ForSchema for Options {
    fn for_table(&self, has: &dyn Fn(&str) -> bool) -> Self {
        let there = |columns: &Vec<String>| columns.iter().filter(|c| has(c)).cloned().collect::<Vec<_>>();
        Self { columns: self.columns.as_ref().map(there), exclude: there(&self.exclude), ..self.clone() }
    }

    fn ensure_storage() -> Result<()> {
        storage::ensure()
    }
}

fn store(target: &Relation, options: &Options, known: Option<i32>) -> Result<i32> {
    let by = security::role_name(security::current_role());
    let arguments = [
        target.oid.into(),
        target.schema.as_str().into(),
        target.name.as_str().into(),
        options.operations.clone().into(),
        options.image.as_str().into(),
        options.columns.clone().into(),
        options.exclude.clone().into(),
        options.columns.as_deref().map(|columns| identity::numbers(target.oid, columns)).into(),
        identity::numbers(target.oid, &options.exclude).into(),
        options.replicated.into(),
        options.require_context.into(),
        options.on_error.as_str().into(),
        by.as_str().into(),
        known.into(),
    ];
    let statement = if known.is_some() {
        "UPDATE architect.audit_table
            SET relid = $1, schema_name = $2, table_name = $3, enabled = true, operations = $4, image = $5,
                include_columns = $6, exclude_columns = $7, include_attnums = $8, exclude_attnums = $9,
                replicated = $10, require_context = $11, on_error = $12, enabled_by = $13,
                enabled_at = CASE WHEN enabled THEN enabled_at ELSE pg_catalog.clock_timestamp() END,
                disabled_at = NULL, disabled_by = NULL
          WHERE table_id OPERATOR(pg_catalog.=) $14 RETURNING table_id"
    } else {
        "INSERT INTO architect.audit_table (relid, schema_name, table_name, operations, image, include_columns,
                exclude_columns, include_attnums, exclude_attnums, replicated, require_context, on_error, enabled_by)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
          WHERE $14::pg_catalog.int4 IS NULL RETURNING table_id"
    };
    security::as_extension_owner(|| spi::run_one::<i32>(statement, &arguments)).map(Option::unwrap_or_default)
}

pub fn keyless(relid: pg_sys::Oid) -> bool {
    Table::open(relid, pg_sys::AccessShareLock as i32).is_some_and(|table| table.key_columns().is_empty())
}

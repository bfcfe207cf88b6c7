//! What enable_cdc asks for: the policy's own half; the triggers are capture's.

use crate::capture::ddl::Follower;
use crate::capture::enable::{self, Request};
use crate::capture::identity;
use crate::capture::policy::{Image, Kind, Policy};
use crate::capture::report::Report;
use crate::capture::schema::{self, ForSchema};
use crate::catalog::relation::Relation;
use crate::cdc::options::Options;
use crate::cdc::storage;
use crate::error::{Error, Result};
use crate::pg::table::Table;
use crate::pg::{parse, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;

pub const FOLLOWER: Follower = Follower { kind: Kind::Feed, created: schema::record_new::<Options> };

/// Captures a table.
pub fn enable(relid: pg_sys::Oid, options: &Options) -> Result<Vec<Report>> {
    enable::enable(relid, options)
}

/// Ends a table's capture; events stay in the feed.
pub fn disable(relid: pg_sys::Oid) -> Result<Report> {
    enable::disable(Kind::Feed, relid)
}

impl Request for Options {
    const KIND: Kind = Kind::Feed;

    fn prepare(&self, target: &Relation) -> Result<()> {
        if let Some(condition) = &self.condition
            && !parse::is_expression(condition)?
        {
            return Err(Error::invalid_parameter("the condition is not one expression")
                .detail(format!("Given for table {}: {condition}", target.qualified_name()))
                .hint("Write it as in the WHEN clause of a trigger: new.amount > 100."));
        }
        let key = self.key.clone().unwrap_or_else(|| key_of(target.oid));
        let hidden = |column: &&String| self.mask.get(*column).is_some_and(|action| action != "hash");
        if let Some(column) = key.iter().find(hidden) {
            return Err(Error::invalid_parameter(format!(
                "column \"{column}\" of the key can only be hashed"
            ))
            .detail(format!("Consumers know rows of table {} by it.", target.qualified_name()))
            .hint("Mask it by 'hash', or name another key."));
        }
        storage::ensure()
    }

    fn columns(&self) -> Vec<&str> {
        let named = self.columns.iter().flatten().chain(&self.exclude);
        named.chain(self.mask.keys()).chain(self.key.iter().flatten()).map(String::as_str).collect()
    }

    fn same(&self, known: &Policy) -> bool {
        known.operations == self.operations
            && (known.image == Image::Full) == (self.image == "full")
            && known.include.as_ref().map(|c| &c.names) == self.columns.as_ref()
            && known.exclude.names == self.exclude
            && known.replicated == self.replicated
            && known.masked.names.iter().zip(&known.actions).eq(&self.mask)
            && known.key.as_ref().map(|c| &c.names) == self.key.as_ref()
            && known.condition == self.condition
            && known.notify == self.notify
            && known.channel == self.channel
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
        if self.condition.is_some() {
            detail += "; where the condition holds";
        }
        if !self.mask.is_empty() {
            let masked: Vec<&str> = self.mask.keys().map(String::as_str).collect();
            detail += &format!("; masked: {}", masked.join(", "));
        }
        if self.key.is_none() && key_of(target.oid).is_empty() {
            detail += "; no primary key or replica identity: row_key will be null";
            if news {
                ereport!(
                    PgLogLevel::NOTICE,
                    PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
                    format!(
                        "table {name} has no primary key and no replica identity index; its changes are captured without row_key, unless key names columns"
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
        Self {
            columns: self.columns.as_ref().map(there),
            exclude: there(&self.exclude),
            mask: self.mask.clone().into_iter().filter(|(column, _)| has(column)).collect(),
            ..self.clone()
        }
    }

    fn ensure_storage() -> Result<()> {
        storage::ensure()
    }
}

fn key_of(relid: pg_sys::Oid) -> Vec<String> {
    Table::open(relid, pg_sys::AccessShareLock as i32)
        .map(|table| {
            let attributes = table.attributes();
            table.immediate_key_columns().into_iter().map(|i| attributes[i].name.clone()).collect()
        })
        .unwrap_or_default()
}

fn store(target: &Relation, options: &Options, known: Option<i32>) -> Result<i32> {
    let by = security::role_name(security::current_role());
    let masked: Vec<String> = options.mask.keys().cloned().collect();
    let actions: Vec<String> = options.mask.values().cloned().collect();
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
        identity::numbers(target.oid, &masked).into(),
        masked.into(),
        actions.into(),
        options.key.clone().into(),
        options.key.as_deref().map(|columns| identity::numbers(target.oid, columns)).into(),
        options.condition.clone().into(),
        options.notify.into(),
        options.channel.as_str().into(),
        by.as_str().into(),
        known.into(),
    ];
    let statement = if known.is_some() {
        "UPDATE architect.cdc_table
            SET relid = $1, schema_name = $2, table_name = $3, enabled = true, operations = $4, image = $5,
                include_columns = $6, exclude_columns = $7, include_attnums = $8, exclude_attnums = $9,
                replicated = $10, mask_attnums = $11, mask_columns = $12, mask_actions = $13,
                key_columns = $14, key_attnums = $15, condition = $16, notify = $17, channel = $18,
                enabled_by = $19,
                enabled_at = CASE WHEN enabled THEN enabled_at ELSE pg_catalog.clock_timestamp() END,
                disabled_at = NULL, disabled_by = NULL
          WHERE table_id OPERATOR(pg_catalog.=) $20 RETURNING table_id"
    } else {
        "INSERT INTO architect.cdc_table (relid, schema_name, table_name, operations, image, include_columns,
                exclude_columns, include_attnums, exclude_attnums, replicated, mask_attnums, mask_columns,
                mask_actions, key_columns, key_attnums, condition, notify, channel, enabled_by)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
          WHERE $20::pg_catalog.int4 IS NULL RETURNING table_id"
    };
    security::as_extension_owner(|| spi::run_one::<i32>(statement, &arguments)).map(Option::unwrap_or_default)
}

//! The table a question about the log is about: under which numbers the log knows it, what it looked
//! like over time, whether the caller may ask.

use crate::audit::lineage::{Lineage, LoggedShape};
use crate::capture::policy::{self, Kind, Policy};
use crate::error::{Error, Result};
use crate::pg::{ffi, lookup, rows, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;

pub struct Subject {
    /// Schema-qualified, for messages.
    pub name: String,
    /// The relation asked about, where it still exists.
    pub relid: Option<pg_sys::Oid>,
    /// The policy it is recorded under now, and the relation that was set on.
    pub policy: Option<(Policy, pg_sys::Oid)>,
    pub table_ids: Vec<i32>,
    pub lineage: Lineage,
}

/// Refuses a caller who may not read the log. Who may select from the view architect.audit_log may ask.
pub fn check_reader() -> Result<()> {
    let Some(view) = lookup::own_relation("audit_log") else { return Ok(()) };
    let allowed = spi::read_one::<bool>(
        "SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, $2::pg_catalog.oid, 'SELECT')",
        &[security::current_role().into(), view.into()],
    );
    if allowed == Some(true) {
        return Ok(());
    }
    Err(Error::insufficient_privilege("permission denied for view audit_log")
        .detail(format!(
            "Role {} may not select from architect.audit_log.",
            security::role_name(security::current_role())
        ))
        .hint("GRANT SELECT ON architect.audit_log to the role, or ask somebody who has it."))
}

impl Subject {
    /// A table or partition that exists.
    pub fn of_relation(relid: pg_sys::Oid) -> Result<Self> {
        check_reader()?;
        let name = lookup::qualified_name(relid).ok_or_else(|| {
            Error::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("relation with OID {} does not exist", relid.to_u32()),
            )
        })?;
        if !Kind::Audit.storage_exists() {
            return Err(never_audited(&name));
        }
        let mut chain = vec![relid];
        chain.extend(ffi::partition_ancestors(relid));
        let policy = policy::find(Kind::Audit, relid)?;
        let numbers = security::as_extension_owner(|| known_as(&chain))?;
        let mut table_ids: Vec<i32> = policy.iter().map(|(policy, _)| policy.table_id).collect();
        table_ids.extend(numbers);
        Self::with(name, Some(relid), policy, table_ids)
    }

    /// A table by the name it has or had.
    pub fn of_name(schema: &str, table: &str) -> Result<Self> {
        check_reader()?;
        let name = lookup::qualify(schema, table);
        if !Kind::Audit.storage_exists() {
            return Err(never_audited(&name));
        }
        let table_ids = security::as_extension_owner(|| named(schema, table))?;
        // Its row type is still there if the table is, under whatever name.
        let ours = policy::identifiers_are_ours()?;
        let wanted = |about: &policy::About| about.enabled() && ours && table_ids.contains(&about.table_id());
        let policy = policy::select(Kind::Audit, wanted)?
            .into_iter()
            .find(|policy| lookup::relation_name(policy.relid).is_some());
        let relid = policy.as_ref().map(|p| p.relid);
        Self::with(name, relid, policy.map(|p| (p.clone(), p.relid)), table_ids)
    }

    fn with(
        name: String,
        relid: Option<pg_sys::Oid>,
        policy: Option<(Policy, pg_sys::Oid)>,
        mut table_ids: Vec<i32>,
    ) -> Result<Self> {
        table_ids.sort_unstable();
        table_ids.dedup();
        let shapes = security::as_extension_owner(|| shapes(&table_ids))?;
        if shapes.is_empty() && policy.is_none() {
            return Err(never_audited(&name));
        }
        let top = relid.map(|relid| ffi::partition_ancestors(relid).last().copied().unwrap_or(relid));
        let live = top.map_or_else(|| Ok(HashMap::new()), live_columns)?;
        let target = relid.and_then(|relid| live.get(&relid.to_u32()).cloned()).unwrap_or_default();
        Ok(Self { name, relid, policy, table_ids, lineage: Lineage { shapes, live, target } })
    }

    pub fn relation_ids(&self) -> Vec<i32> {
        self.lineage.shapes.iter().map(|shape| shape.relation_id).collect()
    }

    pub fn shape(&self, relation_id: i32) -> Option<&LoggedShape> {
        self.lineage.shapes.iter().find(|shape| shape.relation_id == relation_id)
    }
}

fn never_audited(name: &str) -> Error {
    Error::not_in_prerequisite_state(format!("table {name} was never audited"))
        .detail(format!("The audit log knows no table {name}."))
        .hint("Call architect.enable_audit() to record changes from now on.")
}

/// Since when object identifiers in the log are those of this database; never, where they are not.
const SINCE: &str = "COALESCE((SELECT CASE WHEN o.system_identifier OPERATOR(pg_catalog.=) $1 AND o.database_oid OPERATOR(pg_catalog.=) $2
                                      THEN CASE WHEN o.origin_id OPERATOR(pg_catalog.=) 1 THEN '-infinity' ELSE o.since END
                                      ELSE 'infinity' END
                                 FROM architect.capture_origin AS o ORDER BY o.origin_id DESC LIMIT 1), 'infinity')";

/// The change feed numbers and describes its tables in the same place.
const OF_THE_LOG: &str =
    "EXISTS (SELECT FROM architect.audit_table AS a WHERE a.table_id OPERATOR(pg_catalog.=) r.table_id)";

fn origin() -> [pgrx::datum::DatumWithOid<'static>; 2] {
    use crate::pg::session;
    [session::system_identifier().into(), session::database().into()]
}

/// Since when transaction ids and object identifiers in the log are those of this database.
pub fn identifiers_since() -> Result<i64> {
    let mut found = i64::MAX;
    rows::each(&format!("SELECT {SINCE}"), &origin(), |row| {
        found = row.get(0).unwrap_or(i64::MAX);
        Ok(())
    })?;
    Ok(found)
}

/// Numbers under which the log knows a relation or a partitioned table above it.
fn known_as(chain: &[pg_sys::Oid]) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for &relid in chain {
        let [system, database] = origin();
        let schema = lookup::relation_schema(relid).unwrap_or_default();
        let name = lookup::relation_name(relid).unwrap_or_default();
        found.extend(spi::read(
            &format!(
                "SELECT r.table_id FROM architect.capture_relation AS r
                  WHERE r.relid OPERATOR(pg_catalog.=) $3 AND r.seen_at OPERATOR(pg_catalog.>=) {SINCE} AND {OF_THE_LOG}
                 UNION
                 SELECT t.table_id FROM architect.audit_table AS t
                  WHERE t.schema_name OPERATOR(pg_catalog.=) $4 AND t.table_name OPERATOR(pg_catalog.=) $5"
            ),
            &[system, database, relid.into(), schema.into(), name.into()],
            |row| row.get::<i32>(1),
        )?);
    }
    Ok(found.into_iter().flatten().collect())
}

/// Numbers of the tables and partitions that have had a name.
fn named(schema: &str, table: &str) -> Result<Vec<i32>> {
    spi::read(
        &format!(
            "SELECT r.table_id FROM architect.capture_relation AS r
              WHERE (r.schema_name OPERATOR(pg_catalog.=) $1 AND r.table_name OPERATOR(pg_catalog.=) $2
                     OR r.partition_schema OPERATOR(pg_catalog.=) $1 AND r.partition_name OPERATOR(pg_catalog.=) $2)
                AND {OF_THE_LOG}
             UNION
             SELECT t.table_id FROM architect.audit_table AS t
              WHERE t.schema_name OPERATOR(pg_catalog.=) $1 AND t.table_name OPERATOR(pg_catalog.=) $2"
        ),
        &[schema.into(), table.into()],
        |row| row.get::<i32>(1),
    )
    .map(|ids| ids.into_iter().flatten().collect())
}

/// Every shape of these tables that the log knows.
pub fn shapes(table_ids: &[i32]) -> Result<Vec<LoggedShape>> {
    let [system, database] = origin();
    let mut found = Vec::new();
    rows::each(
        &format!(
            "SELECT r.relation_id, r.table_id, r.relid, r.seen_at OPERATOR(pg_catalog.>=) {SINCE}, r.seen_at,
                    r.schema_name, r.table_name, r.partition_schema, r.partition_name, r.columns, r.key_columns
               FROM architect.capture_relation AS r
              WHERE r.table_id OPERATOR(pg_catalog.=) ANY ($3)
              ORDER BY r.relation_id"
        ),
        &[system, database, table_ids.to_vec().into()],
        |row| {
            let texts = |i| row.get::<Vec<Option<String>>>(i).unwrap_or_default().into_iter().flatten().collect();
            found.push(LoggedShape {
                relation_id: row.get(0).unwrap_or_default(),
                table_id: row.get(1).unwrap_or_default(),
                relid: row.get::<pg_sys::Oid>(2).map_or(0, |oid| oid.to_u32()),
                ours: row.get(3).unwrap_or_default(),
                seen_at: row.get(4).unwrap_or_default(),
                schema_name: row.get(5).unwrap_or_default(),
                table_name: row.get(6).unwrap_or_default(),
                partition: row.get::<String>(7).zip(row.get::<String>(8)),
                columns: texts(9),
                key_columns: texts(10),
            });
            Ok(())
        },
    )?;
    Ok(found)
}

/// Present columns of a table and its partitions, by attribute number, '' where dropped.
fn live_columns(top: pg_sys::Oid) -> Result<HashMap<u32, Vec<String>>> {
    let mut found: HashMap<u32, Vec<String>> = HashMap::new();
    rows::each(
        "SELECT a.attrelid, CASE WHEN a.attisdropped THEN '' ELSE a.attname::pg_catalog.text END
           FROM pg_catalog.pg_attribute AS a
          WHERE a.attnum OPERATOR(pg_catalog.>) 0
            AND (a.attrelid OPERATOR(pg_catalog.=) $1
                 OR a.attrelid OPERATOR(pg_catalog.=) ANY
                    (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) AS p))
          ORDER BY a.attrelid, a.attnum",
        &[top.into()],
        |row| {
            let relid = row.get::<pg_sys::Oid>(0).map_or(0, |oid| oid.to_u32());
            found.entry(relid).or_default().push(row.get(1).unwrap_or_default());
            Ok(())
        },
    )?;
    Ok(found)
}

//! Logs that keep the values as they were before they are masked.

use super::plan::Plan;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;

const CLEAR: &str = "In a copy, drop the audit log and the change feed first, and disable_audit() and disable_cdc() the tables; \
     keep_logs => true masks the tables all the same.";

/// Refuses tables whose changes are recorded, or were: the logs keep the values, and get those of the masking. Warns only
/// where the logs are to be kept.
pub fn check(plan: &Plan, keep: bool) -> Result<()> {
    for (relid, _) in &plan.masked {
        let name = lookup::qualified_name(*relid).unwrap_or_default();
        let what = if is_recorded(*relid)? {
            format!("changes of table {name} are recorded, with the values before they are masked")
        } else if is_known(*relid)? {
            format!("a log has entries of table {name}, with the values before they are masked")
        } else {
            continue;
        };
        if !keep {
            return Err(Error::not_in_prerequisite_state(what).hint(CLEAR));
        }
        ereport!(PgLogLevel::WARNING, PgSqlErrorCode::ERRCODE_WARNING, what, CLEAR);
    }
    Ok(())
}

fn is_recorded(relid: pg_sys::Oid) -> Result<bool> {
    let found = spi::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_trigger AS t
           JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
          WHERE n.nspname OPERATOR(pg_catalog.=) 'architect' AND p.proname OPERATOR(pg_catalog.=) 'capture'
            AND (t.tgrelid OPERATOR(pg_catalog.=) $1 OR t.tgrelid OPERATOR(pg_catalog.=) ANY
                 (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) AS p))
          LIMIT 1",
        &[relid.into()],
    );
    Ok(found == Some(true))
}

/// Whether a log has an entry of the table, or of one that had its name.
fn is_known(relid: pg_sys::Oid) -> Result<bool> {
    let (Some(schema), Some(table)) = (lookup::relation_schema(relid), lookup::relation_name(relid)) else {
        return Ok(false);
    };
    if lookup::own_relation("capture_relation").is_none() {
        return Ok(false);
    }
    security::as_extension_owner(|| {
        for log in ["audit_entry", "change_entry", "cdc_dead_letter"] {
            if lookup::own_relation(log).is_none() {
                continue;
            }
            let found = spi::read_one_now::<bool>(
                // An entry of the feed with several events has their relations within.
                &format!(
                    "WITH known AS MATERIALIZED (
                         SELECT pg_catalog.array_agg(r.relation_id) AS ids FROM architect.capture_relation AS r
                          WHERE r.table_id OPERATOR(pg_catalog.=) ANY (
                                SELECT o.table_id FROM architect.capture_relation AS o
                                 WHERE o.schema_name OPERATOR(pg_catalog.=) $1 AND o.table_name OPERATOR(pg_catalog.=) $2))
                     SELECT true FROM architect.{log} AS e, known AS k
                      WHERE e.relation_id OPERATOR(pg_catalog.=) ANY (k.ids)
                         OR e.operation OPERATOR(pg_catalog.=) 'P'
                            AND EXISTS (SELECT FROM pg_catalog.json_array_elements(e.image) AS p (event)
                                         WHERE (p.event OPERATOR(pg_catalog.->>) 1)::pg_catalog.int4 OPERATOR(pg_catalog.=) ANY (k.ids))
                      LIMIT 1"
                ),
                &[schema.as_str().into(), table.as_str().into()],
            );
            if found == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

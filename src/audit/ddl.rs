//! What DDL means for audit: new tables in audited schemas, new partitions of audited tables, renames.
//! Runs at the end of CREATE and ALTER commands; what fails here is a warning, never the user's error.

use crate::audit::{enable, schema};
use crate::capture::{identity, policy};
use crate::error::Result;
use crate::pg::subtransaction::attempt;
use crate::pg::{ffi, lookup, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;

struct Command {
    relid: pg_sys::Oid,
    tag: String,
    relkind: i8,
    temporary: bool,
}

/// Keeps audit in step with the command that just ended. Called by the event trigger architect_ddl.
pub fn ended() -> Result<()> {
    if !policy::storage_exists() {
        return Ok(());
    }
    let (commands, schemas) = commands()?;
    for &schema in &schemas {
        identity::follow_schema_rename(schema)?;
    }
    for command in commands.iter().filter(|c| !c.temporary && matches!(c.relkind as u8, b'r' | b'p')) {
        follow(command)?;
    }
    if !schemas.is_empty() {
        identity::follow_renames(None)?;
    }
    Ok(())
}

/// Relations the command created or altered, and schemas it altered.
fn commands() -> Result<(Vec<Command>, Vec<pg_sys::Oid>)> {
    let rows = spi::read_now(
        "SELECT d.classid, d.objid, d.command_tag, c.relkind, c.relpersistence OPERATOR(pg_catalog.=) 't'
           FROM pg_catalog.pg_event_trigger_ddl_commands() AS d
           LEFT JOIN pg_catalog.pg_class AS c
             ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
            AND c.oid OPERATOR(pg_catalog.=) d.objid",
        &[],
        |row| {
            let class = row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid);
            Ok((
                class,
                Command {
                    relid: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                    tag: row.get(3)?.unwrap_or_default(),
                    relkind: row.get(4)?.unwrap_or_default(),
                    temporary: row.get(5)?.unwrap_or_default(),
                },
            ))
        },
    )?;
    let schemas = rows
        .iter()
        .filter(|(class, _)| *class == pg_sys::NamespaceRelationId)
        .map(|(_, c)| c.relid)
        .collect();
    Ok((rows.into_iter().map(|(_, command)| command).filter(|c| c.relkind != 0).collect(), schemas))
}

fn follow(command: &Command) -> Result<()> {
    let relid = command.relid;
    identity::follow_renames(Some(relid))?;
    match policy::find(relid)? {
        // A restore is going on, or a table was made again under the name of an audited one: its triggers
        // come with it, or are asked for anew.
        Some((policy, top)) if policy.relid != top || !policy::identifiers_are_ours()? => Ok(()),
        // A partition came to an audited table: what CREATE TRIGGER does not clone is added.
        Some((policy, top)) if top != relid || command.tag == "ALTER TABLE" => {
            // When a column came is known to the moment: audit_as_of asks.
            identity::describe(policy.table_id, top)?;
            enable::attach_to_partitions(top)?;
            if command.relkind == b'p' as i8 { enable::detach_from_former_partitions() } else { Ok(()) }
        }
        Some(_) => Ok(()),
        None if command.tag.starts_with("CREATE TABLE") || command.tag == "SELECT INTO" => {
            let (Some(name), Some(in_schema)) =
                (lookup::relation_name(relid), lookup::relation_schema(relid))
            else {
                return Ok(());
            };
            if !ffi::partition_ancestors(relid).is_empty() {
                return Ok(());
            }
            match schema::options_for(&in_schema, &name)? {
                Some(options) => enable::enable(relid, &schema::in_schema(relid, &options)).map(|_| ()),
                None => Ok(()),
            }
        }
        None => Ok(()),
    }
}

/// The event trigger's body.
pub fn on_ddl_command_end() {
    let outcome = attempt(|| security::as_extension_owner(ended));
    if let Err(error) = outcome {
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("db_architect could not follow this command: {}", error.message()),
            "Look at architect.audit_coverage() for what is no longer covered."
        );
    }
}

//! What DDL means for recorded tables: new tables in recorded schemas, new partitions, renames.
//! Runs at the end of CREATE and ALTER commands; what fails here is a warning, never the user's error.

use crate::capture::policy::{self, Kind};
use crate::capture::{attach, enable, exchange, identity};
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

/// What a capability does about a table that was just created: its number, schema and name.
pub struct Follower {
    pub kind: Kind,
    pub created: fn(pg_sys::Oid, &str, &str) -> Result<()>,
}

/// Keeps capabilities in step with the command that just ended.
fn ended(followers: &[Follower]) -> Result<()> {
    if !followers.iter().any(|follower| follower.kind.storage_exists()) {
        return Ok(());
    }
    let (commands, schemas) = commands()?;
    for follower in followers.iter().filter(|follower| follower.kind.storage_exists()) {
        for &schema in &schemas {
            identity::follow_schema_rename(follower.kind, schema)?;
        }
        for command in commands.iter().filter(|c| !c.temporary && matches!(c.relkind as u8, b'r' | b'p')) {
            follow(follower, command)?;
        }
        if !schemas.is_empty() {
            identity::follow_renames(follower.kind, None)?;
        }
    }
    Ok(())
}

/// Relations the command created or altered, and schemas it altered.
fn commands() -> Result<(Vec<Command>, Vec<pg_sys::Oid>)> {
    let rows = spi::read_now(
        // Not joined with pg_class: the planner would read all of it, of how many rows the function gives.
        "SELECT d.classid, d.objid, d.command_tag, d.relation[1]::pg_catalog.\"char\", d.relation[2] OPERATOR(pg_catalog.=) 't'
           FROM (SELECT e.classid, e.objid, e.command_tag,
                        CASE WHEN e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                             THEN (SELECT ARRAY[c.relkind::pg_catalog.text, c.relpersistence::pg_catalog.text] FROM pg_catalog.pg_class AS c
                                    WHERE c.oid OPERATOR(pg_catalog.=) e.objid)
                        END AS relation
                   FROM pg_catalog.pg_event_trigger_ddl_commands() AS e) AS d",
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

fn follow(follower: &Follower, command: &Command) -> Result<()> {
    let (kind, relid) = (follower.kind, command.relid);
    identity::follow_renames(kind, Some(relid))?;
    match policy::find(kind, relid)? {
        // A restore is going on, or a table was made again under the name of a recorded one: its triggers
        // come with it, or are asked for anew.
        Some((policy, top)) if policy.relid != top || !policy::identifiers_are_ours()? => Ok(()),
        // A partition came to a recorded table: what CREATE TRIGGER does not clone is added.
        Some((policy, top)) if top != relid || command.tag == "ALTER TABLE" => {
            // When a column came is known to the moment: audit_as_of asks.
            identity::describe(&policy, top)?;
            enable::follow_partitions(kind, top)?;
            if command.relkind == b'p' as i8 { attach::detach_from_former_partitions() } else { Ok(()) }
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
            (follower.created)(relid, &in_schema, &name)
        }
        None => Ok(()),
    }
}

/// The event trigger's body.
pub fn on_ddl_command_end(followers: &[Follower]) {
    if exchange::is_under_way() {
        return;
    }
    let outcome = attempt(|| security::as_extension_owner(|| ended(followers)));
    if let Err(error) = outcome {
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("db_architect could not follow this command: {}", error.message()),
            "Look at architect.audit_coverage() and architect.cdc_coverage() for what is no longer covered."
        );
    }
}

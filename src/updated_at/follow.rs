//! What DDL means for updated_at: a renamed column's new name is written into the trigger's arguments, so
//! that a dump has it; a trigger made to fire after ours is pointed out. Runs at the end of a command;
//! what fails here is a warning, never the user's error.

use crate::catalog::{relation, trigger};
use crate::error::{Error, Result};
use crate::pg::subtransaction::attempt;
use crate::pg::{ffi, lookup, security, spi};
use crate::updated_at::enable::create_trigger;
use crate::updated_at::spec::Spec;
use crate::updated_at::state::{FUNCTION, Own, State};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The event trigger's body.
pub fn on_ddl_command_end() {
    if let Err(error) = security::as_extension_owner(|| attempt(ended)) {
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("db_architect could not follow this command: {}", error.message()),
            "Look at architect.updated_at_tables() for what is no longer right."
        );
    }
}

/// A table the command altered or made a trigger on.
struct Altered {
    relid: pg_sys::Oid,
    by_trigger: bool,
}

fn ended() -> Result<()> {
    for altered in altered()? {
        let mut relations = vec![altered.relid];
        relations.extend(ffi::partition_ancestors(altered.relid));
        relations.extend(relation::partitions(altered.relid)?);
        for own in trigger::on_relations(&relations, FUNCTION)?.iter().filter(|t| !t.cloned) {
            follow(own.relid, altered.by_trigger)?;
        }
    }
    Ok(())
}

fn altered() -> Result<Vec<Altered>> {
    spi::read_now(
        // Not joined: the planner would read all triggers and relations, of how many the function gives.
        "SELECT DISTINCT d.relid, d.by_trigger
           FROM (SELECT CASE WHEN e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN e.objid
                             WHEN e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass
                             THEN (SELECT t.tgrelid FROM pg_catalog.pg_trigger AS t WHERE t.oid OPERATOR(pg_catalog.=) e.objid)
                        END AS relid,
                        e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass AS by_trigger
                   FROM pg_catalog.pg_event_trigger_ddl_commands() AS e) AS d
          WHERE (SELECT c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) d.relid)
                OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog.\"char\"[])",
        &[],
        |row| {
            Ok(Altered {
                relid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                by_trigger: row.get(2)?.unwrap_or_default(),
            })
        },
    )
}

fn follow(relid: pg_sys::Oid, by_trigger: bool) -> Result<()> {
    let Some(target) = relation::describe(relid)? else { return Ok(()) };
    let state = spi::with_fresh_snapshot(|| State::read(&target))?;
    let Some(own) = &state.own else { return Ok(()) };
    let spec = renamed(&state, own);
    if spec != own.spec {
        create_trigger(&target, &state, &own.trigger.name, &spec)?;
        keep_states(&state)?;
    }
    let later = state.others.iter().filter(|name| **name > own.trigger.name).max();
    if let Some(later) = later.filter(|_| by_trigger) {
        let warning = Error::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            format!(
                "trigger \"{later}\" fires after \"{}\" on table {}",
                own.trigger.name,
                target.qualified_name()
            ),
        )
        .detail("BEFORE triggers fire in the order of their names: what the last one changes is not seen.")
        .hint("Call architect.enable_updated_at() or architect.add_standard_columns() once more.");
        ErrorReport::from(warning).report(PgLogLevel::WARNING);
    }
    Ok(())
}

/// The spec with the names its columns have now.
fn renamed(state: &State, own: &Own) -> Spec {
    let mut spec = own.spec.clone();
    for kept in &mut spec.kept {
        if let Some(column) = state.column(kept) {
            kept.name.clone_from(&column.name);
        }
    }
    spec
}

/// Replacing a trigger enables it everywhere; where it was not, that was somebody's wish.
fn keep_states(state: &State) -> Result<()> {
    for trigger in state.triggers.iter().filter(|t| t.enabled != 'O') {
        let change = match trigger.enabled {
            'A' => "ENABLE ALWAYS",
            'R' => "ENABLE REPLICA",
            _ => "DISABLE",
        };
        let table = lookup::qualified_name(trigger.relid).unwrap_or_default();
        let name = pgrx::spi::quote_identifier(&trigger.name);
        spi::run(&format!("ALTER TABLE ONLY {table} {change} TRIGGER {name}"), &[])?;
    }
    Ok(())
}

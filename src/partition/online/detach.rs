//! Taking a partition off its table.

use super::attempts::Attempts;
use super::call::{Call, tell};
use crate::error::{Error, Result};
use crate::partition::job::{Outcome, Work, perform};
use crate::pg::{lookup, spi};
use pgrx::pg_sys;

/// Where a partition is.
struct Place {
    parent: pg_sys::Oid,
    /// A concurrent detach of it was interrupted.
    pending: bool,
    /// The default partition beside it, or itself.
    default: Option<pg_sys::Oid>,
}

pub fn detach(call: &Call) -> Result<()> {
    let child: pg_sys::Oid = call.required(0, "child")?;
    let concurrently: bool = call.required(1, "concurrently")?;
    let place = call.procedure.transaction(|| place(child))?;
    let Some(place) = place else {
        return Err(Error::wrong_object_type(format!("{} is not a partition", name(child)))
            .hint("Name a partition of a partitioned table."));
    };
    let (parent, attempts) = call.on_table(place.parent, "detach a partition of", 2, 3)?;
    let (parent_name, child_name) = (parent.qualified_name(), name(child));
    if place.pending {
        concurrent(&attempts, &Work::FinalizeDetach { parent: place.parent, child })?;
        tell(format!("finished the interrupted detach of {child_name} from {parent_name}"));
        return Ok(());
    }
    if !concurrently {
        attempts.retrying(|| {
            spi::run(&format!("LOCK TABLE ONLY {parent_name} IN ACCESS EXCLUSIVE MODE"), &[])?;
            spi::run(&format!("ALTER TABLE {parent_name} DETACH PARTITION {child_name}"), &[])
        })?;
    } else if let Some(default) = place.default {
        return Err(Error::not_in_prerequisite_state(format!(
            "cannot detach {child_name} concurrently while {parent_name} has a default partition"
        ))
        .detail(format!("{} is the default partition.", name(default)))
        .hint(
            "If it is empty, detach it first, with concurrently => false; else call this with concurrently => \
             false, which takes an ACCESS EXCLUSIVE lock for a moment.",
        ));
    } else {
        concurrent(&attempts, &Work::Detach { parent: place.parent, child })?;
    }
    tell(format!("detached {child_name} from {parent_name}"));
    Ok(())
}

/// Has a worker do it. What was interrupted before the end is ended, as long as there is time.
fn concurrent(attempts: &Attempts, work: &Work) -> Result<()> {
    match perform(attempts.procedure, work, attempts.deadline)? {
        Outcome::Done => Ok(()),
        Outcome::Failed(error) | Outcome::Late(error) => Err(error),
        Outcome::HandedOver(command) => Err(hand_over(&command)),
    }
}

/// The error where no worker can be had.
pub fn hand_over(command: &str) -> Error {
    Error::new(
        pgrx::PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        "no background worker could be started before the deadline",
    )
    .detail("The next command cannot run inside a procedure.")
    .hint(format!("Raise max_worker_processes, or run this by hand and call the procedure again: {command};"))
}

fn place(child: pg_sys::Oid) -> Result<Option<Place>> {
    let rows = spi::read_now(
        "SELECT i.inhparent, i.inhdetachpending, NULLIF(p.partdefid, 0::pg_catalog.oid)
           FROM pg_catalog.pg_inherits AS i
           JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid OPERATOR(pg_catalog.=) i.inhparent
          WHERE i.inhrelid OPERATOR(pg_catalog.=) $1",
        &[child.into()],
        |row| Ok((row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    Ok(rows.into_iter().next().and_then(|(parent, pending, default)| {
        Some(Place { parent: parent?, pending: pending.unwrap_or_default(), default })
    }))
}

fn name(relid: pg_sys::Oid) -> String {
    lookup::qualified_name(relid).unwrap_or_else(|| relid.to_u32().to_string())
}

//! The upkeep of the log, in the order its steps are run.

use crate::audit::{keeping, retention, seal};
use crate::capture::storage;
use crate::error::Result;
use crate::maintenance::{Run, Step};
use crate::pg::{lookup, spi};
use pgrx::prelude::*;

/// Before the policy engine keeps the log's partitions: what is past keeping is sealed first.
pub const BEFORE: &[Step] = &[
    Step { name: "audit origin", run: note_origin },
    Step { name: "audit policy", run: ensure_policy },
    Step { name: "audit seal", run: seal },
];

/// After it: on the partitions there are then.
pub const STEPS: &[Step] = &[
    Step { name: "audit indexes", run: summarize },
    Step { name: "audit contexts", run: retention::purge_contexts },
];

pub fn log_exists() -> bool {
    lookup::own_relation("audit_entry").is_some()
}

/// After a restore into another cluster or database stored identifiers are looked up again.
fn note_origin(run: &mut Run) -> Result<()> {
    run.retrying(|| if log_exists() { storage::note_origin() } else { Ok(()) })
}

/// A log that came without its policy, from a dump of some tables only, gets one.
fn ensure_policy(run: &mut Run) -> Result<()> {
    run.retrying(|| if log_exists() { keeping::ensure_policy().map(|_| ()) } else { Ok(()) })
}

/// Brings the block range indexes up to date where autovacuum has not come by.
fn summarize(run: &mut Run) -> Result<()> {
    let indexes = run.transaction(|| {
        if !log_exists() {
            return Ok(Vec::new());
        }
        spi::read_now(
            "SELECT i.oid, i.relname::pg_catalog.text
               FROM pg_catalog.pg_inherits AS p
               JOIN pg_catalog.pg_index AS x ON x.indrelid = p.inhrelid
               JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
               JOIN pg_catalog.pg_am AS a ON a.oid = i.relam
              WHERE p.inhparent = 'architect.audit_entry'::pg_catalog.regclass AND a.amname = 'brin'
              ORDER BY i.relname",
            &[],
            |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?.unwrap_or_default())),
        )
    })?;
    let mut failure = Ok(());
    for (index, name) in indexes {
        let done = run.transaction(|| {
            spi::run_one::<i32>(
                "SELECT pg_catalog.brin_summarize_new_values($1::pg_catalog.oid::pg_catalog.regclass)",
                &[index.into()],
            )
        });
        match done {
            Ok(Some(ranges)) if ranges > 0 => run.note(name, "summarized", format!("{ranges} block ranges")),
            Ok(_) => {}
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => failure = Err(error),
        }
    }
    failure
}

/// Seals the log, where somebody has begun to.
fn seal(run: &mut Run) -> Result<()> {
    let sealed = run.retrying(|| {
        if log_exists() && seal::retire::in_use() { seal::make::seal().map(Some) } else { Ok(None) }
    })?;
    let Some(sealed) = sealed else { return Ok(()) };
    if let (true, Some(id), Some(hash)) = (sealed.entries > 0, sealed.seal_id, sealed.hash) {
        run.note(format!("seal {id}"), "sealed", format!("{} entries; hash {hash}", sealed.entries));
    }
    if let Some(holder) = sealed.held_back_by {
        run.note("seal", "held back", format!("what was written since waits for {holder}"));
    }
    Ok(())
}

//! The upkeep of the log, in the order its steps are run.

use crate::audit::partitions::{self, Range};
use crate::audit::settings::Settings;
use crate::audit::{retention, seal};
use crate::capture::storage;
use crate::error::{Error, Result};
use crate::maintenance::{Run, Step};
use crate::pg::{lookup, session, spi};
use pgrx::prelude::*;

pub const STEPS: &[Step] = &[
    Step { name: "audit origin", run: note_origin },
    Step { name: "audit months", run: make_months },
    Step { name: "audit default partition", run: empty_default },
    Step { name: "audit indexes", run: summarize },
    Step { name: "audit seal", run: seal },
    Step { name: "audit retention", run: retention::drop_months },
    Step { name: "audit contexts", run: retention::purge_contexts },
];

/// Room between the last change written to the default partition and the start of its successor:
/// enough to check a constraint on it without locking it.
const SECOND: i64 = 1_000_000;

pub fn log_exists() -> bool {
    lookup::own_relation("audit_entry").is_some()
}

/// After a restore into another cluster or database stored identifiers are looked up again.
fn note_origin(run: &mut Run) -> Result<()> {
    run.retrying(|| if log_exists() { storage::note_origin() } else { Ok(()) })
}

/// Makes the coming months, and this one where it has no partition and changes go to the default one.
fn make_months(run: &mut Run) -> Result<()> {
    let wanted = run.transaction(|| {
        if !log_exists() {
            return Ok(None);
        }
        drop_proof()?;
        let now = session::clock();
        let months = partitions::months(now, Settings::read()?.months_ahead)?;
        let wanted = partitions::missing(months, &partitions::layout()?);
        let late = wanted.first().is_some_and(|first| first.low <= now);
        // Changes made before now may be in the default partition, so it cannot become empty of this
        // month's: then the new partition starts a little later.
        Ok(Some((wanted, late && default_bytes()? > 0)))
    })?;
    let Some((wanted, take_over)) = wanted else { return Ok(()) };
    let outcome = if take_over { take_over_from_default(run, wanted) } else { attach_each(run, wanted) };
    run.retrying(drop_proof)?;
    outcome
}

fn attach_each(run: &mut Run, ranges: Vec<Range>) -> Result<()> {
    let mut failure = Ok(());
    for range in ranges {
        let made = run.retrying(|| {
            partitions::create(&range)?;
            partitions::attach(&range)?;
            range.name()
        });
        match made {
            Ok(name) => run.note(name, "created", ""),
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => failure = Err(error),
        }
    }
    failure
}

/// Lets partitions take over from the default one while it is being written to, without a scan of it
/// that would hold up the writers: a constraint that nothing in it is as late as a moment soon to come is
/// checked beside them; then, before that moment, the partitions from there on are attached, which the
/// constraint spares the scan.
fn take_over_from_default(run: &mut Run, mut wanted: Vec<Range>) -> Result<()> {
    let start = run.retrying(|| {
        // A minute, and the time to read the partition at a leisurely 20 MB a second; whole seconds.
        let patience = 60 + default_bytes()? / 20_000_000;
        let start = (session::clock() / SECOND + patience) * SECOND;
        let limit = partitions::literal(start)?;
        spi::run(
            &format!(
                "ALTER TABLE architect.audit_entry_default
                   ADD CONSTRAINT {PROOF} CHECK (changed_at OPERATOR(pg_catalog.<) {limit}) NOT VALID"
            ),
            &[],
        )?;
        Ok(start)
    })?;
    run.transaction(|| {
        spi::run(&format!("ALTER TABLE architect.audit_entry_default VALIDATE CONSTRAINT {PROOF}"), &[])
    })?;
    wanted.retain(|range| range.high > start);
    if let Some(first) = wanted.first_mut() {
        first.low = first.low.max(start);
    }
    let mut failure = Ok(());
    for range in wanted {
        let made = run.retrying(|| {
            partitions::create(&range)?;
            // Whoever writes to the default partition has ended once this is granted, so nothing in it
            // is later than now.
            spi::run("LOCK TABLE architect.audit_entry_default IN ACCESS EXCLUSIVE MODE", &[])?;
            if session::clock() > start - SECOND {
                return Err(Error::not_in_prerequisite_state(
                    "the default partition of the audit log could not be locked in time",
                )
                .detail("Transactions that have written to it stay open.")
                .hint("The next run tries again."));
            }
            partitions::attach(&range)?;
            range.name()
        });
        match made {
            Ok(name) => run.note(name, "created", "takes over from the default partition"),
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => failure = Err(error),
        }
    }
    failure
}

/// The constraint of `take_over_from_default`. The trigger does not look at constraints, so once its
/// moment has come it may no longer be true: it must be gone before anything else is attached.
const PROOF: &str = "nothing_as_late_as";

fn drop_proof() -> Result<()> {
    let found = spi::run_one::<bool>(
        "SELECT true FROM pg_catalog.pg_constraint AS c
          WHERE c.conrelid OPERATOR(pg_catalog.=) $1 AND c.conname OPERATOR(pg_catalog.=) $2::pg_catalog.name",
        &[lookup::own_relation(partitions::DEFAULT).into(), PROOF.into()],
    )?;
    if found.is_some() {
        spi::run(&format!("ALTER TABLE architect.audit_entry_default DROP CONSTRAINT {PROOF}"), &[])?;
    }
    Ok(())
}

fn default_bytes() -> Result<i64> {
    spi::run_one::<i64>(
        "SELECT pg_catalog.pg_relation_size($1::pg_catalog.oid::pg_catalog.regclass)",
        &[lookup::own_relation(partitions::DEFAULT).into()],
    )
    .map(Option::unwrap_or_default)
}

/// Moves rows out of the default partition into partitions made for them, a month in a transaction. Writers
/// go on: by now they write elsewhere, `make_months` having seen to it.
fn empty_default(run: &mut Run) -> Result<()> {
    let ranges = run.transaction(|| if log_exists() { ranges_in_default() } else { Ok(Vec::new()) })?;
    let mut failure = Ok(());
    for range in ranges {
        match run.retrying(|| move_out(&range)) {
            Ok((name, rows)) => {
                run.note(name, "created", format!("{rows} entries moved from the default partition"))
            }
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => {
                run.note(partitions::DEFAULT, "failed", error.one_line());
                failure = Err(error);
            }
        }
    }
    failure
}

/// Stretches of time, within a month each, that have entries in the default partition, no partition, and are over.
fn ranges_in_default() -> Result<Vec<Range>> {
    let log = partitions::layout()?;
    let firsts = spi::read_now(
        "SELECT DISTINCT pg_catalog.date_trunc('month', e.changed_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
           FROM architect.audit_entry_default AS e ORDER BY 1",
        &[],
        |row| row.get::<TimestampWithTimeZone>(1),
    )?;
    let mut ranges = Vec::new();
    for first in firsts.into_iter().flatten() {
        for month in partitions::months(first.into(), 0)? {
            ranges.extend(partitions::uncovered(&month, &log));
        }
    }
    // What is being written to just now waits for the next run.
    let now = session::clock();
    ranges.retain(|range| range.high <= now || range.low > now);
    Ok(ranges)
}

fn move_out(range: &Range) -> Result<(String, i64)> {
    let name = partitions::create(range)?;
    let mut rows = move_rows(range, &name)?;
    // A transaction that began before the partition that follows may have added some.
    spi::run("LOCK TABLE architect.audit_entry_default IN ACCESS EXCLUSIVE MODE", &[])?;
    rows += move_rows(range, &name)?;
    partitions::attach(range)?;
    Ok((range.name()?, rows))
}

fn move_rows(range: &Range, name: &str) -> Result<i64> {
    let moved = spi::run_one::<i64>(
        &format!(
            "WITH moved AS (DELETE FROM architect.audit_entry_default AS e
                             WHERE e.changed_at >= $1 AND e.changed_at < $2 RETURNING e.*),
                  kept AS (INSERT INTO {name} SELECT * FROM moved RETURNING 1)
             SELECT pg_catalog.count(*) FROM kept"
        ),
        &[partitions::timestamp(range.low)?.into(), partitions::timestamp(range.high)?.into()],
    )?;
    Ok(moved.unwrap_or_default())
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

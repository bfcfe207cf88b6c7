//! Tables whose rows come in the order of the clock (guard.rs): new partitions take over from the default
//! one while it is being written to, and its rows are moved out when their time is over. Writers go on.

use super::create::{self, Creation};
use super::journal::Journal;
use super::layout::{Layout, Shape};
use super::maintain::{told, warn};
use super::missing::{Cell, Piece};
use super::online::Attempts;
use super::plan::{self, Act, Steps};
use super::policy::Policy;
use super::table::Partition;
use crate::error::{Error, Result};
use crate::pg::{lookup, session, spi};
use std::time::Instant;

/// Room between the last row written to the default partition and the start of its successor: enough to
/// check a constraint on it without locking it.
const SECOND: i64 = 1_000_000;

/// Plans what concerns the default partition; returns the partitions left to be made as for any table.
pub fn plan(
    policy: &Policy,
    layout: &Layout,
    planned: Vec<Creation>,
    steps: &mut Steps,
) -> Result<Vec<Creation>> {
    let Some(default) = layout.default() else { return Ok(planned) };
    if create::bytes_of(default) == 0 {
        return Ok(planned);
    }
    let mut planned = planned;
    let now = session::clock();
    if planned.first().is_some_and(|first| first.piece.from <= now) {
        // Rows written before now may be in the default partition, so that it cannot become empty of this
        // period's: the new partition starts a little later.
        let pieces: Vec<Piece> = planned.drain(..).map(|creation| creation.piece).collect();
        let name = default.qualified_name();
        let sql = format!(
            "ALTER TABLE {name} ADD CONSTRAINT {} CHECK (... < a moment soon to come) NOT VALID; ALTER TABLE {name} VALIDATE \
             CONSTRAINT {0}; then, before that moment, {} partitions are made and attached",
            plan::PROOF,
            pieces.len()
        );
        let scans = create::bytes_of(default);
        let step = steps.push("take over", name.clone(), sql, Act::TakeOver(pieces));
        (step.lock_mode, step.lock_on) = ("ACCESS EXCLUSIVE", name);
        step.scans = scans;
        step.detail = "read without a strong lock, which is held for moments before and after".into();
        steps.group += 1;
    }
    for piece in over(layout, default, now)? {
        planned.retain(|creation| creation.piece != piece);
        for creation in create::plan(layout, &[Cell::Missing(piece)], policy.privileges)? {
            let child = creation.child(&layout.parent);
            let name = default.qualified_name();
            let sql = format!("{}; rows are moved; {}", creation.sql.join("; "), creation.attach);
            let step = steps.push("move out", child, sql, Act::MoveOut(Box::new(creation)));
            (step.lock_mode, step.lock_on) = ("ACCESS EXCLUSIVE", name.clone());
            step.detail = format!("rows of {name} whose time is over");
            steps.group += 1;
        }
    }
    Ok(planned)
}

fn key(layout: &Layout) -> Result<String> {
    let column = layout.parent.column.as_deref();
    column
        .map(pgrx::spi::quote_identifier)
        .ok_or_else(|| Error::internal("the partition key is an expression"))
}

fn literal(layout: &Layout, at: i64) -> Result<String> {
    layout
        .kind
        .text(at)
        .map(|text| format!("'{text}'::pg_catalog.timestamptz"))
        .ok_or_else(|| Error::internal("a point in time cannot be written down"))
}

/// Stretches of time, within a period each, that have rows in the default partition, no partition, and are
/// over. What is being written to just now waits for the next run.
fn over(layout: &Layout, default: &Partition, now: i64) -> Result<Vec<Piece>> {
    let (column, name) = (key(layout)?, default.qualified_name());
    let extremes = spi::read_now(
        &format!("SELECT pg_catalog.min(d.{column}), pg_catalog.max(d.{column}) FROM ONLY {name} AS d"),
        &[],
        |row| {
            let at = |i| row.get::<pgrx::datum::TimestampWithTimeZone>(i).map(|at| at.map(i64::from));
            Ok((at(1)?, at(2)?))
        },
    )?;
    let Some((Some(least), Some(greatest))) = extremes.into_iter().next() else { return Ok(Vec::new()) };
    let zone = layout.zone.as_ref();
    let bounds = layout.grid.floor(least, zone).zip(layout.grid.next(greatest, zone));
    let Some((from, to)) = bounds else { return Ok(Vec::new()) };
    let mut pieces = Vec::new();
    for cell in layout.cells(from, to) {
        let Cell::Missing(piece) = cell else { continue };
        if (piece.to <= now || piece.from > now) && !is_empty(layout, default, &piece)? {
            pieces.push(piece);
        }
    }
    Ok(pieces)
}

fn within(layout: &Layout, piece: &Piece) -> Result<String> {
    let column = key(layout)?;
    Ok(format!(
        "{column} OPERATOR(pg_catalog.>=) {} AND {column} OPERATOR(pg_catalog.<) {}",
        literal(layout, piece.from)?,
        literal(layout, piece.to)?
    ))
}

fn is_empty(layout: &Layout, default: &Partition, piece: &Piece) -> Result<bool> {
    let query = format!(
        "SELECT true FROM ONLY {} WHERE {} LIMIT 1",
        default.qualified_name(),
        within(layout, piece)?
    );
    Ok(spi::read_one_now::<bool>(&query, &[]).is_none())
}

fn gone() -> Error {
    Error::not_in_prerequisite_state("the default partition has gone meanwhile")
        .hint("The next run looks anew.")
}

/// Lets partitions take over from the default one while it is being written to, without a scan of it
/// that would hold up the writers: a constraint that nothing in it is as late as a moment soon to come is
/// checked beside them; then, before that moment, the partitions from there on are attached, which the
/// constraint spares the scan.
pub fn take_over(
    attempts: &Attempts,
    shape: &Shape,
    layout: &Layout,
    pieces: &[Piece],
    journal: &mut Journal,
) -> Result<()> {
    let parent = &layout.parent;
    let name = parent.qualified_name();
    let begun = Instant::now();
    let outcome = prove(attempts, layout).and_then(|start| {
        for piece in pieces.iter().filter(|piece| piece.to > start) {
            let begun = Instant::now();
            let made = attempts.retrying(|| {
                spi::run(&create::lock_parent(parent), &[])?;
                take_over_one(&Layout::read(parent, shape)?, piece, start)
            })?;
            if let Some(child) = made {
                let detail = "takes over from the default partition";
                journal.note((parent.oid, &name), child, "created", detail, begun);
            }
        }
        Ok(())
    });
    // The trigger does not look at constraints, so once its moment has come it may no longer be true: it
    // must be gone before anything else is attached.
    let dropped = attempts.retrying(|| plan::drop_proof(layout));
    note_failure(outcome.and(dropped), (layout, &name), begun, journal)
}

/// Returns the moment before which everything in the default partition lies.
fn prove(attempts: &Attempts, layout: &Layout) -> Result<i64> {
    let default = layout.default().ok_or_else(gone)?;
    let name = default.qualified_name();
    let start = attempts.retrying(|| {
        // A minute, and the time to read the partition at a leisurely 20 MB a second; whole seconds.
        let patience = 60 + create::bytes_of(default) / 20_000_000;
        let start = (session::clock() / SECOND + patience) * SECOND;
        spi::run(
            &format!(
                "ALTER TABLE {name} ADD CONSTRAINT {} CHECK ({} OPERATOR(pg_catalog.<) {}) NOT VALID",
                plan::PROOF,
                key(layout)?,
                literal(layout, start)?
            ),
            &[],
        )?;
        Ok(start)
    })?;
    attempts
        .patiently(|| spi::run(&format!("ALTER TABLE {name} VALIDATE CONSTRAINT {}", plan::PROOF), &[]))?;
    Ok(start)
}

/// Makes the partition of one piece, from `start` on; none if it is there by now.
fn take_over_one(layout: &Layout, piece: &Piece, start: i64) -> Result<Option<String>> {
    let missing = layout.cells(piece.from.max(start), piece.to).into_iter().find_map(|cell| match cell {
        Cell::Missing(missing) if missing.to > start => Some(missing),
        _ => None,
    });
    let Some(mut missing) = missing else { return Ok(None) };
    if missing.from < start {
        missing = layout.piece(start, missing.to).ok_or_else(|| Error::internal("no bound is left"))?;
    }
    let default = layout.default().ok_or_else(gone)?.qualified_name();
    let Some(creation) = create::plan(layout, &[Cell::Missing(missing)], false)?.into_iter().next() else {
        return Ok(None);
    };
    if let Some(conflict) = creation.conflict {
        return Err(Error::not_in_prerequisite_state(conflict));
    }
    creation.run(&layout.parent, || {
        // Whoever writes to the default partition has ended once this is granted, so nothing in it is later
        // than now.
        spi::run(&format!("LOCK TABLE ONLY {default} IN ACCESS EXCLUSIVE MODE"), &[])?;
        if session::clock() <= start - SECOND {
            return Ok(());
        }
        Err(Error::not_in_prerequisite_state("the default partition could not be locked in time")
            .detail("Transactions that have written to it stay open.")
            .hint("The next run tries again."))
    })?;
    Ok(Some(creation.child(&layout.parent)))
}

/// Moves rows out of the default partition into one made for them, in one transaction. Writers go on: by now
/// they write elsewhere.
pub fn move_out(
    attempts: &Attempts,
    layout: &Layout,
    creation: &Creation,
    journal: &mut Journal,
) -> Result<()> {
    let parent = &layout.parent;
    let (name, child) = (parent.qualified_name(), creation.child(parent));
    let begun = Instant::now();
    if let Some(conflict) = &creation.conflict {
        journal.note((parent.oid, &name), child, "conflict", conflict.as_str(), begun);
        return Ok(());
    }
    let moved = attempts.retrying(|| {
        spi::run(&create::lock_parent(parent), &[])?;
        if lookup::relation_named(&parent.schema, &creation.name).is_some() {
            // Another run was quicker.
            return Ok(0);
        }
        let default = layout.default().ok_or_else(gone)?;
        let mut rows = 0;
        creation.run(parent, || {
            // Spares the scan when it is attached.
            let within = within(layout, &creation.piece)?;
            spi::run(&format!("ALTER TABLE {child} ADD CONSTRAINT within CHECK ({within})"), &[])?;
            rows = move_rows(default, &child, &within)?;
            // A transaction that began before the partition that follows may have added some.
            spi::run(&format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", default.qualified_name()), &[])?;
            rows += move_rows(default, &child, &within)?;
            Ok(())
        })?;
        spi::run(&format!("ALTER TABLE {child} DROP CONSTRAINT within"), &[])?;
        Ok(rows)
    });
    match moved {
        Ok(0) => Ok(()),
        Ok(rows) => {
            let detail = format!("{rows} entries moved from the default partition");
            journal.note((parent.oid, &name), child, "created", detail, begun);
            Ok(())
        }
        Err(error) => note_failure(Err(error), (layout, &child), begun, journal),
    }
}

fn move_rows(default: &Partition, child: &str, within: &str) -> Result<i64> {
    let moved = spi::run_one::<i64>(
        &format!(
            "WITH moved AS (DELETE FROM ONLY {} AS d WHERE {within} RETURNING d.*),
                  kept AS (INSERT INTO {child} SELECT * FROM moved RETURNING 1)
             SELECT pg_catalog.count(*) FROM kept",
            default.qualified_name()
        ),
        &[],
    )?;
    Ok(moved.unwrap_or_default())
}

fn note_failure(
    outcome: Result<()>,
    (layout, object): (&Layout, &str),
    begun: Instant,
    journal: &mut Journal,
) -> Result<()> {
    match outcome {
        Err(error) if error.is_cancel() => Err(error),
        Err(error) => {
            warn(object, &error);
            let parent = &layout.parent;
            journal.note((parent.oid, &parent.qualified_name()), object, "failed", told(&error), begun);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

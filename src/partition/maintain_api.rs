//! The SQL functions that run maintenance, say what it would do and what it did.

use super::layout::Layout;
use super::maintain::{self, Maintenance};
use super::online::call::Call;
use super::plan::{self, Act};
use super::policy::{self, Fate, Keep, Retention};
use super::{journal::Journal, layout::Shape, period::Period, table};
use crate::error::{self, Error};
use crate::maintenance::{Run, Step};
use crate::pg::{security, spi};
use pgrx::PgRelation;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// What run_maintenance() runs.
pub const STEPS: &[Step] = &[Step { name: "partitions", run: step }];
/// How long partitions may take of a run of the whole upkeep.
const SHARE: Duration = Duration::from_secs(300);

fn step(run: &mut Run) -> error::Result<()> {
    let acting = run.transaction(|| Ok(security::current_role()))?;
    let maintenance = Maintenance {
        procedure: run.procedure(),
        acting,
        deadline: Instant::now() + SHARE,
        lock_timeout: 200,
    };
    let journal = maintenance.all(None)?;
    for note in journal.notes() {
        run.note(note.object.as_str(), note.action, note.detail.as_str());
    }
    match journal.failed {
        0 => Ok(()),
        failed => {
            run.note("", "failed", format!("{failed} actions failed: see partition_log()"));
            Err(Error::not_in_prerequisite_state("maintenance of partitions failed in part"))
        }
    }
}

/// Does for every managed table what its policy says: makes partitions ahead, retires those past keeping,
/// finishes interrupted detaches, gathers the parent's planner statistics. To be called by a scheduler,
/// hourly or nightly; run_maintenance() calls it too.
///
/// Arguments: parent, one managed table only; deadline, what is not begun by then is left to the next
/// call; lock_timeout, how long one attempt at a lock may hold up others. Each step commits on its own; a
/// table that fails is a WARNING and stops no other. Tables the role has no rights to are refused. Every
/// action and refusal is a row of partition_log(); partition_plan() says beforehand what would be done.
/// Errors: 25001 inside a transaction block or a function; 55000 parent is not managed.
/// Lock: SHARE UPDATE EXCLUSIVE on parents, which holds up neither readers nor writers; ACCESS EXCLUSIVE for
/// moments on default partitions and on what is retired. Privilege: EXECUTE, and the rights of the tables'
/// owners: it works as each table's owner.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."maintain_partitions"(
    "parent" regclass DEFAULT NULL, "deadline" interval DEFAULT '5 minutes', "lock_timeout" interval DEFAULT '200 ms'
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn maintain_partitions(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let call = Call::begin(fcinfo, "maintain_partitions()")?;
    let maintenance = maintenance(&call, 1, 2)?;
    maintenance.all(call.optional(0))?;
    Ok(())
}

fn maintenance(call: &Call, deadline: usize, lock_timeout: usize) -> error::Result<Maintenance<'_>> {
    let deadline = Instant::now() + call.duration(deadline, "deadline")?;
    let lock_timeout = call.duration(lock_timeout, "lock_timeout")?.as_millis().clamp(1, 60_000) as i32;
    Ok(Maintenance { procedure: &call.procedure, acting: security::current_role(), deadline, lock_timeout })
}

/// Retires a table's partitions that are past keeping, whether it is managed or not.
///
/// Arguments: parent; keep, an interval, or keep_value for a key that is a number: partitions whose upper
/// bound in the catalogue is that far back are retired; action, archive_schema, archive_function as keep_action
/// and these in manage_partitions; max_partitions, at most so many at once; dry_run, true by default, only tells; deadline;
/// lock_timeout; key_unit and timezone as in create_partitions, for tables that are not managed. Partitions
/// on hold stay, as do the default one and the one that holds the present.
/// Tells as NOTICEs what would be, or was, done; what was done is in partition_log() too.
/// Errors: 25001 inside a transaction block or a function; 42501 not the owner; 22023 nothing given to
/// keep. Lock: SHARE UPDATE EXCLUSIVE on the parent (ACCESS EXCLUSIVE, waited for 200 ms at a time, where
/// there is a default partition); ACCESS EXCLUSIVE on each partition once it is detached. Privilege:
/// ownership of the parent.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."retain_partitions"(
    "parent" regclass, "keep" interval DEFAULT NULL, "action" text DEFAULT 'detach', "dry_run" bool DEFAULT true,
    "max_partitions" int DEFAULT 12, "keep_value" bigint DEFAULT NULL, "archive_schema" text DEFAULT NULL,
    "archive_function" text DEFAULT NULL, "deadline" interval DEFAULT '5 minutes', "lock_timeout" interval DEFAULT '200 ms',
    "key_unit" text DEFAULT NULL, "timezone" text DEFAULT NULL
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn retain_partitions(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let call = Call::begin(fcinfo, "retain_partitions()")?;
    Ok(retain(&call)?)
}

fn retain(call: &Call) -> error::Result<()> {
    let relid: pg_sys::Oid = call.required(0, "parent")?;
    let (keep, keep_value) = (call.optional::<Interval>(1), call.optional::<i64>(5));
    let mut retention = Retention {
        keep: call.procedure.transaction(|| Keep::of(keep, keep_value))?,
        fate: Fate::parse(&call.required::<String>(2, "action")?, call.optional(6), call.optional(7))?,
        most: call.required(4, "max_partitions")?,
    };
    if matches!(retention.keep, Keep::Forever) {
        return Err(Error::invalid_parameter("nothing says what is to be kept")
            .hint("Give keep, an interval such as '13 months', or keep_value for a key that is a number."));
    }
    let dry_run: bool = call.required(3, "dry_run")?;
    let (unit, timezone) = (call.optional::<String>(10), call.optional::<String>(11));
    let maintenance = maintenance(call, 8, 9)?;
    let (layout, shape, steps) = call.procedure.transaction(|| {
        let parent = security::with_safe_search_path(|| table::owned(relid, "retire partitions of"))?;
        super::policy_api::resolve(&mut retention.fate, parent.owner)?;
        let managed = policy::read(Some(relid))?.into_iter().next().map(|policy| policy.shape);
        let shape = match managed {
            Some(shape) if unit.is_none() && timezone.is_none() => shape,
            _ => {
                let number = keep_value.is_some();
                let period = if number { Period::Step(1) } else { Period::Days(1) };
                Shape { unit: unit.clone(), period, timezone: timezone.clone(), anchor: Some(0) }
            }
        };
        security::as_owner(parent.owner, || {
            let layout = Layout::read(&parent, &shape)?;
            let steps = plan::retire_only(&retention, &layout, &policy::holds()?)?;
            Ok((layout, shape, steps))
        })
    })?;
    if steps.is_empty() {
        tell("no partition is past keeping");
    }
    if dry_run {
        for step in &steps {
            match step.act {
                Act::Refuse => tell(format!("{} is {}: {}", step.object, step.action, step.detail)),
                _ => tell(format!("would {} {} ({}): {}", step.action, step.object, step.detail, step.sql)),
            }
        }
        if !steps.is_empty() {
            tell("nothing was done: call again with dry_run => false");
        }
        return Ok(());
    }
    if steps.is_empty() {
        return Ok(());
    }
    let mut journal = Journal::begin(&call.procedure)?;
    maintenance.steps(&retention, &shape, &layout, steps, &mut journal)?;
    for note in journal.notes() {
        tell(format!("{}: {} ({})", note.object, note.action, note.detail));
    }
    journal.finish(&call.procedure)?;
    Ok(())
}

fn tell(message: impl Into<String>) {
    super::online::call::tell(message);
}

/// What maintain_partitions() would do now.
///
/// Arguments: parent, one managed table; by default all the role has the rights of.
/// Returns one row for each step: steps of one transaction_group are done in one transaction; lock_mode and
/// locks, the strongest lock and on what; bytes_read, how much is read while it is held. conflict, held and
/// deferred are steps that will not be taken, with the reason.
/// Errors: 42501 not the owner; 55000 not managed. Lock: none but ACCESS SHARE. Privilege: ownership.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn partition_plan(
    parent: default!(Option<PgRelation>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(parent_name, String),
            name!(step, i32),
            name!(transaction_group, i32),
            name!(action, String),
            name!(object_name, String),
            name!(sql, String),
            name!(lock_mode, String),
            name!(locks, String),
            name!(bytes_read, i64),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let only = parent.as_ref().map(PgRelation::oid);
    drop(parent);
    let rows = security::with_safe_search_path(|| -> error::Result<_> {
        let holds = policy::holds()?;
        let mut rows = Vec::new();
        for managed in maintain::read(only)? {
            let Some(parent) = managed.parent else { continue };
            match maintain::permitted(&managed.policy, &parent) {
                Err(error) if only.is_some() => return Err(error),
                Err(_) => continue,
                Ok(()) => {}
            }
            let name = parent.qualified_name();
            let steps = security::as_owner(parent.owner, || {
                let layout = Layout::new(parent, managed.partitions, &managed.policy.shape)?;
                plan::of(&managed.policy, &layout, &holds)
            })?;
            for (number, step) in steps.into_iter().enumerate() {
                rows.push((
                    name.clone(),
                    number as i32 + 1,
                    step.group,
                    step.action.to_owned(),
                    step.object,
                    step.sql,
                    step.lock_mode.to_owned(),
                    step.lock_on,
                    step.scans,
                    step.detail,
                ));
            }
        }
        Ok(rows)
    })?;
    Ok(TableIterator::new(rows))
}

/// What maintenance of partitions did, refused and failed at, the latest first.
///
/// Arguments: parent, one table only; runs, how many runs to show.
/// Returns one row for each action: created, dropped, detached, archived, finalized, analyzed, finished; and
/// conflict, held, kept (the audit log's months that are not sealed), deferred, refused, failed, with the
/// reason; duration_ms. Privilege: EXECUTE.
#[pg_extern(stable)]
#[allow(clippy::type_complexity)]
fn partition_log(
    parent: default!(Option<PgRelation>, "NULL"),
    runs: default!(i32, "1"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(run_id, i64),
            name!(noted_at, TimestampWithTimeZone),
            name!(parent_name, String),
            name!(object_name, String),
            name!(action, String),
            name!(detail, String),
            name!(duration_ms, i64),
        ),
    >,
    ErrorReport,
> {
    let only = parent.as_ref().map(PgRelation::oid);
    let rows = security::as_extension_owner(|| {
        spi::read(
            "SELECT a.run_id, a.noted_at, a.parent_name, a.object_name, a.action, a.detail, a.took_ms
               FROM architect.partition_action a
              WHERE ($1::oid IS NULL OR a.relid = $1)
                AND a.run_id IN (SELECT r.run_id FROM architect.partition_run r
                                  WHERE $1::oid IS NULL
                                     OR EXISTS (SELECT FROM architect.partition_action o WHERE o.run_id = r.run_id AND o.relid = $1)
                                  ORDER BY r.run_id DESC LIMIT $2)
              ORDER BY a.run_id DESC, a.action_id",
            &[only.into(), i64::from(runs.max(0)).into()],
            |row| {
                let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
                Ok(row.get(1)?.zip(row.get(2)?).zip(row.get(7)?).map(|((run, at), took)| {
                    Ok::<_, pgrx::spi::Error>((run, at, text(3)?, text(4)?, text(5)?, text(6)?, took))
                }))
            },
        )
    })?;
    let rows: Result<Vec<_>, _> = rows.into_iter().flatten().collect();
    Ok(TableIterator::new(rows.map_err(Error::from)?))
}

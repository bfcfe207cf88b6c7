//! A default partition that rows have gathered in: made a proper partition as it is, or emptied.

use super::attempts::Attempts;
use super::call::{Call, tell};
use super::scheme::{Scheme, Wish};
use crate::capture::exchange;
use crate::error::{Error, Result};
use crate::partition::bound::Edge;
use crate::partition::name::{partition_name, suffix};
use crate::partition::remake::{self, Terms};
use crate::partition::table::{self, Parent, Partition};
use crate::partition::template::Template;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Duration;

/// Constraint that proves the range of the rows.
const BOUND: &str = "architect_default_bound";

struct Default<'a> {
    attempts: Attempts<'a>,
    parent: Parent,
    partition: Partition,
    scheme: Scheme,
    /// The other partitions' ranges, in order.
    ranges: Vec<(Edge, Edge)>,
}

/// Begins with argument parent, and every, step, unit, timezone from position `wish` on.
fn begin<'c>(
    call: &'c Call,
    action: &str,
    wish: usize,
    deadline: usize,
    lock_timeout: usize,
) -> Result<Option<Default<'c>>> {
    let relid: pg_sys::Oid = call.required(0, "parent")?;
    let (relation, attempts) = call.on_table(relid, action, deadline, lock_timeout)?;
    attempts.look(|| {
        let parent = table::owned(relid, action)?;
        let Some(default) = parent.default else { return Ok(None) };
        let column = parent.column.clone().filter(|_| parent.columns == 1).ok_or_else(|| {
            Error::wrong_object_type(format!("cannot {action} {}", parent.qualified_name()))
                .detail("Its partition key is an expression, or of several columns.")
        })?;
        let scheme = match Wish::from(call, wish) {
            Wish { every: None, step: None, unit: None, timezone: None } => Scheme::in_use(&parent, &column)?,
            mut wish => {
                if wish.every.is_none() && wish.step.is_none() {
                    wish.every = Interval::new(1, 0, 0).ok();
                }
                wish.scheme(&relation, &column)?
            }
        };
        let mut partitions = table::partitions_of(&parent, scheme.kind)?;
        let at = partitions.iter().position(|partition| partition.oid == default);
        let partition = at
            .map(|at| partitions.remove(at))
            .ok_or_else(|| Error::internal("a default partition has gone"))?;
        if partition.partitioned {
            return Err(Error::wrong_object_type(format!(
                "{} is partitioned itself",
                partition.qualified_name()
            )));
        }
        let ranges =
            partitions.iter().filter_map(|p| p.bounds.range()).map(|(l, h)| (l.edge, h.edge)).collect();
        Ok(Some(Default { attempts, parent, partition, scheme, ranges }))
    })
}

impl Default<'_> {
    /// The stretch between partitions that a value lies in.
    fn gap(&self, at: i64) -> (Edge, Edge) {
        let at = Edge::At(at);
        let low =
            self.ranges.iter().map(|range| range.1).filter(|high| *high <= at).max().unwrap_or(Edge::Min);
        let high = self.ranges.iter().map(|range| range.0).filter(|low| *low > at).min().unwrap_or(Edge::Max);
        (low, high)
    }

    fn extremes(&self) -> Result<Option<(i64, i64)>> {
        let name = self.partition.qualified_name();
        Ok(self.scheme.extreme(&name, false)?.zip(self.scheme.extreme(&name, true)?))
    }

    /// What the default partition is to hold as a proper one: as much as lies between its neighbours, else
    /// whole periods around its rows and now.
    fn range(&self) -> Result<Option<(i64, i64)>> {
        let Some((least, greatest)) = self.extremes()? else { return Ok(None) };
        let gap = self.gap(least);
        if gap != self.gap(greatest) {
            return Err(Error::not_in_prerequisite_state(format!(
                "rows of {} lie on both sides of other partitions",
                self.partition.qualified_name()
            ))
            .detail("They cannot become one partition.")
            .hint("drain_default() moves rows, the earliest first; then call this again."));
        }
        let zone = self.scheme.zone()?;
        let grid = &self.scheme.grid;
        let out_of_range = || Error::internal("a bound is out of range");
        let low = match gap.0 {
            Edge::At(at) => at,
            _ => grid.floor(least, &*zone).ok_or_else(out_of_range)?,
        };
        let high = match gap.1 {
            Edge::At(at) => at,
            _ => {
                let last = self.scheme.now().map_or(greatest, |now| now.max(greatest));
                // One period more: what comes while it is proved must fit.
                let next = grid.next(last, &*zone).ok_or_else(out_of_range)?;
                grid.next(next, &*zone).ok_or_else(out_of_range)?
            }
        };
        Ok(Some((low, high)))
    }

    fn drop_bound(&self) -> Result<()> {
        if let Some(name) = lookup::qualified_name(self.partition.oid) {
            spi::run(&format!("ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {BOUND}"), &[])?;
        }
        Ok(())
    }
}

pub fn promote(call: &Call) -> Result<()> {
    let Some(default) = begin(call, "promote the default partition of", 1, 6, 7)? else {
        tell("there is no default partition");
        return Ok(());
    };
    let keep: bool = call.required(5, "new_default")?;
    match default.attempts.look(|| default.range())? {
        Some(range) => default.promote(range, keep),
        None => {
            let name = default.partition.qualified_name();
            tell(format!("{name} is empty: detach and drop it if it is not needed"));
            Ok(())
        }
    }
}

impl Default<'_> {
    /// Makes it the partition of a range; `keep`: with a new default partition in its place.
    fn promote(&self, (low, high): (i64, i64), keep: bool) -> Result<()> {
        let default = self;
        let (attempts, parent) = (&default.attempts, default.parent.qualified_name());
        let name = default.partition.qualified_name();
        let (new_name, low_sql, high_sql) = attempts.look(|| {
            let zone = default.scheme.zone()?;
            let suffix = suffix(default.scheme.kind, &default.scheme.grid, low, high, &*zone);
            let new_name = partition_name(&default.parent.name, &suffix);
            if lookup::relation_named(&default.parent.schema, &new_name).is_some() {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_DUPLICATE_TABLE,
                    format!("{} exists already", lookup::qualify(&default.parent.schema, &new_name)),
                )
                .hint("Rename or drop it: the default partition is to get this name."));
            }
            Ok((new_name, default.scheme.literal(low)?, default.scheme.literal(high)?))
        })?;
        let column = default.scheme.quoted();
        attempts.retrying(|| {
            default.drop_bound()?;
            spi::run(
                &format!(
                "ALTER TABLE {name} ADD CONSTRAINT {BOUND}
                   CHECK ({column} IS NOT NULL AND {column} >= {low_sql} AND {column} < {high_sql}) NOT VALID"
            ),
                &[],
            )
        })?;
        let outcome = attempts
        .patiently(|| spi::run(&format!("ALTER TABLE {name} VALIDATE CONSTRAINT {BOUND}"), &[]))
        .and_then(|_| {
            attempts.retrying(|| {
                spi::run(&format!("LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE"), &[])?;
                spi::run(&format!("ALTER TABLE {parent} DETACH PARTITION {name}"), &[])?;
                spi::run(&format!("ALTER TABLE {name} RENAME TO {}", pgrx::spi::quote_identifier(&new_name)), &[])?;
                let renamed = lookup::qualify(&default.parent.schema, &new_name);
                spi::run(
                    &format!("ALTER TABLE {parent} ATTACH PARTITION {renamed} FOR VALUES FROM ({low_sql}) TO ({high_sql})"),
                    &[],
                )?;
                spi::run(&format!("ALTER TABLE {renamed} DROP CONSTRAINT {BOUND}"), &[])?;
                if keep {
                    make(default, &name)?;
                    spi::run(&format!("ALTER TABLE {parent} ATTACH PARTITION {name} DEFAULT"), &[])?;
                }
                Ok(())
            })
        });
        if let Err(error) = outcome {
            // The constraint refuses rows: it must not stay.
            attempts.retrying(|| default.drop_bound())?;
            return Err(error);
        }
        tell(format!(
            "{name} is now {} FOR VALUES FROM ({low_sql}) TO ({high_sql})",
            lookup::qualify(&default.parent.schema, &new_name)
        ));
        Ok(())
    }
}

/// A table like the default partition.
fn make(default: &Default, table: &str) -> Result<()> {
    let parent = default.parent.qualified_name();
    let template = Template::of(&default.parent, Some(&default.partition), None, true)?;
    exchange::unfollowed(|| {
        spi::run(&template.create(&parent, table, None), &[])?;
        for statement in template.before_attaching(table) {
            spi::run(&statement, &[])?;
        }
        Ok(())
    })
}

pub fn drain(call: &Call) -> Result<()> {
    let Some(default) = begin(call, "drain the default partition of", 3, 7, 8)? else {
        tell("there is no default partition");
        return Ok(());
    };
    let batch = call.required::<i32>(1, "batch")?.clamp(1, 1_000_000);
    let pause = call.duration(2, "pause")?;
    let name = default.partition.qualified_name();
    let mut default = default;
    loop {
        let attempts = default.attempts;
        let Some((least, _)) = attempts.look(|| default.extremes())? else { break };
        let (low, high) = default.cell(least)?;
        match attempts.retrying(|| default.move_cell(low, high, i64::from(batch))) {
            Ok(rows) => tell(rows),
            Err(error) if error.code() == PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED => {
                return default.divide(error, batch, pause);
            }
            Err(error) => return Err(error),
        }
        default.ranges.push((Edge::At(low), Edge::At(high)));
        attempts.in_time()?;
        attempts.procedure.sleep(pause);
    }
    tell(format!("{name} is empty"));
    Ok(())
}

impl Default<'_> {
    /// Too many rows to be moved while nobody can use the table: what is left becomes a proper partition as
    /// it is, and that is split beside readers and writers.
    fn divide(&self, too_many: Error, batch: i32, pause: Duration) -> Result<()> {
        let range = self.attempts.look(|| {
            remake::key(&self.parent)?;
            self.range()
        });
        let range = match range {
            Ok(Some(range)) => range,
            Ok(None) => return Ok(()),
            Err(error) if error.is_cancel() => return Err(error),
            Err(_) => return Err(too_many),
        };
        self.promote(range, true)?;
        let (parent, source) = self.attempts.look(|| {
            let parent = table::owned(self.parent.oid, "split a partition of")?;
            let partitions = table::partitions_of(&parent, self.scheme.kind)?;
            let source = partitions.into_iter().find(|partition| partition.oid == self.partition.oid);
            Ok((parent, source.ok_or_else(|| Error::internal("a partition has gone"))?))
        })?;
        let terms = Terms { batch, pause, drop_source: true, dry_run: false };
        remake::divide(self.attempts, parent, source, &self.scheme, &terms)
    }

    /// The period a value lies in, as far as no partition has it.
    fn cell(&self, at: i64) -> Result<(i64, i64)> {
        self.attempts.look(|| {
            let zone = self.scheme.zone()?;
            let out_of_range = || Error::internal("a bound is out of range");
            let low = self.scheme.grid.floor(at, &*zone).ok_or_else(out_of_range)?;
            let high = self.scheme.grid.next(at, &*zone).ok_or_else(out_of_range)?;
            let (from, to) = self.gap(at);
            Ok((from.at().map_or(low, |from| low.max(from)), to.at().map_or(high, |to| high.min(to))))
        })
    }

    /// To move a row is to delete it: an error where that would change or do something elsewhere, as if the
    /// row had gone.
    fn deleting_has_no_consequences(&self) -> Result<()> {
        let name = self.partition.qualified_name();
        let refuse = |detail: String| {
            Err(Error::not_in_prerequisite_state(format!("rows of {name} cannot be moved one by one"))
                .detail(detail)
                .hint("promote_default() moves no row, and split_partition() then divides the partition."))
        };
        let both = || [self.parent.oid.into(), self.partition.oid.into()];
        let acting = spi::read_one_now::<String>(
            "SELECT format('Foreign key %I of %s would delete or change the rows that refer to them.', k.conname, k.conrelid::regclass)
               FROM pg_constraint AS k
              WHERE k.contype = 'f' AND k.confrelid IN ($1, $2) AND k.confdeltype IN ('c', 'n', 'd')
              ORDER BY k.conparentid, k.conrelid, k.conname LIMIT 1",
            &both(),
        );
        if let Some(detail) = acting {
            return refuse(detail);
        }
        // 8: on DELETE. Triggers for each row of the partitioned table are the partition's as well.
        let trigger = spi::read_one_now::<String>(
            "SELECT format('Trigger %I of %s would fire as if they were deleted.', t.tgname, t.tgrelid::regclass)
               FROM pg_trigger AS t
              WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0
              ORDER BY t.tgname LIMIT 1",
            &[self.partition.oid.into()],
        );
        trigger.map_or(Ok(()), refuse)
    }

    /// Moves the rows of a period into a partition made for them, all in one transaction: nobody sees them
    /// missing.
    fn move_cell(&self, low: i64, high: i64, batch: i64) -> Result<String> {
        let (parent, default) = (self.parent.qualified_name(), self.partition.qualified_name());
        let (low_sql, high_sql) = (self.scheme.literal(low)?, self.scheme.literal(high)?);
        let column = self.scheme.quoted();
        spi::run(&format!("LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE"), &[])?;
        spi::run(&format!("LOCK TABLE ONLY {default} IN ACCESS EXCLUSIVE MODE"), &[])?;
        self.deleting_has_no_consequences()?;
        spi::run("SELECT set_config('row_security', 'off', true)", &[])?;
        spi::run("SET CONSTRAINTS ALL IMMEDIATE", &[])?;
        let within = format!("d.{column} >= {low_sql} AND d.{column} < {high_sql}");
        let rows = spi::read_one_now::<i64>(
            &format!(
                "SELECT count(*) FROM (SELECT FROM ONLY {default} AS d WHERE {within} LIMIT {}) AS n",
                batch + 1
            ),
            &[],
        )
        .unwrap_or_default();
        if rows > batch {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("more than {batch} rows of {default} would be moved at once"),
            )
            .detail(format!("They lie from {low_sql} to {high_sql}. Nobody could read or write the table meanwhile."))
            .hint("A shorter period, or a larger batch; or promote_default(), which moves no row, and split_partition()."));
        }
        let zone = self.scheme.zone()?;
        let name = partition_name(
            &self.parent.name,
            &suffix(self.scheme.kind, &self.scheme.grid, low, high, &*zone),
        );
        let child = lookup::qualify(&self.parent.schema, &name);
        make(self, &child)?;
        let columns = crate::catalog::column::columns(self.partition.oid)?;
        let list: Vec<String> =
            columns.iter().filter(|c| !c.generated).map(|c| pgrx::spi::quote_identifier(&c.name)).collect();
        let list = list.join(", ");
        spi::run(
            &format!(
                "WITH moved AS (DELETE FROM ONLY {default} AS d WHERE {within} RETURNING d.*)
                 INSERT INTO {child} ({list}) OVERRIDING SYSTEM VALUE SELECT {list} FROM moved"
            ),
            &[],
        )?;
        spi::run(
            &format!(
                "ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES FROM ({low_sql}) TO ({high_sql})"
            ),
            &[],
        )?;
        Ok(format!("{rows} rows are in {child} now"))
    }
}

//! The steps of a conversion. Each looks at what is there and does what is missing, so that after a crash,
//! a deadline or a lock that was not to be had a second call goes on.

use super::carry::Names;
use super::cutover::{self, BOUND, Cutover, Script};
use super::later::Unchecked;
use super::obstacles::{self, Obstacle};
use super::uses;
use crate::catalog::relation::{Relation, describe};
use crate::error::{Error, Result};
use crate::partition::job::{Outcome, Work, perform};
use crate::partition::layout::Shape;
use crate::partition::name::partition_name;
use crate::partition::online::{self, Attempts, Call, Operation, Scheme, Turns, Wish, tell};
use crate::partition::{create, table};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

/// What a conversion is to do, as it was decided when it began.
#[derive(Serialize, Deserialize, Clone)]
pub struct Settings {
    column: String,
    /// The upper bound of the rows there are, as the key says it.
    pub bound: i64,
    unit: Option<String>,
    ahead: i32,
    drop_incoming: bool,
    /// What is left to be checked after the exchange.
    later: Vec<Unchecked>,
    /// The table as a partition, after the exchange.
    history: Option<u32>,
    timezone: String,
}

const PREPARING: &str = "preparing";
const EXCHANGED: &str = "exchanged";

pub struct Conversion<'a> {
    call: &'a Call,
    pub attempts: Attempts<'a>,
    pub table: Relation,
    pub scheme: Scheme,
    pub widen_key: bool,
    drop_incoming: bool,
    headroom: i64,
    pub ahead: i32,
}

pub fn convert(call: &Call) -> Result<()> {
    let relid: pg_sys::Oid = call.required(0, "table_name")?;
    let (table, attempts) = call.on_table(relid, "partition", 11, 12)?;
    let wish = Wish::from(call, 2);
    let key: String = call.required(1, "key")?;
    let scheme = attempts.look(|| wish.scheme(&table, &key))?;
    let drop_incoming = match call.required::<String>(9, "incoming_keys")?.as_str() {
        "keep" => false,
        "drop" => true,
        other => {
            return Err(Error::invalid_parameter(format!("unrecognized value of incoming_keys \"{other}\""))
                .hint("Foreign keys of other tables are kept or dropped: keep, drop."));
        }
    };
    let conversion = Conversion {
        call,
        attempts,
        table,
        scheme,
        widen_key: call.required(8, "widen_key")?,
        drop_incoming,
        headroom: i64::from(call.required::<i32>(7, "headroom")?.clamp(0, 1000)),
        ahead: call.required::<i32>(6, "ahead")?.clamp(0, 1000),
    };
    let found: Option<Operation<Settings>> = call
        .procedure
        .transaction(|| online::resume("convert", relid, &conversion.table.qualified_name()))?;
    if conversion.table.partitioned {
        return match found {
            Some(operation) => conversion.complete(operation),
            None => Err(Error::wrong_object_type(format!(
                "{} is partitioned already",
                conversion.table.qualified_name()
            ))
            .hint("manage_partitions() keeps its partitions; split_partition() divides one.")),
        };
    }
    if call.required(10, "dry_run")? {
        return conversion.show(found.as_ref());
    }
    let outcome = conversion.run(found);
    if let Err(error) = &outcome
        && error.is_cancel()
    {
        // Cancelled, not crashed: the table is left as it was.
        conversion.undo()?;
        return Err(
            Error::new(error.code(), "the conversion was cancelled").detail("The table is as it was.")
        );
    }
    outcome
}

impl Conversion<'_> {
    fn history_name(&self) -> String {
        partition_name(&self.table.name, "p_history")
    }

    pub fn history(&self) -> String {
        lookup::qualify(&self.table.schema, &self.history_name())
    }

    /// The first boundary behind all rows and behind now, and some more to get the work done before.
    pub fn bound(&self) -> Result<i64> {
        let zone = self.scheme.zone()?;
        let grid = &self.scheme.grid;
        let name = self.table.qualified_name();
        let indexed = spi::read_one_now::<bool>(
            "SELECT EXISTS (SELECT FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS m ON m.oid = i.relam
                             WHERE x.indrelid = $1 AND x.indisvalid AND m.amname = 'btree' AND x.indpred IS NULL
                               AND x.indkey[0] = $2)",
            &[self.table.oid.into(), self.scheme.number.into()],
        );
        // Numbers have no now: where there is no index it takes a scan to learn how far they are.
        let greatest = if indexed == Some(true) || !self.scheme.kind.is_time() {
            self.scheme.extreme(&name, true)?
        } else {
            None
        };
        let start = self.scheme.now().into_iter().chain(greatest).max().unwrap_or(0);
        grid.next(start, &*zone).and_then(|next| grid.step(next, self.headroom, &*zone)).ok_or_else(|| {
            Error::new(
                PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
                format!("no bound lies behind the rows of {name}"),
            )
            .detail("The greatest value of the key is too far away.")
        })
    }

    pub fn obstacles(&self) -> Result<Vec<Obstacle>> {
        let (name, history) = (self.table.qualified_name(), self.history());
        let names =
            Names { table: self.table.oid, owner: self.attempts.owner, name: &name, history: &history };
        // As the caller: what it may do with other roles' objects is what matters.
        self.call.procedure.transaction(|| {
            security::with_safe_search_path(|| {
                obstacles::find(&obstacles::Request {
                    names: &names,
                    column: self.scheme.number,
                    widen_key: self.widen_key,
                    drop_incoming: self.drop_incoming,
                })
            })
        })
    }

    pub fn check(&self, bound: &str) -> String {
        let column = self.scheme.quoted();
        format!(
            "ALTER TABLE {} ADD CONSTRAINT {BOUND} CHECK ({column} IS NOT NULL AND {column} < {bound}) NOT VALID",
            self.table.qualified_name()
        )
    }

    pub fn with_cutover<R>(&self, bound: &str, work: impl FnOnce(&Cutover) -> Result<R>) -> Result<R> {
        let (name, history, history_name) =
            (self.table.qualified_name(), self.history(), self.history_name());
        let names =
            Names { table: self.table.oid, owner: self.attempts.owner, name: &name, history: &history };
        work(&Cutover {
            names: &names,
            schema: &self.table.schema,
            table_name: &self.table.name,
            history_name: &history_name,
            column: &self.scheme.column,
            column_number: self.scheme.number,
            bound,
            drop_incoming: self.drop_incoming,
        })
    }

    fn run(&self, found: Option<Operation<Settings>>) -> Result<()> {
        let obstacles = self.obstacles()?;
        let name = self.table.qualified_name();
        if !obstacles.is_empty() {
            let all: Vec<String> = obstacles.iter().map(|o| format!("{}.", o.what)).collect();
            return Err(Error::not_in_prerequisite_state(format!("cannot partition {name}"))
                .detail(all.join(" "))
                .hint(obstacles.first().map(|o| o.remedy.clone()).unwrap_or_default()));
        }
        let mut operation = match found {
            Some(operation) => {
                tell(format!("going on with the conversion of {name}"));
                operation
            }
            None => self.begin()?,
        };
        let bound = self.scheme.literal(operation.settings.bound)?;
        self.prove(&bound)?;
        self.widen()?;
        let mut turns = Turns::default();
        let own = [self.table.qualified_name()];
        let (parent, script) = self.attempts.retrying(|| {
            self.with_cutover(&bound, |cutover| {
                let readers = uses::readers(self.table.oid)?;
                turns.lock(self.table.oid, &own, &readers, self.attempts.lock_timeout)?;
                let script = cutover.script()?;
                let parent = cutover.run(&script)?;
                operation.settings.history = Some(self.table.oid.to_u32());
                operation.settings.later.clone_from(&script.later);
                operation.enter(EXCHANGED, Some(parent))?;
                Ok((parent, script))
            })
        })?;
        let Script { statements, dropped, .. } = script;
        tell(format!(
            "{name} is partitioned: {} commands in one transaction; its rows are in {}",
            statements.len(),
            self.history()
        ));
        for statement in dropped {
            tell(format!("not kept, as asked for: {}", statement.sql));
        }
        let table =
            self.attempts.look(|| describe(parent))?.ok_or_else(|| Error::internal("the table has gone"))?;
        Conversion { table, attempts: self.attempts, scheme: self.scheme.clone(), ..*self }
            .complete(operation)
    }

    fn begin(&self) -> Result<Operation<Settings>> {
        let bound = self.attempts.look(|| self.bound())?;
        let settings = Settings {
            column: self.scheme.column.clone(),
            bound,
            unit: self.scheme.kind.unit().map(str::to_owned),
            ahead: self.ahead,
            drop_incoming: self.drop_incoming,
            later: Vec::new(),
            history: None,
            timezone: self.scheme.timezone.clone(),
        };
        self.attempts.look(|| {
            online::begin("convert", self.table.oid, &self.table.qualified_name(), PREPARING, settings, None)
        })
    }

    /// Proves by a constraint that every row is below the bound, and that none lacks the key.
    fn prove(&self, bound: &str) -> Result<()> {
        let name = self.table.qualified_name();
        let state = || {
            Ok(spi::read_one_now::<bool>(
                "SELECT c.convalidated FROM pg_constraint AS c WHERE c.conrelid = $1 AND c.conname = $2::name",
                &[self.table.oid.into(), BOUND.into()],
            ))
        };
        if self.attempts.look(state)?.is_none() {
            self.attempts.retrying(|| spi::run(&self.check(bound), &[]))?;
        }
        if self.attempts.look(state)? == Some(false) {
            self.attempts
                .patiently(|| spi::run(&format!("ALTER TABLE {name} VALIDATE CONSTRAINT {BOUND}"), &[]))
                .map_err(|error| self.outside(error, bound))?;
            tell(format!("every row of {name} is below {bound}"));
        }
        Ok(())
    }

    fn outside(&self, error: Error, bound: &str) -> Error {
        if error.code() != PgSqlErrorCode::ERRCODE_CHECK_VIOLATION {
            return error;
        }
        Error::new(error.code(), format!("rows of {} lie outside the first partition", self.table.qualified_name()))
            .detail(format!("Column \"{}\" is null there, or not below {bound}.", self.scheme.column))
            .hint(
                "CALL architect.abort_partition_operation() for the table; then correct these rows, or call this with \
                 more headroom.",
            )
    }

    /// Builds the indexes of widened keys.
    fn widen(&self) -> Result<()> {
        let narrow = self.attempts.look(|| obstacles::narrow_keys(self.table.oid, self.scheme.number))?;
        for (index, key) in narrow {
            let name = cutover::wide_name(index);
            let state = || {
                spi::read_now(
                    "SELECT x.indexrelid, x.indisvalid FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
                      WHERE x.indrelid = $1 AND i.relname = $2::name",
                    &[self.table.oid.into(), name.as_str().into()],
                    |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<bool>(2)?.unwrap_or_default())),
                )
            };
            match self.attempts.look(state)?.first() {
                Some((_, true)) => continue,
                Some((Some(invalid), false)) => {
                    self.job(&Work::DropIndex { table: self.table.oid, index: *invalid })?
                }
                _ => {}
            }
            self.job(&Work::CreateIndex {
                table: self.table.oid,
                like: index,
                key_columns: vec![self.scheme.number],
                name: name.clone(),
            })?;
            tell(format!("built the index of {key} with {} added", self.scheme.quoted()));
        }
        Ok(())
    }

    fn job(&self, work: &Work) -> Result<()> {
        match perform(self.attempts.procedure, work, self.attempts.deadline)? {
            Outcome::Done => Ok(()),
            Outcome::Failed(error) => Err(error),
            // Not a cancellation: another call goes on.
            Outcome::Late(error) => Err(error.with_code(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE)),
            Outcome::HandedOver(command) => Err(online::hand_over(&command)),
        }
    }

    /// What is left after the exchange; the table is the partitioned one.
    fn complete(&self, mut operation: Operation<Settings>) -> Result<()> {
        let name = self.table.qualified_name();
        let owner = self.attempts.owner;
        while let Some(unchecked) = operation.settings.later.first().cloned() {
            self.attempts.patiently(|| unchecked.check(owner))?;
            self.attempts.retrying(|| {
                unchecked.rise(owner)?;
                operation.settings.later.retain(|other| *other != unchecked);
                operation.enter(EXCHANGED, None)
            })?;
        }
        if let Some(history) = operation.settings.history {
            self.attempts.retrying(|| drop_bound(pg_sys::Oid::from(history)))?;
        }
        self.make_ahead(&operation)?;
        self.attempts.patiently(|| spi::run(&format!("ANALYZE {name}"), &[]))?;
        self.call.procedure.transaction(|| operation.finish("converted"))?;
        tell(format!("{name} is converted; manage_partitions() keeps its partitions coming"));
        Ok(())
    }

    fn make_ahead(&self, operation: &Operation<Settings>) -> Result<()> {
        let (bound, ahead) = (operation.settings.bound, operation.settings.ahead);
        let grid = &self.scheme.grid;
        let cells = self.attempts.look(|| {
            let zone = self.scheme.zone()?;
            let end = grid.step(bound, i64::from(ahead), &*zone).unwrap_or(bound);
            Ok(grid.cells(bound, end, 1000, &*zone))
        })?;
        let shape = Shape {
            unit: self.scheme.kind.unit().map(str::to_owned),
            period: grid.period,
            timezone: Some(self.scheme.timezone.clone()),
            anchor: Some(grid.anchor),
        };
        // One in a transaction: tables its foreign keys refer to are locked to its end.
        for cell in cells {
            let rows = self.attempts.retrying(|| {
                let parent = table::owned(self.table.oid, "make partitions of")?;
                create::run(&parent, &shape, false, false, |_| Ok(cell))
            })?;
            for row in rows.into_iter().filter(|row| !matches!(row.action, "created" | "exists")) {
                tell(format!("{}: {} ({})", row.name, row.action, row.detail));
            }
        }
        Ok(())
    }

    fn undo(&self) -> Result<()> {
        undo(&self.attempts, self.table.oid)
    }
}

fn drop_bound(table: pg_sys::Oid) -> Result<()> {
    let there = spi::read_one_now::<bool>(
        "SELECT true FROM pg_constraint AS c WHERE c.conrelid = $1 AND c.conname = $2::name",
        &[table.into(), BOUND.into()],
    );
    if let (Some(true), Some(name)) = (there, lookup::qualified_name(table)) {
        spi::run(&format!("ALTER TABLE {name} DROP CONSTRAINT {BOUND}"), &[])?;
    }
    Ok(())
}

/// Takes back what a conversion has prepared.
pub fn undo(attempts: &Attempts, table: pg_sys::Oid) -> Result<()> {
    attempts.retrying(|| drop_bound(table))?;
    let wide = attempts.look(|| {
        spi::read_now(
            "SELECT x.indexrelid FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
              WHERE x.indrelid = $1 AND i.relname LIKE 'architect\\_wide\\_%'",
            &[table.into()],
            |row| row.get::<pg_sys::Oid>(1),
        )
    })?;
    for index in wide.into_iter().flatten() {
        attempts.retrying(|| {
            let name = lookup::qualified_name(index).unwrap_or_default();
            spi::run(&format!("DROP INDEX {name}"), &[])
        })?;
    }
    attempts.procedure.transaction(|| match online::unfinished(table)? {
        Some((id, ..)) => online::finish(id, "aborted"),
        None => Ok(()),
    })
}

/// Gives up a conversion before the exchange.
pub fn abort(call: &Call) -> Result<()> {
    let relid: pg_sys::Oid = call.required(0, "table_name")?;
    let (table, attempts) = call.on_table(relid, "abort an operation on", 1, 2)?;
    let name = table.qualified_name();
    let Some((_, kind, phase, _)) = call.procedure.transaction(|| online::unfinished(relid))? else {
        return Err(Error::undefined_object(format!("no operation on {name} is under way")));
    };
    match (kind.as_str(), phase.as_str()) {
        ("convert", PREPARING) => undo(&attempts, relid)?,
        ("convert", _) => {
            return Err(Error::not_in_prerequisite_state(format!("{name} is partitioned already"))
                .detail("What is left of the conversion are checks of foreign keys and partitions to come.")
                .hint("CALL architect.convert_to_partitioned() once more ends it."));
        }
        _ => crate::partition::remake::abort(&attempts, relid, &name)?,
    }
    tell(format!("{name} is as it was"));
    Ok(())
}

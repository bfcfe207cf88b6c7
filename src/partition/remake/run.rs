//! The steps. Each notes in the operation how far it is, in the transaction in which it got there.

use super::plan::{Key, Piece};
use super::{copy, stage};
use crate::error::{Error, Result};
use crate::partition::convert::carry::{Names, Statement};
use crate::partition::convert::later::{self, Unchecked};
use crate::partition::convert::uses;
use crate::partition::online::{self, Attempts, Call, Operation, Turns, tell};
use crate::partition::table::{self, Parent, Partition};
use crate::partition::template::Template;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Settings {
    pub kind: String,
    pub parent: u32,
    pub schema: String,
    pub sources: Vec<u32>,
    pub pieces: Vec<Piece>,
    pub key: Key,
    /// Blocks of each source when watching began, and where copying goes on.
    pub blocks: Vec<i64>,
    pub at: (usize, i64),
    pub per_batch: i64,
    pub pause_ms: u64,
    pub indexed: Vec<u32>,
    pub later: Vec<Unchecked>,
    pub drop_source: bool,
}

impl Settings {
    fn stage_name(&self) -> String {
        format!("architect_stage_{}", self.sources.first().copied().unwrap_or_default())
    }
    pub fn noted_name(&self) -> String {
        format!("architect_noted_{}", self.sources.first().copied().unwrap_or_default())
    }
    pub fn qualify(&self, name: &str) -> String {
        lookup::qualify(&self.schema, name)
    }
    pub fn stage(&self) -> String {
        self.qualify(&self.stage_name())
    }
    pub fn noted(&self) -> String {
        self.qualify(&self.noted_name())
    }
    pub fn oid(&self, name: &str) -> Result<pg_sys::Oid> {
        lookup::relation_named(&self.schema, name)
            .ok_or_else(|| Error::internal(format!("table {} has gone", self.qualify(name))))
    }
}

/// Phases, in order.
const PREPARING: &str = "preparing";
const COPYING: &str = "copying";
const INDEXING: &str = "indexing";
const CATCHING_UP: &str = "catching up";
const EXCHANGED: &str = "exchanged";

/// Notes left when the exchange is tried: few enough to deal with in some milliseconds.
const FEW: i64 = 500;
const AGAIN: i64 = 20_000;

pub struct Remake<'a> {
    pub attempts: Attempts<'a>,
    pub parent: Parent,
    pub like: Partition,
}

impl Remake<'_> {
    pub fn run(&self, mut operation: Operation<Settings>) -> Result<()> {
        loop {
            match operation.phase.as_str() {
                PREPARING => self.prepare(&mut operation)?,
                COPYING => self.copy(&mut operation)?,
                INDEXING => self.index(&mut operation)?,
                CATCHING_UP => self.catch_up(&mut operation)?,
                _ => return self.complete(&mut operation),
            }
        }
    }

    pub fn begin(&self, settings: Settings, name: &str, rows: i64) -> Result<Operation<Settings>> {
        let first = settings.sources.first().copied().unwrap_or_default();
        let kind = settings.kind.clone();
        self.attempts
            .look(|| online::begin(&kind, pg_sys::Oid::from(first), name, PREPARING, settings, Some(rows)))
    }

    fn prepare(&self, operation: &mut Operation<Settings>) -> Result<()> {
        let made =
            self.attempts.look(|| Ok(operation.settings.oid(&operation.settings.noted_name()).is_ok()))?;
        if !made {
            self.attempts.retrying(|| stage::create(&operation.settings, &self.parent, &self.like))?;
        }
        self.attempts.retrying(|| stage::watch(&operation.settings))?;
        // Only now: a block that is new after this holds rows that have been noted.
        self.attempts.retrying(|| {
            let settings = &mut operation.settings;
            settings.blocks =
                settings.sources.iter().map(|source| blocks_of(*source)).collect::<Result<_>>()?;
            operation.enter(COPYING, None)
        })
    }

    fn copy(&self, operation: &mut Operation<Settings>) -> Result<()> {
        let pause = Duration::from_millis(operation.settings.pause_ms);
        loop {
            let (source, from) = operation.settings.at;
            let (Some(oid), Some(end)) = (
                operation.settings.sources.get(source).copied(),
                operation.settings.blocks.get(source).copied(),
            ) else {
                break;
            };
            let to = (from + operation.settings.per_batch).min(end);
            self.attempts.retrying(|| {
                let rows = copy::blocks(&operation.settings, oid, from, to)?;
                operation.settings.at = if to >= end { (source + 1, 0) } else { (source, to) };
                operation.count(rows as i64)?;
                operation.enter(COPYING, None)
            })?;
            if !pause.is_zero() {
                self.attempts.procedure.sleep(pause);
            }
            self.attempts.in_time()?;
        }
        self.attempts.retrying(|| operation.enter(INDEXING, None))
    }

    fn index(&self, operation: &mut Operation<Settings>) -> Result<()> {
        for index in self.attempts.look(|| stage::other_indexes(&operation.settings))? {
            if operation.settings.indexed.contains(&index.to_u32()) {
                continue;
            }
            // Rows were copied at different times: two that have exchanged a value, one copied before and one
            // after, would not both be unique. Once every note is dealt with, the copy is the table as it was
            // at one moment.
            self.nearly_caught_up(operation)?;
            self.attempts.patiently(|| {
                copy::again(&operation.settings, i64::MAX)?;
                stage::add_index(&operation.settings, index)?;
                operation.settings.indexed.push(index.to_u32());
                operation.enter(INDEXING, None)
            })?;
        }
        for (name, definition) in self.attempts.look(|| stage::foreign_keys(&operation.settings))? {
            let quoted = pgrx::spi::quote_identifier(&name);
            for piece in &operation.settings.pieces {
                let (table, oid) = self.attempts.look(|| {
                    Ok((operation.settings.qualify(&piece.name), operation.settings.oid(&piece.name)?))
                })?;
                let state = self.attempts.look(|| Ok(stage::has_constraint(oid, &name)))?;
                if state.is_none() {
                    let add = format!("ALTER TABLE {table} ADD CONSTRAINT {quoted} {definition} NOT VALID");
                    self.attempts.retrying(|| spi::run(&add, &[]))?;
                }
                if state != Some(true) {
                    let validate = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {quoted}");
                    self.attempts.patiently(|| spi::run(&validate, &[]))?;
                }
            }
        }
        let analyze = format!("ANALYZE {}", operation.settings.stage());
        self.attempts.patiently(|| spi::run(&analyze, &[]))?;
        self.attempts.retrying(|| operation.enter(CATCHING_UP, None))
    }

    /// Deals with notes until few are left.
    fn nearly_caught_up(&self, operation: &Operation<Settings>) -> Result<()> {
        let mut limit = AGAIN;
        loop {
            self.attempts.in_time()?;
            match self.attempts.retrying(|| copy::again(&operation.settings, limit)) {
                // Two rows have exchanged a unique value: together they fit.
                Err(error)
                    if error.code() == PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION && limit < i64::MAX =>
                {
                    limit = i64::MAX;
                }
                Err(error) => return Err(error),
                Ok(taken) if taken > FEW => {}
                Ok(_) => return Ok(()),
            }
        }
    }

    fn catch_up(&self, operation: &mut Operation<Settings>) -> Result<()> {
        let mut turns = Turns::default();
        loop {
            self.attempts.retrying(|| stage::gather(&operation.settings, true))?;
            self.nearly_caught_up(operation)?;
            self.attempts.retrying(|| stage::gather(&operation.settings, false))?;
            match self.attempts.retrying(|| self.exchange(operation, &mut turns)) {
                Err(error) if is_too_many(&error) => {}
                done => return done,
            }
        }
    }

    /// The short transaction. Others who wait are let through first if there is still much to do.
    fn exchange(&self, operation: &mut Operation<Settings>, turns: &mut Turns) -> Result<()> {
        let parent = self.parent.qualified_name();
        let names =
            Names { table: self.parent.oid, owner: self.attempts.owner, name: &parent, history: &parent };
        let sources = operation.settings.sources.iter();
        let own: Vec<String> = std::iter::once(parent.clone())
            .chain(sources.filter_map(|source| lookup::qualified_name(pg_sys::Oid::from(*source))))
            .collect();
        turns.lock(self.parent.oid, &own, &[], self.attempts.lock_timeout)?;
        let left = spi::read_one_now::<i64>(
            &format!(
                "SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS n",
                operation.settings.noted(),
                4 * FEW
            ),
            &[],
        );
        if left.unwrap_or_default() >= 4 * FEW {
            return Err(too_many());
        }
        if left.unwrap_or_default() > 0 {
            copy::last(&operation.settings)?;
        }
        let mut drop = names.statements(uses::DROP_INCOMING)?;
        drop.extend(names.statements(uses::DROP_SELF)?);
        let mut add = names.statements(uses::ADD_INCOMING)?;
        add.extend(names.statements(uses::ADD_SELF)?);
        let mut later = later::of(self.parent.oid)?;
        later.extend(later::of_itself(self.parent.oid, false)?);
        let template = Template::of(&self.parent, Some(&self.like), None, false)?;
        let run = |statements: &[Statement]| {
            statements
                .iter()
                .try_for_each(|statement| crate::partition::convert::as_role(self.attempts.owner, statement))
        };
        run(&drop)?;
        stage::unwatch(&operation.settings)?;
        stage::exchange(&operation.settings, &parent)?;
        stage::finish(&operation.settings, &template)?;
        stage::drop(&operation.settings)?;
        run(&add)?;
        operation.settings.later = later;
        operation.enter(EXCHANGED, None)
    }

    fn complete(&self, operation: &mut Operation<Settings>) -> Result<()> {
        let names: Vec<String> =
            operation.settings.pieces.iter().map(|piece| operation.settings.qualify(&piece.name)).collect();
        tell(format!("{} now has {}", self.parent.qualified_name(), names.join(", ")));
        while let Some(unchecked) = operation.settings.later.first().cloned() {
            self.attempts.patiently(|| {
                unchecked.check(self.attempts.owner)?;
                operation.settings.later.retain(|other| *other != unchecked);
                operation.enter(EXCHANGED, None)
            })?;
        }
        for piece in &operation.settings.pieces {
            self.attempts.retrying(|| stage::drop_bound(&operation.settings, piece))?;
        }
        for source in operation.settings.sources.clone() {
            let Some(name) = lookup::qualified_name(pg_sys::Oid::from(source)) else { continue };
            if operation.settings.drop_source {
                self.attempts.retrying(|| spi::run(&format!("DROP TABLE {name}"), &[]))?;
                tell(format!("dropped {name}"));
            } else {
                tell(format!("{name} is kept, detached; it is up to you to drop it"));
            }
        }
        self.attempts.look(|| operation.finish("done"))
    }
}

/// The current number of blocks of a table.
pub fn blocks_of(table: u32) -> Result<i64> {
    spi::read_one_now::<i64>(
        "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint",
        &[pg_sys::Oid::from(table).into()],
    )
    .ok_or_else(|| Error::internal("a partition has gone"))
}

fn too_many() -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        "too many rows have changed to exchange partitions just now",
    )
}

fn is_too_many(error: &Error) -> bool {
    error.code() == PgSqlErrorCode::ERRCODE_OBJECT_IN_USE && error.message() == too_many().message()
}

/// Goes on with one that was interrupted, whose sources may be detached by now.
pub fn resume(call: &Call, operation: Operation<Settings>, attempts: Attempts) -> Result<()> {
    let gone = || Error::internal("the partitioned table has gone");
    let parent = call
        .procedure
        .transaction(|| {
            crate::pg::security::with_safe_search_path(|| {
                Ok(table::find(pg_sys::Oid::from(operation.settings.parent)))
            })
        })?
        .ok_or_else(gone)?;
    let like = attempts
        .look(|| {
            Ok(table::partitions(&[parent.oid])?.remove(&parent.oid).unwrap_or_default().into_iter().next())
        })?
        .ok_or_else(gone)?;
    tell(format!("going on with the {} of {}", operation.settings.kind, parent.qualified_name()));
    Remake { attempts, parent, like }.run(operation)
}

/// Gives up before the exchange.
pub fn abort(attempts: &Attempts, relation: pg_sys::Oid, name: &str) -> Result<()> {
    for kind in ["split", "merge"] {
        let found: Option<Operation<Settings>> =
            match attempts.procedure.transaction(|| online::resume(kind, relation, name)) {
                Ok(found) => found,
                Err(error) if error.code() == PgSqlErrorCode::ERRCODE_OBJECT_IN_USE => continue,
                Err(error) => return Err(error),
            };
        let Some(operation) = found else { continue };
        if operation.phase == EXCHANGED {
            return Err(Error::not_in_prerequisite_state(format!("the {kind} of {name} has been done"))
                .hint("Calling its procedure once more ends what is left."));
        }
        attempts.retrying(|| stage::unwatch(&operation.settings))?;
        attempts.retrying(|| stage::drop_all(&operation.settings))?;
        return attempts.look(|| operation.finish("aborted"));
    }
    Ok(())
}

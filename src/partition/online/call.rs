//! What every procedure here begins with: arguments, the right to do it, a deadline.

use super::attempts::Attempts;
use crate::catalog::relation::Relation;
use crate::error::{Error, Result};
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// A procedure called with arguments, by position.
pub struct Call {
    pub procedure: Procedure,
    name: &'static str,
    fcinfo: pg_sys::FunctionCallInfo,
    begun: Instant,
}

impl Call {
    pub fn begin(fcinfo: pg_sys::FunctionCallInfo, name: &'static str) -> Result<Self> {
        Ok(Self { procedure: Procedure::begin(fcinfo, name)?, name, fcinfo, begun: Instant::now() })
    }

    pub fn optional<T: FromDatum>(&self, position: usize) -> Option<T> {
        Procedure::argument(self.fcinfo, position)
    }

    pub fn required<T: FromDatum>(&self, position: usize, argument: &str) -> Result<T> {
        self.optional(position).ok_or_else(|| {
            Error::new(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                format!("argument {argument} of {} must not be null", self.name),
            )
        })
    }

    /// An interval as a length of time; days have 24 hours.
    pub fn duration(&self, position: usize, argument: &str) -> Result<Duration> {
        let interval: Interval = self.required(position, argument)?;
        const DAY: i64 = 86_400_000_000;
        let micros = i64::from(interval.months())
            .saturating_mul(30 * DAY)
            .saturating_add(i64::from(interval.days()).saturating_mul(DAY))
            .saturating_add(interval.micros());
        u64::try_from(micros).map(Duration::from_micros).map_err(|_| {
            Error::invalid_parameter(format!("{argument} must not be negative"))
                .hint("Give a length of time such as '5 minutes'.")
        })
    }

    /// The table, which the caller must own, and attempts at it as its owner. `deadline` and `lock_timeout`
    /// are positions of arguments.
    pub fn on_table(
        &self,
        relid: pg_sys::Oid,
        action: &str,
        deadline: usize,
        lock_timeout: usize,
    ) -> Result<(Relation, Attempts<'_>)> {
        let deadline = self.begun + self.duration(deadline, "deadline")?;
        let lock_timeout = self.duration(lock_timeout, "lock_timeout")?.as_millis();
        if lock_timeout == 0 || lock_timeout > 60_000 {
            return Err(Error::invalid_parameter("lock_timeout must be between 1 ms and 1 minute")
                .detail("While a strong lock is waited for, everybody who comes after waits too.")
                .hint("The default of 200 ms suits most."));
        }
        let (relation, owner) = self.procedure.transaction(|| {
            security::with_safe_search_path(|| Ok((Relation::owned_table(relid, action)?, owner_of(relid)?)))
        })?;
        let lock_timeout = lock_timeout as i32;
        Ok((relation, Attempts { procedure: &self.procedure, owner, deadline, lock_timeout }))
    }
}

fn owner_of(relid: pg_sys::Oid) -> Result<pg_sys::Oid> {
    spi::read_one_now::<pg_sys::Oid>(
        "SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[relid.into()],
    )
    .ok_or_else(|| Error::internal("a table has no owner"))
}

/// Tells the caller what was done.
pub fn tell(message: impl Into<String>) {
    ereport!(PgLogLevel::NOTICE, PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message.into());
}

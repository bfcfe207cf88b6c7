//! How the log is kept: the one row of audit_setting, which survives with the log.

use crate::error::Result;
use crate::pg::spi;
use pgrx::prelude::*;

#[derive(Debug, Clone)]
pub struct Settings {
    pub months_ahead: i32,
    /// Months older than this go; none: nothing ever goes.
    pub keep: Option<Interval>,
    /// Detached tables stay as they are instead of being dropped.
    pub detach: bool,
    /// Where the log is sealed, what is not sealed yet stays.
    pub require_seal: bool,
}

impl Settings {
    pub fn read() -> Result<Self> {
        let rows = spi::read_now(
            "SELECT s.months_ahead, s.keep, s.action OPERATOR(pg_catalog.=) 'detach', s.require_seal
               FROM architect.audit_setting AS s",
            &[],
            |row| {
                Ok(Self {
                    months_ahead: row.get(1)?.unwrap_or(3),
                    keep: row.get(2)?,
                    detach: row.get(3)?.unwrap_or_default(),
                    require_seal: row.get(4)?.unwrap_or(true),
                })
            },
        )?;
        let default = Self { months_ahead: 3, keep: None, detach: false, require_seal: true };
        Ok(rows.into_iter().next().unwrap_or(default))
    }
}

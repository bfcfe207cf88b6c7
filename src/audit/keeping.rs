//! The log as a table the policy engine keeps: months made ahead, retired when they are past keeping, and
//! what the engine has to ask before.

use crate::audit::partitions::{LOG as NAME, Partition, readable};
use crate::audit::seal::retire;
use crate::audit::settings;
use crate::error::{Error, Result};
use crate::partition::guard::Guard;
use crate::partition::layout::Shape;
use crate::partition::period::Period;
use crate::partition::policy::{self, Fate};
use crate::partition::policy_api::{self, Request};
use crate::partition::{create, table};
use crate::pg::{lookup, security};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Months ahead, unless said otherwise.
const AHEAD: i32 = 3;

fn log() -> Result<pg_sys::Oid> {
    lookup::own_relation(NAME).ok_or_else(|| Error::internal("there is no audit log"))
}

fn months() -> Shape {
    Shape { unit: None, period: Period::Months(1), timezone: Some("UTC".into()), anchor: None }
}

/// Gives the log its policy, if it has none or, after a restore, somebody else's. As the extension's owner.
pub fn ensure_policy() -> Result<pg_sys::Oid> {
    let log = log()?;
    policy::follow_tables()?;
    if policy::read(Some(log))?.is_empty() {
        let every = Interval::new(1, 0, 0).map_err(|_| Error::internal("a month is no interval"))?;
        let request = Request {
            every: Some(every),
            step: None,
            shape: months(),
            ahead: AHEAD,
            keep: None,
            keep_value: None,
            fate: Fate::Drop,
            most: 12,
            privileges: false,
            // Its queries go by time and key; gathering statistics would read every month.
            analyze: false,
        };
        policy_api::manage(log, request)?;
    } else if let Some(parent) = table::find(log) {
        policy::set_owner(log, &security::role_name(parent.owner))?;
    }
    Ok(log)
}

/// The months a new log starts with: this one and the next ones, until run_maintenance() makes more.
pub fn make_first_months() -> Result<()> {
    let log = ensure_policy()?;
    let parent =
        table::find(log).ok_or_else(|| Error::internal("the audit log is not partitioned by range"))?;
    for row in create::run(&parent, &months(), false, false, |layout| layout.stretch(AHEAD, 0))? {
        if row.action != "created" {
            return Err(Error::internal(format!("{} was not made: {}", row.name, row.detail)));
        }
    }
    Ok(())
}

/// What the policy engine asks about the log.
pub const LOG: Log = Log;

pub struct Log;

impl Guard for Log {
    fn table(&self) -> &'static str {
        NAME
    }

    /// Open to nobody, whatever default privileges say.
    fn made(&self, name: &str) -> Result<()> {
        crate::capture::storage::revoke_all(name)
    }

    fn objection(&self, partition: &table::Partition) -> Result<Option<String>> {
        if retire::in_use() && settings::requires_seal() && !retire::is_sealed(&partition.qualified_name())? {
            let why = "not sealed yet: a transaction may still be open, or call seal_audit_log()";
            return Ok(Some(why.to_owned()));
        }
        Ok(None)
    }

    /// In the transaction that detaches it, so that verification never sees one without the other.
    fn leaving(&self, partition: &table::Partition, fate: &Fate) -> Result<String> {
        let partition = Partition::from(partition.clone());
        let (Some(high), low) = (partition.high, partition.low) else { return Ok(String::new()) };
        let period = match low {
            Some(low) => format!("{} to {}", readable(low), readable(high)),
            None => format!("everything before {}", readable(high)),
        };
        if !retire::in_use() {
            return Ok(String::new());
        }
        let action = match fate {
            Fate::Drop => "dropped",
            Fate::Detach => "detached",
            Fate::Archive { .. } => "archived",
        };
        let seal = retire::retire(
            low.unwrap_or(i64::MIN / 2),
            high,
            &format!("{} {action} by the retention policy ({period})", partition.name),
        )?;
        Ok(format!("seal {}", seal.seal_id))
    }
}

//! The log's partitions as the catalogue has them: whole months in UTC, which the policy engine keeps.

use crate::error::{Error, Result};
use crate::partition::bound::Bounds;
use crate::partition::key::KeyKind;
use crate::partition::{civil, table};
use crate::pg::lookup;
use pgrx::prelude::*;

/// A partition of the log. Bounds are microseconds since 2000, as timestamptz has them; none is open.
#[derive(Debug, Clone)]
pub struct Partition {
    pub name: String,
    pub low: Option<i64>,
    pub high: Option<i64>,
    pub is_default: bool,
}

impl From<table::Partition> for Partition {
    fn from(partition: table::Partition) -> Self {
        let (low, high) = match partition.bounds.range() {
            Some((low, high)) => (low.edge.at(), high.edge.at()),
            None => (None, None),
        };
        Self { is_default: partition.bounds == Bounds::Default, name: partition.name, low, high }
    }
}

impl Partition {
    pub fn covers(&self, at: i64) -> bool {
        !self.is_default && self.low.is_none_or(|low| low <= at) && self.high.is_none_or(|high| at < high)
    }
}

pub const LOG: &str = "audit_entry";
pub const DEFAULT: &str = "audit_entry_default";

/// The log's partitions by lower bound, the default one last.
pub fn all() -> Result<Vec<Partition>> {
    let log = lookup::own_relation(LOG).ok_or_else(|| Error::internal("there is no audit log"))?;
    let mut partitions = table::partitions(&[log])?.remove(&log).unwrap_or_default();
    table::understand(&mut partitions, KeyKind::Timestamptz);
    Ok(partitions.into_iter().map(Partition::from).collect())
}

pub fn timestamp(at: i64) -> Result<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(at).map_err(|_| Error::internal("a point in time is out of range"))
}

/// A point in time for a reader, in UTC.
pub fn readable(at: i64) -> String {
    let fraction = at.rem_euclid(civil::SECOND);
    format!("{}.{fraction:06} UTC", civil::timestamp_text(at - fraction, ""))
}

//! A log partitioned by range on one timestamptz column.

use super::append::{Destination, Target, gone};
use super::lookup;
use super::table::Table;
use crate::error::{Error, Result};
use pgrx::pg_sys;

/// `PARTITION_STRATEGY_RANGE` of `nodes/parsenodes.h`: an enumeration from PostgreSQL 16 on.
const RANGE: u32 = b'r' as u32;

/// The partitions of this table.
pub struct ByRange(pub pg_sys::Oid);

impl Destination for ByRange {
    fn find(&self, key: i64) -> Result<Target> {
        let table = Table::open(self.0, pg_sys::AccessShareLock as i32).ok_or_else(gone)?;
        if !lookup::is_partitioned(self.0) {
            return Err(gone());
        }
        // SAFETY: an open partitioned table of one timestamptz key column; the descriptor belongs to
        // the relcache entry and is read before anything can invalidate it.
        unsafe {
            let descriptor = pg_sys::RelationGetPartitionDesc(table.raw(), true);
            let missing = || {
                Error::not_in_prerequisite_state("the log has no partition for a change made now")
                    .hint("Call architect.run_maintenance() to create it.")
            };
            if (*descriptor).nparts == 0 {
                return Err(missing());
            }
            let bounds = &*(*descriptor).boundinfo;
            if bounds.strategy as u32 != RANGE {
                return Err(gone());
            }
            let value = |i: usize| match *(*bounds.kind.add(i)) {
                pg_sys::PartitionRangeDatumKind::PARTITION_RANGE_DATUM_VALUE => {
                    (*(*bounds.datums.add(i))).value() as i64
                }
                kind if kind < 0 => i64::MIN,
                _ => i64::MAX,
            };
            let count = bounds.ndatums as usize;
            let above = (0..count).find(|&i| value(i) > key).unwrap_or(count);
            let low = if above == 0 { i64::MIN } else { value(above - 1) };
            let high = if above == count { i64::MAX } else { value(above) };
            let mut part = *bounds.indexes.add(above);
            if part < 0 {
                part = bounds.default_index;
            }
            if part < 0 {
                return Err(missing());
            }
            if !*(*descriptor).is_leaf.add(part as usize) {
                return Err(Error::not_in_prerequisite_state("a partition of the log is partitioned itself")
                    .hint("Detach it, and attach partitions of one level only."));
            }
            Ok(Target { relid: *(*descriptor).oids.add(part as usize), low, high })
        }
    }
}

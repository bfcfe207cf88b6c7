//! What the kept figures and the present ones say of each index, over a window of time.

use crate::catalog::index::Index;
use crate::error::Result;
use crate::index::snapshot::PRIMARY;
use crate::index::snapshot::take::STATS_SINCE;
use crate::pg::{security, spi};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys;
use std::collections::HashMap;

/// What is known of an index's use on one server.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub node: String,
    /// Scans since `since`, resets notwithstanding.
    pub scans: i64,
    pub tuples_read: i64,
    pub tuples_fetched: i64,
    /// Start of the time the scans were counted in: the window's, or a little more or less, as there are figures.
    pub since: TimestampWithTimeZone,
    /// End of it: now, or when a standby's figures were taken.
    pub until: TimestampWithTimeZone,
    pub days: f64,
    /// A time no later than the last scan was; none where none was seen.
    pub last_used: Option<TimestampWithTimeZone>,
    /// Days within that time whose scans a reset has wiped away uncounted.
    pub unobserved_days: f64,
    /// Whether the index is known to have existed all this time.
    pub existed: bool,
}

/// Physical standbys that are connected, as far as the current role may know.
pub fn standbys() -> Result<i64> {
    spi::read_one_now::<i64>(
        "SELECT count(*) FROM pg_stat_get_wal_senders() AS w
           LEFT JOIN pg_replication_slots AS s ON s.active_pid = w.pid
          WHERE s.slot_type IS DISTINCT FROM 'logical' AND w.state IS DISTINCT FROM 'backup'
            AND w.state IS DISTINCT FROM 'startup'",
        &[],
    )
    .map_or(Ok(0), Ok)
}

/// Evidence of each index, by node; this server's first.
pub fn gather(indexes: &[Index], window: &Interval) -> Result<HashMap<pg_sys::Oid, Vec<Evidence>>> {
    let live: Vec<&Index> = indexes.iter().filter(|index| !index.partitioned).collect();
    let oids: Vec<pg_sys::Oid> = live.iter().map(|i| i.oid).collect();
    let tables: Vec<pg_sys::Oid> = live.iter().map(|i| i.table).collect();
    let names: Vec<String> = live.iter().map(|i| i.name.clone()).collect();
    let scans: Vec<i64> = live.iter().map(|i| i.scans).collect();
    let read: Vec<i64> = live.iter().map(|i| i.tuples_read).collect();
    let fetched: Vec<i64> = live.iter().map(|i| i.tuples_fetched).collect();
    let last: Vec<Option<TimestampWithTimeZone>> = live.iter().map(|i| i.last_scan).collect();
    let definitions: Vec<String> = live.iter().map(|i| i.fingerprint()).collect();
    let since = security::with_safe_search_path(|| {
        spi::read_one_now::<TimestampWithTimeZone>(
            &format!("SELECT coalesce({STATS_SINCE}, '-infinity')"),
            &[],
        )
    });
    let rows = security::as_extension_owner(|| {
        spi::read_now(
            include_str!("../../../sql/query/index_evidence.sql"),
            &[
                oids.into(),
                tables.into(),
                names.into(),
                scans.into(),
                read.into(),
                fetched.into(),
                last.into(),
                since.into(),
                (*window).into(),
                PRIMARY.into(),
                definitions.into(),
            ],
            |row| {
                let (Some(oid), Some(since), Some(until)) = (row.get(1)?, row.get(6)?, row.get(7)?) else {
                    return Ok(None);
                };
                let evidence = Evidence {
                    node: row.get(2)?.unwrap_or_default(),
                    scans: row.get(3)?.unwrap_or_default(),
                    tuples_read: row.get(4)?.unwrap_or_default(),
                    tuples_fetched: row.get(5)?.unwrap_or_default(),
                    since,
                    until,
                    days: row.get(8)?.unwrap_or_default(),
                    last_used: row.get(9)?,
                    unobserved_days: row.get(10)?.unwrap_or_default(),
                    existed: row.get(11)?.unwrap_or_default(),
                };
                Ok(Some((oid, evidence)))
            },
        )
    })?;
    let mut evidence: HashMap<pg_sys::Oid, Vec<Evidence>> = HashMap::new();
    for (oid, found) in rows.into_iter().flatten() {
        evidence.entry(oid).or_default().push(found);
    }
    Ok(evidence)
}

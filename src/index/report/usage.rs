//! How much each index is used, and over what time that is known.

use crate::catalog::index::{self, Index, Tree};
use crate::error::Result;
use crate::index::lint::usage::{category, scans_per_day};
use crate::index::snapshot::PRIMARY;
use crate::index::snapshot::evidence::{self, Evidence};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys;
use std::collections::HashMap;

/// An index's use, all partitions' taken together.
pub struct Usage {
    pub scans: i64,
    pub tuples_read: i64,
    pub tuples_fetched: i64,
    pub since: TimestampWithTimeZone,
    pub days: f64,
    pub unobserved_days: f64,
    pub last_used: Option<TimestampWithTimeZone>,
    pub existed: bool,
    /// Use on standbys whose figures were imported, by name.
    pub standbys: Vec<Standby>,
}

pub struct Standby {
    pub node: String,
    pub scans: i64,
    pub days: f64,
    pub until: TimestampWithTimeZone,
}

impl Usage {
    /// Of a tree's members; none where it has none with storage.
    pub fn of(tree: &Tree, evidence: &HashMap<pg_sys::Oid, Vec<Evidence>>) -> Option<Self> {
        let all = || tree.members.iter().filter_map(|member| evidence.get(&member.oid)).flatten();
        let here = || all().filter(|e| e.node == PRIMARY);
        let mut standbys: Vec<Standby> = Vec::new();
        for found in all().filter(|e| e.node != PRIMARY) {
            match standbys.iter_mut().find(|s| s.node == found.node) {
                Some(standby) => {
                    standby.scans += found.scans;
                    standby.days = standby.days.max(found.days);
                }
                None => standbys.push(Standby {
                    node: found.node.clone(),
                    scans: found.scans,
                    days: found.days,
                    until: found.until,
                }),
            }
        }
        // A partition made yesterday is no younger than what it is a partition of.
        let oldest = here().max_by(|a, b| a.days.total_cmp(&b.days))?;
        Some(Self {
            scans: here().map(|e| e.scans).sum(),
            tuples_read: here().map(|e| e.tuples_read).sum(),
            tuples_fetched: here().map(|e| e.tuples_fetched).sum(),
            since: oldest.since,
            days: oldest.days,
            unobserved_days: oldest.unobserved_days,
            last_used: here()
                .filter_map(|e| e.last_used)
                .max_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)),
            existed: oldest.existed,
            standbys,
        })
    }

    pub fn everywhere(&self) -> i64 {
        self.scans + self.standbys.iter().map(|s| s.scans).sum::<i64>()
    }

    pub fn category(&self) -> &'static str {
        category(self.everywhere(), self.days)
    }

    pub fn per_day(&self) -> f64 {
        scans_per_day(self.everywhere(), self.days)
    }

    /// What the figures rest on, in a sentence.
    pub fn basis(&self) -> String {
        let mut basis = format!("observed for {}", in_days(self.days));
        if !self.existed {
            basis += "; no snapshot is older, so the index itself may be younger";
        }
        if self.unobserved_days > 0.0 {
            basis +=
                &format!("; what happened in {} of them was lost in a reset", in_days(self.unobserved_days));
        }
        for standby in &self.standbys {
            basis += &format!(
                "; {} scans on standby {} in {}",
                standby.scans,
                standby.node,
                in_days(standby.days)
            );
        }
        basis
    }
}

pub fn in_days(days: f64) -> String {
    if days < 1.0 {
        "less than a day".to_owned()
    } else if days < 2.0 {
        "1 day".to_owned()
    } else {
        format!("{} days", days.floor())
    }
}

pub struct Row {
    pub index: Index,
    pub size: i64,
    pub usage: Usage,
}

pub fn rows(window: &Interval) -> Result<Vec<Row>> {
    let indexes = index::all()?;
    let evidence = evidence::gather(&indexes, window)?;
    let mut rows: Vec<Row> = index::trees(&indexes)
        .iter()
        .filter_map(|tree| {
            let usage = Usage::of(tree, &evidence)?;
            Some(Row { index: tree.top.clone(), size: tree.size(), usage })
        })
        .collect();
    rows.sort_by(|a, b| {
        (a.usage.everywhere(), b.size, a.index.qualified_name()).cmp(&(
            b.usage.everywhere(),
            a.size,
            b.index.qualified_name(),
        ))
    });
    Ok(rows)
}

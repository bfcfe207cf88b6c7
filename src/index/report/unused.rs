//! Indexes that nothing has used for a stated time.

use crate::catalog::index::{self, Index};
use crate::error::Result;
use crate::index::lint::protect;
use crate::index::lint::redundant::gives_way;
use crate::index::report::foreign_keys;
use crate::index::report::usage::{Usage, in_days};
use crate::index::snapshot::evidence;
use crate::index::statement;
use crate::pg::spi;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys;
use std::collections::HashMap;

pub struct Finding {
    pub table: String,
    pub index: String,
    pub size: i64,
    pub since: TimestampWithTimeZone,
    pub days: f64,
    pub verdict: &'static str,
    pub reason: String,
    pub fix: Option<String>,
    pub undo: Option<String>,
}

/// Days a standby's figures may be old.
const FRESH_DAYS: f64 = 7.0;

pub struct Request {
    pub unused_for: Interval,
    pub include_kept: bool,
    pub ignore_standbys: bool,
}

pub fn findings(request: &Request) -> Result<Vec<Finding>> {
    let indexes = index::all()?;
    let evidence = evidence::gather(&indexes, &request.unused_for)?;
    let mut served = foreign_keys::Served::by(&indexes)?;
    let wanted = days_of(&request.unused_for);
    let standbys = if request.ignore_standbys { 0 } else { evidence::standbys()? };
    let mut by_table: HashMap<pg_sys::Oid, Vec<&Index>> = HashMap::new();
    for index in &indexes {
        by_table.entry(index.table).or_default().push(index);
    }
    // Of two that serve a foreign key the one that redundant_indexes() keeps is kept here too.
    let mut trees = index::trees(&indexes);
    trees.sort_by_cached_key(|tree| {
        !by_table[&tree.top.table].iter().any(|other| gives_way(tree.top, other).is_some())
    });
    let mut found = Vec::new();
    for tree in trees {
        let index = tree.top;
        let Some(usage) = Usage::of(&tree, &evidence) else { continue };
        if usage.everywhere() > 0 || !index.usable() {
            continue;
        }
        let serves = tree.members.iter().find_map(|member| served.only_by(member.oid)).cloned();
        let kept = protect::reason(index)
            .or_else(|| serves.map(|key| format!("is the only one that serves foreign key {key}")));
        let (verdict, mut reason) = if let Some(kept) = kept {
            ("keep", kept)
        } else if let Some(why) = too_little(&usage, wanted, standbys) {
            ("wait", why)
        } else {
            ("drop", format!("no scan; {}", usage.basis()))
        };
        if verdict == "keep" && !request.include_kept {
            continue;
        }
        if verdict == "drop" && index.keys.iter().any(|key| key.expression.is_some()) {
            reason += "; the planner may use the statistics of its expression: CREATE STATISTICS keeps them";
        }
        let drop = verdict == "drop";
        if drop {
            served.without(&tree.members);
        }
        found.push(Finding {
            table: index.qualified_table(),
            index: index.qualified_name(),
            size: tree.size(),
            since: usage.since,
            days: usage.days,
            verdict,
            reason,
            fix: drop.then(|| statement::drop_index(index)),
            undo: if drop { statement::create_again(index) } else { None },
        });
    }
    found.sort_by(|a, b| (a.verdict, b.size, &a.index).cmp(&(b.verdict, a.size, &b.index)));
    Ok(found)
}

/// Why the figures do not prove that an index is unused.
fn too_little(usage: &Usage, wanted: f64, standbys: i64) -> Option<String> {
    let observed = usage.days - usage.unobserved_days;
    if observed < wanted {
        return Some(format!("no scan, but {}; {} are asked for", usage.basis(), in_days(wanted)));
    }
    let known =
        usage.standbys.iter().filter(|s| s.days >= wanted && days_ago(&s.until) <= FRESH_DAYS).count();
    (standbys > known as i64).then(|| {
        format!(
            "no scan here, but {standbys} standbys are connected and figures of {known} were imported: see import_snapshot()"
        )
    })
}

fn days_of(interval: &Interval) -> f64 {
    spi::read_one::<f64>("SELECT (extract(epoch FROM $1) / 86400)::float8", &[(*interval).into()])
        .unwrap_or_default()
}

fn days_ago(at: &TimestampWithTimeZone) -> f64 {
    spi::read_one::<f64>(
        "SELECT (extract(epoch FROM clock_timestamp() - $1) / 86400)::float8",
        &[(*at).into()],
    )
    .unwrap_or(f64::INFINITY)
}

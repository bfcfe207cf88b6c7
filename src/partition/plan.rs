//! What maintenance would do with a table now: steps, each with its SQL, locks and what it reads.

use super::bound::Edge;
use super::civil;
use super::create::{self, Creation};
use super::layout::Layout;
use super::missing::Piece;
use super::period;
use super::policy::{Keep, Policy, Retention};
use super::table::Partition;
use super::{guard, in_order};
use crate::error::Result;
use crate::pg::{lookup, session, spi};
use pgrx::pg_sys;

/// The constraint that proves a default partition empty of a range while partitions are attached.
pub const PROOF: &str = "db_architect_holds_none_of_it";

#[derive(Debug, Clone)]
pub struct Step {
    /// Steps of one number are done in one transaction.
    pub group: i32,
    pub action: &'static str,
    pub object: String,
    pub sql: String,
    pub lock_mode: &'static str,
    pub lock_on: String,
    /// Bytes read while the lock is held.
    pub scans: i64,
    pub detail: String,
    pub act: Act,
}

#[derive(Debug, Clone)]
pub enum Act {
    /// Nothing: the detail says why.
    Refuse,
    Finalize(pg_sys::Oid),
    /// SQL on the default partition.
    Prove,
    Validate,
    Create(Box<Creation>),
    Unprove,
    /// Partitions for now and what follows take over from the default one: see in_order.rs.
    TakeOver(Vec<Piece>),
    /// Rows of the default partition are moved to one made for them.
    MoveOut(Box<Creation>),
    Retire(Box<Partition>),
    Analyze,
}

pub struct Steps {
    steps: Vec<Step>,
    pub group: i32,
}

impl Steps {
    pub fn push(&mut self, action: &'static str, object: String, sql: String, act: Act) -> &mut Step {
        self.steps.push(Step {
            group: self.group,
            action,
            object,
            sql,
            lock_mode: "",
            lock_on: String::new(),
            scans: 0,
            detail: String::new(),
            act,
        });
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }
}

/// The steps for one table, in order. As its owner.
pub fn of(policy: &Policy, layout: &Layout, holds: &[(String, String)]) -> Result<Vec<Step>> {
    let mut steps = Steps { steps: Vec::new(), group: 1 };
    finalize(layout, &mut steps);
    creations(policy, layout, &mut steps)?;
    retirements(&policy.retention, layout, holds, &mut steps)?;
    if policy.analyze && is_stale(layout) {
        steps.group += 1;
        let only = if cfg!(feature = "pg18") { "ONLY " } else { "" };
        let parent = layout.parent.qualified_name();
        let step = steps.push("analyze", parent.clone(), format!("ANALYZE {only}{parent}"), Act::Analyze);
        (step.lock_mode, step.lock_on) = ("SHARE UPDATE EXCLUSIVE", parent);
        // As many pages as rows in the sample, at most.
        let sample = 30_000;
        step.scans = 8192 * layout.partitions.iter().map(|p| p.pages).sum::<i64>().min(sample);
    }
    Ok(steps.steps)
}

fn finalize(layout: &Layout, steps: &mut Steps) {
    for partition in layout.partitions.iter().filter(|partition| partition.detach_pending) {
        let (parent, child) = (layout.parent.qualified_name(), partition.qualified_name());
        let sql = format!("ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE");
        let step = steps.push("finalize detach", child.clone(), sql, Act::Finalize(partition.oid));
        (step.lock_mode, step.lock_on) = ("ACCESS EXCLUSIVE", child);
        step.detail = "an interrupted DETACH CONCURRENTLY".into();
        steps.group += 1;
    }
}

fn creations(policy: &Policy, layout: &Layout, steps: &mut Steps) -> Result<()> {
    let (from, to) = layout.stretch(policy.ahead, 0)?;
    let mut planned = create::plan(layout, &layout.cells(from, to), policy.privileges)?;
    if layout.default().is_some_and(|default| has_proof(default.oid)) {
        unprove(layout, steps);
    }
    if guard::of_parent(&layout.parent).is_some() {
        planned = in_order::plan(policy, layout, planned, steps)?;
    }
    if planned.is_empty() {
        return Ok(());
    }
    let alone = layout.parent.outgoing_keys > 0 || layout.default().is_some();
    let proof = prove(layout, &planned, steps)?;
    for creation in planned {
        let (parent, child) =
            (layout.parent.qualified_name(), lookup::qualify(&layout.parent.schema, &creation.name));
        let late = proof.is_some_and(|from| creation.piece.from < from);
        let refusal = match &creation.conflict {
            Some(conflict) => Some(conflict.clone()),
            None if late => create::scan_of_default(layout)?,
            None => None,
        };
        if let Some(refusal) = refusal {
            steps.push("conflict", child, String::new(), Act::Refuse).detail = refusal;
            continue;
        }
        let sql = format!("{}; {}", create::lock_parent(&layout.parent), creation.script());
        let step = steps.push("create", child, sql, Act::Create(Box::new(creation)));
        (step.lock_mode, step.lock_on) = ("SHARE UPDATE EXCLUSIVE", parent);
        if layout.parent.outgoing_keys > 0 {
            step.detail = "SHARE ROW EXCLUSIVE on tables its foreign keys refer to".into();
        }
        if let Some(default) = layout.default() {
            step.lock_on += &format!(", ACCESS EXCLUSIVE on {}", default.qualified_name());
            step.scans = if proof.is_some() { 0 } else { create::bytes_of(default) };
        }
        if alone {
            steps.group += 1;
        }
    }
    if !alone {
        steps.group += 1;
    }
    if proof.is_some() {
        unprove(layout, steps);
    }
    Ok(())
}

/// A default partition too large to be read under a lock is shown to hold nothing of what is to come, by a
/// constraint checked without one. Returns from where on it does.
fn prove(layout: &Layout, planned: &[Creation], steps: &mut Steps) -> Result<Option<i64>> {
    let (Some(default), Some(column)) = (layout.default(), &layout.parent.column) else { return Ok(None) };
    if create::scan_of_default(layout)?.is_none() || default.partitioned || default.foreign {
        return Ok(None);
    }
    // Rows of the present may be arriving in the default partition: a constraint would turn them away.
    let now = layout.position()?.unwrap_or(i64::MIN);
    let coming: Vec<&Creation> =
        planned.iter().filter(|c| c.conflict.is_none() && c.piece.from > now).collect();
    let (Some(first), Some(last)) = (coming.first(), coming.last()) else { return Ok(Some(i64::MAX)) };
    let (name, column) = (default.qualified_name(), pgrx::spi::quote_identifier(column));
    let literal = |at: i64| layout.kind.text(at).map(|text| format!("'{text}'")).unwrap_or_default();
    let sql = format!(
        "ALTER TABLE {name} ADD CONSTRAINT {PROOF} CHECK ({column} IS NULL OR {column} OPERATOR(pg_catalog.<) {} OR {column} \
         OPERATOR(pg_catalog.>=) {}) NOT VALID",
        literal(first.piece.from),
        literal(last.piece.to)
    );
    let step = steps.push("prove", name.clone(), sql, Act::Prove);
    (step.lock_mode, step.lock_on) = ("ACCESS EXCLUSIVE", name.clone());
    step.detail = "until it is dropped, rows of these partitions cannot be written to the default one".into();
    steps.group += 1;
    let sql = format!("ALTER TABLE {name} VALIDATE CONSTRAINT {PROOF}");
    let bytes = create::bytes_of(default);
    let step = steps.push("validate", name.clone(), sql, Act::Validate);
    (step.lock_mode, step.lock_on, step.scans) = ("SHARE UPDATE EXCLUSIVE", name, bytes);
    steps.group += 1;
    Ok(Some(first.piece.from))
}

fn unprove(layout: &Layout, steps: &mut Steps) {
    let Some(default) = layout.default() else { return };
    let name = default.qualified_name();
    let sql = unproof(&name);
    let step = steps.push("drop proof", name.clone(), sql, Act::Unprove);
    (step.lock_mode, step.lock_on) = ("ACCESS EXCLUSIVE", name);
    steps.group += 1;
}

fn unproof(default: &str) -> String {
    format!("ALTER TABLE {default} DROP CONSTRAINT IF EXISTS {PROOF}")
}

/// As the owner.
pub fn drop_proof(layout: &Layout) -> Result<()> {
    match layout.default() {
        Some(default) => spi::run(&unproof(&default.qualified_name()), &[]).map(|_| ()),
        None => Ok(()),
    }
}

/// Whether an interrupted run has left its constraint behind.
#[must_use]
pub fn has_proof(default: pg_sys::Oid) -> bool {
    spi::read_one_now::<bool>(
        "SELECT true FROM pg_constraint k WHERE k.conrelid = $1 AND k.conname = $2::name",
        &[default.into(), PROOF.into()],
    )
    .is_some()
}

/// What is wholly past keeping, by the bounds in the catalogue, the oldest first.
fn retirements(
    retention: &Retention,
    layout: &Layout,
    holds: &[(String, String)],
    steps: &mut Steps,
) -> Result<()> {
    let Some(horizon) = horizon(&retention.keep, layout)? else { return Ok(()) };
    let guard = guard::of_parent(&layout.parent);
    let mut left = retention.most;
    for partition in &layout.partitions {
        let Some((_, high)) = partition.bounds.range() else { continue };
        // Bounds of several columns end after the leading one's value.
        let past = high.exact && matches!(high.edge, Edge::At(high) if high <= horizon);
        if !past || partition.detach_pending {
            continue;
        }
        let name = partition.qualified_name();
        if let Some((_, reason)) = holds.iter().find(|(held, _)| *held == name) {
            steps.refuse("held", name, format!("past keeping, but on hold: {reason}"));
            continue;
        }
        if partition.foreign || left == 0 {
            let why = if partition.foreign {
                "a foreign table is retired by hand"
            } else {
                "past keeping, but as many as allowed are retired already: the next run goes on"
            };
            steps.refuse("deferred", name, why.to_owned());
            continue;
        }
        if let Some(objection) = guard.map_or(Ok(None), |guard| guard.objection(partition))? {
            steps.refuse("kept", name, objection);
            continue;
        }
        left -= 1;
        steps.retire(retention, layout, partition);
    }
    Ok(())
}

impl Steps {
    fn refuse(&mut self, action: &'static str, object: String, detail: String) {
        self.push(action, object, String::new(), Act::Refuse).detail = detail;
    }

    fn retire(&mut self, retention: &Retention, layout: &Layout, partition: &Partition) {
        let (parent, child) = (layout.parent.qualified_name(), partition.qualified_name());
        self.group += 1;
        let plain = is_plain(layout);
        let mut sql = format!(
            "ALTER TABLE {parent} DETACH PARTITION {child}{}",
            if plain { "" } else { " CONCURRENTLY" }
        );
        if let Some(then) = fate_sql(retention, &child) {
            sql += &format!("; {then}");
        }
        let step =
            self.push(retention.fate.name(), child.clone(), sql, Act::Retire(Box::new(partition.clone())));
        (step.lock_mode, step.lock_on) = if plain {
            ("ACCESS EXCLUSIVE", format!("{parent}, {child}"))
        } else {
            ("SHARE UPDATE EXCLUSIVE", format!("{parent}; ACCESS EXCLUSIVE on {child} once it is detached"))
        };
        step.detail = format!(
            "ends at {}",
            partition.bounds.range().map(|(_, high)| high.sql.clone()).unwrap_or_default()
        );
        if layout.parent.incoming_keys > 0 {
            step.detail += "; refused if other tables' rows refer to it";
        }
    }
}

/// Whether partitions are detached under a strong lock, for a moment: DETACH CONCURRENTLY is impossible
/// beside a default partition, and does not go with what a guard has to say in the same transaction.
#[must_use]
pub fn is_plain(layout: &Layout) -> bool {
    layout.default().is_some() || guard::of_parent(&layout.parent).is_some()
}

/// What is done with a detached partition, as SQL.
#[must_use]
pub fn fate_sql(retention: &Retention, child: &str) -> Option<String> {
    use super::policy::Fate;
    match &retention.fate {
        Fate::Detach => None,
        Fate::Drop => Some(format!("DROP TABLE {child}")),
        Fate::Archive { schema: Some(schema), .. } => {
            Some(format!("ALTER TABLE {child} SET SCHEMA {}", pgrx::spi::quote_identifier(schema)))
        }
        Fate::Archive { function, .. } => {
            let function = function.as_deref().and_then(|f| f.split('(').next()).unwrap_or_default();
            Some(format!("SELECT {function}({})", pgrx::spi::quote_literal(child)))
        }
    }
}

/// Before this nothing needs to be kept; none if everything is.
pub fn horizon(keep: &Keep, layout: &Layout) -> Result<Option<i64>> {
    let Some(position) = layout.position()? else { return Ok(None) };
    Ok(match keep {
        Keep::Forever => None,
        Keep::Values(values) => position.checked_sub(*values),
        Keep::Time { months, days, micros, .. } => {
            // Days and months of the zone, then hours that pass.
            let zone = layout.zone.as_ref();
            period::less(zone.local(position), *months, *days, 0)
                .and_then(|local| zone.instant(local).checked_sub(*micros))
        }
    }
    .map(|horizon| horizon.min(position)))
}

/// Autovacuum never gathers a partitioned table's own statistics: they are stale once a partition's are a
/// day newer.
#[must_use]
pub fn is_stale(layout: &Layout) -> bool {
    let latest = layout.partitions.iter().filter_map(|partition| partition.analyzed).max();
    match (layout.parent.analyzed, latest) {
        (None, Some(_)) => true,
        (None, None) => layout.partitions.iter().any(|partition| partition.rows > 0.0),
        (Some(own), Some(latest)) => {
            latest > own.saturating_add(civil::DAY) && session::clock() > own.saturating_add(civil::DAY)
        }
        (Some(_), None) => false,
    }
}

/// The steps that retire partitions only.
pub fn retire_only(retention: &Retention, layout: &Layout, holds: &[(String, String)]) -> Result<Vec<Step>> {
    let mut steps = Steps { steps: Vec::new(), group: 0 };
    retirements(retention, layout, holds, &mut steps)?;
    Ok(steps.steps)
}

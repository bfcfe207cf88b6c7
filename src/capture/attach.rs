//! The triggers of recorded tables: what the policies of a table ask for together, and making it so. One
//! trigger serves audit log and feed; a condition of the feed takes triggers of its own.

use crate::capture::policy::{self, Kind, Policy};
use crate::catalog::relation::{self, Relation};
use crate::catalog::trigger::{self, Trigger};
use crate::error::Result;
use crate::pg::{ffi, lookup, spi};
use pgrx::pg_sys;

/// Fires before triggers of ordinary names, so that what an application's own AFTER triggers write is
/// recorded after what caused it.
pub const ROW_TRIGGER: &str = "00_architect_capture";
/// On a partitioned table. PostgreSQL clones it to partitions under its name, which a table that is
/// recorded for itself must not have taken when it is attached.
pub const PARTITIONED_ROW_TRIGGER: &str = "00_architect_capture_rows";
pub const TRUNCATE_TRIGGER: &str = "00_architect_capture_truncate";
const CONDITION_TRIGGER: &str = "00_architect_feed";
pub const FUNCTION: &str = "capture";
const ROW_OPERATIONS: [(&str, i16); 3] =
    [("insert", trigger::TYPE_INSERT), ("update", trigger::TYPE_UPDATE), ("delete", trigger::TYPE_DELETE)];

/// The name of a table's unconditional row trigger.
pub fn row_trigger(partitioned: bool) -> &'static str {
    if partitioned { PARTITIONED_ROW_TRIGGER } else { ROW_TRIGGER }
}

/// The name of a table's trigger for one operation under a condition.
pub fn condition_trigger(operation: &str, partitioned: bool) -> String {
    format!("{CONDITION_TRIGGER}_{operation}{}", if partitioned { "_rows" } else { "" })
}

/// How many triggers were made or changed, and how many dropped.
#[derive(Default, Clone, Copy)]
pub struct Settled {
    pub made: usize,
    pub dropped: usize,
}

/// Policies of some relations, of each kind.
pub struct Policies(Vec<(Kind, policy::Policies)>);

impl Policies {
    pub fn about(relations: &[pg_sys::Oid]) -> Result<Self> {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.storage_exists());
        kinds
            .map(|kind| Ok((kind, policy::Policies::about(kind, relations)?)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The policy that was set on a relation itself.
    pub fn own(&self, kind: Kind, relid: pg_sys::Oid) -> Option<&Policy> {
        self.0.iter().find(|(k, _)| *k == kind)?.1.own(relid)
    }
}

/// What triggers policies ask for.
#[derive(Default)]
struct Wanted {
    /// Bits of `tgtype`.
    rows: i16,
    truncate: bool,
    /// Fire for replicated changes too; what is not to be recorded of them the trigger leaves out.
    always: bool,
    feed_only: bool,
    condition: Option<(String, i16)>,
}

impl Wanted {
    fn of(audit: Option<&Policy>, feed: Option<&Policy>) -> Self {
        let mut wanted = Self { feed_only: audit.is_none(), ..Self::default() };
        for policy in audit.into_iter().chain(feed) {
            let rows = ROW_OPERATIONS
                .iter()
                .filter(|(operation, _)| policy.records(operation))
                .fold(0, |bits, (_, bit)| bits | bit);
            match &policy.condition {
                Some(condition) => wanted.condition = Some((condition.clone(), rows)),
                None => wanted.rows |= rows,
            }
            wanted.truncate |= policy.records("truncate");
            wanted.always |= policy.replicated;
        }
        wanted
    }

    fn own(policies: &Policies, relid: pg_sys::Oid) -> Self {
        Self::of(policies.own(Kind::Audit, relid), policies.own(Kind::Feed, relid))
    }

    fn with(&self, other: &Self) -> (bool, bool, bool) {
        let truncate = self.truncate || other.truncate;
        let feed_only = (self.feed_only || !self.truncate) && (other.feed_only || !other.truncate);
        (truncate, self.always || other.always, feed_only)
    }
}

/// One trigger as it is to be.
struct Target<'a> {
    relid: pg_sys::Oid,
    name: &'a str,
    kind: i16,
    condition: Option<&'a str>,
    feed_only: bool,
    always: bool,
    /// Make it anew though it looks as it should: its condition may be another.
    renew: bool,
}

/// Makes a table's triggers, and those of its partitions, be what policies ask for. `renew`: the condition
/// of the feed may have changed.
pub fn settle(target: &Relation, renew: bool) -> Result<Settled> {
    let partitions = relation::partitions(target.oid)?;
    let concerned: Vec<pg_sys::Oid> = partitions.iter().copied().chain([target.oid]).collect();
    let policies = Policies::about(&concerned)?;
    let wanted = Wanted::own(&policies, target.oid);
    let mut settled = Settled::default();
    let row = Target {
        relid: target.oid,
        name: row_trigger(target.partitioned),
        kind: if wanted.rows == 0 { 0 } else { wanted.rows | trigger::TYPE_ROW },
        condition: None,
        feed_only: wanted.feed_only,
        always: wanted.always,
        renew: false,
    };
    row.ensure(&mut settled)?;
    for (operation, bit) in ROW_OPERATIONS {
        let condition = wanted.condition.as_ref().filter(|(_, rows)| rows & bit != 0);
        let name = condition_trigger(operation, target.partitioned);
        let kind = if condition.is_some() { bit | trigger::TYPE_ROW } else { 0 };
        let condition = condition.map(|(text, _)| text.as_str());
        Target { name: &name, kind, condition, feed_only: true, renew, ..row }.ensure(&mut settled)?;
    }
    ensure_truncate(target.oid, &wanted, &wanted, &mut settled)?;
    for &oid in &partitions {
        ensure_truncate(oid, &wanted, &Wanted::own(&policies, oid), &mut settled)?;
        // Clones on partitions do not follow the state of the trigger they were cloned from everywhere.
        for clone in trigger::on_relation(oid, FUNCTION)?.iter().filter(|t| t.cloned) {
            settled.made += usize::from(set_state(clone, wanted.always)?);
        }
    }
    Ok(settled)
}

/// Adds what partitions of a recorded table do not get by themselves: the TRUNCATE trigger, and firing
/// for replicated changes. What somebody disabled stays disabled; the coverage reports show it.
pub fn attach_to_partitions(relid: pg_sys::Oid, partitions: &[pg_sys::Oid]) -> Result<()> {
    let concerned: Vec<pg_sys::Oid> = partitions.iter().copied().chain([relid]).collect();
    let policies = Policies::about(&concerned)?;
    let wanted = Wanted::own(&policies, relid);
    // One query for all of them: this runs whenever one of thousands of partitions is made.
    let all = trigger::on_relations(partitions, FUNCTION)?;
    for &oid in partitions {
        let mut there = all.iter().filter(|t| t.relid == oid);
        if !there.clone().any(|t| t.name == TRUNCATE_TRIGGER) {
            ensure_truncate(oid, &wanted, &Wanted::own(&policies, oid), &mut Settled::default())?;
        }
        there.try_for_each(|clone| -> Result<()> {
            if clone.cloned && clone.enabled == 'O' {
                set_state(clone, wanted.always)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Takes the TRUNCATE trigger off tables that were partitions of a recorded table and are no longer.
pub fn detach_from_former_partitions() -> Result<()> {
    let left: Vec<Trigger> =
        trigger::calling(FUNCTION)?.into_iter().filter(|t| t.name == TRUNCATE_TRIGGER).collect();
    let above = |relid: pg_sys::Oid| ffi::partition_ancestors(relid).into_iter().chain([relid]);
    let concerned: Vec<pg_sys::Oid> = left.iter().flat_map(|trigger| above(trigger.relid)).collect();
    let policies = Policies::about(&concerned)?;
    for trigger in left {
        let recorded = |relid| Kind::ALL.into_iter().any(|kind| policies.own(kind, relid).is_some());
        if !above(trigger.relid).any(recorded) {
            drop_trigger(&trigger)?;
        }
    }
    Ok(())
}

fn drop_trigger(trigger: &Trigger) -> Result<()> {
    let table = lookup::qualified_name(trigger.relid).unwrap_or_default();
    spi::run(&format!("DROP TRIGGER {} ON {table}", pgrx::spi::quote_identifier(&trigger.name)), &[])?;
    Ok(())
}

fn ensure_truncate(relid: pg_sys::Oid, above: &Wanted, own: &Wanted, settled: &mut Settled) -> Result<()> {
    let (truncate, always, feed_only) = above.with(own);
    Target {
        relid,
        name: TRUNCATE_TRIGGER,
        kind: if truncate { trigger::TYPE_TRUNCATE } else { 0 },
        condition: None,
        feed_only,
        always,
        renew: false,
    }
    .ensure(settled)
}

impl Target<'_> {
    fn ensure(&self, settled: &mut Settled) -> Result<()> {
        let found = trigger::on_relation(self.relid, FUNCTION)?
            .into_iter()
            .find(|t| t.name == self.name && !t.cloned);
        match found {
            Some(found) if self.kind == 0 => {
                drop_trigger(&found)?;
                settled.dropped += 1;
            }
            None if self.kind == 0 => {}
            Some(found)
                if found.kind == self.kind
                    && (found.arguments > 0) == self.feed_only
                    && found.conditional == self.condition.is_some()
                    && !(self.renew && found.conditional) =>
            {
                settled.made += usize::from(set_state(&found, self.always)?);
            }
            _ => {
                self.create()?;
                settled.made += 1;
            }
        }
        Ok(())
    }

    fn create(&self) -> Result<()> {
        let table = lookup::qualified_name(self.relid).unwrap_or_default();
        let name = pgrx::spi::quote_identifier(self.name);
        let rows = ROW_OPERATIONS.iter().filter(|(_, bit)| self.kind & bit != 0);
        let mut events: Vec<String> = rows.map(|(operation, _)| operation.to_uppercase()).collect();
        if self.kind & trigger::TYPE_TRUNCATE != 0 {
            events.push("TRUNCATE".into());
        }
        let level = if self.kind & trigger::TYPE_ROW != 0 { "ROW" } else { "STATEMENT" };
        // PostgreSQL keeps the condition as a tree; its text is a caller's own, checked to be one expression.
        // The line break ends a comment it may end with.
        let condition = self.condition.map(|text| format!("WHEN ({text}\n)")).unwrap_or_default();
        let argument = if self.feed_only { "'feed'" } else { "" };
        spi::run(
            &format!(
                "CREATE OR REPLACE TRIGGER {name} AFTER {} ON {table}
                 FOR EACH {level} {condition} EXECUTE FUNCTION architect.{FUNCTION}({argument})",
                events.join(" OR ")
            ),
            &[],
        )?;
        if self.always {
            spi::run(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"), &[])?;
        }
        Ok(())
    }
}

fn set_state(trigger: &Trigger, always: bool) -> Result<bool> {
    let (wanted, clause) = if always { ('A', "ENABLE ALWAYS") } else { ('O', "ENABLE") };
    if trigger.enabled == wanted {
        return Ok(false);
    }
    let table = lookup::qualified_name(trigger.relid).unwrap_or_default();
    let name = pgrx::spi::quote_identifier(&trigger.name);
    spi::run(&format!("ALTER TABLE {table} {clause} TRIGGER {name}"), &[])?;
    Ok(true)
}

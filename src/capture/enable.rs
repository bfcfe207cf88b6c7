//! Recording a table, for the audit log or for the feed: the policy is stored, the triggers follow.

use crate::capture::attach;
use crate::capture::identity;
use crate::capture::policy::{self, Kind, Policy};
use crate::capture::report::Report;
use crate::catalog::relation::{self, Relation};
use crate::error::Result;
use crate::pg::{invalidation, lookup, security, spi};
use pgrx::pg_sys;

/// What is asked for, by one of the two.
pub trait Request {
    const KIND: Kind;

    /// Checks what depends on the table, makes the storage.
    fn prepare(&self, target: &Relation) -> Result<()>;

    /// Columns named; the table must have them.
    fn columns(&self) -> Vec<&str>;

    /// Whether a stored policy is what is asked for.
    fn same(&self, known: &Policy) -> bool;

    /// Stores the policy under the number the table's history has, or a new one; returns the number.
    fn store(&self, target: &Relation, known: Option<i32>) -> Result<i32>;

    /// The row that says what is recorded; may say more to the caller.
    fn detail(&self, target: &Relation, partitions: usize, news: bool) -> String;
}

/// Records a table. The lock that CREATE TRIGGER takes is taken first, so that two callers at once queue
/// up and the second finds the work done.
pub fn enable<R: Request>(relid: pg_sys::Oid, request: &R) -> Result<Vec<Report>> {
    let kind = R::KIND;
    let target = Relation::owned_table(relid, kind.verb())?;
    relation::check_names(&target)?;
    let name = target.qualified_name();
    for column in request.columns() {
        if relation::column_number(relid, column).is_none() {
            return Err(relation::no_such_column(&target, column));
        }
    }
    request.prepare(&target)?;
    spi::run(&format!("LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"), &[])?;
    if let Some((_, above)) = policy::find(kind, relid)?.filter(|(_, top)| *top != relid) {
        let above = lookup::qualified_name(above).unwrap_or_default();
        let detail = format!("{} as a partition of {above}", kind.recorded());
        return Ok(vec![Report::new(name, "exists", detail)]);
    }
    let mut reports = Vec::new();
    let partitions = relation::partitions(relid)?;
    absorb(kind, &partitions, &name, &mut reports)?;
    let known = policy::find(kind, relid)?.map(|(policy, _)| policy);
    let same_policy = known.as_ref().is_some_and(|known| request.same(known));
    // The policy of a table that was dropped and made again is found by name.
    let same_table = known.as_ref().is_some_and(|known| known.relid == relid);
    if !(same_policy && same_table) {
        request.store(&target, number_of(kind, &target, known.as_ref())?)?;
    }
    let settled = attach::settle(&target, !same_policy)?;
    let triggers = settled.made + settled.dropped > 0;
    if triggers || !same_policy {
        announce(kind, relid)?;
    }
    if let Some((policy, _)) = policy::find(kind, relid)? {
        identity::describe(&policy, relid)?;
    }
    let action = match (triggers, same_policy, known.is_some()) {
        (_, false, true) => "changed",
        (false, true, _) => "exists",
        (true, true, _) => "repaired",
        _ => "enabled",
    };
    let detail = request.detail(&target, partitions.len(), action != "exists");
    reports.push(Report::new(name, action, detail));
    Ok(reports)
}

/// Ends a table's policy and takes off the triggers nothing else needs; what is recorded stays.
pub fn disable(kind: Kind, relid: pg_sys::Oid) -> Result<Report> {
    let target = Relation::owned_table(relid, kind.verb_of_end())?;
    let name = target.qualified_name();
    if kind.storage_exists()
        && let Some((_, above)) = policy::find(kind, relid)?.filter(|(_, top)| *top != relid)
    {
        let above = lookup::qualified_name(above).unwrap_or_default();
        let detail = format!("{} as a partition of {above}: disable it there", kind.recorded());
        return Ok(Report::new(name, "skipped", detail));
    }
    spi::run(&format!("LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"), &[])?;
    let ended = end_policy(kind, relid)?;
    let dropped = attach::settle(&target, false)?.dropped;
    announce(kind, relid)?;
    if dropped == 0 && ended == 0 {
        return Ok(Report::new(name, "skipped", format!("was not {}", kind.recorded())));
    }
    Ok(Report::new(name, "disabled", format!("{dropped} triggers dropped; {}", kind.what_stays())))
}

/// After partitions came to a recorded table, or left it.
pub fn follow_partitions(kind: Kind, relid: pg_sys::Oid) -> Result<()> {
    let above = lookup::qualified_name(relid).unwrap_or_default();
    let partitions = relation::partitions(relid)?;
    absorb(kind, &partitions, &above, &mut Vec::new())?;
    attach::attach_to_partitions(relid, &partitions)
}

/// A partition recorded for itself becomes part of its recorded table: its rows would be recorded twice.
fn absorb(kind: Kind, partitions: &[pg_sys::Oid], above: &str, reports: &mut Vec<Report>) -> Result<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    let policies = attach::Policies::about(partitions)?;
    for &partition in partitions {
        if policies.own(kind, partition).is_none() {
            continue;
        }
        end_policy(kind, partition)?;
        if let Some(target) = relation::describe(partition)? {
            attach::settle(&target, false)?;
        }
        reports.push(Report::new(
            lookup::qualified_name(partition).unwrap_or_default(),
            "merged",
            format!("now {} as a partition of {above}", kind.recorded()),
        ));
    }
    Ok(())
}

/// Makes every session plan anew for a table; where the feed begins to be written, look for it anew too.
fn announce(kind: Kind, relid: pg_sys::Oid) -> Result<()> {
    if kind == Kind::Feed
        && let Some(segments) = lookup::own_relation("change_segment")
    {
        invalidation::announce(segments);
    }
    identity::announce(relid)
}

/// Ends the policy that was set on a table itself.
fn end_policy(kind: Kind, relid: pg_sys::Oid) -> Result<usize> {
    let Some(policy) = policy::own(kind, relid)? else { return Ok(0) };
    let by = security::role_name(security::current_role());
    security::as_extension_owner(|| {
        spi::run(
            &format!(
                "UPDATE architect.{}
                    SET enabled = false, disabled_at = pg_catalog.clock_timestamp(), disabled_by = $2
                  WHERE table_id OPERATOR(pg_catalog.=) $1",
                kind.policies()
            ),
            &[policy.table_id.into(), by.into()],
        )?;
        Ok(1)
    })
}

/// The number the table's history has: that of the table of this name, if it was recorded before.
fn number_of(kind: Kind, target: &Relation, known: Option<&Policy>) -> Result<Option<i32>> {
    let name = (target.schema.clone(), target.name.clone());
    Ok(policy::select(kind, |about| about.is_named(&name))?
        .into_iter()
        .filter(|p| !p.is_about_another_table(target.oid))
        .map(|p| (p.enabled, p.table_id))
        .max()
        .map(|(_, id)| id)
        .or(known.map(|policy| policy.table_id)))
}

//! Attaching the capture trigger to tables and taking it off again.

use crate::audit::options::Options;
use crate::audit::storage;
use crate::capture::identity;
use crate::capture::policy::{self, Image, OnError, Policy};
use crate::catalog::relation::{self, Relation};
use crate::catalog::trigger::{self, Trigger};
use crate::error::Result;
use crate::pg::table::Table;
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Fires before triggers of ordinary names, so that what an application's own AFTER triggers write is
/// recorded after what caused it.
pub const ROW_TRIGGER: &str = "00_architect_capture";
/// On a partitioned table. PostgreSQL clones it to partitions under its name, which a table that is
/// audited for itself must not have taken when it is attached.
pub const PARTITIONED_ROW_TRIGGER: &str = "00_architect_capture_rows";
pub const TRUNCATE_TRIGGER: &str = "00_architect_capture_truncate";
const FUNCTION: &str = "capture";

/// One thing done, skipped or refused.
pub struct Report {
    pub object: String,
    pub action: &'static str,
    pub detail: String,
}

impl Report {
    pub fn new(object: impl Into<String>, action: &'static str, detail: impl Into<String>) -> Self {
        Self { object: object.into(), action, detail: detail.into() }
    }
}

/// Audits a table. The lock that CREATE TRIGGER takes is taken first, so that two callers at once queue
/// up and the second finds the work done.
pub fn enable(relid: pg_sys::Oid, options: &Options) -> Result<Vec<Report>> {
    let target = Relation::owned_table(relid, "audit")?;
    let name = target.qualified_name();
    let columns = options.columns.iter().flatten().chain(&options.exclude);
    for column in columns {
        if relation::column_number(relid, column).is_none() {
            return Err(relation::no_such_column(&target, column));
        }
    }
    storage::ensure()?;
    spi::run(&format!("LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"), &[])?;
    if let Some((_, above)) = policy::find(relid)?.filter(|(_, top)| *top != relid) {
        let above = lookup::qualified_name(above).unwrap_or_default();
        return Ok(vec![Report::new(name, "exists", format!("audited as a partition of {above}"))]);
    }
    let mut reports = Vec::new();
    let partitions = relation::partitions(relid)?;
    for &partition in &partitions {
        absorb(partition, &name, &mut reports)?;
    }
    let known = policy::find(relid)?.map(|(policy, _)| policy);
    let same_policy = known.as_ref().is_some_and(|known| same(known, options));
    // The policy of a table that was dropped and made again is found by name.
    let same_table = known.as_ref().is_some_and(|known| known.relid == relid);
    let changed_policy = known.is_some() && !same_policy;
    let table_id = match known {
        Some(known) if same_policy && same_table => known.table_id,
        _ => store(&target, options)?,
    };
    let triggers = attach(&target, &partitions, options)?;
    if triggers || !same_policy {
        identity::announce(relid)?;
    }
    identity::describe(table_id, relid)?;
    let keyless = keyless(relid);
    let mut detail = format!("{} ({} image)", options.operations.join(", "), options.image);
    if target.partitioned {
        detail += &format!(", {} partitions", partitions.len());
    }
    let action = match (triggers, same_policy, changed_policy) {
        (_, _, true) => "changed",
        (false, true, _) => "exists",
        (true, true, _) => "repaired",
        _ => "enabled",
    };
    if keyless {
        detail += "; no primary key or replica identity: row_key will be null";
        if action != "exists" {
            ereport!(
                PgLogLevel::NOTICE,
                PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
                format!(
                    "table {name} has no primary key and no replica identity index; its changes are recorded without row_key"
                )
            );
        }
    }
    reports.push(Report::new(name, action, detail));
    Ok(reports)
}

/// Takes a table's triggers off and marks its policy as ended; the log stays.
pub fn disable(relid: pg_sys::Oid) -> Result<Report> {
    let target = Relation::owned_table(relid, "stop auditing")?;
    let name = target.qualified_name();
    if policy::storage_exists()
        && let Some((_, above)) = policy::find(relid)?.filter(|(_, top)| *top != relid)
    {
        let above = lookup::qualified_name(above).unwrap_or_default();
        return Ok(Report::new(
            name,
            "skipped",
            format!("audited as a partition of {above}: disable it there"),
        ));
    }
    spi::run(&format!("LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"), &[])?;
    let mut dropped = 0;
    for oid in relation::partitions(relid)?.into_iter().chain([relid]) {
        dropped += detach(oid)?;
    }
    let ended = if policy::storage_exists() { end_policy(relid)? } else { 0 };
    identity::announce(relid)?;
    if dropped == 0 && ended == 0 {
        return Ok(Report::new(name, "skipped", "was not audited"));
    }
    Ok(Report::new(name, "disabled", format!("{dropped} triggers dropped; the log keeps its entries")))
}

/// Adds what partitions of an audited table do not get by themselves: the TRUNCATE trigger, and firing
/// for replicated changes. A partition that came with a trigger of its own would be recorded twice; it
/// loses that. What somebody disabled stays disabled; audit_coverage shows it.
pub fn attach_to_partitions(relid: pg_sys::Oid) -> Result<()> {
    let Some((policy, _)) = policy::find(relid)?.filter(|(_, top)| *top == relid) else { return Ok(()) };
    let above = lookup::qualified_name(relid).unwrap_or_default();
    let truncate = policy.operations.iter().any(|o| o == "truncate").then_some("TRUNCATE");
    // One query for all of them: this runs whenever one of thousands of partitions is made.
    let partitions = relation::partitions(relid)?;
    let all = trigger::on_relations(&partitions, FUNCTION)?;
    for oid in partitions {
        let mut there: Vec<&Trigger> = all.iter().filter(|t| t.relid == oid).collect();
        if there.iter().any(|t| audits_itself(t)) {
            absorb(oid, &above, &mut Vec::new())?;
            there.retain(|t| t.cloned);
        }
        if !there.iter().any(|t| t.name == TRUNCATE_TRIGGER) {
            ensure_trigger(
                oid,
                TRUNCATE_TRIGGER,
                trigger::TYPE_TRUNCATE,
                truncate,
                "STATEMENT",
                policy.replicated,
            )?;
        }
        for clone in there.iter().filter(|t| t.cloned && t.enabled == 'O') {
            set_state(clone, policy.replicated)?;
        }
    }
    Ok(())
}

/// Takes the TRUNCATE trigger off tables that were partitions of an audited table and are no longer.
pub fn detach_from_former_partitions() -> Result<()> {
    for left in trigger::calling(FUNCTION)?.iter().filter(|t| t.name == TRUNCATE_TRIGGER) {
        if policy::find(left.relid)?.is_none() {
            detach(left.relid)?;
        }
    }
    Ok(())
}

/// A partition audited for itself becomes part of its audited table.
fn absorb(partition: pg_sys::Oid, above: &str, reports: &mut Vec<Report>) -> Result<()> {
    let own = trigger::on_relation(partition, FUNCTION)?;
    if own.iter().any(audits_itself) {
        detach(partition)?;
        end_policy(partition)?;
        reports.push(Report::new(
            lookup::qualified_name(partition).unwrap_or_default(),
            "merged",
            format!("now audited as a partition of {above}"),
        ));
    }
    Ok(())
}

/// Whether this is the row trigger of a table that is audited for itself.
fn audits_itself(trigger: &Trigger) -> bool {
    !trigger.cloned && trigger.kind & trigger::TYPE_ROW != 0
}

fn detach(relid: pg_sys::Oid) -> Result<usize> {
    let own: Vec<Trigger> =
        trigger::on_relation(relid, FUNCTION)?.into_iter().filter(|t| !t.cloned).collect();
    let table = lookup::qualified_name(relid).unwrap_or_default();
    for trigger in &own {
        spi::run(&format!("DROP TRIGGER {} ON {table}", pgrx::spi::quote_identifier(&trigger.name)), &[])?;
    }
    Ok(own.len())
}

/// Ends the policy that was set on a table itself.
fn end_policy(relid: pg_sys::Oid) -> Result<usize> {
    let ours = policy::identifiers_are_ours()?;
    let (schema, name) = (lookup::relation_schema(relid), lookup::relation_name(relid));
    let own = policy::all()?.into_iter().find(|p| {
        p.enabled
            && (ours && p.relid == relid
                || Some(&p.schema_name) == schema.as_ref() && Some(&p.table_name) == name.as_ref())
    });
    let Some(policy) = own else { return Ok(0) };
    let by = security::role_name(security::current_role());
    security::as_extension_owner(|| {
        spi::run(
            "UPDATE architect.audit_table SET enabled = false, disabled_at = pg_catalog.clock_timestamp(), disabled_by = $2
              WHERE table_id OPERATOR(pg_catalog.=) $1",
            &[policy.table_id.into(), by.into()],
        )?;
        Ok(1)
    })
}

/// Whether a stored policy is what the options ask for.
fn same(known: &Policy, options: &Options) -> bool {
    known.operations == options.operations
        && (known.image == Image::Full) == (options.image == "full")
        && known.include.as_ref().map(|c| &c.names) == options.columns.as_ref()
        && known.exclude.names == options.exclude
        && known.replicated == options.replicated
        && known.require_context == options.require_context
        && (known.on_error == OnError::Fail) == (options.on_error == "fail")
}

/// Stores the policy, under the number the table's history has: that of the table of this name, if it
/// was audited before.
fn store(target: &Relation, options: &Options) -> Result<i32> {
    let by = security::role_name(security::current_role());
    let known = policy::all()?
        .into_iter()
        .filter(|p| p.schema_name == target.schema && p.table_name == target.name)
        .filter(|p| !p.is_about_another_table(target.oid))
        .map(|p| (p.enabled, p.table_id))
        .max()
        .or_else(|| policy::find(target.oid).ok().flatten().map(|(p, _)| (p.enabled, p.table_id)))
        .map(|(_, id)| id);
    let arguments = [
        target.oid.into(),
        target.schema.as_str().into(),
        target.name.as_str().into(),
        options.operations.clone().into(),
        options.image.as_str().into(),
        options.columns.clone().into(),
        options.exclude.clone().into(),
        options.columns.as_deref().map(|columns| identity::numbers(target.oid, columns)).into(),
        identity::numbers(target.oid, &options.exclude).into(),
        options.replicated.into(),
        options.require_context.into(),
        options.on_error.as_str().into(),
        by.as_str().into(),
        known.into(),
    ];
    let statement = if known.is_some() {
        "UPDATE architect.audit_table
            SET relid = $1, schema_name = $2, table_name = $3, enabled = true, operations = $4, image = $5,
                include_columns = $6, exclude_columns = $7, include_attnums = $8, exclude_attnums = $9,
                replicated = $10, require_context = $11, on_error = $12, enabled_by = $13,
                enabled_at = CASE WHEN enabled THEN enabled_at ELSE pg_catalog.clock_timestamp() END,
                disabled_at = NULL, disabled_by = NULL
          WHERE table_id OPERATOR(pg_catalog.=) $14 RETURNING table_id"
    } else {
        "INSERT INTO architect.audit_table (relid, schema_name, table_name, operations, image, include_columns,
                exclude_columns, include_attnums, exclude_attnums, replicated, require_context, on_error, enabled_by)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
          WHERE $14::pg_catalog.int4 IS NULL RETURNING table_id"
    };
    security::as_extension_owner(|| spi::run_one::<i32>(statement, &arguments)).map(Option::unwrap_or_default)
}

/// Creates what triggers are missing and replaces those that differ; says whether there were any.
fn attach(target: &Relation, partitions: &[pg_sys::Oid], options: &Options) -> Result<bool> {
    let mut changed = false;
    let wanted = options.row_events();
    let kind = [
        ("insert", trigger::TYPE_INSERT),
        ("update", trigger::TYPE_UPDATE),
        ("delete", trigger::TYPE_DELETE),
    ]
    .iter()
    .filter(|(operation, _)| options.has(operation))
    .fold(trigger::TYPE_ROW, |bits, (_, bit)| bits | bit);
    let name = if target.partitioned { PARTITIONED_ROW_TRIGGER } else { ROW_TRIGGER };
    changed |= ensure_trigger(target.oid, name, kind, wanted.as_deref(), "ROW", options.replicated)?;
    for &oid in partitions.iter().chain([&target.oid]) {
        let truncate = options.has("truncate").then_some("TRUNCATE");
        changed |= ensure_trigger(
            oid,
            TRUNCATE_TRIGGER,
            trigger::TYPE_TRUNCATE,
            truncate,
            "STATEMENT",
            options.replicated,
        )?;
    }
    // Clones on partitions do not follow the state of the trigger they were cloned from everywhere.
    for &oid in partitions {
        for clone in trigger::on_relation(oid, FUNCTION)?.iter().filter(|t| t.cloned) {
            changed |= set_state(clone, options.replicated)?;
        }
    }
    Ok(changed)
}

fn ensure_trigger(
    relid: pg_sys::Oid,
    name: &str,
    kind: i16,
    events: Option<&str>,
    level: &str,
    replicated: bool,
) -> Result<bool> {
    let found = trigger::on_relation(relid, FUNCTION)?.into_iter().find(|t| t.name == name);
    let table = lookup::qualified_name(relid).unwrap_or_default();
    let quoted = pgrx::spi::quote_identifier(name);
    match (found, events) {
        (Some(found), Some(_)) if found.kind == kind => return set_state(&found, replicated),
        (None, None) => return Ok(false),
        (Some(_), None) => {
            spi::run(&format!("DROP TRIGGER {quoted} ON {table}"), &[])?;
            return Ok(true);
        }
        (_, Some(events)) => {
            spi::run(
                &format!(
                    "CREATE OR REPLACE TRIGGER {quoted} AFTER {events} ON {table}
                     FOR EACH {level} EXECUTE FUNCTION architect.capture()"
                ),
                &[],
            )?;
        }
    }
    if replicated {
        spi::run(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {quoted}"), &[])?;
    }
    Ok(true)
}

fn set_state(trigger: &Trigger, replicated: bool) -> Result<bool> {
    let (wanted, clause) = if replicated { ('A', "ENABLE ALWAYS") } else { ('O', "ENABLE") };
    if trigger.enabled == wanted {
        return Ok(false);
    }
    let table = lookup::qualified_name(trigger.relid).unwrap_or_default();
    let name = pgrx::spi::quote_identifier(&trigger.name);
    spi::run(&format!("ALTER TABLE {table} {clause} TRIGGER {name}"), &[])?;
    Ok(true)
}

fn keyless(relid: pg_sys::Oid) -> bool {
    Table::open(relid, pg_sys::AccessShareLock as i32).is_some_and(|table| table.key_columns().is_empty())
}

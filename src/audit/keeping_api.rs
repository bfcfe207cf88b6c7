//! The SQL functions of keeping the log and of sealing it.

use crate::audit::seal::{self, retire};
use crate::audit::{keeping, maintain, settings, storage};
use crate::capture::policy::storage_missing;
use crate::error::{self, Error};
use crate::partition::policy::{self, Fate, Keep};
use crate::pg::table::Table;
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Says how long the audit log is kept. run_maintenance() then drops whole months, in UTC, that ended
/// longer ago than that; never the current one.
///
/// Arguments: keep, an interval of at least a day, or null to keep everything; action, 'drop' or
/// 'detach' (the month becomes a table of its own, audit_entry_p2026_01, outside of the log);
/// require_seal, whether a log that has seals keeps a month until all of it is sealed.
/// Returns one row: changed or exists. Nothing is dropped before the next run_maintenance().
/// Errors: 22023 invalid value. Lock: none on the log. Privilege: EXECUTE.
#[pg_extern]
fn set_audit_retention(
    keep: Option<Interval>,
    action: default!(&str, "'drop'"),
    require_seal: default!(bool, "true"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    if !["drop", "detach"].contains(&action) {
        return Err(Error::invalid_parameter(format!("invalid value for argument \"action\": \"{action}\""))
            .hint("Available values: drop, detach.")
            .into());
    }
    storage::ensure()?;
    let row = security::as_extension_owner(|| -> error::Result<_> {
        let long_enough = spi::read_one_now::<bool>(
            "SELECT COALESCE($1::pg_catalog.interval >= '1 day'::pg_catalog.interval, true)",
            &[keep.into()],
        );
        if long_enough != Some(true) {
            return Err(Error::invalid_parameter("invalid value for argument \"keep\"")
                .detail("Less than a day is no time to keep a log.")
                .hint("Give an interval such as '2 years', or null to keep everything."));
        }
        let fate = Fate::parse(action, None, None)?;
        let sealing = spi::run(
            "UPDATE architect.audit_setting AS s SET require_seal = $1 WHERE s.require_seal <> $1",
            &[require_seal.into()],
        )?;
        let changed = policy::set_retention(keeping::ensure_policy()?, keep, &fate)? || sealing > 0;
        let kept = match settings::retention()?.map(|retention| retention.keep) {
            Some(Keep::Time { text, .. }) => Some(text),
            _ => None,
        };
        let detail = match kept {
            Some(keep) => format!("months that ended {keep} ago: {action}"),
            None => "everything is kept".to_owned(),
        };
        Ok(("audit_entry".to_owned(), report(changed), detail))
    })?;
    Ok(TableIterator::once(row))
}

/// Says how many months after the current one run_maintenance() makes partitions of the audit log for.
///
/// Arguments: months, 0 to 120. Three is the default.
/// Returns one row: changed or exists. Errors: 22023 out of range. Privilege: EXECUTE.
#[pg_extern]
fn set_audit_months_ahead(
    months: i32,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    if !(0..=120).contains(&months) {
        return Err(Error::invalid_parameter(format!("invalid value for argument \"months\": {months}"))
            .hint("Give a number from 0 to 120.")
            .into());
    }
    storage::ensure()?;
    let changed = security::as_extension_owner(|| policy::set_ahead(keeping::ensure_policy()?, months))?;
    Ok(TableIterator::once(("audit_entry".to_owned(), report(changed), format!("{months} months ahead"))))
}

fn report(changed: bool) -> String {
    if changed { "changed" } else { "exists" }.to_owned()
}

/// Seals what has been committed to the audit log since the last seal: hashes it and chains the hash to
/// the seal before. Keep the hash where nobody who could change the log can reach it.
///
/// Returns one row: the last seal's number, how many entries were sealed now (0: there was nothing new,
/// and the last seal stays), its hash, and who keeps newer entries from being sealed: the oldest open
/// transaction or prepared transaction, in any database, or null.
/// Errors: 55000 there is no audit log; 55P03 the seals are being written by another session.
/// Lock: nothing that stops readers or writers of the log. Privilege: EXECUTE.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn seal_audit_log() -> Result<
    TableIterator<
        'static,
        (
            name!(seal_id, Option<i64>),
            name!(entries, i64),
            name!(hash, Option<String>),
            name!(held_back_by, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let sealed = security::as_extension_owner(|| -> error::Result<_> {
        if !maintain::log_exists() {
            return Err(storage_missing("audit_entry"));
        }
        seal::make::seal()
    })?;
    Ok(TableIterator::once((sealed.seal_id, sealed.entries, sealed.hash, sealed.held_back_by)))
}

/// Finds what was changed in the audit log, or in its seals, since it was sealed: entries edited,
/// deleted or inserted, contexts (who and why) and relations (names) edited or deleted, seals edited or
/// deleted.
///
/// Arguments: expected_hash, the hash of an earlier seal that was kept elsewhere. Without it a chain that was
/// made anew, or cut off at its end with care, cannot be told from the true one.
/// Returns one row for each finding, a thousand at most, with where it is, and a last row that sums up:
/// severity ok or failed. Months dropped by the retention policy are no findings.
/// Errors: 22023 not a hash; 42501 without SELECT on architect.audit_log; 55000 there is no audit log or no
/// seal. Lock: ACCESS SHARE on the log, until the transaction ends: retention waits for it, writers do not.
/// Works on a standby. Privilege: EXECUTE, and SELECT on architect.audit_log.
#[pg_extern]
#[allow(clippy::type_complexity)]
fn verify_audit_log(
    expected_hash: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(severity, String),
            name!(code, String),
            name!(seal_id, Option<i64>),
            name!(audit_id, Option<i64>),
            name!(partition_name, Option<String>),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let log = lookup::own_relation("audit_entry").ok_or_else(|| storage_missing("audit_entry"))?;
    let view = lookup::own_relation("audit_log").ok_or_else(|| storage_missing("audit_log"))?;
    let allowed = security::with_safe_search_path(|| {
        spi::read_one::<bool>("SELECT pg_catalog.has_table_privilege($1, 'SELECT')", &[view.into()])
    });
    if allowed != Some(true) {
        return Err(Error::insufficient_privilege("permission denied to verify the audit log")
            .detail("The role may not read architect.audit_log.")
            .hint("SELECT architect.grant_access(role_name, 'reader') lets a role read it.")
            .into());
    }
    // Keeps retention out: what it drops meanwhile would be missed.
    drop(Table::open(log, pg_sys::AccessShareLock as i32));
    let findings = security::as_extension_owner(|| {
        if expected_hash.is_none() && !retire::was_in_use() {
            return Err(Error::not_in_prerequisite_state("the audit log was never sealed")
                .hint("Call architect.seal_audit_log() first, and nightly from then on."));
        }
        seal::verify::verify(expected_hash)
    })?;
    Ok(TableIterator::new(
        findings.into_iter().map(|f| {
            (f.severity.to_owned(), f.code.to_owned(), f.seal_id, f.audit_id, f.partition, f.detail)
        }),
    ))
}

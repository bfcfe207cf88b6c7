//! The SQL functions that say how a table's partitions are kept.

use super::layout::{Layout, Shape};
use super::policy::{self, Fate, Keep};
use super::{guard, missing, retire, table};
use crate::error::{self, Error};
use crate::pg::{lookup, security, session, spi};
use pgrx::PgRelation;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

type Rows = Vec<(String, String, String)>;

/// Has maintain_partitions() keep a table's partitions: made ahead, retired when they are past keeping.
/// Adopts any table partitioned by range, whoever made its partitions and however irregular: bounds are
/// read from the catalogue and gone on from where they end.
///
/// Arguments: parent; every and step, key_unit, timezone as in create_partitions, the time zone is kept
/// with the policy; ahead, how many periods after the current one, by default half a year of months, a month
/// of days, three days of hours, 8 steps; keep, an interval, or keep_value for keys that are numbers: what
/// ended longer ago is retired, by its bound in the catalogue; null keeps everything; keep_action, detach
/// (the table stays, outside), drop, or archive: moved to archive_schema, or handed to archive_function, a
/// function of one regclass called as the table's owner once the partition is detached; max_retired, how
/// many partitions one run may retire; privileges, whether new partitions get the parent's; analyze_parent,
/// whether the parent's planner statistics, which autovacuum never gathers, are kept fresh.
/// Returns one row: managed, changed or exists, with what was found; rows warning of what maintenance
/// cannot or will not do. Nothing is made or retired before the next maintain_partitions().
/// Errors: 42501 not the owner, or not of the function; 42809, 22023 as create_partitions; 3F000 no such
/// schema; 42883 no such function. Lock: none on the table. Privilege: ownership of the parent.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn manage_partitions(
    parent: PgRelation,
    every: default!(Option<Interval>, "NULL"),
    ahead: default!(Option<i32>, "NULL"),
    keep: default!(Option<Interval>, "NULL"),
    keep_action: default!(&str, "'detach'"),
    archive_schema: default!(Option<&str>, "NULL"),
    archive_function: default!(Option<&str>, "NULL"),
    timezone: default!(Option<&str>, "NULL"),
    step: default!(Option<i64>, "NULL"),
    keep_value: default!(Option<i64>, "NULL"),
    key_unit: default!(Option<&str>, "NULL"),
    max_retired: default!(i32, "12"),
    privileges: default!(bool, "false"),
    analyze_parent: default!(bool, "true"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = parent.oid();
    drop(parent);
    let period = policy::period(every, step)?;
    let request = Request {
        every,
        step,
        shape: Shape {
            unit: key_unit.map(str::to_owned),
            period,
            timezone: timezone.map(str::to_owned),
            anchor: None,
        },
        ahead: ahead.unwrap_or_else(|| policy::usual_ahead(period)),
        keep,
        keep_value,
        fate: Fate::parse(
            keep_action,
            archive_schema.map(str::to_owned),
            archive_function.map(str::to_owned),
        )?,
        most: max_retired,
        privileges,
        analyze: analyze_parent,
    };
    Ok(TableIterator::new(manage(relid, request)?))
}

pub struct Request {
    pub every: Option<Interval>,
    pub step: Option<i64>,
    pub shape: Shape,
    pub ahead: i32,
    pub keep: Option<Interval>,
    pub keep_value: Option<i64>,
    pub fate: Fate,
    pub most: i32,
    pub privileges: bool,
    pub analyze: bool,
}

/// What `manage` would do.
pub fn look(relid: pg_sys::Oid, mut request: Request) -> error::Result<Rows> {
    let layout = check(relid, &mut request)?;
    Ok(told(&layout, &request, "would manage"))
}

pub fn manage(relid: pg_sys::Oid, mut request: Request) -> error::Result<Rows> {
    let layout = check(relid, &mut request)?;
    policy::ensure_storage()?;
    let action = store(&layout, &request)?;
    Ok(told(&layout, &request, action))
}

fn told(layout: &Layout, request: &Request, action: &str) -> Rows {
    let name = layout.parent.qualified_name();
    let mut rows = vec![(name.clone(), action.to_owned(), summary(layout, request))];
    rows.extend(
        warnings(layout, request).into_iter().map(|detail| (name.clone(), "warning".to_owned(), detail)),
    );
    rows
}

/// Whether a request makes sense for a table, which the caller must own.
fn check(relid: pg_sys::Oid, request: &mut Request) -> error::Result<Layout> {
    if !(0..=missing::MOST as i32).contains(&request.ahead) || request.most < 0 {
        return Err(Error::invalid_parameter(
            "ahead and max_retired must not be negative, nor ahead exceed 2000",
        )
        .hint("See \\df+ architect.manage_partitions."));
    }
    let keep = Keep::of(request.keep, request.keep_value)?;
    let parent = security::with_safe_search_path(|| table::owned(relid, "manage the partitions of"))?;
    let layout = security::as_owner(parent.owner, || Layout::read(&parent, &request.shape))?;
    if let (Keep::Values(_), true) | (Keep::Time { .. }, false) = (&keep, layout.kind.is_time()) {
        return Err(Error::invalid_parameter("what is kept does not fit the partition key")
            .hint("keep, an interval, is for keys that say when; keep_value is for numbers."));
    }
    resolve(&mut request.fate, parent.owner)?;
    if let Some(schema) = request.fate.schema()
        && spi::read_one::<bool>("SELECT true FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name", &[schema.into()]).is_none()
    {
        return Err(Error::new(PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
            .hint("CREATE SCHEMA first; the table's owner needs CREATE on it."));
    }
    Ok(layout)
}

/// The archive function as it is found now, whatever the search_path of those who call later.
pub fn resolve(fate: &mut Fate, owner: pg_sys::Oid) -> error::Result<()> {
    if let Fate::Archive { function: Some(function), .. } = fate {
        *function = archive_function(function)?;
        security::as_owner(owner, || retire::find_function(function))?;
    }
    Ok(())
}

/// A function's signature with its schema. Looked up by the caller's search_path.
fn archive_function(signature: &str) -> error::Result<String> {
    let asked = if signature.contains('(') {
        signature.to_owned()
    } else {
        format!("{signature}(pg_catalog.regclass)")
    };
    let oid = spi::read_one::<pg_sys::Oid>(
        "SELECT pg_catalog.to_regprocedure($1)::pg_catalog.oid",
        &[asked.as_str().into()],
    )
    .ok_or_else(|| {
        Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION, format!("function {asked} does not exist"))
            .hint("It takes one argument of type regclass: the detached partition.")
    })?;
    let qualified = security::with_safe_search_path(|| {
        spi::read_one::<String>("SELECT $1::regprocedure::text", &[oid.into()])
    });
    Ok(qualified.unwrap_or(asked))
}

fn store(layout: &Layout, request: &Request) -> error::Result<&'static str> {
    let parent = &layout.parent;
    security::as_extension_owner(|| {
        spi::run(
            "DELETE FROM architect.partition_policy p WHERE p.relid = $1 AND p.system_identifier = $2 AND p.database_oid = $3
                AND (p.schema_name, p.table_name) <> ($4, $5)",
            &[
                parent.oid.into(),
                session::system_identifier().into(),
                session::database().into(),
                parent.schema.as_str().into(),
                parent.name.as_str().into(),
            ],
        )?;
        let changed = spi::run_one::<bool>(
            "INSERT INTO architect.partition_policy AS p
                 (schema_name, table_name, system_identifier, database_oid, relid, owner_name, every, step, anchor, key_unit,
                  timezone, ahead, keep, keep_value, keep_action, archive_schema, archive_function, max_retired, privileges,
                  analyze_parent, managed_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
             ON CONFLICT (schema_name, table_name) DO UPDATE SET
                 system_identifier = EXCLUDED.system_identifier, database_oid = EXCLUDED.database_oid, relid = EXCLUDED.relid,
                 owner_name = EXCLUDED.owner_name, every = EXCLUDED.every, step = EXCLUDED.step, anchor = EXCLUDED.anchor,
                 key_unit = EXCLUDED.key_unit, timezone = EXCLUDED.timezone, ahead = EXCLUDED.ahead, keep = EXCLUDED.keep,
                 keep_value = EXCLUDED.keep_value, keep_action = EXCLUDED.keep_action, archive_schema = EXCLUDED.archive_schema,
                 archive_function = EXCLUDED.archive_function, max_retired = EXCLUDED.max_retired,
                 privileges = EXCLUDED.privileges, analyze_parent = EXCLUDED.analyze_parent,
                 managed_by = EXCLUDED.managed_by, managed_at = pg_catalog.clock_timestamp()
               WHERE (p.relid, p.owner_name, p.every, p.step, p.anchor, p.key_unit, p.timezone, p.ahead, p.keep, p.keep_value,
                      p.keep_action, p.archive_schema, p.archive_function, p.max_retired, p.privileges, p.analyze_parent)
                     IS DISTINCT FROM
                     (EXCLUDED.relid, EXCLUDED.owner_name, EXCLUDED.every, EXCLUDED.step, EXCLUDED.anchor, EXCLUDED.key_unit,
                      EXCLUDED.timezone, EXCLUDED.ahead, EXCLUDED.keep, EXCLUDED.keep_value, EXCLUDED.keep_action,
                      EXCLUDED.archive_schema, EXCLUDED.archive_function, EXCLUDED.max_retired, EXCLUDED.privileges,
                      EXCLUDED.analyze_parent)
             RETURNING p.xmax = 0",
            &[
                parent.schema.as_str().into(),
                parent.name.as_str().into(),
                session::system_identifier().into(),
                session::database().into(),
                parent.oid.into(),
                security::role_name(parent.owner).into(),
                request.every.into(),
                request.step.into(),
                layout.grid.anchor.into(),
                request.shape.unit.as_deref().into(),
                layout.timezone.as_str().into(),
                request.ahead.into(),
                request.keep.into(),
                request.keep_value.into(),
                request.fate.name().into(),
                request.fate.schema().into(),
                request.fate.function().into(),
                request.most.into(),
                request.privileges.into(),
                request.analyze.into(),
                security::role_name(security::session_role()).into(),
            ],
        )?;
        Ok(match changed {
            Some(true) => "managed",
            Some(false) => "changed",
            None => "exists",
        })
    })
}

fn summary(layout: &Layout, request: &Request) -> String {
    let held = layout.held();
    let irregular = held
        .iter()
        .filter(|h| match (h.low.edge.at(), h.high.edge.at()) {
            (Some(low), Some(high)) => !layout.grid.is_cell(low, high, layout.zone.as_ref()),
            _ => true,
        })
        .count();
    let last = held
        .last()
        .and_then(|h| h.high.edge.at())
        .map_or_else(|| "none".to_owned(), |at| layout.readable(at));
    let zone = if layout.kind.is_time() { format!(", in {}", layout.timezone) } else { String::new() };
    format!(
        "{} partitions, {irregular} of them irregular, the last one to {last}; {} ahead{zone}",
        held.len(),
        request.ahead
    )
}

/// What maintenance will not be able to do as well as it could.
fn warnings(layout: &Layout, request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(default) = layout.default() {
        found.push(format!(
            "with the default partition {} partitions are not detached concurrently, and each new one waits until it is shown to \
             hold none of its rows",
            default.qualified_name()
        ));
    }
    let retires = request.keep.is_some() || request.keep_value.is_some();
    if retires && layout.parent.incoming_keys > 0 {
        found.push(format!(
            "{} foreign keys refer to it: partitions with rows that are referred to are not retired",
            layout.parent.incoming_keys
        ));
    }
    if layout.held().last().is_some_and(|h| h.high.edge.at().is_none()) {
        found.push("the last partition is open to MAXVALUE: none can be made after it".into());
    }
    found
}

/// Has maintenance leave a table alone. Its partitions stay as they are.
///
/// Returns one row: unmanaged, or skipped if it was not managed.
/// Errors: 42501 not the owner; 42809 the audit log is always managed. Lock: none. Privilege: ownership of
/// the parent.
#[pg_extern]
fn unmanage_partitions(
    parent: PgRelation,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = parent.oid();
    drop(parent);
    let relation =
        security::with_safe_search_path(|| guard::owned_table(relid, "unmanage the partitions of"))?;
    if guard::of(relid).is_some() {
        return Err(Error::wrong_object_type(format!(
            "cannot unmanage the partitions of {}",
            relation.qualified_name()
        ))
        .detail("Without coming partitions its rows would pile up in the default one.")
        .hint("set_audit_retention(NULL) keeps everything.")
        .into());
    }
    let name = relation.qualified_name();
    let gone = if policy::storage_exists() {
        security::as_extension_owner(|| {
            policy::follow_tables()?;
            spi::run_one::<bool>(
                "DELETE FROM architect.partition_policy p WHERE p.schema_name = $1 AND p.table_name = $2 RETURNING true",
                &[relation.schema.as_str().into(), relation.name.as_str().into()],
            )
        })?
        .is_some()
    } else {
        false
    };
    let action = if gone { "unmanaged" } else { "skipped" };
    Ok(TableIterator::once((name, action.to_owned(), "its partitions stay as they are".to_owned())))
}

/// The tables that are managed, and how.
///
/// Returns one row for each: status ok, or why its policy is not followed. Lock: none. Privilege: EXECUTE.
#[pg_extern(stable)]
#[allow(clippy::type_complexity)]
fn partition_policies() -> Result<
    TableIterator<
        'static,
        (
            name!(parent, String),
            name!(every, String),
            name!(timezone, String),
            name!(ahead, i32),
            name!(keep, Option<String>),
            name!(keep_action, String),
            name!(status, String),
        ),
    >,
    ErrorReport,
> {
    let rows = security::with_safe_search_path(|| -> error::Result<_> {
        let policies = policy::read(None)?;
        let oids: Vec<pg_sys::Oid> = policies.iter().filter_map(|p| p.relid).collect();
        let parents = table::parents(Some(&oids))?;
        Ok(policies
            .into_iter()
            .map(|p| {
                let parent = parents.iter().find(|parent| Some(parent.oid) == p.relid);
                let status = match parent {
                    None => "there is no such table partitioned by range".to_owned(),
                    Some(parent) if security::role_name(parent.owner) != p.owner_name => {
                        format!(
                            "it belongs to {} now: its owner calls manage_partitions() again",
                            security::role_name(parent.owner)
                        )
                    }
                    Some(_) => "ok".to_owned(),
                };
                let keep = match &p.retention.keep {
                    Keep::Forever => None,
                    Keep::Time { text, .. } => Some(text.clone()),
                    Keep::Values(values) => Some(values.to_string()),
                };
                (
                    p.qualified_name(),
                    p.shape.period.to_string(),
                    p.timezone,
                    p.ahead,
                    keep,
                    p.retention.fate.name().to_owned(),
                    status,
                )
            })
            .collect::<Vec<_>>())
    })?;
    Ok(TableIterator::new(rows))
}

/// Puts a partition on hold: no retention touches it until it is released.
///
/// Arguments: partition; reason, for those who ask later. Returns one row: held, changed or exists.
/// Errors: 42501 not the owner; 42809 not a table; 42P01 it has just been dropped. Lock: ROW SHARE on the
/// partition, to the end of the transaction: retention waits for it. Privilege: ownership of the partition.
#[pg_extern]
fn hold_partition(
    partition: PgRelation,
    reason: &str,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = partition.oid();
    drop(partition);
    let relation = security::with_safe_search_path(|| guard::owned_table(relid, "hold"))?;
    policy::ensure_storage()?;
    // Who drops or moves it takes a lock that conflicts with this one, and then looks whether it is on hold.
    spi::run(&format!("LOCK TABLE ONLY {} IN ROW SHARE MODE", relation.qualified_name()), &[])?;
    let changed = security::as_extension_owner(|| {
        spi::run_one::<bool>(
            "INSERT INTO architect.partition_hold AS h (schema_name, table_name, reason, held_by, system_identifier, database_oid, relid)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (schema_name, table_name) DO UPDATE SET reason = EXCLUDED.reason, held_by = EXCLUDED.held_by,
                 system_identifier = EXCLUDED.system_identifier, database_oid = EXCLUDED.database_oid, relid = EXCLUDED.relid,
                 held_at = pg_catalog.clock_timestamp() WHERE (h.reason, h.relid) <> (EXCLUDED.reason, EXCLUDED.relid)
             RETURNING h.xmax = 0",
            &[
                relation.schema.as_str().into(),
                relation.name.as_str().into(),
                reason.into(),
                security::role_name(security::session_role()).into(),
                session::system_identifier().into(),
                session::database().into(),
                relid.into(),
            ],
        )
    })?;
    let action = match changed {
        Some(true) => "held",
        Some(false) => "changed",
        None => "exists",
    };
    Ok(TableIterator::once((relation.qualified_name(), action.to_owned(), reason.to_owned())))
}

/// Ends a hold.
///
/// Returns one row: released, or skipped if there was none.
/// Errors: 42501 not the owner. Lock: none. Privilege: ownership of the partition.
#[pg_extern]
fn release_partition(
    partition: PgRelation,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = partition.oid();
    drop(partition);
    let relation = security::with_safe_search_path(|| guard::owned_table(relid, "release"))?;
    let reason = if policy::storage_exists() {
        security::as_extension_owner(|| {
            spi::run_one::<String>(
                "DELETE FROM architect.partition_hold h
                  WHERE CASE WHEN h.system_identifier = $3 AND h.database_oid = $4 THEN h.relid = $5
                             ELSE (h.schema_name, h.table_name) = ($1, $2) END
                  RETURNING h.reason",
                &[
                    relation.schema.as_str().into(),
                    relation.name.as_str().into(),
                    session::system_identifier().into(),
                    session::database().into(),
                    relid.into(),
                ],
            )
        })?
    } else {
        None
    };
    let action = if reason.is_some() { "released" } else { "skipped" };
    Ok(TableIterator::once((
        lookup::qualify(&relation.schema, &relation.name),
        action.to_owned(),
        reason.unwrap_or_default(),
    )))
}

/// The partitions on hold.
///
/// Returns one row for each. Lock: none. Privilege: EXECUTE.
#[pg_extern(stable)]
fn partition_holds()
-> Result<TableIterator<'static, (name!(partition_name, String), name!(reason, String))>, ErrorReport> {
    Ok(TableIterator::new(security::with_safe_search_path(policy::holds)?))
}

/// Takes over tables that pg_partman keeps: its configuration becomes a policy, and what differs is told.
/// Nothing of pg_partman's is changed.
///
/// Arguments: parent, one table, by default all in part_config; timezone, in which periods begin, the
/// session's by default, or UTC if the partitions are fit that; dry_run, true by default, only tells.
/// Returns rows: would manage, managed, changed or exists; differs, one for each difference; to do, how to
/// have pg_partman leave the table alone; refused, with the reason.
/// Errors: 55000 pg_partman is not installed. Lock: none on the tables. Privilege: SELECT on part_config,
/// and ownership of the tables.
#[pg_extern]
fn import_pg_partman(
    parent: default!(Option<PgRelation>, "NULL"),
    timezone: default!(Option<&str>, "NULL"),
    dry_run: default!(bool, "true"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let only = parent.as_ref().map(PgRelation::oid);
    drop(parent);
    let rows = security::with_safe_search_path(|| super::import::import(only, timezone, dry_run))?;
    Ok(TableIterator::new(rows))
}

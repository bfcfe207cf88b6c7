//! The SQL functions of requests, holds and house rules.

use super::{person, request, rights, storage};
use crate::catalog::relation::Relation;
use crate::error::Error;
use crate::pg::{security, spi};
use pgrx::datum::{DatumWithOid, Interval};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation};

fn me() -> String {
    security::role_name(security::session_role())
}

/// Runs a statement on our tables; fails where it changed nothing.
fn change(statement: &str, arguments: &[DatumWithOid], missing: impl FnOnce() -> Error) -> Result<(), Error> {
    storage::require()?;
    let changed = security::as_extension_owner(|| spi::run(statement, arguments))?;
    if changed == 0 { Err(missing()) } else { Ok(()) }
}

fn may_decide(request_id: i64) -> Result<(), Error> {
    storage::require()?;
    let subject_type = request::find(request_id)?.subject_type;
    security::with_safe_search_path(|| rights::to_decide(&subject_type))
}

fn no_request(request_id: i64) -> Error {
    Error::undefined_object(format!("request {request_id} does not exist or is not open"))
        .hint("architect.privacy_requests() lists what was asked for.")
}

/// Notes what a person asked for. It is due a month after it was received (GDPR Art. 12(3)).
///
/// Arguments: kind: access, erase, restrict, rectify, portability or object; subject_type and key as for plan_erasure
/// (kept as a hash); received_at (null: now).
/// Returns the request's number. Errors: 22023 invalid kind or key; 42704 no such subject type.
/// Lock: none. Privilege: EXECUTE, and the rights of the owner of the person's table.
#[pg_extern]
fn open_request(
    kind: &str,
    subject_type: &str,
    key: JsonB,
    received_at: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<i64, ErrorReport> {
    const KINDS: [&str; 6] = ["access", "erase", "restrict", "rectify", "portability", "object"];
    if !KINDS.contains(&kind) {
        return Err(Error::invalid_parameter(format!("invalid value for argument \"kind\": \"{kind}\""))
            .hint(format!("Available values: {}.", KINDS.join(", ")))
            .into());
    }
    let id = security::with_safe_search_path(|| {
        let person = person::find(subject_type, &key.0)?;
        request::open(kind, subject_type, &person.hmac, received_at)
    })?;
    Ok(id)
}

/// Approves an erasure: the plan with this hash, for this request. Where four eyes are required another role must have
/// done so before erase_subject does anything.
///
/// Arguments: request_id; plan_hash, from plan_erasure. Errors: 42501 neither the owner of the persons' table nor the privacy
/// officer; 42704 no such open request.
/// Lock: the request. Privilege: EXECUTE, and the rights of the owner of the persons' table or of the privacy officer.
#[pg_extern]
fn approve_request(request_id: i64, plan_hash: &str) -> Result<(), ErrorReport> {
    may_decide(request_id)?;
    change(
        "UPDATE architect.privacy_request
            SET status = 'approved', approved_plan = $2, approved_by = $3, approved_at = pg_catalog.clock_timestamp()
          WHERE request_id OPERATOR(pg_catalog.=) $1 AND status OPERATOR(pg_catalog.=) ANY ('{open,approved,partial}')",
        &[request_id.into(), plan_hash.into(), me().into()],
        || no_request(request_id),
    )?;
    Ok(())
}

/// Gives a request two months more (Art. 12(3)), once, with the reason the person was told.
///
/// Arguments: request_id; because. Errors: 42501 as approve_request; 42704 no such open request, or it was extended before.
/// Lock: the request. Privilege: as approve_request.
#[pg_extern]
fn extend_request(request_id: i64, because: &str) -> Result<(), ErrorReport> {
    may_decide(request_id)?;
    change(
        "UPDATE architect.privacy_request
            SET due_at = due_at OPERATOR(pg_catalog.+) '2 months'::pg_catalog.interval, extended_because = $2
          WHERE request_id OPERATOR(pg_catalog.=) $1 AND extended_because IS NULL
            AND status OPERATOR(pg_catalog.=) ANY ('{open,approved}')",
        &[request_id.into(), because.into()],
        || no_request(request_id),
    )?;
    Ok(())
}

/// Ends a request that erase_subject does not end: done, or refused with the reason.
///
/// Arguments: request_id; status: done or refused; refusal_reason, with refused.
/// Errors: 22023 invalid status, or no reason; 42501 as approve_request; 42704 no such open request. Lock: the request.
/// Privilege: as approve_request.
#[pg_extern]
fn close_request(
    request_id: i64,
    status: default!(&str, "'done'"),
    refusal_reason: default!(Option<&str>, "NULL"),
) -> Result<(), ErrorReport> {
    if !matches!((status, refusal_reason), ("done", None) | ("refused", Some(_))) {
        return Err(Error::invalid_parameter("a request ends as done, or as refused with a reason").into());
    }
    may_decide(request_id)?;
    change(
        "UPDATE architect.privacy_request
            SET status = $2, refusal_reason = $3, decided_by = $4, decided_at = pg_catalog.clock_timestamp()
          WHERE request_id OPERATOR(pg_catalog.=) $1 AND status OPERATOR(pg_catalog.=) ANY ('{open,approved,partial}')",
        &[request_id.into(), status.into(), refusal_reason.into(), me().into()],
        || no_request(request_id),
    )?;
    Ok(())
}

/// What persons asked for, the most urgent first.
///
/// Arguments: overdue_only, whether only requests past their date are shown.
/// Returns one row for each request. Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn privacy_requests(
    overdue_only: default!(bool, "false"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(request_id, i64),
            name!(kind, String),
            name!(subject_type, String),
            name!(received_at, Option<TimestampWithTimeZone>),
            name!(due_at, Option<TimestampWithTimeZone>),
            name!(overdue, bool),
            name!(status, String),
            name!(opened_by, String),
            name!(approved_by, Option<String>),
            name!(decided_by, Option<String>),
            name!(refusal_reason, Option<String>),
        ),
    >,
    ErrorReport,
> {
    if !storage::exists() {
        return Ok(TableIterator::new(Vec::new()));
    }
    let rows = security::as_extension_owner(|| {
        spi::read(
            "SELECT r.request_id, r.kind, r.subject_type, r.received_at, r.due_at, o.overdue, r.status, r.opened_by,
                    r.approved_by, r.decided_by, r.refusal_reason
               FROM architect.privacy_request AS r
              CROSS JOIN LATERAL (SELECT r.status OPERATOR(pg_catalog.=) ANY ('{open,approved}')
                                         AND r.due_at OPERATOR(pg_catalog.<) pg_catalog.now() AS overdue) AS o
              WHERE o.overdue OR NOT $1
              ORDER BY r.status OPERATOR(pg_catalog.=) ANY ('{open,approved}') DESC, r.due_at, r.request_id",
            &[overdue_only.into()],
            |row| {
                Ok((
                    row.get(1)?.unwrap_or_default(),
                    row.get::<String>(2)?.unwrap_or_default(),
                    row.get::<String>(3)?.unwrap_or_default(),
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?.unwrap_or_default(),
                    row.get::<String>(7)?.unwrap_or_default(),
                    row.get::<String>(8)?.unwrap_or_default(),
                    row.get(9)?,
                    row.get(10)?,
                    row.get(11)?,
                ))
            },
        )
    })?;
    Ok(TableIterator::new(rows))
}

/// Keeps a person, or the rows of a table, from being erased: a claim, an investigation (Art. 17(3)(e), 18).
///
/// Arguments: reason; subject_type and key of a person, or table_name; hold_until (null: until it is lifted);
/// legal_reference. A hold on a person blocks erasing it; one on a table keeps the rows as they are.
/// Returns the hold's number. Errors: 22023 neither or both of person and table; 42704 no such subject type.
/// Lock: none. Privilege: EXECUTE, and the rights of the table's owner.
#[pg_extern]
fn place_hold(
    reason: &str,
    subject_type: default!(Option<&str>, "NULL"),
    key: default!(Option<JsonB>, "NULL"),
    table_name: default!(Option<PgRelation>, "NULL"),
    hold_until: default!(Option<TimestampWithTimeZone>, "NULL"),
    legal_reference: default!(Option<&str>, "NULL"),
) -> Result<i64, ErrorReport> {
    let relid = table_name.as_ref().map(PgRelation::oid);
    drop(table_name);
    let id = security::with_safe_search_path(|| {
        storage::ensure()?;
        let (hmac, table) = match (subject_type, key, relid) {
            (Some(subject_type), Some(key), None) => (Some(person::find(subject_type, &key.0)?.hmac), None),
            (None, None, Some(relid)) => (None, Some(Relation::owned_table(relid, "place a hold on")?)),
            _ => {
                return Err(Error::invalid_parameter("a hold is on a person or on a table")
                    .hint("Give subject_type and key, or table_name."));
            }
        };
        security::as_extension_owner(|| {
            spi::run_one::<i64>(
                "INSERT INTO architect.privacy_hold (subject_type, key_hmac, schema_name, table_name, reason, legal_reference,
                        hold_until, placed_by)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING hold_id",
                &[
                    subject_type.into(),
                    hmac.into(),
                    table.as_ref().map(|table| table.schema.clone()).into(),
                    table.as_ref().map(|table| table.name.clone()).into(),
                    reason.into(),
                    legal_reference.into(),
                    hold_until.into(),
                    me().into(),
                ],
            )
        })
    })?;
    Ok(id.unwrap_or_default())
}

/// Takes back place_hold.
///
/// Arguments: hold_id. Errors: 42501 not the owner of the table; 42704 no such hold.
/// Lock: the hold. Privilege: EXECUTE, and the rights that place_hold needs.
#[pg_extern]
fn lift_hold(hold_id: i64) -> Result<(), ErrorReport> {
    security::with_safe_search_path(|| may_lift(hold_id))?;
    change(
        "UPDATE architect.privacy_hold SET lifted_at = pg_catalog.clock_timestamp(), lifted_by = $2
          WHERE hold_id OPERATOR(pg_catalog.=) $1 AND lifted_at IS NULL",
        &[hold_id.into(), me().into()],
        || Error::undefined_object(format!("hold {hold_id} does not exist or was lifted")),
    )?;
    Ok(())
}

/// Who may place a hold may lift it.
fn may_lift(hold_id: i64) -> Result<(), Error> {
    storage::require()?;
    let holds = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT h.subject_type, h.schema_name, h.table_name FROM architect.privacy_hold AS h
              WHERE h.hold_id OPERATOR(pg_catalog.=) $1",
            &[hold_id.into()],
            |row| Ok((row.get::<String>(1)?, row.get::<String>(2)?, row.get::<String>(3)?)),
        )
    })?;
    match holds.into_iter().next() {
        Some((Some(subject_type), ..)) => rights::on_subject(&subject_type, "lift a hold on"),
        Some((_, Some(schema), Some(table))) => rights::on_table(&schema, &table, "lift a hold on"),
        _ => Ok(()),
    }
}

/// House rules: whether erasing needs another role's approval, how long backups are kept, and who the privacy officer is.
///
/// Arguments: four_eyes, backup_retention, officer: a role, whose members may decide about requests and change these rules
/// without owning a table (null: as it is; of officer, an empty name: nobody). Each change is kept in privacy_decisions().
/// Errors: 42501 neither the privacy officer nor the extension's owner; 42704 no such role; 55000 nothing was declared yet.
/// Lock: none. Privilege: EXECUTE, and the rights of the privacy officer or of the owner of the extension; the latter
/// only may name the officer.
#[pg_extern]
fn set_privacy_rules(
    four_eyes: default!(Option<bool>, "NULL"),
    backup_retention: default!(Option<Interval>, "NULL"),
    officer: default!(Option<&str>, "NULL"),
) -> Result<(), ErrorReport> {
    storage::require()?;
    security::with_safe_search_path(|| {
        rights::to_set_rules()?;
        officer.map_or(Ok(()), rights::to_name_officer)
    })?;
    security::as_extension_owner(|| {
        spi::run(
            "WITH before AS (SELECT s.four_eyes, s.backup_retention, s.officer FROM architect.privacy_setting AS s),
                  after AS (UPDATE architect.privacy_setting AS s
                               SET four_eyes = COALESCE($1, s.four_eyes), backup_retention = COALESCE($2, s.backup_retention),
                                   officer = CASE WHEN $4 IS NULL THEN s.officer WHEN $4 OPERATOR(pg_catalog.<>) '' THEN $4::pg_catalog.name END
                            RETURNING s.four_eyes, s.backup_retention, s.officer)
             INSERT INTO architect.privacy_decision (decided_by, verb, kind, object_name, before, after)
             SELECT $3, 'change', 'setting', 'privacy rules', pg_catalog.to_jsonb(b), pg_catalog.to_jsonb(a)
               FROM before AS b, after AS a",
            &[four_eyes.into(), backup_retention.into(), me().into(), officer.into()],
        )
    })?;
    Ok(())
}

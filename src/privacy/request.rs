//! Requests as they are stored.

use super::identity::Identities;
use super::plan::Plan;
use super::storage;
use crate::error::{Error, Result};
use crate::pg::{kept, security, spi};
use pgrx::JsonB;
use pgrx::prelude::*;

#[derive(Debug)]
pub struct Request {
    pub request_id: i64,
    pub kind: String,
    pub subject_type: String,
    pub key_hmac: Vec<u8>,
    pub status: String,
    pub approved_plan: Option<String>,
    pub approved_by: Option<String>,
    pub erased_at: Option<TimestampWithTimeZone>,
    pub identities: Vec<(String, i32)>,
    pub retained: serde_json::Value,
    pub verification: Option<serde_json::Value>,
    /// The files that what was erased from had then.
    pub files: serde_json::Value,
}

pub fn find(request_id: i64) -> Result<Request> {
    storage::require()?;
    let found = security::as_extension_owner(|| {
        kept::read_now(
            "SELECT r.request_id, r.kind, r.subject_type, r.key_hmac, r.status, r.approved_plan, r.approved_by,
                    r.erased_at, r.identity_hmacs, r.identity_words, r.retained, r.verification, r.files
               FROM architect.privacy_request AS r WHERE r.request_id OPERATOR(pg_catalog.=) $1",
            &[request_id.into()],
            |row| {
                let hmacs: Vec<String> = row.get(9)?.unwrap_or_default();
                let words: Vec<i32> = row.get(10)?.unwrap_or_default();
                Ok(Request {
                    request_id,
                    kind: row.get(2)?.unwrap_or_default(),
                    subject_type: row.get(3)?.unwrap_or_default(),
                    key_hmac: row.get(4)?.unwrap_or_default(),
                    status: row.get(5)?.unwrap_or_default(),
                    approved_plan: row.get(6)?,
                    approved_by: row.get(7)?,
                    erased_at: row.get(8)?,
                    identities: hmacs.into_iter().zip(words).collect(),
                    retained: row.get::<JsonB>(11)?.map_or(serde_json::Value::Null, |json| json.0),
                    verification: row.get::<JsonB>(12)?.map(|json| json.0),
                    files: row.get::<JsonB>(13)?.map_or(serde_json::Value::Null, |json| json.0),
                })
            },
        )
    })?;
    found.into_iter().next().ok_or_else(|| {
        Error::undefined_object(format!("request {request_id} does not exist"))
            .hint("architect.privacy_requests() lists what was asked for.")
    })
}

/// Opens a request; returns its number.
pub fn open(
    kind: &str,
    subject_type: &str,
    key_hmac: &[u8],
    received: Option<TimestampWithTimeZone>,
) -> Result<i64> {
    let by = security::role_name(security::session_role());
    let id = security::as_extension_owner(|| {
        spi::run_one::<i64>(
            "INSERT INTO architect.privacy_request (kind, subject_type, key_hmac, received_at, due_at, opened_by)
             VALUES ($1, $2, $3, COALESCE($4, pg_catalog.now()),
                     COALESCE($4, pg_catalog.now()) OPERATOR(pg_catalog.+) '1 month'::pg_catalog.interval, $5)
             RETURNING request_id",
            &[kind.into(), subject_type.into(), key_hmac.to_vec().into(), received.into(), by.into()],
        )
    })?;
    id.ok_or_else(|| Error::internal("the request was not stored"))
}

/// The request an erasure answers: the one named, which must be about this person, or a new one.
pub fn answering(plan: &Plan, request_id: Option<i64>) -> Result<Request> {
    let subject_type = plan.graph.subject.subject_type.as_str();
    let Some(request_id) = request_id else {
        return find(open("erase", subject_type, &plan.key_hmac, None)?);
    };
    let request = find(request_id)?;
    if request.kind != "erase" || request.subject_type != subject_type || request.key_hmac != plan.key_hmac {
        return Err(Error::invalid_parameter(format!("request {request_id} does not ask for this erasure"))
            .detail("It is of another kind, or about another person.")
            .hint("Leave out request_id, or name the request of this person."));
    }
    if request.status == "refused" {
        return Err(Error::not_in_prerequisite_state(format!("request {request_id} was refused")));
    }
    Ok(request)
}

/// A hold names a type and a hash: were the type taken back, or its keys others, nobody would know whom it keeps.
pub fn refuse_while_held(subject_type: &str) -> Result<()> {
    let held = security::as_extension_owner(|| {
        spi::read_one_now::<i64>(
            "SELECT h.hold_id FROM architect.privacy_hold AS h
              WHERE h.subject_type OPERATOR(pg_catalog.=) $1 AND h.lifted_at IS NULL
                AND (h.hold_until IS NULL OR h.hold_until OPERATOR(pg_catalog.>) pg_catalog.now()) ORDER BY 1 LIMIT 1",
            &[subject_type.into()],
        )
    });
    let Some(hold) = held else { return Ok(()) };
    Err(Error::not_in_prerequisite_state(format!("a person of type \"{subject_type}\" is held"))
        .detail(format!("Hold {hold} would keep nobody any more."))
        .hint("Call architect.lift_hold() first."))
}

pub fn four_eyes() -> bool {
    security::as_extension_owner(|| {
        spi::read_one_now::<bool>("SELECT s.four_eyes FROM architect.privacy_setting AS s", &[])
    }) == Some(true)
}

/// What was done: on the request and, for the day a backup is restored, as a tombstone.
/// Where nothing of the person was ever found the request stays open: the key may be mistyped.
pub fn done(
    plan: &Plan,
    request: &Request,
    identities: &Identities,
    retained: serde_json::Value,
    files: serde_json::Value,
    nothing_found: bool,
) -> Result<()> {
    let partial = retained.as_array().is_some_and(|list| !list.is_empty());
    let by = security::role_name(security::session_role());
    security::as_extension_owner(|| {
        if nothing_found && !partial && !erased_before(plan) {
            return Ok(());
        }
        kept::run(
            "UPDATE architect.privacy_request
                SET status = $2, decided_by = $3, decided_at = pg_catalog.clock_timestamp(), plan_hash = $4,
                    erased_at = COALESCE(erased_at, pg_catalog.clock_timestamp()),
                    erased_lsn = COALESCE(erased_lsn, pg_catalog.pg_current_wal_insert_lsn()),
                    identity_hmacs = CASE WHEN pg_catalog.cardinality($5) OPERATOR(pg_catalog.>) 0 THEN $5 ELSE identity_hmacs END,
                    identity_words = CASE WHEN pg_catalog.cardinality($5) OPERATOR(pg_catalog.>) 0 THEN $6 ELSE identity_words END,
                    retained = $7, files = files OPERATOR(pg_catalog.||) $8
              WHERE request_id OPERATOR(pg_catalog.=) $1",
            &[
                request.request_id.into(),
                (if partial { "partial" } else { "done" }).into(),
                by.into(),
                plan.hash.as_str().into(),
                identities.hmacs.clone().into(),
                identities.words.clone().into(),
                JsonB(retained).into(),
                JsonB(files).into(),
            ],
        )?;
        kept::run(
            "INSERT INTO architect.privacy_tombstone AS t (subject_type, key_hmac, request_id, erased_at)
             VALUES ($1, $2, $3, pg_catalog.clock_timestamp())
             ON CONFLICT (subject_type, key_hmac) DO UPDATE SET request_id = excluded.request_id, erased_at = excluded.erased_at",
            &[
                plan.graph.subject.subject_type.as_str().into(),
                plan.key_hmac.clone().into(),
                request.request_id.into(),
            ],
        )?;
        Ok(())
    })
}

fn erased_before(plan: &Plan) -> bool {
    spi::read_one_now::<bool>(
        "SELECT true FROM architect.privacy_tombstone AS t
          WHERE t.subject_type OPERATOR(pg_catalog.=) $1 AND t.key_hmac OPERATOR(pg_catalog.=) $2",
        &[plan.graph.subject.subject_type.as_str().into(), plan.key_hmac.clone().into()],
    ) == Some(true)
}

/// Keeps what a verification found, for the certificate.
pub fn verified(request_id: i64, places: Vec<serde_json::Value>) -> Result<()> {
    security::as_extension_owner(|| {
        spi::run(
            "UPDATE architect.privacy_request
                SET verification = pg_catalog.jsonb_build_object('verified_at', pg_catalog.clock_timestamp(), 'places', $2)
              WHERE request_id OPERATOR(pg_catalog.=) $1",
            &[request_id.into(), JsonB(serde_json::Value::Array(places)).into()],
        )
    })?;
    Ok(())
}

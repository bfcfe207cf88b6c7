//! The SQL functions of exporting, verifying and proving.

use super::{coverage, deletion_log, export, request, rights, verify};
use crate::pg::datum::JsonbText;
use crate::pg::{security, spi};
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// What the database holds of a person, as JSON: the rows that erasing accounts for.
///
/// Arguments: subject_type and key as for plan_erasure; scope: access (everything, GDPR Art. 15) or portability (what
/// the person provided by consent or for a contract, Art. 20: columns declared with that legal basis, in the
/// person's own rows); redact_third_parties, whether what rows say of other persons is left out; allow_scans.
/// Returns one document: tables with their rows in the order of their keys. Nothing in it depends on when it is made.
/// Errors: as plan_erasure; 22023 invalid scope; 55000 something cannot be read.
/// Lock: ACCESS SHARE on the tables. Privilege: the rights of the tables' owners, as whom they are read.
/// Assigns no transaction id.
#[pg_extern]
fn export_subject(
    subject_type: &str,
    key: JsonB,
    scope: default!(&str, "'access'"),
    redact_third_parties: default!(bool, "true"),
    allow_scans: default!(bool, "false"),
) -> Result<JsonbText, ErrorReport> {
    let document = security::with_safe_search_path(|| {
        export::export(subject_type, &key.0, scope, redact_third_parties, allow_scans)
    })?;
    Ok(JsonbText(document))
}

/// Where the values that identified an erased person still are: every text, json, number, array, bytea and tsvector
/// column of every table and materialized view, our logs among them, planner statistics, large objects, statement
/// texts; and what ages out: dead rows, write-ahead log, replication slots, backups.
///
/// Arguments: request_id, as erase_subject returned it. The values are not known any more, only hashes of them: every
/// word and run of words is hashed and compared. What is spelled or cut differently is not found.
/// Returns one row for each place: status clear, present, retained (with reason), pending (until something overwrites
/// it), not searched or outside; how to clear it; and the earliest time it is gone, where that is known. The result
/// is kept with the request, for its certificate.
/// Errors: 42501 not the owner of the person's table; 42704 no such request. Lock: ACCESS SHARE on one table after the other; reads everything.
/// Privilege: the rights of the tables' owners; tables of others are not searched.
#[pg_extern]
fn verify_erasure(
    request_id: i64,
) -> Result<
    TableIterator<
        'static,
        (
            name!(place, String),
            name!(status, String),
            name!(detail, String),
            name!(how_to_clear, Option<String>),
            name!(earliest, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let places = security::with_safe_search_path(|| {
        let request = request::find(request_id)?;
        rights::on_subject(&request.subject_type, "verify an erasure of")?;
        let places = verify::verify(&request)?;
        request::verified(request_id, places.iter().map(verify::Place::json).collect())?;
        Ok::<_, crate::error::Error>(places)
    })?;
    Ok(TableIterator::new(
        places.into_iter().map(|p| (p.place, p.status.to_owned(), p.detail, p.how_to_clear, p.earliest)),
    ))
}

/// What was done about an erasure, without personal data: steps and counts from the deletion log, what is retained and
/// until when, what the last verify_erasure found, and the hash that the deletion log ends with.
///
/// Arguments: request_id. Errors: 42704 no such request; 55000 nothing was erased for it.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn erasure_certificate(request_id: i64) -> Result<JsonB, ErrorReport> {
    let request = request::find(request_id)?;
    if request.erased_at.is_none() {
        return Err(crate::error::Error::not_in_prerequisite_state(format!(
            "nothing was erased for request {request_id}"
        ))
        .hint("Call architect.erase_subject() for it first.")
        .into());
    }
    let head = deletion_log::head()?;
    let document = security::as_extension_owner(|| {
        spi::read_one_now::<JsonB>(
            "SELECT pg_catalog.jsonb_build_object(
                        'request_id', r.request_id, 'subject_type', r.subject_type,
                        'subject', pg_catalog.encode(r.key_hmac, 'hex'), 'received_at', r.received_at, 'due_at', r.due_at,
                        'erased_at', r.erased_at, 'erased_by', r.decided_by, 'approved_by', r.approved_by,
                        'status', r.status, 'plan_hash', r.plan_hash,
                        'steps', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                                             'seq', l.seq, 'object', l.object_name, 'action', l.action, 'columns', l.columns,
                                             'rows', l.rows_affected, 'retained', l.rows_retained, 'reason', l.reason,
                                             'retained_until', l.retained_until, 'at', l.executed_at,
                                             'hash', pg_catalog.encode(l.hash, 'hex')) ORDER BY l.seq), '[]')
                                    FROM architect.data_deletion_log AS l
                                   WHERE l.request_id OPERATOR(pg_catalog.=) r.request_id))
               FROM architect.privacy_request AS r WHERE r.request_id OPERATOR(pg_catalog.=) $1",
            &[request_id.into()],
        )
    });
    let mut document = document.map_or(Value::Null, |document| document.0);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("retained".to_owned(), request.retained);
        fields.insert("verification".to_owned(), request.verification.unwrap_or(Value::Null));
        fields.insert("deletion_log_head".to_owned(), Value::String(head));
        fields.insert(
            "words".to_owned(),
            json!("deleted rows, and values replaced by null, a constant or a random value, are anonymised; what is partly shown, generalised or retained is still personal data"),
        );
    }
    Ok(JsonB(document))
}

/// What reaches persons and nobody has decided about: foreign keys, columns that can hold text in tables of theirs,
/// declarations whose tables or columns are gone; and, as warnings, references that no index serves.
///
/// Arguments: subject_type (null: all). Returns one row for each.
/// Errors: 42704 no such subject type. Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn coverage(
    subject_type: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(subject_type, String),
            name!(severity, String),
            name!(kind, String),
            name!(object_name, String),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let gaps = security::with_safe_search_path(|| coverage::gaps(subject_type))?;
    Ok(TableIterator::new(
        gaps.into_iter().map(|g| (g.subject_type, g.severity.to_owned(), g.kind.to_owned(), g.object, g.why)),
    ))
}

/// Fails where coverage() finds a gap: for a test that runs with each change of the schema.
///
/// Arguments: subject_type (null: all). Errors: 55000 with what nobody has decided about; 42704 no such subject type.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn coverage_assert(subject_type: default!(Option<&str>, "NULL")) -> Result<(), ErrorReport> {
    security::with_safe_search_path(|| coverage::assert(subject_type))?;
    Ok(())
}

/// The record of processing activities (GDPR Art. 30) as far as it follows from what was declared: for each purpose
/// the kinds of persons, categories of data, legal basis, recipients and time limits.
///
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn ropa() -> Result<JsonB, ErrorReport> {
    super::storage::require()?;
    let document = security::as_extension_owner(|| {
        spi::read_one_now::<JsonB>(
            "SELECT pg_catalog.jsonb_build_object(
                'subjects', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                                        'subject_type', s.subject_type,
                                        'table', pg_catalog.format('%I.%I', s.schema_name, s.table_name)) ORDER BY s.subject_type), '[]')
                               FROM architect.privacy_subject AS s),
                'activities', (SELECT COALESCE(pg_catalog.jsonb_agg(a.activity ORDER BY a.purpose), '[]') FROM (
                    SELECT COALESCE(c.purpose, 'not declared') AS purpose, pg_catalog.jsonb_build_object(
                               'purpose', COALESCE(c.purpose, 'not declared'),
                               'categories', pg_catalog.to_jsonb(pg_catalog.array_agg(DISTINCT c.category ORDER BY c.category)),
                               'legal_bases', pg_catalog.to_jsonb(pg_catalog.array_agg(DISTINCT COALESCE(c.legal_basis, 'not declared')
                                                                  ORDER BY COALESCE(c.legal_basis, 'not declared'))),
                               'recipients', (SELECT COALESCE(pg_catalog.jsonb_agg(DISTINCT r.name ORDER BY r.name), '[]')
                                                FROM architect.privacy_column AS o
                                               CROSS JOIN LATERAL pg_catalog.unnest(o.recipients) AS r (name)
                                               WHERE o.purpose IS NOT DISTINCT FROM c.purpose),
                               'data', pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
                                           'table', pg_catalog.format('%I.%I', c.schema_name, c.table_name),
                                           'column', c.column_name,
                                           'json_path', CASE WHEN pg_catalog.cardinality(c.json_path) OPERATOR(pg_catalog.>) 0 THEN c.json_path END,
                                           'category', c.category, 'identifier_class', c.identifier_class,
                                           'erased_by', c.action, 'retention', c.retention::pg_catalog.text,
                                           'retention_from', c.retention_from))
                                           ORDER BY c.schema_name, c.table_name, c.column_name, c.json_path)) AS activity
                      FROM architect.privacy_column AS c GROUP BY c.purpose) AS a))",
            &[],
        )
    });
    Ok(document.unwrap_or(JsonB(Value::Null)))
}

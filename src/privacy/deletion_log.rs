//! data_deletion_log: one row a step, each hashed with the one before it.

use super::storage;
use crate::error::{Error, Result};
use crate::pg::{kept, security, session, spi};
use pgrx::prelude::*;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Keeps writers of the chain apart: 'archdele' in ASCII.
const LOCK: i64 = 0x6172_6368_6465_6c65;

/// An entry as one unambiguous text that no setting changes: what is hashed. Stored hashes rest on it: it must never
/// change, only be added to under another prefix.
const CANONICAL: &str = "pg_catalog.jsonb_build_array(l.seq, l.request_id, l.subject_type, l.plan_hash, l.step, l.object_name,
        l.action, l.columns, l.rows_affected, l.rows_retained, l.reason,
        pg_catalog.date_part('epoch', l.retained_until)::pg_catalog.text, l.executed_by, l.owner_role, l.txid::pg_catalog.text,
        pg_catalog.to_char(l.executed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'))::pg_catalog.text";
const PREFIX: &[u8] = b"db_architect deletion log 1\0";

pub struct Entry {
    pub step: i32,
    pub object: String,
    pub action: String,
    pub columns: Vec<String>,
    pub affected: i64,
    pub retained: i64,
    pub reason: Option<String>,
    pub until: Option<String>,
    pub owner: String,
}

/// What the entries of one run have in common.
pub struct Run<'a> {
    pub request_id: Option<i64>,
    pub subject_type: &'a str,
    pub plan_hash: &'a str,
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO architect.data_deletion_log (seq, request_id, subject_type, plan_hash, step, object_name, action, columns,
                rows_affected, rows_retained, reason, retained_until, executed_by, owner_role, txid, executed_at, previous_hash, hash)
         SELECT l.*, pg_catalog.sha256($18 OPERATOR(pg_catalog.||) pg_catalog.int8send(pg_catalog.length(l.previous_hash)::pg_catalog.int8)
                        OPERATOR(pg_catalog.||) l.previous_hash OPERATOR(pg_catalog.||) pg_catalog.convert_to({CANONICAL}, 'UTF8'))
           FROM (SELECT $1 AS seq, $2 AS request_id, $3 AS subject_type, $4 AS plan_hash, $5 AS step, $6 AS object_name,
                        $7 AS action, $8 AS columns, $9 AS rows_affected, $10 AS rows_retained, $11 AS reason,
                        $12::pg_catalog.timestamptz AS retained_until, $13 AS executed_by, $14 AS owner_role,
                        $15::pg_catalog.xid8 AS txid, $16 AS executed_at, $17 AS previous_hash) AS l
         RETURNING hash"
    )
});

/// Appends entries; returns the hash of the last.
pub fn append(run: &Run, entries: &[Entry]) -> Result<Vec<u8>> {
    let by = security::role_name(security::session_role());
    let txid = session::transaction_id();
    security::as_extension_owner(|| {
        spi::run("SELECT pg_catalog.pg_advisory_xact_lock($1)", &[LOCK.into()])?;
        let (mut seq, mut previous) = end()?;
        for entry in entries {
            seq += 1;
            // Hashed as stored, to the microsecond.
            let at = session::clock();
            let stored = TimestampWithTimeZone::try_from(at)
                .map_err(|_| Error::internal("a point in time is out of range"))?;
            previous = kept::run_one::<Vec<u8>>(
                INSERT.as_str(),
                &[
                    seq.into(),
                    run.request_id.into(),
                    run.subject_type.into(),
                    run.plan_hash.into(),
                    entry.step.into(),
                    entry.object.as_str().into(),
                    entry.action.as_str().into(),
                    entry.columns.clone().into(),
                    entry.affected.into(),
                    entry.retained.into(),
                    entry.reason.clone().into(),
                    entry.until.clone().into(),
                    by.as_str().into(),
                    entry.owner.as_str().into(),
                    txid.to_string().into(),
                    stored.into(),
                    previous.as_slice().into(),
                    PREFIX.into(),
                ],
            )?
            .ok_or_else(|| Error::internal("an entry of the deletion log was not stored"))?;
        }
        spi::run("UPDATE architect.privacy_setting SET last_log_seq = $1", &[seq.into()])?;
        Ok(previous)
    })
}

/// Number and hash of the last entry.
fn end() -> Result<(i64, Vec<u8>)> {
    let rows = kept::read_now(
        "SELECT l.seq, l.hash FROM architect.data_deletion_log AS l ORDER BY l.seq DESC LIMIT 1",
        &[],
        |row| Ok((row.get::<i64>(1)?.unwrap_or_default(), row.get::<Vec<u8>>(2)?.unwrap_or_default())),
    )?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

fn hash(previous: &[u8], text: &str) -> Vec<u8> {
    let mut hash = Sha256::new_with_prefix(PREFIX);
    hash.update((previous.len() as u64).to_be_bytes());
    hash.update(previous);
    hash.update(text.as_bytes());
    hash.finalize().to_vec()
}

/// Entries in order, each with what is hashed of it.
fn all() -> Result<Vec<(i64, String, Vec<u8>, Vec<u8>)>> {
    spi::read_now(
        &format!(
            "SELECT l.seq, {CANONICAL}, l.previous_hash, l.hash FROM architect.data_deletion_log AS l ORDER BY l.seq"
        ),
        &[],
        |row| {
            Ok((
                row.get(1)?.unwrap_or_default(),
                row.get(2)?.unwrap_or_default(),
                row.get(3)?.unwrap_or_default(),
                row.get(4)?.unwrap_or_default(),
            ))
        },
    )
}

/// What is wrong with the chain: (severity, code, seq, detail), a summary last.
pub fn verify(expected: Option<&[u8]>) -> Result<Vec<(String, String, Option<i64>, String)>> {
    storage::require()?;
    security::as_extension_owner(|| {
        let entries = all()?;
        let mut found = Vec::new();
        let mut error = |code: &str, seq: i64, detail: String| {
            found.push(("error".to_owned(), code.to_owned(), Some(seq), detail));
        };
        let (mut next, mut previous) = (1, Vec::new());
        let mut expected_seen = expected.is_none();
        for (seq, text, before, own) in &entries {
            if *seq != next {
                error("missing", next, format!("entries {next} to {} are missing", seq - 1));
            } else if *before != previous {
                error("chain_broken", *seq, "the entry does not follow from the one before it".to_owned());
            }
            if hash(before, text) != *own {
                error("altered", *seq, "the entry is not what was written".to_owned());
            }
            expected_seen |= expected == Some(own.as_slice());
            next = seq + 1;
            previous.clone_from(own);
        }
        let last = spi::read_now("SELECT s.last_log_seq FROM architect.privacy_setting AS s", &[], |row| {
            row.get::<i64>(1)
        })?;
        let last = last.into_iter().flatten().next().unwrap_or_default();
        if last >= next {
            error("missing", next, format!("the last entries, {next} to {last}, are missing"));
        }
        if !expected_seen {
            error("expected_hash_missing", next - 1, "no entry has the expected hash".to_owned());
        }
        let hex: String = previous.iter().map(|byte| format!("{byte:02x}")).collect();
        let (severity, code) = if found.is_empty() { ("ok", "verified") } else { ("failed", "summary") };
        let detail = format!("{} entries; last hash {hex}", entries.len());
        found.push((severity.to_owned(), code.to_owned(), None, detail));
        Ok(found)
    })
}

/// Hash of the last entry, in hexadecimal.
pub fn head() -> Result<String> {
    security::as_extension_owner(|| Ok(end()?.1.iter().map(|byte| format!("{byte:02x}")).collect()))
}

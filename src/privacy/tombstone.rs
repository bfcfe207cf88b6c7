//! Tombstones: who was erased, as hashes, so that a restored backup can be brought up to date.

use super::graph::Graph;
use super::owner::{self, Values};
use super::plan::{self, Act, Wishes};
use super::sql::of;
use super::{erase, request, storage};
use crate::error::{Error, Result};
use crate::pg::subtransaction::attempt;
use crate::pg::{security, spi};
use serde_json::Value;
use std::collections::HashMap;

/// What stands in the place of a type for somebody's data key: the hash is of another secret, wrapped with the keys.
pub const DATA_KEY: &str = "(data key)";

/// Notes that a data key was thrown away. To be called as the extension's owner.
pub fn of_data_key(owner_hash: &[u8]) -> Result<()> {
    storage::ensure()?;
    spi::run(
        "INSERT INTO architect.privacy_tombstone (subject_type, key_hmac, erased_at) VALUES ($1, $2, pg_catalog.clock_timestamp())
         ON CONFLICT (subject_type, key_hmac) DO UPDATE SET erased_at = excluded.erased_at",
        &[DATA_KEY.into(), owner_hash.to_vec().into()],
    )?;
    Ok(())
}

/// Tombstones and the secret they were made with, to be kept outside the database.
pub fn export() -> Result<Value> {
    storage::require()?;
    let document = security::as_extension_owner(|| {
        spi::read_one_now::<pgrx::JsonB>(
            "SELECT pg_catalog.jsonb_build_object('version', 1, 'secret', pg_catalog.encode(s.secret, 'hex'),
                        'tombstones', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                             'subject_type', t.subject_type, 'subject', pg_catalog.encode(t.key_hmac, 'hex'),
                             'erased_at', t.erased_at) ORDER BY t.erased_at), '[]') FROM architect.privacy_tombstone AS t))
               FROM architect.privacy_setting AS s",
            &[],
        )
    });
    Ok(document.map_or(Value::Null, |document| document.0))
}

/// Adds tombstones kept elsewhere; returns how many are new.
pub fn import(document: &Value) -> Result<i64> {
    let invalid = || Error::invalid_parameter("this is not what architect.export_tombstones() returned");
    let secret = document["secret"].as_str().ok_or_else(invalid)?;
    let list = document["tombstones"].as_array().ok_or_else(invalid)?;
    storage::ensure()?;
    security::as_extension_owner(|| {
        let same = spi::read_one_now::<bool>(
            "SELECT pg_catalog.encode(s.secret, 'hex') OPERATOR(pg_catalog.=) $1 FROM architect.privacy_setting AS s",
            &[secret.into()],
        );
        if same != Some(true) {
            let in_use = spi::read_one_now::<bool>(
                "SELECT EXISTS (SELECT FROM architect.privacy_tombstone) OR EXISTS (SELECT FROM architect.privacy_request)
                     OR EXISTS (SELECT FROM architect.privacy_hold WHERE key_hmac IS NOT NULL)",
                &[],
            );
            if in_use == Some(true) {
                return Err(Error::not_in_prerequisite_state(
                    "these tombstones were made with another secret",
                )
                .detail("Requests, holds or tombstones of this database were made with its own.")
                .hint("They are of another database."));
            }
            spi::run(
                "UPDATE architect.privacy_setting SET secret = pg_catalog.decode($1, 'hex')",
                &[secret.into()],
            )?;
        }
        let mut added = 0;
        for entry in list {
            let text = |name: &str| entry[name].as_str().map(str::to_owned).ok_or_else(invalid);
            added += spi::run(
                "INSERT INTO architect.privacy_tombstone AS t (subject_type, key_hmac, erased_at)
                 VALUES ($1, pg_catalog.decode($2, 'hex'), $3::pg_catalog.timestamptz)
                 ON CONFLICT (subject_type, key_hmac) DO UPDATE SET erased_at = excluded.erased_at
                  WHERE excluded.erased_at OPERATOR(pg_catalog.>) t.erased_at",
                &[text("subject_type")?.into(), text("subject")?.into(), text("erased_at")?.into()],
            )? as i64;
        }
        Ok(added)
    })
}

pub struct Reapplied {
    pub subject_type: String,
    pub request_id: Option<i64>,
    pub action: &'static str,
    pub detail: String,
}

/// Erases again whoever was erased and is there.
pub fn reapply(dry_run: bool) -> Result<Vec<Reapplied>> {
    storage::require()?;
    let mut tombstones: HashMap<String, HashMap<Vec<u8>, Option<i64>>> = HashMap::new();
    for (subject_type, hmac, request_id) in security::as_extension_owner(|| {
        spi::read_now(
            "SELECT t.subject_type, t.key_hmac, r.request_id FROM architect.privacy_tombstone AS t
               LEFT JOIN architect.privacy_request AS r ON r.request_id OPERATOR(pg_catalog.=) t.request_id",
            &[],
            |row| {
                Ok((
                    row.get::<String>(1)?.unwrap_or_default(),
                    row.get::<Vec<u8>>(2)?.unwrap_or_default(),
                    row.get::<i64>(3)?,
                ))
            },
        )
    })? {
        tombstones.entry(subject_type).or_default().insert(hmac, request_id);
    }
    let mut types: Vec<&String> = tombstones.keys().collect();
    types.sort();
    let mut done = Vec::new();
    for subject_type in types {
        if subject_type == DATA_KEY {
            let keys = super::crypt::shred_again(dry_run)?;
            if keys > 0 {
                done.push(Reapplied {
                    subject_type: subject_type.clone(),
                    request_id: None,
                    action: if dry_run { "to be shredded" } else { "shredded" },
                    detail: format!("{keys} data keys"),
                });
            }
            continue;
        }
        let there = match attempt(|| returned(subject_type, &tombstones[subject_type])) {
            Ok(there) => there,
            Err(error) if error.is_cancel() => return Err(error),
            // Tables of other types are looked through all the same.
            Err(error) => {
                done.push(Reapplied {
                    subject_type: subject_type.clone(),
                    request_id: None,
                    action: "blocked",
                    detail: error.one_line(),
                });
                continue;
            }
        };
        for (key, request_id) in there {
            let one = |action, detail: String| Reapplied {
                subject_type: subject_type.clone(),
                request_id,
                action,
                detail,
            };
            let outcome = attempt(|| again(subject_type, &key, request_id, dry_run));
            done.push(match outcome {
                Ok(rows) if dry_run => one("to be erased", format!("{rows} rows")),
                Ok(rows) => one("erased", format!("{rows} rows")),
                Err(error) if error.is_cancel() => return Err(error),
                Err(error) => one("blocked", error.one_line()),
            });
        }
    }
    Ok(done)
}

/// Keys of persons who have a tombstone and whose row does not look like one that erasing has left.
fn returned(subject_type: &str, known: &HashMap<Vec<u8>, Option<i64>>) -> Result<Vec<(Value, Option<i64>)>> {
    let graph = Graph::of(subject_type)?;
    let root = &graph.tables[0];
    if !root.may_act() {
        return Err(Error::insufficient_privilege(format!("must be owner of table {}", root.name)));
    }
    let secret = storage::secret()?;
    let columns: Vec<String> =
        graph.subject.key.iter().map(|name| format!("{}::pg_catalog.text", of("t", name))).collect();
    let query = format!("SELECT {} FROM {} AS t", columns.join(", "), root.qualified);
    let rows = owner::within(root.owner, &root.qualified, || {
        let mut found = Vec::new();
        crate::pg::batches::Cursor::open(&query, &Values::default().arguments())?.each(|row| {
            let key: Vec<String> = (0..columns.len()).filter_map(|i| row.text(i)).collect();
            if let Some(request_id) = known.get(&secret.key(subject_type, &key)) {
                found.push((key, *request_id));
            }
            Ok(())
        })?;
        Ok(found)
    })?;
    Ok(rows
        .into_iter()
        .map(|(key, request_id)| {
            let fields = graph.subject.key.iter().cloned().zip(key.into_iter().map(Value::String)).collect();
            (Value::Object(fields), request_id)
        })
        .collect())
}

fn again(subject_type: &str, key: &Value, request_id: Option<i64>, dry_run: bool) -> Result<u64> {
    let wishes = Wishes { lock: !dry_run, every_row: false, allow_scans: true, ignore_holds: false };
    let plan = plan::make(subject_type, key, &wishes)?;
    if let Some(step) = plan.steps.iter().find(|step| step.act == Act::Blocked) {
        return Err(Error::not_in_prerequisite_state(step.blocker.clone().unwrap_or_default()));
    }
    if dry_run {
        return Ok(plan.steps.iter().filter(|step| step.act != Act::Keep).map(|step| step.rows).sum());
    }
    let request = request::answering(&plan, request_id)?;
    let outcome = erase::carry_out(plan, &request)?;
    Ok(outcome.affected.unwrap_or_default().iter().sum())
}

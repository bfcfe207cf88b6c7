//! Verifying: the chain link by link, then the log against it, chunk by chunk.

use super::chain::{self, CHUNK_COLUMNS, Chunk, Kind, Seal, SealHash};
use super::compare::{Comparison, Difference};
use super::digest::{self, Key, from_hex, hex};
use super::findings::{Finding, Findings};
use super::items;
use super::stream::{Bound, Entries, References, Window};
use crate::audit::partitions;
use crate::error::{Error, Result};
use crate::pg::batches::Cursor;
use crate::pg::spi;
use std::collections::HashMap;

/// Chunks compared in one reading of the log: a quarter of a million entries, sorted in memory.
const CHUNKS_AT_A_TIME: i64 = 256;

/// A chunk, where it ends, and what it remembers of its entries.
struct Expected {
    chunk: Chunk,
    items: Option<Vec<u8>>,
    through: Bound,
    /// Its first entry, where the chunk before it is missing.
    not_before: Option<Key>,
}

/// Everything a verification counts.
#[derive(Default)]
struct Totals {
    entries: i64,
    retired: i64,
}

pub fn verify(expected_hash: Option<&str>) -> Result<Vec<Finding>> {
    let expected = expected_hash
        .map(|text| {
            from_hex(text).filter(|hash| hash.len() == 32).ok_or_else(|| {
                Error::invalid_parameter("invalid value for argument \"expected_hash\"")
                    .detail("A seal's hash has 64 hexadecimal digits.")
                    .hint("Give the hash that seal_audit_log() returned.")
            })
        })
        .transpose()?;
    let mut findings = Findings::new(partitions::all()?);
    let seals = chain::all()?;
    verify_chain(&seals, expected.as_deref(), &mut findings)?;
    let mut totals = Totals::default();
    let mut references = References::default();
    for seal in seals.iter().filter(|seal| seal.kind == Kind::Seal) {
        verify_seal(seal, &seals, &mut references, &mut findings, &mut totals)?;
    }
    for seal in seals.iter().filter(|seal| seal.kind == Kind::Redact) {
        findings.notice(seal.seal_id, "redacted", format!("authorised: {}", seal.detail));
    }
    let unsealed = unsealed(&seals, &mut findings)?;
    let last = seals.last();
    let detail = format!(
        "sealed: {} entries, dropped by the retention policy: {}, not sealed yet: {unsealed}, seals: {}",
        totals.entries,
        totals.retired,
        seals.len(),
    );
    Ok(findings.end(last.map(|seal| (seal.seal_id, hex(&seal.hash))), detail))
}

/// Every seal hashes to what it says, follows the one before, and none is missing as far as that can be
/// known from here: a chain cut off at its end, or made anew, shows only against a hash kept elsewhere.
fn verify_chain(seals: &[Seal], expected: Option<&[u8]>, findings: &mut Findings) -> Result<()> {
    let hashes = recompute(seals, findings)?;
    let mut next_id = 1;
    let mut previous: Option<&Seal> = None;
    for seal in seals {
        let missing = seal.seal_id - next_id;
        if missing > 0 {
            findings.seal(
                next_id,
                "seal_missing",
                match missing {
                    1 => format!("the seal before seal {} is missing", seal.seal_id),
                    _ => format!("{missing} seals before seal {} are missing", seal.seal_id),
                },
            );
        } else if seal.previous_hash != previous.map(|p| p.hash.clone()).unwrap_or_default() {
            findings.seal(
                seal.seal_id,
                "chain_broken",
                "the seal does not follow from the hash of the seal before it".into(),
            );
        }
        if hashes.get(&seal.seal_id).is_none_or(|hash| *hash != seal.hash) {
            findings.seal(
                seal.seal_id,
                "seal_altered",
                "the seal's own row, or one of its rows in audit_seal_chunk, is not what was sealed".into(),
            );
        }
        next_id = seal.seal_id + 1;
        previous = Some(seal);
    }
    let noted = spi::read_one_now::<i64>("SELECT s.last_seal_id FROM architect.audit_setting AS s", &[]);
    if let Some(noted) = noted.filter(|&noted| noted >= next_id) {
        findings.seal(
            next_id,
            "seal_missing",
            if noted == next_id {
                format!("the last seal, {noted}, is missing")
            } else {
                format!("the last {} seals, up to {noted}, are missing", noted - next_id + 1)
            },
        );
    }
    if let Some(expected) = expected {
        let intact = |seal: &&Seal| hashes.get(&seal.seal_id).is_some_and(|hash| hash == expected);
        if !seals.iter().any(|seal| intact(&seal)) {
            findings.seal(
                None,
                "expected_hash_missing",
                "no seal has the expected hash: the chain was cut off before it, or made anew".into(),
            );
        }
    }
    Ok(())
}

/// The hash of each seal, from what is stored.
fn recompute(seals: &[Seal], findings: &mut Findings) -> Result<HashMap<i64, Vec<u8>>> {
    let known: HashMap<i64, &Seal> = seals.iter().map(|seal| (seal.seal_id, seal)).collect();
    let mut running: HashMap<i64, SealHash> = HashMap::new();
    let mut stray = 0i64;
    let query =
        format!("SELECT {CHUNK_COLUMNS} FROM architect.audit_seal_chunk AS c ORDER BY c.seal_id, c.chunk_id");
    let mut hashes = HashMap::new();
    let mut current: Option<i64> = None;
    Cursor::open(&query, &[])?.each(|row| {
        let chunk = Chunk::read(row);
        if let Some(done) = current.filter(|&done| done != chunk.seal_id)
            && let Some((hash, seal)) = running.remove(&done).zip(known.get(&done))
        {
            hashes.insert(done, hash.end(seal).to_vec());
        }
        current = Some(chunk.seal_id);
        if known.contains_key(&chunk.seal_id) {
            running.entry(chunk.seal_id).or_insert_with(SealHash::new).add(&chunk);
        } else {
            stray += 1;
        }
        Ok(())
    })?;
    for seal in seals {
        hashes.entry(seal.seal_id).or_insert_with(|| {
            running.remove(&seal.seal_id).unwrap_or_else(SealHash::new).end(seal).to_vec()
        });
    }
    if stray > 0 {
        findings.seal(None, "seal_missing", format!("{stray} rows of audit_seal_chunk belong to no seal"));
    }
    Ok(hashes)
}

/// The entries a seal covers, against its chunks.
fn verify_seal(
    seal: &Seal,
    seals: &[Seal],
    references: &mut References,
    findings: &mut Findings,
    totals: &mut Totals,
) -> Result<()> {
    let end = seal.first_chunk + seal.chunks;
    let mut after = Bound::Transaction(seal.from_txid);
    let mut from = seal.first_chunk;
    let mut accounted = 0;
    let mut complete = true;
    loop {
        let stop = end.min(from + CHUNKS_AT_A_TIME);
        let expected = if seal.chunks == 0 { vec![Expected::nothing(seal)] } else { load(seal, from, stop)? };
        if (expected.len() as i64) < stop - from {
            complete = false;
            findings.seal(
                seal.seal_id,
                "chunk_missing",
                format!("{} rows of audit_seal_chunk are missing", stop - from - expected.len() as i64),
            );
        }
        if let Some(last) = expected.last() {
            let mut entries = Entries::open(&window(seal, seals, after, last.through), references)?;
            for expected in &expected {
                match verify_chunk(expected, seals, &mut entries, findings)? {
                    Outcome::Kept => totals.entries += expected.chunk.entries,
                    Outcome::Retired => totals.retired += expected.chunk.entries,
                }
                accounted += expected.chunk.entries;
            }
            after = last.through;
        }
        from = stop;
        if from >= end {
            break;
        }
    }
    // Chunks stored again after a month was dropped have fewer entries than were sealed.
    if complete {
        totals.retired += seal.entries - accounted;
    }
    Ok(())
}

/// Compares the next entries of the log with a chunk.
fn verify_chunk(
    expected: &Expected,
    seals: &[Seal],
    entries: &mut Entries,
    findings: &mut Findings,
) -> Result<Outcome> {
    let chunk = &expected.chunk;
    let retired = chunk.entries > 0
        && seals.iter().any(|seal| match (seal.retired_from, seal.retired_to) {
            (Some(from), Some(to)) => seal.seal_id > chunk.seal_id && chunk.within(from, to),
            _ => false,
        });
    let items = if retired { Some(Vec::new()) } else { expected.items.as_deref().and_then(items::unpack) };
    let readable = items.is_some();
    let most = if retired { 0 } else { chunk.entries };
    let mut comparison = Comparison::with(items.unwrap_or_default());
    let mut hash = digest::ChunkHash::new();
    let mut found = 0;
    while let Some(entry) = entries.next_through(expected.through)? {
        // Of a chunk that is missing before this one nothing is known.
        if expected.not_before.is_some_and(|first| entry.key < first) {
            continue;
        }
        found += 1;
        hash.add(&entry);
        if readable || found > most {
            comparison.found(&entry);
        }
        // However much was added: certainly not what was sealed, so it need not wait for the hash.
        if readable && found > most {
            findings.differences(chunk.seal_id, comparison.take());
        }
    }
    let same = if retired { found == 0 } else { found == most && hash.end().as_slice() == chunk.hash };
    let differences = comparison.end();
    let number = chunk.chunk_id;
    match (same, readable) {
        (true, true) if differences.is_empty() => findings.intact(),
        (true, _) => findings.seal(
            chunk.seal_id,
            "items_altered",
            format!("the items of chunk {number} are not what was stored; the entries themselves are"),
        ),
        (false, true) => {
            if differences.is_empty() && found == most {
                findings.seal(
                    chunk.seal_id,
                    "chunk_mismatch",
                    format!("chunk {number} is not what was sealed, and its items do not say where"),
                );
            }
            findings.differences(chunk.seal_id, differences);
        }
        (false, false) => findings.seal(
            chunk.seal_id,
            "chunk_mismatch",
            format!(
                "{most} entries were sealed and {found} are there, not the same, up to audit_id {}; the items of chunk {number}, which would say more, cannot be read",
                chunk.last.audit_id
            ),
        ),
    }
    Ok(if retired { Outcome::Retired } else { Outcome::Kept })
}

enum Outcome {
    Kept,
    Retired,
}

impl Expected {
    /// What a seal without entries expects.
    fn nothing(seal: &Seal) -> Self {
        let last = Key { txid: seal.from_txid, audit_id: seal.from_audit_id, operation: 0 };
        Self {
            chunk: Chunk::of(seal.first_chunk, seal.seal_id, last, &[]),
            items: Some(items::pack(&[])),
            through: Bound::Transaction(seal.to_txid),
            not_before: None,
        }
    }
}

/// The chunks of a seal with numbers in `from..stop`, as the latest seal has them.
fn load(seal: &Seal, from: i64, stop: i64) -> Result<Vec<Expected>> {
    let end = seal.first_chunk + seal.chunks;
    let mut expected: Vec<Expected> = Vec::new();
    let query = format!(
        "SELECT DISTINCT ON (c.chunk_id) {CHUNK_COLUMNS}, c.items FROM architect.audit_seal_chunk AS c
          WHERE c.chunk_id >= {from} AND c.chunk_id < {stop} ORDER BY c.chunk_id, c.seal_id DESC"
    );
    let mut number = from;
    Cursor::open(&query, &[])?.each(|row| {
        let chunk = Chunk::read(row);
        let items = row.bytes(9);
        let gap = chunk.chunk_id != number;
        number = chunk.chunk_id + 1;
        expected.push(Expected {
            through: if number == end { Bound::Transaction(seal.to_txid) } else { Bound::Entry(chunk.last) },
            not_before: items
                .as_deref()
                .filter(|_| gap)
                .and_then(items::unpack)
                .and_then(|i| Some(i.first()?.key)),
            chunk,
            items,
        });
        Ok(())
    })?;
    Ok(expected)
}

/// The entries between two bounds that belong to a seal's era.
pub fn window(seal: &Seal, seals: &[Seal], after: Bound, through: Bound) -> Window {
    let next_era = seals.iter().filter(|other| other.era > seal.era).map(|other| other.from_audit_id).min();
    // Restored into another cluster and not sealed there yet: what was written since has later ids, and
    // transaction ids that mean nothing to this era.
    let end = next_era.or_else(|| {
        let of_era = seals.iter().filter(|other| other.era == seal.era);
        if seal.is_of_here() { None } else { of_era.map(|other| other.to_audit_id).max() }
    });
    Window { after, through, from_audit_id: seal.from_audit_id, to_audit_id: end }
}

/// Counts entries not sealed yet; those of transactions that this cluster has not come to were forged.
fn unsealed(seals: &[Seal], findings: &mut Findings) -> Result<i64> {
    let last = seals.iter().rfind(|seal| seal.kind == Kind::Seal);
    let (from_txid, from_audit_id) = last.map_or((0, i64::MIN), |seal| (seal.to_txid, seal.from_audit_id));
    let here = last.is_some_and(Seal::is_of_here);
    let mut forged = Vec::new();
    let mut count = 0;
    if here {
        let query = format!(
            "SELECT e.txid, e.audit_id, e.operation, e.changed_at FROM architect.audit_entry AS e
              WHERE e.txid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
                AND e.audit_id >= {from_audit_id} ORDER BY e.txid, e.audit_id LIMIT 1000"
        );
        Cursor::open(&query, &[])?.each(|row| {
            let key = Key { txid: row.i64(0) as u64, audit_id: row.i64(1), operation: row.char(2) };
            forged.push(Difference::Inserted { key, changed_at: row.i64(3) });
            Ok(())
        })?;
    }
    let elsewhere = last.filter(|_| !here).map(|seal| format!(" OR e.audit_id >= {}", seal.to_audit_id));
    let query = format!(
        "SELECT pg_catalog.count(*) FROM architect.audit_entry AS e
          WHERE (e.txid >= '{from_txid}' AND e.audit_id >= {from_audit_id}){}",
        elsewhere.unwrap_or_default()
    );
    Cursor::open(&query, &[])?.each(|row| {
        count = row.i64(0);
        Ok(())
    })?;
    findings.future(forged);
    Ok(count)
}

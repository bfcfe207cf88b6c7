//! Forgetting a person in a sealed log, so that verification knows it was lawful and still finds everything that
//! was not: the chunks concerned are verified first, and stored again, over what the entries are now, under a seal
//! that says on whose order.

use super::chain::{self, CHUNK_COLUMNS, Chunk, Kind, Seal, SealHash};
use super::digest::{Key, chunk};
use super::retire;
use crate::capture::forget::Place;
use crate::error::{Error, Result};
use crate::pg::batches::Cursor;
use crate::pg::{session, spi};
use std::collections::{BTreeSet, HashSet};

/// Chunks found to be what was sealed, to be stored again once their entries have been changed.
pub struct Opened {
    seals: Vec<Seal>,
    chunks: Vec<Chunk>,
}

/// Verifies the chunks that some entries are in; fails where one is not what was sealed.
pub fn open(places: &[Place]) -> Result<Option<Opened>> {
    if !retire::was_in_use() {
        return Ok(None);
    }
    chain::lock()?;
    let seals = chain::all()?;
    let times: BTreeSet<i64> = places.iter().map(|place| place.at).collect();
    let keys: HashSet<Key> = places
        .iter()
        .map(|place| Key { txid: place.txid, audit_id: place.id, operation: place.operation })
        .collect();
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return Ok(Some(Opened { seals, chunks: Vec::new() }));
    };
    let mut candidates = Vec::new();
    let query = format!(
        "SELECT {CHUNK_COLUMNS} FROM architect.audit_seal_chunk AS c
          WHERE c.entries > 0 AND c.first_at <= $2 AND c.last_at >= $1
            AND NOT EXISTS (SELECT 1 FROM architect.audit_seal_chunk AS later
                             WHERE later.chunk_id = c.chunk_id AND later.seal_id > c.seal_id)
          ORDER BY c.chunk_id"
    );
    let time = crate::audit::partitions::timestamp;
    Cursor::open(&query, &[time(*first)?.into(), time(*last)?.into()])?.each(|row| {
        let chunk = Chunk::read(row);
        if times.range(chunk.first_at..=chunk.last_at).next().is_some() {
            candidates.push(chunk);
        }
        Ok(())
    })?;
    let mut chunks = Vec::new();
    for candidate in candidates {
        let entries = retire::entries(&candidate, &seals)?;
        if !entries.iter().any(|entry| keys.contains(&entry.key)) {
            continue;
        }
        if chunk(&entries).as_slice() != candidate.hash {
            return Err(retire::mismatch(&candidate));
        }
        chunks.push(candidate);
    }
    Ok(Some(Opened { seals, chunks }))
}

/// Stores the chunks again under a seal of their own; returns its number.
pub fn close(opened: Opened, detail: &str) -> Result<Option<i64>> {
    let Opened { mut seals, chunks } = opened;
    if chunks.is_empty() {
        return Ok(None);
    }
    let Some(last) = seals.pop() else { return Err(Error::internal("the log was never sealed")) };
    let mut seal = Seal {
        seal_id: last.seal_id + 1,
        sealed_at: session::clock(),
        kind: Kind::Redact,
        entries: 0,
        first_chunk: 0,
        chunks: 0,
        retired_from: None,
        retired_to: None,
        detail: detail.to_owned(),
        previous_hash: last.hash.clone(),
        ..last.clone()
    };
    seals.push(last);
    let mut hash = SealHash::new();
    for chunk in &chunks {
        let entries = retire::entries(chunk, &seals)?;
        let again = Chunk::of(chunk.chunk_id, seal.seal_id, chunk.last, &entries);
        again.store(&entries)?;
        hash.add(&again);
        seal.chunks += 1;
    }
    seal.hash = hash.end(&seal).to_vec();
    seal.store()?;
    // A few bytes of a hash would tell a short value from others.
    let ids: Vec<i64> = chunks.iter().map(|chunk| chunk.chunk_id).collect();
    spi::run(
        "UPDATE architect.audit_seal_chunk AS c SET items = NULL
          WHERE c.chunk_id = ANY ($1) AND c.items IS NOT NULL AND c.seal_id < $2",
        &[ids.into(), seal.seal_id.into()],
    )?;
    Ok(Some(seal.seal_id))
}

//! Dropping a month from a sealed log so that verification knows it was lawful.

use super::chain::{self, CHUNK_COLUMNS, Chunk, Kind, Seal, SealHash};
use super::digest::{self, Entry};
use super::stream::{Bound, Entries, References};
use super::verify::window;
use crate::audit::partitions::readable;
use crate::error::{Error, Result};
use crate::pg::batches::Cursor;
use crate::pg::{session, spi};

/// Whether the log was ever sealed.
pub fn in_use() -> bool {
    spi::read_one_now::<bool>("SELECT true FROM architect.audit_seal AS s LIMIT 1", &[]).is_some()
}

/// Whether there are traces of seals.
pub fn was_in_use() -> bool {
    spi::read_one_now::<bool>(
        "SELECT true FROM architect.audit_setting AS s
          WHERE s.last_seal_id IS NOT NULL OR EXISTS (SELECT 1 FROM architect.audit_seal)
             OR EXISTS (SELECT 1 FROM architect.audit_seal_chunk)",
        &[],
    )
    .is_some()
}

/// Whether everything in a partition of the log, that nobody can be writing to, is sealed.
pub fn is_sealed(partition: &str) -> Result<bool> {
    let (_, Some(last)) = chain::last()? else { return Ok(false) };
    if !last.is_of_here() {
        return Ok(false);
    }
    let open = spi::read_one_now::<bool>(
        &format!(
            "SELECT true FROM {partition} AS e WHERE e.txid >= $1::pg_catalog.xid8 AND e.audit_id >= $2 LIMIT 1"
        ),
        &[last.to_txid.to_string().into(), last.from_audit_id.into()],
    );
    Ok(open.is_none())
}

/// Says in the chain that what lies in `from..to` was dropped, and stores the chunks that reach beyond
/// it again, over what stays. To be called before the drop, which nothing may come between.
pub fn retire(from: i64, to: i64, detail: &str) -> Result<Seal> {
    chain::lock()?;
    let seals = chain::all()?;
    let Some(last) = seals.last() else { return Err(Error::internal("the log was never sealed")) };
    let mut seal = Seal {
        seal_id: last.seal_id + 1,
        sealed_at: session::clock(),
        kind: Kind::Retire,
        entries: 0,
        first_chunk: 0,
        chunks: 0,
        retired_from: Some(from),
        retired_to: Some(to),
        detail: detail.to_owned(),
        previous_hash: last.hash.clone(),
        ..last.clone()
    };
    let mut hash = SealHash::new();
    for chunk in reaching_beyond(from, to)? {
        let mut entries = verified(&chunk, &seals)?;
        entries.retain(|entry| !(from <= entry.changed_at && entry.changed_at < to));
        let rest = Chunk::of(chunk.chunk_id, seal.seal_id, chunk.last, &entries);
        rest.store(&entries)?;
        hash.add(&rest);
        seal.chunks += 1;
    }
    seal.hash = hash.end(&seal).to_vec();
    seal.store()?;
    // What is not expected any more need not be told apart any more.
    spi::run(
        "UPDATE architect.audit_seal_chunk AS c SET items = NULL
          WHERE c.first_at >= $1 AND c.last_at < $2 AND c.items IS NOT NULL AND c.seal_id < $3",
        &[
            crate::audit::partitions::timestamp(from)?.into(),
            crate::audit::partitions::timestamp(to)?.into(),
            seal.seal_id.into(),
        ],
    )?;
    Ok(seal)
}

/// Chunks with entries both in `from..to` and outside, in order.
fn reaching_beyond(from: i64, to: i64) -> Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    let query = format!(
        "SELECT {CHUNK_COLUMNS} FROM architect.audit_seal_chunk AS c
          WHERE c.entries > 0 AND c.first_at < $2 AND c.last_at >= $1 AND (c.first_at < $1 OR c.last_at >= $2)
            AND NOT EXISTS (SELECT 1 FROM architect.audit_seal_chunk AS later
                             WHERE later.chunk_id = c.chunk_id AND later.seal_id > c.seal_id)
          ORDER BY c.chunk_id"
    );
    let time = crate::audit::partitions::timestamp;
    Cursor::open(&query, &[time(from)?.into(), time(to)?.into()])?.each(|row| {
        chunks.push(Chunk::read(row));
        Ok(())
    })?;
    Ok(chunks)
}

/// A chunk's entries, which are what was sealed: a month must not be dropped over the traces of tampering.
fn verified(chunk: &Chunk, seals: &[Seal]) -> Result<Vec<Entry>> {
    let entries = entries(chunk, seals)?;
    if digest::chunk(&entries).as_slice() != chunk.hash {
        return Err(mismatch(chunk));
    }
    Ok(entries)
}

/// A chunk's entries as they are, one too many at most.
pub fn entries(chunk: &Chunk, seals: &[Seal]) -> Result<Vec<Entry>> {
    let mut covering = seals.iter().filter(|s| s.kind == Kind::Seal);
    let Some(seal) =
        covering.rfind(|s| s.first_chunk <= chunk.chunk_id && chunk.chunk_id < s.first_chunk + s.chunks)
    else {
        return Err(mismatch(chunk));
    };
    let after = match previous(chunk, seal)? {
        Some(before) => Bound::Entry(before.last),
        None => Bound::Transaction(seal.from_txid),
    };
    let through = if chunk.chunk_id + 1 == seal.first_chunk + seal.chunks {
        Bound::Transaction(seal.to_txid)
    } else {
        Bound::Entry(chunk.last)
    };
    let mut references = References::default();
    let mut stream = Entries::open(&window(seal, seals, after, through), &mut references)?;
    let mut entries = Vec::new();
    while entries.len() as i64 <= chunk.entries {
        match stream.next()? {
            Some(entry) => entries.push(entry),
            None => break,
        }
    }
    drop(stream);
    Ok(entries)
}

/// The chunk before, where it belongs to the same seal.
fn previous(chunk: &Chunk, seal: &Seal) -> Result<Option<Chunk>> {
    if chunk.chunk_id == seal.first_chunk {
        return Ok(None);
    }
    let mut found = None;
    let query = format!(
        "SELECT {CHUNK_COLUMNS} FROM architect.audit_seal_chunk AS c WHERE c.chunk_id = {} ORDER BY c.seal_id DESC LIMIT 1",
        chunk.chunk_id - 1
    );
    Cursor::open(&query, &[])?.each(|row| {
        found = Some(Chunk::read(row));
        Ok(())
    })?;
    found.map(Some).ok_or_else(|| mismatch(chunk))
}

pub fn mismatch(chunk: &Chunk) -> Error {
    Error::not_in_prerequisite_state("the audit log is not what was sealed")
        .detail(format!(
            "Chunk {}, of entries between {} and {}, does not verify.",
            chunk.chunk_id,
            readable(chunk.first_at),
            readable(chunk.last_at)
        ))
        .hint("Call architect.verify_audit_log() to see what differs. Nothing was changed.")
}

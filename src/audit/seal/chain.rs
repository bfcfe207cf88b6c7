//! Seals and chunks as they are stored, and the hash that chains them.

use super::digest::{ABSENT, Encoding, Entry, Hash, Key, chunk};
use super::items::{Item, pack};
use crate::audit::partitions::timestamp;
use crate::error::{Error, Result};
use crate::pg::batches::{Cursor, Record};
use crate::pg::{session, spi};
use pgrx::prelude::*;

/// Entries a chunk takes.
pub const CHUNK: usize = 1024;
/// Keeps two writers of the chain apart: 'archseal' in ASCII.
const LOCK: i64 = 0x6172_6368_7365_616c;

/// A row of audit_seal.
#[derive(Debug, Clone)]
pub struct Seal {
    pub seal_id: i64,
    pub sealed_at: i64,
    pub kind: Kind,
    /// Counts the clusters and databases the log has been in: transaction ids of different eras have
    /// nothing to do with each other.
    pub era: i32,
    pub system_identifier: String,
    pub database_oid: i64,
    /// Entries of this era have ids from here on, up to where the next one begins.
    pub from_audit_id: i64,
    /// Ids given out before this seal are below.
    pub to_audit_id: i64,
    pub from_txid: u64,
    pub to_txid: u64,
    pub entries: i64,
    pub first_chunk: i64,
    pub chunks: i64,
    pub retired_from: Option<i64>,
    pub retired_to: Option<i64>,
    pub detail: String,
    pub previous_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Covers entries.
    Seal,
    /// A month was dropped by the retention policy: what it held is no longer expected, and the chunks it
    /// shared with its neighbours are hashed anew.
    Retire,
    /// A person was erased: the chunks concerned are hashed anew over what the log says now.
    Redact,
}

impl Kind {
    fn named(name: Option<&str>) -> Self {
        match name {
            Some("retire") => Self::Retire,
            Some("redact") => Self::Redact,
            _ => Self::Seal,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Retire => "retire",
            Self::Redact => "redact",
        }
    }
}

/// A row of audit_seal_chunk, without its items.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub chunk_id: i64,
    pub seal_id: i64,
    pub entries: i64,
    /// The place of its last entry when it was first sealed: where the next chunk begins.
    pub last: Key,
    pub first_at: i64,
    pub last_at: i64,
    pub hash: Vec<u8>,
}

impl Chunk {
    pub fn of(chunk_id: i64, seal_id: i64, last: Key, entries: &[Entry]) -> Self {
        let times = || entries.iter().map(|entry| entry.changed_at);
        Self {
            chunk_id,
            seal_id,
            entries: entries.len() as i64,
            last,
            first_at: times().min().unwrap_or_default(),
            last_at: times().max().unwrap_or_default(),
            hash: chunk(entries).to_vec(),
        }
    }

    /// Whether a retired stretch of time took all its entries.
    pub fn within(&self, from: i64, to: i64) -> bool {
        self.entries == 0 || from <= self.first_at && self.last_at < to
    }

    pub fn store(&self, entries: &[Entry]) -> Result<()> {
        let items: Vec<Item> = entries.iter().map(Item::from).collect();
        spi::run(
            "INSERT INTO architect.audit_seal_chunk (seal_id, chunk_id, entries, last_txid, last_audit_id, last_operation,
                    first_at, last_at, hash, items)
             VALUES ($1, $2, $3, $4::pg_catalog.xid8, $5, $6::pg_catalog.int4::pg_catalog.\"char\", $7, $8, $9, $10)",
            &[
                self.seal_id.into(),
                self.chunk_id.into(),
                (self.entries as i32).into(),
                self.last.txid.to_string().into(),
                self.last.audit_id.into(),
                i32::from(self.last.operation).into(),
                timestamp(self.first_at)?.into(),
                timestamp(self.last_at)?.into(),
                self.hash.as_slice().into(),
                pack(&items).into(),
            ],
        )?;
        Ok(())
    }

    /// Reads the columns CHUNK_COLUMNS names.
    pub fn read(row: &Record) -> Self {
        Self {
            chunk_id: row.i64(0),
            seal_id: row.i64(1),
            entries: row.i32(2).into(),
            last: Key { txid: row.i64(3) as u64, audit_id: row.i64(4), operation: row.char(5) },
            first_at: row.i64(6),
            last_at: row.i64(7),
            hash: row.bytes(8).unwrap_or_default(),
        }
    }
}

pub const CHUNK_COLUMNS: &str =
    "c.chunk_id, c.seal_id, c.entries, c.last_txid, c.last_audit_id, c.last_operation,
    c.first_at, c.last_at, c.hash";

/// The hash of a seal, being taken: one chunk after the other, then the seal's own fields.
pub struct SealHash {
    encoding: Encoding,
    running: Hash,
}

impl SealHash {
    pub fn new() -> Self {
        Self { encoding: Encoding::new(), running: ABSENT }
    }

    pub fn add(&mut self, chunk: &Chunk) {
        let running = self.running;
        self.running = self
            .encoding
            .begin("db_architect audit seal chunk 1")
            .bytes(&running)
            .integer(chunk.chunk_id)
            .integer(chunk.entries)
            .integer(chunk.last.txid as i64)
            .integer(chunk.last.audit_id)
            .integer(chunk.last.operation.into())
            .integer(chunk.first_at)
            .integer(chunk.last_at)
            .bytes(&chunk.hash)
            .hash();
    }

    pub fn end(mut self, seal: &Seal) -> Hash {
        self.encoding
            .begin("db_architect audit seal 1")
            .integer(seal.seal_id)
            .integer(seal.sealed_at)
            .bytes(seal.kind.name().as_bytes())
            .integer(seal.era.into())
            .bytes(seal.system_identifier.as_bytes())
            .integer(seal.database_oid)
            .integer(seal.from_audit_id)
            .integer(seal.to_audit_id)
            .integer(seal.from_txid as i64)
            .integer(seal.to_txid as i64)
            .integer(seal.entries)
            .integer(seal.first_chunk)
            .integer(seal.chunks)
            .optional(seal.retired_from)
            .optional(seal.retired_to)
            .bytes(seal.detail.as_bytes())
            .bytes(&seal.previous_hash)
            .bytes(&self.running)
            .hash()
    }
}

/// Keeps every other writer of the chain out until the transaction ends.
pub fn lock() -> Result<()> {
    // A reading query: the transaction must not get an id before the entries to seal are determined.
    let free = spi::read_one_now::<bool>("SELECT pg_catalog.pg_try_advisory_xact_lock($1)", &[LOCK.into()]);
    if free == Some(true) {
        return Ok(());
    }
    Err(Error::new(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        "the audit log's seals are being written by another session",
    )
    .hint("Wait until the other seal_audit_log() or run_maintenance() has ended."))
}

const SEAL_COLUMNS: &str = "s.seal_id, s.sealed_at, s.kind, s.era, s.system_identifier, s.database_oid::pg_catalog.int8,
    s.from_audit_id, s.to_audit_id, s.from_txid, s.to_txid, s.entries, s.first_chunk, s.chunks, s.retired_from,
    s.retired_to, s.detail, s.previous_hash, s.hash";

fn read_seals(condition: &str) -> Result<Vec<Seal>> {
    let mut seals = Vec::new();
    let query = format!("SELECT {SEAL_COLUMNS} FROM architect.audit_seal AS s {condition}");
    Cursor::open(&query, &[])?.each(|row| {
        let time = |column| (!row.is_null(column)).then(|| row.i64(column));
        seals.push(Seal {
            seal_id: row.i64(0),
            sealed_at: row.i64(1),
            kind: Kind::named(row.text(2).as_deref()),
            era: row.i32(3),
            system_identifier: row.text(4).unwrap_or_default(),
            database_oid: row.i64(5),
            from_audit_id: row.i64(6),
            to_audit_id: row.i64(7),
            from_txid: row.i64(8) as u64,
            to_txid: row.i64(9) as u64,
            entries: row.i64(10),
            first_chunk: row.i64(11),
            chunks: row.i64(12),
            retired_from: time(13),
            retired_to: time(14),
            detail: row.text(15).unwrap_or_default(),
            previous_hash: row.bytes(16).unwrap_or_default(),
            hash: row.bytes(17).unwrap_or_default(),
        });
        Ok(())
    })?;
    Ok(seals)
}

/// Every seal, in order.
pub fn all() -> Result<Vec<Seal>> {
    read_seals("ORDER BY s.seal_id")
}

/// The last seal of any kind, and the last that covers entries.
pub fn last() -> Result<(Option<Seal>, Option<Seal>)> {
    let last = read_seals("ORDER BY s.seal_id DESC LIMIT 1")?;
    let covering = read_seals("WHERE s.kind = 'seal' ORDER BY s.seal_id DESC LIMIT 1")?;
    Ok((last.into_iter().next(), covering.into_iter().next()))
}

pub fn next_chunk() -> i64 {
    spi::read_one_now::<i64>(
        "SELECT pg_catalog.max(c.chunk_id) + 1 FROM architect.audit_seal_chunk AS c",
        &[],
    )
    .unwrap_or(1)
}

impl Seal {
    /// Whether this cluster and database is the one the seal was made in.
    pub fn is_of_here(&self) -> bool {
        self.system_identifier == session::system_identifier()
            && self.database_oid == i64::from(session::database().to_u32())
    }

    /// Stores a seal whose hash has been taken, as the new end of the chain.
    pub fn store(&self) -> Result<()> {
        let time = |at: Option<i64>| at.map(timestamp).transpose();
        spi::run(
            "INSERT INTO architect.audit_seal (seal_id, sealed_at, kind, era, system_identifier, database_oid, from_audit_id,
                    to_audit_id, from_txid, to_txid, entries, first_chunk, chunks, retired_from, retired_to, detail,
                    previous_hash, hash)
             VALUES ($1, $2, $3, $4, $5, $6::pg_catalog.oid, $7, $8, $9::pg_catalog.xid8, $10::pg_catalog.xid8, $11, $12, $13,
                     $14, $15, $16, $17, $18)",
            &[
                self.seal_id.into(),
                timestamp(self.sealed_at)?.into(),
                self.kind.name().into(),
                self.era.into(),
                self.system_identifier.as_str().into(),
                self.database_oid.into(),
                self.from_audit_id.into(),
                self.to_audit_id.into(),
                self.from_txid.to_string().into(),
                self.to_txid.to_string().into(),
                self.entries.into(),
                self.first_chunk.into(),
                self.chunks.into(),
                time(self.retired_from)?.into(),
                time(self.retired_to)?.into(),
                self.detail.as_str().into(),
                self.previous_hash.as_slice().into(),
                self.hash.as_slice().into(),
            ],
        )?;
        spi::run("UPDATE architect.audit_setting SET last_seal_id = $1", &[self.seal_id.into()])?;
        Ok(())
    }
}

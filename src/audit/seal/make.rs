//! Sealing: everything committed since the last seal, in chunks, at the end of the chain.
//!
//! Committed for good is what transactions below the snapshot's xmin have written: the half-open
//! interval of transaction ids from the last seal to there. Neither the order of the sequence nor of the
//! clock is the order of commits. A transaction that stays open only delays what follows it.
//!
//! After a restore into another cluster transaction ids start anew. Then the old era is closed by a
//! seal without an upper bound, and a new one begins at an audit_id that every entry of the old era is below and
//! every new one is not: above all ids sealed before, and above every visible entry whose transaction
//! this cluster has not come to yet. What the old cluster wrote after its last seal and this rule does
//! not tell apart is sealed as if it had been written here, which loses nothing.

use super::chain::{self, CHUNK, Chunk, Kind, Seal, SealHash};
use super::digest::{Entry, hex};
use super::stream::{Bound, Entries, References, Window};
use crate::error::{Error, Result};
use crate::pg::{session, spi};

/// What seal_audit_log() answers.
pub struct Sealed {
    pub seal_id: Option<i64>,
    pub entries: i64,
    pub hash: Option<String>,
    pub held_back_by: Option<String>,
}

/// The end of an era that has been left behind.
const FOR_EVER: u64 = u64::MAX;

pub fn seal() -> Result<Sealed> {
    chain::lock()?;
    // First, so that nothing visible to it is new: see `begin_era`.
    let foreign = spi::read_one_now::<i64>(
        "SELECT pg_catalog.max(e.audit_id) FROM architect.audit_entry AS e
          WHERE e.txid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())",
        &[],
    );
    let (xmin, xmax) = horizon()?;
    let (mut last, mut covering) = chain::last()?;
    let mut sealed = 0;
    if covering.as_ref().map_or(foreign.is_some(), |seal| !seal.is_of_here()) {
        let (closing, opening) = begin_era(covering.as_ref(), foreign);
        let closing = write(closing, last.as_ref(), true)?;
        sealed += closing.as_ref().map_or(0, |seal| seal.entries);
        last = closing;
        covering = Some(opening);
    }
    let next = match &covering {
        Some(seal) => Seal { from_txid: seal.to_txid, ..seal.clone() },
        None => Seal { from_audit_id: i64::MIN, ..blank(1) },
    };
    if xmin > next.from_txid {
        let next = Seal { to_txid: xmin, to_audit_id: ids_given_out()?, ..next };
        if let Some(seal) = write(next, last.as_ref(), false)? {
            sealed += seal.entries;
            last = Some(seal);
        }
    }
    Ok(Sealed {
        seal_id: last.as_ref().map(|seal| seal.seal_id),
        entries: sealed,
        hash: last.map(|seal| hex(&seal.hash)),
        held_back_by: if xmin < xmax { holder(xmin) } else { None },
    })
}

fn blank(era: i32) -> Seal {
    Seal {
        seal_id: 0,
        sealed_at: 0,
        kind: Kind::Seal,
        era,
        system_identifier: session::system_identifier(),
        database_oid: session::database().to_u32().into(),
        from_audit_id: 0,
        to_audit_id: 0,
        from_txid: 0,
        to_txid: 0,
        entries: 0,
        first_chunk: 0,
        chunks: 0,
        retired_from: None,
        retired_to: None,
        detail: String::new(),
        previous_hash: Vec::new(),
        hash: Vec::new(),
    }
}

/// The seal that closes the era of `last` and, as far as known, the first of the next. Entries written
/// here have ids above all that came with the restore, because the sequence came with it; `foreign` is
/// the highest id among those that certainly came.
fn begin_era(last: Option<&Seal>, foreign: Option<i64>) -> (Seal, Seal) {
    let boundary = foreign.map_or(i64::MIN, |id| id + 1).max(last.map_or(i64::MIN, |seal| seal.to_audit_id));
    let closing = match last {
        Some(seal) => Seal { from_txid: seal.to_txid, ..seal.clone() },
        None => {
            Seal { system_identifier: String::new(), database_oid: 0, from_audit_id: i64::MIN, ..blank(1) }
        }
    };
    let era = closing.era + 1;
    let closing = Seal { to_txid: FOR_EVER, to_audit_id: boundary, ..closing };
    let opening = Seal { from_audit_id: boundary, to_audit_id: boundary, ..blank(era) };
    (closing, opening)
}

/// Seals the entries of an interval; nothing where there are none, unless `always`.
fn write(mut seal: Seal, last: Option<&Seal>, always: bool) -> Result<Option<Seal>> {
    seal.seal_id = last.map_or(1, |last| last.seal_id + 1);
    seal.previous_hash = last.map(|last| last.hash.clone()).unwrap_or_default();
    seal.sealed_at = session::clock();
    seal.first_chunk = chain::next_chunk();
    seal.chunks = 0;
    seal.entries = 0;
    seal.detail = String::new();
    let window = Window {
        after: Bound::Transaction(seal.from_txid),
        through: Bound::Transaction(seal.to_txid),
        from_audit_id: seal.from_audit_id,
        to_audit_id: (seal.to_txid == FOR_EVER).then_some(seal.to_audit_id),
    };
    let mut hash = SealHash::new();
    let mut references = References::default();
    let mut entries = Entries::open(&window, &mut references)?;
    let mut buffer: Vec<Entry> = Vec::with_capacity(CHUNK);
    loop {
        let entry = entries.next()?;
        let ended = entry.is_none();
        buffer.extend(entry);
        if buffer.len() == CHUNK || ended {
            if let Some(last) = buffer.last() {
                let chunk = Chunk::of(seal.first_chunk + seal.chunks, seal.seal_id, last.key, &buffer);
                chunk.store(&buffer)?;
                seal.chunks += 1;
                seal.entries += chunk.entries;
                hash.add(&chunk);
            }
            buffer.clear();
        }
        if ended {
            break;
        }
    }
    drop(entries);
    if seal.entries == 0 && !always {
        return Ok(None);
    }
    seal.hash = hash.end(&seal).to_vec();
    seal.store()?;
    Ok(Some(seal))
}

/// Transactions below the first are all over; those from the second on have not committed.
fn horizon() -> Result<(u64, u64)> {
    let rows = spi::read_now(
        "SELECT pg_catalog.pg_snapshot_xmin(s)::pg_catalog.text, pg_catalog.pg_snapshot_xmax(s)::pg_catalog.text
           FROM pg_catalog.pg_current_snapshot() AS s",
        &[],
        |row| Ok((row.get::<String>(1)?, row.get::<String>(2)?)),
    )?;
    match rows.first() {
        Some((Some(xmin), Some(xmax))) => match (xmin.parse(), xmax.parse()) {
            (Ok(xmin), Ok(xmax)) => Ok((xmin, xmax)),
            _ => Err(Error::internal("a transaction id cannot be read")),
        },
        _ => Err(Error::internal("there is no snapshot")),
    }
}

/// Above every audit_id given out so far: sessions take them in blocks of the sequence's increment.
fn ids_given_out() -> Result<i64> {
    spi::read_one_now::<i64>(
        "SELECT s.last_value + q.seqincrement
           FROM architect.audit_id_seq AS s, pg_catalog.pg_sequence AS q
          WHERE q.seqrelid = 'architect.audit_id_seq'::pg_catalog.regclass",
        &[],
    )
    .ok_or_else(|| Error::internal("the sequence of audit ids cannot be read"))
}

/// Who keeps the horizon from advancing: the session or prepared transaction with the oldest id.
fn holder(xmin: u64) -> Option<String> {
    spi::read_one_now::<String>(
        "SELECT h.who FROM (
             SELECT p.transaction::pg_catalog.text AS xid,
                    pg_catalog.format('prepared transaction %L of role %I in database %I, prepared at %s',
                                      p.gid, p.owner, p.database, p.prepared) AS who
               FROM pg_catalog.pg_prepared_xacts AS p
             UNION ALL
             SELECT a.backend_xid::pg_catalog.text,
                    CASE WHEN a.pid = pg_catalog.pg_backend_pid() THEN 'this transaction itself'
                         ELSE pg_catalog.format('process %s of role %I in database %I, %s, in a transaction since %s',
                                                a.pid, a.usename, a.datname, COALESCE(a.state, a.backend_type), a.xact_start) END
               FROM pg_catalog.pg_stat_activity AS a
         ) AS h WHERE h.xid = $1",
        &[(xmin & 0xffff_ffff).to_string().into()],
    )
}

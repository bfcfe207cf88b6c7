//! Data keys: made when first asked for, stored wrapped under a master key, remembered by the session
//! until any of them is shredded or rotated.

use super::master::{self, Keys};
use super::sealed::{Cipher, Sealed, Secret};
use crate::error::{Error, Result};
use crate::pg::{invalidation, lookup, security, spi};
use crate::privacy::tombstone;
use hmac::{Hmac, Mac};
use pgrx::prelude::*;
use sha2::Sha256;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use zeroize::Zeroizing;

const TABLE: &str = "privacy_key";
/// Keys a session remembers.
const MOST: usize = 10_000;
/// Key of the advisory lock under which the storage is made: 'archkeys' in ASCII.
const LOCK: i64 = 0x6172_6368_6b65_7973;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Data,
    Index,
    Lookup,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Index => "index",
            Self::Lookup => "lookup",
        }
    }
}

/// An unwrapped key.
pub struct DataKey {
    pub id: i64,
    pub secret: Secret,
    pub cipher: Cipher,
}

#[derive(Default)]
struct Remembered {
    /// Counts of relation changes and of rollbacks this was read at.
    at: (u64, u64),
    by_owner: HashMap<(Kind, String), Rc<DataKey>>,
    by_id: HashMap<i64, Known>,
}

thread_local! {
    static REMEMBERED: RefCell<Remembered> = RefCell::default();
}

/// What is remembered, after forgetting what may have changed since: a shredded key, one whose row was
/// rolled back.
fn remembered<R>(work: impl FnOnce(&mut Remembered) -> R) -> R {
    REMEMBERED.with_borrow_mut(|known| {
        let now = (invalidation::changes(), invalidation::rollbacks());
        if known.at != now || known.by_owner.len() + known.by_id.len() > MOST {
            *known = Remembered { at: now, ..Remembered::default() };
        }
        work(known)
    })
}

/// The key values are encrypted under now: the latest of this owner, made if there is none.
pub fn current(kind: Kind, owner: &str) -> Result<Rc<DataKey>> {
    let asked = (kind, owner.to_owned());
    if let Some(key) = remembered(|known| known.by_owner.get(&asked).cloned()) {
        return Ok(key);
    }
    let key = security::as_extension_owner(|| {
        let hash = owner_hash(kind, owner)?;
        match find_latest(kind, &hash)? {
            Some(key) => Ok(key),
            None => make(kind, &hash),
        }
    })?;
    remembered(|known| known.by_owner.insert(asked, Rc::clone(&key)));
    Ok(key)
}

/// What is known of a key by its number.
#[derive(Clone)]
pub enum Known {
    Key(Rc<DataKey>),
    Shredded,
    /// There never was one, or another database has it.
    Unknown,
}

/// The key of this number.
pub fn numbered(id: i64) -> Result<Known> {
    if let Some(key) = remembered(|known| known.by_id.get(&id).cloned()) {
        return Ok(key);
    }
    let key = security::as_extension_owner(|| -> Result<Known> {
        if lookup::own_relation(TABLE).is_none() {
            return Ok(Known::Unknown);
        }
        let rows = spi::read_now(
            "SELECT k.key_id, k.kind, k.owner_hash, k.version, k.master_key, k.wrapped
               FROM architect.privacy_key AS k
              WHERE k.key_id OPERATOR(pg_catalog.=) $1 AND k.kind OPERATOR(pg_catalog.=) 'data'",
            &[id.into()],
            StoredKey::of,
        )?;
        match rows.first().map(StoredKey::open).transpose()? {
            Some(Some(key)) => Ok(Known::Key(key)),
            Some(None) => Ok(Known::Shredded),
            None => Ok(Known::Unknown),
        }
    })?;
    if !matches!(key, Known::Unknown) {
        remembered(|known| known.by_id.insert(id, key.clone()));
    }
    Ok(key)
}

/// A row of privacy_key.
struct StoredKey {
    id: i64,
    kind: String,
    owner_hash: Vec<u8>,
    version: i32,
    master_key: String,
    wrapped: Option<Vec<u8>>,
}

impl StoredKey {
    fn of(row: &pgrx::spi::SpiHeapTupleData) -> std::result::Result<Self, pgrx::spi::Error> {
        Ok(Self {
            id: row.get(1)?.unwrap_or_default(),
            kind: row.get(2)?.unwrap_or_default(),
            owner_hash: row.get(3)?.unwrap_or_default(),
            version: row.get(4)?.unwrap_or_default(),
            master_key: row.get(5)?.unwrap_or_default(),
            wrapped: row.get(6)?,
        })
    }

    /// None: shredded.
    fn open(&self) -> Result<Option<Rc<DataKey>>> {
        let Some(wrapped) = &self.wrapped else { return Ok(None) };
        let masters = find_master(&self.master_key)?;
        let broken = || {
            Error::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "a data key cannot be unwrapped")
                .detail(format!("Key {} does not open with master key \"{}\".", self.id, self.master_key))
                .hint("Put the master key back under which it was wrapped; if it is that one, the row was changed.")
        };
        let master = masters.iter().find(|m| m.name == self.master_key).ok_or_else(broken)?;
        let plain = Sealed::parse(wrapped)
            .and_then(|sealed| Cipher::new(&master.secret).open(&sealed, &self.label()))
            .ok_or_else(broken)?;
        let mut secret: Secret = Zeroizing::new([0; 32]);
        if plain.len() != secret.len() {
            return Err(broken());
        }
        secret.copy_from_slice(&plain);
        Ok(Some(Rc::new(DataKey { id: self.id, cipher: Cipher::new(&secret), secret })))
    }

    /// What the wrapped key is bound to: a row cannot take another's place.
    fn label(&self) -> Vec<u8> {
        label(&self.kind, &self.owner_hash, self.version)
    }
}

fn label(kind: &str, owner_hash: &[u8], version: i32) -> Vec<u8> {
    let mut label = format!("db_architect {kind} {version} ").into_bytes();
    label.extend_from_slice(owner_hash);
    label
}

/// The master keys, this one among them if it is to be had.
fn find_master(name: &str) -> Result<Keys> {
    let keys = master::keys(false)?;
    if keys.iter().any(|key| key.name == name) { Ok(keys) } else { master::keys(true) }
}

fn find_latest(kind: Kind, hash: &[u8]) -> Result<Option<Rc<DataKey>>> {
    if lookup::own_relation(TABLE).is_none() {
        return Ok(None);
    }
    let rows = spi::read_now(
        "SELECT k.key_id, k.kind, k.owner_hash, k.version, k.master_key, k.wrapped
           FROM architect.privacy_key AS k
          WHERE k.kind OPERATOR(pg_catalog.=) $1 AND k.owner_hash OPERATOR(pg_catalog.=) $2
          ORDER BY k.version DESC LIMIT 1",
        &[kind.name().into(), hash.into()],
        StoredKey::of,
    )?;
    let Some(stored) = rows.into_iter().next() else { return Ok(None) };
    // After shredding the next value gets a new key.
    stored.open()
}

/// Makes and stores a key; another session may have been faster, then it is that one's.
fn make(kind: Kind, hash: &[u8]) -> Result<Rc<DataKey>> {
    ensure_storage()?;
    let masters = master::keys(false)?;
    let Some(master) = masters.last() else { return Err(Error::internal("no master key")) };
    let version = spi::run_one::<i32>(
        "SELECT COALESCE(pg_catalog.max(k.version), 0) OPERATOR(pg_catalog.+) 1 FROM architect.privacy_key AS k
          WHERE k.kind OPERATOR(pg_catalog.=) $1 AND k.owner_hash OPERATOR(pg_catalog.=) $2",
        &[kind.name().into(), hash.into()],
    )?
    .unwrap_or(1);
    let mut secret: Secret = Zeroizing::new([0; 32]);
    getrandom::getrandom(secret.as_mut_slice()).map_err(|_| no_randomness())?;
    let wrapped = wrap(master, &secret, &label(kind.name(), hash, version))?;
    spi::run(
        "INSERT INTO architect.privacy_key (kind, owner_hash, version, master_key, wrapped)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        &[kind.name().into(), hash.into(), version.into(), master.name.as_str().into(), wrapped.into()],
    )?;
    find_latest(kind, hash)?.ok_or_else(|| {
        Error::new(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "a data key was shredded while it was made",
        )
        .hint("Try again.")
    })
}

fn wrap(master: &super::key_file::MasterKey, secret: &Secret, label: &[u8]) -> Result<Vec<u8>> {
    Cipher::new(&master.secret).seal(0, label, secret.as_slice(), 0).ok_or_else(no_randomness)
}

pub fn no_randomness() -> Error {
    Error::internal("the system has no random numbers to give")
}

/// Hash under which the owner of a key is filed; the name itself is not stored.
fn owner_hash(kind: Kind, owner: &str) -> Result<Vec<u8>> {
    let lookup = match find_latest(Kind::Lookup, &[])? {
        Some(key) => key,
        None => make(Kind::Lookup, &[])?,
    };
    Ok(authenticate(&lookup.secret, &[kind.name().as_bytes(), owner.as_bytes()]))
}

/// HMAC-SHA-256 of parts, none of which can run into the next.
pub fn authenticate(secret: &Secret, parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes a key of any length.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(secret.as_slice()) else { return Vec::new() };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn ensure_storage() -> Result<()> {
    if lookup::own_relation(TABLE).is_none() {
        spi::run("SELECT pg_catalog.pg_advisory_xact_lock($1)", &[LOCK.into()])?;
        invalidation::listen();
        if lookup::own_relation(TABLE).is_none() {
            spi::run(include_str!("../../../sql/storage/privacy_key.sql"), &[])?;
        }
    }
    Ok(())
}

/// Throws every key of a subject away; returns how many there were.
pub fn shred(subject: &str) -> Result<usize> {
    security::as_extension_owner(|| {
        let Some(table) = lookup::own_relation(TABLE) else { return Ok(0) };
        let hash = owner_hash(Kind::Data, subject)?;
        let by = security::role_name(security::outer_role());
        let shredded = spi::run(
            "UPDATE architect.privacy_key
                SET wrapped = NULL, shredded_at = pg_catalog.clock_timestamp(), shredded_by = $2
              WHERE kind OPERATOR(pg_catalog.=) 'data' AND owner_hash OPERATOR(pg_catalog.=) $1
                AND wrapped IS NOT NULL",
            &[hash.clone().into(), by.into()],
        )?;
        if shredded > 0 {
            tombstone::of_data_key(&hash)?;
        }
        invalidation::announce(table);
        Ok(shredded)
    })
}

/// Throws away again what came back with a backup: keys of those who were shredded, made before that. Returns how many.
pub fn shred_again(dry_run: bool) -> Result<usize> {
    security::as_extension_owner(|| {
        let Some(table) = lookup::own_relation(TABLE) else { return Ok(0) };
        let back = "k.kind OPERATOR(pg_catalog.=) 'data' AND k.wrapped IS NOT NULL
                    AND EXISTS (SELECT FROM architect.privacy_tombstone AS t
                                 WHERE t.subject_type OPERATOR(pg_catalog.=) $1 AND t.key_hmac OPERATOR(pg_catalog.=) k.owner_hash
                                   AND t.erased_at OPERATOR(pg_catalog.>=) k.created_at)";
        if dry_run {
            let count = spi::read_one_now::<i64>(
                &format!("SELECT pg_catalog.count(*) FROM architect.privacy_key AS k WHERE {back}"),
                &[tombstone::DATA_KEY.into()],
            );
            return Ok(count.unwrap_or_default() as usize);
        }
        let shredded = spi::run(
            &format!(
                "UPDATE architect.privacy_key AS k
                    SET wrapped = NULL, shredded_at = pg_catalog.clock_timestamp(), shredded_by = $2 WHERE {back}"
            ),
            &[tombstone::DATA_KEY.into(), security::role_name(security::outer_role()).into()],
        )?;
        invalidation::announce(table);
        Ok(shredded)
    })
}

/// Gives a subject a new key for what is encrypted from now on; returns its number.
pub fn renew(subject: &str) -> Result<i64> {
    security::as_extension_owner(|| {
        let hash = owner_hash(Kind::Data, subject)?;
        let key = make(Kind::Data, &hash)?;
        if let Some(table) = lookup::own_relation(TABLE) {
            invalidation::announce(table);
        }
        Ok(key.id)
    })
}

/// Wraps every key that is wrapped under an older master key anew, under the latest; returns how many
/// keys there were to do, and that master key's name.
pub fn rewrap() -> Result<(usize, String)> {
    security::as_extension_owner(|| {
        let masters = master::keys(true)?;
        let Some(latest) = masters.last() else { return Err(Error::internal("no master key")) };
        if lookup::own_relation(TABLE).is_none() {
            return Ok((0, latest.name.clone()));
        }
        let stored = spi::read_now(
            "SELECT k.key_id, k.kind, k.owner_hash, k.version, k.master_key, k.wrapped
               FROM architect.privacy_key AS k
              WHERE k.wrapped IS NOT NULL AND k.master_key OPERATOR(pg_catalog.<>) $1
              ORDER BY k.key_id",
            &[latest.name.as_str().into()],
            StoredKey::of,
        )?;
        let mut done = 0;
        for stored in stored {
            pgrx::check_for_interrupts!();
            let Some(key) = stored.open()? else { continue };
            // What was shredded meanwhile stays shredded.
            done += spi::run(
                "UPDATE architect.privacy_key SET wrapped = $2, master_key = $3
                  WHERE key_id OPERATOR(pg_catalog.=) $1 AND wrapped IS NOT NULL",
                &[
                    stored.id.into(),
                    wrap(latest, &key.secret, &stored.label())?.into(),
                    latest.name.as_str().into(),
                ],
            )?;
        }
        Ok((done, latest.name.clone()))
    })
}

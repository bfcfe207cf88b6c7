//! The SQL functions of encryption.

use super::keys::{self, Kind, Known};
use super::sealed::Sealed;
use crate::error::Error;
use crate::pg::{security, spi};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Most bytes a value may be padded to.
const MOST_PADDING: i32 = 65_536;

/// Encrypts a value under the key of the person it is about.
///
/// AES-256-GCM-SIV (RFC 8452) with a random nonce: two encryptions of one value differ. The result is
/// bound to the column's label and opens in no other; after a rename go on passing the former label. The
/// key is made with the person's first value, stored wrapped under the master key of
/// architect.master_key_file or architect.master_key_command, and gone after shred_subject(). The result
/// is pseudonymised, still personal data, until then.
/// Arguments: value; subject, who it is about, as you always name them ('customer:42'); column_name, the
/// label, by convention 'schema.table.column'; pad_to, a length in bytes whose multiples the value is
/// padded to, so that ciphertexts do not tell lengths (1: no padding). Pass value and subject as
/// parameters: a literal in the statement's text is in logs and statistics.
/// Returns version, key number, nonce and ciphertext: 38 bytes more than the value. Null for null.
/// Errors: 55000 no master key is configured; F0000 the master key cannot be read; 22023 a label or
/// subject is empty, or pad_to is not between 1 and 65536. Lock: none. Privilege: EXECUTE.
#[pg_extern(volatile, parallel_unsafe)]
fn encrypt_pii(
    value: &str,
    subject: &str,
    column_name: &str,
    pad_to: default!(i32, "1"),
) -> Result<Vec<u8>, ErrorReport> {
    not_empty("subject", subject)?;
    not_empty("column_name", column_name)?;
    let pad_to = Some(pad_to)
        .filter(|bytes| (1..=MOST_PADDING).contains(bytes))
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| Error::invalid_parameter(format!("pad_to must be between 1 and {MOST_PADDING}")))?;
    let key = keys::current(Kind::Data, subject)?;
    let sealed = key
        .cipher
        .seal(key.id, column_name.as_bytes(), value.as_bytes(), pad_to)
        .ok_or_else(keys::no_randomness)?;
    Ok(sealed)
}

/// Decrypts what encrypt_pii() made.
///
/// Arguments: value; column_name, the label it was encrypted with.
/// Returns the text; null for null, and where the person's key was shredded.
/// Errors: 22023 the value was changed, belongs to another column or is no encrypted value; 55000 and
/// F0000 as encrypt_pii. Lock: none. Privilege: EXECUTE: grant it to those who may read the values.
/// Assigns no transaction id.
#[pg_extern(stable, parallel_unsafe)]
fn decrypt_pii(value: &[u8], column_name: &str) -> Result<Option<String>, ErrorReport> {
    let not_ours = || {
        Error::invalid_parameter("value cannot be decrypted")
            .detail("It was changed, was encrypted for another column, or is no result of encrypt_pii().")
    };
    let sealed = Sealed::parse(value).ok_or_else(not_ours)?;
    let key = match keys::numbered(sealed.key_id)? {
        Known::Key(key) => key,
        Known::Shredded => return Ok(None),
        Known::Unknown => {
            return Err(not_ours()
                .hint("Its key is not in architect.privacy_key: was the table restored?")
                .into());
        }
    };
    let plain = key.cipher.open(&sealed, column_name.as_bytes()).ok_or_else(not_ours)?;
    Ok(Some(std::str::from_utf8(&plain).map_err(|_| not_ours())?.to_owned()))
}

/// A keyed hash of a value by which an encrypted column can be searched for it.
///
/// HMAC-SHA-256 under a key of the column's own, truncated. Store it in a column beside the encrypted one
/// and index that. Equal values have equal hashes: how often a value occurs is seen. Fewer bits make
/// several values share a hash, which hides more; compare decrypted values too then. Pseudonymised, still
/// personal data.
/// Arguments: value, as it will be searched for (fold case and spaces yourself); column_name, a label as
/// for encrypt_pii; bits, 8 to 256 in steps of 8.
/// Returns bits / 8 bytes. Null for null. Errors: 22023 invalid bits or empty label; 55000 and F0000 as
/// encrypt_pii. Lock: none. Privilege: EXECUTE.
#[pg_extern(volatile, parallel_unsafe)]
fn blind_index(value: &str, column_name: &str, bits: default!(i32, "64")) -> Result<Vec<u8>, ErrorReport> {
    not_empty("column_name", column_name)?;
    if !(8..=256).contains(&bits) || bits % 8 != 0 {
        return Err(Error::invalid_parameter("bits must be between 8 and 256, in steps of 8").into());
    }
    let key = keys::current(Kind::Index, column_name)?;
    let mut hash = keys::authenticate(&key.secret, &[value.as_bytes()]);
    hash.truncate(bits as usize / 8);
    Ok(hash)
}

/// Renews keys.
///
/// Without a subject, wraps every data key that is wrapped under an older master key anew under the
/// latest one: the last line of the key file. Values need not be touched; afterwards the older master key
/// can be removed from the file. With a subject, gives the person a new key for what is encrypted from
/// now on; what was encrypted before stays readable until it is encrypted again or shredded.
/// Returns one row: object_name, action (rewrapped, renewed) and detail.
/// Errors: 55000 and F0000 as encrypt_pii; XX001 a key does not open with the master key it names.
/// Lock: row locks on the keys. Privilege: EXECUTE.
#[pg_extern]
fn rotate_key(
    subject: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let row = match subject {
        Some(subject) => {
            not_empty("subject", subject)?;
            let id = keys::renew(subject)?;
            (format!("key {id}"), "renewed".to_owned(), "for what is encrypted from now on".to_owned())
        }
        None => {
            let (count, name) = keys::rewrap()?;
            (format!("master key \"{name}\""), "rewrapped".to_owned(), format!("{count} data keys"))
        }
    };
    Ok(TableIterator::once(row))
}

/// Erases a person's encrypted values everywhere at once, by throwing their keys away.
///
/// Every copy becomes unreadable when the transaction commits: in tables, logs, replicas and, unless an
/// older dump of architect.privacy_key is restored, backups: for that day a tombstone is kept, which
/// reapply_tombstones() goes by. The row of the key stays, without the key, and says when and by whom.
/// Arguments: subject, as it was passed to encrypt_pii().
/// Returns one row: object_name, action (shredded, or skipped where there was no key) and detail.
/// Errors: 22023 empty subject; 55000 and F0000 as encrypt_pii. Lock: row locks on the keys.
/// Privilege: EXECUTE.
#[pg_extern]
fn shred_subject(
    subject: &str,
) -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    not_empty("subject", subject)?;
    let count = keys::shred(subject)?;
    let action = if count == 0 { "skipped" } else { "shredded" };
    let detail =
        if count == 0 { "there is no key of this subject".to_owned() } else { format!("{count} keys") };
    Ok(TableIterator::once(("data keys".to_owned(), action.to_owned(), detail)))
}

/// How many keys there are and which master keys are still needed.
///
/// Returns one row for each kind of key and master key: kind (data, index, lookup), master_key, its name,
/// keys, shredded, oldest and newest. Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn encryption_keys() -> Result<
    TableIterator<
        'static,
        (
            name!(kind, String),
            name!(master_key, String),
            name!(keys, i64),
            name!(shredded, i64),
            name!(oldest, Option<TimestampWithTimeZone>),
            name!(newest, Option<TimestampWithTimeZone>),
        ),
    >,
    ErrorReport,
> {
    let rows = security::as_extension_owner(|| {
        if crate::pg::lookup::own_relation("privacy_key").is_none() {
            return Ok(Vec::new());
        }
        spi::read(
            "SELECT k.kind, k.master_key, pg_catalog.count(k.wrapped),
                    pg_catalog.count(*) OPERATOR(pg_catalog.-) pg_catalog.count(k.wrapped),
                    pg_catalog.min(k.created_at), pg_catalog.max(k.created_at)
               FROM architect.privacy_key AS k GROUP BY k.kind, k.master_key ORDER BY k.kind, k.master_key",
            &[],
            |row| {
                Ok((
                    row.get(1)?.unwrap_or_default(),
                    row.get(2)?.unwrap_or_default(),
                    row.get(3)?.unwrap_or_default(),
                    row.get(4)?.unwrap_or_default(),
                    row.get(5)?,
                    row.get(6)?,
                ))
            },
        )
    })?;
    Ok(TableIterator::new(rows))
}

fn not_empty(name: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() { Err(Error::invalid_parameter(format!("{name} must not be empty"))) } else { Ok(()) }
}

//! The tables of privacy: made by the first declaration, as the extension's owner.

use super::secret::Secret;
use crate::error::{Error, Result};
use crate::pg::{kept, lookup, security, spi};

/// Key of the advisory lock that serialises the making of the storage: 'archpriv' in ASCII.
const LOCK: i64 = 0x6172_6368_7072_6976;

pub fn exists() -> bool {
    lookup::own_relation("privacy_setting").is_some()
}

/// Makes the storage if it is not there.
pub fn ensure() -> Result<()> {
    if exists() {
        return Ok(());
    }
    security::as_extension_owner(|| {
        spi::run("SELECT pg_catalog.pg_advisory_xact_lock($1)", &[LOCK.into()])?;
        if !exists() {
            spi::run(include_str!("../../sql/storage/privacy.sql"), &[])?;
        }
        Ok(())
    })
}

/// Refuses where nothing was ever declared.
pub fn require() -> Result<()> {
    if exists() {
        return Ok(());
    }
    Err(Error::not_in_prerequisite_state("nothing was declared about personal data")
        .detail("Table architect.privacy_setting does not exist.")
        .hint("Call architect.declare_subject() first, or restore schema architect."))
}

/// What keys and identities are hashed with.
pub fn secret() -> Result<Secret> {
    require()?;
    let bytes = security::as_extension_owner(|| {
        kept::read_one_now::<Vec<u8>>("SELECT s.secret FROM architect.privacy_setting AS s", &[])
    })?;
    bytes.map(Secret::new).ok_or_else(|| Error::internal("architect.privacy_setting is empty"))
}

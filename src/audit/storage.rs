//! The log's tables: made by the first enable_audit, as the extension's owner.

use crate::audit::{partitions, settings};
use crate::capture::storage as shared;
use crate::error::Result;
use crate::pg::{lookup, security, session, spi};

/// Makes the storage if it is not there, and notes where it is: after a restore into another database
/// stored identifiers are looked up again by name.
pub fn ensure() -> Result<()> {
    security::as_extension_owner(|| {
        if lookup::own_relation("audit_entry").is_none() {
            shared::ensure()?;
            if lookup::own_relation("audit_entry").is_none() {
                spi::run(include_str!("../../sql/storage/audit.sql"), &[])?;
                make_months()?;
            }
        }
        shared::note_origin()
    })
}

/// The months a new log starts with: this one and the next ones, until run_maintenance() makes more.
fn make_months() -> Result<()> {
    for month in partitions::months(session::clock(), settings::Settings::read()?.months_ahead)? {
        partitions::create(&month)?;
        partitions::attach(&month)?;
    }
    Ok(())
}

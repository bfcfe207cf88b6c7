//! The log's tables: made by the first enable_audit, as the extension's owner.

use crate::audit::keeping;
use crate::capture::storage as shared;
use crate::error::Result;
use crate::pg::{lookup, security, spi};

/// Makes the storage if it is not there, and notes where it is: after a restore into another database
/// stored identifiers are looked up again by name.
pub fn ensure() -> Result<()> {
    security::as_extension_owner(|| {
        if lookup::own_relation("audit_entry").is_none() {
            shared::ensure()?;
            if lookup::own_relation("audit_entry").is_none() {
                spi::run(include_str!("../../sql/storage/audit.sql"), &[])?;
                keeping::make_first_months()?;
            }
        }
        shared::note_origin()
    })
}

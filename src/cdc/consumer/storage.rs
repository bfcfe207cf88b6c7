//! The consumers' tables: made by the first create_consumer, as the extension's owner.

use super::state;
use crate::capture::storage as shared;
use crate::cdc::storage as feed;
use crate::error::Result;
use crate::pg::{security, spi};

const TABLES: [&str; 5] = ["cdc_consumer", "cdc_worker", "cdc_aside", "cdc_dead_letter", "cdc_setting"];

/// Makes the storage, and the feed's, if it is not there.
pub fn ensure() -> Result<()> {
    feed::ensure()?;
    security::as_extension_owner(|| {
        if state::exists() {
            return Ok(());
        }
        shared::ensure()?;
        if !state::exists() {
            spi::run(include_str!("../../../sql/storage/cdc_consumer.sql"), &[])?;
            for table in TABLES {
                shared::revoke_all(table)?;
            }
        }
        Ok(())
    })
}

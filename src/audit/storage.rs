//! The log's tables: made by the first enable_audit, as the extension's owner.

use crate::audit::{identity, partitions, settings};
use crate::error::Result;
use crate::pg::{invalidation, lookup, security, session, spi};

/// Key of the advisory lock that serialises changes to the storage: 'arch' in ASCII.
const LOCK: i64 = 0x6172_6368;

/// Makes the storage if it is not there, and notes where it is: after a restore into another database
/// stored identifiers are looked up again by name.
pub fn ensure() -> Result<()> {
    security::as_extension_owner(|| {
        if lookup::own_relation("audit_entry").is_none() {
            lock()?;
            if lookup::own_relation("audit_entry").is_none() {
                spi::run(include_str!("../../sql/storage/audit.sql"), &[])?;
                make_months()?;
            }
        }
        note_origin()
    })
}

/// Waits for whoever changes the storage, and hears of what they did.
fn lock() -> Result<()> {
    spi::run("SELECT pg_catalog.pg_advisory_xact_lock($1)", &[LOCK.into()])?;
    invalidation::listen();
    Ok(())
}

/// The months a new log starts with: this one and the next ones, until run_maintenance() makes more.
fn make_months() -> Result<()> {
    for month in partitions::months(session::clock(), settings::Settings::read()?.months_ahead)? {
        partitions::create(&month)?;
        partitions::attach(&month)?;
    }
    Ok(())
}

/// Records the cluster and database this log is in, and looks up tables by name if they changed.
pub fn note_origin() -> Result<()> {
    if origin_is_known() {
        return Ok(());
    }
    lock()?;
    if origin_is_known() {
        return Ok(());
    }
    spi::run(
        "INSERT INTO architect.audit_origin (origin_id, system_identifier, database_oid)
         SELECT COALESCE(pg_catalog.max(o.origin_id), 0) OPERATOR(pg_catalog.+) 1, $1, $2
           FROM architect.audit_origin AS o",
        &[session::system_identifier().into(), session::database().into()],
    )?;
    identity::look_up_again()
}

fn origin_is_known() -> bool {
    spi::read_one_now::<bool>(
        "SELECT o.system_identifier OPERATOR(pg_catalog.=) $1 AND o.database_oid OPERATOR(pg_catalog.=) $2
           FROM architect.audit_origin AS o ORDER BY o.origin_id DESC LIMIT 1",
        &[session::system_identifier().into(), session::database().into()],
    ) == Some(true)
}

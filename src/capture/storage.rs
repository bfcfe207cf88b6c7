//! The tables audit and change feed share: made by whichever is enabled first, as the extension's owner.

use crate::capture::identity;
use crate::error::Result;
use crate::pg::{invalidation, lookup, session, spi};

/// Key of the advisory lock that serialises changes to the storage: 'arch' in ASCII.
const LOCK: i64 = 0x6172_6368;

/// Waits for whoever changes the storage, hears of what they did, and makes what is shared if it is not
/// there. To be called as the extension's owner.
pub fn ensure() -> Result<()> {
    lock()?;
    if lookup::own_relation("capture_context").is_none() {
        spi::run(include_str!("../../sql/storage/capture.sql"), &[])?;
    }
    Ok(())
}

fn lock() -> Result<()> {
    spi::run("SELECT pg_catalog.pg_advisory_xact_lock($1)", &[LOCK.into()])?;
    invalidation::listen();
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
        "INSERT INTO architect.capture_origin (origin_id, system_identifier, database_oid)
         SELECT COALESCE(pg_catalog.max(o.origin_id), 0) OPERATOR(pg_catalog.+) 1, $1, $2
           FROM architect.capture_origin AS o",
        &[session::system_identifier().into(), session::database().into()],
    )?;
    identity::look_up_again()
}

fn origin_is_known() -> bool {
    spi::read_one_now::<bool>(
        "SELECT o.system_identifier OPERATOR(pg_catalog.=) $1 AND o.database_oid OPERATOR(pg_catalog.=) $2
           FROM architect.capture_origin AS o ORDER BY o.origin_id DESC LIMIT 1",
        &[session::system_identifier().into(), session::database().into()],
    ) == Some(true)
}

/// Takes from everybody but the owner what ALTER DEFAULT PRIVILEGES may have given them.
pub fn revoke_all(name: &str) -> Result<()> {
    let grantees = spi::read_now(
        "SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
           FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
          WHERE c.oid OPERATOR(pg_catalog.=) $1 AND a.grantee OPERATOR(pg_catalog.<>) c.relowner",
        &[lookup::own_relation(name).into()],
        |row| row.get::<String>(1),
    )?;
    for grantee in grantees.into_iter().flatten() {
        let name = lookup::qualify("architect", name);
        spi::run(&format!("REVOKE ALL ON TABLE {name} FROM {grantee} CASCADE"), &[])?;
    }
    Ok(())
}

//! The log's tables: made by the first enable_audit, as the extension's owner.

use crate::error::Result;
use crate::pg::{lookup, security, session, spi};

/// Key of the advisory lock that serialises changes to the storage: 'arch' in ASCII.
const LOCK: i64 = 0x6172_6368;

/// Makes the storage if it is not there, and notes where it is: after a restore into another database
/// stored identifiers are looked up again by name.
pub fn ensure() -> Result<()> {
    security::as_extension_owner(|| {
        if lookup::own_relation("audit_entry").is_none() {
            spi::run("SELECT pg_catalog.pg_advisory_xact_lock($1)", &[LOCK.into()])?;
            if lookup::own_relation("audit_entry").is_none() {
                spi::run(include_str!("../../sql/storage/audit.sql"), &[])?;
            }
        }
        note_origin()
    })
}

/// Records the cluster and database this log is in, and looks up tables by name if they changed.
fn note_origin() -> Result<()> {
    let known = spi::read_one::<bool>(
        "SELECT o.system_identifier OPERATOR(pg_catalog.=) $1 AND o.database_oid OPERATOR(pg_catalog.=) $2
           FROM architect.audit_origin AS o ORDER BY o.origin_id DESC LIMIT 1",
        &[session::system_identifier().into(), session::database().into()],
    );
    if known == Some(true) {
        return Ok(());
    }
    spi::run(
        "INSERT INTO architect.audit_origin (origin_id, system_identifier, database_oid)
         SELECT COALESCE(pg_catalog.max(o.origin_id), 0) OPERATOR(pg_catalog.+) 1, $1, $2
           FROM architect.audit_origin AS o",
        &[session::system_identifier().into(), session::database().into()],
    )?;
    spi::run(
        "UPDATE architect.audit_table AS t
            SET relid = c.oid,
                include_attnums = ARRAY(SELECT a.attnum FROM pg_catalog.pg_attribute AS a
                                         WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT a.attisdropped
                                           AND a.attname OPERATOR(pg_catalog.=) ANY (t.include_columns::pg_catalog.name[])),
                exclude_attnums = ARRAY(SELECT a.attnum FROM pg_catalog.pg_attribute AS a
                                         WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT a.attisdropped
                                           AND a.attname OPERATOR(pg_catalog.=) ANY (t.exclude_columns::pg_catalog.name[]))
           FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE n.nspname OPERATOR(pg_catalog.=) t.schema_name::pg_catalog.name
            AND c.relname OPERATOR(pg_catalog.=) t.table_name::pg_catalog.name",
        &[],
    )?;
    Ok(())
}

//! The SQL functions of access.

use crate::access::levels::Level;
use crate::audit::storage;
use crate::error::{self, Error};
use crate::pg::{security, spi};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Lets a role use db_architect.
///
/// Arguments: role_name; level: reader (reads architect.audit_log and the reports), operator (also
/// switches audit and updated_at on and off for tables it owns, and reverts changes it may make) or
/// admin (all functions, among them maintenance and seals). No level lets a role write to the log.
/// Returns one row for each privilege granted.
/// Errors: 42704 no such role; 22023 no such level; 42501 not allowed to grant.
/// Lock: none. Privilege: of the extension's owner, or a superuser.
#[pg_extern]
fn grant_access(
    role_name: &str,
    level: default!(&str, "'reader'"),
) -> Result<TableIterator<'static, (name!(object_name, String), name!(privilege, String))>, ErrorReport> {
    let level = Level::parse(level)?;
    let granted = security::with_safe_search_path(|| {
        check(role_name)?;
        storage::ensure()?;
        crate::cdc::storage::ensure()?;
        change(role_name, "GRANT", "TO", |function| level.includes(function))
    })?;
    Ok(TableIterator::new(granted))
}

/// Takes from a role what grant_access gave it, at any level.
///
/// Returns one row for each privilege revoked.
/// Errors: 42704 no such role; 42501 not allowed to revoke.
/// Lock: none. Privilege: of the extension's owner, or a superuser.
#[pg_extern]
fn revoke_access(
    role_name: &str,
) -> Result<TableIterator<'static, (name!(object_name, String), name!(privilege, String))>, ErrorReport> {
    let revoked = security::with_safe_search_path(|| {
        check(role_name)?;
        change(role_name, "REVOKE", "FROM", |_| true)
    })?;
    Ok(TableIterator::new(revoked))
}

fn check(role_name: &str) -> error::Result<()> {
    let allowed = spi::read_one::<bool>(
        "SELECT pg_catalog.pg_has_role(e.extowner, 'USAGE') FROM pg_catalog.pg_extension AS e
          WHERE e.extname OPERATOR(pg_catalog.=) 'db_architect'",
        &[],
    );
    if allowed != Some(true) {
        return Err(Error::insufficient_privilege("permission denied to give access to db_architect")
            .detail("Only the extension's owner and superusers may.")
            .hint("Ask the role that ran CREATE EXTENSION."));
    }
    let exists = spi::read_one::<bool>(
        "SELECT true FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
        &[role_name.into()],
    );
    if exists.is_none() {
        return Err(Error::undefined_object(format!("role \"{role_name}\" does not exist"))
            .hint("CREATE ROLE first; PUBLIC cannot be given access."));
    }
    Ok(())
}

/// Grants or revokes schema, view and functions; the functions `concerned` picks.
fn change(
    role_name: &str,
    verb: &str,
    preposition: &str,
    concerned: impl Fn(&str) -> bool,
) -> error::Result<Vec<(String, String)>> {
    let role = pgrx::spi::quote_identifier(role_name);
    let functions = spi::read_now(
        "SELECT p.proname::pg_catalog.text, p.oid::pg_catalog.regprocedure::pg_catalog.text
           FROM pg_catalog.pg_depend AS d
           JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
           JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) d.objid
          WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
            AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
            AND d.deptype OPERATOR(pg_catalog.=) 'e' AND e.extname OPERATOR(pg_catalog.=) 'db_architect'
            AND p.prorettype OPERATOR(pg_catalog.<>) 'pg_catalog.event_trigger'::pg_catalog.regtype
          ORDER BY 2",
        &[],
        |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
    )?;
    let mut objects =
        vec![("SCHEMA architect".to_owned(), "USAGE"), ("TABLE architect.index_usage".to_owned(), "SELECT")];
    if crate::capture::policy::Kind::Audit.storage_exists() {
        objects.push(("TABLE architect.audit_log".to_owned(), "SELECT"));
    }
    if crate::capture::policy::Kind::Feed.storage_exists() {
        objects.push(("TABLE architect.change_log".to_owned(), "SELECT"));
    }
    objects.extend(
        functions
            .into_iter()
            .filter(|(name, _)| concerned(name))
            .map(|(_, signature)| (format!("ROUTINE {signature}"), "EXECUTE")),
    );
    let mut done = Vec::new();
    for (object, privilege) in objects {
        spi::run(&format!("{verb} {privilege} ON {object} {preposition} {role}"), &[])?;
        done.push((object, privilege.to_owned()));
    }
    Ok(done)
}

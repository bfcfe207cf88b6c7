//! Who may decide about declarations, requests and holds that exist already: who owns the table they are about.

use super::catalogue;
use crate::catalog::relation::Relation;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi};

/// Fails unless the caller has the rights of the owner of a table named in our storage. Where no such table exists
/// any more, only the extension's owner may.
pub fn on_table(schema: &str, table: &str, action: &str) -> Result<()> {
    match lookup::relation_named(schema, table) {
        Some(relid) => Relation::owned_table(relid, action).map(drop),
        None => {
            of_extension_owner(&format!("Table {} does not exist.", lookup::qualify(schema, table)), action)
        }
    }
}

/// Fails unless the caller has the rights of the owner of the persons' own table.
pub fn on_subject(subject_type: &str, action: &str) -> Result<()> {
    match catalogue::subjects()?.into_iter().find(|subject| subject.subject_type == subject_type) {
        Some(subject) => on_table(&subject.schema, &subject.table, action),
        None => of_extension_owner(&format!("Subject type {subject_type} is not declared."), action),
    }
}

/// Fails unless the caller may decide about requests of a kind of person: the privacy officer may, and who has the rights
/// of the owner of the persons' table.
pub fn to_decide(subject_type: &str) -> Result<()> {
    if is_officer() {
        return Ok(());
    }
    on_subject(subject_type, "decide about requests for").map_err(|error| {
        error.hint("Call this as the owner of the persons' table, or as the privacy officer: set_privacy_rules(officer => ...).")
    })
}

/// Fails unless the caller may change the house rules: the privacy officer, or who has the rights of the extension's owner.
pub fn to_set_rules() -> Result<()> {
    if is_officer() || lookup::extension_owner().is_some_and(security::has_rights_of) {
        return Ok(());
    }
    Err(Error::insufficient_privilege("permission denied to change the privacy rules")
        .detail("The rules are the privacy officer's, and the extension owner's.")
        .hint("The owner of the extension can call architect.set_privacy_rules(officer => ...)."))
}

/// Fails unless the caller has the rights of the extension's owner and the role, where one is named, is there.
pub fn to_name_officer(role: &str) -> Result<()> {
    if !lookup::extension_owner().is_some_and(security::has_rights_of) {
        return Err(Error::insufficient_privilege("permission denied to name the privacy officer")
            .hint("Call this as the owner of the extension or as a superuser."));
    }
    let there = spi::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
        &[role.into()],
    );
    if there.is_none() && !role.is_empty() {
        return Err(Error::undefined_object(format!("role \"{role}\" does not exist")));
    }
    Ok(())
}

/// Whether the caller is a member of the role that was made privacy officer.
fn is_officer() -> bool {
    let me = security::current_role();
    security::as_extension_owner(|| {
        spi::read_one_now::<bool>(
            "SELECT pg_catalog.pg_has_role($1, r.oid, 'USAGE') FROM architect.privacy_setting AS s
               JOIN pg_catalog.pg_roles AS r ON r.rolname OPERATOR(pg_catalog.=) s.officer",
            &[me.into()],
        )
    }) == Some(true)
}

fn of_extension_owner(detail: &str, action: &str) -> Result<()> {
    if lookup::extension_owner().is_some_and(security::has_rights_of) {
        return Ok(());
    }
    Err(Error::insufficient_privilege(format!("permission denied to {action} a table that does not exist"))
        .detail(detail.to_owned())
        .hint("Call this as the owner of the extension or as a superuser."))
}

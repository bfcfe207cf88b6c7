//! Who may decide about declarations, requests and holds that exist already: who owns the table they are about.

use super::catalogue;
use crate::catalog::relation::Relation;
use crate::error::{Error, Result};
use crate::pg::{lookup, security};

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

fn of_extension_owner(detail: &str, action: &str) -> Result<()> {
    if lookup::extension_owner().is_some_and(security::has_rights_of) {
        return Ok(());
    }
    Err(Error::insufficient_privilege(format!("permission denied to {action} a table that does not exist"))
        .detail(detail.to_owned())
        .hint("Call this as the owner of the extension or as a superuser."))
}

//! Who may use a consumer: whoever has the rights of the role that made it, and the extension's owner. Its events
//! are rows of tables, so making one takes what reading those takes.

use super::state::{self, Consumer};
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;

/// Whether the current role has the rights of the extension's owner: superusers have.
fn is_admin() -> bool {
    lookup::extension_owner().is_some_and(security::has_rights_of)
}

fn may_use(consumer: &Consumer) -> bool {
    let owner = consumer.owner();
    owner == Some(security::current_role()) || owner.is_some_and(security::has_rights_of) || is_admin()
}

/// Refuses a caller who may not use a consumer. To be called as the caller.
pub fn check(consumer: &str) -> Result<()> {
    check_found(&security::as_extension_owner(|| Consumer::find(consumer))?)
}

pub fn check_found(consumer: &Consumer) -> Result<()> {
    if may_use(consumer) {
        return Ok(());
    }
    Err(Error::insufficient_privilege(format!("permission denied for consumer \"{}\"", consumer.name))
        .detail(format!("It belongs to role \"{}\", who made it.", consumer.owner_name()))
        .hint("Use it as a member of that role, or make a consumer of your own."))
}

/// Names of the consumers the caller may use.
pub fn usable() -> Result<Vec<String>> {
    if !state::exists() {
        return Ok(Vec::new());
    }
    let all = security::as_extension_owner(Consumer::all)?;
    Ok(all.into_iter().filter(may_use).map(|consumer| consumer.name).collect())
}

/// Refuses a caller who may not read what a new consumer would: its tables, or the feed if it wants all.
pub fn check_tables(tables: Option<&[pg_sys::Oid]>) -> Result<()> {
    let (relations, all) = match tables {
        Some(tables) => (tables.to_vec(), false),
        None => (lookup::own_relation("change_log").into_iter().collect(), true),
    };
    for relid in relations {
        let role = security::current_role();
        let allowed = spi::read_one::<bool>(
            "SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, $2::pg_catalog.oid, 'SELECT')",
            &[role.into(), relid.into()],
        );
        if allowed != Some(true) && !is_admin() {
            let name = lookup::qualified_name(relid).unwrap_or_else(|| relid.to_u32().to_string());
            let error = Error::insufficient_privilege(format!("permission denied for {name}"))
                .detail(format!("Role \"{}\" may not select from {name}.", security::role_name(role)));
            return Err(if all {
                error.hint("Name the tables the consumer is to get, or GRANT SELECT on the view: this consumer would get the changes of every captured table.")
            } else {
                error.hint("GRANT SELECT on the table to the role, or leave the table out.")
            });
        }
        let hidden = spi::read_one::<bool>(
            "SELECT pg_catalog.row_security_active($1::pg_catalog.oid)",
            &[relid.into()],
        );
        if hidden == Some(true) && !is_admin() {
            let name = lookup::qualified_name(relid).unwrap_or_else(|| relid.to_u32().to_string());
            return Err(Error::insufficient_privilege(format!("row-level security hides rows of {name}"))
                .detail(format!(
                    "Policies apply to role \"{}\"; a consumer gets the changes of every row.",
                    security::role_name(role)
                ))
                .hint("Let a role make the consumer that may see every row, and be a member of that role."));
        }
    }
    Ok(())
}

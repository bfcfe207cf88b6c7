//! Tables of our own that the engine keeps: what must be asked, and said, before their partitions change.
//! The table's room implements it; the engine knows no more of it than this.

use super::policy::Fate;
use super::table::{Parent, Partition};
use crate::catalog::relation::Relation;
use crate::error::Result;
use crate::pg::{lookup, spi};
use pgrx::pg_sys;

/// A partitioned table whose rows are keyed by the clock as they are written, below constraints and triggers,
/// and that has a default partition so that none is ever refused.
pub trait Guard: Sync {
    /// Its name, in the extension's schema.
    fn table(&self) -> &'static str;

    /// A partition has just been made, and is not attached yet.
    fn made(&self, name: &str) -> Result<()>;

    /// Why a partition past keeping must stay for now.
    fn objection(&self, partition: &Partition) -> Result<Option<String>>;

    /// A partition is about to be detached, in this transaction; nobody can write to it. Returns what is worth
    /// noting about it.
    fn leaving(&self, partition: &Partition, fate: &Fate) -> Result<String>;
}

/// Those there are.
const GUARDS: &[&dyn Guard] = &[&crate::audit::keeping::LOG];

#[must_use]
pub fn of(relid: pg_sys::Oid) -> Option<&'static dyn Guard> {
    GUARDS.iter().copied().find(|guard| lookup::own_relation(guard.table()) == Some(relid))
}

#[must_use]
pub fn of_parent(parent: &Parent) -> Option<&'static dyn Guard> {
    GUARDS
        .iter()
        .copied()
        .find(|guard| guard.table() == parent.name && lookup::own_relation(guard.table()) == Some(parent.oid))
}

/// A table, or a partition, that the caller must own to have its partitions kept in some way: of ours only those
/// the engine keeps.
pub fn owned_table(relid: pg_sys::Oid, action: &str) -> Result<Relation> {
    if of(relid).or_else(|| of(parent_of(relid)?)).is_some() {
        Relation::owned_even_if_ours(relid, action)
    } else {
        Relation::owned_table(relid, action)
    }
}

fn parent_of(relid: pg_sys::Oid) -> Option<pg_sys::Oid> {
    spi::read_one_now::<pg_sys::Oid>(
        "SELECT i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid OPERATOR(pg_catalog.=) $1",
        &[relid.into()],
    )
}

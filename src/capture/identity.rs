//! Keeping stored policies in step with the tables they are about: names after a rename, identifiers
//! after a restore.

use crate::capture::plan;
use crate::capture::policy::{self, Columns, Kind, Policy};
use crate::capture::shape::Shape;
use crate::catalog::relation;
use crate::error::Result;
use crate::pg::table::Table;
use crate::pg::{ffi, invalidation, lookup, security, spi};
use pgrx::pg_sys;

/// Brings the policies of `relid` (or of every table) up to date with its names and columns, and stores
/// what it looks like now. To be called after DDL.
pub fn follow_renames(kind: Kind, relid: Option<pg_sys::Oid>) -> Result<()> {
    if !kind.storage_exists() || !policy::identifiers_are_ours()? {
        return Ok(());
    }
    let wanted = |about: &policy::About| about.enabled() && relid.is_none_or(|relid| about.relid() == relid);
    for policy in &policy::select(kind, wanted)? {
        let Some(attributes) =
            Table::open(policy.relid, pg_sys::AccessShareLock as i32).map(|t| t.attributes())
        else {
            continue;
        };
        let schema = lookup::relation_schema(policy.relid).unwrap_or_default();
        let name = lookup::relation_name(policy.relid).unwrap_or_default();
        let now_called = |set: &Columns| -> Vec<String> {
            let renamed = |(i, name): (usize, &String)| match set.numbers.get(i) {
                Some(&number) if !attributes.iter().any(|a| !a.dropped && a.name == *name) => attributes
                    .get(number as usize - 1)
                    .filter(|a| !a.dropped)
                    .map_or_else(|| name.clone(), |a| a.name.clone()),
                _ => name.clone(),
            };
            set.names.iter().enumerate().map(renamed).collect()
        };
        let now = |set: &Columns| Columns { names: now_called(set), numbers: set.numbers.clone() };
        let renamed = Policy {
            schema_name: schema,
            table_name: name,
            include: policy.include.as_ref().map(now),
            exclude: now(&policy.exclude),
            masked: now(&policy.masked),
            key: policy.key.as_ref().map(now),
            ..policy.clone()
        };
        if renamed != *policy {
            rename(kind, &renamed)?;
        }
    }
    Ok(())
}

/// Follows the rename of a schema whose new tables are recorded.
pub fn follow_schema_rename(kind: Kind, schema: pg_sys::Oid) -> Result<()> {
    let Some(name) = lookup::schema_name(schema).filter(|_| kind.storage_exists()) else { return Ok(()) };
    security::as_extension_owner(|| {
        spi::run(
            &format!(
                "UPDATE architect.{} AS s SET schema_name = $1
                  WHERE s.schema_oid OPERATOR(pg_catalog.=) $2 AND s.schema_name OPERATOR(pg_catalog.<>) $1",
                kind.schemas()
            ),
            &[name.into(), schema.into()],
        )
    })?;
    Ok(())
}

fn rename(kind: Kind, renamed: &Policy) -> Result<()> {
    security::as_extension_owner(|| -> Result<()> {
        spi::run(
            &format!(
                "UPDATE architect.{}
                    SET schema_name = $2, table_name = $3, include_columns = $4, exclude_columns = $5
                  WHERE table_id OPERATOR(pg_catalog.=) $1",
                kind.policies()
            ),
            &[
                renamed.table_id.into(),
                renamed.schema_name.as_str().into(),
                renamed.table_name.as_str().into(),
                renamed.include.as_ref().map(|set| set.names.clone()).into(),
                renamed.exclude.names.clone().into(),
            ],
        )?;
        if kind == Kind::Feed {
            spi::run(
                "UPDATE architect.cdc_table SET mask_columns = $2, key_columns = $3
                  WHERE table_id OPERATOR(pg_catalog.=) $1",
                &[
                    renamed.table_id.into(),
                    renamed.masked.names.clone().into(),
                    renamed.key.as_ref().map(|set| set.names.clone()).into(),
                ],
            )?;
        }
        Ok(())
    })?;
    describe(renamed, renamed.relid)?;
    announce(renamed.relid)
}

/// Makes every session plan anew for a table and its partitions.
pub fn announce(relid: pg_sys::Oid) -> Result<()> {
    for oid in relation::partitions(relid)?.into_iter().chain([relid]) {
        invalidation::announce(oid);
    }
    Ok(())
}

/// Looks tables up by name and stores their identifiers: after a restore into another database.
pub fn look_up_again() -> Result<()> {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.storage_exists()) {
        look_up_kind_again(kind)?;
    }
    Ok(())
}

fn look_up_kind_again(kind: Kind) -> Result<()> {
    for policy in policy::all(kind)?.iter().filter(|p| p.enabled) {
        let found = spi::read_one_now::<pg_sys::Oid>(
            "SELECT c.oid FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
              WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.name",
            &[policy.schema_name.as_str().into(), policy.table_name.as_str().into()],
        );
        // A number that means another table here must not stay.
        let relid = found.unwrap_or(pg_sys::InvalidOid);
        number(policy, relid)?;
        if found.is_some() {
            describe(policy, relid)?;
            announce(relid)?;
        }
    }
    spi::run(
        &format!(
            "UPDATE architect.{} AS s
                SET schema_oid = COALESCE((SELECT n.oid FROM pg_catalog.pg_namespace AS n
                                            WHERE n.nspname OPERATOR(pg_catalog.=) s.schema_name::pg_catalog.name), 0)",
            kind.schemas()
        ),
        &[],
    )?;
    Ok(())
}

/// Has a policy be about a relation that has its table's name and columns now.
pub fn point_to(policy: &Policy, relid: pg_sys::Oid) -> Result<()> {
    number(policy, relid)?;
    if policy.enabled { describe(policy, relid) } else { Ok(()) }
}

/// Stores a policy's table, and its columns, by their numbers.
fn number(policy: &Policy, relid: pg_sys::Oid) -> Result<()> {
    let include = policy.include.as_ref().map(|set| numbers(relid, &set.names));
    spi::run(
        &format!(
            "UPDATE architect.{} SET relid = $2, include_attnums = $3, exclude_attnums = $4
              WHERE table_id OPERATOR(pg_catalog.=) $1",
            policy.kind.policies()
        ),
        &[policy.table_id.into(), relid.into(), include.into(), numbers(relid, &policy.exclude.names).into()],
    )?;
    if policy.kind == Kind::Feed {
        let key = policy.key.as_ref().map(|set| numbers(relid, &set.names));
        spi::run(
            "UPDATE architect.cdc_table SET mask_attnums = $2, key_attnums = $3
              WHERE table_id OPERATOR(pg_catalog.=) $1",
            &[policy.table_id.into(), numbers(relid, &policy.masked.names).into(), key.into()],
        )?;
    }
    Ok(())
}

/// Attribute numbers of columns, in the order named; 0 for one that is not there.
pub fn numbers(relid: pg_sys::Oid, columns: &[String]) -> Vec<i16> {
    columns.iter().map(|column| relation::column_number(relid, column).unwrap_or(0)).collect()
}

/// Stores what a table looks like under a policy, so that the first writer need not.
pub fn describe(policy: &Policy, relid: pg_sys::Oid) -> Result<()> {
    let Some(table) = Table::open(relid, pg_sys::AccessShareLock as i32) else { return Ok(()) };
    let top = ffi::partition_ancestors(relid).last().copied().unwrap_or(relid);
    let attributes = table.attributes();
    let key = plan::key_columns(policy, &table, &attributes, |name| relation::column_number(top, name));
    Shape::of(policy, relid, top, &attributes, &key).relation_id().map(|_| ())
}

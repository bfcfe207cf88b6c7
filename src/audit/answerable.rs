//! What the log can answer about a table: since when it has every change, and which of its shapes a
//! question is about.

use crate::audit::lineage::LoggedShape;
use crate::audit::partitions;
use crate::audit::settings;
use crate::audit::subject::Subject;
use crate::catalog::relation;
use crate::error::{Error, Result};
use crate::pg::datum::timestamptz;
use crate::pg::table::Table;
use crate::pg::{lookup, rows, security, spi};
use pgrx::pg_sys;

/// Refuses what the log cannot answer.
pub fn check(subject: &Subject, relid: pg_sys::Oid, time: i64) -> Result<()> {
    let name = &subject.name;
    let Some((policy, _)) = &subject.policy else {
        return Err(Error::not_in_prerequisite_state(format!("table {name} is not audited"))
            .detail("What has changed since its audit was disabled is not known.")
            .hint("architect.audit_log still has what was recorded until then."));
    };
    let missing = ["insert", "update", "delete"]
        .iter()
        .find(|operation| !policy.operations.iter().any(|o| o == *operation));
    if let Some(operation) = missing {
        return Err(Error::not_in_prerequisite_state(format!(
            "the audit of table {name} does not record {operation}s"
        ))
        .detail(format!("Operations recorded: {}.", policy.operations.join(", ")))
        .hint("Call architect.enable_audit() with all operations; from then on earlier rows can be shown."));
    }
    let keyed =
        Table::open(relid, pg_sys::AccessShareLock as i32).is_some_and(|t| !t.key_columns().is_empty());
    if !keyed {
        return Err(Error::not_in_prerequisite_state(format!("table {name} has no key"))
            .detail("Without a primary key or replica identity no entry can be matched with its row.")
            .hint("Give the table a primary key; changes from then on can be undone."));
    }
    let earliest = security::as_extension_owner(|| earliest(policy.table_id))?;
    if time >= earliest {
        return Ok(());
    }
    Err(Error::invalid_parameter(format!("table {name} was not audited at that time"))
        .detail(format!("The earliest time that can be shown is {}.", time_text(earliest)))
        .hint("architect.audit_log may have earlier changes, from before the audit was interrupted."))
}

/// Since when every change of the table is in the log.
pub fn earliest(table_id: i32) -> Result<i64> {
    let mut found = i64::MAX;
    rows::each(
        "SELECT t.enabled_at FROM architect.audit_table AS t WHERE t.table_id OPERATOR(pg_catalog.=) $1",
        &[table_id.into()],
        |row| {
            found = row.get(0).unwrap_or(i64::MAX);
            Ok(())
        },
    )?;
    if settings::keeps_everything()? {
        return Ok(found);
    }
    // Where old months go, what the log begins with is all there is.
    let first = partitions::all()?.into_iter().filter_map(|month| month.low).min().filter(|low| *low > found);
    let Some(first) = first else { return Ok(found) };
    let older = spi::read_one::<bool>(
        "SELECT EXISTS (SELECT FROM architect.audit_entry AS e WHERE e.changed_at OPERATOR(pg_catalog.<) $1)",
        &[timestamptz(first).into()],
    );
    Ok(if older == Some(true) { found } else { first })
}

pub fn time_text(time: i64) -> String {
    spi::read_one::<String>("SELECT $1::pg_catalog.text", &[timestamptz(time).into()]).unwrap_or_default()
}

/// Shapes of a relation and its partitions, and those of the tables it is a partition of.
pub fn relevant(subject: &Subject, relid: pg_sys::Oid) -> Result<(Vec<i32>, Vec<i32>)> {
    let Some((policy, top)) = &subject.policy else { return Ok(Default::default()) };
    let of_table = subject.lineage.shapes.iter().filter(|s| s.table_id == policy.table_id);
    if relid == *top {
        return Ok((of_table.map(|s| s.relation_id).collect(), Vec::new()));
    }
    let mut below: Vec<u32> = relation::partitions(relid)?.iter().map(|oid| oid.to_u32()).collect();
    below.push(relid.to_u32());
    let named = (lookup::relation_schema(relid), lookup::relation_name(relid));
    let belongs = |s: &&LoggedShape| {
        let name = s.partition.as_ref().map(|(schema, name)| (Some(schema.clone()), Some(name.clone())));
        if s.ours { below.contains(&s.relid) } else { name.as_ref() == Some(&named) }
    };
    let (mine, other): (Vec<&LoggedShape>, Vec<&LoggedShape>) = of_table.partition(belongs);
    let whole = other.into_iter().filter(|s| s.partition.is_none());
    Ok((mine.into_iter().map(|s| s.relation_id).collect(), whole.map(|s| s.relation_id).collect()))
}

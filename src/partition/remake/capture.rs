//! Notes the keys of rows that change while their partition is copied.

use crate::error::{Error, Result};
use crate::pg::table::Table;
use crate::pg::trigger::{Event, Outcome, TriggerCall, protocol_violation};
use crate::pg::tuple::{Row, same_image};
use pgrx::pg_sys;
use pgrx::prelude::*;

const FUNCTION: &str = "architect.note_changed_key";

crate::export_trigger!(architect_note_changed_key, pg_finfo_architect_note_changed_key, note);

/// Arguments: the OID of the table of noted keys, then the attribute numbers of the key.
fn note(call: &TriggerCall) -> Result<Outcome> {
    if call.event() == Event::Truncate {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            "cannot truncate a partition that is being split or merged",
        )
        .hint("Wait for it, or CALL architect.abort_partition_operation() for the partition."));
    }
    if !call.is_row() || !call.is_after() {
        return Err(protocol_violation(FUNCTION, "AFTER INSERT, UPDATE or DELETE FOR EACH ROW"));
    }
    let arguments = call.arguments();
    let numbers: Option<Vec<usize>> = arguments.iter().map(|argument| argument.parse().ok()).collect();
    let Some((noted, key)) = numbers.as_deref().and_then(|numbers| numbers.split_first()) else {
        return Err(protocol_violation(FUNCTION, "with the arguments split_partition() gives it"));
    };
    let noted = Table::open(pg_sys::Oid::from(*noted as u32), pg_sys::RowExclusiveLock as i32);
    let Some(noted) = noted.filter(|noted| fits(call, noted, key)) else {
        return Err(Error::not_in_prerequisite_state("the changes of this partition cannot be noted")
            .detail("It is being split or merged, and its key is not what it was when that began.")
            .hint("CALL architect.abort_partition_operation() for the partition."));
    };
    let append = |row: &Row| {
        let values = row.values();
        let key: Vec<_> = key.iter().map(|number| values.get(number - 1).datum()).collect();
        noted.append(&key)
    };
    match (call.old(), call.new_row()) {
        (Some(old), Some(new)) => {
            append(&old)?;
            if !same_key(call, &old, &new, key) {
                append(&new)?;
            }
        }
        (Some(row), None) | (None, Some(row)) => append(&row)?,
        (None, None) => {}
    }
    Ok(Outcome::Unchanged)
}

/// Whether the table takes this key, and belongs to whom the partition does: a trigger made by hand must
/// not write to somebody else's table.
fn fits(call: &TriggerCall, noted: &Table, key: &[usize]) -> bool {
    let (source, target) = (call.attributes(), noted.attributes());
    target.len() == key.len()
        && noted.is_heap()
        && noted.owner() == call.owner()
        && key.iter().zip(&target).all(|(number, target)| {
            number
                .checked_sub(1)
                .and_then(|index| source.get(index))
                .is_some_and(|source| !source.dropped && source.type_oid == target.type_oid)
        })
}

fn same_key(call: &TriggerCall, old: &Row, new: &Row, key: &[usize]) -> bool {
    let attributes = call.attributes();
    let (old, new) = (old.values(), new.values());
    key.iter().all(|number| {
        let index = number - 1;
        same_image(attributes[index].storage, old.get(index), new.get(index))
    })
}

//! Images and keys of rows as JSON text.

use crate::capture::plan::Plan;
use crate::capture::policy::OnError;
use crate::error::{Error, Result};
use crate::pg::encode::Oversize;
use crate::pg::tuple::{Value, Values, same_image};
use pgrx::prelude::*;

/// Most bytes of one image. jsonb holds 2^28 - 1 bytes of values; the rest is room for markers.
const LIMIT: usize = 250_000_000;

/// Appends `{"column":value,...}` of every recorded column.
pub fn row(plan: &Plan, values: &Values, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    let mut first = true;
    for (i, column) in plan.columns.iter().enumerate().filter(|(_, column)| column.recorded) {
        separate(&mut first, out);
        out.extend_from_slice(&column.label);
        write(plan, i, values.get(i), out)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends `{"column":[old,new],...}` of every recorded column that changed; says whether any did.
pub fn changes(plan: &Plan, old: &Values, new: &Values, out: &mut Vec<u8>) -> Result<bool> {
    out.push(b'{');
    let mut first = true;
    for (i, column) in plan.columns.iter().enumerate().filter(|(_, column)| column.recorded) {
        let (before, after) = (old.get(i), new.get(i));
        if same_image(column.storage, before, after) {
            continue;
        }
        separate(&mut first, out);
        out.extend_from_slice(&column.label);
        out.push(b'[');
        write(plan, i, before, out)?;
        out.push(b',');
        write(plan, i, after, out)?;
        out.push(b']');
    }
    out.push(b'}');
    Ok(!first)
}

/// Appends the row's key: the value of its only column, or an array of the values; says whether the
/// relation has a key.
pub fn key(plan: &Plan, values: &Values, out: &mut Vec<u8>) -> Result<bool> {
    match plan.key.as_slice() {
        [] => return Ok(false),
        [only] => write_key(plan, *only, values.get(*only), out)?,
        several => {
            out.push(b'[');
            let mut first = true;
            for &column in several {
                separate(&mut first, out);
                write_key(plan, column, values.get(column), out)?;
            }
            out.push(b']');
        }
    }
    Ok(true)
}

/// Whether two versions of a row have the same key.
pub fn same_key(plan: &Plan, old: &Values, new: &Values) -> bool {
    plan.key.iter().all(|&i| same_image(plan.columns[i].storage, old.get(i), new.get(i)))
}

fn separate(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}

fn write(plan: &Plan, column: usize, value: Value, out: &mut Vec<u8>) -> Result<()> {
    match plan.encoder.write(column, value, out, LIMIT) {
        Ok(()) => Ok(()),
        Err(oversize) => omit(plan, column, &oversize, out),
    }
}

fn write_key(plan: &Plan, column: usize, value: Value, out: &mut Vec<u8>) -> Result<()> {
    match plan.encoder.write_key(column, value, out, LIMIT) {
        Ok(()) => Ok(()),
        Err(oversize) => omit(plan, column, &oversize, out),
    }
}

/// Stands in for a value too large to keep, unless the policy says to fail.
fn omit(plan: &Plan, column: usize, oversize: &Oversize, out: &mut Vec<u8>) -> Result<()> {
    if plan.on_error == OnError::Fail {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("value of column \"{}\" is too large to be audited", plan.columns[column].name),
        )
        .detail(format!("The value has {} bytes; an image of a row of table {} may have {LIMIT}.", oversize.bytes, plan.table))
        .hint("Exclude the column from the audit, or audit the table with on_error => 'degrade' to record length and hash only."));
    }
    oversize.mark(out);
    Ok(())
}

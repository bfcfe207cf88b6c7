//! Images and keys of rows as JSON text.

use crate::capture::plan::{Field, Part, Plan};
use crate::capture::policy::{Image, Mask, OnError};
use crate::capture::redaction;
use crate::error::{Error, Result};
use crate::pg::encode::Oversize;
use crate::pg::tuple::{Value, Values, same_image};
use pgrx::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Write;

/// Most bytes of one image. jsonb holds 2^28 - 1 bytes of values; the rest is room for markers.
const LIMIT: usize = 250_000_000;

/// Appends `{"column":value,...}` of every recorded column.
pub fn row(plan: &Plan, part: &Part, values: &Values, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    let mut first = true;
    for field in &part.fields {
        separate(&mut first, out);
        out.extend_from_slice(&plan.columns[field.column].label);
        write(plan, part, *field, values.get(field.column), out)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends the image of an update; returns where in it `{"column":[old,new],...}` of what changed is, none
/// where nothing recorded did.
pub fn update(
    plan: &Plan,
    part: &Part,
    old: &Values,
    new: &Values,
    out: &mut Vec<u8>,
) -> Result<Option<std::ops::Range<usize>>> {
    if part.image == Image::Full {
        before(plan, part, old, out)?;
    }
    let start = out.len();
    let changed = changes(plan, part, old, new, out)?;
    let range = start..out.len();
    if part.image == Image::Full {
        out.push(b'}');
    }
    Ok(changed.then_some(range))
}

/// The image of an update from what changed, as `update` found it for another part with the same columns.
pub fn update_from(plan: &Plan, part: &Part, old: &Values, changes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match part.image {
        Image::Changed => out.extend_from_slice(changes),
        Image::Full => {
            before(plan, part, old, out)?;
            out.extend_from_slice(changes);
            out.push(b'}');
        }
    }
    Ok(())
}

/// The first half of a full image: `{"row":{...},"changes":`.
fn before(plan: &Plan, part: &Part, old: &Values, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(b"{\"row\":");
    row(plan, part, old, out)?;
    out.extend_from_slice(b",\"changes\":");
    Ok(())
}

/// Appends `{"column":[old,new],...}` of every recorded column that changed; says whether any did.
fn changes(plan: &Plan, part: &Part, old: &Values, new: &Values, out: &mut Vec<u8>) -> Result<bool> {
    out.push(b'{');
    let mut first = true;
    for field in &part.fields {
        let (before, after) = (old.get(field.column), new.get(field.column));
        let column = &plan.columns[field.column];
        if same_image(column.storage, before, after) {
            continue;
        }
        separate(&mut first, out);
        out.extend_from_slice(&column.label);
        out.push(b'[');
        write(plan, part, *field, before, out)?;
        out.push(b',');
        write(plan, part, *field, after, out)?;
        out.push(b']');
    }
    out.push(b'}');
    Ok(!first)
}

/// Appends the row's key: the value of its only column, or an array of the values; says whether the
/// relation has a key.
pub fn key(plan: &Plan, part: &Part, values: &Values, out: &mut Vec<u8>) -> Result<bool> {
    match part.key.as_slice() {
        [] => return Ok(false),
        [only] => write_key(plan, part, *only, values.get(only.column), out)?,
        several => {
            out.push(b'[');
            let mut first = true;
            for field in several {
                separate(&mut first, out);
                write_key(plan, part, *field, values.get(field.column), out)?;
            }
            out.push(b']');
        }
    }
    Ok(true)
}

/// Whether two versions of a row have the same key.
pub fn same_key(plan: &Plan, part: &Part, old: &Values, new: &Values) -> bool {
    part.key.iter().all(|field| {
        same_image(plan.columns[field.column].storage, old.get(field.column), new.get(field.column))
    })
}

fn separate(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}

fn write(plan: &Plan, part: &Part, field: Field, value: Value, out: &mut Vec<u8>) -> Result<()> {
    // A masked value says nothing that must go.
    if redaction::is_on() && field.mask.is_none() && !value.is_null() {
        out.extend_from_slice(redaction::MARKER);
        return Ok(());
    }
    let start = out.len();
    match field.mask {
        Some(Mask::Null) => out.extend_from_slice(b"null"),
        Some(Mask::Constant) => out.extend_from_slice(b"\"***\""),
        Some(Mask::Hash) if value.is_null() => out.extend_from_slice(b"null"),
        None | Some(Mask::Hash) => {
            if let Err(oversize) = plan.encoder.write(field.column, value, out, LIMIT) {
                omit(plan, part, field.column, &oversize, out)?;
            }
        }
    }
    if field.mask == Some(Mask::Hash) {
        hash(start, out);
    }
    Ok(())
}

fn write_key(plan: &Plan, part: &Part, field: Field, value: Value, out: &mut Vec<u8>) -> Result<()> {
    if field.mask.is_some() {
        return write(plan, part, field, value, out);
    }
    match plan.encoder.write_key(field.column, value, out, LIMIT) {
        Ok(()) => Ok(()),
        Err(oversize) => omit(plan, part, field.column, &oversize, out),
    }
}

/// Replaces the value written from `start` on, unless it is null, by its hash.
pub fn hash(start: usize, out: &mut Vec<u8>) {
    if &out[start..] == b"null" {
        return;
    }
    let digest = Sha256::digest(&out[start..]);
    out.truncate(start);
    out.extend_from_slice(b"{\"sha256\":\"");
    hexadecimal(&digest, out);
    out.extend_from_slice(b"\"}");
}

fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

/// Stands in for a value too large to keep, unless the policy says to fail.
fn omit(plan: &Plan, part: &Part, column: usize, oversize: &Oversize, out: &mut Vec<u8>) -> Result<()> {
    if part.on_error == OnError::Fail {
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

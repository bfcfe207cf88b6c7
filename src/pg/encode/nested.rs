//! Values made of others: arrays and composites.

use super::{Kind, flattened, write};
use crate::pg::json;
use crate::pg::output::{Output, TooLarge};
use crate::pg::table::attributes_of;
use crate::pg::tuple::{Row, Value};
use pgrx::pg_sys;
use pgrx::varlena;
use std::io::Write;

/// How the values of an array type are written.
pub struct ArrayKind {
    type_oid: pg_sys::Oid,
    length: i16,
    by_value: bool,
    align: std::ffi::c_char,
    element: Kind,
    literal: Output,
}

impl ArrayKind {
    pub(super) fn of_type(
        type_oid: pg_sys::Oid,
        element: pg_sys::Oid,
        memory: pg_sys::MemoryContext,
    ) -> Self {
        let (mut length, mut by_value, mut align) = (0, false, 0);
        // SAFETY: a syscache look-up about an existing type.
        unsafe { pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align) };
        Self {
            type_oid: element,
            length,
            by_value,
            align,
            element: Kind::of_type_in(element, memory),
            literal: Output::of_type(type_oid, memory),
        }
    }

    pub(super) fn element(&self) -> &Kind {
        &self.element
    }
}

/// Appends an array; on `Err`, part of it.
pub(super) fn write_array(
    array: &ArrayKind,
    datum: pg_sys::Datum,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), TooLarge> {
    let room = limit.saturating_sub(out.len());
    let flat = flattened(datum, room)?;
    // SAFETY: a complete array value; after its header come ndim sizes and ndim lower bounds.
    unsafe {
        let header: *mut pg_sys::ArrayType = flat.cast_mut_ptr();
        let ndim = (*header).ndim as usize;
        let numbers: *const i32 = header.cast::<u8>().add(size_of::<pg_sys::ArrayType>()).cast();
        let sizes = std::slice::from_raw_parts(numbers, ndim);
        let bounds = std::slice::from_raw_parts(numbers.add(ndim), ndim);
        if ndim == 0 {
            out.extend_from_slice(b"[]");
            return Ok(());
        }
        // A nested JSON array stands for one more dimension, so elements that are arrays themselves
        // (json may be) need the literal; so do lower bounds other than 1.
        let shifted = bounds.iter().any(|&bound| bound != 1);
        let literal = match array.element {
            Kind::Json | Kind::Jsonb(_) | Kind::Array(_) => true,
            Kind::Composite | Kind::Other(_) => shifted,
            _ => false,
        };
        if literal {
            json::string(array.literal.text(flat, room)?, out);
            return Ok(());
        }
        let (mut datums, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(
            header,
            array.type_oid,
            i32::from(array.length),
            array.by_value,
            array.align,
            &mut datums,
            &mut nulls,
            &mut count,
        );
        let values: Vec<Value> =
            (0..count as usize).map(|i| Value { datum: *datums.add(i), null: *nulls.add(i) }).collect();
        if !shifted {
            return write_dimension(&array.element, sizes, &values, out, limit);
        }
        let mut text = Vec::new();
        for (size, bound) in sizes.iter().zip(bounds) {
            let _ = write!(text, "[{bound}:{}]", i64::from(*bound) + i64::from(*size) - 1);
        }
        text.push(b'=');
        write_literal(&array.element, sizes, &values, &mut text, room)?;
        json::string(&text, out);
        Ok(())
    }
}

/// `values` cut into as many equal parts as the outermost of the dimensions has.
fn parts<'a>(sizes: &[i32], values: &'a [Value]) -> std::slice::Chunks<'a, Value> {
    values.chunks((values.len() / sizes[0].max(1) as usize).max(1))
}

fn write_dimension(
    kind: &Kind,
    sizes: &[i32],
    values: &[Value],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), TooLarge> {
    out.push(b'[');
    for (i, part) in parts(sizes, values).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if sizes.len() > 1 {
            write_dimension(kind, &sizes[1..], part, out, limit)?;
        } else if part[0].null {
            out.extend_from_slice(b"null");
        } else {
            write(kind, part[0].datum, out, limit)?;
        }
    }
    out.push(b']');
    Ok(())
}

/// The braces of an array literal: not by the output function, which follows search_path, lc_monetary
/// and other settings where this does not.
fn write_literal(
    kind: &Kind,
    sizes: &[i32],
    values: &[Value],
    text: &mut Vec<u8>,
    limit: usize,
) -> Result<(), TooLarge> {
    let mut element = Vec::new();
    text.push(b'{');
    for (i, part) in parts(sizes, values).enumerate() {
        if i > 0 {
            text.push(b',');
        }
        if sizes.len() > 1 {
            write_literal(kind, &sizes[1..], part, text, limit)?;
        } else if part[0].null {
            text.extend_from_slice(b"NULL");
        } else {
            element.clear();
            write(kind, part[0].datum, &mut element, limit.saturating_sub(text.len()))?;
            json::array_element(&element, text);
        }
    }
    text.push(b'}');
    Ok(())
}

/// Appends a composite; on `Err`, part of it.
pub(super) fn write_composite(datum: pg_sys::Datum, out: &mut Vec<u8>, limit: usize) -> Result<(), TooLarge> {
    let flat = flattened(datum, limit.saturating_sub(out.len()))?;
    // SAFETY: a complete composite value carries its type; the descriptor is a palloc'd copy. Both
    // live in the current context.
    unsafe {
        // Composites nest as deep as their owner likes.
        pg_sys::check_stack_depth();
        let header: pg_sys::HeapTupleHeader = flat.cast_mut_ptr();
        let fields = (*header).t_choice.t_datum;
        let descriptor = pg_sys::lookup_rowtype_tupdesc_copy(fields.datum_typeid, fields.datum_typmod);
        let mut tuple = pg_sys::HeapTupleData {
            t_len: varlena::varsize(header.cast()) as u32,
            t_data: header,
            ..Default::default()
        };
        let row = Row { tuple: &mut tuple, descriptor, _lifetime: std::marker::PhantomData };
        let values = row.values();
        let mut first = true;
        out.push(b'{');
        for (i, attribute) in attributes_of(descriptor).iter().enumerate().filter(|(_, a)| !a.dropped) {
            if !first {
                out.push(b',');
            }
            first = false;
            json::string(attribute.name.as_bytes(), out);
            out.push(b':');
            let value = values.get(i);
            if value.null {
                out.extend_from_slice(b"null");
                continue;
            }
            let kind = Kind::of_type_in(attribute.type_oid, pg_sys::CurrentMemoryContext);
            write(&kind, value.datum, out, limit)?;
        }
        out.push(b'}');
    }
    Ok(())
}

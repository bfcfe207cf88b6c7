//! Values of any type as JSON text, exactly and whatever the session's settings.
//!
//! Numbers are JSON numbers, what JSON has no number for (NaN, infinity, -0) is the string PostgreSQL
//! would read back; dates are ISO 8601 in UTC; json and jsonb stand as they are; arrays and composites
//! are JSON arrays and objects where jsonb_populate_record can rebuild them from that, else their
//! literal; every other type is the string its output function gives under fixed settings.

use super::json;
use super::memory::OwnedContext;
use super::table::attributes_of;
use super::tuple::{Row, Value};
use pgrx::pg_sys;
use pgrx::varlena;
use sha2::{Digest, Sha256};
use std::io::Write;

/// How the values of a type are written.
pub enum Kind {
    Dropped,
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric(Output),
    Money,
    Oid,
    Text,
    Bytea,
    DateTime(pg_sys::Oid),
    Json,
    Jsonb(Output),
    Array(Box<ArrayKind>),
    Composite,
    Other(Output),
}

pub struct ArrayKind {
    type_oid: pg_sys::Oid,
    length: i16,
    by_value: bool,
    align: std::ffi::c_char,
    element: Kind,
    literal: Output,
}

/// An output function, looked up once.
pub struct Output(*mut pg_sys::FmgrInfo);

/// A value that jsonb could not hold, or that would make the whole image too large.
#[derive(Debug)]
pub struct Oversize {
    /// Bytes of the value, uncompressed.
    pub bytes: usize,
    pub sha256: [u8; 32],
}

/// Encodes the columns of one relation.
pub struct Encoder {
    kinds: Vec<Kind>,
    _memory: OwnedContext,
}

impl Encoder {
    pub fn new(kinds: Vec<Kind>, memory: OwnedContext) -> Self {
        Self { kinds, _memory: memory }
    }

    /// Appends a column's value to `out`, whose length may not grow past `limit`. On `Err`, `out` is
    /// as it was.
    #[inline]
    pub fn write(
        &self,
        column: usize,
        value: Value,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Oversize> {
        if value.null {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        write(&self.kinds[column], value.datum, out, limit)
    }

    /// Like `write`, but values that are equal as keys give equal text: 1.0 and 1.00 are both 1.
    pub fn write_key(
        &self,
        column: usize,
        value: Value,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Oversize> {
        let start = out.len();
        self.write(column, value, out, limit)?;
        if matches!(self.kinds[column], Kind::Numeric(_)) && out[start..].contains(&b'.') {
            while out.last() == Some(&b'0') {
                out.pop();
            }
            if out.last() == Some(&b'.') {
                out.pop();
            }
        }
        Ok(())
    }
}

impl Output {
    fn of_type(type_oid: pg_sys::Oid, memory: pg_sys::MemoryContext) -> Self {
        // SAFETY: every type has an output function; the FmgrInfo lives in `memory` with all it caches.
        unsafe {
            let mut function = pg_sys::InvalidOid;
            let mut is_varlena = false;
            pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut is_varlena);
            let info: *mut pg_sys::FmgrInfo =
                pg_sys::MemoryContextAllocZero(memory, size_of::<pg_sys::FmgrInfo>()).cast();
            pg_sys::fmgr_info_cxt(function, info, memory);
            Self(info)
        }
    }

    fn call(&self, datum: pg_sys::Datum) -> &[u8] {
        // SAFETY: the function belongs to the datum's type; its result is a palloc'd C string in the
        // current context, which outlives the row being encoded.
        unsafe { std::ffi::CStr::from_ptr(pg_sys::OutputFunctionCall(self.0, datum)).to_bytes() }
    }
}

impl Kind {
    /// How to write values of a type; function caches live as long as `memory`.
    pub fn of_type(type_oid: pg_sys::Oid, memory: &OwnedContext) -> Self {
        Self::of_type_in(type_oid, memory.raw())
    }

    fn of_type_in(declared: pg_sys::Oid, memory: pg_sys::MemoryContext) -> Self {
        // SAFETY: syscache look-ups about an existing type.
        let type_oid = unsafe { pg_sys::getBaseType(declared) };
        match type_oid {
            pg_sys::BOOLOID => Self::Bool,
            pg_sys::INT2OID => Self::Int2,
            pg_sys::INT4OID => Self::Int4,
            pg_sys::INT8OID => Self::Int8,
            pg_sys::FLOAT4OID => Self::Float4,
            pg_sys::FLOAT8OID => Self::Float8,
            pg_sys::NUMERICOID => Self::Numeric(Output::of_type(type_oid, memory)),
            pg_sys::MONEYOID => Self::Money,
            // Names of objects depend on search_path and do not survive a drop; the number is exact.
            pg_sys::OIDOID
            | pg_sys::REGPROCOID
            | pg_sys::REGPROCEDUREOID
            | pg_sys::REGOPEROID
            | pg_sys::REGOPERATOROID
            | pg_sys::REGCLASSOID
            | pg_sys::REGTYPEOID
            | pg_sys::REGROLEOID
            | pg_sys::REGNAMESPACEOID
            | pg_sys::REGCONFIGOID
            | pg_sys::REGDICTIONARYOID
            | pg_sys::REGCOLLATIONOID => Self::Oid,
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => Self::Text,
            pg_sys::BYTEAOID => Self::Bytea,
            pg_sys::DATEOID
            | pg_sys::TIMESTAMPOID
            | pg_sys::TIMESTAMPTZOID
            | pg_sys::TIMEOID
            | pg_sys::TIMETZOID => Self::DateTime(type_oid),
            pg_sys::JSONOID => Self::Json,
            pg_sys::JSONBOID => Self::Jsonb(Output::of_type(type_oid, memory)),
            // Not subscripted from 1: their literal is the only exact form.
            pg_sys::INT2VECTOROID | pg_sys::OIDVECTOROID => Self::Other(Output::of_type(type_oid, memory)),
            _ => Self::of_constructed_type(type_oid, memory),
        }
    }

    fn of_constructed_type(type_oid: pg_sys::Oid, memory: pg_sys::MemoryContext) -> Self {
        // SAFETY: syscache look-ups about an existing type.
        unsafe {
            let element = pg_sys::get_element_type(type_oid);
            if element != pg_sys::InvalidOid {
                let (mut length, mut by_value, mut align) = (0, false, 0);
                pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
                return Self::Array(Box::new(ArrayKind {
                    type_oid: element,
                    length,
                    by_value,
                    align,
                    element: Self::of_type_in(element, memory),
                    literal: Output::of_type(type_oid, memory),
                }));
            }
            if pg_sys::type_is_rowtype(type_oid) {
                return Self::Composite;
            }
        }
        Self::Other(Output::of_type(type_oid, memory))
    }
}

fn write(kind: &Kind, datum: pg_sys::Datum, out: &mut Vec<u8>, limit: usize) -> Result<(), Oversize> {
    let start = out.len();
    let room = limit.saturating_sub(start);
    match kind {
        Kind::Dropped => out.extend_from_slice(b"null"),
        Kind::Bool => out.extend_from_slice(if datum.value() & 0xff != 0 { b"true" } else { b"false" }),
        Kind::Int2 => integer(i64::from(datum.value() as i16), out),
        Kind::Int4 => integer(i64::from(datum.value() as i32), out),
        Kind::Int8 => integer(datum.value() as i64, out),
        Kind::Oid => {
            out.push(b'"');
            integer(i64::from(datum.value() as u32), out);
            out.push(b'"');
        }
        Kind::Money => {
            let cents = datum.value() as i64;
            let sign = if cents < 0 { "-" } else { "" };
            let _ = write!(out, "{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
        }
        Kind::Float4 => json::float(f32::from_bits(datum.value() as u32), out),
        Kind::Float8 => json::float(f64::from_bits(datum.value() as u64), out),
        Kind::Numeric(output) => json::number(output.call(datum), out),
        Kind::DateTime(type_oid) => date_time(datum, *type_oid, out),
        Kind::Text => {
            let bytes = detoasted(datum, room)?;
            json::string(bytes, out);
        }
        Kind::Bytea => {
            let bytes = detoasted(datum, room / 2)?;
            json::hex(bytes, out);
        }
        Kind::Json => {
            let bytes = detoasted(datum, room)?;
            if json::fits_jsonb(bytes) { out.extend_from_slice(bytes) } else { json::string(bytes, out) }
        }
        Kind::Jsonb(output) => {
            detoasted(datum, room)?;
            out.extend_from_slice(output.call(datum));
        }
        Kind::Array(array) => write_array(array, datum, out, limit)?,
        Kind::Composite => write_composite(datum, out, limit)?,
        Kind::Other(output) => {
            let _pinned = Pinned::new();
            json::string(output.call(datum), out);
        }
    }
    if out.len() > limit {
        out.truncate(start);
        return Err(if varlena_kind(kind) {
            oversize(datum)
        } else {
            Oversize { bytes: room, sha256: [0; 32] }
        });
    }
    Ok(())
}

fn varlena_kind(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Text
            | Kind::Bytea
            | Kind::Json
            | Kind::Jsonb(_)
            | Kind::Array(_)
            | Kind::Composite
            | Kind::Numeric(_)
    )
}

/// The bytes of a varlena value, fetched and uncompressed.
fn detoasted<'a>(datum: pg_sys::Datum, limit: usize) -> Result<&'a [u8], Oversize> {
    // SAFETY: the datum is a varlena value; a detoasted copy lives in the current context, which
    // outlives the row being encoded.
    unsafe {
        let pointer: *mut pg_sys::varlena = datum.cast_mut_ptr();
        if varlena::varsize_any(pointer) > limit
            || (varlena::varatt_is_1b_e(pointer) || varlena::varatt_is_4b_c(pointer))
                && pg_sys::toast_raw_datum_size(datum) > limit
        {
            return Err(oversize(datum));
        }
        Ok(varlena::varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(pointer)))
    }
}

/// Describes a varlena value that is too large to keep.
fn oversize(datum: pg_sys::Datum) -> Oversize {
    // SAFETY: the datum is a varlena value; a copy made here is freed here.
    unsafe {
        let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
        let flat = pg_sys::pg_detoast_datum_packed(original);
        let bytes = varlena::varlena_to_byte_slice(flat);
        let found = Oversize { bytes: bytes.len(), sha256: Sha256::digest(bytes).into() };
        if flat != original {
            pg_sys::pfree(flat.cast());
        }
        found
    }
}

fn integer(value: i64, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    out.extend_from_slice(buffer.format(value).as_bytes());
}

fn date_time(datum: pg_sys::Datum, type_oid: pg_sys::Oid, out: &mut Vec<u8>) {
    let mut buffer = [0 as std::ffi::c_char; pg_sys::MAXDATELEN as usize + 1];
    let utc: std::ffi::c_int = 0;
    out.push(b'"');
    // SAFETY: the buffer is as long as the function asks for; it writes a nul-terminated string.
    unsafe {
        pg_sys::JsonEncodeDateTime(buffer.as_mut_ptr(), datum, type_oid, &utc);
        out.extend_from_slice(std::ffi::CStr::from_ptr(buffer.as_ptr()).to_bytes());
    }
    out.push(b'"');
}

fn write_array(
    array: &ArrayKind,
    datum: pg_sys::Datum,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Oversize> {
    let start = out.len();
    detoasted(datum, limit.saturating_sub(start))?;
    // SAFETY: a complete array value; after its header come ndim sizes and ndim lower bounds.
    unsafe {
        let flat: *mut pg_sys::ArrayType = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
        let ndim = (*flat).ndim as usize;
        let numbers: *const i32 = flat.cast::<u8>().add(size_of::<pg_sys::ArrayType>()).cast();
        let sizes = std::slice::from_raw_parts(numbers, ndim);
        let bounds = std::slice::from_raw_parts(numbers.add(ndim), ndim);
        // A nested JSON array stands for one more dimension, so elements that are arrays themselves
        // (json may be) need the literal; so do lower bounds other than 1.
        let nested = matches!(array.element, Kind::Json | Kind::Jsonb(_) | Kind::Array(_) | Kind::Composite);
        if nested && !matches!(array.element, Kind::Composite) || bounds.iter().any(|&bound| bound != 1) {
            let _pinned = Pinned::new();
            json::string(array.literal.call(pg_sys::Datum::from(flat)), out);
            return Ok(());
        }
        let (mut datums, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        pg_sys::deconstruct_array(
            flat,
            array.type_oid,
            i32::from(array.length),
            array.by_value,
            array.align,
            &mut datums,
            &mut nulls,
            &mut count,
        );
        if count == 0 {
            out.extend_from_slice(b"[]");
            return Ok(());
        }
        let values: Vec<Value> =
            (0..count as usize).map(|i| Value { datum: *datums.add(i), null: *nulls.add(i) }).collect();
        write_dimension(&array.element, sizes, &values, out, limit).map_err(|_| {
            out.truncate(start);
            oversize(datum)
        })
    }
}

fn write_dimension(
    kind: &Kind,
    sizes: &[i32],
    values: &[Value],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Oversize> {
    out.push(b'[');
    let each = values.len() / sizes[0] as usize;
    for (i, part) in values.chunks(each).enumerate() {
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

fn write_composite(datum: pg_sys::Datum, out: &mut Vec<u8>, limit: usize) -> Result<(), Oversize> {
    let start = out.len();
    detoasted(datum, limit.saturating_sub(start))?;
    // SAFETY: a complete composite value carries its type; the descriptor is a palloc'd copy. Both
    // live in the current context.
    unsafe {
        let header: pg_sys::HeapTupleHeader = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
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
            write(&kind, value.datum, out, limit).map_err(|_| {
                out.truncate(start);
                oversize(datum)
            })?;
        }
        out.push(b'}');
    }
    Ok(())
}

/// Fixed output settings while this value lives: ISO dates in UTC, shortest exact floats, hex bytea.
struct Pinned {
    date_style: i32,
    interval_style: i32,
    extra_float_digits: i32,
    bytea_output: i32,
    time_zone: *mut pg_sys::pg_tz,
}

impl Pinned {
    fn new() -> Self {
        // SAFETY: backend-local variables of this only thread; UTC is built in, so pg_tzset finds it.
        unsafe {
            Self {
                date_style: std::ptr::replace(&raw mut pg_sys::DateStyle, pg_sys::USE_ISO_DATES as i32),
                interval_style: std::ptr::replace(
                    &raw mut pg_sys::IntervalStyle,
                    pg_sys::INTSTYLE_POSTGRES as i32,
                ),
                extra_float_digits: std::ptr::replace(&raw mut pg_sys::extra_float_digits, 1),
                bytea_output: super::ffi::swap_bytea_output(super::ffi::BYTEA_OUTPUT_HEX),
                time_zone: std::ptr::replace(
                    &raw mut pg_sys::session_timezone,
                    pg_sys::pg_tzset(c"GMT".as_ptr()),
                ),
            }
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: puts back what `new` found.
        unsafe {
            pg_sys::DateStyle = self.date_style;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.extra_float_digits;
            super::ffi::swap_bytea_output(self.bytea_output);
            pg_sys::session_timezone = self.time_zone;
        }
    }
}

//! Values of any type as JSON text, exactly and whatever the session's settings.
//!
//! Numbers are JSON numbers, what JSON has no number for (NaN, infinity, -0) is the string PostgreSQL
//! would read back; dates are ISO 8601 in UTC; json and jsonb stand as they are; arrays and composites
//! are JSON arrays and objects where jsonb_populate_record can rebuild them from that, else their
//! literal; every other type is the string its output function gives under fixed settings.

mod nested;

use self::nested::ArrayKind;
use super::memory::OwnedContext;
use super::output::{Output, TooLarge, check_size};
use super::tuple::{Value, plain};
use super::{calendar, json, jsonb, number};
use crate::error::Error;
use pgrx::PgSqlErrorCode;
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
    Numeric,
    Money,
    Oid,
    Text,
    Char,
    Uuid,
    Bytea,
    Date,
    Timestamp,
    TimestampTz,
    Time,
    TimeTz,
    Json,
    Jsonb(Output),
    Array(Box<ArrayKind>),
    Composite,
    Other(Output),
}

/// Room that any value may have, however full the image is: only large values are left out.
const SMALL: usize = 1024;
/// JSON text weighs at most so many times its size as jsonb.
const HEAVIEST: usize = 18;

/// A value that jsonb could not hold, or that would make the whole image too large.
#[derive(Debug)]
pub struct Oversize {
    /// Bytes of the value, uncompressed.
    pub bytes: usize,
    pub sha256: [u8; 32],
}

impl Oversize {
    /// Appends what stands in for the value.
    pub fn mark(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "{{\"architect_omitted\":{{\"bytes\":{},\"sha256\":\"", self.bytes);
        for byte in self.sha256 {
            let _ = write!(out, "{byte:02x}");
        }
        out.extend_from_slice(b"\"}}");
    }
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

    /// Whether values of type json may be passed on as they were written, line breaks and all.
    pub fn may_pass_json(&self) -> bool {
        fn passes(kind: &Kind) -> bool {
            match kind {
                // What is in a composite is looked up value by value.
                Kind::Json | Kind::Composite => true,
                Kind::Array(array) => passes(array.element()),
                _ => false,
            }
        }
        self.kinds.iter().any(passes)
    }

    /// Appends a column's value to `out`, which as jsonb may not grow past `limit`; a small value may
    /// always. On `Err`, `out` is as it was.
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
        let start = out.len();
        let limit = limit.max(start + SMALL);
        let written = write(&self.kinds[column], value.datum, out, limit);
        if written.is_ok() && (out.len() <= limit / HEAVIEST || json::jsonb_weight(out) <= limit) {
            return Ok(());
        }
        out.truncate(start);
        Err(oversize(value.datum))
    }

    /// Like `write`, but numbers that are equal as keys give equal text: 1.0 and 1.00 are both
    /// 1, -0 is 0.
    pub fn write_key(
        &self,
        column: usize,
        value: Value,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Oversize> {
        let start = out.len();
        self.write(column, value, out, limit)?;
        match self.kinds[column] {
            Kind::Numeric if out[start..].contains(&b'.') => {
                while out.last() == Some(&b'0') {
                    out.pop();
                }
                if out.last() == Some(&b'.') {
                    out.pop();
                }
            }
            Kind::Float4 | Kind::Float8 if out[start..] == *b"\"-0\"" => {
                out.truncate(start);
                out.push(b'0');
            }
            _ => {}
        }
        Ok(())
    }
}

impl Kind {
    /// How to write values of a type; function caches live as long as `memory`.
    pub fn of_type(type_oid: pg_sys::Oid, memory: &OwnedContext) -> Self {
        Self::of_type_in(type_oid, memory.raw())
    }

    fn of_type_in(declared: pg_sys::Oid, memory: pg_sys::MemoryContext) -> Self {
        // SAFETY: types may nest as deep as their owner likes, which is checked for; syscache look-ups
        // about an existing type.
        let type_oid = unsafe {
            pg_sys::check_stack_depth();
            pg_sys::getBaseType(declared)
        };
        match type_oid {
            pg_sys::BOOLOID => Self::Bool,
            pg_sys::INT2OID => Self::Int2,
            pg_sys::INT4OID => Self::Int4,
            pg_sys::INT8OID => Self::Int8,
            pg_sys::FLOAT4OID => Self::Float4,
            pg_sys::FLOAT8OID => Self::Float8,
            pg_sys::NUMERICOID => Self::Numeric,
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
            pg_sys::CHAROID => Self::Char,
            pg_sys::UUIDOID => Self::Uuid,
            pg_sys::BYTEAOID => Self::Bytea,
            pg_sys::DATEOID => Self::Date,
            pg_sys::TIMESTAMPOID => Self::Timestamp,
            pg_sys::TIMESTAMPTZOID => Self::TimestampTz,
            pg_sys::TIMEOID => Self::Time,
            pg_sys::TIMETZOID => Self::TimeTz,
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
                return Self::Array(Box::new(ArrayKind::of_type(type_oid, element, memory)));
            }
            if pg_sys::type_is_rowtype(type_oid) {
                return Self::Composite;
            }
        }
        Self::Other(Output::of_type(type_oid, memory))
    }
}

/// Appends a value; on `Err`, part of it.
fn write(kind: &Kind, datum: pg_sys::Datum, out: &mut Vec<u8>, limit: usize) -> Result<(), TooLarge> {
    let room = limit.saturating_sub(out.len());
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
        Kind::Float4 => number::float(f32::from_bits(datum.value() as u32), out),
        Kind::Float8 => number::float(f64::from_bits(datum.value() as u64), out),
        Kind::Numeric => {
            if number::numeric(detoasted(datum, room)?, out).is_none() {
                corrupted(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "a stored number is not one");
            }
        }
        Kind::Date => quoted(out, |out| calendar::date(datum.value() as i32, out)),
        Kind::Time => quoted(out, |out| calendar::time(datum.value() as i64, out)),
        Kind::TimeTz => quoted(out, |out| {
            let (time, zone) = fixed(datum, 12).split_at(8);
            calendar::time(i64::from_ne_bytes(time.try_into().unwrap_or_default()), out);
            calendar::zone(i32::from_ne_bytes(zone.try_into().unwrap_or_default()), out);
        }),
        Kind::Timestamp | Kind::TimestampTz => {
            let zone = matches!(kind, Kind::TimestampTz);
            quoted(out, |out| {
                if calendar::timestamp(datum.value() as i64, zone, out).is_none() {
                    corrupted(PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW, "timestamp out of range");
                }
            });
        }
        Kind::Text => json::string(detoasted(datum, room)?, out),
        Kind::Char => json::single_byte(datum.value() as u8, out),
        Kind::Uuid => json::uuid(fixed(datum, 16), out),
        Kind::Bytea => json::hex(detoasted(datum, room / 2)?, out),
        Kind::Json => {
            let bytes = detoasted(datum, room)?;
            if json::fits_jsonb(bytes) { out.extend_from_slice(bytes) } else { json::string(bytes, out) }
        }
        Kind::Jsonb(output) => {
            let start = out.len();
            match jsonb::text(detoasted(datum, room)?, limit, out) {
                Ok(()) => {}
                Err(jsonb::Refused::TooLarge) => return Err(TooLarge),
                Err(jsonb::Refused::Strange) => {
                    out.truncate(start);
                    let flat = flattened(datum, room)?;
                    out.extend_from_slice(output.call(flat));
                }
            }
        }
        Kind::Array(array) => nested::write_array(array, datum, out, limit)?,
        Kind::Composite => nested::write_composite(datum, out, limit)?,
        Kind::Other(output) => json::string(output.text(datum, room)?, out),
    }
    if out.len() > limit { Err(TooLarge) } else { Ok(()) }
}

/// The bytes of a varlena value, fetched and uncompressed.
fn detoasted<'a>(datum: pg_sys::Datum, limit: usize) -> Result<&'a [u8], TooLarge> {
    // SAFETY: the datum is a varlena value; as it is in the row, it lives as long as that.
    unsafe {
        let value: *mut pg_sys::varlena = datum.cast_mut_ptr();
        if plain(value) {
            let bytes = varlena::varlena_to_byte_slice(value);
            return if bytes.len() > limit { Err(TooLarge) } else { Ok(bytes) };
        }
    }
    check_size(datum, limit)?;
    // SAFETY: the datum is a varlena value; a detoasted copy lives in the current context, which
    // outlives the row being encoded.
    unsafe { Ok(varlena::varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()))) }
}

/// A varlena value, fetched, uncompressed and with a header of four bytes.
fn flattened(datum: pg_sys::Datum, limit: usize) -> Result<pg_sys::Datum, TooLarge> {
    check_size(datum, limit)?;
    // SAFETY: as above.
    unsafe { Ok(pg_sys::Datum::from(pg_sys::pg_detoast_datum(datum.cast_mut_ptr()))) }
}

/// The bytes of a value of fixed length passed by reference.
fn fixed<'a>(datum: pg_sys::Datum, length: usize) -> &'a [u8] {
    // SAFETY: the datum points at a value of a type of this length inside a live tuple.
    unsafe { std::slice::from_raw_parts(datum.cast_mut_ptr::<u8>(), length) }
}

/// Describes a varlena value that is too large to keep; no other can be.
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

/// What no value of the type can be.
#[cold]
fn corrupted(code: PgSqlErrorCode, message: &str) -> ! {
    Error::new(code, message).raise()
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

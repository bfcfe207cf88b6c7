//! Values handed to PostgreSQL as datums.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::{Datum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// What a function returns as jsonb, as valid JSON text: nested however deep, which serde_json's values are not.
pub struct JsonbText(pub String);

impl IntoDatum for JsonbText {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(jsonb(&self.0))
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: a jsonb datum in the memory context of the call, never null.
unsafe impl BoxRet for JsonbText {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as declared: jsonb.
        unsafe { fcinfo.return_raw_datum(jsonb(&self.0)) }
    }
}

// SAFETY: what `into_datum` makes is jsonb.
unsafe impl SqlTranslatable for JsonbText {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(JsonbText);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

/// A jsonb value from valid JSON text, palloc'd in the current context.
pub fn jsonb(text: &str) -> pg_sys::Datum {
    let mut bytes = text.as_bytes().to_vec();
    bytes.retain(|&byte| byte != 0);
    bytes.push(0);
    // SAFETY: jsonb_in takes a nul-terminated string; for text it refuses it raises an error, which
    // unwinds. It never returns null.
    unsafe {
        pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(pg_sys::Datum::from(bytes.as_ptr()))])
            .unwrap_or(pg_sys::Datum::from(0usize))
    }
}

/// The text of a jsonb value, exactly: numbers keep all their digits.
pub fn jsonb_text(value: &pgrx::AnyElement) -> String {
    // SAFETY: the caller's argument is declared jsonb; jsonb_out returns a nul-terminated string.
    unsafe {
        pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(value.datum())])
            .map(|text| super::lookup::string_from(text.cast_mut_ptr()))
            .unwrap_or_default()
    }
}

/// Microseconds since 2000-01-01 00:00 UTC as a timestamptz value; none where there is no such time.
pub fn timestamptz(microseconds: i64) -> Option<pgrx::datum::TimestampWithTimeZone> {
    pgrx::datum::TimestampWithTimeZone::try_from(microseconds).ok()
}

/// A text, json or bytea value, palloc'd in the current context. Text is in the server's encoding.
pub fn varlena(bytes: &[u8]) -> pg_sys::Datum {
    super::append::varlena_from(bytes)
}

/// An array of texts that are not null, palloc'd in the current context.
pub fn text_array<'a>(texts: impl Iterator<Item = std::borrow::Cow<'a, [u8]>>) -> pg_sys::Datum {
    let mut elements: Vec<pg_sys::Datum> = texts.map(|text| varlena(&text)).collect();
    // SAFETY: as many texts as it says, of varlena layout and int alignment, as text has.
    unsafe {
        let array = pg_sys::construct_array(
            elements.as_mut_ptr(),
            elements.len() as i32,
            pg_sys::TEXTOID,
            -1,
            false,
            pg_sys::TYPALIGN_INT as std::ffi::c_char,
        );
        pg_sys::Datum::from(array)
    }
}

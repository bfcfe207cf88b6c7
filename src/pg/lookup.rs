//! Names and identifiers by way of PostgreSQL's syscache.

use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// Copies a palloc'd C string; bytes that are not UTF-8 as `readable` says.
///
/// # Safety
/// `pointer` is a nul-terminated string.
pub(super) unsafe fn string_from(pointer: *const std::ffi::c_char) -> String {
    // SAFETY: the caller's promise.
    readable(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// Bytes as text, each that is not UTF-8 written as `\xe9`, so that two names stay two. Such bytes are in a
/// database that keeps any (SQL_ASCII), and in names of roles and databases, which are the whole cluster's
/// and are in the encoding of the database they were made in.
pub fn readable(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// A text as C wants it.
pub(super) fn c_string(text: &str) -> crate::error::Result<CString> {
    CString::new(text).map_err(|_| crate::error::Error::invalid_parameter("a text contains a zero byte"))
}

/// The schema every object of the extension and its storage lives in.
pub const SCHEMA: &CStr = c"architect";

/// OID of schema `architect`, none if it does not exist.
pub fn own_schema() -> Option<pg_sys::Oid> {
    // SAFETY: with missing_ok the function returns InvalidOid instead of raising an error.
    valid(unsafe { pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true) })
}

/// OID of a relation in schema `architect`.
pub fn own_relation(name: &str) -> Option<pg_sys::Oid> {
    let schema = own_schema()?;
    let name = CString::new(name).ok()?;
    // SAFETY: a syscache look-up by name; InvalidOid where there is none.
    valid(unsafe { pg_sys::get_relname_relid(name.as_ptr(), schema) })
}

/// Owner of the extension: the role that owns its storage.
pub fn extension_owner() -> Option<pg_sys::Oid> {
    super::kept::read_one_now::<pg_sys::Oid>(
        "SELECT extowner FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'db_architect'",
        &[],
    )
    .ok()
    .flatten()
}

/// OID of the relation of this name.
pub fn relation_named(schema: &str, name: &str) -> Option<pg_sys::Oid> {
    let (schema, name) = (CString::new(schema).ok()?, CString::new(name).ok()?);
    // SAFETY: look-ups by name; InvalidOid where there is none.
    unsafe {
        let schema = valid(pg_sys::get_namespace_oid(schema.as_ptr(), true))?;
        valid(pg_sys::get_relname_relid(name.as_ptr(), schema))
    }
}

/// A relation's name, none where it does not exist.
pub fn relation_name(relid: pg_sys::Oid) -> Option<String> {
    // SAFETY: returns null for an unknown OID, else a palloc'd copy.
    unsafe {
        let name = pg_sys::get_rel_name(relid);
        if name.is_null() { None } else { Some(string_from(name)) }
    }
}

/// Name of a relation's attribute; none where there is no such attribute. A dropped one has a name that
/// no column has.
pub fn attribute_name(relid: pg_sys::Oid, number: i16) -> Option<String> {
    // SAFETY: with missing_ok the function returns null instead of raising an error.
    unsafe {
        let name = pg_sys::get_attname(relid, number, true);
        if name.is_null() { None } else { Some(string_from(name)) }
    }
}

/// Number of a relation's column; none where there is no such column.
pub fn attribute_number(relid: pg_sys::Oid, name: &str) -> Option<i16> {
    let name = CString::new(name).ok()?;
    // SAFETY: a syscache look-up by name; InvalidAttrNumber where there is none.
    let number = unsafe { pg_sys::get_attnum(relid, name.as_ptr()) };
    (number > 0).then_some(number)
}

/// Type of a relation's attribute; invalid where there is none.
pub fn attribute_type(relid: pg_sys::Oid, number: i16) -> pg_sys::Oid {
    // SAFETY: a syscache look-up; InvalidOid where there is none.
    unsafe { pg_sys::get_atttype(relid, number) }
}

/// Whether a relation is a partitioned table.
pub fn is_partitioned(relid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up; an unknown OID has no kind.
    unsafe { pg_sys::get_rel_relkind(relid) as u8 == pg_sys::RELKIND_PARTITIONED_TABLE }
}

/// Whether a relation is an index, a partitioned table's included.
pub fn is_index(relid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up; an unknown OID has no kind.
    let kind = unsafe { pg_sys::get_rel_relkind(relid) } as u8;
    kind == pg_sys::RELKIND_INDEX || kind == pg_sys::RELKIND_PARTITIONED_INDEX
}

/// Whether a relation is a partition of a table.
pub fn is_partition(relid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache look-up; an unknown OID is none.
    unsafe { pg_sys::get_rel_relispartition(relid) }
}

/// Name of the schema a relation is in.
pub fn relation_schema(relid: pg_sys::Oid) -> Option<String> {
    // SAFETY: returns InvalidOid for an unknown OID, never an error.
    schema_name(valid(unsafe { pg_sys::get_rel_namespace(relid) })?)
}

/// The schema a relation is in; InvalidOid for an unknown relation.
pub fn schema_of(relid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: returns InvalidOid for an unknown OID, never an error.
    unsafe { pg_sys::get_rel_namespace(relid) }
}

/// A schema's name, none where it does not exist.
pub fn schema_name(schema: pg_sys::Oid) -> Option<String> {
    // SAFETY: returns null for an unknown OID, else a palloc'd copy.
    unsafe {
        let name = pg_sys::get_namespace_name(schema);
        if name.is_null() { None } else { Some(string_from(name)) }
    }
}

/// A type as SQL spells it, `character varying(20)`; for messages.
pub fn type_name(type_oid: pg_sys::Oid, typmod: i32) -> String {
    // SAFETY: returns a palloc'd string for any OID, "???" for an unknown one.
    unsafe { string_from(pg_sys::format_type_with_typemod(type_oid, typmod)) }
}

/// `schema.name`, each part quoted where it must be.
pub fn qualified_name(relid: pg_sys::Oid) -> Option<String> {
    Some(qualify(&relation_schema(relid)?, &relation_name(relid)?))
}

/// `schema.name` from its parts, each quoted where it must be.
pub fn qualify(schema: &str, name: &str) -> String {
    format!("{}.{}", pgrx::spi::quote_identifier(schema), pgrx::spi::quote_identifier(name))
}

/// The operator that btree and hash indexes of a type call equality.
pub fn equality_operator(type_oid: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a look-up about an existing type; the entry lives as long as the session.
    valid(unsafe { (*pg_sys::lookup_type_cache(type_oid, pg_sys::TYPECACHE_EQ_OPR as i32)).eq_opr })
}

/// Bytes of a relation's main fork, none where somebody holds it so that asking would mean waiting.
pub fn relation_size(relid: pg_sys::Oid) -> Option<i64> {
    let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: a lock by number, given back below; a function of an OID and a text, which answers null for
    // a relation that has gone.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(relid, mode) {
            return None;
        }
        let fork = pgrx::IntoDatum::into_datum("main");
        let size = pgrx::direct_function_call::<i64>(pg_sys::pg_relation_size, &[Some(relid.into()), fork]);
        pg_sys::UnlockRelationOid(relid, mode);
        size
    }
}

/// The statement that makes an index, its tablespace included.
pub fn index_definition(index: pg_sys::Oid) -> String {
    // SAFETY: an index that the catalogue showed a moment ago; an error otherwise. A palloc'd string.
    unsafe { string_from(pg_sys::pg_get_indexdef_string(index)) }
}

/// Collation "POSIX".
const POSIX_COLLATION: pg_sys::Oid = pg_sys::Oid::from_u32(951);

/// Whether a btree of this operator family and collation finds texts by their beginning, as LIKE 'abc%' asks.
pub fn finds_beginnings(family: pg_sys::Oid, collation: pg_sys::Oid) -> bool {
    [pg_sys::TEXT_PATTERN_BTREE_FAM_OID, pg_sys::BPCHAR_PATTERN_BTREE_FAM_OID].contains(&family)
        || family == pg_sys::TEXT_BTREE_FAM_OID
            && [pg_sys::C_COLLATION_OID, POSIX_COLLATION].contains(&collation)
}

/// Whether an operator or its commutator belongs to an operator family.
pub fn in_operator_family(operator: pg_sys::Oid, family: pg_sys::Oid) -> bool {
    // SAFETY: syscache look-ups; unknown OIDs are in no family and have no commutator.
    unsafe {
        pg_sys::op_in_opfamily(operator, family)
            || valid(pg_sys::get_commutator(operator)).is_some_and(|c| pg_sys::op_in_opfamily(c, family))
    }
}

/// A name PostgreSQL would choose for a new relation, free in its schema.
pub fn free_name(table: &str, columns: &str, label: &str, schema: pg_sys::Oid) -> String {
    let c = |text: &str| CString::new(text).unwrap_or_default();
    let (table, columns, label) = (c(table), c(columns), c(label));
    // SAFETY: three strings and a schema; looks at pg_class; a palloc'd string.
    unsafe {
        string_from(pg_sys::ChooseRelationName(
            table.as_ptr(),
            columns.as_ptr(),
            label.as_ptr(),
            schema,
            false,
        ))
    }
}

fn valid(oid: pg_sys::Oid) -> Option<pg_sys::Oid> {
    (oid != pg_sys::InvalidOid).then_some(oid)
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn names_that_differ_stay_different() {
        assert_eq!(readable("wért".as_bytes()), "wért");
        assert_eq!(readable(b"w\xe9rt"), "w\\xe9rt");
        assert_eq!(readable(b"\xe9\xc3\xa9\xe2\x82"), "\\xe9é\\xe2\\x82");
    }
}

//! What an index keeps of a value where that is not the value itself: the elements that GIN's operator class
//! takes out of it, or what GiST's makes of it. Operator classes are made by superusers only, so that their
//! functions may be run on anybody's values.

use super::index_definition::IndexColumn;
use super::memory::OwnedContext;
use super::table_sample::{SampledValue, measured};
use pgrx::pg_sys;

/// Support procedures by number, of `access/gin.h` and `access/gist.h`.
const GIN_EXTRACTVALUE_PROC: i16 = 2;
const GIST_COMPRESS_PROC: i16 = 3;
const GIST_SORTSUPPORT_PROC: i16 = 11;

/// An operator class's view of values, kept for many of them.
pub struct StoredKey {
    function: Box<pg_sys::FmgrInfo>,
    collation: pg_sys::Oid,
    elements: bool,
    /// Of what it keeps.
    pub type_oid: pg_sys::Oid,
    length: i16,
    by_value: bool,
    _memory: OwnedContext,
}

impl StoredKey {
    /// `kept` is the type that the operator class says it keeps; invalid, where that is the column's. None where
    /// values are kept as they are.
    pub fn of(column: &IndexColumn, method: pg_sys::Oid, kept: pg_sys::Oid) -> Option<Self> {
        let (number, elements) = match method {
            pg_sys::GIN_AM_OID => (GIN_EXTRACTVALUE_PROC, true),
            pg_sys::GIST_AM_OID => (GIST_COMPRESS_PROC, false),
            _ => return None,
        };
        let memory = OwnedContext::new(c"db_architect operator class");
        // SAFETY: syscache look-ups about an operator class; the function's state lives in `memory`.
        unsafe {
            let procedure = support(column, number);
            if procedure == pg_sys::InvalidOid {
                return None;
            }
            let type_oid = match kept {
                pg_sys::InvalidOid => column.type_oid,
                // As index.c resolves the element of an array.
                pg_sys::ANYELEMENTOID => pg_sys::get_base_element_type(column.type_oid),
                kept => kept,
            };
            let (mut length, mut by_value) = (0, false);
            pg_sys::get_typlenbyval(type_oid, &mut length, &mut by_value);
            let mut function = Box::<pg_sys::FmgrInfo>::default();
            pg_sys::fmgr_info_cxt(procedure, &mut *function, memory.raw());
            let collation = match column.collation {
                pg_sys::InvalidOid => pg_sys::DEFAULT_COLLATION_OID,
                collation => collation,
            };
            Some(Self { function, collation, elements, type_oid, length, by_value, _memory: memory })
        }
    }

    /// What is kept of a value: one thing, or GIN's elements, each once.
    ///
    /// # Safety
    /// The value is of the column's type.
    pub(super) unsafe fn kept(&self, value: pg_sys::Datum) -> Vec<SampledValue> {
        let function = (&raw const *self.function).cast_mut();
        // SAFETY: the caller's promise; the functions are called as GIN and GiST call them.
        unsafe {
            if !self.elements {
                let mut entry = pg_sys::GISTENTRY { key: value, leafkey: true, ..Default::default() };
                let made =
                    pg_sys::FunctionCall1Coll(function, self.collation, pg_sys::Datum::from(&raw mut entry));
                let made = made.cast_mut_ptr::<pg_sys::GISTENTRY>();
                return vec![measured((*made).key, self.length, self.by_value)];
            }
            let (mut count, mut nulls) = (0_i32, std::ptr::null_mut::<bool>());
            let made = pg_sys::FunctionCall3Coll(
                function,
                self.collation,
                value,
                pg_sys::Datum::from(&raw mut count),
                pg_sys::Datum::from(&raw mut nulls),
            )
            .cast_mut_ptr::<pg_sys::Datum>();
            let count = if made.is_null() { 0 } else { usize::try_from(count).unwrap_or(0) };
            let mut elements: Vec<SampledValue> = (0..count)
                .map(|i| {
                    if !nulls.is_null() && *nulls.add(i) {
                        SampledValue::NULL
                    } else {
                        measured(*made.add(i), self.length, self.by_value)
                    }
                })
                .collect();
            elements.sort_unstable_by_key(|element| (element.hash, element.null));
            elements.dedup();
            elements
        }
    }
}

/// Whether CREATE INDEX sorts the values of a GiST index on this column before it writes them.
pub fn is_sorted_by_gist(column: &IndexColumn) -> bool {
    // SAFETY: a syscache look-up about an operator class.
    unsafe { support(column, GIST_SORTSUPPORT_PROC) != pg_sys::InvalidOid }
}

unsafe fn support(column: &IndexColumn, number: i16) -> pg_sys::Oid {
    // SAFETY: a syscache look-up.
    unsafe { pg_sys::get_opfamily_proc(column.opfamily, column.opcintype, column.opcintype, number) }
}

/// Memory that GIN gathers entries in before it writes them, in bytes.
pub fn build_memory() -> f64 {
    // SAFETY: a setting.
    f64::from(unsafe { pg_sys::maintenance_work_mem }) * 1024.0
}

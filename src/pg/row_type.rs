//! The row type of a table: rows from JSON and rows taken apart.

use super::encode::{Encoder, Kind};
use super::memory::OwnedContext;
use super::table::{Attribute, attributes_of};
use super::tuple::{Row, Value, Values};
use pgrx::pg_sys;
use pgrx::varlena;

/// A table's row type with json_populate_record prepared for it.
pub struct RowType {
    pub attributes: Vec<Attribute>,
    pub encoder: Encoder,
    descriptor: pg_sys::TupleDesc,
    populate: *mut pg_sys::FmgrInfo,
    /// A row of nulls.
    nothing: pg_sys::Datum,
    _memory: OwnedContext,
}

impl RowType {
    /// The row type of a table; none for what has no row type.
    pub fn of_relation(relid: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a syscache look-up; InvalidOid where there is no such relation or it has no type.
        let type_oid = unsafe { pg_sys::get_rel_type_id(relid) };
        (type_oid != pg_sys::InvalidOid).then(|| Self::of_type(type_oid))
    }

    fn of_type(type_oid: pg_sys::Oid) -> Self {
        let memory = OwnedContext::new(c"db_architect row type");
        // SAFETY: the type is a table's; everything made here lives in `memory`, which lives as long as
        // this value.
        let (descriptor, populate, nothing) = memory.within(|| unsafe {
            let descriptor = pg_sys::lookup_rowtype_tupdesc_copy(type_oid, -1);
            let populate: *mut pg_sys::FmgrInfo = pg_sys::palloc0(size_of::<pg_sys::FmgrInfo>()).cast();
            pg_sys::fmgr_info_cxt(pg_sys::F_JSON_POPULATE_RECORD.into(), populate, memory.raw());
            // The function takes the type from the expression that calls it.
            let base = pg_sys::makeNullConst(type_oid, -1, pg_sys::InvalidOid);
            (*populate).fn_expr = pg_sys::makeFuncExpr(
                pg_sys::F_JSON_POPULATE_RECORD.into(),
                type_oid,
                pg_sys::lappend(std::ptr::null_mut(), base.cast()),
                pg_sys::InvalidOid,
                pg_sys::InvalidOid,
                pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
            )
            .cast();
            let natts = (*descriptor).natts as usize;
            let mut datums = vec![pg_sys::Datum::from(0usize); natts];
            let mut nulls = vec![true; natts];
            let tuple = pg_sys::heap_form_tuple(descriptor, datums.as_mut_ptr(), nulls.as_mut_ptr());
            (descriptor, populate, pg_sys::heap_copy_tuple_as_datum(tuple, descriptor))
        });
        let attributes = attributes_of(descriptor);
        let encoder_memory = OwnedContext::new(c"db_architect encoder");
        let kinds = attributes
            .iter()
            .map(|a| if a.dropped { Kind::Dropped } else { Kind::of_type(a.type_oid, &encoder_memory) })
            .collect();
        Self {
            attributes,
            encoder: Encoder::new(kinds, encoder_memory),
            descriptor,
            populate,
            nothing,
            _memory: memory,
        }
    }

    /// The row `base` (nulls, if none) with the columns that a JSON object names set to its values.
    /// Raises PostgreSQL's error for a value its column does not take.
    pub fn populate(&self, base: Option<Value>, object: &[u8]) -> Value {
        let base = base.filter(|value| !value.is_null()).map_or(self.nothing, |value| value.datum);
        // SAFETY: a row of this type and a json value; the result is a row of this type, in the current
        // context.
        let datum = unsafe {
            pg_sys::FunctionCall3Coll(
                self.populate,
                pg_sys::InvalidOid,
                base,
                super::append::varlena_from(object),
                pg_sys::Datum::from(false),
            )
        };
        Value { datum, null: false }
    }

    /// A column's value as text, under fixed settings; none if it is null.
    pub fn text(&self, row: &Values, column: usize) -> Option<String> {
        const ROOM: usize = 1 << 29;
        let value = row.get(column);
        if value.is_null() {
            return None;
        }
        // SAFETY: reads the current context's address; the function is looked up for this call alone.
        let memory = unsafe { pg_sys::CurrentMemoryContext };
        let output = super::output::Output::of_type(self.attributes[column].type_oid, memory);
        output.text(value.datum, ROOM).ok().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// Takes a row of this type apart; none if it is null. The values live as long as the row.
    pub fn expand(&self, row: Value) -> Option<Values> {
        if row.is_null() {
            return None;
        }
        // SAFETY: a composite value of this type, flat or detoasted into the current context.
        unsafe {
            let header: pg_sys::HeapTupleHeader = pg_sys::pg_detoast_datum(row.datum.cast_mut_ptr()).cast();
            let mut tuple = pg_sys::HeapTupleData {
                t_len: varlena::varsize(header.cast()) as u32,
                t_data: header,
                ..Default::default()
            };
            let row =
                Row { tuple: &mut tuple, descriptor: self.descriptor, _lifetime: std::marker::PhantomData };
            Some(row.values())
        }
    }
}

/// Rows kept as long as this lives.
pub struct KeptRows(OwnedContext);

impl KeptRows {
    pub fn new() -> Self {
        Self(OwnedContext::new(c"db_architect kept rows"))
    }

    pub fn keep(&self, row: Value) -> Value {
        // SAFETY: a composite value, copied whole.
        let datum = self.0.within(|| unsafe {
            pg_sys::Datum::from(pg_sys::pg_detoast_datum_copy(row.datum.cast_mut_ptr()))
        });
        Value { datum, null: false }
    }
}

//! Rows as PostgreSQL holds them: taking them apart, comparing values by their stored image, making
//! another version of one.

use super::append::varlena_from;
use super::ffi::unguarded;
use super::trigger::NewTuple;
use pgrx::pg_sys;
use pgrx::varlena;

/// How one column's values are stored.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    pub length: i16,
    pub by_value: bool,
}

/// A row together with the descriptor to read it by; valid while the trigger call or scan lasts.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub(super) tuple: pg_sys::HeapTuple,
    pub(super) descriptor: pg_sys::TupleDesc,
    pub(super) _lifetime: std::marker::PhantomData<&'a ()>,
}

/// One value of a row.
#[derive(Clone, Copy)]
pub struct Value {
    pub(super) datum: pg_sys::Datum,
    pub(super) null: bool,
}

impl Value {
    #[inline]
    pub fn is_null(self) -> bool {
        self.null
    }

    /// To be stored elsewhere; none where it is null.
    #[inline]
    pub fn datum(self) -> Option<pg_sys::Datum> {
        (!self.null).then_some(self.datum)
    }

    /// The value of an int8, timestamp or timestamptz column.
    #[inline]
    pub fn as_i64(self) -> Option<i64> {
        (!self.null).then(|| self.datum.value() as i64)
    }

    /// Whether this, of a column of variable length, is a reference to a value stored out of line on disk:
    /// not to be fetched where the row comes from the WAL, as the value may be gone.
    #[inline]
    pub fn is_on_disk(self, storage: Storage) -> bool {
        // SAFETY: a complete varlena value inside a live tuple; of one stored elsewhere only the tag is read.
        !self.null
            && storage.length == -1
            && unsafe {
                let value = self.datum.cast_mut_ptr::<pg_sys::varlena>();
                varlena::varatt_is_1b_e(value)
                    && u32::from(varlena::vartag_external(value)) == pg_sys::vartag_external::VARTAG_ONDISK
            }
    }

    /// Whether this, of a text or varchar column, is stored as it is and is `text`.
    #[inline]
    pub fn is_plain_text(self, text: &str) -> bool {
        // SAFETY: a complete varlena value inside a live tuple.
        !self.null
            && unsafe {
                let value = self.datum.cast_mut_ptr::<pg_sys::varlena>();
                plain(value) && varlena::varlena_to_byte_slice(value) == text.as_bytes()
            }
    }

    /// The value of a "char" column.
    #[inline]
    pub fn as_char(self) -> Option<u8> {
        (!self.null).then(|| self.datum.value() as u8)
    }

    /// The value of an int4 column.
    #[inline]
    pub fn as_i32(self) -> Option<i32> {
        (!self.null).then(|| self.datum.value() as i32)
    }
}

/// A row taken apart; kept from row to row for its memory. Values stored by reference point into the
/// row: use them no longer than it lives.
#[derive(Default, Clone)]
pub struct Values {
    datums: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Values {
    #[inline]
    pub fn get(&self, index: usize) -> Value {
        Value { datum: self.datums[index], null: self.nulls[index] }
    }

    /// Puts a value of another version of the row, from the same column, in place.
    #[inline]
    pub fn put(&mut self, index: usize, value: Value) {
        self.datums[index] = value.datum;
        self.nulls[index] = value.null;
    }

    /// Sets an int8, timestamp or timestamptz column.
    #[inline]
    pub fn set_i64(&mut self, index: usize, value: i64) {
        self.set(index, pg_sys::Datum::from(value));
    }

    /// Sets an int4 column.
    #[inline]
    pub fn set_i32(&mut self, index: usize, value: i32) {
        self.set(index, pg_sys::Datum::from(value));
    }

    /// Sets a text or varchar column; the caller sees to a varchar's length.
    pub fn set_text(&mut self, index: usize, value: &str) {
        self.set(index, varlena_from(value.as_bytes()));
    }

    pub(super) fn len(&self) -> usize {
        self.datums.len()
    }

    pub(super) fn push(&mut self, datum: Option<pg_sys::Datum>) {
        self.nulls.push(datum.is_none());
        self.datums.push(datum.unwrap_or(pg_sys::Datum::from(0usize)));
    }

    pub(super) fn copy_from(&mut self, other: &Values) {
        self.datums.clone_from(&other.datums);
        self.nulls.clone_from(&other.nulls);
    }

    #[inline]
    pub(super) fn set(&mut self, index: usize, datum: pg_sys::Datum) {
        self.datums[index] = datum;
        self.nulls[index] = false;
    }

    pub fn set_null(&mut self, index: usize) {
        self.datums[index] = pg_sys::Datum::from(0usize);
        self.nulls[index] = true;
    }

    pub(super) fn arrays(&mut self) -> (*mut pg_sys::Datum, *mut bool) {
        (self.datums.as_mut_ptr(), self.nulls.as_mut_ptr())
    }
}

impl Row<'_> {
    /// Takes the row apart into one value for each attribute of the descriptor.
    pub fn values(&self) -> Values {
        let mut values = Values::default();
        self.values_into(&mut values);
        values
    }

    /// The same, into memory used before.
    #[inline]
    pub fn values_into(&self, values: &mut Values) {
        // SAFETY: tuple and descriptor belong together and outlive the call; both arrays have room
        // for every attribute, and heap_deform_tuple fills all of them (it raises no error).
        unsafe {
            let natts = (*self.descriptor).natts as usize;
            values.datums.clear();
            values.nulls.clear();
            values.datums.reserve(natts);
            values.nulls.reserve(natts);
            unguarded::heap_deform_tuple(
                self.tuple,
                self.descriptor,
                values.datums.as_mut_ptr(),
                values.nulls.as_mut_ptr(),
            );
            values.datums.set_len(natts);
            values.nulls.set_len(natts);
        }
    }

    /// This row with other values, as heap_modify_tuple makes it; `values` are this row's, changed.
    pub fn rebuilt(&self, values: &mut Values) -> NewTuple {
        let (datums, nulls) = values.arrays();
        // SAFETY: one value for each attribute, of its type; identity and visibility of the row are
        // carried over. The tuple is palloc'd in the context the trigger manager set for the row.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.descriptor, datums, nulls);
            (*(*tuple).t_data).t_ctid = (*(*self.tuple).t_data).t_ctid;
            (*tuple).t_self = (*self.tuple).t_self;
            (*tuple).t_tableOid = (*self.tuple).t_tableOid;
            NewTuple(tuple)
        }
    }

    /// Number of the command, within the transaction, that wrote this version of the row.
    pub fn inserted_by_command(&self) -> Option<u32> {
        // SAFETY: the tuple has a full header; for a row this transaction wrote the combo command
        // id, if there is one, is known.
        unsafe {
            let header = (*self.tuple).t_data;
            own_transaction(pg_sys::submodules::htup::HeapTupleHeaderGetRawXmin(header))
                .then(|| unguarded::HeapTupleHeaderGetCmin(header))
        }
    }

    /// Number of the command, within the transaction, that deleted this version of the row.
    pub fn deleted_by_command(&self) -> Option<u32> {
        // SAFETY: as above; a multixact in xmax is not asked about.
        unsafe {
            let header = (*self.tuple).t_data;
            if u32::from((*header).t_infomask) & pg_sys::HEAP_XMAX_IS_MULTI != 0 {
                return None;
            }
            let xmax = (*header).t_choice.t_heap.t_xmax;
            own_transaction(xmax).then(|| unguarded::HeapTupleHeaderGetCmax(header))
        }
    }
}

fn own_transaction(xid: pg_sys::TransactionId) -> bool {
    // SAFETY: a look-up in backend-local state, valid for any transaction id.
    unsafe { unguarded::TransactionIdIsCurrentTransactionId(xid) }
}

/// Whether two values of one column have the same stored image. Not the type's `=`: works for types
/// without one and tells 1.0 from 1.00. A value stored out of line is fetched only where a different
/// out-of-line value of the same length stands against it.
#[inline]
pub fn same_image(storage: Storage, a: Value, b: Value) -> bool {
    if a.null || b.null {
        return a.null == b.null;
    }
    if storage.by_value {
        return a.datum.value() == b.datum.value();
    }
    let (x, y) = (a.datum.cast_mut_ptr::<u8>(), b.datum.cast_mut_ptr::<u8>());
    // SAFETY: both point at values of this column's type and length inside live tuples.
    unsafe {
        match storage.length {
            -1 => same_varlena(x.cast(), y.cast()),
            -2 => std::ffi::CStr::from_ptr(x.cast()) == std::ffi::CStr::from_ptr(y.cast()),
            length => {
                let length = length as usize;
                std::slice::from_raw_parts(x, length) == std::slice::from_raw_parts(y, length)
            }
        }
    }
}

/// # Safety
/// Both point at complete varlena values.
unsafe fn same_varlena(x: *mut pg_sys::varlena, y: *mut pg_sys::varlena) -> bool {
    // SAFETY: the caller's promise; detoasting palloc's copies in the current context.
    unsafe {
        let (size_x, size_y) = (varlena::varsize_any(x), varlena::varsize_any(y));
        let whole = |p: *mut pg_sys::varlena, n| std::slice::from_raw_parts(p.cast::<u8>(), n);
        if size_x == size_y && whole(x, size_x) == whole(y, size_y) {
            return true;
        }
        if plain(x) && plain(y) {
            return varlena::varlena_to_byte_slice(x) == varlena::varlena_to_byte_slice(y);
        }
        if pg_sys::toast_raw_datum_size(pg_sys::Datum::from(x))
            != pg_sys::toast_raw_datum_size(pg_sys::Datum::from(y))
        {
            return false;
        }
        let (flat_x, flat_y) = (pg_sys::pg_detoast_datum_packed(x), pg_sys::pg_detoast_datum_packed(y));
        let same = varlena::varlena_to_byte_slice(flat_x) == varlena::varlena_to_byte_slice(flat_y);
        for (flat, original) in [(flat_x, x), (flat_y, y)] {
            if flat != original {
                pg_sys::pfree(flat.cast());
            }
        }
        same
    }
}

/// Whether a varlena value is neither compressed nor stored elsewhere.
///
/// # Safety
/// It is a complete varlena value.
#[inline]
pub(super) unsafe fn plain(value: *mut pg_sys::varlena) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        varlena::varatt_is_1b(value) && !varlena::varatt_is_1b_e(value) || varlena::varatt_is_4b_u(value)
    }
}

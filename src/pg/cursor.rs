//! Finding a few values of a row, and the first one that two versions differ in, without taking the rows
//! apart: for triggers that look at every row and need little of it.
//!
//! Reads the layout of heap tuples as access/htup_details.h and access/tupmacs.h describe it.

use super::table::Attribute;
use super::trigger::NewTuple;
use super::tuple::{Row, Storage, Value, same_image};
use pgrx::pg_sys;
use pgrx::varlena;
use std::marker::PhantomData;

/// How the attributes of a relation lie in its tuples.
pub struct Layout(Vec<Slot>);

struct Slot {
    storage: Storage,
    align: usize,
}

impl Layout {
    pub fn of(attributes: &[Attribute]) -> Self {
        Self(attributes.iter().map(|a| Slot { storage: a.storage, align: a.align }).collect())
    }
}

/// A place in a row, moving forward only.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    _row: PhantomData<Row<'a>>,
    slots: &'a [Slot],
    data: *const u8,
    length: usize,
    /// The null bitmap; null where the tuple has none.
    bits: *const u8,
    index: usize,
    /// Where the attribute before `index` ends.
    offset: usize,
}

/// A value that is not null, and where it begins.
#[derive(Clone, Copy)]
pub struct Found {
    offset: usize,
    pub value: Value,
}

/// How two versions of a row compare.
pub enum Comparison {
    /// Byte for byte the same.
    Same,
    /// They differ in this column, if not only there; both cursors stand at or before it.
    Differ(usize),
    /// Cannot be told without taking them apart.
    Unclear,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first attribute; none where the tuple was stored before the relation got its
    /// latest columns.
    #[inline]
    pub fn of(row: Row<'a>, layout: &'a Layout) -> Option<Self> {
        // SAFETY: the tuple has a full header, its data begin at t_hoff and end at t_len; the null bitmap
        // lies between, if there is one.
        unsafe {
            let header = (*row.tuple).t_data;
            let attributes = u32::from((*header).t_infomask2) & pg_sys::HEAP_NATTS_MASK;
            if attributes as usize != layout.0.len() {
                return None;
            }
            let start = usize::from((*header).t_hoff);
            let has_nulls = u32::from((*header).t_infomask) & pg_sys::HEAP_HASNULL != 0;
            Some(Self {
                _row: PhantomData,
                slots: &layout.0,
                data: header.cast::<u8>().add(start),
                length: ((*row.tuple).t_len as usize).checked_sub(start)?,
                bits: if has_nulls { (*header).t_bits.as_ptr().cast() } else { std::ptr::null() },
                index: 0,
                offset: 0,
            })
        }
    }

    #[inline]
    fn is_null(&self, index: usize) -> bool {
        // SAFETY: the bitmap has a bit for each attribute of the tuple.
        !self.bits.is_null() && unsafe { *self.bits.add(index >> 3) & (1 << (index & 7)) == 0 }
    }

    /// Where the attribute at `self.index`, which is not null, begins.
    #[inline]
    fn start(&self, slot: &Slot) -> usize {
        // A varlena with a short header is not aligned; a byte of padding is zero, no header is.
        // SAFETY: inside the tuple, since the attribute is.
        if slot.storage.length == -1 && unsafe { *self.data.add(self.offset) } != 0 {
            self.offset
        } else {
            aligned(self.offset, slot.align)
        }
    }

    /// Size of the value that begins at `start`.
    #[inline]
    fn size(&self, slot: &Slot, start: usize) -> usize {
        // SAFETY: a value of the attribute's kind begins there.
        unsafe {
            match slot.storage.length {
                -1 => varlena::varsize_any(self.data.add(start).cast()),
                -2 => std::ffi::CStr::from_ptr(self.data.add(start).cast()).to_bytes_with_nul().len(),
                length => length as usize,
            }
        }
    }

    #[inline]
    fn value_at(&self, slot: &Slot, start: usize) -> Value {
        // SAFETY: a value of the attribute's kind begins there, aligned as its kind asks.
        unsafe {
            let at = self.data.add(start);
            let datum = match (slot.storage.by_value, slot.storage.length) {
                (true, 1) => pg_sys::Datum::from(*at.cast::<i8>()),
                (true, 2) => pg_sys::Datum::from(*at.cast::<i16>()),
                (true, 4) => pg_sys::Datum::from(*at.cast::<i32>()),
                (true, _) => pg_sys::Datum::from(*at.cast::<i64>()),
                (false, _) => pg_sys::Datum::from(at.cast_mut()),
            };
            Value { datum, null: false }
        }
    }

    /// The value of an attribute at or after the cursor; none where it is null. An attribute before the
    /// cursor is looked for from the first one on.
    #[inline]
    pub fn seek(&mut self, index: usize) -> Option<Found> {
        if index < self.index {
            (self.index, self.offset) = (0, 0);
        }
        loop {
            let slot = self.slots.get(self.index)?;
            let null = self.is_null(self.index);
            if self.index == index {
                if null {
                    return None;
                }
                let offset = self.start(slot);
                return Some(Found { offset, value: self.value_at(slot, offset) });
            }
            if !null {
                let start = self.start(slot);
                self.offset = start + self.size(slot, start);
            }
            self.index += 1;
        }
    }

    /// Compares two versions of a row, both cursors at the first attribute.
    pub fn compare(old: &mut Self, new: &mut Self) -> Comparison {
        if !(old.bits.is_null() && new.bits.is_null()) {
            let differs = |&index: &usize| old.is_null(index) != new.is_null(index);
            if let Some(index) = (0..old.slots.len()).find(differs) {
                return Comparison::Differ(index);
            }
        }
        // SAFETY: both tuples' data areas.
        let (a, b) = unsafe {
            (
                std::slice::from_raw_parts(old.data, old.length),
                std::slice::from_raw_parts(new.data, new.length),
            )
        };
        let Some(position) = mismatch(a, b) else {
            return if a.len() == b.len() { Comparison::Same } else { Comparison::Unclear };
        };
        // Up to there both have the same layout.
        loop {
            let Some(slot) = new.slots.get(new.index) else { return Comparison::Unclear };
            if !new.is_null(new.index) {
                let start = new.start(slot);
                let end = start + new.size(slot, start);
                if position < end {
                    (old.index, old.offset) = (new.index, new.offset);
                    // In padding, or where one of them has padding.
                    if position < start || old.start(slot) != start {
                        return Comparison::Unclear;
                    }
                    let (x, y) = (old.value_at(slot, start), new.value_at(slot, start));
                    return if same_image(slot.storage, x, y) {
                        Comparison::Unclear
                    } else {
                        Comparison::Differ(new.index)
                    };
                }
                new.offset = end;
            }
            new.index += 1;
        }
    }
}

impl NewTuple {
    /// A copy of a row, to be patched.
    pub fn copy_of(row: &Row) -> Self {
        // SAFETY: a live tuple; the copy is palloc'd in the context the trigger manager set for the row.
        Self(unsafe { pg_sys::heap_copytuple(row.tuple) })
    }

    /// Writes over a value found in the row this is a copy of.
    #[inline]
    pub fn patch<const N: usize>(&mut self, found: Found, bytes: [u8; N]) {
        // SAFETY: the copy has the layout of the row; checked to lie within it.
        unsafe {
            let start = usize::from((*(*self.0).t_data).t_hoff) + found.offset;
            if start + N <= (*self.0).t_len as usize {
                let at = (*self.0).t_data.cast::<u8>().add(start);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, N);
            }
        }
    }
}

#[inline]
fn aligned(offset: usize, align: usize) -> usize {
    (offset + align - 1) & !(align - 1)
}

/// Position of the first byte two slices differ in, as far as both go.
#[inline]
fn mismatch(a: &[u8], b: &[u8]) -> Option<usize> {
    const STEP: usize = 32;
    let length = a.len().min(b.len());
    let mut from = 0;
    while from + STEP <= length && a[from..from + STEP] == b[from..from + STEP] {
        from += STEP;
    }
    (from..length).find(|&i| a[i] != b[i])
}

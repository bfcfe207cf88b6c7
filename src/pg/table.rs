//! Relations: opening, describing, and scanning or appending to small tables below the executor.

use super::encode::{Encoder, Kind};
use super::lookup::string_from;
use super::memory::OwnedContext;
use super::tuple::{Row, Storage};
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// An open relation; closed when dropped, its lock kept to the end of the transaction.
pub struct Table {
    relation: pg_sys::Relation,
    /// The lock to give back when it is closed; none where it is kept.
    brief: Option<i32>,
}

/// One attribute, dropped ones included, in attribute order.
pub struct Attribute {
    pub name: String,
    pub type_oid: pg_sys::Oid,
    /// Length or precision as in `varchar(20)` and `timestamptz(3)`, as PostgreSQL encodes it; -1: none.
    pub typmod: i32,
    pub dropped: bool,
    /// A generated column, stored or not: computed after BEFORE triggers ran.
    pub generated: bool,
    /// A generated column whose value is not stored (PostgreSQL 18): null inside triggers.
    pub virtual_generated: bool,
    pub storage: Storage,
    /// Bytes a value's place is a multiple of.
    pub align: usize,
}

impl Table {
    /// Opens a relation under `lock`; none where it does not exist (any more).
    pub fn open(relid: pg_sys::Oid, lock: i32) -> Option<Self> {
        // SAFETY: returns null for an unknown OID; errors unwind through the guard.
        let relation = unsafe { pg_sys::try_relation_open(relid, lock) };
        (!relation.is_null()).then(|| Self { relation, brief: None })
    }

    /// Opens a relation to read it; its lock is given back when this is dropped, so that who keeps its
    /// transaction open is in nobody's way.
    pub fn open_briefly(relid: pg_sys::Oid) -> Option<Self> {
        let lock = pg_sys::AccessShareLock as i32;
        Self::open(relid, lock).map(|mut table| {
            table.brief = Some(lock);
            table
        })
    }

    pub(super) fn raw(&self) -> pg_sys::Relation {
        self.relation
    }

    fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the relation is open.
        unsafe { (*self.relation).rd_att }
    }

    /// Whether this is an ordinary table of access method heap: what can be scanned and appended to here.
    pub fn is_heap(&self) -> bool {
        // SAFETY: rd_rel of an open relation.
        unsafe {
            let form = (*self.relation).rd_rel;
            (*form).relkind as u8 == pg_sys::RELKIND_RELATION && (*form).relam == pg_sys::HEAP_TABLE_AM_OID
        }
    }

    /// Whether row-level security is enabled: PostgreSQL looks statements on it through anew for each role.
    pub fn has_policies(&self) -> bool {
        // SAFETY: rd_rel of an open relation.
        unsafe { (*(*self.relation).rd_rel).relrowsecurity }
    }

    /// Whether row-level security binds the owner too.
    pub fn forces_policies(&self) -> bool {
        // SAFETY: rd_rel of an open relation.
        self.has_policies() && unsafe { (*(*self.relation).rd_rel).relforcerowsecurity }
    }

    pub fn is_sequence(&self) -> bool {
        // SAFETY: rd_rel of an open relation.
        unsafe { (*(*self.relation).rd_rel).relkind as u8 == pg_sys::RELKIND_SEQUENCE }
    }

    pub fn attributes(&self) -> Vec<Attribute> {
        attributes_of(self.descriptor())
    }

    /// Positions, from zero, of the columns that identify a row: the primary key, else the replica
    /// identity; empty without either.
    pub fn key_columns(&self) -> Vec<usize> {
        self.columns_of_key(self.primary_key())
    }

    /// The same without a deferrable primary key: two rows may have the same one for a while, so that who
    /// changes one of them need not wait for the other.
    pub fn immediate_key_columns(&self) -> Vec<usize> {
        let immediate = |oid: &pg_sys::Oid| {
            Table::open(*oid, pg_sys::AccessShareLock as i32)
                // SAFETY: rd_index of an open index.
                .is_some_and(|index| unsafe { (*(*index.relation).rd_index).indimmediate })
        };
        self.columns_of_key(self.primary_key().filter(immediate))
    }

    fn columns_of_key(&self, primary: Option<pg_sys::Oid>) -> Vec<usize> {
        let index = primary.unwrap_or_else(|| {
            // SAFETY: the relation is open; its index list, loaded just now, sets rd_replidindex, to an
            // index that is not deferrable.
            unsafe { (*self.relation).rd_replidindex }
        });
        if index == pg_sys::InvalidOid {
            return Vec::new();
        }
        let Some(index) = Table::open(index, pg_sys::AccessShareLock as i32) else { return Vec::new() };
        // SAFETY: rd_index of an open index; indkey holds indnatts entries, the key ones first.
        unsafe {
            let form = (*index.relation).rd_index;
            let keys = (*form).indkey.values.as_slice((*form).indnatts as usize);
            keys[..(*form).indnkeyatts as usize].iter().filter(|&&n| n > 0).map(|&n| n as usize - 1).collect()
        }
    }

    /// The primary key's index, deferrable or not.
    fn primary_key(&self) -> Option<pg_sys::Oid> {
        // SAFETY: the relation is open; the list is a palloc'd copy.
        let indexes = unsafe { super::ffi::oids_of(pg_sys::RelationGetIndexList(self.relation)) };
        indexes.into_iter().find(|&oid| {
            Table::open(oid, pg_sys::AccessShareLock as i32)
                // SAFETY: rd_index of an open index.
                .is_some_and(|index| unsafe { (*(*index.relation).rd_index).indisprimary })
        })
    }

    /// Every row that is visible to a fresh snapshot, whatever the transaction's own may be, by way of
    /// `index` where one is given with the value its first column (attribute `1 + attribute`) must have.
    pub fn scan(&self, index: Option<(pg_sys::Oid, usize, pg_sys::Oid)>, mut each: impl FnMut(&Fields)) {
        // SAFETY: the scan, its snapshot and its tuples stay within this call; an error unwinds and the
        // resource owner releases both.
        unsafe {
            let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
            let mut key = std::mem::zeroed::<pg_sys::ScanKeyData>();
            let mut keys = 0;
            let mut index_oid = pg_sys::InvalidOid;
            if let Some((oid, attribute, value)) = index {
                pg_sys::ScanKeyInit(
                    &mut key,
                    attribute as i16 + 1,
                    pg_sys::BTEqualStrategyNumber as u16,
                    pg_sys::F_OIDEQ.into(),
                    pg_sys::Datum::from(value),
                );
                index_oid = oid;
                keys = 1;
            }
            let scan = pg_sys::systable_beginscan(
                self.relation,
                index_oid,
                index_oid != pg_sys::InvalidOid,
                snapshot,
                keys,
                &mut key,
            );
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                let row = Row { tuple, descriptor: self.descriptor(), _lifetime: std::marker::PhantomData };
                each(&Fields { values: row.values() });
            }
            pg_sys::systable_endscan(scan);
            pg_sys::UnregisterSnapshot(snapshot);
        }
    }

    /// Appends one row and its index entries below the privilege layer. The table is one of ours: no
    /// triggers, no constraints beyond those of indexes; it may have got indexes of any kind.
    /// Columns that were added since are null.
    pub fn append(&self, values: &[Option<pg_sys::Datum>]) -> Result<()> {
        let columns = self.attribute_count();
        if columns < values.len() || !self.is_heap() {
            return Err(Error::not_in_prerequisite_state(
                "a table of the audit log is not as it was created",
            ));
        }
        let mut datums: Vec<pg_sys::Datum> =
            values.iter().map(|v| v.unwrap_or(pg_sys::Datum::from(0usize))).collect();
        let mut nulls: Vec<bool> = values.iter().map(Option::is_none).collect();
        datums.resize(columns, pg_sys::Datum::from(0usize));
        nulls.resize(columns, true);
        // SAFETY: as many values as attributes, of the types the table was created with.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.descriptor(), datums.as_mut_ptr(), nulls.as_mut_ptr());
            let command = pg_sys::GetCurrentCommandId(true);
            super::index_entries::insert_with_entries(self.relation, tuple, command);
            pg_sys::heap_freetuple(tuple);
        }
        Ok(())
    }

    pub fn owner(&self) -> pg_sys::Oid {
        // SAFETY: rd_rel of an open relation.
        unsafe { (*(*self.relation).rd_rel).relowner }
    }

    pub fn attribute_count(&self) -> usize {
        // SAFETY: the relation is open.
        unsafe { (*self.descriptor()).natts as usize }
    }

    /// An encoder for the columns of this table.
    pub fn encoder(&self) -> Encoder {
        let memory = OwnedContext::new(c"db_architect encoder");
        let kinds = self
            .attributes()
            .iter()
            .map(|a| if a.dropped { Kind::Dropped } else { Kind::of_type(a.type_oid, &memory) })
            .collect();
        Encoder::new(kinds, memory)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // On an unwinding error the transaction's abort releases the reference instead.
        if !std::thread::panicking() {
            // SAFETY: opened by `open`, closed once.
            unsafe { pg_sys::relation_close(self.relation, self.brief.unwrap_or(pg_sys::NoLock as i32)) }
        }
    }
}

/// A row's fields, by position from zero.
#[derive(Default)]
pub struct Fields {
    pub(super) values: super::tuple::Values,
}

impl Fields {
    pub fn get<T: FromDatum>(&self, index: usize) -> Option<T> {
        let value = self.values.get(index);
        // SAFETY: the caller asks for the type the column was created with.
        unsafe { T::from_datum(value.datum, value.null) }
    }

    /// The bytes of a text, json or bytea column; empty where it is null.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let value = self.values.get(index);
        if value.null {
            return &[];
        }
        // SAFETY: a varlena value, as the caller knows; detoasted into the current context, which
        // outlives the row.
        unsafe {
            let flat = pg_sys::pg_detoast_datum_packed(value.datum.cast_mut_ptr());
            pgrx::varlena::varlena_to_byte_slice(flat)
        }
    }

    /// A copy, in the current context, of a text, json or jsonb value; none where it is null.
    pub fn kept(&self, index: usize) -> Option<pg_sys::Datum> {
        let value = self.values.get(index);
        // SAFETY: a varlena value, as the caller knows.
        (!value.null).then(|| unsafe {
            pg_sys::Datum::from(pg_sys::pg_detoast_datum_copy(value.datum.cast_mut_ptr()))
        })
    }

    pub fn value(&self, index: usize) -> super::tuple::Value {
        self.values.get(index)
    }
}

pub(super) fn attributes_of(descriptor: pg_sys::TupleDesc) -> Vec<Attribute> {
    // SAFETY: a live descriptor has natts attributes.
    unsafe {
        (0..(*descriptor).natts as usize)
            .map(|i| {
                let form = attribute(descriptor, i);
                Attribute {
                    name: string_from((*form).attname.data.as_ptr()),
                    type_oid: (*form).atttypid,
                    typmod: (*form).atttypmod,
                    generated: (*form).attgenerated != 0,
                    dropped: (*form).attisdropped,
                    virtual_generated: (*form).attgenerated == b'v' as std::ffi::c_char,
                    storage: Storage { length: (*form).attlen, by_value: (*form).attbyval },
                    align: match (*form).attalign as u8 {
                        pg_sys::TYPALIGN_CHAR => 1,
                        pg_sys::TYPALIGN_SHORT => 2,
                        pg_sys::TYPALIGN_INT => 4,
                        _ => 8,
                    },
                }
            })
            .collect()
    }
}

/// # Safety
/// `index` is below the descriptor's natts.
unsafe fn attribute(descriptor: pg_sys::TupleDesc, index: usize) -> pg_sys::Form_pg_attribute {
    // SAFETY: the caller's promise.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        {
            (*descriptor).attrs.as_mut_ptr().add(index)
        }
        #[cfg(feature = "pg18")]
        {
            pg_sys::TupleDescAttr(descriptor, index as i32)
        }
    }
}

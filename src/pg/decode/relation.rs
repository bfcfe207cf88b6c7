//! The relation of a change, as the catalogue had it when the change was made. No lock is taken: the
//! changed table may be locked by somebody who waits for this very decoder.

use super::super::encode::{Encoder, Kind};
use super::super::ffi;
use super::super::memory::OwnedContext;
use super::super::table::attributes_of;
use super::super::tuple::Storage;
use pgrx::pg_sys;
use std::ffi::CStr;
use std::marker::PhantomData;

/// A relation, while a callback about it runs.
#[derive(Clone, Copy)]
pub struct Relation<'a> {
    pub(super) raw: pg_sys::Relation,
    pub(super) _lifetime: PhantomData<&'a ()>,
}

/// One attribute, dropped ones included. Names are in the server's encoding.
pub struct Column {
    pub name: Vec<u8>,
    pub type_oid: pg_sys::Oid,
    pub dropped: bool,
    pub virtual_generated: bool,
    pub storage: Storage,
}

/// What an UPDATE or DELETE leaves in the WAL of the row before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    Key,
    Full,
    Nothing,
}

impl Relation<'_> {
    #[inline]
    pub fn id(&self) -> pg_sys::Oid {
        // SAFETY: PostgreSQL holds the relation open for the callback.
        unsafe { (*self.raw).rd_id }
    }

    /// Its kind as in pg_class: `r` for a table, `p` for a partitioned one.
    pub fn kind(&self) -> u8 {
        // SAFETY: as above.
        unsafe { (*(*self.raw).rd_rel).relkind as u8 }
    }

    pub fn identity(&self) -> Identity {
        // SAFETY: as above.
        match unsafe { (*(*self.raw).rd_rel).relreplident } as u8 {
            pg_sys::REPLICA_IDENTITY_FULL => Identity::Full,
            pg_sys::REPLICA_IDENTITY_NOTHING => Identity::Nothing,
            _ => Identity::Key,
        }
    }

    /// Positions, from zero, of the columns the WAL keeps of a row before its change.
    pub fn identity_columns(&self) -> Vec<usize> {
        // SAFETY: as above; reads the catalogue through the relation's cache entry.
        index_columns(unsafe { pg_sys::RelationGetReplicaIndex(self.raw) })
    }

    /// Positions, from zero, of the primary key's columns in key order, deferrable or not; empty without one.
    pub fn primary_key(&self) -> Vec<usize> {
        // SAFETY: as above; the list is a palloc'd copy.
        let indexes = unsafe { ffi::oids_of(pg_sys::RelationGetIndexList(self.raw)) };
        indexes
            .into_iter()
            .find(|&oid| {
                // SAFETY: rd_index of an open index.
                with_index(oid, false, |index| unsafe { (*(*index).rd_index).indisprimary })
            })
            .map(index_columns)
            .unwrap_or_default()
    }

    pub fn columns(&self) -> Vec<Column> {
        // SAFETY: the descriptor of an open relation.
        let descriptor = unsafe { (*self.raw).rd_att };
        attributes_of(descriptor)
            .into_iter()
            .enumerate()
            .map(|(i, a)| Column {
                name: attribute_name(descriptor, i),
                type_oid: a.type_oid,
                dropped: a.dropped,
                virtual_generated: a.virtual_generated,
                storage: a.storage,
            })
            .collect()
    }

    /// An encoder for its columns.
    pub fn encoder(&self, columns: &[Column]) -> Encoder {
        let memory = OwnedContext::new(c"db_architect encoder");
        let kinds = columns
            .iter()
            .map(|c| if c.dropped { Kind::Dropped } else { Kind::of_type(c.type_oid, &memory) })
            .collect();
        Encoder::new(kinds, memory)
    }
}

/// Schema and name of a relation, in the server's encoding; none where it is gone.
pub fn names(relid: pg_sys::Oid) -> Option<(Vec<u8>, Vec<u8>)> {
    // SAFETY: syscache look-ups that return null or palloc'd strings.
    unsafe {
        let name = pg_sys::get_rel_name(relid);
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relid));
        if name.is_null() || schema.is_null() {
            return None;
        }
        Some((CStr::from_ptr(schema).to_bytes().to_vec(), CStr::from_ptr(name).to_bytes().to_vec()))
    }
}

fn attribute_name(descriptor: pg_sys::TupleDesc, index: usize) -> Vec<u8> {
    // SAFETY: `index` is below natts; a name is nul-terminated.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        let form = (*descriptor).attrs.as_ptr().add(index);
        #[cfg(feature = "pg18")]
        let form = pg_sys::TupleDescAttr(descriptor, index as i32);
        CStr::from_ptr((*form).attname.data.as_ptr()).to_bytes().to_vec()
    }
}

/// Reads an index without locking it; `missing` where there is no such index (any more).
fn with_index<R>(oid: pg_sys::Oid, missing: R, read: impl FnOnce(pg_sys::Relation) -> R) -> R {
    if oid == pg_sys::InvalidOid {
        return missing;
    }
    // SAFETY: a reference to the cache entry, given back; after an error the abort of the transaction
    // that decodes gives it back.
    unsafe {
        let index = pg_sys::RelationIdGetRelation(oid);
        if index.is_null() {
            return missing;
        }
        let answer = read(index);
        pg_sys::RelationClose(index);
        answer
    }
}

fn index_columns(oid: pg_sys::Oid) -> Vec<usize> {
    with_index(oid, Vec::new(), |index| {
        // SAFETY: rd_index of an open index; indkey holds indnatts entries, the key ones first.
        unsafe {
            let form = (*index).rd_index;
            let keys = (*form).indkey.values.as_slice((*form).indnatts as usize);
            keys[..(*form).indnkeyatts as usize].iter().filter(|&&n| n > 0).map(|&n| n as usize - 1).collect()
        }
    })
}

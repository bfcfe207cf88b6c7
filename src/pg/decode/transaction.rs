//! The transaction and the change being decoded.

use super::super::lookup::string_from;
use super::super::tuple::Row;
use super::sink::widen;
use pgrx::pg_sys;
use std::ffi::CStr;
use std::marker::PhantomData;

/// A transaction, while a callback about it runs.
pub struct Transaction<'a> {
    pub(super) raw: *mut pg_sys::ReorderBufferTXN,
    pub(super) _lifetime: PhantomData<&'a ()>,
}

impl<'a> Transaction<'a> {
    fn raw(&self) -> &'a pg_sys::ReorderBufferTXN {
        // SAFETY: PostgreSQL keeps the transaction for the callback.
        unsafe { &*self.raw }
    }

    /// The transaction this one is part of; itself if it is none's part.
    fn top(&self) -> &'a pg_sys::ReorderBufferTXN {
        let top = self.raw().toptxn;
        // SAFETY: as above; a subtransaction's top-level transaction outlives it.
        if top.is_null() { self.raw() } else { unsafe { &*top } }
    }

    /// Number of the top-level transaction, with its epoch.
    pub fn id(&self) -> u64 {
        widen(self.top().xid)
    }

    /// 32-bit number of the top-level transaction.
    pub fn short_id(&self) -> u32 {
        self.top().xid.into()
    }

    /// 32-bit number of the subtransaction, where this is one (a streamed one that rolled back).
    pub fn subtransaction(&self) -> Option<u32> {
        (!self.raw().toptxn.is_null()).then(|| self.raw().xid.into())
    }

    /// When it committed, was prepared or rolled back; none while it runs.
    pub fn ended_at(&self) -> Option<i64> {
        #[cfg(feature = "pg14")]
        let time = self.top().commit_time;
        // SAFETY: both members of the union are timestamps.
        #[cfg(not(feature = "pg14"))]
        let time = unsafe { self.top().xact_time.commit_time };
        (time != 0).then_some(time)
    }

    /// Where its commit (or prepare) record begins.
    pub fn final_lsn(&self) -> u64 {
        self.top().final_lsn
    }

    /// Just behind its last record: what a client confirms once it has all of it.
    pub fn end_lsn(&self) -> u64 {
        self.top().end_lsn
    }

    /// Name of a prepared transaction.
    pub fn gid(&self) -> Option<&'a [u8]> {
        let gid = self.top().gid;
        // SAFETY: null or a nul-terminated string that lives as long as the transaction.
        (!gid.is_null()).then(|| unsafe { CStr::from_ptr(gid).to_bytes() })
    }

    /// Name of the replication origin it came from; none for one made here.
    pub fn origin(&self) -> Option<String> {
        let origin = self.top().origin_id;
        if origin == pg_sys::InvalidRepOriginId as u16 {
            return None;
        }
        let mut name = std::ptr::null_mut();
        // SAFETY: a look-up by number; with missing_ok it returns false where there is none. The name is
        // palloc'd.
        unsafe {
            Some(if pg_sys::replorigin_by_oid(origin, true, &mut name) {
                string_from(name)
            } else {
                origin.to_string()
            })
        }
    }
}

/// A 32-bit transaction number with its epoch.
pub fn full_id(short: u32) -> u64 {
    widen(short.into())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Insert,
    Update,
    Delete,
}

/// One row's change.
pub struct Change<'a> {
    pub action: Action,
    pub lsn: u64,
    /// Number of the (sub)transaction that made it.
    pub subtransaction: u32,
    /// What the WAL has of the row before: all of it, its identity, or nothing.
    pub old: Option<Row<'a>>,
    pub new: Option<Row<'a>>,
}

impl<'a> Change<'a> {
    /// # Safety
    /// `raw` is a change of this relation whose callback is running.
    pub(super) unsafe fn new(
        raw: *mut pg_sys::ReorderBufferChange,
        relation: pg_sys::Relation,
    ) -> Option<Self> {
        // SAFETY: the caller's promise: for these kinds of change the union holds the tuples.
        unsafe {
            use pg_sys::ReorderBufferChangeType as Kind;
            let action = match (*raw).action {
                Kind::REORDER_BUFFER_CHANGE_INSERT => Action::Insert,
                Kind::REORDER_BUFFER_CHANGE_UPDATE => Action::Update,
                Kind::REORDER_BUFFER_CHANGE_DELETE => Action::Delete,
                _ => return None,
            };
            let tuples = (*raw).data.tp;
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            let tuple = |tuple: pg_sys::HeapTuple| tuple;
            #[cfg(not(any(feature = "pg17", feature = "pg18")))]
            let tuple = |buffer: *mut pg_sys::ReorderBufferTupleBuf| {
                if buffer.is_null() { std::ptr::null_mut() } else { &raw mut (*buffer).tuple }
            };
            let row = |tuple: pg_sys::HeapTuple| {
                (!tuple.is_null()).then(|| Row {
                    tuple,
                    descriptor: (*relation).rd_att,
                    _lifetime: PhantomData,
                })
            };
            Some(Self {
                action,
                lsn: (*raw).lsn,
                subtransaction: (*(*raw).txn).xid.into(),
                old: row(tuple(tuples.oldtuple)),
                new: row(tuple(tuples.newtuple)),
            })
        }
    }
}

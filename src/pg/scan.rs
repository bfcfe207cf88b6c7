//! Reading a table of ours in the order of a bigint column, below the executor: a range of an index.

use super::table::{Fields, Table};
use super::tuple::Row;
use pgrx::pg_sys;
use std::marker::PhantomData;
use std::rc::Rc;

/// A snapshot taken now, whatever the transaction's own may be: sees what is committed and what this
/// transaction's earlier commands wrote.
pub struct View {
    snapshot: pg_sys::Snapshot,
}

impl View {
    pub fn now() -> Self {
        // SAFETY: registered with the current resource owner, which lets go of it after an error.
        Self { snapshot: unsafe { pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot()) } }
    }
}

impl View {
    /// Runs `work` with this as the active snapshot: what SPI's read-only queries see.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Pushed;
        impl Drop for Pushed {
            fn drop(&mut self) {
                // After an error the abort of the (sub)transaction pops it.
                if !std::thread::panicking() {
                    // SAFETY: pops what was pushed below.
                    unsafe { pg_sys::PopActiveSnapshot() }
                }
            }
        }
        // SAFETY: a registered snapshot.
        unsafe { pg_sys::PushActiveSnapshot(self.snapshot) };
        let _pushed = Pushed;
        work()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: registered by `now`, once.
            unsafe { pg_sys::UnregisterSnapshot(self.snapshot) }
        }
    }
}

/// A table and its btree index on a bigint column; both stay open, and locked against being dropped or
/// emptied, as long as this lives, and no longer.
pub struct Ordered {
    relation: pg_sys::Relation,
    index: pg_sys::Relation,
    attribute: i16,
}

impl Ordered {
    /// The table `relid` by its column `attribute`, from zero; none where it is gone or has no such index.
    pub fn open(relid: pg_sys::Oid, attribute: usize) -> Option<Rc<Self>> {
        let found = {
            let table = Table::open(relid, pg_sys::AccessShareLock as i32)?;
            table.is_heap().then(|| btree_on(&table, attribute as i16 + 1)).flatten()
        };
        // SAFETY: the table is locked by the first line; both are closed, and unlocked, by Drop.
        unsafe {
            let Some(index) = found else {
                pg_sys::UnlockRelationOid(relid, pg_sys::AccessShareLock as i32);
                return None;
            };
            Some(Rc::new(Self {
                relation: pg_sys::relation_open(relid, pg_sys::NoLock as i32),
                index: pg_sys::index_open(index, pg_sys::AccessShareLock as i32),
                attribute: attribute as i16 + 1,
            }))
        }
    }

    /// The greatest value of the column; none where no row is visible.
    pub fn last(&self, view: &View) -> Option<i64> {
        // SAFETY: relation and index are open and the snapshot is registered while the scan lasts; the
        // column is a bigint, read before the scan ends.
        unsafe {
            let (relation, index, keys) = (self.relation, self.index, std::ptr::null_mut());
            let scan = pg_sys::systable_beginscan_ordered(relation, index, view.snapshot, 0, keys);
            let tuple = pg_sys::systable_getnext_ordered(scan, pg_sys::ScanDirection::BackwardScanDirection);
            let mut fields = Fields::default();
            if !tuple.is_null() {
                let descriptor = (*self.relation).rd_att;
                Row { tuple, descriptor, _lifetime: PhantomData }.values_into(&mut fields.values);
            }
            let value = (!tuple.is_null()).then(|| fields.value(self.attribute as usize - 1).as_i64());
            pg_sys::systable_endscan_ordered(scan);
            value.flatten()
        }
    }

    /// Rows with `after < value <= through`, in order.
    pub fn range<'a>(self: &Rc<Self>, after: i64, through: i64, view: &'a View) -> Range<'a> {
        // SAFETY: relation and index are open and the snapshot is registered while the scan lasts; the
        // column is a bigint, as the operators are.
        let scan = unsafe {
            let mut keys: [pg_sys::ScanKeyData; 2] = std::mem::zeroed();
            pg_sys::ScanKeyInit(
                &mut keys[0],
                self.attribute,
                pg_sys::BTGreaterStrategyNumber as u16,
                pg_sys::F_INT8GT.into(),
                pg_sys::Datum::from(after),
            );
            pg_sys::ScanKeyInit(
                &mut keys[1],
                self.attribute,
                pg_sys::BTLessEqualStrategyNumber as u16,
                pg_sys::F_INT8LE.into(),
                pg_sys::Datum::from(through),
            );
            pg_sys::systable_beginscan_ordered(self.relation, self.index, view.snapshot, 2, keys.as_mut_ptr())
        };
        Range { scan, table: Rc::clone(self), fields: Fields::default(), _view: PhantomData }
    }
}

impl Drop for Ordered {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: opened and locked by `open`, closed once.
            unsafe {
                pg_sys::index_close(self.index, pg_sys::AccessShareLock as i32);
                pg_sys::relation_close(self.relation, pg_sys::AccessShareLock as i32);
            }
        }
    }
}

/// A scan under way, which keeps its table open.
pub struct Range<'a> {
    scan: pg_sys::SysScanDesc,
    table: Rc<Ordered>,
    fields: Fields,
    _view: PhantomData<&'a View>,
}

impl Range<'_> {
    /// Moves on to the next row; false at the end.
    pub fn advance(&mut self) -> bool {
        // SAFETY: the scan is open; its tuple is read before it moves on.
        unsafe {
            let tuple =
                pg_sys::systable_getnext_ordered(self.scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                return false;
            }
            let descriptor = (*self.table.relation).rd_att;
            Row { tuple, descriptor, _lifetime: PhantomData }.values_into(&mut self.fields.values);
            true
        }
    }

    /// The row `advance` found.
    pub fn row(&self) -> &Fields {
        &self.fields
    }
}

impl Drop for Range<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun by `range`, ended once.
            unsafe { pg_sys::systable_endscan_ordered(self.scan) }
        }
    }
}

/// A valid btree index on all rows of an open table that begins with this column, from one.
pub fn btree_on(table: &Table, attribute: i16) -> Option<pg_sys::Oid> {
    // SAFETY: the relation is open; the list is a palloc'd copy; rd_index and rd_indpred belong to the
    // open index.
    unsafe {
        super::ffi::oids_of(pg_sys::RelationGetIndexList(table.raw())).into_iter().find(|&oid| {
            let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as i32);
            let form = (*index).rd_index;
            let fits = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
                && (*form).indisvalid
                && (*form).indkey.values.as_slice(1).first() == Some(&attribute)
                && pg_sys::RelationGetIndexPredicate(index).is_null();
            pg_sys::index_close(index, pg_sys::AccessShareLock as i32);
            fits
        })
    }
}

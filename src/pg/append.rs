//! Appending rows to a log below the executor: no planning, no privileges asked, no triggers; WAL, TOAST
//! and indexes as usual. Which table of the log a row goes to is a `Destination`'s to say.

use super::ffi::unguarded;
use super::index_entries;
use super::invalidation;
use super::lookup;
use super::memory::OwnedContext;
use super::table::Table;
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

/// A row being built for a log table of `N` columns.
pub struct NewRow<const N: usize> {
    datums: [pg_sys::Datum; N],
    nulls: [bool; N],
    command: Option<u32>,
}

impl<const N: usize> NewRow<N> {
    /// A row of nulls.
    pub fn new() -> Self {
        Self { datums: [pg_sys::Datum::from(0usize); N], nulls: [true; N], command: None }
    }

    /// Has the row count as written by an earlier command of this transaction: those after it see it.
    pub fn set_command(&mut self, command: u32) {
        self.command = Some(command);
    }

    fn set(&mut self, column: usize, datum: pg_sys::Datum) {
        self.datums[column] = datum;
        self.nulls[column] = false;
    }

    pub fn set_i64(&mut self, column: usize, value: i64) {
        self.set(column, pg_sys::Datum::from(value));
    }

    pub fn set_i32(&mut self, column: usize, value: i32) {
        self.set(column, pg_sys::Datum::from(value));
    }

    pub fn set_char(&mut self, column: usize, value: u8) {
        self.set(column, pg_sys::Datum::from(value as i8));
    }

    /// Sets a text, json or bytea column.
    pub fn set_bytes(&mut self, column: usize, bytes: &[u8]) {
        self.set(column, varlena_from(bytes));
    }
}

/// A varlena value palloc'd in the current context.
pub(super) fn varlena_from(bytes: &[u8]) -> pg_sys::Datum {
    // SAFETY: room for the four-byte header and the bytes; palloc raises an error past one gigabyte.
    unsafe {
        let size = bytes.len() + pg_sys::VARHDRSZ;
        let value: *mut pg_sys::varlena = pg_sys::palloc(size).cast();
        pgrx::varlena::set_varsize_4b(value, size as i32);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast::<u8>().add(pg_sys::VARHDRSZ), bytes.len());
        pg_sys::Datum::from(value)
    }
}

const MOST_INDEX_COLUMNS: usize = pg_sys::INDEX_MAX_KEYS as usize;

/// What the columns of a log must be: rows are laid out by it.
pub struct Columns<const N: usize> {
    /// Their types, in order.
    pub types: [pg_sys::Oid; N],
    /// Positions of those that are the same in all rows with the same token.
    pub steady: &'static [usize],
}

/// Says which table of a log the rows with a key go to.
pub trait Destination {
    fn find(&self, key: i64) -> Result<Target>;
}

/// A table of a log, and the keys `low..high` whose rows go to it until something changes.
pub struct Target {
    pub relid: pg_sys::Oid,
    pub low: i64,
    pub high: i64,
}

/// A log of one or more tables of the same columns, and where its current rows go.
pub struct Log<const N: usize, D: Destination> {
    destination: D,
    columns: &'static Columns<N>,
    leaf: Option<Leaf>,
}

/// The table in use.
struct Leaf {
    target: Target,
    indexes: Vec<IndexTarget>,
    /// Count of relation changes this was looked up at.
    changes: u64,
    /// Some index needs the executor: an expression, a predicate, a constraint.
    needs_executor: bool,
    /// The transaction that holds the locks an insertion needs; zero when none may.
    locked_by: u64,
    /// Heap block and summary token of the last row whose BRIN summaries were brought up to date.
    summarized: Option<(u32, (u64, u64))>,
    _memory: OwnedContext,
}

struct IndexTarget {
    relid: pg_sys::Oid,
    info: *mut pg_sys::IndexInfo,
    attributes: Vec<usize>,
    /// A BRIN whose columns are all steady.
    summary: bool,
    /// Count of relation changes that what the access method keeps in `info` was made at.
    kept_since: u64,
}

impl<const N: usize, D: Destination> Log<N, D> {
    pub fn new(destination: D, columns: &'static Columns<N>) -> Self {
        Self { destination, columns, leaf: None }
    }

    pub fn destination(&self) -> &D {
        &self.destination
    }

    /// To be called when a transaction or savepoint was rolled back: rows are gone, so may be locks.
    pub fn after_rollback(&mut self) {
        if let Some(leaf) = &mut self.leaf {
            leaf.summarized = None;
            leaf.locked_by = 0;
        }
    }

    /// Appends a row whose place in the log is by `key`. Rows with the same `token` have the same values in
    /// every steady column: within one heap block the summary of a BRIN of such columns is brought up to
    /// date once. The token begins with the transaction's id.
    pub fn append(&mut self, key: i64, token: (u64, u64), row: &mut NewRow<N>) -> Result<()> {
        let changes = invalidation::changes();
        let leaf = match &mut self.leaf {
            // The locks taken for this transaction's last row are still held. They keep others from
            // changing the partition and its indexes, but not the transaction itself.
            Some(leaf) if leaf.locked_by == token.0 && leaf.changes == changes && leaf.target.holds(key) => {
                leaf
            }
            _ => self.lock_leaf(key, token.0)?,
        };
        if leaf.needs_executor {
            leaf.insert_by_executor(row);
            return Ok(());
        }
        // SAFETY: the values are of the log's column types, one for each attribute; the relations are
        // locked by this transaction and described as they are. One guard for all: an error skips the
        // frame below, which owns nothing that needs dropping and calls nothing with a guard of its own.
        unsafe { pg_guard_ffi_boundary(|| leaf.insert(token, row)) };
        Ok(())
    }

    fn lock_leaf(&mut self, key: i64, txid: u64) -> Result<&mut Leaf> {
        loop {
            let leaf = match self.leaf.take() {
                Some(leaf) if leaf.changes == invalidation::changes() && leaf.target.holds(key) => leaf,
                _ => Leaf::find(self.destination.find(key)?, self.columns)?,
            };
            // Taking the lock reads the news: the partition may just have been detached or dropped, or
            // got another index. Having looked it up under the lock, it stays as it is.
            let Some(_table) = Table::open(leaf.target.relid, pg_sys::RowExclusiveLock as i32) else {
                continue;
            };
            for index in &leaf.indexes {
                // SAFETY: takes the lock that an index insertion needs; kept to the end of the transaction.
                unsafe { pg_sys::LockRelationOid(index.relid, pg_sys::RowExclusiveLock as i32) };
            }
            if leaf.changes != invalidation::changes() {
                continue;
            }
            let leaf = self.leaf.insert(leaf);
            leaf.locked_by = txid;
            return Ok(leaf);
        }
    }
}

impl Target {
    fn holds(&self, key: i64) -> bool {
        self.low <= key && key < self.high
    }
}

/// The table that was to be written to is not there.
pub(super) fn gone() -> Error {
    Error::not_in_prerequisite_state("the log table has gone")
        .hint("DROP EXTENSION db_architect CASCADE removes the triggers that write to it.")
}

impl Leaf {
    /// Looks up how a table's indexes are kept.
    fn find<const N: usize>(target: Target, columns: &Columns<N>) -> Result<Self> {
        let relid = target.relid;
        let memory = OwnedContext::new(c"db_architect log indexes");
        let table = Table::open(relid, pg_sys::RowExclusiveLock as i32).ok_or_else(gone)?;
        check(relid, &table, columns)?;
        let mut indexes = Vec::new();
        let mut needs_executor = false;
        // SAFETY: indexes of an open, locked table; IndexInfo is allocated in `memory` and lives with it.
        unsafe {
            for index in super::ffi::oids_of(pg_sys::RelationGetIndexList(table.raw())) {
                let relation = pg_sys::index_open(index, pg_sys::RowExclusiveLock as i32);
                let info = memory.within(|| pg_sys::BuildIndexInfo(relation));
                let attributes: Vec<i16> =
                    (&(*info).ii_IndexAttrNumbers)[..(*info).ii_NumIndexAttrs as usize].to_vec();
                needs_executor |= !(*info).ii_Predicate.is_null()
                    || (*info).ii_Unique
                    || !(*info).ii_ExclusionOps.is_null()
                    || attributes.iter().any(|&n| n <= 0);
                if (*info).ii_ReadyForInserts {
                    let attributes: Vec<usize> =
                        attributes.iter().map(|&n| (n.max(1) - 1) as usize).collect();
                    indexes.push(IndexTarget {
                        relid: index,
                        info,
                        summary: (*(*relation).rd_rel).relam == pg_sys::BRIN_AM_OID
                            && attributes.iter().all(|attribute| columns.steady.contains(attribute)),
                        attributes,
                        kept_since: 0,
                    });
                }
                pg_sys::index_close(relation, pg_sys::NoLock as i32);
            }
        }
        let changes = super::invalidation::changes();
        Ok(Self { target, indexes, changes, needs_executor, locked_by: 0, summarized: None, _memory: memory })
    }

    /// Inserts the row where some index needs expressions computed or constraints checked. Every call has
    /// a guard of its own, so that an error unwinds as anywhere else.
    fn insert_by_executor<const N: usize>(&mut self, row: &mut NewRow<N>) {
        // SAFETY: the leaf is locked by this transaction and as described; the row's values are of its
        // column types.
        unsafe {
            let relation = pg_sys::RelationIdGetRelation(self.target.relid);
            let tuple =
                pg_sys::heap_form_tuple((*relation).rd_att, row.datums.as_mut_ptr(), row.nulls.as_mut_ptr());
            // An index's function may run a query, and when a transaction ends there is no snapshot left.
            let alone = !pg_sys::ActiveSnapshotSet();
            if alone {
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            }
            let command = row.command.unwrap_or_else(|| pg_sys::GetCurrentCommandId(true));
            index_entries::insert_with_entries(relation, tuple, command);
            if alone {
                pg_sys::PopActiveSnapshot();
            }
            pg_sys::heap_freetuple(tuple);
            pg_sys::RelationClose(relation);
        }
    }

    /// # Safety
    /// Called inside a guard. The leaf and its indexes are locked by this transaction and as described;
    /// the row's values are of its column types.
    unsafe fn insert<const N: usize>(&mut self, token: (u64, u64), row: &mut NewRow<N>) {
        // SAFETY: the caller's promise.
        unsafe {
            let relation = unguarded::RelationIdGetRelation(self.target.relid);
            let tuple = unguarded::heap_form_tuple(
                (*relation).rd_att,
                row.datums.as_mut_ptr(),
                row.nulls.as_mut_ptr(),
            );
            unguarded::heap_insert(
                relation,
                tuple,
                row.command.unwrap_or_else(|| unguarded::GetCurrentCommandId(true)),
                0,
                std::ptr::null_mut(),
            );
            self.insert_index_entries(relation, tuple, token, row);
            unguarded::pfree(tuple.cast());
            unguarded::RelationClose(relation);
        }
    }

    /// # Safety
    /// As `insert`; `tuple` was just inserted into `relation` from `row`.
    unsafe fn insert_index_entries<const N: usize>(
        &mut self,
        relation: pg_sys::Relation,
        tuple: pg_sys::HeapTuple,
        token: (u64, u64),
        row: &NewRow<N>,
    ) {
        let mut datums = [pg_sys::Datum::from(0usize); MOST_INDEX_COLUMNS];
        let mut nulls = [false; MOST_INDEX_COLUMNS];
        // SAFETY: the caller's promise.
        unsafe {
            let tid = &raw mut (*tuple).t_self;
            let block = (u32::from((*tid).ip_blkid.bi_hi) << 16) | u32::from((*tid).ip_blkid.bi_lo);
            let summarized = self.summarized == Some((block, token));
            for index in self.indexes.iter_mut().filter(|index| !(index.summary && summarized)) {
                for (slot, &attribute) in index.attributes.iter().enumerate() {
                    datums[slot] = row.datums[attribute];
                    nulls[slot] = row.nulls[attribute];
                }
                let index_relation = unguarded::RelationIdGetRelation(index.relid);
                // BRIN before PostgreSQL 17, GIN and GiST keep pointers into the relcache's entry for as
                // long as they know an IndexInfo; nothing holds that entry between two rows.
                let changes = invalidation::changes();
                if index.kept_since != changes {
                    (*index.info).ii_AmCache = std::ptr::null_mut();
                    index.kept_since = changes;
                }
                // BRIN since PostgreSQL 17 makes what it keeps anew after each clean-up and leaves a part of
                // it to the context's end: here, the end of the trigger call.
                #[cfg(any(feature = "pg17", feature = "pg18"))]
                {
                    (*index.info).ii_AmCache = std::ptr::null_mut();
                    (*index.info).ii_Context = pg_sys::CurrentMemoryContext;
                }
                unguarded::index_insert(
                    index_relation,
                    datums.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                    tid,
                    relation,
                    pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO,
                    false,
                    index.info,
                );
                #[cfg(any(feature = "pg17", feature = "pg18"))]
                unguarded::index_insert_cleanup(index_relation, index.info);
                unguarded::RelationClose(index_relation);
            }
            self.summarized = Some((block, token));
        }
    }
}

/// Refuses a partition that rows cannot be written to as they are laid out: of a foreign table, of
/// another table access method, with other columns or in another order.
fn check<const N: usize>(relid: pg_sys::Oid, table: &Table, columns: &Columns<N>) -> Result<()> {
    let is_heap = table.is_heap();
    let found = table.attributes();
    let types = found.iter().map(|a| if a.dropped { pg_sys::InvalidOid } else { a.type_oid });
    if is_heap && types.eq(columns.types) {
        return Ok(());
    }
    let name = lookup::qualified_name(relid).unwrap_or_default();
    let error = Error::not_in_prerequisite_state("changes cannot be written to the log's partition");
    Err(if is_heap {
        error
            .detail(format!(
                "Table {name} does not have the columns the log was created with, in that order."
            ))
            .hint("Detach it. Columns of the log must not be added, dropped or changed by hand.")
    } else {
        error
            .detail(format!("Table {name} is not an ordinary table of access method heap."))
            .hint("Detach it, or attach such tables for past months only.")
    })
}

//! What the decoder knows of transactions in progress: one, or several where they are streamed.

use crate::cdc::event::Object;
use crate::pg::decode::{Transaction, full_id};
use pgrx::pg_sys;
use std::collections::HashMap;

#[derive(Default)]
pub struct Transactions(Vec<InProgress>);

pub struct InProgress {
    short_id: u32,
    pub id: u64,
    /// Something of it was written.
    pub begun: bool,
    /// Whether its begin and end are written.
    pub records: bool,
    pub streamed: bool,
    /// Whether a block of a streamed transaction is open.
    pub block_open: bool,
    /// When it committed or was prepared.
    pub at: Option<i64>,
    /// Where it came from, as a member; empty for one made here.
    pub origin: Vec<u8>,
    /// Who acted, by the (sub)transaction that said so; the last one holds.
    pub authors: Vec<(u32, Vec<u8>)>,
    ordinal: u64,
    by_table: HashMap<pg_sys::Oid, u64>,
}

impl Transactions {
    pub fn begin(&mut self, transaction: &Transaction, records: bool) {
        self.end(transaction);
        self.0.push(InProgress::new(transaction, records, false));
    }

    /// A block of a streamed transaction begins. Its events may turn out void: a client must be told
    /// how it ends.
    pub fn resume(&mut self, transaction: &Transaction) {
        if !self.0.iter().any(|known| known.short_id == transaction.short_id()) {
            self.0.push(InProgress::new(transaction, true, true));
        }
    }

    #[inline]
    pub fn get(&mut self, transaction: &Transaction) -> &mut InProgress {
        let short_id = transaction.short_id();
        let index = self.0.iter().position(|known| known.short_id == short_id).unwrap_or_else(|| {
            self.0.push(InProgress::new(transaction, true, false));
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    pub fn end(&mut self, transaction: &Transaction) {
        self.0.retain(|known| known.short_id != transaction.short_id());
    }
}

impl InProgress {
    fn new(transaction: &Transaction, records: bool, streamed: bool) -> Self {
        let mut origin = Vec::new();
        if let Some(name) = transaction.origin() {
            Object::members_of(&mut origin).text(b"origin", name.as_bytes());
        }
        Self {
            short_id: transaction.short_id(),
            id: transaction.id(),
            begun: false,
            records,
            streamed,
            block_open: false,
            at: transaction.ended_at().filter(|_| !streamed),
            origin,
            authors: Vec::new(),
            ordinal: 0,
            by_table: HashMap::new(),
        }
    }

    /// Numbers the next event: within the transaction, and among those of its table where that is asked
    /// for.
    #[inline]
    pub fn count(&mut self, table: pg_sys::Oid, by_table: bool) -> (u64, Option<u64>) {
        self.ordinal += 1;
        let order = by_table.then(|| {
            let order = self.by_table.entry(table).or_default();
            *order += 1;
            *order
        });
        (self.ordinal, order)
    }

    /// How many events were written.
    pub fn events(&self) -> u64 {
        self.ordinal
    }

    pub fn author(&self) -> &[u8] {
        self.authors.last().map_or(&[], |(_, author)| author)
    }

    /// Whether what is known of who acted holds JSON of the application's.
    pub fn has_context(&self) -> bool {
        !self.authors.is_empty()
    }

    /// Members of an event about its transaction: origin, and the subtransaction where the client may
    /// yet be told that it rolled back.
    #[inline]
    pub fn about(&self, subtransaction: u32) -> Vec<u8> {
        let mut about = self.origin.clone();
        if self.streamed && subtransaction != self.short_id {
            let mut object = Object::members_of(&mut about);
            object.integer(b"subtxid", full_id(subtransaction));
        }
        about
    }
}

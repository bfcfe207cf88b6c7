//! What differs between a chunk's entries as sealed and as found.
#![forbid(unsafe_code)]

use super::digest::{ABSENT, Entry, Key};
use super::items::Item;
use std::iter::Peekable;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Sealed, and not there any more.
    Deleted { key: Key, changed_at: i64 },
    /// There, and not sealed.
    Inserted { key: Key, changed_at: i64 },
    /// One of the entry's own columns is another.
    Edited { key: Key, changed_at: i64, was_at: i64 },
    /// The context it refers to is another, or gone.
    Context { key: Key, context_id: i64, gone: bool },
    /// The relation it refers to is another, or gone.
    Relation { key: Key, relation_id: i32, gone: bool },
    /// As it was sealed, between others that are not.
    Intact,
}

/// Goes through both in order, entry by entry. Entries that agree are left out, save one between others
/// that do not.
pub struct Comparison {
    sealed: Peekable<std::vec::IntoIter<Item>>,
    differences: Vec<Difference>,
}

impl Comparison {
    pub fn with(sealed: Vec<Item>) -> Self {
        Self { sealed: sealed.into_iter().peekable(), differences: Vec::new() }
    }

    /// The next entry found.
    pub fn found(&mut self, entry: &Entry) {
        while let Some(item) = self.sealed.next_if(|item| item.key < entry.key) {
            self.differences.push(deleted(&item));
        }
        match self.sealed.next_if(|item| item.key == entry.key) {
            Some(item) => same_place(&item, entry, &mut self.differences),
            None => {
                self.differences.push(Difference::Inserted { key: entry.key, changed_at: entry.changed_at });
            }
        }
    }

    /// What was found different since the last call.
    pub fn take(&mut self) -> Vec<Difference> {
        if self.differences.iter().all(|difference| *difference == Difference::Intact) {
            self.differences.clear();
        }
        std::mem::take(&mut self.differences)
    }

    /// No more entries were found; what is left to report.
    pub fn end(mut self) -> Vec<Difference> {
        self.differences.extend(self.sealed.by_ref().map(|item| deleted(&item)));
        self.take()
    }
}

fn deleted(item: &Item) -> Difference {
    Difference::Deleted { key: item.key, changed_at: item.changed_at }
}

fn same_place(item: &Item, entry: &Entry, differences: &mut Vec<Difference>) {
    let key = entry.key;
    let now = Item::from(entry);
    if now == *item {
        if differences.last() != Some(&Difference::Intact) {
            differences.push(Difference::Intact);
        }
        return;
    }
    // An entry made to refer to another context is itself another.
    if now.own != item.own || now.changed_at != item.changed_at {
        differences.push(Difference::Edited { key, changed_at: entry.changed_at, was_at: item.changed_at });
        return;
    }
    if now.context != item.context {
        let gone = entry.context == ABSENT;
        differences.push(Difference::Context { key, context_id: entry.context_id, gone });
    }
    if now.relation != item.relation {
        let gone = entry.relation == ABSENT;
        differences.push(Difference::Relation { key, relation_id: entry.relation_id, gone });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(audit_id: i64, own: u8) -> Entry {
        Entry {
            key: Key { txid: 700, audit_id, operation: b'U' },
            changed_at: 5,
            context_id: 16,
            relation_id: 1,
            own: [own; 32],
            context: [1; 32],
            relation: [2; 32],
        }
    }

    fn diff(sealed: &[Item], found: &[Entry]) -> Vec<Difference> {
        let mut comparison = Comparison::with(sealed.to_vec());
        found.iter().for_each(|entry| comparison.found(entry));
        comparison.end()
    }

    fn sealed(entries: &[Entry]) -> Vec<Item> {
        entries.iter().map(Item::from).collect()
    }

    #[test]
    fn nothing_differs_where_nothing_does() {
        let entries = [entry(1, 1), entry(2, 2)];
        assert_eq!(diff(&sealed(&entries), &entries), []);
        assert_eq!(diff(&[], &[]), []);
    }

    #[test]
    fn each_kind_of_tampering_is_told_apart() {
        let entries: Vec<Entry> = (1..=5).map(|id| entry(id, 1)).collect();
        let mut found = entries.clone();
        found[0].own = [9; 32];
        found[2].context = ABSENT;
        found[3].relation = [9; 32];
        found.remove(1);
        found.push(entry(6, 1));
        let key = |audit_id| Key { txid: 700, audit_id, operation: b'U' };
        assert_eq!(
            diff(&sealed(&entries), &found),
            [
                Difference::Edited { key: key(1), changed_at: 5, was_at: 5 },
                Difference::Deleted { key: key(2), changed_at: 5 },
                Difference::Context { key: key(3), context_id: 16, gone: true },
                Difference::Relation { key: key(4), relation_id: 1, gone: false },
                Difference::Intact,
                Difference::Inserted { key: key(6), changed_at: 5 },
            ]
        );
    }
}

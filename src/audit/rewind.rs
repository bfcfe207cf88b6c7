//! Undoing recorded changes in memory, newest first, until a time is reached.
//!
//! A row is a set of values laid over what the table holds now. What was truncated since has nothing
//! under it: it is put together from what the log says, after the time and then before it.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet, VecDeque};

/// A row's key as the log spells it.
pub type Key = Box<[u8]>;
/// A column, by position in the table's present row, and the JSON text of its value.
pub type Cell = (usize, Box<[u8]>);

/// What one entry says happened to the row now under its key.
#[derive(Debug, Clone)]
pub enum Change {
    Insert(Vec<Cell>),
    Delete(Vec<Cell>),
    Update {
        old: Vec<Cell>,
        new: Vec<Cell>,
        /// The whole row before the change, where that was recorded.
        row: Option<Vec<Cell>>,
        former_key: Option<Key>,
    },
}

/// What lies under a row's values.
#[derive(Debug, PartialEq, Eq, Clone)]
pub enum Base {
    /// The row that has this key now.
    Present(Key),
    /// Nothing: the values are the row.
    Nothing,
    /// Nothing, and the values may not be all: the row was truncated.
    Lost,
}

#[derive(Debug)]
pub struct Row {
    pub base: Base,
    pub values: Vec<Cell>,
    /// Of a row that was lost, the key it had then.
    pub key: Option<Key>,
    exists: bool,
    complete: bool,
}

impl Row {
    fn new(base: Base, values: Vec<Cell>) -> Self {
        let complete = base != Base::Lost;
        Self { base, values, key: None, exists: true, complete }
    }

    fn lost(key: &[u8]) -> Self {
        Self { key: Some(key.into()), ..Self::new(Base::Lost, Vec::new()) }
    }

    /// Going back: the older value replaces what is known of a later time.
    fn lay_over(&mut self, cells: Vec<Cell>) {
        for (column, value) in cells {
            match self.values.iter_mut().find(|(known, _)| *known == column) {
                Some(known) => known.1 = value,
                None => self.values.push((column, value)),
            }
        }
    }

    /// From before the time: only what is not known yet.
    fn lay_under(&mut self, cells: Vec<Cell>) {
        for (column, value) in cells {
            if !self.values.iter().any(|(known, _)| *known == column) {
                self.values.push((column, value));
            }
        }
    }
}

/// Where the rows were.
#[derive(Default)]
pub struct Rewind {
    present: HashSet<Key>,
    rows: Vec<Row>,
    at: HashMap<Key, VecDeque<usize>>,
    /// Relations truncated after the time: of these the table knows nothing.
    truncated: HashSet<u32>,
    all_truncated: bool,
    /// Keys of truncated relations looked up before the time, and where the row went.
    filled: HashMap<Key, Option<usize>>,
    /// Entries about rows that are not where the log says.
    pub mismatches: usize,
}

impl Rewind {
    /// `present`: which of the keys the entries are about the table holds now.
    pub fn new(present: HashSet<Key>) -> Self {
        Self { present, ..Self::default() }
    }

    pub fn truncated(&self, relation: u32) -> bool {
        self.all_truncated || self.truncated.contains(&relation)
    }

    pub fn any_truncated(&self) -> bool {
        self.all_truncated || !self.truncated.is_empty()
    }

    /// The relation (none: all of them) was truncated.
    pub fn back_over_truncate(&mut self, relation: Option<u32>) {
        match relation {
            Some(relation) => {
                self.truncated.insert(relation);
            }
            None => self.all_truncated = true,
        }
    }

    /// Undoes an entry, found after every later one.
    pub fn back(&mut self, relation: u32, key: &[u8], change: Change) {
        let lost = self.truncated(relation);
        self.touch(key);
        match change {
            Change::Insert(_) => match self.take(key) {
                Some(row) => self.rows[row].exists = false,
                None if lost => {}
                None => self.mismatches += 1,
            },
            Change::Delete(values) => {
                // Whoever is there came without an entry.
                while let Some(row) = self.take(key) {
                    self.rows[row].exists = false;
                    self.mismatches += 1;
                }
                self.put(key, Row::new(Base::Nothing, values));
            }
            Change::Update { old, row: before, former_key, .. } => {
                let Some(row) = self.take_or_lost(key, lost) else { return };
                if self.rows[row].base == Base::Lost
                    && !self.rows[row].complete
                    && let Some(before) = before
                {
                    self.rows[row].lay_under(before);
                    self.rows[row].complete = true;
                }
                self.rows[row].lay_over(old);
                let place = former_key.as_deref().unwrap_or(key);
                if self.rows[row].key.is_some() {
                    self.rows[row].key = Some(place.into());
                }
                self.touch(place);
                match self.at.get_mut(place) {
                    // A row that stays keeps its place before others that came to its key.
                    Some(queue) if former_key.is_none() => queue.push_front(row),
                    Some(queue) => queue.push_back(row),
                    None => {}
                }
            }
        }
    }

    /// Learns from an entry at or before the time, found after every later one, about a row of a
    /// truncated relation.
    pub fn learn(&mut self, key: &[u8], change: Change) {
        let known = match self.filled.get(key) {
            Some(known) => *known,
            None => match self.at.get(key) {
                // Touched after the time: there or not, as that says.
                Some(queue) => queue.front().copied(),
                // Not touched until it was truncated: there, if the newest entry left it there.
                None if matches!(change, Change::Delete(_)) => None,
                None => {
                    self.rows.push(Row::lost(key));
                    Some(self.rows.len() - 1)
                }
            },
        };
        let mut here = None;
        if let Some(row) = known.filter(|&row| !self.rows[row].complete) {
            match change {
                Change::Insert(values) => {
                    self.rows[row].lay_under(values);
                    self.rows[row].complete = true;
                }
                // An earlier row of the same key.
                Change::Delete(_) => {}
                Change::Update { new, row: before, former_key, .. } => {
                    self.rows[row].lay_under(new);
                    if let Some(before) = before {
                        self.rows[row].lay_under(before);
                        self.rows[row].complete = true;
                    }
                    match former_key {
                        Some(former) => {
                            self.filled.insert(former, Some(row));
                        }
                        None => here = Some(row),
                    }
                }
            }
        } else if let (None, Change::Update { former_key: Some(former), .. }) = (known, change) {
            self.filled.entry(former).or_insert(None);
        }
        self.filled.insert(key.into(), here);
    }

    /// Rows as they were; with each whether the log knows all of it.
    pub fn rows(&self) -> impl Iterator<Item = (&Row, bool)> {
        self.rows.iter().filter(|row| row.exists).map(|row| (row, row.complete))
    }

    fn touch(&mut self, key: &[u8]) {
        if self.at.contains_key(key) {
            return;
        }
        let mut queue = VecDeque::new();
        if self.present.contains(key) && !self.all_truncated {
            self.rows.push(Row::new(Base::Present(key.into()), Vec::new()));
            queue.push_back(self.rows.len() - 1);
        }
        self.at.insert(key.into(), queue);
    }

    fn take(&mut self, key: &[u8]) -> Option<usize> {
        self.at.get_mut(key).and_then(VecDeque::pop_front)
    }

    fn take_or_lost(&mut self, key: &[u8], lost: bool) -> Option<usize> {
        if let Some(row) = self.take(key) {
            return Some(row);
        }
        if !lost {
            self.mismatches += 1;
            return None;
        }
        self.rows.push(Row::lost(key));
        Some(self.rows.len() - 1)
    }

    fn put(&mut self, key: &[u8], row: Row) {
        self.rows.push(row);
        let row = self.rows.len() - 1;
        self.at.entry(key.into()).or_default().push_back(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(column: usize, value: &str) -> Cell {
        (column, value.as_bytes().into())
    }

    fn update(old: &str, new: &str) -> Change {
        Change::Update { old: vec![cell(1, old)], new: vec![cell(1, new)], row: None, former_key: None }
    }

    fn key_change(old: &str, new: &str) -> Change {
        Change::Update {
            old: vec![cell(0, old)],
            new: vec![cell(0, new)],
            row: None,
            former_key: Some(old.as_bytes().into()),
        }
    }

    fn rewind(present: &[&str]) -> Rewind {
        Rewind::new(present.iter().map(|key| key.as_bytes().into()).collect())
    }

    /// What was there: base and values, sorted, as text.
    fn found(rewind: &Rewind) -> Vec<String> {
        let mut all: Vec<String> = rewind
            .rows()
            .map(|(row, complete)| {
                let base = match &row.base {
                    Base::Present(key) => String::from_utf8(key.to_vec()).unwrap(),
                    Base::Nothing => "-".into(),
                    Base::Lost => "lost".into(),
                };
                let mut values: Vec<String> = row
                    .values
                    .iter()
                    .map(|(column, value)| format!("{column}={}", std::str::from_utf8(value).unwrap()))
                    .collect();
                values.sort();
                format!("{base}: {}{}", values.join(" "), if complete { "" } else { " ?" })
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn inserts_vanish_updates_go_back_deletes_come_back() {
        let mut rows = rewind(&["1", "2"]);
        rows.back(1, b"1", update("b", "c"));
        rows.back(1, b"1", update("a", "b"));
        rows.back(1, b"2", Change::Insert(vec![]));
        rows.back(1, b"3", Change::Delete(vec![cell(0, "3"), cell(1, "x")]));
        assert_eq!(found(&rows), ["-: 0=3 1=x", "1: 1=a"]);
        rows.back(1, b"3", update("w", "x"));
        rows.back(1, b"2", Change::Delete(vec![cell(0, "2")]));
        assert_eq!(found(&rows), ["-: 0=2", "-: 0=3 1=w", "1: 1=a"]);
        assert_eq!(rows.mismatches, 0);
    }

    #[test]
    fn rows_are_followed_across_key_changes() {
        let mut rows = rewind(&["3", "1"]);
        rows.back(1, b"1", Change::Insert(vec![]));
        rows.back(1, b"3", key_change("2", "3"));
        rows.back(1, b"2", update("a", "b"));
        rows.back(1, b"2", key_change("1", "2"));
        rows.back(1, b"1", update("z", "a"));
        assert_eq!(found(&rows), ["3: 0=1 1=z"]);
        rows.back(1, b"1", Change::Insert(vec![]));
        assert!(found(&rows).is_empty());
        assert_eq!(rows.mismatches, 0);
    }

    #[test]
    fn keys_exchanged_under_a_deferred_constraint() {
        let mut rows = rewind(&["1", "2", "3"]);
        // Now: a at 2, b at 3, c at 1; before: a at 1, b at 2, c at 3.
        rows.back(1, b"1", key_change("3", "1"));
        rows.back(1, b"3", key_change("2", "3"));
        rows.back(1, b"2", key_change("1", "2"));
        assert_eq!(found(&rows), ["1: 0=3", "2: 0=1", "3: 0=2"]);
    }

    #[test]
    fn truncated_rows_are_put_together_from_both_sides() {
        let mut rows = rewind(&["1"]);
        rows.back(1, b"1", Change::Insert(vec![]));
        rows.back_over_truncate(None);
        rows.back(1, b"2", update("b", "c"));
        rows.back(1, b"4", Change::Insert(vec![]));
        // The time; then what came before it.
        rows.learn(b"2", update("a", "b"));
        rows.learn(b"3", key_change("5", "3"));
        rows.learn(b"2", Change::Insert(vec![cell(0, "2"), cell(1, "a"), cell(2, "q")]));
        rows.learn(b"5", Change::Insert(vec![cell(0, "5"), cell(1, "v")]));
        rows.learn(b"6", Change::Delete(vec![cell(0, "6")]));
        rows.learn(b"6", Change::Insert(vec![cell(0, "6")]));
        rows.learn(b"7", update("m", "n"));
        rows.learn(b"4", Change::Delete(vec![cell(0, "4")]));
        assert_eq!(found(&rows), ["lost: 0=2 1=b 2=q", "lost: 0=3 1=v", "lost: 1=n ?"]);
    }

    #[test]
    fn a_row_the_log_did_not_see_is_counted() {
        let mut rows = rewind(&["3"]);
        rows.back(1, b"9", update("a", "b"));
        rows.back(1, b"3", Change::Delete(vec![cell(0, "3"), cell(1, "old")]));
        assert_eq!(found(&rows), ["-: 0=3 1=old"]);
        assert_eq!(rows.mismatches, 2);
    }
}

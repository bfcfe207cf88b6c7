//! What it takes to undo some recorded changes of one table: which rows they are about, what each row
//! was before and is after, and the steps that bring it back.
#![forbid(unsafe_code)]

use crate::audit::rewind::{Cell, Change, Key};
use std::collections::{HashMap, HashSet};

/// A place in the log's order: changed_at, audit_id.
pub type Place = (i64, i64);

/// One recorded change of a row.
pub struct Event {
    pub place: Place,
    pub key: Key,
    pub change: Change,
}

impl Event {
    fn former_key(&self) -> &Key {
        match &self.change {
            Change::Update { former_key: Some(former), .. } => former,
            _ => &self.key,
        }
    }
}

/// The changes of one row among those to undo.
pub struct Life {
    /// Positions of its events, oldest first.
    pub events: Vec<usize>,
    /// Every key it had, and since when.
    pub keys: HashMap<Key, Place>,
    pub first_key: Key,
    pub last_key: Key,
    /// Whether the row was there before the first and is there after the last event.
    pub existed: bool,
    pub exists: bool,
    /// What is known of its values before and after: all of them, or those that changed.
    pub before: Vec<Cell>,
    pub after: Vec<Cell>,
    /// It was deleted and came back in between.
    replaced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Insert,
    Update,
    Delete,
}

/// One statement of the undoing.
#[derive(Debug)]
pub struct Step {
    pub life: usize,
    /// The event it undoes, alone or as the one among several where it is done.
    pub event: usize,
    pub action: Action,
    /// The row's key when it is done.
    pub key: Key,
    pub cells: Vec<Cell>,
}

/// Groups events, oldest first, into lives.
pub fn lives(events: &[Event]) -> Vec<Life> {
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut at: HashMap<&[u8], usize> = HashMap::new();
    for (i, event) in events.iter().enumerate() {
        let life = at.remove(event.former_key().as_ref()).unwrap_or_else(|| {
            found.push(Vec::new());
            found.len() - 1
        });
        found[life].push(i);
        at.insert(&event.key, life);
    }
    found.into_iter().map(|own| life(events, own)).collect()
}

fn life(events: &[Event], own: Vec<usize>) -> Life {
    let (first, last) = (&events[own[0]], &events[own[own.len() - 1]]);
    let mut keys = HashMap::new();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for &i in &own {
        let event = &events[i];
        for key in [event.former_key(), &event.key] {
            keys.entry(key.clone()).or_insert(event.place);
        }
        match &event.change {
            Change::Insert(row) => after = row.clone(),
            Change::Delete(_) => after.clear(),
            Change::Update { new, .. } => lay_over(&mut after, new),
        }
    }
    for &i in own.iter().rev() {
        match &events[i].change {
            Change::Insert(_) => before.clear(),
            Change::Delete(row) => before = row.clone(),
            Change::Update { old, .. } => lay_over(&mut before, old),
        }
    }
    let deleted = own.iter().any(|&i| matches!(events[i].change, Change::Delete(_)));
    let existed = !matches!(first.change, Change::Insert(_));
    let exists = !matches!(last.change, Change::Delete(_));
    Life {
        keys,
        first_key: first.former_key().clone(),
        last_key: last.key.clone(),
        existed,
        exists,
        before,
        after,
        replaced: existed && exists && deleted,
        events: own,
    }
}

fn lay_over(cells: &mut Vec<Cell>, newer: &[Cell]) {
    for (column, value) in newer {
        match cells.iter_mut().find(|(known, _)| known == column) {
            Some(known) => known.1.clone_from(value),
            None => cells.push((*column, value.clone())),
        }
    }
}

/// The steps that undo a life. As few as keep every moment valid: a row that came goes when its last
/// change is undone, a row that went comes back when its first is, and changes of columns that nothing
/// keeps unique are put back at once; those of unique columns one by one, as others may wait for the
/// value in between.
pub fn steps(number: usize, life: &Life, events: &[Event], unique: &HashSet<usize>) -> Vec<Step> {
    let (first, last) = (life.events[0], life.events[life.events.len() - 1]);
    let step =
        |event, action, key: &Key, cells| Step { life: number, event, action, key: key.clone(), cells };
    match (life.existed, life.exists) {
        (false, false) => Vec::new(),
        (false, true) => vec![step(last, Action::Delete, &life.last_key, Vec::new())],
        (true, false) => vec![step(first, Action::Insert, &life.first_key, life.before.clone())],
        (true, true) => {
            let one_by_one = !life.replaced
                && life.events.len() > 1
                && life.before.iter().any(|(column, _)| unique.contains(column));
            if !one_by_one {
                return vec![step(first, Action::Update, &life.last_key, life.before.clone())];
            }
            life.events
                .iter()
                .rev()
                .filter_map(|&i| match &events[i].change {
                    Change::Update { old, .. } => Some(step(i, Action::Update, &events[i].key, old.clone())),
                    _ => None,
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(column: usize, value: &str) -> Cell {
        (column, value.as_bytes().into())
    }

    fn event(number: i64, key: &str, change: Change) -> Event {
        Event { place: (number, number), key: key.as_bytes().into(), change }
    }

    fn update(column: usize, old: &str, new: &str) -> Change {
        Change::Update {
            old: vec![cell(column, old)],
            new: vec![cell(column, new)],
            row: None,
            former_key: None,
        }
    }

    fn all(events: &[Event], unique: &[usize]) -> Vec<String> {
        let unique: HashSet<usize> = unique.iter().copied().collect();
        let mut found: Vec<Step> =
            lives(events).iter().enumerate().flat_map(|(i, life)| steps(i, life, events, &unique)).collect();
        found.sort_by_key(|step| std::cmp::Reverse(step.event));
        found
            .iter()
            .map(|s| {
                let cells: Vec<String> =
                    s.cells.iter().map(|(c, v)| format!("{c}={}", String::from_utf8_lossy(v))).collect();
                format!("{:?} {} {}", s.action, String::from_utf8_lossy(&s.key), cells.join(" "))
            })
            .collect()
    }

    #[test]
    fn a_row_that_came_and_went_needs_nothing() {
        let events = [
            event(1, "1", Change::Insert(vec![cell(0, "1")])),
            event(2, "1", update(1, "a", "b")),
            event(3, "1", Change::Delete(vec![cell(0, "1"), cell(1, "b")])),
        ];
        assert!(all(&events, &[]).is_empty());
    }

    #[test]
    fn net_effects() {
        let events = [
            event(1, "1", update(1, "a", "b")),
            event(2, "2", Change::Insert(vec![cell(0, "2")])),
            event(3, "3", update(1, "x", "y")),
            event(4, "1", update(2, "c", "d")),
            event(5, "3", Change::Delete(vec![cell(0, "3"), cell(1, "y")])),
            event(6, "2", update(1, "m", "n")),
        ];
        assert_eq!(all(&events, &[0]), ["Delete 2 ", "Insert 3 0=3 1=x", "Update 1 2=c 1=a"]);
    }

    #[test]
    fn unique_values_go_back_one_by_one() {
        let events = [
            event(1, "1", update(1, "a", "tmp")),
            event(2, "2", update(1, "b", "a")),
            event(3, "1", update(1, "tmp", "b")),
        ];
        assert_eq!(all(&events, &[1]), ["Update 1 1=tmp", "Update 2 1=b", "Update 1 1=a"]);
    }

    #[test]
    fn a_life_follows_its_key() {
        let moved = Change::Update {
            old: vec![cell(0, "1")],
            new: vec![cell(0, "2")],
            row: None,
            former_key: Some((*b"1").into()),
        };
        let events = [
            event(1, "1", update(1, "a", "b")),
            event(2, "2", moved),
            event(3, "1", Change::Insert(vec![cell(0, "1")])),
            event(4, "2", Change::Delete(vec![cell(0, "2"), cell(1, "b")])),
        ];
        let found = lives(&events);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].keys[&Key::from(*b"2")], (2, 2));
        assert_eq!(all(&events, &[0]), ["Delete 1 ", "Insert 1 0=1 1=a"]);
    }

    #[test]
    fn a_row_replaced_is_one_update() {
        let events = [
            event(1, "1", Change::Delete(vec![cell(0, "1"), cell(1, "a")])),
            event(2, "1", Change::Insert(vec![cell(0, "1"), cell(1, "b")])),
        ];
        assert_eq!(all(&events, &[0]), ["Update 1 0=1 1=a"]);
    }
}

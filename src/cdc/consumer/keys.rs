//! Which events must not overtake each other: those of one row key, and all of a table where an event has
//! no key (TRUNCATE, a table without one).
#![forbid(unsafe_code)]

use std::collections::HashSet;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKeys {
    pub table: i32,
    /// Hash of the row's key; none for the whole table.
    pub key: Option<i32>,
    /// Hash of the key the row had before, where the event changed it.
    pub former: Option<i32>,
}

/// Number of the table that events of emit_event() belong to.
pub const OUTBOX: i32 = 0;

impl EventKeys {
    /// Keys of an entry of the feed.
    pub fn of(table: i32, key_hash: Option<i32>, former: Option<i32>) -> Self {
        Self { table, key: key_hash, former }
    }

    /// An event of emit_event() without a key: in nobody's way.
    fn is_free(&self) -> bool {
        self.table == OUTBOX && self.key.is_none()
    }
}

/// Keys of events that come first and are not acknowledged: later events of these keys must wait.
#[derive(Debug, Default)]
pub struct Blocked {
    rows: HashSet<(i32, i32)>,
    whole: HashSet<i32>,
    touched: HashSet<i32>,
}

impl Blocked {
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }

    pub fn add(&mut self, keys: EventKeys) {
        if keys.is_free() {
            return;
        }
        self.touched.insert(keys.table);
        match keys.key {
            None => {
                self.whole.insert(keys.table);
            }
            Some(key) => {
                self.rows.insert((keys.table, key));
                if let Some(former) = keys.former {
                    self.rows.insert((keys.table, former));
                }
            }
        }
    }

    pub fn holds(&self, keys: EventKeys) -> bool {
        if self.is_empty() || keys.is_free() {
            return false;
        }
        let row = |key: Option<i32>| key.is_some_and(|key| self.rows.contains(&(keys.table, key)));
        match keys.key {
            None => self.touched.contains(&keys.table),
            key => self.whole.contains(&keys.table) || row(key) || row(keys.former),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(table: i32, key: i32) -> EventKeys {
        EventKeys::of(table, Some(key), None)
    }

    #[test]
    fn rows_block_themselves_only() {
        let mut blocked = Blocked::default();
        assert!(!blocked.holds(row(1, 1)));
        blocked.add(row(1, 1));
        assert!(blocked.holds(row(1, 1)));
        assert!(!blocked.holds(row(1, 2)) && !blocked.holds(row(2, 1)));
    }

    #[test]
    fn a_changed_key_belongs_to_both() {
        let moved = EventKeys::of(1, Some(2), Some(1));
        let mut blocked = Blocked::default();
        blocked.add(row(1, 1));
        assert!(blocked.holds(moved));
        let mut blocked = Blocked::default();
        blocked.add(moved);
        assert!(blocked.holds(row(1, 1)) && blocked.holds(row(1, 2)) && !blocked.holds(row(1, 3)));
    }

    #[test]
    fn truncate_is_a_barrier() {
        let truncate = EventKeys::of(1, None, None);
        let mut blocked = Blocked::default();
        blocked.add(row(1, 5));
        assert!(blocked.holds(truncate) && !blocked.holds(EventKeys::of(2, None, None)));
        let mut blocked = Blocked::default();
        blocked.add(truncate);
        assert!(blocked.holds(row(1, 5)) && blocked.holds(truncate) && !blocked.holds(row(2, 5)));
    }

    #[test]
    fn emitted_events_without_a_key_are_free() {
        let free = EventKeys::of(OUTBOX, None, None);
        let mut blocked = Blocked::default();
        blocked.add(free);
        assert!(blocked.is_empty());
        blocked.add(row(OUTBOX, 1));
        assert!(!blocked.holds(free) && blocked.holds(row(OUTBOX, 1)));
    }
}

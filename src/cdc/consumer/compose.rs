//! What goes into a batch, event by event, in the order of position: delivered, put aside, passed over.
#![forbid(unsafe_code)]

use super::keys::{Blocked, EventKeys};

/// Most events one poll puts aside, in multiples of those it delivers.
const PER_POLL: usize = 4;
/// Most events a consumer has aside, in the same measure: then workers wait for each other.
const AT_ALL: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Deliver,
    PutAside,
}

/// A batch in the making.
#[derive(Debug)]
pub struct Composer {
    blocked: Blocked,
    max: usize,
    delivered: usize,
    put_aside: usize,
    room_aside: usize,
}

impl Composer {
    /// `blocked`: keys other workers have; `aside`: how many events are aside already.
    pub fn new(blocked: Blocked, max: usize, aside: usize) -> Self {
        let room = (max * AT_ALL).saturating_sub(aside).min(max * PER_POLL);
        Self { blocked, max, delivered: 0, put_aside: 0, room_aside: room }
    }

    /// An event that was put aside before and belongs to nobody: does it come now?
    pub fn waiting(&mut self, keys: EventKeys, due: bool) -> bool {
        let deliver = due && self.delivered < self.max && !self.blocked.holds(keys);
        if deliver {
            self.delivered += 1;
        } else {
            self.blocked.add(keys);
        }
        deliver
    }

    /// The next event of the feed; none if it cannot be taken now: the batch ends before it.
    pub fn next(&mut self, keys: EventKeys) -> Option<Decision> {
        if self.delivered >= self.max {
            return None;
        }
        if !self.blocked.holds(keys) {
            self.delivered += 1;
            return Some(Decision::Deliver);
        }
        if self.put_aside >= self.room_aside {
            return None;
        }
        self.put_aside += 1;
        self.blocked.add(keys);
        Some(Decision::PutAside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: i32) -> EventKeys {
        EventKeys::of(1, Some(key), None)
    }

    fn blocked(keys: &[i32]) -> Blocked {
        let mut blocked = Blocked::default();
        keys.iter().for_each(|&key| blocked.add(row(key)));
        blocked
    }

    #[test]
    fn a_worker_alone_takes_everything_in_order() {
        let mut composer = Composer::new(Blocked::default(), 3, 0);
        for key in [1, 1, 2] {
            assert_eq!(composer.next(row(key)), Some(Decision::Deliver));
        }
        assert_eq!(composer.next(row(3)), None);
    }

    #[test]
    fn what_another_worker_has_is_put_aside_with_what_follows_it() {
        let mut composer = Composer::new(blocked(&[1]), 10, 0);
        assert_eq!(composer.next(row(1)), Some(Decision::PutAside));
        // Moves a row from the blocked key to another: both wait from here on.
        assert_eq!(composer.next(EventKeys::of(1, Some(7), Some(1))), Some(Decision::PutAside));
        assert_eq!(composer.next(row(7)), Some(Decision::PutAside));
        assert_eq!(composer.next(row(8)), Some(Decision::Deliver));
        // TRUNCATE waits for everybody, and everybody after it for TRUNCATE.
        assert_eq!(composer.next(EventKeys::of(1, None, None)), Some(Decision::PutAside));
        assert_eq!(composer.next(row(9)), Some(Decision::PutAside));
    }

    #[test]
    fn what_was_put_aside_comes_first_once_its_key_is_free() {
        let mut composer = Composer::new(blocked(&[1]), 2, 3);
        assert!(!composer.waiting(row(1), true));
        assert!(!composer.waiting(row(2), false));
        assert!(!composer.waiting(row(2), true), "an earlier event of the key is not due");
        assert!(composer.waiting(row(3), true));
        assert_eq!(composer.next(row(2)), Some(Decision::PutAside));
        assert_eq!(composer.next(row(4)), Some(Decision::Deliver));
        assert_eq!(composer.next(row(5)), None);
    }

    #[test]
    fn more_than_can_be_put_aside_ends_the_batch() {
        let mut composer = Composer::new(blocked(&[1]), 2, 2 * AT_ALL - 1);
        assert_eq!(composer.next(row(1)), Some(Decision::PutAside));
        assert_eq!(composer.next(row(1)), None);
        assert_eq!(composer.next(row(2)), Some(Decision::Deliver));
    }
}

//! Waking consumers: one notification a transaction and channel, queued just before the commit. So PREPARE
//! TRANSACTION, which refuses them, never meets one, and the payload is the newest position.

use crate::capture::recorder;
use crate::pg::{notify, session};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The server's queue is shared, and a commit that finds it full fails: above this share of it consumers
/// are left to look by themselves.
const FULLEST: f64 = 0.5;

struct Notice {
    channel: Rc<str>,
    /// None where the event that wakes them has none yet.
    position: Option<i64>,
    /// The lowest savepoint that has rows of it.
    savepoint: u32,
}

thread_local! {
    static PENDING: Cell<bool> = const { Cell::new(false) };
    static NOTICES: RefCell<(u64, Vec<Notice>)> = const { RefCell::new((0, Vec::new())) };
    /// When the queue was looked at, and whether it was too full.
    static QUEUE: Cell<Option<(i64, bool)>> = const { Cell::new(None) };
}

/// Remembers to wake a channel's consumers when this transaction commits; an event without a position gets one before.
pub fn note(txid: u64, channel: &Rc<str>, position: Option<i64>) {
    PENDING.set(true);
    NOTICES.with_borrow_mut(|(of, notices)| {
        if *of != txid {
            *of = txid;
            notices.clear();
        }
        let savepoint = session::savepoint();
        match notices.iter_mut().find(|notice| notice.channel == *channel) {
            Some(notice) => {
                notice.position = position.map(|position| notice.position.unwrap_or(0).max(position));
                notice.savepoint = notice.savepoint.min(savepoint);
            }
            None => notices.push(Notice { channel: Rc::clone(channel), position, savepoint }),
        }
    });
}

/// The events that had none have got positions up to this one.
pub fn positioned(txid: u64, last: i64) {
    NOTICES.with_borrow_mut(|(of, notices)| {
        for notice in notices.iter_mut().filter(|notice| *of == txid && notice.position.is_none()) {
            notice.position = Some(last);
        }
    });
}

/// Savepoints of this number and higher are gone, with their rows.
pub fn after_rollback(lowest: u32) {
    NOTICES.with_borrow_mut(|(_, notices)| notices.retain(|notice| notice.savepoint < lowest));
}

/// Called just before every commit.
pub fn send() {
    if !PENDING.replace(false) {
        return;
    }
    recorder::write_pending();
    let notices = NOTICES.with_borrow_mut(|(txid, notices)| {
        let notices = std::mem::take(notices);
        if session::transaction_id_if_any() == Some(*txid) { notices } else { Vec::new() }
    });
    if notices.is_empty() || queue_is_full() {
        return;
    }
    for notice in notices {
        // Without one it waits no more: the feed cannot be written to.
        if let Some(position) = notice.position {
            notify::queue(&notice.channel, &position.to_string());
        }
    }
}

fn queue_is_full() -> bool {
    let now = session::clock();
    // How long an answer will do: a microsecond for each page of the queue, which fills no faster. With the usual
    // 8 GB that is a second, with the least there can be, next to nothing.
    if let Some((at, full)) = QUEUE.get()
        && (0..notify::queue_pages()).contains(&(now - at))
    {
        return full;
    }
    let full = notify::queue_usage() > FULLEST;
    QUEUE.set(Some((now, full)));
    full
}

//! What to do about a replication slot before the disk fills: pure rules.
#![forbid(unsafe_code)]

/// A consumer this far behind is called slow.
const FAR_BEHIND: i64 = 1 << 30;

/// A slot as the server sees it.
#[derive(Clone, Default, Debug)]
pub struct Slot {
    pub ours: bool,
    pub active: bool,
    pub wal_status: Option<String>,
    /// Bytes of WAL the consumer has not confirmed.
    pub lag: Option<i64>,
    /// Bytes of WAL the server keeps for it.
    pub retained: Option<i64>,
    /// Bytes until the server may drop WAL it needs; none where nothing limits it.
    pub safe: Option<i64>,
    /// max_slot_wal_keep_size in bytes; none: no limit.
    pub limit: Option<i64>,
    /// Bytes of WAL the server keeps anyway (max_wal_size).
    pub usual: i64,
}

/// One sentence or two: the most urgent thing first.
pub fn advice(slot: &Slot) -> String {
    let size = |bytes: Option<i64>| megabytes(bytes.unwrap_or_default());
    match slot.wal_status.as_deref() {
        Some("lost") => {
            return "WAL this slot needs is gone. Drop it with pg_drop_replication_slot(), make a new one and \
                    start the consumer from a fresh copy of the tables."
                .into();
        }
        Some("unreserved") => {
            return "WAL this slot needs may go at the next checkpoint. Raise max_slot_wal_keep_size now, or have \
                    the consumer catch up at once."
                .into();
        }
        _ => {}
    }
    let retained = slot.retained.unwrap_or_default();
    let kept_for_it = retained > slot.usual;
    let mut said = match (slot.active, slot.lag.unwrap_or_default()) {
        (false, lag) if lag > slot.usual.min(FAR_BEHIND) || kept_for_it => format!(
            "Nobody reads this slot, and {} of WAL is kept for it. Start its consumer, or drop the slot with \
             pg_drop_replication_slot() if it is gone for good.",
            size(slot.retained)
        ),
        (true, lag) if lag > FAR_BEHIND => {
            format!("The consumer is {} behind: it is slower than the writers, or stuck.", megabytes(lag))
        }
        (true, _) if kept_for_it => {
            "The consumer keeps up but confirms nothing, or a transaction has been open for long: look for it in \
             pg_stat_activity and pg_prepared_xacts; call advance_idle_slots() where this database is quiet."
                .into()
        }
        _ => return "Nothing to do.".into(),
    };
    match (slot.limit, slot.safe) {
        (None, _) => {
            said.push_str(" Nothing limits what is kept: set max_slot_wal_keep_size before the disk fills.")
        }
        (Some(_), Some(safe)) => said.push_str(&format!(" The slot is lost after {} more.", megabytes(safe))),
        _ => {}
    }
    said
}

fn megabytes(bytes: i64) -> String {
    format!("{} MB", bytes / (1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(active: bool, lag: i64, retained: i64) -> Slot {
        let usual = 1 << 30;
        Slot { ours: true, active, lag: Some(lag), retained: Some(retained), usual, ..Slot::default() }
    }

    #[test]
    fn the_urgent_comes_first() {
        assert_eq!(advice(&slot(true, 0, 1 << 20)), "Nothing to do.");
        assert_eq!(advice(&slot(false, 0, 1 << 20)), "Nothing to do.");
        let lost = Slot { wal_status: Some("lost".into()), ..slot(false, 1 << 40, 1 << 40) };
        assert!(advice(&lost).starts_with("WAL this slot needs is gone."));
        let forgotten = slot(false, 5 << 30, 5 << 30);
        assert!(advice(&forgotten).contains("Nobody reads") && advice(&forgotten).contains("Nothing limits"));
        let limited = Slot { limit: Some(8 << 30), safe: Some(3 << 30), ..forgotten };
        assert!(advice(&limited).ends_with("lost after 3072 MB more."));
        assert!(advice(&slot(true, 2 << 30, 3 << 30)).contains("2048 MB behind"));
        assert!(advice(&slot(true, 0, 3 << 30)).contains("advance_idle_slots()"));
    }
}

//! What it costs to have an index: time and WAL of the writes it makes dearer.
//!
//! The constants were measured with bench/index/writes.sql on PostgreSQL 15, two 2.5 GHz cores, tables and indexes in
//! memory, full_page_writes off. Times are right within a factor of a few elsewhere, and too low for indexes larger
//! than memory, which is enough to tell an index that pays from one that does not.
#![forbid(unsafe_code)]

/// Writes of a table, a day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Writes {
    pub inserts: f64,
    /// Updates, and those of them that touched no index (HOT).
    pub updates: f64,
    pub hot_updates: f64,
    /// Updates that set a column of the index in question, by the statements seen.
    pub of_columns: f64,
}

/// What an index adds, a day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Upkeep {
    pub ms: f64,
    pub wal_bytes: f64,
    /// Updates that were HOT would be no longer.
    pub ends_hot: bool,
}

/// Milliseconds and WAL bytes of one entry, by access method and bytes of the entry.
fn entry(method: &str, bytes: f64) -> (f64, f64) {
    match method {
        "brin" => (0.000_2, 1.0),
        "hash" => (0.000_8, 91.0),
        "gist" | "spgist" => (0.003_4, 92.0 + bytes),
        "gin" => (0.006, 250.0 + bytes * 2.2),
        _ => (0.000_6 + bytes * 0.000_011, 60.0 + bytes * 1.25),
    }
}

/// An update that is HOT no longer: a new entry in every other index, four of them where this was measured, and
/// no pruning of the page.
const HOT_LOSS_MS: f64 = 0.006_3;
const HOT_LOSS_WAL: f64 = 330.0;

/// `share` of the table's rows are in the index, each with `bytes`. `summarizing`: PostgreSQL 16 and later
/// keep an update HOT where only a BRIN index has the column.
pub fn upkeep(method: &str, bytes: f64, share: f64, writes: &Writes, summarizing: bool) -> Upkeep {
    let (ms, wal) = entry(method, bytes);
    let hot_share = if writes.updates > 0.0 { writes.hot_updates / writes.updates } else { 0.0 };
    let lost = if summarizing { 0.0 } else { (writes.of_columns * hot_share).min(writes.hot_updates) };
    let entries = (writes.inserts + (writes.updates - writes.hot_updates).max(0.0)) * share + lost;
    Upkeep {
        ms: entries * ms + lost * HOT_LOSS_MS,
        wal_bytes: entries * wal + lost * HOT_LOSS_WAL,
        ends_hot: lost > 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Writes = Writes { inserts: 1000.0, updates: 500.0, hot_updates: 400.0, of_columns: 0.0 };

    #[test]
    fn a_table_that_is_only_read_costs_nothing() {
        assert_eq!(upkeep("btree", 16.0, 1.0, &Writes::default(), false), Upkeep::default());
    }

    #[test]
    fn ending_hot_updates_is_the_dearest() {
        let quiet = upkeep("btree", 16.0, 1.0, &BUSY, false);
        let loud = upkeep("btree", 16.0, 1.0, &Writes { of_columns: 500.0, ..BUSY }, false);
        assert!(!quiet.ends_hot && loud.ends_hot && loud.ms > quiet.ms * 2.0);
        assert!(!upkeep("brin", 16.0, 1.0, &Writes { of_columns: 500.0, ..BUSY }, true).ends_hot);
    }

    #[test]
    fn a_partial_index_costs_its_part() {
        let whole = upkeep("btree", 16.0, 1.0, &BUSY, false);
        assert!((upkeep("btree", 16.0, 0.1, &BUSY, false).ms * 10.0 - whole.ms).abs() < 1e-9);
    }
}

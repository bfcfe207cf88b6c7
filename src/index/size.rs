//! How big an index will be: what CREATE INDEX writes, page by page, from what a sample says of the keys.
#![forbid(unsafe_code)]

use crate::pg::table_sample::SampledValue as Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

pub const PAGE: f64 = 8192.0;
/// Page header and btree's special space.
pub const USABLE: f64 = PAGE - 24.0 - 16.0;
pub const LINE_POINTER: f64 = 4.0;
/// A heap TID in a posting list.
const TID: f64 = 6.0;
/// nbtsort.c makes posting lists of a tenth of a page, less a line pointer.
const LARGEST_POSTING: f64 = 812.0;

/// What is known of an index's entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// Rows indexed.
    pub rows: f64,
    /// Bytes of an entry with its header, aligned, on average.
    pub entry: f64,
    /// Different keys.
    pub distinct: f64,
    /// Shares of the rows that the most frequent keys have.
    pub frequent: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub pages: f64,
    pub height: i32,
}

/// A btree as CREATE INDEX builds it.
pub fn btree(keys: &Keys, deduplicated: bool, fillfactor: f64) -> Size {
    let rows = keys.rows.max(0.0);
    // Of an entry alone, as the upper bound of a page is: without the rows of a posting list.
    let bound = (keys.entry + LINE_POINTER).min(USABLE / 3.0);
    let items = if deduplicated && rows > keys.distinct * 1.000_1 {
        let mut items = Items::default();
        let (mut rest_rows, mut rest_keys) = (rows, keys.distinct.max(1.0));
        for share in &keys.frequent {
            let group = share * rows;
            items.add(1.0, group_items(keys.entry, group, false));
            rest_rows -= group;
            rest_keys -= 1.0;
        }
        if rest_keys >= 1.0 && rest_rows > 0.0 {
            items.add(rest_keys, group_items(keys.entry, (rest_rows / rest_keys).max(1.0), true));
        }
        items
    } else {
        Items { bytes: rows * (keys.entry + LINE_POINTER), squares: rows * bound * bound }
    };
    // A page is full when less than this is free, or the next entry does not fit: a quarter of one is left over then,
    // for many are alike. Its last entry then moves on to the next page, and what bounds it stays behind. What that
    // frees counts as free before.
    let kept_free = (PAGE * (100.0 - fillfactor) / 100.0).floor();
    let item = if items.bytes > 0.0 { (items.squares / items.bytes).max(bound) } else { bound };
    let moved = item - bound;
    let room = USABLE - LINE_POINTER - (kept_free - moved).max(item / 4.0) - moved;
    let leaves = (items.bytes.max(0.0) / room).ceil().max(1.0);
    // Inner pages are filled to 70 %.
    let fanout = (USABLE * 0.7 / (keys.entry + LINE_POINTER)).max(2.0);
    let (mut pages, mut level, mut height) = (leaves, leaves, 0);
    while level > 1.0 {
        level = (level / fanout).ceil();
        pages += level;
        height += 1;
    }
    Size { pages: pages + 1.0, height }
}

/// Entries: their bytes, and the sum of the squares of those, which tells how large the one is that a byte taken at
/// random is part of.
#[derive(Default)]
struct Items {
    bytes: f64,
    squares: f64,
}

impl Items {
    fn of(number: f64, bytes: f64) -> Self {
        Self { bytes: number * bytes, squares: number * bytes * bytes }
    }

    fn add(&mut self, times: f64, other: Self) {
        self.bytes += times * other.bytes;
        self.squares += times * other.squares;
    }
}

/// The entries of one key with `rows` rows; `spread`, where that is the mean of many keys.
fn group_items(entry: f64, rows: f64, spread: bool) -> Items {
    let per = ((LARGEST_POSTING - entry) / TID).floor().max(2.0);
    let exactly = |n: f64| {
        if n <= 1.0 { entry + LINE_POINTER } else { align(entry + TID * n) + LINE_POINTER }
    };
    let of = |n: f64| {
        let full = (n / per).floor();
        let rest = n - full * per;
        let mut items = Items::of(full, exactly(per));
        if rest >= 1.0 {
            items.add(1.0, Items::of(1.0, exactly(rest)));
        }
        items
    };
    if !spread || rows > 60.0 {
        // Alignment adds three bytes on average, where the number of rows varies.
        return if rows > per { of(rows) } else { Items::of(1.0, entry + TID * rows + 3.0 + LINE_POINTER) };
    }
    // One row, and a Poisson number of further ones.
    let mean = (rows - 1.0).max(0.0);
    let (mut weight, mut total, mut seen) = ((-mean).exp(), Items::default(), 0.0);
    for further in 0..200 {
        total.add(weight, of(f64::from(further) + 1.0));
        seen += weight;
        weight *= mean / f64::from(further + 1);
        if seen > 0.999_99 {
            break;
        }
    }
    let mut items = Items::default();
    items.add(1.0 / seen.max(f64::MIN_POSITIVE), total);
    items
}

pub fn align(bytes: f64) -> f64 {
    (bytes / 8.0).ceil() * 8.0
}

/// A hash index: buckets of hash codes, their number doubled in four steps at a time. As many as the whole table
/// needs, even if the index is on a part of it.
pub fn hash(rows: f64, distinct: f64, table_rows: f64) -> Size {
    let per_page = ((USABLE - 8.0) / 20.0).floor();
    let wanted = (table_rows.max(rows) / (per_page * 0.75)).max(2.0);
    let mut buckets = 2_f64;
    while buckets < wanted {
        let step = if buckets < 512.0 { buckets } else { 2_f64.powf(buckets.log2().floor()) / 4.0 };
        buckets += step;
    }
    // Few keys leave most buckets empty and some with overflow pages.
    let used = distinct.min(buckets).max(1.0);
    let overflow = ((rows / used / per_page).ceil() - 1.0).max(0.0) * used;
    Size { pages: 2.0 + buckets + overflow, height: -1 }
}

/// A BRIN index: a summary of so many bytes for each range of `per_range` pages.
pub fn brin(table_pages: f64, summary: f64, per_range: f64) -> Size {
    let ranges = (table_pages / per_range).ceil().max(1.0);
    let per_page = ((USABLE - 8.0) / (align(8.0 + summary) + LINE_POINTER)).floor().max(1.0);
    Size { pages: 1.0 + (ranges / 1360.0).ceil() + (ranges / per_page).ceil(), height: -1 }
}

/// How CREATE INDEX comes to the pages of a GiST or SP-GiST index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Sorted first, by the operator class.
    Sorted,
    /// In the order of the keys: pages are split in the middle and not filled again.
    InOrder,
    Scattered,
    /// What it makes of values has another length than they: signatures and lists.
    Digested,
    Unknown,
}

pub fn gist(rows: f64, entry: f64, arrival: Arrival) -> Size {
    let filled = match arrival {
        Arrival::Sorted if cfg!(feature = "pg14") => 0.9,
        Arrival::Sorted => 0.67,
        Arrival::InOrder => 0.45,
        Arrival::Scattered => 0.62,
        Arrival::Digested => 0.6,
        Arrival::Unknown => 0.5,
    };
    let leaves = (rows * (entry + LINE_POINTER) / (USABLE * filled)).ceil().max(1.0);
    let inner = leaves * (entry + LINE_POINTER) / (USABLE * filled);
    Size { pages: leaves + if leaves > 1.0 { inner.ceil() } else { 0.0 }, height: -1 }
}

/// An SP-GiST index: leaves with so many bytes of a value each, and a tree above them on the same pages. Of a text
/// what it shares with others is in that tree: about half.
pub fn spgist(rows: f64, value: f64, text: bool) -> Size {
    let value = if text { value / 2.0 } else { value };
    let leaves = rows * (align(16.0 + value) + LINE_POINTER) / (USABLE * 0.72);
    Size { pages: leaves.ceil().max(1.0) + 3.0, height: -1 }
}

/// How a column's values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub align: u32,
    /// Of varying length: stored unaligned with a header of one byte, where short.
    pub varying: bool,
}

/// For keys that are hashes already: thousands of rows are counted for each of hundreds of candidates.
#[derive(Clone, Copy, Default)]
struct Hashed;

#[derive(Default)]
struct AsItIs(u64);

impl BuildHasher for Hashed {
    type Hasher = AsItIs;

    fn build_hasher(&self) -> AsItIs {
        AsItIs::default()
    }
}

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        // The upper bits are those that the multiplication has mixed.
        self.0 = hash.rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a sample of whole blocks says of an index on some of its columns. `blocks` is the block of each
/// row; the sample holds `share` of all blocks; `keys` of the columns are keys, the others included.
pub fn keys_of(blocks: &[u32], columns: &[(&[Cell], Layout)], keys: usize, share: f64, rows: f64) -> Keys {
    let n = blocks.len();
    if n == 0 {
        return Keys { rows, entry: 16.0, distinct: rows.max(1.0), frequent: Vec::new() };
    }
    let mut bytes = 0.0;
    // By key: rows, blocks it was seen in, the last of those.
    let mut seen: HashMap<u64, (u32, u32, u32), Hashed> = HashMap::with_capacity_and_hasher(n, Hashed);
    let mut incidences = 0.0;
    for (row, block) in blocks.iter().enumerate() {
        let null = columns.iter().any(|(cells, _)| cells[row].null);
        let mut offset: u32 = if null { 16 } else { 8 };
        let mut key: u64 = 0xcbf2_9ce4_8422_2325;
        for (position, (cells, layout)) in columns.iter().enumerate() {
            let cell = cells[row];
            if !cell.null {
                let short = layout.varying && cell.bytes <= 127;
                if !short {
                    offset = offset.div_ceil(layout.align) * layout.align;
                }
                offset += cell.bytes;
            }
            if position < keys {
                let part = if cell.null { 0x9e37 } else { cell.hash };
                key = (key.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        bytes += f64::from(offset.div_ceil(8) * 8);
        let entry = seen.entry(key).or_insert((0, 0, u32::MAX));
        entry.0 += 1;
        if entry.2 != *block {
            entry.2 = *block;
            entry.1 += 1;
            incidences += 1.0;
        }
    }
    let n = n as f64;
    let d = seen.len() as f64;
    let once = seen.values().filter(|(_, blocks, _)| *blocks == 1).count() as f64;
    // Haas and Stokes' Duj1 over the blocks a key is seen in, not over rows: rows of one block are no
    // independent sample where the table is ordered by the key.
    let all = incidences / share.clamp(1e-9, 1.0);
    let distinct =
        if share >= 1.0 { d } else { incidences * d / (incidences - once + once * incidences / all) };
    let mut frequent: Vec<f64> = seen
        .values()
        .filter(|(rows, ..)| f64::from(*rows) > 30.0_f64.max(4.0 * n / d))
        .map(|(rows, ..)| f64::from(*rows) / n)
        .collect();
    frequent.sort_by(|a, b| b.total_cmp(a));
    frequent.truncate(200);
    Keys { rows, entry: bytes / n, distinct: distinct.clamp(1.0, rows.max(1.0)), frequent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, wanted: f64, percent: f64) {
        assert!((got / wanted - 1.0).abs() * 100.0 <= percent, "{got} is not within {percent} % of {wanted}");
    }

    #[test]
    fn unique_integers_take_what_postgresql_writes() {
        // CREATE TABLE t AS SELECT generate_series(1, 1000000) i; CREATE INDEX ON t (i): 2745 pages, level 2.
        let keys = Keys { rows: 1e6, entry: 16.0, distinct: 1e6, frequent: vec![] };
        let size = btree(&keys, true, 90.0);
        close(size.pages, 2745.0, 1.0);
        assert_eq!(size.height, 2);
    }

    #[test]
    fn equal_keys_are_stored_once() {
        let keys = Keys { rows: 1e6, entry: 16.0, distinct: 10.0, frequent: vec![] };
        let once = btree(&keys, true, 90.0);
        let each = btree(&keys, false, 90.0);
        assert!(once.pages * 2.5 < each.pages);
        // SELECT i % 10: 842 pages.
        close(once.pages, 842.0, 4.0);
    }

    #[test]
    fn lists_of_rows_do_not_fill_a_page_packed_full() {
        // CREATE TABLE t AS SELECT generate_series(1, 6000000) % 10000 i; an index with fillfactor 100 has as many pages as
        // one with 90: 5203.
        let keys = Keys { rows: 6e6, entry: 16.0, distinct: 1e4, frequent: vec![] };
        close(btree(&keys, true, 100.0).pages, 5203.0, 3.0);
        close(btree(&keys, true, 90.0).pages, 5203.0, 3.0);
    }

    #[test]
    fn an_empty_table_has_a_root() {
        let keys = Keys { rows: 0.0, entry: 16.0, distinct: 0.0, frequent: vec![] };
        assert_eq!(btree(&keys, true, 90.0).height, 0);
    }

    #[test]
    fn values_that_stay_together_are_counted_as_what_they_are() {
        // Four rows a value, in order, sixty rows a block, one block in ten sampled.
        let layout = Layout { align: 4, varying: false };
        let (mut blocks, mut cells) = (Vec::new(), Vec::new());
        for block in (0..3000_u32).step_by(10) {
            for row in 0..60 {
                let value = u64::from((block * 60 + row) / 4);
                blocks.push(block);
                cells.push(Cell { null: false, bytes: 4, hash: value.wrapping_mul(0x9e37_79b9_7f4a_7c15) });
            }
        }
        let keys = keys_of(&blocks, &[(&cells, layout)], 1, 0.1, 180_000.0);
        close(keys.distinct, 45_000.0, 3.0);
        assert_eq!(keys.entry, 16.0);
    }
}

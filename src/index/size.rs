//! How big an index will be: what CREATE INDEX writes, page by page, from what a sample says of the keys.
#![forbid(unsafe_code)]

use crate::pg::table_sample::SampledValue as Cell;
use std::collections::HashMap;

const PAGE: f64 = 8192.0;
/// Page header and btree's special space.
const USABLE: f64 = PAGE - 24.0 - 16.0;
const LINE_POINTER: f64 = 4.0;
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
    let (mut bytes, mut item) = if deduplicated && rows > keys.distinct * 1.000_1 {
        let mut bytes = 0.0;
        let (mut rest_rows, mut rest_keys) = (rows, keys.distinct.max(1.0));
        for share in &keys.frequent {
            let group = share * rows;
            bytes += group_bytes(keys.entry, group, false);
            rest_rows -= group;
            rest_keys -= 1.0;
        }
        if rest_keys >= 1.0 && rest_rows > 0.0 {
            bytes += rest_keys * group_bytes(keys.entry, (rest_rows / rest_keys).max(1.0), true);
        }
        // Of posting lists, only the key part moves to the next page's bound.
        (bytes, 0.0)
    } else {
        (rows * (keys.entry + LINE_POINTER), keys.entry + LINE_POINTER)
    };
    bytes = bytes.max(0.0);
    // A page is full when less than this is free; its last entry then moves on to the next page and stays
    // behind as the page's upper bound.
    let kept_free = (PAGE * (100.0 - fillfactor) / 100.0).floor();
    item = item.min(USABLE / 3.0);
    let room = USABLE - LINE_POINTER - kept_free - item / 2.0;
    let leaves = (bytes / room).ceil().max(1.0);
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

/// Bytes of the entries of one key with `rows` rows; `spread`, where that is the mean of many keys.
fn group_bytes(entry: f64, rows: f64, spread: bool) -> f64 {
    let per = ((LARGEST_POSTING - entry) / TID).floor().max(2.0);
    let exactly = |n: f64| {
        if n <= 1.0 { entry + LINE_POINTER } else { align(entry + TID * n) + LINE_POINTER }
    };
    let of = |n: f64| {
        let full = (n / per).floor();
        let rest = n - full * per;
        full * exactly(per) + if rest >= 1.0 { exactly(rest) } else { 0.0 }
    };
    if !spread || rows > 60.0 {
        // Alignment adds three bytes on average, where the number of rows varies.
        return if rows > per { of(rows) } else { entry + TID * rows + 3.0 + LINE_POINTER };
    }
    // One row, and a Poisson number of further ones.
    let mean = (rows - 1.0).max(0.0);
    let (mut weight, mut total, mut seen) = ((-mean).exp(), 0.0, 0.0);
    for further in 0..200 {
        total += weight * of(f64::from(further) + 1.0);
        seen += weight;
        weight *= mean / f64::from(further + 1);
        if seen > 0.999_99 {
            break;
        }
    }
    total / seen.max(f64::MIN_POSITIVE)
}

fn align(bytes: f64) -> f64 {
    (bytes / 8.0).ceil() * 8.0
}

/// A hash index: buckets of hash codes, their number doubled in four steps at a time.
pub fn hash(rows: f64, distinct: f64) -> Size {
    let per_page = ((USABLE - 8.0) / 20.0).floor();
    let wanted = (rows / (per_page * 0.75)).max(2.0);
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

/// A BRIN index: a summary for each range of pages.
pub fn brin(table_pages: f64, entry: f64) -> Size {
    let ranges = (table_pages / 128.0).ceil().max(1.0);
    let per_page = (8100.0 / (entry * 2.0 + 16.0)).floor().max(1.0);
    Size { pages: 2.0 + (ranges / 1360.0).ceil() - 1.0 + (ranges / per_page).ceil(), height: -1 }
}

/// A GiST or SP-GiST index, whose pages splits leave about three quarters full.
pub fn gist(rows: f64, entry: f64) -> Size {
    let leaves = (rows * (entry + LINE_POINTER) / (USABLE * 0.75)).ceil().max(1.0);
    Size { pages: leaves * 1.02 + 1.0, height: -1 }
}

/// A GIN index: a tree of the different elements, and a compressed list of rows under each.
pub fn gin(rows: f64, elements: f64, distinct: f64, element_bytes: f64) -> Size {
    let entries = (rows * elements).max(1.0);
    let distinct = distinct.clamp(1.0, entries);
    let bytes = distinct * (align(8.0 + element_bytes) + LINE_POINTER)
        + entries * gin_posting(rows, entries / distinct);
    Size { pages: 2.0 + (bytes / (USABLE * 0.75)).ceil(), height: -1 }
}

/// Bytes of one row in a list of `length` rows out of `rows`: the distance to the one before, seven bits a
/// byte, over the row's number with eleven bits within its page.
fn gin_posting(rows: f64, length: f64) -> f64 {
    let distance = (rows / length.max(1.0)).max(1.0);
    (((distance * 20.0).log2() / 7.0).ceil()).clamp(1.0, 6.0)
}

/// How a column's values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub align: u32,
    /// Of varying length: stored unaligned with a header of one byte, where short.
    pub varying: bool,
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
    let mut seen: HashMap<u64, (u32, u32, u32)> = HashMap::with_capacity(n);
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
        close(once.pages, 842.0, 3.0);
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

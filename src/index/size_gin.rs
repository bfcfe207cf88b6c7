//! How big a GIN index will be: a tree of the different elements, each with a compressed list of its rows, which
//! moves to pages of its own once it is long.
#![forbid(unsafe_code)]

use crate::index::size::{LINE_POINTER, Size, USABLE, align};
use crate::pg::table_sample::SampledValue as Cell;
use std::collections::HashMap;

/// A list longer than this has pages of its own (GinMaxItemSize).
const LONGEST_LIST: f64 = 2712.0;
/// Bytes for rows on such a page, less the headers of its segments.
const LIST_PAGE: f64 = 8100.0 * 0.97;
/// A page is split in the middle: entries that come in order leave half of it empty, less where they are long, and
/// later batches fill that again.
const FILLED_IN_ORDER: f64 = 0.5;
const FILLED_BY_LONG: f64 = 0.62;
const FILLED_AT_RANDOM: f64 = 0.68;
/// Bytes of a long entry.
const LONG: f64 = 300.0;
/// Memory that CREATE INDEX takes for an element and the first few of its rows.
const GATHERED: f64 = 150.0;
/// Places of a row's number in a block: eleven bits.
const PLACES: f64 = 2048.0;
/// An element seen in so many blocks is counted for itself.
const FREQUENT: u32 = 3;

/// What is known of the elements of one column.
#[derive(Debug, Default)]
pub struct Elements {
    /// Bytes of the entry tree's entries, and pages of lists beside it.
    bytes: f64,
    list_pages: f64,
    /// Different elements, and pairs of an element and a row.
    distinct: f64,
    pairs: f64,
}

struct Seen {
    rows: u32,
    blocks: u32,
    last: u32,
    bytes: u32,
}

/// From the elements of each sampled row with its block; `share` of the table's blocks were read, all in all `pages`.
pub fn elements_of(sample: &[(u32, Vec<Cell>)], share: f64, pages: f64) -> Elements {
    let mut seen: HashMap<(bool, u64), Seen> = HashMap::new();
    // A row without an element has an entry that says so.
    let nothing = [Cell::NULL];
    for (block, elements) in sample {
        for element in if elements.is_empty() { &nothing[..] } else { &elements[..] } {
            let known = seen.entry((element.null, element.hash)).or_insert(Seen {
                rows: 0,
                blocks: 0,
                last: u32::MAX,
                bytes: element.bytes,
            });
            known.rows += 1;
            if known.last != *block {
                known.last = *block;
                known.blocks += 1;
            }
        }
    }
    let share = share.clamp(1e-9, 1.0);
    let mut all = Elements::default();
    let (mut rare, mut rare_rows, mut rare_blocks, mut rare_bytes, mut once) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for element in seen.values() {
        if share >= 1.0 || element.blocks >= FREQUENT {
            let (rows, blocks) = (f64::from(element.rows) / share, f64::from(element.blocks) / share);
            all.add(1.0, rows, blocks, align(8.0 + f64::from(element.bytes)), pages);
        } else {
            rare += 1.0;
            rare_rows += f64::from(element.rows);
            rare_blocks += f64::from(element.blocks);
            rare_bytes += align(8.0 + f64::from(element.bytes));
            once += if element.blocks == 1 { 1.0 } else { 0.0 };
        }
    }
    if rare > 0.0 {
        // Haas and Stokes' Duj1 over the blocks an element is seen in, as for keys of a btree.
        let number = (rare_blocks * rare / (rare_blocks - once + once * share)).max(rare);
        let (rows, blocks) = (rare_rows / share / number, rare_blocks / share / number);
        all.add(number, rows.max(1.0), blocks.max(1.0), rare_bytes / rare, pages);
    }
    all
}

impl Elements {
    /// `number` elements that so many rows have, in so many blocks.
    fn add(&mut self, number: f64, rows: f64, blocks: f64, key: f64, pages: f64) {
        let list = list_bytes(rows, blocks, pages);
        self.distinct += number;
        self.pairs += number * rows;
        if list > LONGEST_LIST {
            let own = (list / LIST_PAGE).ceil();
            self.list_pages += number * if own > 1.0 { own + 1.0 } else { own };
            self.bytes += number * (key + LINE_POINTER);
        } else {
            self.bytes += number * (align(key + list) + LINE_POINTER);
        }
    }

    /// Of an index on these columns, made with so much memory.
    pub fn index(columns: &[Self], memory: f64) -> Size {
        let sum = |of: fn(&Self) -> f64| columns.iter().map(of).sum::<f64>();
        let gathered = sum(|c| c.distinct) * GATHERED + sum(|c| c.pairs) * 6.0;
        let long = sum(|c| c.bytes) > LONG * sum(|c| c.distinct);
        let filled = match (gathered < memory, long) {
            (false, _) => FILLED_AT_RANDOM,
            (true, true) => FILLED_BY_LONG,
            (true, false) => FILLED_IN_ORDER,
        };
        let leaves = (sum(|c| c.bytes) / (USABLE * filled)).ceil();
        let inner = if leaves > 1.0 { (leaves * 48.0 / (USABLE * filled)).ceil() } else { 0.0 };
        // The first page is about the index, not of it.
        Size { pages: 1.0 + leaves.max(1.0) + inner + sum(|c| c.list_pages).ceil(), height: -1 }
    }
}

/// Bytes of the rows of one element: the first whole, of each other the distance to the one before, seven bits a
/// byte.
fn list_bytes(rows: f64, blocks: f64, pages: f64) -> f64 {
    let beside = (rows - blocks).max(0.0) / rows.max(1.0);
    let mean = (PLACES * pages / blocks.max(1.0)).max(1.0);
    // Distances to the next block spread as if blocks were taken at random.
    let longer = |bits: i32| (-(2.0_f64.powi(bits)) / mean).exp();
    let far = 1.0 + longer(7) + longer(14) + longer(21) + longer(28);
    8.0 + (rows - 1.0).max(0.0) * (beside + (1.0 - beside) * far)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: u32, of: impl Fn(u32) -> Vec<u64>) -> Vec<(u32, Vec<Cell>)> {
        let cell = |hash: u64| Cell { null: false, bytes: 4, hash };
        (0..rows).map(|row| (row / 100, of(row).into_iter().map(cell).collect())).collect()
    }

    #[test]
    fn few_elements_are_lists_on_pages_of_their_own() {
        let sample = table(100_000, |row| vec![u64::from(row % 5)]);
        let of = elements_of(&sample, 1.0, 1000.0);
        assert_eq!(of.distinct, 5.0);
        // 20,000 rows each, a byte a row.
        assert_eq!(of.list_pages, 5.0 * 4.0);
    }

    #[test]
    fn a_part_of_the_table_tells_of_the_whole() {
        let whole = table(100_000, |row| vec![u64::from(row % 40), 1000 + u64::from(row) / 3]);
        let part: Vec<_> = whole.iter().filter(|(block, _)| block % 10 == 0).cloned().collect();
        let size = |sample: &[_], share| Elements::index(&[elements_of(sample, share, 1000.0)], 1e9).pages;
        let (all, tenth) = (size(&whole, 1.0), size(&part, 0.1));
        assert!((tenth / all - 1.0).abs() < 0.1, "{tenth} for {all}");
    }

    #[test]
    fn rows_without_an_element_are_entered_too() {
        let of = elements_of(&table(10, |_| Vec::new()), 1.0, 1.0);
        assert_eq!((of.distinct, of.pairs), (1.0, 10.0));
    }

    #[test]
    fn what_comes_in_one_batch_leaves_pages_half_empty() {
        let of = || [elements_of(&table(50_000, |row| vec![u64::from(row)]), 1.0, 500.0)];
        assert!(Elements::index(&of(), 1e9).pages > 1.2 * Elements::index(&of(), 1e3).pages);
    }
}

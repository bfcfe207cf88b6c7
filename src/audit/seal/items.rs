//! What a chunk remembers of each of its entries, so that a mismatch can be pinned to one: its place, its
//! time, and a few bytes of each of its hashes. Some thirteen bytes an entry. One byte of the relation's hash was
//! too few: one edit in 256 could not be placed.
//!
//! These bytes only say where; that something is wrong is told by the chunk's hash.
#![forbid(unsafe_code)]

use super::digest::{Entry, Key};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub key: Key,
    pub changed_at: i64,
    pub relation: [u8; 2],
    pub context: [u8; 2],
    pub own: [u8; 4],
}

impl From<&Entry> for Item {
    fn from(entry: &Entry) -> Self {
        Self {
            key: entry.key,
            changed_at: entry.changed_at,
            relation: [entry.relation[0], entry.relation[1]],
            context: [entry.context[0], entry.context[1]],
            own: [entry.own[0], entry.own[1], entry.own[2], entry.own[3]],
        }
    }
}

const VERSION: u8 = 1;

/// Column by column, what compresses first: PostgreSQL gives up on values that begin incompressibly.
pub fn pack(items: &[Item]) -> Vec<u8> {
    let mut out = vec![VERSION];
    varint(items.len() as u64, &mut out);
    out.extend(items.iter().flat_map(|item| item.relation));
    out.extend(items.iter().map(|item| item.key.operation));
    out.extend(items.iter().flat_map(|item| item.context));
    let mut last = 0;
    for item in items {
        varint(item.key.txid.wrapping_sub(last), &mut out);
        last = item.key.txid;
    }
    deltas(items.iter().map(|item| item.key.audit_id), &mut out);
    deltas(items.iter().map(|item| item.changed_at), &mut out);
    out.extend(items.iter().flat_map(|item| item.own));
    out
}

/// The reverse of `pack`; none for bytes it cannot have made.
pub fn unpack(bytes: &[u8]) -> Option<Vec<Item>> {
    let (&VERSION, mut rest) = bytes.split_first()? else { return None };
    let count = usize::try_from(take_varint(&mut rest)?).ok()?;
    if count > bytes.len() {
        return None;
    }
    let relations = take(&mut rest, count.checked_mul(2)?)?;
    let operations = take(&mut rest, count)?;
    let contexts = take(&mut rest, count.checked_mul(2)?)?;
    let mut txid = 0u64;
    let txids: Vec<u64> = (0..count)
        .map(|_| {
            txid = txid.wrapping_add(take_varint(&mut rest)?);
            Some(txid)
        })
        .collect::<Option<_>>()?;
    let audit_ids = take_deltas(count, &mut rest)?;
    let times = take_deltas(count, &mut rest)?;
    let own = take(&mut rest, count.checked_mul(4)?)?;
    if !rest.is_empty() {
        return None;
    }
    Some(
        (0..count)
            .map(|i| Item {
                key: Key { txid: txids[i], audit_id: audit_ids[i], operation: operations[i] },
                changed_at: times[i],
                relation: [relations[2 * i], relations[2 * i + 1]],
                context: [contexts[2 * i], contexts[2 * i + 1]],
                own: [own[4 * i], own[4 * i + 1], own[4 * i + 2], own[4 * i + 3]],
            })
            .collect(),
    )
}

fn deltas(values: impl Iterator<Item = i64>, out: &mut Vec<u8>) {
    let mut last = 0i64;
    for value in values {
        let delta = value.wrapping_sub(last);
        varint(((delta << 1) ^ (delta >> 63)) as u64, out);
        last = value;
    }
}

fn take_deltas(count: usize, rest: &mut &[u8]) -> Option<Vec<i64>> {
    let mut last = 0i64;
    (0..count)
        .map(|_| {
            let zigzag = take_varint(rest)?;
            last = last.wrapping_add((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            Some(last)
        })
        .collect()
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(txid: u64, audit_id: i64, changed_at: i64) -> Item {
        Item {
            key: Key { txid, audit_id, operation: b'U' },
            changed_at,
            relation: [7, 8],
            context: [1, 2],
            own: [3, 4, 5, 6],
        }
    }

    #[test]
    fn what_is_packed_comes_back() {
        let items = [
            item(700, 64, 849_000_000_000_000),
            item(700, 65, 849_000_000_000_000),
            item(701, -3, i64::MIN),
            item(u64::MAX, i64::MAX, i64::MAX),
        ];
        assert_eq!(unpack(&pack(&items)).as_deref(), Some(&items[..]));
        assert_eq!(unpack(&pack(&[])), Some(vec![]));
    }

    #[test]
    fn damaged_bytes_are_refused_not_misread() {
        let packed = pack(&[item(1, 2, 3), item(4, 5, 6)]);
        for end in 0..packed.len() {
            assert_eq!(unpack(&packed[..end]), None, "{end}");
        }
        let mut longer = packed.clone();
        longer.push(0);
        assert_eq!(unpack(&longer), None);
        assert_eq!(unpack(&[VERSION, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), None);
    }

    #[test]
    fn an_entry_takes_some_thirteen_bytes() {
        let items: Vec<Item> =
            (0..1024).map(|i| item(700 + i / 4, 64 + i as i64, 849_000_000 + (i / 4 * 900) as i64)).collect();
        let size = pack(&items).len();
        assert!(size < 14 * 1024, "{size}");
    }
}

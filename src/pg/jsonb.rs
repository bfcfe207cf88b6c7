//! jsonb as text, from the form it is stored in (`utils/jsonb.h`): character for character what jsonb_out()
//! says.
#![forbid(unsafe_code)]

use super::escape::escape_as_jsonb;
use super::number;

const COUNT: u32 = 0x0fff_ffff;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;

/// Of an entry: its offset or length, whether that is an offset, and what the entry is.
const OFFSET: u32 = 0x0fff_ffff;
const IS_OFFSET: u32 = 0x8000_0000;
const TYPE: u32 = 0x7000_0000;
const STRING: u32 = 0x0000_0000;
const NUMERIC: u32 = 0x1000_0000;
const FALSE: u32 = 0x2000_0000;
const TRUE: u32 = 0x3000_0000;
const NULL: u32 = 0x4000_0000;
const CONTAINER: u32 = 0x5000_0000;

/// Deepest nesting that is followed here.
const DEEPEST: usize = 200;

/// Why a value was written in part.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    TooLarge,
    /// Not what is known here, or nested very deep.
    Strange,
}

/// Appends a stored jsonb value (what follows the header of a varlena), until there are more than `limit` bytes: a
/// number of ten bytes may have a hundred thousand digits.
pub fn text(stored: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
    container(stored, DEEPEST, limit, out)
}

fn container(stored: &[u8], depth: usize, limit: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
    let depth = depth.checked_sub(1).ok_or(Refused::Strange)?;
    let (head, rest) = split_u32(stored).ok_or(Refused::Strange)?;
    let count = (head & COUNT) as usize;
    if head & OBJECT != 0 {
        let (names, rest) = rest.split_at_checked(count * 4).ok_or(Refused::Strange)?;
        let (values, data) = rest.split_at_checked(count * 4).ok_or(Refused::Strange)?;
        let mut names = Entries { entries: names, data, at: 0 };
        // The values begin where the last name ends.
        let mut values = Entries { entries: values, data, at: names.end() };
        out.push(b'{');
        for i in 0..count {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            names.next(depth, limit, out)?;
            out.extend_from_slice(b": ");
            values.next(depth, limit, out)?;
        }
        out.push(b'}');
    } else if head & ARRAY != 0 {
        let (entries, data) = rest.split_at_checked(count * 4).ok_or(Refused::Strange)?;
        let mut elements = Entries { entries, data, at: 0 };
        if head & SCALAR != 0 {
            return elements.next(depth, limit, out);
        }
        out.push(b'[');
        for i in 0..count {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            elements.next(depth, limit, out)?;
        }
        out.push(b']');
    } else {
        return Err(Refused::Strange);
    }
    Ok(())
}

/// Entries yet to be read, and where in the data the next one begins.
struct Entries<'a> {
    entries: &'a [u8],
    data: &'a [u8],
    at: usize,
}

impl Entries<'_> {
    /// Where the data of all the entries ends.
    fn end(&self) -> usize {
        let (entries, _) = self.entries.as_chunks::<4>();
        entries.iter().fold(self.at, |at, entry| after(u32::from_ne_bytes(*entry), at))
    }

    /// Appends the next entry.
    fn next(&mut self, depth: usize, limit: usize, out: &mut Vec<u8>) -> Result<(), Refused> {
        let (entry, rest) = split_u32(self.entries).ok_or(Refused::Strange)?;
        self.entries = rest;
        let start = self.at;
        self.at = after(entry, start);
        let data = |from: usize| self.data.get(from..self.at).ok_or(Refused::Strange);
        match entry & TYPE {
            STRING => {
                out.push(b'"');
                escape_as_jsonb(data(start)?, out);
                out.push(b'"');
            }
            NUMERIC => payload(data(aligned(start))?)
                .and_then(|stored| number::numeric(stored, out))
                .ok_or(Refused::Strange)?,
            FALSE => out.extend_from_slice(b"false"),
            TRUE => out.extend_from_slice(b"true"),
            NULL => out.extend_from_slice(b"null"),
            CONTAINER => container(data(aligned(start))?, depth, limit, out)?,
            _ => return Err(Refused::Strange),
        }
        if out.len() > limit { Err(Refused::TooLarge) } else { Ok(()) }
    }
}

fn after(entry: u32, at: usize) -> usize {
    let size = (entry & OFFSET) as usize;
    if entry & IS_OFFSET != 0 { size } else { at + size }
}

fn aligned(at: usize) -> usize {
    at.next_multiple_of(4)
}

/// What follows the header of a varlena that is neither compressed nor stored elsewhere.
fn payload(stored: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = stored.split_first()?;
    if cfg!(target_endian = "big") {
        if first & 0x80 != 0 { Some(rest) } else { stored.get(4..) }
    } else if first & 1 != 0 {
        Some(rest)
    } else {
        stored.get(4..)
    }
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_ne_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_that_make_many_are_left_at_the_limit() {
        // An array of a thousand numbers 1e131071: short headers, four bytes of numeric, a digit.
        let number: [u8; 12] = {
            let head = 0_u16.to_ne_bytes();
            let weight = 32_767_u16.to_ne_bytes();
            let digit = 1000_u16.to_ne_bytes();
            let length = (10_u32 << 2).to_ne_bytes();
            let [a, b, c, d] = length;
            [a, b, c, d, head[0], head[1], weight[0], weight[1], digit[0], digit[1], 0, 0]
        };
        let mut stored = (ARRAY | 1000).to_ne_bytes().to_vec();
        for _ in 0..1000 {
            stored.extend_from_slice(&(NUMERIC | 12).to_ne_bytes());
        }
        for _ in 0..1000 {
            stored.extend_from_slice(&number);
        }
        let mut out = Vec::new();
        assert_eq!(text(&stored, 1_000_000, &mut out), Err(Refused::TooLarge));
        assert!(out.len() < 1_200_000);
    }
}

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

/// Appends a stored jsonb value (what follows the header of a varlena). None where these bytes are none, or
/// one that is nested very deep: part of it is appended then.
pub fn text(stored: &[u8], out: &mut Vec<u8>) -> Option<()> {
    container(stored, DEEPEST, out)
}

fn container(stored: &[u8], depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    let (head, rest) = split_u32(stored)?;
    let count = (head & COUNT) as usize;
    if head & OBJECT != 0 {
        let (names, rest) = rest.split_at_checked(count * 4)?;
        let (values, data) = rest.split_at_checked(count * 4)?;
        let mut names = Entries { entries: names, data, at: 0 };
        // The values begin where the last name ends.
        let mut values = Entries { entries: values, data, at: names.end() };
        out.push(b'{');
        for i in 0..count {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            names.next(depth, out)?;
            out.extend_from_slice(b": ");
            values.next(depth, out)?;
        }
        out.push(b'}');
    } else if head & ARRAY != 0 {
        let (entries, data) = rest.split_at_checked(count * 4)?;
        let mut elements = Entries { entries, data, at: 0 };
        if head & SCALAR != 0 {
            return elements.next(depth, out);
        }
        out.push(b'[');
        for i in 0..count {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            elements.next(depth, out)?;
        }
        out.push(b']');
    } else {
        return None;
    }
    Some(())
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
    fn next(&mut self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let (entry, rest) = split_u32(self.entries)?;
        self.entries = rest;
        let start = self.at;
        self.at = after(entry, start);
        match entry & TYPE {
            STRING => {
                out.push(b'"');
                escape_as_jsonb(self.data.get(start..self.at)?, out);
                out.push(b'"');
            }
            NUMERIC => number::numeric(payload(self.data.get(aligned(start)..self.at)?)?, out)?,
            FALSE => out.extend_from_slice(b"false"),
            TRUE => out.extend_from_slice(b"true"),
            NULL => out.extend_from_slice(b"null"),
            CONTAINER => container(self.data.get(aligned(start)..self.at)?, depth, out)?,
            _ => return None,
        }
        Some(())
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

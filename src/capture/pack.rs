//! Events of one transaction that share a row of the feed: one that changes many rows writes, and its consumers
//! read, a tenth of the rows and index entries it would otherwise.
//!
//! The row is of operation 'P'. Its position is that of the last event, the others' are the ones just before; it has
//! their number in place of a key's hash, and as its image an array of
//! `["operation",relation,image]`: the operation is followed by the microseconds the event is later than the first, if it
//! is. With the row's key after that where it has one, and then the hash of the key it
//! had before where it had another.
#![forbid(unsafe_code)]

use crate::capture::raw_json;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

/// Bytes of the largest row that fits a page: none smaller is compressed or taken out of line in tables of the feed.
pub const PAGE: usize = pgrx::pg_sys::BLCKSZ as usize - 32;
/// Bytes of an image with which the row does.
pub const MOST: usize = PAGE - 160;

/// Appends an event to those of a row; `json` is empty before the first. `later`: than the row says, in microseconds.
pub fn add(
    json: &mut Vec<u8>,
    operation: u8,
    later: i64,
    relation: i32,
    image: &[u8],
    key: Option<&[u8]>,
    former_hash: Option<i32>,
) {
    json.extend_from_slice(if json.is_empty() { b"[[\"" } else { b",[\"" });
    json.push(operation);
    if later != 0 {
        json.extend_from_slice(itoa::Buffer::new().format(later).as_bytes());
    }
    json.extend_from_slice(b"\",");
    json.extend_from_slice(itoa::Buffer::new().format(relation).as_bytes());
    json.push(b',');
    json.extend_from_slice(image);
    if let Some(key) = key {
        json.push(b',');
        json.extend_from_slice(key);
        if let Some(hash) = former_hash {
            json.push(b',');
            json.extend_from_slice(itoa::Buffer::new().format(hash).as_bytes());
        }
    }
    json.push(b']');
}

/// An event of a row, by places in its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    pub operation: u8,
    /// Microseconds it was recorded later than the row says.
    pub later: i64,
    pub relation: i32,
    pub image: Range<usize>,
    pub key: Option<Range<usize>>,
    pub former_hash: Option<i32>,
}

/// Takes a row's image apart.
pub fn events(json: &[u8]) -> Vec<Packed> {
    let place = |part: &[u8]| {
        let start = part.as_ptr().addr() - json.as_ptr().addr();
        start..start + part.len()
    };
    fn number<T: std::str::FromStr>(part: &[u8]) -> Option<T> {
        std::str::from_utf8(part).ok()?.parse().ok()
    }
    raw_json::elements(json)
        .into_iter()
        .filter_map(|event| {
            let parts = raw_json::elements(event);
            let [b'"', operation, later @ .., b'"'] = parts.first()? else { return None };
            Some(Packed {
                operation: *operation,
                later: number(later).unwrap_or_default(),
                relation: parts.get(1).and_then(|part| number(part))?,
                image: place(parts.get(2)?),
                key: parts.get(3).map(|key| place(key)),
                former_hash: parts.get(4).and_then(|part| number(part)),
            })
        })
        .collect()
}

/// A row's image of events as `raw_json::elements` has them.
pub fn joined(events: &[Cow<[u8]>]) -> Result<String> {
    let mut json = Vec::new();
    for event in events {
        json.push(if json.is_empty() { b'[' } else { b',' });
        json.extend_from_slice(event);
    }
    json.push(b']');
    String::from_utf8(json).map_err(|_| Error::internal("an entry's image is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_were() {
        let mut json = Vec::new();
        add(&mut json, b'I', 0, 7, br#"{"id":1,"a":"],["}"#, Some(b"1"), None);
        add(&mut json, b'F', 1_500_000, -8, b"{}", Some(br#"["x]",null]"#), Some(-5));
        add(&mut json, b'D', 0, 9, br#"{"n":null}"#, None, None);
        json.push(b']');
        let text = |range: &Range<usize>| std::str::from_utf8(&json[range.clone()]).unwrap();
        let found = events(&json);
        let seen: Vec<_> = found
            .iter()
            .map(|e| {
                (e.operation, e.later, e.relation, text(&e.image), e.key.as_ref().map(text), e.former_hash)
            })
            .collect();
        assert_eq!(
            seen,
            [
                (b'I', 0, 7, r#"{"id":1,"a":"],["}"#, Some("1"), None),
                (b'F', 1_500_000, -8, "{}", Some(r#"["x]",null]"#), Some(-5)),
                (b'D', 0, 9, r#"{"n":null}"#, None, None),
            ]
        );
        assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }
}

//! Events of one statement that share a row of the feed: a statement that changes many rows writes, and its
//! consumers read, a tenth of the rows and index entries it would otherwise.
//!
//! The row is of operation 'P'. Its position is that of the last event, the others' are the ones just before; it has
//! their number in place of a key's hash, and as its image an array of
//! `["operation",relation,image]`, with the row's key after that where it has one, and then the hash of the key it
//! had before where it had another.
#![forbid(unsafe_code)]

use crate::capture::raw_json;
use std::ops::Range;

/// Bytes of an image with which the row, and four of its like on a page, is just below what PostgreSQL compresses
/// and takes out of line.
pub const MOST: usize = 1930;

/// Appends an event to those of a row; `json` is empty before the first.
pub fn add(
    json: &mut Vec<u8>,
    operation: u8,
    relation: i32,
    image: &[u8],
    key: Option<&[u8]>,
    former_hash: Option<i32>,
) {
    json.extend_from_slice(if json.is_empty() { b"[[\"" } else { b",[\"" });
    json.push(operation);
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
    let number = |part: &&[u8]| std::str::from_utf8(part).ok().and_then(|text| text.parse::<i32>().ok());
    raw_json::elements(json)
        .into_iter()
        .filter_map(|event| {
            let parts = raw_json::elements(event);
            Some(Packed {
                operation: *parts.first()?.get(1)?,
                relation: parts.get(1).and_then(number)?,
                image: place(parts.get(2)?),
                key: parts.get(3).map(|key| place(key)),
                former_hash: parts.get(4).and_then(number),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_were() {
        let mut json = Vec::new();
        add(&mut json, b'I', 7, br#"{"id":1,"a":"],["}"#, Some(b"1"), None);
        add(&mut json, b'F', -8, b"{}", Some(br#"["x]",null]"#), Some(-5));
        add(&mut json, b'D', 9, br#"{"n":null}"#, None, None);
        json.push(b']');
        let text = |range: &Range<usize>| std::str::from_utf8(&json[range.clone()]).unwrap();
        let found = events(&json);
        let seen: Vec<_> = found
            .iter()
            .map(|e| (e.operation, e.relation, text(&e.image), e.key.as_ref().map(text), e.former_hash))
            .collect();
        assert_eq!(
            seen,
            [
                (b'I', 7, r#"{"id":1,"a":"],["}"#, Some("1"), None),
                (b'F', -8, "{}", Some(r#"["x]",null]"#), Some(-5)),
                (b'D', 9, r#"{"n":null}"#, None, None),
            ]
        );
        assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }
}

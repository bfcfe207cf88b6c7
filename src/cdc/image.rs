//! What the feed keeps of a change, taken apart into the values before, after and changed, as JSON text.
//! No value is parsed: each is copied byte for byte.
#![forbid(unsafe_code)]

use crate::capture::raw_json::{elements, pair, pairs};
use crate::pg::json;

/// An entry of the feed: its operation and image.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    pub operation: u8,
    pub json: &'a [u8],
}

impl<'a> Image<'a> {
    /// Whether `before` would give the image as it is, and needs no copy.
    pub fn is_before(&self) -> bool {
        self.operation == b'D'
    }

    /// The same for `after`.
    pub fn is_after(&self) -> bool {
        matches!(self.operation, b'I' | b'R')
    }

    /// Appends the values before; false where there are none.
    pub fn before(&self, out: &mut Vec<u8>) -> bool {
        match self.operation {
            b'D' => out.extend_from_slice(self.json),
            b'F' => out.extend_from_slice(self.full().0),
            b'U' => object(self.changes().map(|(name, old, _)| (name, old)), out),
            _ => return false,
        }
        true
    }

    /// Appends the values after, or an emitted event's payload; false where there are none.
    pub fn after(&self, out: &mut Vec<u8>) -> bool {
        match self.operation {
            b'I' | b'R' => out.extend_from_slice(self.json),
            b'U' => object(self.changes().map(|(name, _, new)| (name, new)), out),
            b'F' => self.merged(out),
            b'E' => return self.member(b"\"payload\"", out),
            _ => return false,
        }
        true
    }

    /// Names of the columns an update changed, as JSON strings.
    pub fn changed(&self) -> Option<impl Iterator<Item = &'a [u8]>> {
        matches!(self.operation, b'U' | b'F').then(|| self.changes().map(|(name, ..)| name))
    }

    /// An emitted event's topic, as a JSON string.
    pub fn topic(&self) -> Option<&'a [u8]> {
        (self.operation == b'E').then(|| find(self.json, b"\"topic\"")).flatten()
    }

    /// Appends an emitted event's headers; false where there are none.
    pub fn headers(&self, out: &mut Vec<u8>) -> bool {
        self.operation == b'E' && self.member(b"\"headers\"", out)
    }

    fn member(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        match find(self.json, name) {
            Some(value) if value != b"null" => out.extend_from_slice(value),
            _ => return false,
        }
        true
    }

    /// Row before and changes of a full image.
    fn full(&self) -> (&'a [u8], &'a [u8]) {
        let mut parts = pairs(self.json).map(|(_, value)| value);
        (parts.next().unwrap_or(b"{}"), parts.next().unwrap_or(b"{}"))
    }

    fn changes(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8], &'a [u8])> + use<'a> {
        let changes = if self.operation == b'F' { self.full().1 } else { self.json };
        pairs(changes).filter_map(|(name, both)| pair(both).map(|(old, new)| (name, old, new)))
    }

    /// The row before with what changed put in: both list columns in the same order.
    fn merged(&self, out: &mut Vec<u8>) {
        let (row, _) = self.full();
        let mut changes = self.changes().peekable();
        object(
            pairs(row).map(|(name, value)| match changes.next_if(|(changed, ..)| *changed == name) {
                Some((_, _, new)) => (name, new),
                None => (name, value),
            }),
            out,
        );
    }
}

fn find<'a>(object: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    pairs(object).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

fn object<'a>(members: impl Iterator<Item = (&'a [u8], &'a [u8])>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in members.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
}

/// Appends a row's key as an object: the feed has the value of its only column, or an array of values.
/// `labels`: the columns' names as JSON strings.
pub fn key_object(labels: &[Vec<u8>], key: &[u8], out: &mut Vec<u8>) {
    match labels {
        [] => out.extend_from_slice(key),
        [only] => object(std::iter::once((only.as_slice(), key)), out),
        several => object(several.iter().map(Vec::as_slice).zip(elements(key)), out),
    }
}

/// A name as a JSON string.
pub fn label(name: &str) -> Vec<u8> {
    let mut label = Vec::new();
    json::string(name.as_bytes(), &mut label);
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(operation: u8, json: &str) -> (Option<String>, Option<String>, Vec<String>) {
        let image = Image { operation, json: json.as_bytes() };
        let text = |write: &dyn Fn(&mut Vec<u8>) -> bool| {
            let mut out = Vec::new();
            write(&mut out).then(|| String::from_utf8(out).unwrap())
        };
        let changed =
            image.changed().map(|names| names.map(|n| String::from_utf8(n.to_vec()).unwrap()).collect());
        (text(&|out| image.before(out)), text(&|out| image.after(out)), changed.unwrap_or_default())
    }

    #[test]
    fn every_operation_comes_apart() {
        let some = |text: &str| Some(text.to_owned());
        let row = r#"{"id":1,"v":-0.0}"#;
        assert_eq!(parts(b'I', row), (None, some(row), vec![]));
        assert_eq!(parts(b'R', row), (None, some(row), vec![]));
        assert_eq!(parts(b'D', row), (some(row), None, vec![]));
        assert_eq!(parts(b'T', ""), (None, None, vec![]));
        assert_eq!(
            parts(b'U', r#"{"v":[1.50,null],"w":["a,\"]","b"]}"#),
            (
                some(r#"{"v":1.50,"w":"a,\"]"}"#),
                some(r#"{"v":null,"w":"b"}"#),
                vec![r#""v""#.into(), r#""w""#.into()]
            )
        );
        assert_eq!(
            parts(b'F', r#"{"row":{"id":1,"v":[1],"w":"x"},"changes":{"v":[[1],{"a":2}]}}"#),
            (
                some(r#"{"id":1,"v":[1],"w":"x"}"#),
                some(r#"{"id":1,"v":{"a":2},"w":"x"}"#),
                vec![r#""v""#.into()]
            )
        );
    }

    #[test]
    fn emitted_events_come_apart() {
        let image =
            Image { operation: b'E', json: br#"{"topic":"t","key":"k","payload":{"a":1},"headers":null}"# };
        let mut out = Vec::new();
        assert_eq!(image.topic(), Some(&b"\"t\""[..]));
        assert!(image.after(&mut out) && out == br#"{"a":1}"#);
        assert!(!image.headers(&mut out) && !image.before(&mut out));
    }

    #[test]
    fn keys_become_objects() {
        let object = |labels: &[&str], key: &str| {
            let labels: Vec<Vec<u8>> = labels.iter().map(|l| label(l)).collect();
            let mut out = Vec::new();
            key_object(&labels, key.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(object(&["id"], "5"), r#"{"id":5}"#);
        assert_eq!(object(&["a", "b\""], r#"[1,"x,y"]"#), r#"{"a":1,"b\"":"x,y"}"#);
    }
}

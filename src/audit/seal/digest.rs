//! What a hash is taken of: an unambiguous encoding, and which hash covers what.
//!
//! Every hash is SHA-256 over a tag that says what is hashed, then the fields in a fixed order: integers
//! as eight bytes, most significant first; a text as 1, its length, its bytes in UTF-8; a null as 0.
//! These encodings are stored in seals for ever: they must never change, only be added to under new tags.
#![forbid(unsafe_code)]

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// What stands for a context or a relation that is not there.
pub const ABSENT: Hash = [0; 32];

/// A value being encoded. Reused: `clear`, fields, `hash`.
pub struct Encoding {
    bytes: Vec<u8>,
}

impl Encoding {
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(512) }
    }

    pub fn begin(&mut self, tag: &str) -> &mut Self {
        self.bytes.clear();
        self.bytes.extend_from_slice(tag.as_bytes());
        self.bytes.push(0);
        self
    }

    pub fn integer(&mut self, value: i64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn optional(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => {
                self.bytes.push(1);
                self.integer(value)
            }
            None => {
                self.bytes.push(0);
                self
            }
        }
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.variable(|into| {
            into.extend_from_slice(value);
            true
        })
    }

    /// A value of any length that `append` adds to the buffer; null where it returns false.
    pub fn variable(&mut self, append: impl FnOnce(&mut Vec<u8>) -> bool) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 9]);
        if append(&mut self.bytes) {
            let length = (self.bytes.len() - start - 9) as u64;
            self.bytes[start] = 1;
            self.bytes[start + 1..start + 9].copy_from_slice(&length.to_be_bytes());
        } else {
            self.bytes.truncate(start + 1);
        }
        self
    }

    pub fn hash(&self) -> Hash {
        Sha256::digest(&self.bytes).into()
    }
}

/// The place of an entry in the order of the log's seals. Operation tells an entry from the one filed
/// under the row's former key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash)]
pub struct Key {
    pub txid: u64,
    pub audit_id: i64,
    pub operation: u8,
}

/// An entry as seals see it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Key,
    pub changed_at: i64,
    pub context_id: i64,
    pub relation_id: i32,
    /// Hash of the entry's own columns.
    pub own: Hash,
    /// Hash of the context it refers to.
    pub context: Hash,
    /// Hash of the relation it refers to.
    pub relation: Hash,
}

/// The hash of a chunk: its entries in order.
pub struct ChunkHash(Sha256);

impl ChunkHash {
    pub fn new() -> Self {
        Self(Sha256::new_with_prefix(b"db_architect audit chunk 1\0"))
    }

    pub fn add(&mut self, entry: &Entry) {
        self.0.update(entry.own);
        self.0.update(entry.context);
        self.0.update(entry.relation);
    }

    pub fn end(self) -> Hash {
        self.0.finalize().into()
    }
}

pub fn chunk<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Hash {
    let mut hash = ChunkHash::new();
    entries.into_iter().for_each(|entry| hash.add(entry));
    hash.end()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what `hex` or bytea's output writes; none where it is neither.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim();
    let digits = digits.strip_prefix("\\x").unwrap_or(digits).as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    digits.chunks(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(build: impl FnOnce(&mut Encoding) -> &mut Encoding) -> Hash {
        let mut encoding = Encoding::new();
        build(encoding.begin("t")).hash()
    }

    #[test]
    fn no_two_values_are_encoded_alike() {
        let values = [
            of(|e| e.bytes(b"ab").bytes(b"")),
            of(|e| e.bytes(b"a").bytes(b"b")),
            of(|e| e.bytes(b"").bytes(b"ab")),
            of(|e| e.variable(|_| false).bytes(b"ab")),
            of(|e| e.bytes(b"ab").variable(|_| false)),
            of(|e| e.optional(None).optional(Some(0))),
            of(|e| e.optional(Some(0)).optional(None)),
            of(|e| e.integer(1).integer(0)),
            of(|e| e.integer(0).integer(1)),
        ];
        for (i, a) in values.iter().enumerate() {
            assert!(values[i + 1..].iter().all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn stored_encodings_never_change() {
        let hash = of(|e| e.integer(-1).optional(Some(7)).optional(None).bytes(b"x"));
        assert_eq!(hex(&hash), "18de33698fd30e6a3e97dc6645a0a62d13a2f34ea440edb5932077305a2fbb5b");
        assert_eq!(hex(&chunk([])), "5378c7ce67fdf88a4311eb6f0d723332fd0bfd91388339796c1fb96d546d4a15");
    }

    #[test]
    fn hexadecimal_is_read_in_both_spellings() {
        assert_eq!(from_hex(&hex(&[0, 171, 255])), Some(vec![0, 171, 255]));
        assert_eq!(from_hex("\\xABff\n"), Some(vec![171, 255]));
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("zz"), None);
    }
}

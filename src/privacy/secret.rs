//! HMAC-SHA-256: a person's key is kept as a hash that says nothing without the secret.
#![forbid(unsafe_code)]

use sha2::{Digest, Sha256};

const BLOCK: usize = 64;

/// A secret, ready for use: both paddings are hashed once.
#[derive(Clone)]
pub struct Secret {
    inner: Sha256,
    outer: Sha256,
}

impl Secret {
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        let mut block = [0u8; BLOCK];
        if secret.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            block[..secret.len()].copy_from_slice(secret);
        }
        let padded = |byte: u8| Sha256::new_with_prefix(block.map(|b| b ^ byte));
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The HMAC of some parts; each is preceded by its length, so that no two lists of parts are alike.
    pub fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update((part.len() as u64).to_be_bytes());
            inner.update(part);
        }
        self.end(inner)
    }

    fn end(&self, inner: Sha256) -> [u8; 32] {
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        outer.finalize().into()
    }

    /// The hash of a person's key: the text of each key column's value, in declared order.
    pub fn key(&self, subject_type: &str, values: &[String]) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = vec![b"subject", subject_type.as_bytes()];
        parts.extend(values.iter().map(String::as_bytes));
        self.of(&parts).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn is_hmac_sha_256() {
        // RFC 4231, test case 2.
        let secret = Secret::new("Jefe");
        let mut inner = secret.inner.clone();
        sha2::Digest::update(&mut inner, b"what do ya want for nothing?");
        let hex: String = secret.end(inner).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn keys_that_read_alike_run_together_differ() {
        let secret = Secret::new("s");
        let key = |values: &[&str]| {
            secret.key("person", &values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>())
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["abc"]), key(&["abc", ""]));
        assert_ne!(secret.key("a", &["1".into()]), secret.key("b", &["1".into()]));
    }
}

//! An encrypted value: `version (1) | key (8) | nonce (12) | ciphertext and tag`.
//!
//! AES-256-GCM-SIV (RFC 8452): a nonce that repeats by chance tells only that two values are equal.
//! Version, key and the column's label are authenticated, so that a value neither opens in another
//! column nor under another key. The plaintext ends in 0x80 and as many zeros as its length is padded by.
#![forbid(unsafe_code)]

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE: usize = 12;
const HEADER: usize = 1 + 8 + NONCE;
const TAG: usize = 16;
const END: u8 = 0x80;

/// Thirty-two bytes that nobody may read, wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// A key ready for use.
pub struct Cipher(Aes256GcmSiv);

impl Cipher {
    pub fn new(secret: &Secret) -> Self {
        Self(Aes256GcmSiv::new(secret.as_slice().into()))
    }

    /// Encrypts `plain`; none where the system has no randomness to give.
    pub fn seal(&self, key_id: i64, label: &[u8], plain: &[u8], pad_to: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(HEADER + plain.len() + 1 + pad_to + TAG);
        out.push(VERSION);
        out.extend_from_slice(&key_id.to_be_bytes());
        let mut nonce = [0; NONCE];
        getrandom::getrandom(&mut nonce).ok()?;
        out.extend_from_slice(&nonce);
        let mut padded = Zeroizing::new(Vec::with_capacity(plain.len() + 1 + pad_to));
        padded.extend_from_slice(plain);
        padded.push(END);
        let length = padded.len().next_multiple_of(pad_to.max(1));
        padded.resize(length, 0);
        let bound = bound_to(key_id, label);
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), Payload { msg: &padded, aad: &bound }).ok()?;
        out.extend_from_slice(&sealed);
        Some(out)
    }

    /// Decrypts what `seal` made with the same key and label; none for anything else.
    pub fn open(&self, sealed: &Sealed, label: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let bound = bound_to(sealed.key_id, label);
        let payload = Payload { msg: sealed.body, aad: &bound };
        let mut plain = Zeroizing::new(self.0.decrypt(Nonce::from_slice(sealed.nonce), payload).ok()?);
        let end = plain.iter().rposition(|&byte| byte == END)?;
        plain.truncate(end);
        Some(plain)
    }
}

/// The parts of an encrypted value.
pub struct Sealed<'a> {
    pub key_id: i64,
    nonce: &'a [u8],
    body: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// None for bytes that `seal` cannot have made.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < HEADER + TAG + 1 || bytes[0] != VERSION {
            return None;
        }
        let key_id = i64::from_be_bytes(bytes[1..9].try_into().ok()?);
        Some(Self { key_id, nonce: &bytes[9..HEADER], body: &bytes[HEADER..] })
    }
}

fn bound_to(key_id: i64, label: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(9 + label.len());
    bound.push(VERSION);
    bound.extend_from_slice(&key_id.to_be_bytes());
    bound.extend_from_slice(label);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(byte: u8) -> Cipher {
        Cipher::new(&Zeroizing::new([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_again() {
        for plain in [&b""[..], b"ada@example.org", &[0x80, 0, 0], &[0; 40]] {
            for pad in [0, 1, 16, 64] {
                let sealed = cipher(7).seal(9, b"public.t.email", plain, pad).unwrap();
                let parts = Sealed::parse(&sealed).unwrap();
                assert_eq!(parts.key_id, 9);
                assert_eq!(cipher(7).open(&parts, b"public.t.email").unwrap().as_slice(), plain);
            }
        }
    }

    #[test]
    fn two_encryptions_of_one_value_differ() {
        assert_ne!(cipher(1).seal(1, b"c", b"v", 0), cipher(1).seal(1, b"c", b"v", 0));
    }

    #[test]
    fn padding_hides_lengths() {
        let length = |plain: &[u8]| cipher(1).seal(1, b"c", plain, 32).unwrap().len();
        assert_eq!(length(b"a"), length(b"a-much-longer-value-here-ok"));
        assert!(length(&[1; 32]) > length(&[1; 31]));
    }

    #[test]
    fn nothing_opens_elsewhere_or_changed() {
        let sealed = cipher(1).seal(5, b"a.b.c", b"secret", 0).unwrap();
        let open = |bytes: &[u8], key: u8, label: &[u8]| {
            Sealed::parse(bytes).and_then(|parts| cipher(key).open(&parts, label))
        };
        assert!(open(&sealed, 1, b"a.b.c").is_some());
        assert!(open(&sealed, 1, b"a.b.d").is_none());
        assert!(open(&sealed, 2, b"a.b.c").is_none());
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert!(open(&changed, 1, b"a.b.c").is_none(), "byte {i}");
        }
        for length in 0..sealed.len() {
            assert!(open(&sealed[..length], 1, b"a.b.c").is_none(), "length {length}");
        }
    }
}

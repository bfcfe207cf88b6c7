//! Keyed replacements of values. The same value becomes the same pseudonym wherever the same domain is
//! named; different values become different ones. Who has the key can find out which: pseudonymised, still
//! personal data.
#![forbid(unsafe_code)]

use super::feistel::{Permutation, word};
use crate::privacy::secret::Secret;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// How a pseudonym is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Letters and digits.
    Text,
    /// An address in a domain nobody can have.
    Email,
    /// Digits replaced by digits, everything else kept.
    Digits,
    /// A given name with letters and digits after it.
    Name,
    Uuid,
    /// Sixty-four hexadecimal digits.
    Hash,
}

impl Format {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "text" => Self::Text,
            "email" => Self::Email,
            "digits" => Self::Digits,
            "name" => Self::Name,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    /// Characters such a pseudonym has; none where it is as long as the value.
    pub fn length(self) -> Option<usize> {
        match self {
            Self::Text => Some(TEXT),
            Self::Email => Some(TEXT + EMAIL_DOMAIN.len()),
            Self::Digits => None,
            Self::Name => Some(LONGEST_NAME + 1 + TEXT),
            Self::Uuid => Some(36),
            Self::Hash => Some(64),
        }
    }

    /// Characters it may be cut to and still tell values apart: 60 bits, a collision among a million values
    /// in one case of two million.
    pub fn least(self) -> usize {
        match self {
            Self::Text => 12,
            Self::Email => 12 + EMAIL_DOMAIN.len(),
            Self::Name => LONGEST_NAME + 1 + 12,
            Self::Digits => 0,
            Self::Uuid => 36,
            Self::Hash => 16,
        }
    }
}

/// Five bits a character: 100 bits.
const TEXT: usize = 20;
const EMAIL_DOMAIN: &str = "@masked.invalid";
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const NAMES: [&str; 32] = [
    "Alex", "Bo", "Charlie", "Dana", "Eden", "Finley", "Gale", "Harper", "Indigo", "Jamie", "Kai", "Lee",
    "Morgan", "Nico", "Oakley", "Parker", "Quinn", "Robin", "Sam", "Taylor", "Uma", "Vesper", "Winter",
    "Xen", "Yael", "Zion", "Ari", "Blake", "Casey", "Drew", "Ellis", "Frankie",
];
const LONGEST_NAME: usize = 7;

/// The pseudonyms of one domain in one format.
pub struct Pseudonyms {
    secret: Secret,
    /// For all formats but hashes.
    key: (u64, u64),
    permutation: Permutation,
    format: Format,
    /// Most characters, as the column's type says.
    longest: usize,
}

impl Pseudonyms {
    pub fn new(secret: &Secret, domain: &str, format: Format, longest: Option<usize>) -> Self {
        let own = secret.of(&[b"mask", domain.as_bytes()]);
        Self {
            permutation: Permutation::new(&own),
            key: (word(&own, 16), word(&own, 24)),
            secret: Secret::new(own),
            format,
            longest: longest.unwrap_or(usize::MAX),
        }
    }

    pub fn integer(&self, value: i64) -> i64 {
        self.permutation.integer(value)
    }

    pub fn text(&self, value: &str) -> String {
        match self.format {
            Format::Digits => self.permutation.digits(value),
            Format::Text => written("", self.keyed(value), TEXT.min(self.longest), ""),
            Format::Email => {
                let room = self.longest.saturating_sub(EMAIL_DOMAIN.len()).clamp(1, TEXT);
                written("", self.keyed(value), room, EMAIL_DOMAIN)
            }
            Format::Name => {
                let bits = self.keyed(value);
                // Five bits of those that the letters do not take.
                let name = NAMES[(bits >> 123) as usize % NAMES.len()];
                let room = self.longest.saturating_sub(name.len() + 1).clamp(1, TEXT);
                written(name, bits, room, "")
            }
            Format::Uuid => {
                let bytes = self.keyed(value).to_be_bytes();
                uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
            }
            Format::Hash => {
                let hash = self.secret.of(&[value.as_bytes()]);
                let mut text = String::with_capacity(2 * hash.len());
                for byte in hash {
                    text.push_str(&HEXADECIMAL[2 * byte as usize..2 * byte as usize + 2]);
                }
                text.truncate(self.longest);
                text
            }
        }
    }

    /// 128 bits of SipHash-2-4 under the domain's key: a fraction of what an HMAC costs, and nobody finds the value, or
    /// two values that meet, without the key.
    fn keyed(&self, value: &str) -> u128 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(value.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// Two digits for each byte.
const HEXADECIMAL: &str = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const PAIRS: [u8; 512] = {
        let mut pairs = [0; 512];
        let mut i = 0;
        while i < 256 {
            pairs[2 * i] = DIGITS[i >> 4];
            pairs[2 * i + 1] = DIGITS[i & 15];
            i += 1;
        }
        pairs
    };
    match std::str::from_utf8(&PAIRS) {
        Ok(text) => text,
        Err(_) => "",
    }
};

/// Five bits a letter, between what comes before, with a space, and what comes behind.
fn written(before: &str, mut bits: u128, count: usize, behind: &str) -> String {
    let mut text = String::with_capacity(before.len() + 1 + count + behind.len());
    text.push_str(before);
    if !before.is_empty() {
        text.push(' ');
    }
    for _ in 0..count {
        text.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    text.push_str(behind);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms(domain: &str, format: Format, longest: Option<usize>) -> Pseudonyms {
        Pseudonyms::new(&Secret::new("a secret"), domain, format, longest)
    }

    #[test]
    fn the_same_in_one_domain_and_another_in_another() {
        for format in [Format::Text, Format::Email, Format::Name, Format::Uuid, Format::Hash, Format::Digits]
        {
            let value = "ada 030-1234567";
            let here = pseudonyms("a", format, None).text(value);
            assert_eq!(here, pseudonyms("a", format, None).text(value));
            assert_ne!(here, pseudonyms("b", format, None).text(value));
            assert_ne!(here, value);
            assert!(format.length().is_none_or(|length| here.chars().count() <= length), "{here}");
        }
    }

    #[test]
    fn as_short_as_the_column() {
        assert_eq!(pseudonyms("a", Format::Text, Some(12)).text("x").len(), 12);
        assert_eq!(pseudonyms("a", Format::Email, Some(30)).text("x").len(), 30);
        assert!(pseudonyms("a", Format::Email, None).text("x").ends_with("@masked.invalid"));
        assert_eq!(pseudonyms("a", Format::Hash, Some(16)).text("x").len(), 16);
    }

    #[test]
    fn a_hundred_thousand_values_do_not_meet() {
        let p = pseudonyms("a", Format::Text, Some(12));
        let met: std::collections::BTreeSet<String> = (0..100_000).map(|n| p.text(&n.to_string())).collect();
        assert_eq!(met.len(), 100_000);
    }
}

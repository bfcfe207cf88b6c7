//! Keyed replacements of values. The same value becomes the same pseudonym wherever the same domain is
//! named; different values become different ones. Who has the key can find out which: pseudonymised, still
//! personal data.
#![forbid(unsafe_code)]

use super::feistel::Permutation;
use crate::privacy::secret::Secret;

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
            secret: Secret::new(own),
            format,
            longest: longest.unwrap_or(usize::MAX),
        }
    }

    pub fn integer(&self, value: i64) -> i64 {
        self.permutation.integer(value)
    }

    pub fn text(&self, value: &str) -> String {
        let hash = || self.secret.of(&[value.as_bytes()]);
        match self.format {
            Format::Digits => self.permutation.digits(value),
            Format::Text => letters(&hash(), TEXT.min(self.longest)),
            Format::Email => {
                let room = self.longest.saturating_sub(EMAIL_DOMAIN.len()).clamp(1, TEXT);
                format!("{}{EMAIL_DOMAIN}", letters(&hash(), room))
            }
            Format::Name => {
                let hash = hash();
                let name = NAMES[hash[31] as usize % NAMES.len()];
                let room = self.longest.saturating_sub(name.len() + 1).clamp(1, TEXT);
                format!("{name} {}", letters(&hash, room))
            }
            Format::Uuid => {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&hash()[..16]);
                uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
            }
            Format::Hash => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let hash = hash();
                let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                digits.take(self.longest).map(|digit| char::from(DIGITS[digit as usize])).collect()
            }
        }
    }
}

fn letters(hash: &[u8; 32], count: usize) -> String {
    let mut bits = 0u32;
    let mut held = 0;
    let mut bytes = hash.iter();
    let mut text = String::with_capacity(count);
    while text.len() < count {
        if held < 5 {
            let Some(&byte) = bytes.next() else { break };
            bits = (bits << 8) | u32::from(byte);
            held += 8;
        }
        held -= 5;
        text.push(char::from(ALPHABET[(bits >> held) as usize & 31]));
        bits &= (1 << held) - 1;
    }
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

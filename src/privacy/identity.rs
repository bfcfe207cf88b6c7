//! Values that identify a person, to be found wherever they turn up: as they are while erasing, afterwards as
//! HMACs of their words.
#![forbid(unsafe_code)]

use super::secret::Secret;
use crate::capture::identity_words::{identifies, readings, words};
use std::collections::HashSet;

#[derive(Debug, Default, Clone)]
pub struct Identities {
    /// In hexadecimal.
    pub hmacs: Vec<String>,
    /// How many words each has.
    pub words: Vec<i32>,
}

impl Identities {
    pub fn of(values: impl IntoIterator<Item = String>, secret: &Secret) -> Self {
        let mut found = Self::default();
        for value in values {
            let words = words(&value);
            if !identifies(&value) || words.is_empty() {
                continue;
            }
            let hmac: String = hash(secret, &words).iter().map(|byte| format!("{byte:02x}")).collect();
            if !found.hmacs.contains(&hmac) {
                found.hmacs.push(hmac);
                found.words.push(words.len() as i32);
            }
        }
        found
    }
}

fn hash(secret: &Secret, words: &[String]) -> [u8; 32] {
    let parts: Vec<&[u8]> =
        std::iter::once(&b"identity"[..]).chain(words.iter().map(|word| word.as_bytes())).collect();
    secret.of(&parts)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    crate::audit::seal::from_hex(text)?.try_into().ok()
}

/// Looks for identities of which only HMACs are known.
pub struct Seeker {
    secret: Secret,
    wanted: HashSet<[u8; 32]>,
    lengths: Vec<usize>,
}

impl Seeker {
    pub fn new(secret: Secret, identities: &[(String, i32)]) -> Self {
        let mut lengths: Vec<usize> = identities.iter().map(|(_, words)| (*words).max(1) as usize).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Self { secret, wanted: identities.iter().filter_map(|(hmac, _)| from_hex(hmac)).collect(), lengths }
    }

    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether a text holds one of the identities, as words that follow each other.
    pub fn finds(&self, text: &str) -> bool {
        readings(text).iter().any(|text| {
            let words = words(text);
            self.lengths.iter().any(|&length| {
                words.windows(length).any(|window| self.wanted.contains(&hash(&self.secret, window)))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_in_any_spelling_and_place() {
        let secret = Secret::new("s");
        let known = Identities::of(
            ["Ann.Smith@Example.org".to_owned(), "Ann  Smith".to_owned(), "abc".to_owned()],
            &secret,
        );
        assert_eq!(known.hmacs.len(), 2);
        let pairs: Vec<(String, i32)> =
            known.hmacs.iter().cloned().zip(known.words.iter().copied()).collect();
        let seeker = Seeker::new(secret, &pairs);
        for text in [
            "ann.smith@example.org",
            "{\"mail\": \"ann.smith@example.org\"}",
            "write to <ANN.SMITH@EXAMPLE.ORG>.",
            "{\"x\":[\"ANN SMITH\"]}",
            "Ann, Smith",
            r#"{"x":"\u0061nn \u0053mith"}"#,
        ] {
            assert!(seeker.finds(text), "{text}");
        }
        for text in ["", "ann smithers", "joann.smith@example.org", "smith ann"] {
            assert!(!seeker.finds(text), "{text}");
        }
    }
}

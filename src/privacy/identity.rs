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
    /// How many words each has; of a set of lexemes, which a vector without positions has in no order, each has its
    /// own hash, and minus their number.
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

    /// Adds sets of lexemes; one alone is a word like any other.
    pub fn with_lexemes(mut self, sets: &[Vec<String>], secret: &Secret) -> Self {
        for set in sets.iter().filter(|set| set.len() > 1) {
            for lexeme in set {
                let hmac = hash_lexeme(secret, lexeme);
                self.hmacs.push(hmac.iter().map(|byte| format!("{byte:02x}")).collect());
                self.words.push(-(set.len() as i32));
            }
        }
        self
    }
}

fn hash_lexeme(secret: &Secret, lexeme: &str) -> [u8; 32] {
    secret.of(&[b"lexeme", lexeme.as_bytes()])
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
    lexemes: Vec<Vec<[u8; 32]>>,
}

impl Seeker {
    pub fn new(secret: Secret, identities: &[(String, i32)]) -> Self {
        let (mut wanted, mut lengths, mut lexemes) = (HashSet::new(), Vec::new(), Vec::new());
        let mut rest = identities;
        while let [(_, words), ..] = rest {
            let (entry, others) = rest.split_at((-words).clamp(1, rest.len() as i32) as usize);
            let mut hashes = entry.iter().filter_map(|(hmac, _)| from_hex(hmac));
            if *words < 0 {
                lexemes.push(hashes.collect());
            } else {
                wanted.extend(hashes.next());
                lengths.push((*words).max(1) as usize);
            }
            rest = others;
        }
        lengths.sort_unstable();
        lengths.dedup();
        Self { secret, wanted, lengths, lexemes }
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

    /// Whether lexemes without an order have all of those that one of the identities has.
    pub fn finds_lexemes<'a>(&self, lexemes: impl Iterator<Item = &'a str>) -> bool {
        if self.lexemes.is_empty() {
            return false;
        }
        let there: HashSet<[u8; 32]> = lexemes.map(|lexeme| hash_lexeme(&self.secret, lexeme)).collect();
        self.lexemes.iter().any(|set| set.iter().all(|lexeme| there.contains(lexeme)))
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

    #[test]
    fn lexemes_without_positions_are_found_together_only() {
        let secret = Secret::new("s");
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let known = Identities::of(["Ann Smith".to_owned()], &secret)
            .with_lexemes(&[set(&["ann", "smith"]), set(&["anne", "smith"]), set(&["alone"])], &secret);
        assert_eq!(known.words, [2, -2, -2, -2, -2]);
        let pairs: Vec<(String, i32)> = known.hmacs.into_iter().zip(known.words).collect();
        let seeker = Seeker::new(secret, &pairs);
        assert!(seeker.finds_lexemes(["smith", "letter", "ann"].into_iter()));
        assert!(!seeker.finds_lexemes(["smith", "letter"].into_iter()));
        assert!(!seeker.finds_lexemes(["alone"].into_iter()));
        assert!(seeker.finds("ann smith") && !seeker.finds("smith"));
    }
}

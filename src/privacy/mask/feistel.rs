//! Permutations of the numbers below a limit: a Feistel network over the next even number of bits, walked
//! until it is back below the limit (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002).
//! One-to-one by construction, so that unique columns stay unique.
#![forbid(unsafe_code)]

use siphasher::sip::SipHasher24;
use std::hash::Hasher;

const ROUNDS: u8 = 8;

/// Eight bytes of a secret, from a place on.
pub fn word(secret: &[u8; 32], at: usize) -> u64 {
    secret[at..at + 8].iter().fold(0u64, |n, &byte| (n << 8) | u64::from(byte))
}

#[derive(Clone, Copy)]
pub struct Permutation {
    key: (u64, u64),
}

impl Permutation {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { key: (word(secret, 0), word(secret, 8)) }
    }

    /// What `value` becomes among the numbers below `limit`; it is one of them.
    pub fn below(&self, value: u64, limit: u64) -> u64 {
        if limit <= 1 {
            return value;
        }
        let bits = (64 - (limit - 1).leading_zeros()).max(2).next_multiple_of(2);
        let mut walked = value;
        loop {
            walked = self.shuffle(walked, bits, limit);
            // Following a permutation's cycle from a number below the limit leads back to one.
            if walked < limit {
                return walked;
            }
        }
    }

    fn shuffle(&self, value: u64, bits: u32, tweak: u64) -> u64 {
        let half = bits / 2;
        let mask = (1u64 << half) - 1;
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..ROUNDS {
            // Half the bits are 32 at most: the round has room above them.
            let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
            hasher.write_u64(tweak);
            hasher.write_u64(right | u64::from(round) << 56);
            (left, right) = (right, left ^ (hasher.finish() & mask));
        }
        (left << half) | right
    }

    /// A whole number becomes one of as many digits, and stays within smallint or integer where it was.
    pub fn integer(&self, value: i64) -> i64 {
        // -1 is to 0 as -32768 is to 32767.
        let magnitude = if value < 0 { !value } else { value } as u64;
        let (low, high) = range_of(magnitude);
        let moved = (low + self.below(magnitude - low, high - low)) as i64;
        if value < 0 { !moved } else { moved }
    }

    /// Digits are replaced by digits, everything else stays where it is.
    pub fn digits(&self, text: &str) -> String {
        const CHUNK: usize = 18;
        let mut places = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).map(|(i, _)| i);
        let mut bytes = text.as_bytes().to_vec();
        let mut chunk = Vec::with_capacity(CHUNK);
        for number in 0.. {
            chunk.clear();
            chunk.extend(places.by_ref().take(CHUNK));
            if chunk.is_empty() {
                break;
            }
            let value = chunk.iter().fold(0u64, |n, &place| n * 10 + u64::from(bytes[place] - b'0'));
            // Another permutation for each place: equal chunks do not stay equal.
            let keyed = Self { key: (self.key.0 ^ number, self.key.1) };
            let mut masked = keyed.below(value, 10u64.pow(chunk.len() as u32));
            for &place in chunk.iter().rev() {
                bytes[place] = b'0' + (masked % 10) as u8;
                masked /= 10;
            }
        }
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// The range a magnitude is permuted in: its number of digits, cut at the ends of smallint and integer.
fn range_of(magnitude: u64) -> (u64, u64) {
    const LIMITS: [u64; 3] = [1 << 15, 1 << 31, 1 << 63];
    let mut low = 0;
    let mut high = 10;
    while magnitude >= high {
        low = high;
        let next_power = match low {
            // After a type's limit the digits go on to the same power of ten.
            _ if LIMITS.contains(&low) => 10u64.pow(low.ilog10() + 1),
            _ => low.saturating_mul(10),
        };
        high = LIMITS.iter().copied().find(|&limit| low < limit && limit < next_power).unwrap_or(next_power);
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn permutation() -> Permutation {
        Permutation::new(&[7; 32])
    }

    #[test]
    fn every_number_below_the_limit_is_met_once() {
        for limit in [1, 2, 3, 10, 97, 1000, 4096] {
            let met: BTreeSet<u64> = (0..limit).map(|n| permutation().below(n, limit)).collect();
            assert_eq!(met.len() as u64, limit);
            assert!(met.iter().all(|&n| n < limit));
        }
    }

    #[test]
    fn ranges_cover_every_number_once() {
        let mut low = 0;
        while low < 1 << 63 {
            let (from, to) = range_of(low);
            assert_eq!(from, low);
            assert!(to > from);
            assert_eq!(range_of(to - 1), (from, to));
            low = to;
        }
    }

    #[test]
    fn integers_keep_their_type_and_differ() {
        let p = permutation();
        let met: BTreeSet<i64> = (-40_000..40_000).map(|n| p.integer(n)).collect();
        assert_eq!(met.len(), 80_000);
        assert!((0..=32_767).all(|n| (0..=32_767).contains(&p.integer(n))));
        for n in [i64::from(i32::MAX), i64::from(i32::MIN), 1_999_999_999] {
            assert!(i32::try_from(p.integer(n)).is_ok(), "{n}");
        }
        for n in [i64::MAX, i64::MIN, 3_000_000_000, 9_999_999_999] {
            assert_eq!(p.integer(n) < 0, n < 0);
        }
        assert_ne!(p.integer(123_456), 123_456);
    }

    #[test]
    fn digits_stay_digits() {
        let p = permutation();
        let masked = p.digits("+49 (30) 123-4567");
        assert_eq!(masked.len(), 17);
        assert_eq!(masked.chars().filter(|c| !c.is_ascii_digit()).collect::<String>(), "+ () -");
        assert_ne!(masked, "+49 (30) 123-4567");
        let met: BTreeSet<String> = (0..1000).map(|n| p.digits(&format!("{n:03}"))).collect();
        assert_eq!(met.len(), 1000);
        assert_eq!(p.digits("1234567890123456789012345").len(), 25);
    }
}

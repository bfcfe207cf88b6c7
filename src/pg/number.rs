//! Numbers as text: numeric from the form it is stored in, binary floating point.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::io::Write;

/// Digits of a numeric that one stored digit stands for.
const DIGITS: usize = 4;

/// Appends a stored numeric (what follows the header of a varlena) as JSON: digit for digit what
/// numeric_out says; NaN and infinities as strings. None where these bytes are no numeric.
pub fn numeric(stored: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (head, rest) = split_u16(stored)?;
    let (negative, scale, weight, digits) = match head & 0xc000 {
        0xc000 => {
            let text: &[u8] = match head & 0xf000 {
                0xc000 => b"\"NaN\"",
                0xd000 => b"\"Infinity\"",
                0xf000 => b"\"-Infinity\"",
                _ => return None,
            };
            out.extend_from_slice(text);
            return Some(());
        }
        0x8000 => {
            let weight = i32::from(head & 0x3f) - if head & 0x40 != 0 { 0x40 } else { 0 };
            (head & 0x2000 != 0, usize::from(head & 0x1f80) >> 7, weight, rest)
        }
        sign => {
            let (weight, digits) = split_u16(rest)?;
            (sign == 0x4000, usize::from(head & 0x3fff), i32::from(weight as i16), digits)
        }
    };
    let (digits, _) = digits.as_chunks::<2>();
    let digit = |i: i32| -> [u8; DIGITS] {
        let stored = usize::try_from(i).ok().and_then(|i| digits.get(i)).copied().unwrap_or_default();
        let value = usize::from(u16::from_ne_bytes(stored));
        let (high, low) = (PAIRS[value / 100 % 100], PAIRS[value % 100]);
        [high[0], high[1], low[0], low[1]]
    };
    if negative {
        out.push(b'-');
    }
    if weight < 0 {
        out.push(b'0');
    } else {
        let first = digit(0);
        let zeros = first[..DIGITS - 1].iter().take_while(|&&d| d == b'0').count();
        out.extend_from_slice(&first[zeros..]);
        for i in 1..=weight {
            out.extend_from_slice(&digit(i));
        }
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut i = weight + 1;
        while out.len() < end {
            out.extend_from_slice(&digit(i));
            i += 1;
        }
        out.truncate(end);
    }
    Some(())
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_ne_bytes(*head), rest))
}

/// The two digits of each number below a hundred.
pub(super) const PAIRS: [[u8; 2]; 100] = {
    let mut table = [[b'0'; 2]; 100];
    let mut i = 0;
    while i < 100 {
        table[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    table
};

/// A binary floating point type, for `float`.
pub trait Float: Debug + Copy + zmij::Float {
    fn special(self) -> Option<&'static [u8]>;

    /// How many binary digits there are after the point; as many decimal ones are needed for all of the
    /// value. None for large values, where this says nothing.
    fn fraction(self) -> Option<i32>;
}

macro_rules! float {
    ($($type:ty: $stored:expr, $bias:expr;)*) => {$(
        impl Float for $type {
            #[inline]
            fn special(self) -> Option<&'static [u8]> {
                if self.is_nan() {
                    Some(b"\"NaN\"")
                } else if self.is_infinite() {
                    Some(if self > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" })
                } else if self == 0.0 {
                    // A jsonb number has no -0; the string is read back as one.
                    Some(if self.is_sign_negative() { b"\"-0\"" } else { b"0" })
                } else {
                    None
                }
            }

            #[inline]
            fn fraction(self) -> Option<i32> {
                let bits = self.to_bits();
                let exponent = (bits >> $stored & (2 * $bias + 1)) as i32;
                let one = u64::from(exponent != 0) << $stored;
                let mantissa = u64::from(bits) & ((1 << $stored) - 1) | one;
                let fraction = $bias + $stored - exponent.max(1) - mantissa.trailing_zeros() as i32;
                (exponent <= $bias + $stored).then_some(fraction)
            }
        }
    )*};
}
float! {
    f32: 23, 127;
    f64: 52, 1023;
}

/// Appends the shortest text that reads back to the same value: with an exponent from 1e16 on and below
/// 1e-4.
pub fn float<F: Float>(value: F, out: &mut Vec<u8>) {
    if let Some(special) = value.special() {
        out.extend_from_slice(special);
        return;
    }
    let start = out.len();
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let (text, exponent) = match text.iter().position(|&b| b == b'e') {
        Some(at) => (&text[..at], integer(&text[at + 1..])),
        None => (text, 0),
    };
    let text = match text.strip_prefix(b"-") {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => text,
    };
    // The digits without the point and zeros at either end, and where the point is among them.
    let mut digits = [b'0'; 40];
    let (mut count, mut point, mut leading, mut fraction) = (0, 0, true, false);
    for &byte in text {
        if byte == b'.' {
            fraction = true;
            continue;
        }
        leading &= byte == b'0';
        if !leading && count < digits.len() {
            digits[count] = byte;
            count += 1;
        }
        point += match (fraction, leading) {
            (false, false) => 1,
            (true, true) => -1,
            _ => 0,
        };
    }
    point += exponent;
    let zeros = digits[..count].iter().rev().take_while(|&&d| d == b'0').count();
    let digits = &digits[..count - zeros];
    // Half way between two texts as short as this: of these `{:?}` chooses the one farther from zero.
    if value.fraction().is_none_or(|fraction| fraction == digits.len() as i32 - point + 1) {
        out.truncate(start);
        let _ = write!(out, "{value:?}");
        if out.ends_with(b".0") {
            out.truncate(out.len() - 2);
        }
        return;
    }
    match point {
        // 0.000ddd
        -3..=0 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-point) as usize, b'0');
            out.extend_from_slice(digits);
        }
        1..=16 => {
            let point = point as usize;
            if digits.len() <= point {
                out.extend_from_slice(digits);
                out.resize(out.len() + point - digits.len(), b'0');
            } else {
                out.extend_from_slice(&digits[..point]);
                out.push(b'.');
                out.extend_from_slice(&digits[point..]);
            }
        }
        _ => {
            out.extend_from_slice(&digits[..1]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.push(b'e');
            out.extend_from_slice(itoa::Buffer::new().format(point - 1).as_bytes());
        }
    }
}

fn integer(text: &[u8]) -> i32 {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    sign * digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_shortest_and_keep_their_oddities() {
        for (value, expected) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (0.0, "0"),
            (-0.0, "\"-0\""),
            (1e300, "1e300"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(text(|o| float(value, o)), expected);
        }
        assert_eq!(text(|o| float(0.1f32, o)), "0.1");
    }

    /// Audit logs of earlier releases hold what `{:?}` says: it must stay the same text.
    #[test]
    fn floats_are_written_as_debug_writes_them() {
        let expected = |debug: String| debug.strip_suffix(".0").map(str::to_owned).unwrap_or(debug);
        let check = |value: f64| {
            if value.is_finite() && value != 0.0 {
                assert_eq!(text(|o| float(value, o)), expected(format!("{value:?}")));
            }
            let single = value as f32;
            if single.is_finite() && single != 0.0 {
                assert_eq!(text(|o| float(single, o)), expected(format!("{single:?}")));
            }
        };
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for i in 0..100_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            check(f64::from_bits(seed));
            check((seed >> 40) as f64 / 1000.0);
            check(f64::from(i) * 10_f64.powi((seed >> 58) as i32 - 32));
            check(f64::from(f32::from_bits((seed >> 32) as u32)));
        }
        for exponent in -330..310 {
            let value: f64 = format!("1e{exponent}").parse().unwrap();
            for bits in value.to_bits().saturating_sub(2)..value.to_bits() + 3 {
                check(f64::from_bits(bits));
            }
        }
    }

    #[test]
    fn numerics_from_their_stored_form() {
        let stored = |words: &[u16]| words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
        for (words, expected) in [
            (&[0x8000_u16][..], "0"),
            (&[0x8100], "0.00"),
            (&[0x8080, 1, 5000], "1.5"),
            (&[0xa080, 1, 5000], "-1.5"),
            (&[0x8001, 12], "120000"),
            (&[0x827f, 12], "0.0012"),
            (&[0x827e, 12], "0.0000"),
            (&[0x0000, 0, 7], "7"),
            (&[0x4002, 0xffff, 100], "-0.01"),
            (&[0xc000], "\"NaN\""),
            (&[0xd000], "\"Infinity\""),
            (&[0xf000], "\"-Infinity\""),
        ] {
            let found = text(|o| numeric(&stored(words), o).unwrap());
            assert_eq!(found, expected);
        }
        assert!(numeric(&[], &mut Vec::new()).is_none() && numeric(&[0, 0, 1], &mut Vec::new()).is_none());
    }
}

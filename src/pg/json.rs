//! JSON text: pure rules for what a value looks like inside an image.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::io::Write;

/// Appends a JSON string. Bytes above 0x7f pass through: the text is in the server's encoding.
pub fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut rest = bytes;
    loop {
        let (plain, after) = rest.split_at(plain_bytes(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = after;
    }
    out.push(b'"');
}

/// How many bytes from the start need no escape: eight at a time, as large texts are mostly such bytes.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest byte marked is right; a borrow can only mark bytes above it.
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut chunks = bytes.chunks_exact(8);
    let mut plain = 0;
    for chunk in &mut chunks {
        let word = chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let special = control | zero_in(word ^ (ONES * 0x22)) | zero_in(word ^ (ONES * 0x5c));
        if special != 0 {
            return plain + special.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    let needs_escape = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    plain + chunks.remainder().iter().position(needs_escape).unwrap_or(chunks.remainder().len())
}

/// Appends bytes as the JSON string of a bytea literal, `"\\x0aff"`.
pub fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const PAIRS: [[u8; 2]; 256] = {
        let mut pairs = [[0; 2]; 256];
        let mut i = 0;
        while i < 256 {
            pairs[i] = [DIGITS[i >> 4], DIGITS[i & 15]];
            i += 1;
        }
        pairs
    };
    out.reserve(bytes.len() * 2 + 5);
    out.extend_from_slice(b"\"\\\\x");
    let start = out.len();
    out.resize(start + bytes.len() * 2, 0);
    for (pair, &byte) in out[start..].chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&PAIRS[usize::from(byte)]);
    }
    out.push(b'"');
}

/// Appends sixteen bytes as the JSON string of a uuid.
pub fn uuid(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

/// Appends a value of type "char" as PostgreSQL 16 and newer write it: bytes that are no character of
/// their own in octal.
pub fn single_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        0 => out.extend_from_slice(b"\"\""),
        1..=127 => string(&[byte], out),
        _ => {
            let _ = write!(out, "\"\\\\{byte:03o}\"");
        }
    }
}

/// Appends an element to the literal of an array, given as the JSON this module made of it.
pub fn array_element(json: &[u8], literal: &mut Vec<u8>) {
    let [b'"', inner @ .., b'"'] = json else {
        literal.extend_from_slice(json);
        return;
    };
    literal.push(b'"');
    let mut i = 0;
    while i < inner.len() {
        let (byte, taken) = match inner[i..] {
            [b'\\', b'u', a, b, c, d, ..] => {
                let unit =
                    std::str::from_utf8(&[a, b, c, d]).ok().and_then(|h| u8::from_str_radix(h, 16).ok());
                (unit.unwrap_or(b'?'), 6)
            }
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', b'r', ..] => (b'\r', 2),
            [b'\\', b't', ..] => (b'\t', 2),
            [b'\\', escaped, ..] => (escaped, 2),
            _ => (inner[i], 1),
        };
        if matches!(byte, b'"' | b'\\') {
            literal.push(b'\\');
        }
        literal.push(byte);
        i += taken;
    }
    literal.push(b'"');
}

/// Appends a number in PostgreSQL's numeric notation; NaN and infinities as strings.
pub fn number(text: &[u8], out: &mut Vec<u8>) {
    if text.iter().any(|byte| byte.is_ascii_alphabetic()) {
        string(text, out)
    } else {
        out.extend_from_slice(text)
    }
}

/// A binary floating point type, for `float`.
pub trait Float: Debug + Copy {
    fn special(self) -> Option<&'static str>;
}

macro_rules! float {
    ($($type:ty),*) => {$(
        impl Float for $type {
            fn special(self) -> Option<&'static str> {
                if self.is_nan() {
                    Some("\"NaN\"")
                } else if self.is_infinite() {
                    Some(if self > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" })
                } else if self == 0.0 && self.is_sign_negative() {
                    // A jsonb number has no -0; the string is read back as one.
                    Some("\"-0\"")
                } else {
                    None
                }
            }
        }
    )*};
}
float!(f32, f64);

/// Appends the shortest text that reads back to the same value.
pub fn float<F: Float>(value: F, out: &mut Vec<u8>) {
    if let Some(special) = value.special() {
        out.extend_from_slice(special.as_bytes());
        return;
    }
    let _ = write!(out, "{value:?}");
    if out.ends_with(b".0") {
        out.truncate(out.len() - 2);
    }
}

/// Deepest nesting of a json value that is passed on as JSON; reading jsonb recurses.
const DEEPEST: usize = 1000;

/// Whether valid JSON text can also be read as jsonb: jsonb has no `\u0000`, no lone surrogates, no
/// number that numeric has not, and is not nested deeper than the stack of its reader allows.
pub fn fits_jsonb(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut i = 0;
    while i < text.len() {
        match text[i] {
            b'"' => match end_of_string(text, i + 1) {
                Some(end) => i = end,
                None => return false,
            },
            b'0'..=b'9' => {
                let start = i;
                while i < text.len() && matches!(text[i], b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') {
                    i += 1;
                }
                if !fits_numeric(&text[start..i]) {
                    return false;
                }
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > DEEPEST {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        i += 1;
    }
    true
}

/// Whether numeric holds an unsigned JSON number: up to 131072 digits before the point, 16383 after.
fn fits_numeric(digits: &[u8]) -> bool {
    let (mantissa, exponent) = match digits.iter().position(|b| matches!(b, b'e' | b'E')) {
        None => (digits, 0),
        Some(at) => {
            let exponent = std::str::from_utf8(&digits[at + 1..]).unwrap_or_default().parse::<i64>();
            (&digits[..at], exponent.unwrap_or(i64::MAX / 2))
        }
    };
    let whole = mantissa.iter().position(|&b| b == b'.').unwrap_or(mantissa.len());
    let fraction = mantissa.len().saturating_sub(whole + 1);
    whole as i64 + exponent <= 131_072 && fraction as i64 - exponent <= 16_383
}

/// What JSON text weighs as jsonb, in bytes, or somewhat more: an element takes an entry of four bytes, a
/// number at least eight; and PostgreSQL, while it builds jsonb, has room for 2^24 elements of an array
/// and 2^23 pairs of an object, which 250 MB of this weight stay below.
pub fn jsonb_weight(text: &[u8]) -> usize {
    const ELEMENT: usize = 16;
    let mut weight = text.len();
    let mut i = 0;
    while i < text.len() {
        match text[i] {
            b'"' => {
                i += 1;
                while i < text.len() && text[i] != b'"' {
                    i += if text[i] == b'\\' { 2 } else { 1 };
                }
            }
            b',' | b':' | b'[' | b'{' => weight += ELEMENT,
            _ => {}
        }
        i += 1;
    }
    weight
}

/// Position of the closing quote; none where the string holds what jsonb refuses.
fn end_of_string(text: &[u8], mut i: usize) -> Option<usize> {
    while i < text.len() {
        match text[i] {
            b'"' => return Some(i),
            b'\\' if text.get(i + 1) == Some(&b'u') => {
                let unit = code_unit(text, i)?;
                i += 6;
                match unit {
                    0 | 0xdc00..=0xdfff => return None,
                    0xd800..=0xdbff => {
                        if !matches!(code_unit(text, i), Some(0xdc00..=0xdfff)) {
                            return None;
                        }
                        i += 6;
                    }
                    _ => {}
                }
            }
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
    None
}

fn code_unit(text: &[u8], at: usize) -> Option<u32> {
    let escape = text.get(at..at + 6)?;
    (escape.starts_with(b"\\u"))
        .then(|| std::str::from_utf8(&escape[2..]).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok()))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(made(|o| string("a\"b\\c\n\u{1}é".as_bytes(), o)), "\"a\\\"b\\\\c\\n\\u0001é\"");
        assert_eq!(made(|o| hex(&[0, 255, 16], o)), "\"\\\\x00ff10\"");
        // At every place of a word, next to bytes that look alike but for their highest bit.
        for special in (0..=0x1f).chain([b'"', b'\\']) {
            for at in 0..20 {
                let mut text: Vec<u8> =
                    "é¢ü!#[]~ÜÀ ¢é\u{7f}".bytes().chain(*b"\x20\x21\x23\x5b\x5d").collect();
                text.insert(
                    text.iter()
                        .enumerate()
                        .filter(|(_, b)| !(0x80..0xc0).contains(*b))
                        .map(|(i, _)| i)
                        .nth(at % 10)
                        .unwrap(),
                    special,
                );
                let text = String::from_utf8(text).unwrap();
                let back: String = serde_json::from_str(&made(|o| string(text.as_bytes(), o))).unwrap();
                assert_eq!(back, text);
            }
        }
        let long = "0123456789\u{1f}é".repeat(9);
        assert_eq!(made(|o| string(long.as_bytes(), o)), serde_json::to_string(&long).unwrap());
    }

    #[test]
    fn floats_are_shortest_and_keep_their_oddities() {
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (-0.0, "\"-0\""),
            (1e300, "1e300"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(made(|o| float(value, o)), text);
        }
        assert_eq!(made(|o| float(0.1f32, o)), "0.1");
    }

    #[test]
    fn json_that_jsonb_refuses_is_recognised() {
        let tiny = format!("0.{}1e-9000", "0".repeat(9000));
        let (deep, deeper) = (nested(DEEPEST), nested(DEEPEST + 1));
        for good in [
            r#"{"a":[1,2.5e10,"\u00e9 \ud83d\ude00"]}"#,
            r#""a\\u0000""#,
            "null",
            "-1",
            "[]",
            "1e+99999",
            "1e131071",
            "1e-16383",
            &deep,
        ] {
            assert!(fits_jsonb(good.as_bytes()), "{good}");
        }
        for bad in [
            r#""\u0000""#,
            r#"{"a":"\ud800"}"#,
            r#""\udc00\ud800""#,
            r#""\ud800\u0041""#,
            "1e999999",
            "[1e99999999999999999999]",
            "1e131072",
            "1e-16384",
            &tiny,
            &deeper,
        ] {
            assert!(!fits_jsonb(bad.as_bytes()), "{bad}");
        }
    }

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn small_elements_weigh_more_as_jsonb() {
        assert!(jsonb_weight(b"[1,2,3]") >= 4 + 3 * 12);
        assert_eq!(jsonb_weight(br#""a,\",[,{""#), 10);
    }

    #[test]
    fn uuids_single_bytes_and_array_elements() {
        assert_eq!(
            made(|o| uuid(
                &[0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 1, 2, 3, 4, 5, 6],
                o
            )),
            "\"a0eebc99-9c0b-4ef8-bb6d-010203040506\""
        );
        assert_eq!(made(|o| single_byte(0, o)), "\"\"");
        assert_eq!(made(|o| single_byte(b'"', o)), r#""\"""#);
        assert_eq!(made(|o| single_byte(0xc3, o)), r#""\\303""#);
        for (json, literal) in [
            ("1.50", "1.50"),
            ("null", "null"),
            (r#""""#, r#""""#),
            (r#""null""#, r#""null""#),
            (r#""a\"b\\c\n\t\u0001é""#, "\"a\\\"b\\\\c\n\t\u{1}é\""),
        ] {
            assert_eq!(made(|o| array_element(json.as_bytes(), o)), literal);
        }
    }
}

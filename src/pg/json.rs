//! JSON text: pure rules for what a value looks like inside an image.
#![forbid(unsafe_code)]

use super::escape::{escape, plain};
use std::io::Write;

/// Appends a JSON string. Bytes above 0x7f pass through: the text is in the server's encoding.
#[inline]
pub fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(bytes, out);
    out.push(b'"');
}

/// The two hexadecimal digits of each byte.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut i = 0;
    while i < 256 {
        pairs[i] = [DIGITS[i >> 4], DIGITS[i & 15]];
        i += 1;
    }
    pairs
};

/// Appends bytes as the JSON string of a bytea literal, `"\\x0aff"`.
pub fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2 + 5);
    out.extend_from_slice(b"\"\\\\x");
    let (chunks, rest) = bytes.as_chunks::<16>();
    for chunk in chunks {
        let mut text = [[0; 2]; 16];
        for (pair, &byte) in text.iter_mut().zip(chunk) {
            *pair = HEX[usize::from(byte)];
        }
        out.extend_from_slice(text.as_flattened());
    }
    for &byte in rest {
        out.extend_from_slice(&HEX[usize::from(byte)]);
    }
    out.push(b'"');
}

/// Appends sixteen bytes as the JSON string of a uuid.
pub fn uuid(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = *b"\"00000000-0000-0000-0000-000000000000\"";
    let mut at = 1;
    for (i, &byte) in bytes.iter().take(16).enumerate() {
        at += usize::from(matches!(i, 4 | 6 | 8 | 10));
        text[at..at + 2].copy_from_slice(&HEX[usize::from(byte)]);
        at += 2;
    }
    out.extend_from_slice(&text);
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
                    i += match text[i] {
                        b'\\' => 2,
                        byte if byte < 0x20 => 1,
                        _ => plain(&text[i..]),
                    };
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
        let long = "0123456789\u{1f}é".repeat(9);
        assert_eq!(made(|o| string(long.as_bytes(), o)), serde_json::to_string(&long).unwrap());
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

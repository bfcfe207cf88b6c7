//! JSON text: pure rules for what a value looks like inside an image.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::io::Write;

/// Appends a JSON string. Bytes above 0x7f pass through: the text is in the server's encoding.
pub fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..i]);
        plain = i + 1;
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
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Appends bytes as the JSON string of a bytea literal, `"\\x0aff"`.
pub fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2 + 5);
    out.extend_from_slice(b"\"\\\\x");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
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

/// Whether valid JSON text can also be read as jsonb: jsonb has no `\u0000`, no lone surrogates and
/// no number out of numeric's range (10^131072; here, more cautiously, exponents of up to four digits).
pub fn fits_jsonb(text: &[u8]) -> bool {
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
                let digits = &text[start..i];
                let exponent = digits.iter().position(|b| matches!(b, b'e' | b'E'));
                if exponent.is_some_and(|at| digits.len() - at > 6) || digits.len() > 16_000 {
                    return false;
                }
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    true
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
        for good in [r#"{"a":[1,2.5e10,"\u00e9 \ud83d\ude00"]}"#, r#""a\\u0000""#, "null", "-1", "[]"] {
            assert!(fits_jsonb(good.as_bytes()), "{good}");
        }
        for bad in [r#""\u0000""#, r#"{"a":"\ud800"}"#, r#""\udc00\ud800""#, r#""\ud800\u0041""#, "1e999999"]
        {
            assert!(!fits_jsonb(bad.as_bytes()), "{bad}");
        }
    }
}

//! Escaping text for JSON strings, sixteen bytes at a time: most bytes of most texts need nothing.

/// Appends text as the inside of a JSON string. Bytes above 0x7f pass through.
#[inline]
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    escape_by(bytes, out, &ESCAPES);
}

/// The same as PostgreSQL's escape_json() does it, which has a letter for two more.
#[inline]
pub fn escape_as_jsonb(bytes: &[u8], out: &mut Vec<u8>) {
    escape_by(bytes, out, &ESCAPES_OF_JSONB);
}

/// The letter that follows the backslash for each byte; `u` if its number follows; 0: no escape.
type Escapes = [u8; 256];

const ESCAPES: Escapes = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table
};

const ESCAPES_OF_JSONB: Escapes = {
    let mut table = ESCAPES;
    table[8] = b'b';
    table[12] = b'f';
    table
};

#[inline(always)]
fn escape_by(bytes: &[u8], out: &mut Vec<u8>, escapes: &'static Escapes) {
    out.reserve(bytes.len() + 2);
    let (chunks, rest) = bytes.as_chunks::<16>();
    let mut copied = 0;
    for (i, chunk) in chunks.iter().enumerate() {
        if special(chunk) != 0 {
            out.extend_from_slice(&bytes[copied..i * 16]);
            escape_some(chunk, out, escapes);
            copied = i * 16 + 16;
        }
    }
    let mut padded = [b' '; 16];
    padded[..rest.len()].copy_from_slice(rest);
    if special(&padded) == 0 {
        out.extend_from_slice(&bytes[copied..]);
    } else {
        out.extend_from_slice(&bytes[copied..bytes.len() - rest.len()]);
        escape_some(rest, out, escapes);
    }
}

/// Appends up to sixteen bytes, each looked at.
#[inline]
fn escape_some(bytes: &[u8], out: &mut Vec<u8>, escapes: &Escapes) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16 * 6];
    let mut length = 0;
    for &byte in bytes.iter().take(16) {
        match escapes[usize::from(byte)] {
            0 => {
                text[length] = byte;
                length += 1;
            }
            b'u' => {
                let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                text[length..length + 6].copy_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
                length += 6;
            }
            letter => {
                text[length..length + 2].copy_from_slice(&[b'\\', letter]);
                length += 2;
            }
        }
    }
    out.extend_from_slice(&text[..length]);
}

/// How many bytes from the start need no escape.
pub fn plain(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<16>();
    for (i, chunk) in chunks.iter().enumerate() {
        let found = special(chunk);
        if found != 0 {
            return i * 16 + found.trailing_zeros() as usize;
        }
    }
    let start = bytes.len() - rest.len();
    let needs_escape = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    start + rest.iter().position(needs_escape).unwrap_or(rest.len())
}

/// A bit for each byte that needs an escape.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn special(chunk: &[u8; 16]) -> u32 {
    // SAFETY: every such processor has these instructions.
    unsafe { special_sse2(chunk) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn special_sse2(chunk: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let both = u128::from_le_bytes(*chunk);
    let bytes = _mm_set_epi64x((both >> 64) as i64, both as i64);
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash))) as u32
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn special(chunk: &[u8; 16]) -> u32 {
    let marked = |found: u32, (i, &byte): (usize, &u8)| {
        found | u32::from(byte < 0x20 || byte == b'"' || byte == b'\\') << i
    };
    chunk.iter().enumerate().fold(0, marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_byte_at_every_place() {
        for special in (0..=0x1f).chain([b'"', b'\\']) {
            for at in 0..40 {
                let mut text: Vec<u8> = "é¢ü!#[]~ÜÀ ¢é\u{7f}".repeat(2).into_bytes();
                let places: Vec<usize> =
                    (0..text.len()).filter(|&i| !(0x80..0xc0).contains(&text[i])).collect();
                text.insert(places[at % places.len()], special);
                for escape in [escape as fn(&[u8], &mut Vec<u8>), escape_as_jsonb] {
                    let mut out = vec![b'"'];
                    escape(&text, &mut out);
                    out.push(b'"');
                    let back: String = serde_json::from_slice(&out).unwrap();
                    assert_eq!(back.as_bytes(), text);
                }
            }
        }
    }

    #[test]
    fn as_postgresql_spells_them() {
        let (mut ours, mut jsonb) = (Vec::new(), Vec::new());
        escape(b"a\x08\x0c\n\r\t\x1f\"\\\x7f", &mut ours);
        escape_as_jsonb(b"a\x08\x0c\n\r\t\x1f\"\\\x7f", &mut jsonb);
        assert_eq!(ours, b"a\\u0008\\u000c\\n\\r\\t\\u001f\\\"\\\\\x7f");
        assert_eq!(jsonb, b"a\\b\\f\\n\\r\\t\\u001f\\\"\\\\\x7f");
    }
}

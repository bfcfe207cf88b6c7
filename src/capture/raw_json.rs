//! Taking JSON text apart without changing a byte of its values: what the log keeps (the sign of -0,
//! key order, a number's scale) a parser into a tree would lose.
//!
//! The text is valid JSON in any server encoding: none has a byte below 0x80 inside another character.
#![forbid(unsafe_code)]

/// Members of an object: name and value's text.
pub fn members(object: &[u8]) -> Vec<(String, &[u8])> {
    pairs(object).map(|(name, value)| (unquoted(name), value)).collect()
}

/// Members of an object one after the other: name as it is written, quotes and escapes included, and
/// value's text.
pub struct Pairs<'a> {
    object: &'a [u8],
    at: usize,
}

pub fn pairs(object: &[u8]) -> Pairs<'_> {
    Pairs { object, at: after(object, 0, b'{') }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.object.get(self.at) != Some(&b'"') {
            return None;
        }
        let name_end = end_of_value(self.object, self.at);
        let name = &self.object[self.at..name_end];
        let start = after(self.object, name_end, b':');
        let end = end_of_value(self.object, start);
        self.at = after(self.object, end, b',');
        Some((name, &self.object[start..end]))
    }
}

/// The first two elements of an array.
pub fn pair(array: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = after(array, 0, b'[');
    let middle = end_of_value(array, start);
    let second = after(array, middle, b',');
    let end = end_of_value(array, second);
    (start < middle && second < end).then(|| (&array[start..middle], &array[second..end]))
}

/// Elements of an array.
pub fn elements(array: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut at = after(array, 0, b'[');
    while array.get(at).is_some_and(|byte| *byte != b']') {
        let end = end_of_value(array, at);
        found.push(&array[at..end]);
        at = after(array, end, b',');
    }
    found
}

/// The characters of a JSON string, escapes resolved.
pub fn unquoted(string: &[u8]) -> String {
    let inner = string.strip_prefix(b"\"").and_then(|s| s.strip_suffix(b"\"")).unwrap_or(string);
    if !inner.contains(&b'\\') {
        return String::from_utf8_lossy(inner).into_owned();
    }
    serde_json::from_slice(string).unwrap_or_else(|_| String::from_utf8_lossy(inner).into_owned())
}

/// Whether a value stands for one that was too large to keep, or was erased.
pub fn is_omitted(value: &[u8]) -> bool {
    if value == crate::capture::redaction::MARKER {
        return true;
    }
    const START: &[u8] = b"{\"architect_omitted\":{\"bytes\":";
    value.starts_with(START) && value.ends_with(b"\"}}") && value.len() < START.len() + 110
}

/// A number without the zeros at its end, as keys are written: 1.50 is 1.5 and 1.0 is 1.
pub fn trimmed_number(number: &[u8]) -> &[u8] {
    let plain = number.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    if !plain || !number.contains(&b'.') {
        return number;
    }
    let mut end = number.len();
    while end > 0 && number[end - 1] == b'0' {
        end -= 1;
    }
    if end > 0 && number[end - 1] == b'.' {
        end -= 1;
    }
    &number[..end]
}

/// Position of the first byte that is not white space after an optional `mark`.
fn after(text: &[u8], mut at: usize, mark: u8) -> usize {
    at = skip_space(text, at);
    if text.get(at) == Some(&mark) {
        at = skip_space(text, at + 1);
    }
    at
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

fn end_of_value(text: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut depth = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = end_of_string(text, at) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && text[at - 1] == b'"' {
            return at;
        }
    }
    at
}

/// Position after the closing quote.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_every_byte() {
        let text = br#"{ "a" : -0.0 ,"b\"\\":{"x":[1,"}"],"x":2},"c":"q\"}", "d":[1.50,null] ,"e":true}"#;
        let found: Vec<(String, String)> = members(text)
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8(value.to_vec()).unwrap()))
            .collect();
        let wanted = [
            ("a", "-0.0"),
            ("b\"\\", r#"{"x":[1,"}"],"x":2}"#),
            ("c", r#""q\"}""#),
            ("d", "[1.50,null]"),
            ("e", "true"),
        ];
        assert_eq!(found.len(), wanted.len());
        for ((name, value), (wanted_name, wanted_value)) in found.iter().zip(wanted) {
            assert_eq!((name.as_str(), value.as_str()), (wanted_name, wanted_value));
        }
        assert!(members(b"{}").is_empty());
    }

    #[test]
    fn arrays_come_apart() {
        assert_eq!(
            elements(br#"["a,]",[1,2],{"b":[3]}, null]"#),
            [&br#""a,]""#[..], b"[1,2]", br#"{"b":[3]}"#, b"null"]
        );
        assert!(elements(b"[ ]").is_empty());
    }

    #[test]
    fn pairs_come_apart() {
        assert_eq!(pair(b"[1, {\"a\":[2,3]}]"), Some((&b"1"[..], &b"{\"a\":[2,3]}"[..])));
        assert_eq!(pair(b"[1]"), None);
        let found: Vec<_> = pairs(b"{\"a\\\"b\":null,\"c\":[1,2]}").collect();
        assert_eq!(found, [(&b"\"a\\\"b\""[..], &b"null"[..]), (b"\"c\"", b"[1,2]")]);
    }

    #[test]
    fn numbers_as_keys_have_no_zeros_at_their_end() {
        for (number, key) in
            [("1.50", "1.5"), ("1.0", "1"), ("100", "100"), ("-0.10", "-0.1"), ("1e10", "1e10")]
        {
            assert_eq!(trimmed_number(number.as_bytes()), key.as_bytes());
        }
    }

    #[test]
    fn markers_are_told_from_documents_of_the_same_look() {
        let marker =
            format!("{{\"architect_omitted\":{{\"bytes\":300000000,\"sha256\":\"{}\"}}}}", "0".repeat(64));
        assert!(is_omitted(marker.as_bytes()));
        assert!(!is_omitted(b"{\"architect_omitted\":{\"bytes\":1},\"more\":\"}\"}"));
    }
}

//! A line of JSON indented for people.
#![forbid(unsafe_code)]

/// Appends valid JSON with every member and element on a line of its own; small lists of scalars too.
pub fn indented(json: &[u8], out: &mut Vec<u8>) {
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (i, &byte) in json.iter().enumerate() {
        if in_string {
            out.push(byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        let next = json.get(i + 1).copied();
        match byte {
            b'"' => {
                in_string = true;
                out.push(byte);
            }
            b'{' | b'[' => {
                out.push(byte);
                if !matches!(next, Some(b'}' | b']')) {
                    depth += 1;
                    line(depth, out);
                }
            }
            b'}' | b']' => {
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    depth -= 1;
                    line(depth, out);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            byte if byte.is_ascii_whitespace() => {}
            byte => out.push(byte),
        }
    }
}

fn line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn the_meaning_stays() {
        let text = br#"{"a":{"b":[],"c":{}},"d":["x,{\"","\\"],"e" : 1}"#;
        let mut out = Vec::new();
        indented(text, &mut out);
        let (before, after): (serde_json::Value, serde_json::Value) =
            (serde_json::from_slice(text).unwrap(), serde_json::from_slice(&out).unwrap());
        assert_eq!(before, after);
        assert!(String::from_utf8(out).unwrap().starts_with("{\n  \"a\": {\n    \"b\": [],"));
    }
}

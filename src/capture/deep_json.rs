//! JSON as a tree that can be walked by recursion, however deep it is: what is nested deeper than LIMIT becomes the
//! text of its JSON, and comes back as it was. Whoever seeks something finds it in that text.
#![forbid(unsafe_code)]

use serde_json::Value;
use std::borrow::Cow;

/// serde_json gives up at 128.
const LIMIT: usize = 64;
const BEFORE: &[u8] = b"{\"architect_deep\":";

pub fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(&rewrite(text, fold)).ok()
}

pub fn render(tree: &Value) -> String {
    rewrite(&tree.to_string(), unfold).into_owned()
}

/// Puts something else in place of what begins at LIMIT.
fn rewrite(text: &str, other: impl Fn(&str) -> String) -> Cow<'_, str> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let (mut begin, mut done) = (0, 0);
    let mut out = String::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                if depth == LIMIT {
                    begin = at;
                }
                depth += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == LIMIT {
                    out.push_str(&text[done..begin]);
                    out.push_str(&other(&text[begin..=at]));
                    done = at + 1;
                }
            }
            _ => {}
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

fn fold(json: &str) -> String {
    format!("{{\"architect_deep\":{}}}", Value::from(json))
}

/// What was folded, or what has been put in its place.
fn unfold(folded: &str) -> String {
    let inner = folded
        .as_bytes()
        .strip_prefix(BEFORE)
        .map(|rest| &folded[BEFORE.len()..BEFORE.len() + rest.len() - 1]);
    match inner.map(|inner| (serde_json::from_str::<String>(inner), inner)) {
        Some((Ok(json), _)) => json,
        Some((Err(_), inner)) => inner.to_owned(),
        None => folded.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize, inner: &str) -> String {
        format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn what_is_deep_comes_back_as_it_was() {
        for depth in [0, 1, 63, 64, 65, 66, 127, 128, 5000] {
            let text = format!(r#"{{"a":{},"b":1.50}}"#, nested(depth, r#"{"x":"a\"]}\\","y":1.10}"#));
            assert_eq!(parse(&text).map(|tree| render(&tree)), Some(text));
        }
    }

    #[test]
    fn what_is_put_in_place_of_it_is_json() {
        let mut tree = parse(&nested(70, r#""ann@x.org""#)).unwrap();
        let mut place = &mut tree;
        while let Value::Array(values) = place {
            place = &mut values[0];
        }
        assert!(place["architect_deep"].as_str().unwrap().contains("ann@x.org"));
        place["architect_deep"] = serde_json::json!({"architect_redacted": true});
        assert_eq!(render(&tree), nested(LIMIT, r#"{"architect_redacted":true}"#));
    }
}

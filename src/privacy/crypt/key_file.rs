//! Master keys as a file lists them: one a line, `name hex`, sixty-four hexadecimal digits. The last one
//! wraps new data keys, the others open what was wrapped before. Empty lines and lines that begin with
//! `#` are skipped.
#![forbid(unsafe_code)]

use super::sealed::Secret;
use zeroize::Zeroizing;

pub struct MasterKey {
    pub name: String,
    pub secret: Secret,
}

/// Reads the keys; the error says which line is wrong and never what is in it.
pub fn parse(text: &str) -> Result<Vec<MasterKey>, String> {
    let mut keys: Vec<MasterKey> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(name), Some(hex), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!("line {} is not a name and a key", i + 1));
        };
        let secret =
            decode(hex).ok_or_else(|| format!("the key in line {} is not 64 hexadecimal digits", i + 1))?;
        if keys.iter().any(|key| key.name == name) {
            return Err(format!("line {} has the name of an earlier line", i + 1));
        }
        keys.push(MasterKey { name: name.to_owned(), secret });
    }
    if keys.is_empty() { Err("there is no key in it".into()) } else { Ok(keys) }
}

fn decode(hex: &str) -> Option<Secret> {
    let mut secret = Zeroizing::new([0; 32]);
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (i, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_order_with_comments() {
        let text = format!("# ours\n\n2025 {}\n 2026  {} \n", "ab".repeat(32), "01".repeat(32));
        let keys = parse(&text).unwrap_or_default();
        assert_eq!(keys.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["2025", "2026"]);
        assert_eq!(*keys[1].secret, [1; 32]);
    }

    #[test]
    fn a_wrong_file_is_refused_without_showing_it() {
        let secret = "cd".repeat(31);
        for text in [
            String::new(),
            secret.clone(),
            format!("a {secret}"),
            format!("a {secret}zz"),
            format!("a {secret}+1"),
        ] {
            let reason = parse(&text).err().unwrap_or_default();
            assert!(!reason.is_empty() && !reason.contains("cd"), "{reason}");
        }
        let twice = format!("a {0}\na {0}", "ab".repeat(32));
        assert!(parse(&twice).is_err());
    }
}

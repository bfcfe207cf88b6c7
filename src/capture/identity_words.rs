//! Values that identify a person, as runs of whole words: "Ann Archer" is in "met Ann Archer, twice", "Ann" is neither in
//! "Anna" nor in "Joanne". Pure; the erasing of logs and the proof afterwards go by the same words.
#![forbid(unsafe_code)]

/// A value with fewer characters turns up by chance.
const SHORTEST: usize = 4;
/// So does a number with fewer digits.
const SHORTEST_NUMBER: usize = 7;
/// Text within JSON within JSON, and so on: deeper than this nobody writes it.
const DEEPEST: usize = 4;

/// Lower case, and cut at everything that is neither letter nor digit nor part of an address or a number.
pub fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+' | '%')))
        .map(|word| word.trim_matches(|c: char| matches!(c, '.' | '-' | '_')).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a value says who somebody is wherever it stands. "Ann", "42" and "1990-05-17" do not.
pub fn identifies(value: &str) -> bool {
    let letters = value.chars().filter(|c| c.is_alphanumeric()).count();
    let is_number = !value.chars().any(char::is_alphabetic);
    letters >= if is_number { SHORTEST_NUMBER } else { SHORTEST } && !begins_with_date(value)
}

/// As PostgreSQL writes dates; many have the same.
fn begins_with_date(value: &str) -> bool {
    let bytes = value.trim().as_bytes();
    bytes.len() >= 10
        && (0..10).all(|i| if matches!(i, 4 | 7) { bytes[i] == b'-' } else { bytes[i].is_ascii_digit() })
}

/// A text, and what it says once escapes are undone: JSON may write é as \u00e9 and / as \/, and an array or a json
/// text within json escapes what is escaped already.
pub fn readings(text: &str) -> Vec<String> {
    let mut found = vec![text.to_owned()];
    while found.len() < DEEPEST {
        match found.last().and_then(|last| unescaped(last)) {
            Some(next) => found.push(next),
            None => break,
        }
    }
    found
}

/// The text with backslash escapes undone; none where it has none.
fn unescaped(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return None;
    }
    let mut units: Vec<u16> = Vec::new();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        if place > 0 {
            flush(&mut units, &mut out);
        }
        out.push_str(&rest[..place]);
        rest = &rest[place + 1..];
        let code = rest.get(..5).filter(|code| code.starts_with('u'));
        if let Some(unit) = code.and_then(|code| u16::from_str_radix(&code[1..], 16).ok()) {
            units.push(unit);
            rest = &rest[5..];
            continue;
        }
        flush(&mut units, &mut out);
        let Some(escaped) = rest.chars().next() else { break };
        rest = &rest[escaped.len_utf8()..];
        out.push(match escaped {
            'b' | 'f' | 'n' | 'r' | 't' => ' ',
            other => other,
        });
    }
    flush(&mut units, &mut out);
    out.push_str(rest);
    Some(out)
}

/// Code units that follow each other may be halves of one character.
fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Values to be found.
#[derive(Debug, Default)]
pub struct Sought {
    runs: Vec<Vec<String>>,
}

impl Sought {
    /// Those of some values that identify.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut runs: Vec<Vec<String>> =
            values.into_iter().filter(|value| identifies(value)).map(words).collect();
        runs.retain(|run| !run.is_empty());
        runs.sort_unstable();
        runs.dedup();
        Self { runs }
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether a text has one of them.
    pub fn is_in(&self, text: &str) -> bool {
        !self.runs.is_empty()
            && readings(text).iter().any(|text| {
                let words = words(text);
                self.runs.iter().any(|run| words.windows(run.len()).any(|window| window == run.as_slice()))
            })
    }

    /// For each, some plain letters that any text with it has, whatever its case and however its other characters are
    /// written: what a database may look for first. None where one of them has no such letters.
    pub fn traces(&self) -> Option<Vec<String>> {
        self.runs.iter().map(|run| longest_plain(run)).collect()
    }
}

fn longest_plain(run: &[String]) -> Option<String> {
    run.iter()
        .flat_map(|word| word.split(|c: char| !c.is_ascii_alphanumeric()))
        .max_by_key(|part| part.len())
        .filter(|part| part.len() > 1)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_only() {
        let sought = Sought::of(["Anna", "Ann Archer", "ann@example.org", "Ann", "7", "123456"]);
        for text in ["anna", "met ANNA.", "{\"a\":\"ann  archer\"}", "<ann@example.org>", "Ann, Archer"] {
            assert!(sought.is_in(text), "{text}");
        }
        for text in [
            "Ann",
            "Joanna",
            "Annabel",
            "joann@example.org",
            "ann@example.org.uk",
            "Archer Ann",
            "7",
            "123456",
            "",
        ] {
            assert!(!sought.is_in(text), "{text}");
        }
        assert!(Sought::of(["Ann", "7", "2024-01-17", "2024-01-17 10:00:00+00", "..."]).is_empty());
        assert!(Sought::of(["0151 2345678"]).is_in("call 0151-2345678 or 0151 2345678"));
    }

    #[test]
    fn escapes_are_undone() {
        let sought = Sought::of(["André Hütte", "a/b/cafe", "smile😀face"]);
        for text in [
            r"Andr\u00e9 H\u00FCtte",
            r#"{"{\"n\": \"Andr\\u00e9 H\\u00fctte\"}"}"#,
            r"a\/b\/cafe",
            r"smile\ud83d\ude00face",
            r"Andr\u00e9\nHütte",
        ] {
            assert!(sought.is_in(text), "{text}");
        }
        for text in [r"\", r"\u", r"\u00", r"\u00é", r"x\", r"\ud83d", r"Andr\u00e9"] {
            assert!(!sought.is_in(text), "{text}");
        }
    }

    #[test]
    fn traces_are_in_whatever_has_them() {
        let sought = Sought::of(["André Hütte", "ann@example.org"]);
        assert_eq!(sought.traces(), Some(vec!["andr".to_owned(), "example".to_owned()]));
        assert_eq!(Sought::of(["Ёлка Ёлкина"]).traces(), None);
        assert_eq!(Sought::of([]).traces(), Some(Vec::new()));
    }
}

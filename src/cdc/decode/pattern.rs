//! Names of tables and columns in options: `schema.table`, `schema.table.column`, with double quotes as in
//! SQL and `*` for any. Names are literal: nothing is looked up, as tables come and go while a slot lives.
#![forbid(unsafe_code)]

/// One part of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Any,
    Name(Vec<u8>),
}

/// A dotted name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Vec<Part>);

impl Pattern {
    /// Whether each part of the name matches.
    pub fn matches(&self, parts: &[&[u8]]) -> bool {
        self.0.len() == parts.len()
            && self.0.iter().zip(parts).all(|(pattern, part)| match pattern {
                Part::Any => true,
                Part::Name(name) => name == part,
            })
    }

    /// Whether the first parts match: of a column's pattern, those of its table.
    pub fn is_about(&self, parts: &[&[u8]]) -> bool {
        self.0.len() >= parts.len() && Self(self.0[..parts.len()].to_vec()).matches(parts)
    }

    /// Whether the first part is a name, not `*`.
    pub fn names_schema(&self) -> bool {
        matches!(self.0.first(), Some(Part::Name(_)))
    }
}

/// Reads a comma-separated list of names of `parts` parts. `terminator`: a character that ends a name
/// and starts what belongs to it, up to the next comma.
pub fn parse(text: &str, parts: usize, terminator: Option<char>) -> Result<Vec<(Pattern, String)>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (pattern, after) = parse_one(rest, parts)?;
        let mut after = after.trim_start();
        let mut tail = String::new();
        if let Some(stripped) = terminator.and_then(|t| after.strip_prefix(t)) {
            let end = stripped.find(',').unwrap_or(stripped.len());
            tail = stripped[..end].trim().to_owned();
            after = &stripped[end..];
        }
        found.push((pattern, tail));
        rest = match after.strip_prefix(',') {
            Some(more) if !more.trim_start().is_empty() => more.trim_start(),
            Some(_) => return Err("a name is missing after the last comma".into()),
            None if after.is_empty() => after,
            None => return Err(format!("unexpected text \"{after}\"")),
        };
    }
    Ok(found)
}

fn parse_one(text: &str, wanted: usize) -> Result<(Pattern, &str), String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let part;
        (part, rest) = parse_part(rest)?;
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None => break,
        }
    }
    if parts.len() != wanted {
        let shape = if wanted == 2 { "schema.table" } else { "schema.table.column" };
        return Err(format!("\"{}\" is not of the form {shape}", &text[..text.len() - rest.len()]));
    }
    Ok((Pattern(parts), rest))
}

fn parse_part(text: &str) -> Result<(Part, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let Some(end) = rest.find('"') else {
                return Err(format!("a closing double quote is missing in \"{text}\""));
            };
            name.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None => break,
            }
        }
        return Ok((Part::Name(name.into_bytes()), rest));
    }
    let end = text
        .find(|c: char| matches!(c, '.' | ',' | '=' | ':' | '"') || c.is_whitespace())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match name {
        "" => Err("a name is empty".into()),
        "*" => Ok((Part::Any, rest)),
        // As SQL folds an identifier without quotes.
        _ => Ok((Part::Name(name.to_ascii_lowercase().into_bytes()), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Pattern {
        parse(text, 2, None).unwrap().remove(0).0
    }

    #[test]
    fn names_are_read_as_sql_reads_them() {
        assert!(one("public.T").matches(&[b"public", b"t"]));
        assert!(one("\"A.b\".\"a\"\"b'; drop\"").matches(&[b"A.b", b"a\"b'; drop"]));
        assert!(one("public.*").matches(&[b"public", b"anything"]));
        assert!(!one("public.*").matches(&[b"other", b"anything"]));
        assert!(!one("public.\"*\"").matches(&[b"public", b"t"]));
        assert!(one("*.\"überall\"").matches(&[b"s", "überall".as_bytes()]));
    }

    #[test]
    fn lists() {
        let found = parse(" a.b , \"x,y\".z.c = hash, q.r.s=null", 3, Some('='));
        assert!(found.is_err());
        let found = parse(" a.b.c , \"x,y\".z.c = hash", 3, Some('=')).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].1.as_str(), found[1].1.as_str()), ("", "hash"));
        assert!(found[1].0.matches(&[b"x,y", b"z", b"c"]));
        assert!(parse("", 2, None).unwrap().is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a", "a.b.c", "a.", ".b", "a.\"b", "a.b,", "a.b c.d", "a..b"] {
            assert!(parse(text, 2, None).is_err(), "{text}");
        }
    }
}

//! Bounds of range partitions, as the catalogue prints them. Never taken from names.
#![forbid(unsafe_code)]

use super::key::KeyKind;

/// One end of a range: the leading column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    Min,
    At(i64),
    Max,
}

impl Edge {
    #[must_use]
    pub const fn at(self) -> Option<i64> {
        match self {
            Self::At(at) => Some(at),
            Self::Min | Self::Max => None,
        }
    }
}

/// One end of a range, with what the leading column does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub edge: Edge,
    /// What stands between the parentheses: SQL that can be used again as it is.
    pub sql: String,
    /// Whether `edge` says it all: nothing but MINVALUE for further columns, no digits lost.
    pub exact: bool,
}

impl Bound {
    /// A bound at a value of the leading column, MINVALUE for the other `columns`; none where the key's type
    /// cannot hold it.
    #[must_use]
    pub fn new(kind: KeyKind, at: i64, columns: usize) -> Option<Self> {
        let mut sql = format!("'{}'", kind.text(at)?);
        for _ in 1..columns {
            sql.push_str(", MINVALUE");
        }
        Some(Self { edge: Edge::At(at), sql, exact: true })
    }
}

/// What a partition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounds {
    Default,
    Range {
        low: Bound,
        high: Bound,
    },
    /// Not understood: a list or hash partition, or a bound of another type.
    Other,
}

impl Bounds {
    /// Reads `pg_get_expr(relpartbound, oid)`, printed with DateStyle ISO and TimeZone UTC.
    #[must_use]
    pub fn parse(text: &str, kind: KeyKind) -> Self {
        if text == "DEFAULT" {
            return Self::Default;
        }
        range(text, kind).unwrap_or(Self::Other)
    }

    #[must_use]
    pub const fn range(&self) -> Option<(&Bound, &Bound)> {
        match self {
            Self::Range { low, high } => Some((low, high)),
            Self::Default | Self::Other => None,
        }
    }
}

fn range(text: &str, kind: KeyKind) -> Option<Bounds> {
    let rest = text.strip_prefix("FOR VALUES FROM (")?;
    let (low, rest) = tuple(rest)?;
    let rest = rest.strip_prefix(" TO (")?;
    let (high, rest) = tuple(rest)?;
    if !rest.is_empty() {
        return None;
    }
    Some(Bounds::Range { low: bound(&low, kind)?, high: bound(&high, kind)? })
}

/// One value of a bound.
struct Item {
    sql: String,
    /// Without quotes; none for MINVALUE and MAXVALUE.
    value: Option<String>,
}

/// Reads values up to the closing parenthesis; returns them and what follows.
fn tuple(text: &str) -> Option<(Vec<Item>, &str)> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        let (item, after) = item(rest)?;
        items.push(item);
        if let Some(after) = after.strip_prefix(')') {
            return Some((items, after));
        }
        rest = after.strip_prefix(", ")?;
    }
}

fn item(text: &str) -> Option<(Item, &str)> {
    // A string with backslashes is printed as E'...', with the backslashes doubled.
    let (escapes, body) = match text.strip_prefix("E'") {
        Some(body) => (true, Some(body)),
        None => (false, text.strip_prefix('\'')),
    };
    let Some(body) = body else {
        let end = text.find([',', ')'])?;
        let (sql, rest) = text.split_at(end);
        let value = (!matches!(sql, "MINVALUE" | "MAXVALUE")).then(|| sql.to_owned());
        return Some((Item { sql: sql.to_owned(), value }, rest));
    };
    let mut value = String::new();
    let mut characters = body.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                characters.next();
                value.push('\'');
            }
            '\'' => {
                let rest = &body[at + 1..];
                let sql = text[..text.len() - rest.len()].to_owned();
                return Some((Item { sql, value: Some(value) }, rest));
            }
            '\\' if escapes => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn bound(items: &[Item], kind: KeyKind) -> Option<Bound> {
    let sql = items.iter().map(|item| item.sql.as_str()).collect::<Vec<_>>().join(", ");
    let first = items.first()?;
    let (edge, exact) = match first.value.as_deref() {
        Some(value) => {
            let (at, exact) = kind.parse(value)?;
            (Edge::At(at), exact)
        }
        None if first.sql == "MINVALUE" => (Edge::Min, true),
        None => (Edge::Max, true),
    };
    // After MINVALUE and MAXVALUE only the same may follow.
    let exact = exact && (edge.at().is_none() || items[1..].iter().all(|item| item.sql == "MINVALUE"));
    Some(Bound { edge, sql, exact })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::civil;

    fn parse(text: &str, kind: KeyKind) -> (Bound, Bound) {
        match Bounds::parse(text, kind) {
            Bounds::Range { low, high } => (low, high),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn ranges_of_every_kind_are_read() {
        let (low, high) = parse(
            "FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')",
            KeyKind::Timestamptz,
        );
        assert_eq!(low.edge.at(), civil::parse("2026-11-01"));
        assert_eq!(high.edge.at(), civil::parse("2026-12-01"));
        assert!(low.exact && high.exact);
        assert_eq!(high.sql, "'2026-12-01 00:00:00+00'");
        let (low, high) = parse("FOR VALUES FROM (MINVALUE) TO ('-5')", KeyKind::Integer);
        assert_eq!((low.edge, high.edge), (Edge::Min, Edge::At(-5)));
        let (low, high) = parse("FOR VALUES FROM (7) TO (MAXVALUE)", KeyKind::Integer);
        assert_eq!((low.edge, high.edge), (Edge::At(7), Edge::Max));
        let (low, _) = parse("FOR VALUES FROM ('infinity') TO (MAXVALUE)", KeyKind::Date);
        assert_eq!(low.edge, Edge::At(i64::MAX));
    }

    #[test]
    fn further_columns_are_kept_as_they_are() {
        let (low, high) =
            parse("FOR VALUES FROM ('2026-11-01', 'it''s, (a)') TO ('2026-12-01', MINVALUE)", KeyKind::Date);
        assert!(!low.exact && high.exact);
        assert_eq!(low.sql, "'2026-11-01', 'it''s, (a)'");
        let (low, _) = parse("FOR VALUES FROM ('1', E'\\\\''x') TO ('2', MAXVALUE)", KeyKind::Integer);
        assert_eq!(low.sql, "'1', E'\\\\''x'");
        let (low, _) = parse("FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2', MINVALUE)", KeyKind::Integer);
        assert!(low.exact);
    }

    #[test]
    fn others_are_not_misread() {
        assert_eq!(Bounds::parse("DEFAULT", KeyKind::Date), Bounds::Default);
        for text in [
            "FOR VALUES IN ('a')",
            "FOR VALUES WITH (modulus 4, remainder 0)",
            "FOR VALUES FROM ('a') TO ('b')",
            "FOR VALUES FROM ('2026-11-01",
            "",
        ] {
            assert_eq!(Bounds::parse(text, KeyKind::Date), Bounds::Other, "{text}");
        }
    }

    #[test]
    fn edges_are_ordered() {
        assert!(Edge::Min < Edge::At(i64::MIN) && Edge::At(i64::MAX) < Edge::Max);
    }
}

//! Pieces of SQL: names quoted, values as parameters, every operator named.
#![forbid(unsafe_code)]

use super::owner::Values;

/// A column as SQL needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    pub name: String,
    /// The type, or what its domain is over, as SQL spells it.
    pub base_type: String,
    /// `OPERATOR(schema.=)`; none where the type has no equality and is compared as text.
    pub equality: Option<String>,
}

pub fn identifier(name: &str) -> String {
    pgrx::spi::quote_identifier(name)
}

/// `t."column"`.
pub fn of(alias: &str, column: &str) -> String {
    format!("{alias}.{}", identifier(column))
}

/// The literal of a text array.
pub fn array<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let mut literal = String::from("{");
    for (i, value) in values.into_iter().enumerate() {
        if i > 0 {
            literal.push(',');
        }
        let Some(value) = value else {
            literal.push_str("NULL");
            continue;
        };
        literal.push('"');
        for character in value.chars() {
            if character == '"' || character == '\\' {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}

impl Typed {
    fn equals_any(&self, alias: &str, list: &str) -> String {
        let column = of(alias, &self.name);
        match &self.equality {
            Some(equality) => {
                format!("{column} {equality} ANY ({list}::pg_catalog.text[]::{}[])", self.base_type)
            }
            None => {
                format!("{column}::pg_catalog.text OPERATOR(pg_catalog.=) ANY ({list}::pg_catalog.text[])")
            }
        }
    }

    /// The column against one value given as text.
    pub fn equals(&self, alias: &str, value: &str) -> String {
        let column = of(alias, &self.name);
        match &self.equality {
            Some(equality) => format!("{column} {equality} {value}::{}", self.base_type),
            None => format!("{column}::pg_catalog.text OPERATOR(pg_catalog.=) {value}"),
        }
    }
}

/// Whether the columns have one of some combinations of values.
pub fn among(alias: &str, columns: &[Typed], rows: &[Vec<Option<String>>], values: &mut Values) -> String {
    let list = |i: usize| array(rows.iter().map(|row| row[i].as_deref()));
    if let [only] = columns {
        let place = values.add(list(0));
        return only.equals_any(alias, &place);
    }
    let mut arrays = Vec::new();
    let mut names = Vec::new();
    let mut conditions = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let place = values.add(list(i));
        let name = format!("c{i}");
        let own = of(alias, &column.name);
        match &column.equality {
            Some(equality) => {
                arrays.push(format!("{place}::pg_catalog.text[]::{}[]", column.base_type));
                conditions.push(format!("{own} {equality} k.{name}"));
            }
            None => {
                arrays.push(format!("{place}::pg_catalog.text[]"));
                conditions.push(format!("{own}::pg_catalog.text OPERATOR(pg_catalog.=) k.{name}"));
            }
        }
        names.push(name);
    }
    format!(
        "EXISTS (SELECT FROM ROWS FROM ({}) AS k ({}) WHERE {})",
        arrays.iter().map(|a| format!("pg_catalog.unnest({a})")).collect::<Vec<_>>().join(", "),
        names.join(", "),
        conditions.join(" AND ")
    )
}

/// Whether the text at a path of a json column is one of some values.
pub fn path_among(
    alias: &str,
    column: &str,
    path: &[String],
    rows: &[Vec<Option<String>>],
    values: &mut Values,
) -> String {
    let at = values.add(array(path.iter().map(|step| Some(step.as_str()))));
    let list = values.add(array(rows.iter().map(|row| row[0].as_deref())));
    format!(
        "({} OPERATOR(pg_catalog.#>>) {at}::pg_catalog.text[]) OPERATOR(pg_catalog.=) ANY ({list}::pg_catalog.text[])",
        of(alias, column)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_literals_keep_every_character() {
        assert_eq!(array([Some("a"), None, Some("")]), r#"{"a",NULL,""}"#);
        assert_eq!(array([Some(r#"a"b\c{},d"#)]), r#"{"a\"b\\c{},d"}"#);
        assert_eq!(array([Some("NULL")]), r#"{"NULL"}"#);
        assert_eq!(array([]), "{}");
    }
}

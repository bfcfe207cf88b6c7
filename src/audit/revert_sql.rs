//! The statements that change rows back: run with two parameters, each a row as JSON (what it becomes,
//! what its key is); shown with literals.
#![forbid(unsafe_code)]

/// The table to write to, every name quoted and qualified.
pub struct Target {
    pub table: String,
    /// A table with children by inheritance is not a partitioned one: only its own rows are meant.
    pub only: &'static str,
    /// Key columns and the operators that compare them.
    pub key: Vec<(String, String)>,
}

impl Target {
    pub fn update(&self, columns: &[String]) -> String {
        let set: Vec<String> = columns.iter().map(|c| format!("{c} = n.{c}")).collect();
        format!(
            "UPDATE {}{} AS t SET {} FROM {} AS n, {} AS k WHERE {}",
            self.only,
            self.table,
            set.join(", "),
            self.record(1),
            self.record(2),
            self.matches("t", "k")
        )
    }

    pub fn insert(&self, columns: &[String]) -> String {
        let values: Vec<String> = columns.iter().map(|c| format!("n.{c}")).collect();
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} AS n",
            self.table,
            columns.join(", "),
            values.join(", "),
            self.record(1)
        )
    }

    pub fn delete(&self) -> String {
        format!(
            "DELETE FROM {}{} AS t USING {} AS k WHERE {}",
            self.only,
            self.table,
            self.record(1),
            self.matches("t", "k")
        )
    }

    /// Rows by their keys ($1, rows as JSON text): which key, and the row under the name `alias`.
    pub fn fetch(&self, alias: &str, lock: bool) -> String {
        format!(
            "SELECT d.n, {alias} FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS d (doc, n)
              CROSS JOIN LATERAL pg_catalog.json_populate_record(NULL::{}, d.doc::pg_catalog.json) AS k
               JOIN {}{} AS {alias} ON {}{}",
            self.table,
            self.only,
            self.table,
            self.matches(alias, "k"),
            if lock { format!(" FOR UPDATE OF {alias}") } else { String::new() }
        )
    }

    fn record(&self, parameter: usize) -> String {
        format!("pg_catalog.json_populate_record(NULL::{}, ${parameter}::pg_catalog.json)", self.table)
    }

    fn matches(&self, row: &str, key: &str) -> String {
        let each: Vec<String> = self.key.iter().map(|(c, op)| format!("{row}.{c} {op} {key}.{c}")).collect();
        each.join(" AND ")
    }
}

/// A column and the literal of its value, for reading.
pub type Literal = (String, String);

pub fn shown_update(table: &str, set: &[Literal], key: &[Literal]) -> String {
    let set: Vec<String> = set.iter().map(|(c, v)| format!("{c} = {v}")).collect();
    format!("UPDATE {table} SET {} WHERE {}", set.join(", "), shown_key(key))
}

pub fn shown_insert(table: &str, row: &[Literal]) -> String {
    let (columns, values): (Vec<&str>, Vec<&str>) = row.iter().map(|(c, v)| (c.as_str(), v.as_str())).unzip();
    format!(
        "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
        columns.join(", "),
        values.join(", ")
    )
}

pub fn shown_delete(table: &str, key: &[Literal]) -> String {
    format!("DELETE FROM {table} WHERE {}", shown_key(key))
}

fn shown_key(key: &[Literal]) -> String {
    key.iter().map(|(c, v)| format!("{c} = {v}")).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_everything() {
        let target = Target {
            table: "s.\"T\"".into(),
            only: "ONLY ",
            key: vec![
                ("a".into(), "OPERATOR(pg_catalog.=)".into()),
                ("\"B\"".into(), "OPERATOR(x.==)".into()),
            ],
        };
        assert_eq!(
            target.update(&["c".into(), "\"D d\"".into()]),
            "UPDATE ONLY s.\"T\" AS t SET c = n.c, \"D d\" = n.\"D d\" \
             FROM pg_catalog.json_populate_record(NULL::s.\"T\", $1::pg_catalog.json) AS n, \
             pg_catalog.json_populate_record(NULL::s.\"T\", $2::pg_catalog.json) AS k \
             WHERE t.a OPERATOR(pg_catalog.=) k.a AND t.\"B\" OPERATOR(x.==) k.\"B\""
        );
        assert_eq!(
            shown_update("t", &[("c".into(), "1".into())], &[("a".into(), "2".into())]),
            "UPDATE t SET c = 1 WHERE a = 2"
        );
    }
}

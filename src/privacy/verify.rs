//! Where the values that identified a person still are. Only their HMACs are known by now: every word of every
//! text is hashed and compared.

use super::identity::Seeker;
use super::request::Request;
use super::residue::{aging, catalogue, outside, statistics, values};
use super::table::{self, Kind, Table};
use super::{owner, storage};
use crate::error::Result;
use crate::pg::batches::Cursor;
use crate::pg::spi;
use pgrx::pg_sys;
use serde_json::Value;

/// A place, and whether the values are there.
#[derive(Debug, Clone)]
pub struct Place {
    pub place: String,
    /// clear, present, retained, pending (gone once something ages out), not searched, outside.
    pub status: &'static str,
    pub detail: String,
    pub how_to_clear: Option<String>,
    pub earliest: Option<String>,
}

impl Place {
    pub fn new(place: impl Into<String>, status: &'static str, detail: impl Into<String>) -> Self {
        Self { place: place.into(), status, detail: detail.into(), how_to_clear: None, earliest: None }
    }

    pub fn clear_by(mut self, how: impl Into<String>) -> Self {
        self.how_to_clear = Some(how.into());
        self
    }

    pub fn json(&self) -> Value {
        serde_json::json!({
            "place": self.place,
            "status": self.status,
            "detail": self.detail,
            "how_to_clear": self.how_to_clear,
            "earliest": self.earliest,
        })
    }
}

pub fn verify(request: &Request) -> Result<Vec<Place>> {
    let seeker = Seeker::new(storage::secret()?, &request.identities);
    let mut places = Vec::new();
    if seeker.is_idle() {
        places.push(
            Place::new(
                "tables",
                "not searched",
                "no identifying values of the person were known when it was erased",
            )
            .clear_by("declare_subject(identity_columns => ...) before erasing"),
        );
    } else {
        let relations = relations()?;
        let mut searched = 0;
        let before = places.len();
        for (relid, materialized) in relations {
            for table in table::load(&[relid], &[])? {
                searched += 1;
                places.extend(search(&table, materialized, &seeker, request));
            }
        }
        if places.len() == before {
            places.push(Place::new("tables", "clear", format!("{searched} tables and materialized views")));
        }
        places.extend(values::statistics(&seeker)?);
        places.extend(values::large_objects(&seeker)?);
        places.extend(values::statements(&seeker)?);
        places.extend(catalogue::texts(&seeker)?);
        places.extend(others_temporary()?);
    }
    places.extend(statistics::from_before(request)?);
    places.extend(aging::places(request)?);
    places.extend(outside::places(request)?);
    Ok(places)
}

/// Tables that only their own sessions can read.
fn others_temporary() -> Result<Vec<Place>> {
    let count = spi::read_one_now::<i64>(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class AS c
          WHERE c.relpersistence OPERATOR(pg_catalog.=) 't' AND c.relkind OPERATOR(pg_catalog.=) 'r'
            AND c.relnamespace OPERATOR(pg_catalog.<>) pg_catalog.pg_my_temp_schema()",
        &[],
    );
    Ok(match count {
        None | Some(0) => Vec::new(),
        Some(count) => vec![
            Place::new(
                format!("{count} temporary tables of other sessions"),
                "not searched",
                "only those sessions can read them",
            )
            .clear_by("they go when the sessions end"),
        ],
    })
}

/// Every table and materialized view, partitions as part of their tables; of temporary ones the session's own.
fn relations() -> Result<Vec<(pg_sys::Oid, bool)>> {
    let rows = spi::read_now(
        "SELECT c.oid, c.relkind OPERATOR(pg_catalog.=) 'm'
           FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m}'::\"char\"[]) AND NOT c.relispartition
            AND (c.relpersistence OPERATOR(pg_catalog.<>) 't' OR c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
            AND (c.relkind OPERATOR(pg_catalog.<>) 'm' OR c.relispopulated)
            AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[])
          ORDER BY n.nspname, c.relname",
        &[],
        |row| Ok((row.get::<pg_sys::Oid>(1)?, row.get::<bool>(2)?)),
    )?;
    Ok(rows.into_iter().filter_map(|(oid, materialized)| oid.zip(materialized)).collect())
}

fn search(table: &Table, materialized: bool, seeker: &Seeker, request: &Request) -> Vec<Place> {
    let columns: Vec<&table::Column> = table
        .columns
        .iter()
        .filter(|column| !matches!(column.kind, Kind::Bool | Kind::Date | Kind::Timestamp))
        .collect();
    if columns.is_empty() {
        return Vec::new();
    }
    let unread = |why: &str| {
        vec![
            Place::new(table.qualified.clone(), "not searched", why)
                .clear_by("call this as the table's owner or a superuser"),
        ]
    };
    if !table.may_act() {
        return unread("its owner's rights are needed");
    }
    if table.hides_rows {
        return unread("row-level security is forced on its owner");
    }
    let selected: Vec<String> = columns
        .iter()
        .map(|column| {
            let own = super::sql::of("t", column.name());
            match column.kind {
                Kind::Bytes => format!("{own}::pg_catalog.bytea"),
                _ if column.typed.base_type == "tsvector" => lexemes(&own),
                _ => format!("{own}::pg_catalog.text"),
            }
        })
        .collect();
    let vectors: Vec<usize> =
        (0..columns.len()).filter(|&i| columns[i].typed.base_type == "tsvector").collect();
    let unordered = vectors.iter().map(|&i| unordered(&super::sql::of("t", columns[i].name())));
    let selected: Vec<String> = selected.into_iter().chain(unordered).collect();
    let query = format!("SELECT {} FROM {} AS t", selected.join(", "), table.qualified);
    let mut found = vec![0u64; columns.len()];
    let outcome = owner::within(table.owner, &table.qualified, || {
        Cursor::open(&query, &[])?.each(|row| {
            for (i, count) in found.iter_mut().enumerate() {
                let text = match columns[i].kind {
                    Kind::Bytes => row.bytes(i).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                    _ => row.text(i),
                };
                let without_order = || {
                    let at = columns.len() + vectors.iter().position(|&vector| vector == i)?;
                    row.text(at).filter(|lexemes| seeker.finds_lexemes(lexemes.split('\u{1}')))
                };
                let is_there = text.is_some_and(|text| seeker.finds(&text)) || without_order().is_some();
                *count += u64::from(is_there);
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        return unread(error.message());
    }
    columns
        .iter()
        .zip(found)
        .filter(|(_, count)| *count > 0)
        .map(|(column, count)| {
            let place = format!("{}.{}", table.qualified, super::sql::identifier(column.name()));
            let rows = if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
            match retained(request, &table.qualified) {
                Some((reason, until)) => Place {
                    earliest: until,
                    ..Place::new(place, "retained", format!("{rows}: {reason}"))
                        .clear_by("CALL architect.retention_run() once the time has come")
                },
                None if materialized => Place::new(place, "present", rows)
                    .clear_by(format!("REFRESH MATERIALIZED VIEW {}", table.qualified)),
                None if table.schema.starts_with("pg_temp_") => {
                    Place::new(place, "present", rows).clear_by("DROP TABLE, or the end of this session")
                }
                None => Place::new(place, "present", rows)
                    .clear_by("declare_column() or declare_edge() for it, and erase again"),
            }
        })
        .collect()
}

/// The words of a tsvector in their order, as far as it knows it.
fn lexemes(vector: &str) -> String {
    format!(
        "(SELECT pg_catalog.string_agg(u.lexeme, ' ' ORDER BY p.place, u.lexeme) FROM pg_catalog.unnest({vector}) AS u
            LEFT JOIN LATERAL pg_catalog.unnest(u.positions) AS p (place) ON true)"
    )
}

/// The words of a tsvector that it knows no place of.
fn unordered(vector: &str) -> String {
    format!(
        "(SELECT pg_catalog.string_agg(u.lexeme, E'\\x01') FROM pg_catalog.unnest({vector}) AS u WHERE u.positions IS NULL)"
    )
}

/// Why rows of a table stayed, where some did.
fn retained(request: &Request, table: &str) -> Option<(String, Option<String>)> {
    request.retained.as_array()?.iter().find(|entry| entry["object"] == table).map(|entry| {
        (entry["reason"].as_str().unwrap_or_default().to_owned(), entry["until"].as_str().map(str::to_owned))
    })
}

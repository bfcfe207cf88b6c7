//! What is asked of tables while a person's rows are looked for: conditions and columns.

use super::collect::Texts;
use super::graph::{Graph, Link};
use super::owner::Values;
use super::sql::{self, Typed, of};
use super::table;
use std::collections::HashSet;

/// The rows of a link's table that belong to some values.
pub fn condition(graph: &Graph, link: &Link, sources: &[Texts], values: &mut Values) -> String {
    let table = &graph.tables[link.to];
    let mut condition = if link.json_path.is_empty() {
        let columns: Vec<Typed> = link.to_columns.iter().filter_map(|name| table.typed(name)).collect();
        sql::among("t", &columns, sources, values)
    } else {
        sql::path_among("t", &link.to_columns[0], &link.json_path, sources, values)
    };
    if let Some((column, value)) = &link.discriminator
        && let Some(typed) = table.typed(column)
    {
        let place = values.add(value.as_str());
        condition = format!("{condition} AND {}", typed.equals("t", &place));
    }
    condition
}

/// Columns whose values are needed: those by which rows are found from here and were found here, and what
/// identifies the person.
pub fn wanted(graph: &Graph, table: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for link in &graph.links {
        if link.from == table {
            names.extend(link.from_columns.iter().cloned());
        }
        if link.to == table && link.json_path.is_empty() {
            names.extend(link.to_columns.iter().cloned());
        }
    }
    let of_relation = graph.tables[table].relid;
    for key in graph.foreign_keys.iter().filter(|key| key.to == of_relation) {
        names.extend(
            key.to_columns
                .iter()
                .filter_map(|n| graph.tables[table].column_numbered(*n))
                .map(|column| column.name().to_owned()),
        );
    }
    if table == 0 {
        names.extend(graph.subject.key.iter().cloned());
        names.extend(graph.subject.identity.iter().cloned());
    }
    names.extend(direct(&graph.tables[table]).map(str::to_owned));
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Columns declared to hold what identifies a person directly.
pub fn direct(table: &table::Table) -> impl Iterator<Item = &str> {
    table
        .declared
        .iter()
        .filter(|column| column.identifier_class == "direct" && column.json_path.is_empty())
        .map(|column| column.column.as_str())
        .filter(|name| table.column(name).is_some())
}

/// The latest point in time until which a value of a row must be retained, where it is to come.
pub fn until(table: &table::Table, values: &mut Values) -> String {
    let ends: Vec<String> = table
        .declared
        .iter()
        .filter(|column| column.retention.is_some())
        .map(|column| retained_until(column, values))
        .collect();
    if ends.is_empty() {
        return "NULL::pg_catalog.text".to_owned();
    }
    let latest = format!("GREATEST({})", ends.join(", "));
    format!("CASE WHEN {latest} OPERATOR(pg_catalog.>) pg_catalog.now() THEN ({latest})::pg_catalog.text END")
}

/// Until when a column's value must be retained; for ever where no column says from when it is counted.
pub fn retained_until(column: &super::catalogue::Column, values: &mut Values) -> String {
    match (&column.retention, &column.retention_from) {
        (Some(retention), Some(anchor)) => {
            let interval = values.add(retention.as_str());
            format!(
                "({}::pg_catalog.timestamptz OPERATOR(pg_catalog.+) {interval}::pg_catalog.interval)",
                of("t", anchor)
            )
        }
        _ => "'infinity'::pg_catalog.timestamptz".to_owned(),
    }
}

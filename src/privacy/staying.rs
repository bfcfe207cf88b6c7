//! Which rows stay, and which references of rows that stay are emptied.

use super::collect::{self, Class, Row, Texts};
use super::graph::{Graph, Ownership};

/// Left over where a row turned out to be another's.
pub fn ghost(row: &Row) -> bool {
    row.class == Class::Touched && row.links.is_empty()
}

pub fn stays(row: &Row) -> bool {
    row.class != Class::Own && !row.key.is_empty()
}

/// Whether the row's reference by a link is emptied.
pub fn detaches(graph: &Graph, row: &Row, link: usize) -> bool {
    matches!(row.class, Class::Shared | Class::Touched)
        && row.links.contains(&link)
        && can_detach(graph, link)
}

pub fn can_detach(graph: &Graph, number: usize) -> bool {
    let link = &graph.links[number];
    let table = &graph.tables[link.to];
    link.referring
        && matches!(link.ownership, Ownership::CoOwned | Ownership::Accessed)
        && (link.on_erase == "detach" || link.ownership == Ownership::CoOwned || link.foreign_key.is_some())
        && link.to_columns.iter().all(|name| {
            table.column(name).is_some_and(|column| {
                (!column.not_null || !link.json_path.is_empty())
                    && !column.generated
                    && !table.key.iter().any(|key| key.name == *name)
            })
        })
}

/// Keeps rows that others refer to from going; says whether that is new of any.
pub fn hold_back(
    nodes: &mut [collect::Node],
    graph: &Graph,
    number: usize,
    values: &Texts,
    by: &str,
) -> bool {
    let link = &graph.links[number];
    if values.iter().any(Option::is_none) {
        return false;
    }
    let (target, columns) =
        if link.referring { (link.from, &link.from_columns) } else { (link.to, &link.to_columns) };
    let node = &mut nodes[target];
    let places: Vec<usize> =
        columns.iter().filter_map(|name| node.wanted.iter().position(|wanted| wanted == name)).collect();
    let mut changed = false;
    for row in node.rows.iter_mut().filter(|row| row.class == Class::Own) {
        if places.iter().map(|&place| &row.values[place]).eq(values.iter()) {
            row.class = Class::Masked;
            row.held_by.insert(by.to_owned());
            changed = true;
        }
    }
    changed
}

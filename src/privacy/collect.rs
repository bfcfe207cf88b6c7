//! A person's rows: found table by table along the graph, each with what is needed to decide what becomes of it.

use super::graph::{ForeignKey, Graph, Link, Ownership};
use super::owner::{self, Values};
use super::seek::{condition, direct, until, wanted};
use super::sql::{self, Typed, array, of};
use super::staying::can_detach;
use crate::error::{Error, Result};
use std::collections::{BTreeSet, HashMap, HashSet};

pub type Texts = Vec<Option<String>>;

/// What becomes of a row, as far as the link by which it was found says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody else's; it names the person.
    Touched,
    /// The person's, and stays by declaration.
    Kept,
    /// The person's, and stays with its values gone.
    Masked,
    /// The person's, and goes.
    Own,
    /// Another person's too. The strongest: it must not go whatever else it belongs to.
    Shared,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub key: Texts,
    /// Values of the node's `wanted` columns.
    pub values: Texts,
    pub class: Class,
    pub links: BTreeSet<usize>,
    /// Until when some of its values must be retained.
    pub until: Option<String>,
    /// Rows of which tables keep it from going.
    pub held_by: BTreeSet<String>,
}

/// The rows of one table.
#[derive(Debug, Default)]
pub struct Node {
    pub wanted: Vec<String>,
    pub rows: Vec<Row>,
    places: HashMap<Texts, usize>,
    /// Rows that go without being looked at one by one: the link that finds them, and how many there are.
    pub bulk: Option<(usize, u64)>,
}

impl Node {
    /// Values of some of a row's columns, nulls where they were not read.
    pub fn pick(&self, row: &Row, columns: &[String]) -> Texts {
        columns
            .iter()
            .map(|name| {
                self.wanted.iter().position(|wanted| wanted == name).and_then(|p| row.values[p].clone())
            })
            .collect()
    }
}

/// Rows that refer to the person's and are not looked at further.
pub struct Mention {
    pub link: usize,
    pub values: Texts,
    pub rows: u64,
}

pub struct Collection {
    pub nodes: Vec<Node>,
    pub mentions: Vec<Mention>,
}

pub struct Options<'a> {
    /// Lock the rows: they are about to be changed.
    pub lock: bool,
    /// Look at every row, as an export must.
    pub every_row: bool,
    pub key: &'a [String],
    /// Tables whose rows nobody may erase now.
    pub held: &'a HashSet<usize>,
}

pub fn collect(graph: &Graph, options: &Options) -> Result<Collection> {
    // A row that turns out to be shared after its own rows were followed: begin again, knowing it.
    let mut shared = HashSet::new();
    loop {
        let mut search = Search::new(graph, options, &shared);
        match search.all() {
            Ok(()) => {
                let Search { nodes, mentions, .. } = search;
                return Ok(Collection { nodes, mentions });
            }
            Err(Stop::Shared(table, key)) => {
                shared.insert((table, key));
            }
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
}

enum Stop {
    Shared(usize, Texts),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Search<'a> {
    graph: &'a Graph,
    options: &'a Options<'a>,
    shared: &'a HashSet<(usize, Texts)>,
    nodes: Vec<Node>,
    mentions: Vec<Mention>,
    /// Tables with rows not followed yet, and from which row on.
    queue: Vec<(usize, usize)>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, options: &'a Options<'a>, shared: &'a HashSet<(usize, Texts)>) -> Self {
        let nodes =
            (0..graph.tables.len()).map(|table| Node { wanted: wanted(graph, table), ..Node::default() });
        Self { graph, options, shared, nodes: nodes.collect(), mentions: Vec::new(), queue: Vec::new() }
    }

    fn all(&mut self) -> std::result::Result<(), Stop> {
        self.root()?;
        while let Some((table, start)) = self.queue.pop() {
            let end = self.nodes[table].rows.len();
            for (number, link) in self.graph.links.iter().enumerate().filter(|(_, link)| link.from == table) {
                self.follow(number, link, start, end)?;
            }
        }
        Ok(())
    }

    fn root(&mut self) -> Result<()> {
        let graph = self.graph;
        let root = &graph.tables[0];
        let mut values = Values::default();
        let key: Vec<Typed> = graph.subject.key.iter().filter_map(|name| root.typed(name)).collect();
        let mut conditions = Vec::new();
        for (column, value) in key.iter().zip(self.options.key) {
            let place = values.add(value.as_str());
            conditions.push(column.equals("t", &place));
        }
        let class = if graph.subject.on_erase == "mask" { Class::Masked } else { Class::Own };
        let rows = self.select(0, &conditions.join(" AND "), None, values)?;
        if rows.is_empty() {
            // Gone already: what refers to its key without a foreign key may still be there.
            let of_key = |name: &String| {
                let place = graph.subject.key.iter().position(|column| column == name);
                place.and_then(|place| self.options.key.get(place)).cloned()
            };
            let values: Texts = self.nodes[0].wanted.iter().map(of_key).collect();
            self.nodes[0].rows.push(Row {
                key: Vec::new(),
                values,
                class: Class::Kept,
                links: BTreeSet::new(),
                until: None,
                held_by: BTreeSet::new(),
            });
        }
        for (mut row, _) in rows {
            row.class = class;
            let node = &mut self.nodes[0];
            node.places.insert(row.key.clone(), node.rows.len());
            node.rows.push(row);
        }
        self.queue.push((0, 0));
        Ok(())
    }

    /// Values of a link's columns in rows `start..end`, those that have them all.
    fn sources(&self, link: &Link, start: usize, end: usize) -> Vec<Texts> {
        let node = &self.nodes[link.from];
        let places: Vec<usize> =
            link.from_columns.iter().filter_map(|name| node.wanted.iter().position(|w| w == name)).collect();
        let mut found: Vec<Texts> = node.rows[start..end]
            .iter()
            .filter(|row| row.class >= Class::Kept && row.class != Class::Shared)
            .map(|row| places.iter().map(|&place| row.values[place].clone()).collect::<Texts>())
            .filter(|values| values.iter().all(Option::is_some))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn follow(
        &mut self,
        number: usize,
        link: &Link,
        start: usize,
        end: usize,
    ) -> std::result::Result<(), Stop> {
        let sources = self.sources(link, start, end);
        if sources.is_empty() {
            return Ok(());
        }
        let mut values = Values::default();
        let found_by = condition(self.graph, link, &sources, &mut values);
        if matches!(link.ownership, Ownership::Ignored | Ownership::Undecided) {
            return Ok(self.mention(number, link, &found_by, &values)?);
        }
        if !self.options.every_row && self.in_bulk(number, link) {
            let table = &self.graph.tables[link.to];
            let query = format!(
                "SELECT pg_catalog.count(*)::pg_catalog.text FROM {} AS t WHERE {found_by}",
                table.qualified
            );
            let rows = owner::within(table.owner, &table.qualified, || owner::texts(&query, &values, 1))?;
            let count = rows.first().and_then(|r| r[0].as_ref()).and_then(|n| n.parse().ok()).unwrap_or(0);
            let before = self.nodes[link.to].bulk.map_or(0, |(_, rows)| rows);
            self.nodes[link.to].bulk = Some((number, before + count));
            return Ok(());
        }
        let shared = (link.ownership == Ownership::CoOwned).then(|| self.others(link, &sources, &mut values));
        let rows = self.select(link.to, &found_by, shared.as_deref(), values)?;
        let before = self.nodes[link.to].rows.len();
        let outside = if link.referring { HashSet::new() } else { self.referred_from_outside(link, &rows)? };
        for (row, is_shared) in rows {
            let class = match link.ownership {
                Ownership::Owned if outside.contains(&row.key) => Class::Shared,
                Ownership::Owned => match link.on_erase.as_str() {
                    "mask" => Class::Masked,
                    "keep" => Class::Kept,
                    _ => Class::Own,
                },
                Ownership::CoOwned if is_shared => Class::Shared,
                Ownership::CoOwned if link.on_erase == "mask" => Class::Masked,
                Ownership::CoOwned => Class::Own,
                _ => Class::Touched,
            };
            self.add(number, link, row, class)?;
        }
        if self.nodes[link.to].rows.len() > before {
            self.queue.push((link.to, before));
        }
        Ok(())
    }

    fn add(
        &mut self,
        number: usize,
        link: &Link,
        mut row: Row,
        class: Class,
    ) -> std::result::Result<(), Stop> {
        let class = if self.shared.contains(&(link.to, row.key.clone())) { Class::Shared } else { class };
        let node = &mut self.nodes[link.to];
        match node.places.get(&row.key) {
            Some(&place) => {
                let known = &mut node.rows[place];
                known.links.insert(number);
                if class == Class::Shared && known.class != Class::Shared {
                    return Err(Stop::Shared(link.to, row.key));
                }
                // Only now the person's own: what hangs on it was not looked for.
                if class > known.class && known.class == Class::Touched {
                    known.class = class;
                    let known = known.clone();
                    node.places.insert(known.key.clone(), node.rows.len());
                    node.rows[place].class = Class::Touched;
                    node.rows[place].links.clear();
                    node.rows.push(known);
                } else {
                    known.class = known.class.max(class);
                }
            }
            None => {
                row.class = class;
                row.links.insert(number);
                node.places.insert(row.key.clone(), node.rows.len());
                node.rows.push(row);
            }
        }
        Ok(())
    }

    /// Whether a row found by a co-owned link belongs to somebody else too: through another co-owned link between
    /// the same tables. Where there is none, nothing says that it does not.
    fn others(&self, link: &Link, sources: &[Texts], values: &mut Values) -> String {
        let siblings: Vec<&Link> = self
            .graph
            .links
            .iter()
            .filter(|other| {
                other.ownership == Ownership::CoOwned
                    && (other.from, other.to) == (link.from, link.to)
                    && (&other.to_columns, &other.json_path, &other.discriminator)
                        != (&link.to_columns, &link.json_path, &link.discriminator)
            })
            .collect();
        if siblings.is_empty() {
            return "true".to_owned();
        }
        let table = &self.graph.tables[link.to];
        let conditions: Vec<String> = siblings
            .iter()
            .map(|other| {
                let mine = condition(self.graph, other, sources, values);
                let there = if other.json_path.is_empty() {
                    other.to_columns.iter().map(|c| format!("{} IS NOT NULL", of("t", c))).collect::<Vec<_>>()
                } else {
                    let path = values.add(array(other.json_path.iter().map(|step| Some(step.as_str()))));
                    vec![format!(
                        "({} OPERATOR(pg_catalog.#>>) {path}::pg_catalog.text[]) IS NOT NULL",
                        of("t", &other.to_columns[0])
                    )]
                };
                let kind = other.discriminator.as_ref().and_then(|(column, value)| {
                    let place = values.add(value.as_str());
                    table.typed(column).map(|typed| format!(" AND {}", typed.equals("t", &place)))
                });
                format!("({}{} AND ({mine}) IS NOT TRUE)", there.join(" AND "), kind.unwrap_or_default())
            })
            .collect();
        format!("COALESCE({}, true)", conditions.join(" OR "))
    }

    /// Rows by a condition, with whether they are shared.
    fn select(
        &self,
        number: usize,
        condition: &str,
        shared: Option<&str>,
        mut values: Values,
    ) -> Result<Vec<(Row, bool)>> {
        let table = &self.graph.tables[number];
        let wanted = &self.nodes[number].wanted;
        let text = |name: &str| format!("{}::pg_catalog.text", of("t", name));
        let mut columns: Vec<String> = table.key.iter().map(|column| text(&column.name)).collect();
        columns.extend(wanted.iter().map(|name| text(name)));
        columns.push(format!("({})::pg_catalog.text", shared.unwrap_or("false")));
        columns.push(until(table, &mut values));
        let query = format!(
            "SELECT {} FROM {} AS t WHERE {condition}{}",
            columns.join(", "),
            table.qualified,
            if self.options.lock { " FOR UPDATE OF t" } else { "" }
        );
        let width = columns.len();
        let rows = owner::within(table.owner, &table.qualified, || owner::texts(&query, &values, width))?;
        Ok(rows
            .into_iter()
            .map(|mut row| {
                let until = row.pop().flatten();
                let shared = row.pop().flatten().as_deref() == Some("true");
                let values = row.split_off(table.key.len());
                let row = Row {
                    key: row,
                    values,
                    class: Class::Touched,
                    links: BTreeSet::new(),
                    until,
                    held_by: BTreeSet::new(),
                };
                (row, shared)
            })
            .collect())
    }

    fn mention(&mut self, number: usize, link: &Link, condition: &str, values: &Values) -> Result<()> {
        let table = &self.graph.tables[link.to];
        let columns: Vec<String> = if link.json_path.is_empty() {
            link.to_columns.iter().map(|name| format!("{}::pg_catalog.text", of("t", name))).collect()
        } else {
            vec!["''".to_owned()]
        };
        let places: Vec<String> = (1..=columns.len()).map(|i| i.to_string()).collect();
        let query = format!(
            "SELECT {}, pg_catalog.count(*)::pg_catalog.text FROM {} AS t WHERE {condition} GROUP BY {}",
            columns.join(", "),
            table.qualified,
            places.join(", ")
        );
        let rows =
            owner::within(table.owner, &table.qualified, || owner::texts(&query, values, columns.len() + 1))?;
        for mut row in rows {
            let count = row.pop().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
            self.mentions.push(Mention { link: number, values: row, rows: count });
        }
        Ok(())
    }

    /// Rows of a table that nothing hangs on and nothing has to be known of but their number.
    fn in_bulk(&self, number: usize, link: &Link) -> bool {
        let table = &self.graph.tables[link.to];
        let alone = !self
            .graph
            .links
            .iter()
            .enumerate()
            .any(|(i, other)| other.from == link.to || (other.to == link.to && i != number));
        alone
            && link.referring
            && link.ownership == Ownership::Owned
            && link.on_erase == "delete"
            && !table.captured
            && !self.options.held.contains(&link.to)
            && table.declared.iter().all(|column| column.retention.is_none())
            && direct(table).next().is_none()
    }

    /// Whether rows that refer to a table by a foreign key belong to its rows, or have their reference emptied.
    fn goes_with_it(&self, table: usize, key: &ForeignKey) -> bool {
        self.graph.links.iter().enumerate().any(|(number, link)| {
            link.from == table
                && link.referring
                && link
                    .foreign_key
                    .as_ref()
                    .is_some_and(|own| (own.relid, &own.columns) == (key.relid, &key.columns))
                && (link.ownership == Ownership::Owned || can_detach(self.graph, number))
        })
    }

    /// Which of the rows that the person's rows refer to are referred to by others as well.
    fn referred_from_outside(&self, link: &Link, rows: &[(Row, bool)]) -> Result<HashSet<Texts>> {
        let to = &self.graph.tables[link.to];
        let mut outside = HashSet::new();
        let mut watchers: Vec<(pgrx::pg_sys::Oid, Vec<String>, Vec<String>)> =
            vec![(self.graph.tables[link.from].relid, link.from_columns.clone(), link.to_columns.clone())];
        for key in self.graph.foreign_keys.iter().filter(|key| key.to == to.relid) {
            if self.goes_with_it(link.to, key) {
                continue;
            }
            let names = |relid, numbers: &[i16]| -> Vec<String> {
                numbers.iter().filter_map(|n| crate::pg::lookup::attribute_name(relid, *n)).collect()
            };
            watchers.push((key.relid, names(key.relid, &key.columns), names(to.relid, &key.to_columns)));
        }
        for (relid, columns, to_columns) in watchers {
            let Some(watcher) = self.graph.table(relid)? else { continue };
            let places: Vec<usize> = to_columns
                .iter()
                .filter_map(|name| self.nodes[link.to].wanted.iter().position(|w| w == name))
                .collect();
            if places.len() != to_columns.len() {
                return Err(Error::internal("a column that is referred to was not read"));
            }
            let of_row = |row: &Row| -> Texts { places.iter().map(|&p| row.values[p].clone()).collect() };
            let sources: Vec<Texts> = rows.iter().map(|(row, _)| of_row(row)).collect();
            if sources.is_empty() {
                continue;
            }
            let mut values = Values::default();
            let typed: Vec<Typed> = columns.iter().filter_map(|name| watcher.typed(name)).collect();
            let mut condition = sql::among("t", &typed, &sources, &mut values);
            if let Some(place) = self.graph.tables.iter().position(|table| table.relid == relid) {
                let own: Vec<Texts> = self.nodes[place]
                    .rows
                    .iter()
                    .filter(|row| {
                        !row.key.is_empty() && row.class > Class::Kept && row.class != Class::Shared
                    })
                    .map(|row| row.key.clone())
                    .collect();
                if !own.is_empty() {
                    let mine = sql::among("t", &watcher.key, &own, &mut values);
                    condition = format!("{condition} AND NOT ({mine})");
                }
            }
            let selected: Vec<String> =
                columns.iter().map(|name| format!("{}::pg_catalog.text", of("t", name))).collect();
            let query = format!(
                "SELECT DISTINCT {} FROM {} AS t WHERE {condition}",
                selected.join(", "),
                watcher.qualified
            );
            let found = owner::within(watcher.owner, &watcher.qualified, || {
                owner::texts(&query, &values, selected.len())
            })?;
            let found: HashSet<Texts> = found.into_iter().collect();
            outside.extend(
                rows.iter().filter(|(row, _)| found.contains(&of_row(row))).map(|(row, _)| row.key.clone()),
            );
        }
        Ok(outside)
    }
}

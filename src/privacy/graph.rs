//! Which tables hold a person's rows, and how they hang together: foreign keys and declared edges, from the
//! person's own table on.

use super::catalogue::{self, Edge, Subject};
use super::order;
use super::table::{self, Table};
use crate::catalog::relation;
use crate::error::{Error, Result};
use crate::pg::{ffi, kept, lookup};
use pgrx::pg_sys;
use std::borrow::Cow;
use std::collections::HashMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    Owned,
    CoOwned,
    Accessed,
    Ignored,
    /// A foreign key about which nobody has decided.
    Undecided,
}

impl Ownership {
    fn parse(text: &str) -> Self {
        match text {
            "owned" => Self::Owned,
            "co_owned" => Self::CoOwned,
            "accessed" => Self::Accessed,
            _ => Self::Ignored,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::CoOwned => "co_owned",
            Self::Accessed => "accessed",
            Self::Ignored => "ignore",
            Self::Undecided => "undecided",
        }
    }
}

/// How rows of `to` are found from rows of `from`.
#[derive(Debug, Clone)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    /// Columns of `from` whose values are looked for, and those of `to` that have them.
    pub from_columns: Vec<String>,
    pub to_columns: Vec<String>,
    pub json_path: Vec<String>,
    pub discriminator: Option<(String, String)>,
    pub ownership: Ownership,
    pub on_erase: String,
    pub person_columns: Option<Vec<String>>,
    /// Whether `to` refers to `from`, as usual, or is referred to by it.
    pub referring: bool,
    pub foreign_key: Option<ForeignKey>,
    pub declared: bool,
    /// An index of `to` finds the rows.
    pub indexed: bool,
}

impl Link {
    /// What it is, for a reader.
    pub fn describe(&self, tables: &[Table]) -> String {
        let side = |table: usize, columns: &[String]| {
            format!("{} ({})", tables[table].qualified, columns.join(", "))
        };
        let path = if self.json_path.is_empty() {
            String::new()
        } else {
            format!(" #> {{{}}}", self.json_path.join(","))
        };
        let (to, from) = (side(self.to, &self.to_columns), side(self.from, &self.from_columns));
        if self.referring { format!("{to}{path} -> {from}") } else { format!("{from} -> {to}") }
    }
}

#[derive(Debug, Clone)]
pub struct ForeignKey {
    pub name: String,
    pub relid: pg_sys::Oid,
    pub columns: Vec<i16>,
    pub to: pg_sys::Oid,
    pub to_columns: Vec<i16>,
    /// As pg_constraint has it: a no action, r restrict, c cascade, n set null, d set default.
    pub on_delete: char,
}

impl ForeignKey {
    pub fn delete_rule(&self) -> &'static str {
        match self.on_delete {
            'r' => "restrict",
            'c' => "cascade",
            'n' => "set null",
            'd' => "set default",
            _ => "no action",
        }
    }
}

pub struct Graph {
    pub subject: Subject,
    /// The person's own table first.
    pub tables: Vec<Table>,
    pub links: Vec<Link>,
    /// In which order tables are emptied: who refers before who is referred to; tables in a circle together.
    pub order: Vec<Vec<usize>>,
    /// Every foreign key between any tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// Other tables, which refer to what the person's rows refer to.
    watchers: Vec<Table>,
    /// Distance from the person's own table.
    pub depth: Vec<usize>,
}

impl Graph {
    pub fn of(subject_type: &str) -> Result<Self> {
        let subject = catalogue::subject(subject_type)?;
        let edges = catalogue::edges(subject_type)?;
        let declared = catalogue::columns()?;
        let root = resolve(&subject.schema, &subject.table)?;
        let foreign_keys = foreign_keys()?;
        let reached = reach(root, &edges, &foreign_keys)?;
        let wanted = reached.with_watchers(&foreign_keys);
        let mut tables = table::load(&wanted, &declared)?;
        if tables.len() < wanted.len() {
            return Err(gone("a table"));
        }
        let watchers = tables.split_off(reached.relids.len());
        let mut graph = Self {
            subject,
            tables,
            links: Vec::new(),
            order: Vec::new(),
            foreign_keys,
            watchers,
            depth: reached.depth,
        };
        graph.check_root()?;
        for found in reached.links {
            let link = graph.link(found)?;
            graph.links.push(link);
        }
        let refers: Vec<(usize, usize)> = graph
            .links
            .iter()
            .map(|link| if link.referring { (link.to, link.from) } else { (link.from, link.to) })
            .chain(graph.inner_foreign_keys())
            .collect();
        graph.order = order::order(graph.tables.len(), &refers);
        Ok(graph)
    }

    /// A table that the graph has, or any other.
    pub fn table(&self, relid: pg_sys::Oid) -> Result<Option<Cow<'_, Table>>> {
        match self.tables.iter().chain(&self.watchers).find(|table| table.relid == relid) {
            Some(table) => Ok(Some(Cow::Borrowed(table))),
            None => Ok(table::load(&[relid], &[])?.into_iter().next().map(Cow::Owned)),
        }
    }

    /// Foreign keys among the tables, as (who refers, who is referred to).
    fn inner_foreign_keys(&self) -> impl Iterator<Item = (usize, usize)> {
        let place = |relid| self.tables.iter().position(|table| table.relid == relid);
        self.foreign_keys.iter().filter_map(move |key| place(key.relid).zip(place(key.to)))
    }

    fn check_root(&self) -> Result<()> {
        let root = &self.tables[0];
        let missing =
            self.subject.key.iter().chain(&self.subject.identity).find(|name| root.column(name).is_none());
        match missing {
            None => Ok(()),
            Some(column) => Err(gone(&format!("{}.{}", root.qualified, column))),
        }
    }

    fn link(&self, found: Reached) -> Result<Link> {
        let (from, to) = (&self.tables[found.from], &self.tables[found.to]);
        let names = |table: &Table, numbers: &[i16]| -> Vec<String> {
            numbers.iter().filter_map(|n| table.column_numbered(*n)).map(|c| c.name().to_owned()).collect()
        };
        let mut link = match (found.edge, &found.foreign_key) {
            (Some(edge), foreign_key) => Link {
                from: found.from,
                to: found.to,
                from_columns: if edge.referred { edge.columns.clone() } else { edge.to_columns.clone() },
                to_columns: if edge.referred { edge.to_columns } else { edge.columns },
                json_path: edge.json_path,
                discriminator: edge.discriminator,
                ownership: Ownership::parse(&edge.ownership),
                on_erase: edge.on_erase,
                person_columns: edge.person_columns,
                referring: !edge.referred,
                foreign_key: foreign_key.clone(),
                declared: true,
                indexed: true,
            },
            (None, Some(key)) => {
                let (ownership, on_erase) = match key.on_delete {
                    'c' => (Ownership::Owned, "delete"),
                    'n' | 'd' => (Ownership::Accessed, "detach"),
                    _ => (Ownership::Undecided, "keep"),
                };
                Link {
                    from: found.from,
                    to: found.to,
                    from_columns: names(from, &key.to_columns),
                    to_columns: names(to, &key.columns),
                    json_path: Vec::new(),
                    discriminator: None,
                    ownership,
                    on_erase: on_erase.to_owned(),
                    person_columns: None,
                    referring: true,
                    foreign_key: Some(key.clone()),
                    declared: false,
                    indexed: true,
                }
            }
            (None, None) => return Err(Error::internal("an edge without a reason")),
        };
        for (table, columns) in [(from, &link.from_columns), (to, &link.to_columns)] {
            if let Some(column) = columns.iter().find(|name| table.column(name).is_none()) {
                return Err(gone(&format!("{}.{}", table.qualified, column)));
            }
        }
        link.indexed = to.finds_by(&link.to_columns, &link.json_path);
        Ok(link)
    }

    /// Whether two tables refer to each other, directly or not: their place in `order`, where so.
    pub fn circle(&self, table: usize) -> Option<usize> {
        let place = self.order.iter().position(|group| group.contains(&table))?;
        let own = || self.links.iter().any(|link| link.from == table && link.to == table);
        (self.order[place].len() > 1 || own()).then_some(place + 1)
    }
}

fn gone(what: &str) -> Error {
    Error::not_in_prerequisite_state(format!("{what} was declared and is not there"))
        .detail("It was renamed or dropped since. Nothing was done.")
        .hint("Declare what is there now, and take back what is not: see architect.coverage().")
}

pub fn resolve(schema: &str, table: &str) -> Result<pg_sys::Oid> {
    lookup::relation_named(schema, table).ok_or_else(|| gone(&lookup::qualify(schema, table)))
}

struct Reached {
    from: usize,
    to: usize,
    edge: Option<Edge>,
    foreign_key: Option<ForeignKey>,
}

struct Reach {
    relids: Vec<pg_sys::Oid>,
    depth: Vec<usize>,
    links: Vec<Reached>,
}

impl Reach {
    /// The tables reached, and after them others that refer to what the person's rows refer to: all are read at once.
    fn with_watchers(&self, foreign_keys: &[ForeignKey]) -> Vec<pg_sys::Oid> {
        let mut relids = self.relids.clone();
        for link in self.links.iter().filter(|link| link.edge.as_ref().is_some_and(|edge| edge.referred)) {
            let keys = foreign_keys.iter().filter(|key| key.to == self.relids[link.to]);
            for key in keys {
                if !relids.contains(&key.relid) {
                    relids.push(key.relid);
                }
            }
        }
        relids
    }
}

/// Follows edges and foreign keys from the person's own table. Only from rows that are the person's own: rows
/// that merely mention the person stay, and so does what hangs on them.
fn reach(root: pg_sys::Oid, edges: &[Edge], foreign_keys: &[ForeignKey]) -> Result<Reach> {
    let mut resolved = Vec::new();
    for edge in edges {
        resolved.push((resolve(&edge.schema, &edge.table)?, resolve(&edge.to_schema, &edge.to_table)?, edge));
    }
    let mut reach = Reach { relids: vec![root], depth: vec![0], links: Vec::new() };
    // Which tables are followed from, and which were reached only as what the person's rows refer to.
    let mut followed = vec![true];
    let mut referred = vec![false];
    let mut done = vec![false];
    let mut seen: HashMap<u32, usize> = HashMap::from([(root.to_u32(), 0)]);
    // A table may become worth following only later.
    while let Some(from) = (0..reach.relids.len()).find(|&i| followed[i] && !done[i]) {
        done[from] = true;
        let relid = reach.relids[from];
        let mut found: Vec<(pg_sys::Oid, Option<Edge>, Option<ForeignKey>, bool, bool)> = Vec::new();
        for (table, to, edge) in &resolved {
            let (here, there) = if edge.referred { (*table, *to) } else { (*to, *table) };
            if here == relid {
                let key = foreign_keys.iter().find(|key| {
                    key.relid == *table && key.to == *to && names_match(key, *table, &edge.columns)
                });
                let owns = matches!(edge.ownership.as_str(), "owned" | "co_owned");
                found.push((there, Some((*edge).clone()), key.cloned(), owns, edge.referred));
            }
        }
        // What others the rows belong to is looked at when it comes to erasing them.
        if !referred[from] {
            for key in foreign_keys.iter().filter(|key| key.to == relid) {
                let decided = resolved.iter().any(|(table, to, edge)| {
                    *table == key.relid && *to == key.to && names_match(key, *table, &edge.columns)
                });
                if !decided {
                    found.push((key.relid, None, Some(key.clone()), key.on_delete == 'c', false));
                }
            }
        }
        for (there, edge, foreign_key, owns, is_referred) in found {
            let to = *seen.entry(there.to_u32()).or_insert_with(|| {
                reach.relids.push(there);
                let depth = reach.depth[from] + 1;
                reach.depth.push(depth);
                followed.push(false);
                done.push(false);
                referred.push(is_referred);
                reach.relids.len() - 1
            });
            followed[to] |= owns;
            referred[to] &= is_referred;
            reach.links.push(Reached { from, to, edge, foreign_key });
        }
    }
    Ok(reach)
}

fn names_match(key: &ForeignKey, table: pg_sys::Oid, columns: &[String]) -> bool {
    key.columns.len() == columns.len()
        && key
            .columns
            .iter()
            .zip(columns)
            .all(|(number, name)| lookup::attribute_name(table, *number).as_deref() == Some(name))
}

/// Every foreign key that is not a copy of one of a partitioned table. One that a partition has by itself is taken for
/// its table's: rows are looked for in the whole table.
fn foreign_keys() -> Result<Vec<ForeignKey>> {
    let mut found: Vec<ForeignKey> = Vec::new();
    for key in stored_foreign_keys()? {
        let key = of_whole_table(key)?;
        let known = |other: &ForeignKey| {
            (other.relid, &other.columns, other.to, &other.to_columns)
                == (key.relid, &key.columns, key.to, &key.to_columns)
        };
        if !found.iter().any(known) {
            found.push(key);
        }
    }
    Ok(found)
}

fn of_whole_table(key: ForeignKey) -> Result<ForeignKey> {
    let Some(top) = ffi::partition_ancestors(key.relid).last().copied() else { return Ok(key) };
    let number = |number: &i16| {
        lookup::attribute_name(key.relid, *number).and_then(|name| relation::column_number(top, &name))
    };
    let columns: Option<Vec<i16>> = key.columns.iter().map(number).collect();
    let columns =
        columns.ok_or_else(|| Error::internal("a partition has a column that its table has not"))?;
    Ok(ForeignKey { relid: top, columns, ..key })
}

fn stored_foreign_keys() -> Result<Vec<ForeignKey>> {
    kept::read_now(
        "SELECT c.conname::pg_catalog.text, c.conrelid, c.conkey, c.confrelid, c.confkey, c.confdeltype
           FROM pg_catalog.pg_constraint AS c
          WHERE c.contype OPERATOR(pg_catalog.=) 'f' AND c.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
          ORDER BY c.conrelid, c.conname",
        &[],
        |row| {
            Ok(ForeignKey {
                name: row.get(1)?.unwrap_or_default(),
                relid: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                columns: row.get(3)?.unwrap_or_default(),
                to: row.get(4)?.unwrap_or(pg_sys::InvalidOid),
                to_columns: row.get(5)?.unwrap_or_default(),
                on_delete: row.get::<i8>(6)?.map_or('a', |c| c as u8 as char),
            })
        },
    )
}

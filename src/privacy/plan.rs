//! What erasing a person comes to: steps in order, made from the graph and the rows found along it.

use super::collect::{self, Class, Collection, Options, Texts};
use super::graph::{Graph, Ownership};
use super::holds;
use super::person::{self, Person};
use super::replace::{self, Replacement};
use super::secret::Secret;
use super::seek;
use super::staying::{can_detach, detaches, ghost, hold_back, stays};
use super::{storage, trial};
use crate::error::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Delete,
    /// Rows stay, values go.
    Mask,
    /// Rows stay; the reference to the person goes.
    Detach,
    Keep,
    /// Nothing can be done before this is out of the way.
    Blocked,
}

impl Act {
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Mask => "mask",
            Self::Detach => "detach",
            Self::Keep => "keep",
            Self::Blocked => "blocked",
        }
    }
}

/// Which rows a step concerns.
#[derive(Debug, Clone)]
pub enum Which {
    Rows(Vec<usize>),
    /// All that a link finds.
    Link(usize),
    None,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub table: usize,
    pub act: Act,
    pub which: Which,
    pub rows: u64,
    pub columns: Vec<String>,
    /// Columns left as they are, which somebody might expect to go.
    pub declared_only: bool,
    pub person_columns: Option<Vec<String>>,
    pub detach: Vec<usize>,
    pub blocker: Option<String>,
    pub reason: Option<String>,
    pub until: Option<String>,
    pub retained: u64,
}

pub struct Plan {
    pub graph: Graph,
    pub collection: Collection,
    pub steps: Vec<Step>,
    pub key: Vec<String>,
    pub key_hmac: Vec<u8>,
    pub hash: String,
}

/// Largest table that is read from end to end for want of an index.
pub const SCAN_AT_MOST: i64 = 100_000;

pub struct Wishes {
    pub lock: bool,
    pub every_row: bool,
    pub allow_scans: bool,
    /// Erase although somebody holds it: never; an export may.
    pub ignore_holds: bool,
}

pub fn make(subject_type: &str, key: &Value, wishes: &Wishes) -> Result<Plan> {
    storage::require()?;
    let Person { graph, key, hmac: key_hmac } = person::find(subject_type, key)?;
    let secret = storage::secret()?;
    let mut blocked = obstacles(&graph, wishes);
    let mut held = HashSet::new();
    if !wishes.ignore_holds {
        let (holds, tables) = holds::concerning(&graph, &key_hmac)?;
        blocked.extend(holds);
        held = tables;
    }
    let mut plan = Plan {
        collection: Collection { nodes: Vec::new(), mentions: Vec::new() },
        graph,
        steps: Vec::new(),
        key,
        key_hmac,
        hash: String::new(),
    };
    if blocked.iter().any(|step| step.act == Act::Blocked) {
        plan.steps = blocked;
    } else {
        let options = Options { lock: wishes.lock, every_row: wishes.every_row, key: &plan.key, held: &held };
        plan.collection = collect::collect(&plan.graph, &options)?;
        plan.hold_rows(&held);
        plan.decide();
        let mut steps = plan.make_steps();
        // An export changes nothing that a constraint could refuse.
        if !wishes.every_row {
            trial::of(&plan, &mut steps)?;
        }
        plan.steps = steps;
        plan.steps.extend(blocked);
    }
    plan.hash = plan.take_hash(&secret);
    Ok(plan)
}

fn step(table: usize, act: Act, which: Which, rows: u64) -> Step {
    Step {
        table,
        act,
        which,
        rows,
        columns: Vec::new(),
        declared_only: false,
        person_columns: None,
        detach: Vec::new(),
        blocker: None,
        reason: None,
        until: None,
        retained: 0,
    }
}

fn blocker(table: usize, why: String) -> Step {
    Step { blocker: Some(why), ..step(table, Act::Blocked, Which::None, 0) }
}

/// What stands in the way before a row is looked at.
fn obstacles(graph: &Graph, wishes: &Wishes) -> Vec<Step> {
    let mut found = Vec::new();
    for (number, table) in graph.tables.iter().enumerate() {
        if !table.may_act() {
            found.push(blocker(
                number,
                format!("it belongs to role {}, whose rights you do not have", table.owner_name),
            ));
        } else if table.hides_rows {
            found.push(blocker(
                number,
                "row-level security is forced on its owner, so rows could be overlooked: \
                 ALTER TABLE ... NO FORCE ROW LEVEL SECURITY for the time being"
                    .to_owned(),
            ));
        }
    }
    for link in &graph.links {
        let table = &graph.tables[link.to];
        if !link.indexed && table.size > SCAN_AT_MOST && !wishes.allow_scans {
            found.push(blocker(
                link.to,
                format!(
                    "no index finds its rows by ({}), and it has about {} rows: CREATE INDEX CONCURRENTLY, or allow_scans => true",
                    link.to_columns.join(", "),
                    table.size
                ),
            ));
        }
    }
    found
}

impl Plan {
    /// Rows of tables on which there is a hold stay as they are.
    fn hold_rows(&mut self, held: &HashSet<usize>) {
        for &table in held {
            for row in &mut self.collection.nodes[table].rows {
                row.class = Class::Kept;
                row.held_by.insert("a hold".to_owned());
            }
        }
    }

    /// Which rows cannot go because others that stay refer to them, until nothing changes any more.
    fn decide(&mut self) {
        let graph = &self.graph;
        for node in &mut self.collection.nodes {
            for row in node.rows.iter_mut().filter(|row| row.class == Class::Own && row.until.is_some()) {
                row.class = Class::Masked;
            }
        }
        for mention in &self.collection.mentions {
            let link = &graph.links[mention.link];
            if link.foreign_key.is_some() {
                let by = graph.tables[link.to].qualified.clone();
                hold_back(&mut self.collection.nodes, graph, mention.link, &mention.values, &by);
            }
        }
        loop {
            let mut changed = false;
            for (number, link) in graph.links.iter().enumerate() {
                if link.foreign_key.is_none() {
                    continue;
                }
                let (referring, by) =
                    if link.referring { (link.to, link.to) } else { (link.from, link.from) };
                let by = graph.tables[by].qualified.clone();
                let staying: Vec<Texts> = self.collection.nodes[referring]
                    .rows
                    .iter()
                    .filter(|row| {
                        stays(row) && !ghost(row) && !(link.referring && detaches(graph, row, number))
                    })
                    .map(|row| {
                        let columns = if link.referring { &link.to_columns } else { &link.from_columns };
                        self.collection.nodes[referring].pick(row, columns)
                    })
                    .collect();
                for values in staying {
                    changed |= hold_back(&mut self.collection.nodes, graph, number, &values, &by);
                }
            }
            if !changed {
                break;
            }
        }
    }

    fn make_steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for group in &self.graph.order {
            for &table in group {
                self.staying(table, &mut steps);
            }
            for &table in group {
                self.going(table, &mut steps);
            }
        }
        for mention in self.mentions() {
            steps.push(mention);
        }
        steps
    }

    fn going(&self, table: usize, steps: &mut Vec<Step>) {
        let node = &self.collection.nodes[table];
        if let Some((link, rows)) = node.bulk
            && rows > 0
        {
            steps.push(step(table, Act::Delete, Which::Link(link), rows));
        }
        let rows: Vec<usize> = (0..node.rows.len()).filter(|&i| node.rows[i].class == Class::Own).collect();
        if !rows.is_empty() {
            let count = rows.len() as u64;
            steps.push(step(table, Act::Delete, Which::Rows(rows), count));
        }
    }

    /// Rows that stay, those alike together.
    fn staying(&self, table: usize, steps: &mut Vec<Step>) {
        let node = &self.collection.nodes[table];
        let mut alike: BTreeMap<(Class, BTreeSet<usize>, BTreeSet<String>, bool), Vec<usize>> =
            BTreeMap::new();
        for (i, row) in node.rows.iter().enumerate() {
            if row.class == Class::Own || row.key.is_empty() || ghost(row) {
                continue;
            }
            let links = if matches!(row.class, Class::Shared | Class::Touched) {
                row.links.clone()
            } else {
                BTreeSet::new()
            };
            alike.entry((row.class, links, row.held_by.clone(), row.until.is_some())).or_default().push(i);
        }
        for ((class, links, held_by, retained), rows) in alike {
            let until = rows.iter().filter_map(|&i| node.rows[i].until.clone()).max();
            let count = rows.len() as u64;
            let detach: Vec<usize> =
                links.iter().copied().filter(|&link| can_detach(&self.graph, link)).collect();
            let mut one = Step {
                declared_only: matches!(class, Class::Shared | Class::Touched),
                person_columns: self.person_columns(&links),
                detach,
                ..step(table, Act::Mask, Which::Rows(rows), count)
            };
            one.reason = match class {
                Class::Shared => Some("the rows are another person's too".to_owned()),
                Class::Kept => {
                    Some(held_by.iter().next().map_or("declared to be kept".to_owned(), Clone::clone))
                }
                Class::Masked if retained => Some("values must be retained".to_owned()),
                Class::Masked if !held_by.is_empty() => Some(format!(
                    "still referred to by {}",
                    held_by.into_iter().collect::<Vec<_>>().join(", ")
                )),
                Class::Touched => Some("the rows are somebody else's and name the person".to_owned()),
                _ => None,
            };
            if retained || one.reason.is_some() && class == Class::Masked {
                one.until = until.filter(|until| until != "infinity");
                one.retained = count;
            }
            if class == Class::Kept {
                one.act = Act::Keep;
                one.retained = count;
            } else {
                let (replacements, kept) = self.replacements(&one, &mut super::owner::Values::default());
                if !kept.is_empty() {
                    let left = kept.iter().map(|(column, why)| format!("{column} stays: {why}"));
                    one.reason =
                        Some(one.reason.take().into_iter().chain(left).collect::<Vec<_>>().join("; "));
                }
                one.columns = replacements.iter().map(|r| r.column.clone()).collect();
                one.columns.extend(self.detached_columns(&one));
                one.columns.dedup();
                if replacements.is_empty() {
                    one.act = if one.detach.is_empty() { Act::Keep } else { Act::Detach };
                }
            }
            steps.push(one);
        }
    }

    fn mentions(&self) -> Vec<Step> {
        let mut by_link: BTreeMap<usize, u64> = BTreeMap::new();
        for mention in &self.collection.mentions {
            *by_link.entry(mention.link).or_default() += mention.rows;
        }
        by_link
            .into_iter()
            .map(|(number, rows)| {
                let link = &self.graph.links[number];
                if link.ownership == Ownership::Undecided {
                    let name = link.foreign_key.as_ref().map(|key| key.name.clone()).unwrap_or_default();
                    return Step {
                        rows,
                        blocker: Some(format!(
                            "nobody has decided whose these rows are, by foreign key {name}: declare_edge(), ownership owned, co_owned, accessed or ignore"
                        )),
                        ..step(link.to, Act::Blocked, Which::None, rows)
                    };
                }
                Step {
                    reason: Some("declared to be ignored".to_owned()),
                    retained: rows,
                    ..step(link.to, Act::Keep, Which::None, rows)
                }
            })
            .collect()
    }

    /// Columns of this person in rows that stay and were found by some links; none where all declared ones are. In
    /// somebody else's rows, and in those of other persons, nothing is this person's unless somebody says so.
    fn person_columns(&self, links: &BTreeSet<usize>) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        for link in links.iter().map(|&link| &self.graph.links[link]) {
            match &link.person_columns {
                Some(named) => columns.extend(named.iter().cloned()),
                None if link.ownership == Ownership::CoOwned && link.to != 0 => return None,
                None => {}
            }
        }
        (!links.is_empty()).then_some(columns)
    }

    /// What an UPDATE of a step's rows assigns.
    pub fn replacements(
        &self,
        step: &Step,
        values: &mut super::owner::Values,
    ) -> (Vec<Replacement>, Vec<replace::Kept>) {
        let table = &self.graph.tables[step.table];
        let mut spare: Vec<String> = table.key.iter().map(|column| column.name.clone()).collect();
        let numbers = |relid, columns: &[i16]| -> Vec<String> {
            columns.iter().filter_map(|n| crate::pg::lookup::attribute_name(relid, *n)).collect()
        };
        for key in &self.graph.foreign_keys {
            if key.relid == table.relid {
                spare.extend(numbers(key.relid, &key.columns));
            }
            if key.to == table.relid {
                spare.extend(numbers(key.to, &key.to_columns));
            }
        }
        for link in self.graph.links.iter().filter(|link| link.to == step.table && link.json_path.is_empty())
        {
            spare.extend(link.to_columns.iter().cloned());
            spare.extend(link.discriminator.iter().map(|(column, _)| column.clone()));
        }
        let always: &[String] =
            if step.table == 0 && !step.declared_only { &self.graph.subject.identity } else { &[] };
        let (mut replacements, kept) = replace::replacements(
            table,
            step.declared_only,
            step.person_columns.as_deref(),
            &spare,
            always,
            values,
        );
        // Values that must be retained stay, row by row, until their time has come.
        for replacement in &mut replacements {
            let columns =
                table.declared.iter().filter(|c| c.column == replacement.column && c.retention.is_some());
            for column in columns {
                let until = seek::retained_until(column, values);
                replacement.expression = format!(
                    "CASE WHEN {until} OPERATOR(pg_catalog.>) pg_catalog.now() THEN {} ELSE {} END",
                    super::sql::of("t", &replacement.column),
                    replacement.expression
                );
            }
        }
        (replacements, kept)
    }

    /// The rows that a link finds from all rows that are the person's.
    pub fn link_condition(&self, number: usize, values: &mut super::owner::Values) -> String {
        let link = &self.graph.links[number];
        let node = &self.collection.nodes[link.from];
        let mut sources: Vec<Texts> = node
            .rows
            .iter()
            .filter(|row| row.class >= Class::Kept && row.class != Class::Shared)
            .map(|row| node.pick(row, &link.from_columns))
            .filter(|values| values.iter().all(Option::is_some))
            .collect();
        sources.sort_unstable();
        sources.dedup();
        seek::condition(&self.graph, link, &sources, values)
    }

    pub fn detached_columns(&self, step: &Step) -> Vec<String> {
        let mut names: Vec<String> =
            step.detach.iter().flat_map(|&link| self.graph.links[link].to_columns.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn take_hash(&self, secret: &Secret) -> String {
        let mut parts: Vec<String> = vec!["plan".into(), self.graph.subject.subject_type.clone()];
        parts.extend(self.key.iter().cloned());
        for step in &self.steps {
            parts.extend([
                self.graph.tables[step.table].qualified.clone(),
                step.act.name().to_owned(),
                step.rows.to_string(),
                step.columns.join("\u{1f}"),
                step.blocker.clone().unwrap_or_default(),
                step.reason.clone().unwrap_or_default(),
                step.until.clone().unwrap_or_default(),
            ]);
        }
        let bytes: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        secret.of(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

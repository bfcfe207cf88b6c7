//! A table's rows as they were: its present rows with every change recorded since undone.
//!
//! Rows no entry is about pass through untouched. Where the key was moved to other columns on the way
//! back, rows are rewound in as many stages as there were keys, each by its own.

use crate::audit::answerable;
use crate::audit::entries::{self, Meaning, Order};
use crate::audit::rewind::{Base, Cell, Key, Rewind};
use crate::audit::row_key;
use crate::audit::subject::Subject;
use crate::capture::raw_json;
use crate::error::{Error, Result};
use crate::pg::datum::timestamptz;
use crate::pg::memory::OwnedContext;
use crate::pg::result_set::{ResultSet, RowStore};
use crate::pg::row_type::{KeptRows, RowType};
use crate::pg::subtransaction::attempt;
use crate::pg::table::Table;
use crate::pg::tuple::{Value, Values};
use crate::pg::{lookup, rows, security, session, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Rows made from JSON in one go.
const BATCH: usize = 1000;

/// A time in which the table had one key.
struct Era {
    key: Vec<usize>,
    /// Entries after this (excluded) and up to that (included).
    from: i64,
    to: i64,
}

/// What could not be known, said once at the end.
#[derive(Default)]
struct Doubts {
    mismatches: usize,
    incomplete: usize,
    lost: bool,
    omitted: BTreeSet<String>,
    unreadable: BTreeSet<String>,
}

struct Question<'a> {
    subject: &'a Subject,
    relid: pg_sys::Oid,
    row_type: RowType,
    meanings: HashMap<i32, Meaning>,
    /// Shapes of the relation asked about and of its partitions.
    relations: Vec<i32>,
    /// Shapes of partitioned tables above it: only their TRUNCATE matters.
    above: Vec<i32>,
}

/// Puts the rows of the table as they were at `time` into `out`.
pub fn as_of(subject: &Subject, relid: pg_sys::Oid, time: i64, out: &mut ResultSet) -> Result<()> {
    answerable::check(subject, relid, time)?;
    let Some(row_type) = RowType::of_relation(relid) else {
        return Err(Error::wrong_object_type(format!("{} has no row type", subject.name)));
    };
    let (relations, above) = answerable::relevant(subject, relid)?;
    let question = Question { subject, relid, row_type, meanings: Meaning::all(subject), relations, above };
    let hidden = question.columns_of_later(time);
    let mut doubts = Doubts::default();
    let eras = question.eras(time)?;
    let mut source = Source::Table;
    let last = eras.len().saturating_sub(1);
    if eras.is_empty() {
        question.each_present(|_, row| {
            put(row, &hidden, out);
            Ok(())
        })?;
    }
    for (i, era) in eras.iter().enumerate() {
        if i == last {
            question.rewind(era, source, &mut doubts, |row| put(row, &hidden, out))?;
            break;
        }
        let mut between = RowStore::like(out);
        question.rewind(era, source, &mut doubts, |row| between.put(&row))?;
        source = Source::Store(between);
    }
    question.tell(&doubts);
    Ok(())
}

fn put(mut row: Values, hidden: &[usize], out: &mut ResultSet) {
    for &column in hidden {
        row.set_null(column);
    }
    out.put_values(&row);
}

enum Source {
    Table,
    Store(RowStore),
}

impl Question<'_> {
    /// Columns that were not there yet.
    fn columns_of_later(&self, time: i64) -> Vec<usize> {
        if time >= session::statement_start() {
            return Vec::new();
        }
        let then = self.subject.lineage.columns_at(time, &self.relations);
        if then.is_empty() {
            return Vec::new();
        }
        let attributes = self.row_type.attributes.iter().enumerate();
        attributes.filter(|(_, a)| !a.dropped && !then.contains(&a.name)).map(|(i, _)| i).collect()
    }

    /// The keys the table has had since `time`, the latest first.
    fn eras(&self, time: i64) -> Result<Vec<Era>> {
        let mut found: Vec<(Vec<usize>, i64, i64)> = Vec::new();
        let mut refused = None;
        let each = |row: &crate::pg::table::Fields| {
            let (first, last): (i64, i64) = (row.get(1).unwrap_or_default(), row.get(2).unwrap_or_default());
            let meaning = self.meanings.get(&row.get(0).unwrap_or_default());
            match meaning.and_then(|meaning| meaning.key.clone().filter(|_| !meaning.keyless)) {
                Some(key) => match found.iter_mut().find(|(known, ..)| *known == key) {
                    Some((_, from, to)) => (*from, *to) = ((*from).min(first), (*to).max(last)),
                    None => found.push((key, first, last)),
                },
                None => refused = refused.max(Some(last)),
            }
            Ok(())
        };
        security::as_extension_owner(|| {
            rows::each(
                "SELECT e.relation_id, pg_catalog.min(e.changed_at), pg_catalog.max(e.changed_at)
                   FROM architect.audit_entry AS e
                  WHERE e.changed_at OPERATOR(pg_catalog.>) $1 AND e.relation_id OPERATOR(pg_catalog.=) ANY ($2)
                    AND e.operation OPERATOR(pg_catalog.<>) 'T'
                  GROUP BY e.relation_id",
                &[timestamptz(time).into(), self.relations.clone().into()],
                each,
            )
        })?;
        if let Some(last) = refused {
            return Err(Error::not_in_prerequisite_state(format!(
                "changes of table {} since then cannot be undone",
                self.subject.name
            ))
            .detail(format!(
                "Until {} they were recorded without a key, or with key columns that are no longer there.",
                answerable::time_text(last)
            ))
            .hint("Ask for a later time, or read architect.audit_log."));
        }
        if found.is_empty() && self.truncates(time, i64::MAX)?.is_empty() {
            return Ok(Vec::new());
        }
        found.sort_by_key(|(_, from, _)| std::cmp::Reverse(*from));
        if found.windows(2).any(|pair| pair[1].2 >= pair[0].1) {
            return Err(Error::not_in_prerequisite_state(format!(
                "changes of table {} since then cannot be undone",
                self.subject.name
            ))
            .detail("Its partitions had different key columns at the same time.")
            .hint("Ask for one partition, or read architect.audit_log."));
        }
        if found.is_empty() {
            // Nothing but TRUNCATE since: rows are found by the present key.
            let key = Table::open(self.relid, pg_sys::AccessShareLock as i32).map(|t| t.key_columns());
            found.push((key.unwrap_or_default(), time, i64::MAX));
        }
        let starts: Vec<i64> = found.iter().skip(1).map(|(_, _, to)| *to).chain([time]).collect();
        let mut eras: Vec<Era> =
            found.into_iter().zip(starts).map(|((key, _, to), from)| Era { key, from, to }).collect();
        if let Some(latest) = eras.first_mut() {
            latest.to = i64::MAX;
        }
        Ok(eras)
    }

    /// TRUNCATEs in a time: when, and of which relation (none: the whole table), newest first.
    fn truncates(&self, from: i64, to: i64) -> Result<Vec<(i64, Option<u32>)>> {
        let mut found = Vec::new();
        let all: Vec<i32> = self.relations.iter().chain(&self.above).copied().collect();
        security::as_extension_owner(|| {
            rows::each(
                "SELECT e.changed_at, e.relation_id FROM architect.audit_entry AS e
                  WHERE e.key_hash OPERATOR(pg_catalog.=) 0 AND e.relation_id OPERATOR(pg_catalog.=) ANY ($1)
                    AND e.operation OPERATOR(pg_catalog.=) 'T'
                    AND e.changed_at OPERATOR(pg_catalog.>) $2 AND e.changed_at OPERATOR(pg_catalog.<=) $3
                  ORDER BY e.changed_at DESC",
                &[all.into(), timestamptz(from).into(), timestamptz(to).into()],
                |row| {
                    let meaning = self.meanings.get(&row.get(1).unwrap_or_default());
                    let relation = meaning.filter(|m| !m.whole).map(|m| m.relid);
                    found.push((row.get(0).unwrap_or_default(), relation));
                    Ok(())
                },
            )
        })?;
        Ok(found)
    }

    /// The table's present rows, read as the caller.
    fn each_present(&self, mut each: impl FnMut(Value, Values) -> Result<()>) -> Result<()> {
        let mut alias = "r".to_owned();
        while self.row_type.attributes.iter().any(|a| a.name == alias) {
            alias.push('_');
        }
        let only = if lookup::is_partitioned(self.relid) { "" } else { "ONLY " };
        let table = lookup::qualified_name(self.relid).unwrap_or_default();
        rows::each(&format!("SELECT {alias} FROM {only}{table} AS {alias}"), &[], |row| {
            match self.row_type.expand(row.value(0)) {
                Some(values) => each(row.value(0), values),
                None => Ok(()),
            }
        })
    }

    /// One stage: the rows of `source` at the beginning of an era, given to `sink`.
    fn rewind(
        &self,
        era: &Era,
        source: Source,
        doubts: &mut Doubts,
        mut sink: impl FnMut(Values),
    ) -> Result<()> {
        let touched = self.touched(era)?;
        let truncates = self.truncates(era.from, era.to)?;
        let all_truncated = truncates.iter().any(|(_, relation)| relation.is_none());
        let kept = KeptRows::new();
        let mut present: HashMap<Key, Value> = HashMap::new();
        let mut text = Vec::new();
        let mut sort = |row: Value, values: Values| {
            text.clear();
            row_key::write(&self.row_type, &era.key, &values, &mut text);
            if touched.contains(text.as_slice()) {
                present.insert(text.as_slice().into(), kept.keep(row));
            } else if !all_truncated {
                sink(values);
            }
            Ok(())
        };
        match source {
            Source::Table => self.each_present(&mut sort)?,
            Source::Store(store) => store.each(|row, values| sort(row, values.clone()))?,
        }
        drop(touched);
        let mut rewind = Rewind::new(present.keys().cloned().collect());
        self.walk_back(era, truncates, &mut rewind)?;
        if rewind.any_truncated() {
            self.learn(era, &mut rewind, doubts)?;
        }
        doubts.mismatches += rewind.mismatches;
        let mut batch: Vec<(Option<Value>, Vec<Cell>)> = Vec::with_capacity(BATCH);
        for (row, complete) in rewind.rows() {
            doubts.incomplete += usize::from(!complete);
            let mut cells = row.values.clone();
            if let Some(key) = &row.key {
                entries::add_key(&mut cells, &era.key, key);
            }
            let base = match &row.base {
                Base::Present(key) => present.get(key).copied(),
                _ => None,
            };
            batch.push((base, cells));
            if batch.len() == BATCH {
                self.make(&batch, doubts, &mut sink)?;
                batch.clear();
            }
        }
        self.make(&batch, doubts, &mut sink)
    }

    /// Keys of the rows that entries of an era are about.
    fn touched(&self, era: &Era) -> Result<HashSet<Key>> {
        let mut found = HashSet::new();
        security::as_extension_owner(|| {
            rows::each(
                "SELECT DISTINCT e.row_key FROM architect.audit_entry AS e
                  WHERE e.changed_at OPERATOR(pg_catalog.>) $1 AND e.changed_at OPERATOR(pg_catalog.<=) $2
                    AND e.relation_id OPERATOR(pg_catalog.=) ANY ($3) AND e.row_key IS NOT NULL",
                &[timestamptz(era.from).into(), timestamptz(era.to).into(), self.relations.clone().into()],
                |row| {
                    found.insert(Key::from(row.bytes(0)));
                    Ok(())
                },
            )
        })?;
        Ok(found)
    }

    fn walk_back(&self, era: &Era, truncates: Vec<(i64, Option<u32>)>, rewind: &mut Rewind) -> Result<()> {
        let mut truncates = truncates.into_iter().peekable();
        entries::read(
            "e.changed_at OPERATOR(pg_catalog.>) $1 AND e.changed_at OPERATOR(pg_catalog.<=) $2
             AND e.relation_id OPERATOR(pg_catalog.=) ANY ($3) AND e.operation OPERATOR(pg_catalog.<>) 'T'",
            Order::NewestFirst,
            true,
            &[timestamptz(era.from).into(), timestamptz(era.to).into(), self.relations.clone().into()],
            |entry| {
                while let Some((_, relation)) = truncates.next_if(|(at, _)| *at >= entry.changed_at) {
                    rewind.back_over_truncate(relation);
                }
                if let (Some(meaning), Some(key)) = (self.meanings.get(&entry.relation_id), &entry.key) {
                    rewind.back(meaning.relid, key, meaning.change(&entry));
                }
                Ok(())
            },
        )?;
        truncates.for_each(|(_, relation)| rewind.back_over_truncate(relation));
        Ok(())
    }

    /// Puts truncated rows together from what the log says of the time before the era, back to an
    /// earlier TRUNCATE if there was one.
    fn learn(&self, era: &Era, rewind: &mut Rewind, doubts: &mut Doubts) -> Result<()> {
        let before = self.truncates(i64::MIN, era.from)?;
        let cut =
            |relid: u32| before.iter().filter(|(_, r)| r.is_none_or(|r| r == relid)).map(|(at, _)| *at).max();
        let mut cuts: HashMap<u32, i64> = HashMap::new();
        for relation in &self.relations {
            let Some(meaning) = self.meanings.get(relation) else { continue };
            if rewind.truncated(meaning.relid) {
                match cut(meaning.relid) {
                    Some(at) => cuts.insert(meaning.relid, at),
                    None => cuts.insert(meaning.relid, i64::MIN),
                };
            }
        }
        let first = cuts.values().copied().min().unwrap_or(i64::MIN);
        doubts.lost |= first == i64::MIN;
        entries::read(
            "e.changed_at OPERATOR(pg_catalog.>) $1 AND e.changed_at OPERATOR(pg_catalog.<=) $2
             AND e.relation_id OPERATOR(pg_catalog.=) ANY ($3) AND e.operation OPERATOR(pg_catalog.<>) 'T'",
            Order::NewestFirst,
            true,
            &[timestamptz(first).into(), timestamptz(era.from).into(), self.relations.clone().into()],
            |entry| {
                let Some(meaning) = self.meanings.get(&entry.relation_id) else { return Ok(()) };
                let known = cuts.get(&meaning.relid).is_some_and(|cut| entry.changed_at > *cut);
                if let (true, Some(key), true) = (known, &entry.key, meaning.key.as_ref() == Some(&era.key)) {
                    rewind.learn(key, meaning.change(&entry));
                }
                Ok(())
            },
        )
    }

    /// Makes rows from values. A value that its column no longer takes becomes null.
    fn make(
        &self,
        batch: &[(Option<Value>, Vec<Cell>)],
        doubts: &mut Doubts,
        sink: &mut impl FnMut(Values),
    ) -> Result<()> {
        let memory = OwnedContext::new(c"db_architect rows made");
        memory.within(|| {
            let objects: Vec<Vec<u8>> =
                batch.iter().map(|(_, cells)| self.object(cells, &[], doubts)).collect();
            let made = attempt(|| {
                Ok(batch
                    .iter()
                    .zip(&objects)
                    .map(|((base, _), object)| self.row_type.populate(*base, object))
                    .collect::<Vec<_>>())
            });
            let made = match made {
                Ok(made) => made,
                Err(_) => batch
                    .iter()
                    .map(|(base, cells)| self.make_with_care(*base, cells, doubts))
                    .collect::<Result<Vec<_>>>()?,
            };
            for row in made {
                let Some(mut values) = self.row_type.expand(row) else { continue };
                // Nothing computes a virtual column of a row that is no longer as it is stored.
                for (i, _) in self.row_type.attributes.iter().enumerate().filter(|(_, a)| a.virtual_generated)
                {
                    values.set_null(i);
                }
                sink(values);
            }
            Ok(())
        })
    }

    fn make_with_care(&self, base: Option<Value>, cells: &[Cell], doubts: &mut Doubts) -> Result<Value> {
        let whole = self.object(cells, &[], doubts);
        if let Ok(row) = attempt(|| Ok(self.row_type.populate(base, &whole))) {
            return Ok(row);
        }
        let mut refused = Vec::new();
        for cell in cells {
            let one = self.object(std::slice::from_ref(cell), &[], doubts);
            if attempt(|| Ok(self.row_type.populate(None, &one))).is_err() {
                doubts.unreadable.insert(self.row_type.attributes[cell.0].name.clone());
                refused.push(cell.0);
            }
        }
        Ok(self.row_type.populate(base, &self.object(cells, &refused, doubts)))
    }

    /// The JSON object of some values, null for those in `refused` and those that were not kept.
    fn object(&self, cells: &[Cell], refused: &[usize], doubts: &mut Doubts) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (i, (column, value)) in cells.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            let name = &self.row_type.attributes[*column].name;
            crate::pg::json::string(name.as_bytes(), &mut out);
            out.push(b':');
            let omitted = raw_json::is_omitted(value);
            if omitted {
                doubts.omitted.insert(name.clone());
            }
            out.extend_from_slice(if omitted || refused.contains(column) { b"null" } else { value });
        }
        out.push(b'}');
        out
    }

    fn tell(&self, doubts: &Doubts) {
        let name = &self.subject.name;
        let warn = |message: String, detail: &str| {
            ereport!(PgLogLevel::WARNING, PgSqlErrorCode::ERRCODE_WARNING, message, detail.to_owned());
        };
        if doubts.lost {
            warn(
                format!("table {name} was truncated since; rows may be missing"),
                "Rows that were there when auditing began and were not changed until the TRUNCATE are not in the log.",
            );
        }
        if doubts.incomplete > 0 {
            warn(
                format!(
                    "{} rows of table {name} are shown with nulls for values that are not in the log",
                    doubts.incomplete
                ),
                "They were there when auditing began and were truncated since; the log has only what changed of them.",
            );
        }
        if !doubts.omitted.is_empty() {
            warn(
                format!("values of table {name} that were too large to record are shown as null"),
                &format!("Columns: {}.", list(&doubts.omitted)),
            );
        }
        if !doubts.unreadable.is_empty() {
            warn(
                format!("values of table {name} that their columns no longer take are shown as null"),
                &format!("The type of these columns was changed since: {}.", list(&doubts.unreadable)),
            );
        }
        let hidden = || {
            spi::read_one::<bool>(
                "SELECT pg_catalog.row_security_active($1::pg_catalog.oid)",
                &[self.relid.into()],
            ) == Some(true)
        };
        if doubts.mismatches > 0 && !hidden() {
            warn(
                format!("{} recorded changes of table {name} do not fit its rows", doubts.mismatches),
                "Rows were changed without being recorded, or partitions attached or detached. See architect.audit_coverage().",
            );
        }
    }
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

//! Undoing changes of one table: what the log says of the rows, what they are now, what speaks against
//! it, and the statements that do it.

use crate::audit::entries::{Entry, Meaning};
use crate::audit::revert_sql::Target;
use crate::audit::rewind::{Cell, Key};
use crate::audit::row_key;
use crate::audit::subject::Subject;
use crate::audit::undo::{self, Action, Event, Life, Place, Step};
use crate::capture::key::key_hash;
use crate::capture::raw_json;
use crate::catalog::writing::{self, Column};
use crate::error::{Error, Result};
use crate::pg::datum::timestamptz;
use crate::pg::row_type::{KeptRows, RowType};
use crate::pg::subtransaction::attempt;
use crate::pg::table::{Fields, Table};
use crate::pg::tuple::{Value, Values};
use crate::pg::{json, lookup, rows, security};
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet};

/// Most bytes of one value's text.
const LIMIT: usize = 250_000_000;

pub struct TableUndo {
    pub relid: pg_sys::Oid,
    pub table: String,
    pub entries: Vec<Entry>,
    pub lives: Vec<Life>,
    /// Why a life's changes are not undone.
    pub refused: Vec<Option<String>>,
    pub steps: Vec<Step>,
    /// What else there is to say about a step.
    pub remarks: HashMap<usize, String>,
    pub(super) row_type: RowType,
    pub(super) columns: Vec<Column>,
    key: Vec<usize>,
    pub(super) target: Target,
    now: Vec<Option<Value>>,
    kept: KeptRows,
}

/// A later change that is not to be undone.
pub struct Later {
    pub place: Place,
    pub context_id: i64,
    pub truncate: bool,
}

/// A row that refers to one that is to be deleted.
pub struct Child {
    pub life: usize,
    pub relid: pg_sys::Oid,
    pub table: String,
    pub key: Vec<u8>,
    pub constraint: String,
    pub columns: Vec<String>,
}

impl TableUndo {
    /// `entries`: with a key, oldest first.
    pub fn new(subject: &Subject, relid: pg_sys::Oid, entries: Vec<Entry>) -> Result<Self> {
        let row_type = RowType::of_relation(relid)
            .ok_or_else(|| Error::internal(format!("{} has no row type", subject.name)))?;
        let key =
            Table::open(relid, pg_sys::AccessShareLock as i32).map(|t| t.key_columns()).unwrap_or_default();
        let mut operators = Vec::new();
        for &column in &key {
            let attribute = &row_type.attributes[column];
            let Some(equality) = writing::equality(attribute.type_oid) else {
                return Err(Error::internal(format!("column \"{}\" has no equality", attribute.name)));
            };
            operators.push((pgrx::spi::quote_identifier(&attribute.name), equality));
        }
        let table = lookup::qualified_name(relid).unwrap_or_default();
        let only = if lookup::is_partitioned(relid) { "" } else { "ONLY " };
        let target = Target { table: table.clone(), only, key: operators };
        let meanings = Meaning::all(subject);
        let mut events = Vec::with_capacity(entries.len());
        let mut foreign = HashSet::new();
        for (i, entry) in entries.iter().enumerate() {
            let (Some(meaning), Some(key_text)) = (meanings.get(&entry.relation_id), &entry.key) else {
                return Err(Error::internal("an entry of another table"));
            };
            if meaning.key.as_ref() != Some(&key) {
                foreign.insert(i);
            }
            events.push(Event {
                place: (entry.changed_at, entry.audit_id),
                key: key_text.clone(),
                change: meaning.change(entry),
            });
        }
        let lives = undo::lives(&events);
        let refused: Vec<Option<String>> = lives
            .iter()
            .map(|life| {
                let other = life.events.iter().any(|i| foreign.contains(i));
                other.then(|| "the table's key columns are others now".to_owned())
            })
            .collect();
        let columns = writing::columns(relid)?;
        let unique: HashSet<usize> = match writing::unique_columns(relid)? {
            Some(names) => columns.iter().filter(|c| names.contains(&c.name)).map(|c| c.position).collect(),
            None => columns.iter().map(|c| c.position).collect(),
        };
        let steps =
            lives.iter().enumerate().flat_map(|(i, life)| undo::steps(i, life, &events, &unique)).collect();
        Ok(Self {
            relid,
            table,
            entries,
            now: vec![None; lives.len()],
            lives,
            refused,
            steps,
            remarks: HashMap::new(),
            row_type,
            columns,
            key,
            target,
            kept: KeptRows::new(),
        })
    }

    pub fn refuse(&mut self, life: usize, reason: impl FnOnce() -> String) {
        self.refused[life].get_or_insert_with(reason);
    }

    pub fn place(&self, event: usize) -> Place {
        (self.entries[event].changed_at, self.entries[event].audit_id)
    }

    /// Reads the rows as they are, as the caller; locked until the end of the transaction if they are to
    /// be changed.
    pub fn read_present(&mut self, lock: bool) -> Result<()> {
        let wanted: Vec<usize> = (0..self.lives.len()).filter(|&i| self.refused[i].is_none()).collect();
        let documents: Vec<String> = wanted
            .iter()
            .map(|&i| {
                let life = &self.lives[i];
                text(self.key_object(if life.exists { &life.last_key } else { &life.first_key }))
            })
            .collect();
        let mut alias = "r".to_owned();
        while self.row_type.attributes.iter().any(|a| a.name == alias) || alias == "d" || alias == "k" {
            alias.push('_');
        }
        let query = self.target.fetch(&alias, lock);
        let mut found: Vec<(usize, Value)> = Vec::new();
        let each = |row: &Fields| {
            let n = row.get::<i64>(0).unwrap_or(1) as usize - 1;
            found.push((wanted[n], self.kept.keep(row.value(1))));
            Ok(())
        };
        if lock {
            rows::each_now(&query, &[documents.into()], each)?;
        } else {
            rows::each(&query, &[documents.into()], each)?;
        }
        for (life, row) in found {
            self.now[life] = Some(row);
        }
        Ok(())
    }

    /// The first change of each row since, that is not one of those to undo.
    pub fn later(&self, subject: &Subject, selected: &HashSet<i64>) -> Result<HashMap<usize, Later>> {
        let mut found: HashMap<usize, Later> = HashMap::new();
        let Some(first) = self.entries.iter().map(|e| e.changed_at).min() else { return Ok(found) };
        let mut by_key: HashMap<&[u8], Vec<(usize, Place)>> = HashMap::new();
        let mut hashes = Vec::new();
        for (i, life) in self.lives.iter().enumerate().filter(|(i, _)| self.refused[*i].is_none()) {
            for (key, since) in &life.keys {
                by_key.entry(key).or_default().push((i, *since));
                hashes.extend(subject.table_ids.iter().map(|&id| key_hash(id, key)));
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        // A TRUNCATE is filed under no key.
        hashes.push(0);
        security::as_extension_owner(|| {
            rows::each_now(
                "SELECT e.changed_at, e.audit_id, e.operation, e.relation_id, e.context_id, e.row_key
                   FROM architect.audit_entry AS e
                  WHERE e.key_hash OPERATOR(pg_catalog.=) ANY ($1) AND e.relation_id OPERATOR(pg_catalog.=) ANY ($2)
                    AND e.changed_at OPERATOR(pg_catalog.>=) $3
                  ORDER BY e.changed_at, e.audit_id",
                &[hashes.into(), subject.relation_ids().into(), timestamptz(first).into()],
                |row| {
                    let place: Place = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
                    let later = |truncate| Later { place, context_id: row.get(4).unwrap_or_default(), truncate };
                    if row.get::<i8>(2).unwrap_or_default() as u8 == b'T' {
                        let shape = subject.shape(row.get(3).unwrap_or_default());
                        for life in self.truncated(subject, shape.filter(|s| s.partition.is_some()).map(|s| s.relid), place) {
                            found.entry(life).or_insert_with(|| later(true));
                        }
                    } else if !selected.contains(&place.1) {
                        for (life, since) in by_key.get(row.bytes(5)).into_iter().flatten() {
                            if place > *since {
                                found.entry(*life).or_insert_with(|| later(false));
                            }
                        }
                    }
                    Ok(())
                },
            )
        })?;
        Ok(found)
    }

    /// Lives of rows in a relation (none: all) that began before a TRUNCATE.
    fn truncated(&self, subject: &Subject, relid: Option<u32>, place: Place) -> Vec<usize> {
        let within = |entry: usize| {
            let shape = subject.shape(self.entries[entry].relation_id);
            relid.is_none_or(|relid| shape.is_some_and(|s| s.relid == relid))
        };
        let lives = self.lives.iter().enumerate();
        lives
            .filter(|(_, life)| self.place(life.events[0]) < place && life.events.iter().any(|&e| within(e)))
            .map(|(i, _)| i)
            .collect()
    }

    /// Refuses rows that are not as the last of their changes left them, and those that cannot be
    /// brought back; drops from the steps what need not be written.
    pub fn compare(&mut self) {
        for i in 0..self.lives.len() {
            if self.refused[i].is_none() {
                self.refused[i] = self.differs(i);
            }
        }
        let mut steps = std::mem::take(&mut self.steps);
        for step in &mut steps {
            if self.refused[step.life].is_some() {
                continue;
            }
            match self.prepare(step) {
                Ok(Some(remark)) => {
                    self.remarks.insert(step.event, remark);
                }
                Ok(None) => {}
                Err(reason) => self.refused[step.life] = Some(reason),
            }
        }
        steps.retain(|step| step.action == Action::Delete || !step.cells.is_empty());
        self.steps = steps;
    }

    fn differs(&self, life: usize) -> Option<String> {
        let now = self.now[life].and_then(|row| self.row_type.expand(row));
        let life = &self.lives[life];
        match (life.exists, now) {
            (false, None) => None,
            (false, Some(_)) => life.existed.then(|| "a row with this key is there again".to_owned()),
            (true, None) => Some("the row is no longer there, or not visible to you".to_owned()),
            (true, Some(now)) => {
                let changed: Vec<&str> = life
                    .after
                    .iter()
                    .filter(|(column, value)| !self.same(&now, *column, value))
                    .map(|(column, _)| self.row_type.attributes[*column].name.as_str())
                    .collect();
                (!changed.is_empty()).then(|| {
                    format!("changed since without an entry in the log: column {}", changed.join(", "))
                })
            }
        }
    }

    /// Whether a column's present value is what the log says, read as its present type.
    fn same(&self, now: &Values, column: usize, value: &[u8]) -> bool {
        let generated = self.columns.iter().any(|c| c.position == column && c.generated);
        if generated || raw_json::is_omitted(value) {
            return true;
        }
        let encoded = |row: &Values| {
            let mut out = Vec::new();
            self.row_type.encoder.write(column, row.get(column), &mut out, LIMIT).ok().map(|()| out)
        };
        let present = encoded(now);
        if present.as_deref() == Some(value) {
            return true;
        }
        let object = self.object(&[(column, value.into())]);
        let read = attempt(|| {
            let row = self.row_type.populate(None, &object);
            Ok(self.row_type.expand(row).and_then(|row| encoded(&row)))
        });
        matches!(read, Ok(read) if read.is_some() && read == present)
    }

    /// Leaves in a step what is to be written; says what else there is to know, or why it cannot be done.
    fn prepare(&self, step: &mut Step) -> std::result::Result<Option<String>, String> {
        if step.action == Action::Delete {
            return Ok(None);
        }
        let column = |position: usize| self.columns.iter().find(|c| c.position == position);
        step.cells.retain(|(position, _)| column(*position).is_some_and(|c| !c.generated));
        let now = self.now[step.life].and_then(|row| self.row_type.expand(row));
        let alone = self.steps_of(step.life) <= 1;
        if let (Action::Update, Some(now), true) = (step.action, &now, alone) {
            step.cells
                .retain(|(position, value)| raw_json::is_omitted(value) || !self.same(now, *position, value));
        }
        if let Some((position, _)) = step.cells.iter().find(|(_, value)| raw_json::is_omitted(value)) {
            let name = &self.row_type.attributes[*position].name;
            return Err(format!("the value of column {name} was too large to record"));
        }
        match step.action {
            Action::Update => {
                let fixed = step.cells.iter().filter_map(|(p, _)| column(*p)).find(|c| c.identity_always);
                match fixed {
                    Some(c) => Err(format!(
                        "column {} is GENERATED ALWAYS AS IDENTITY and cannot be updated",
                        c.name
                    )),
                    None => Ok(None),
                }
            }
            _ => {
                let missing: Vec<&Column> = self
                    .columns
                    .iter()
                    .filter(|c| {
                        !c.generated && !step.cells.iter().any(|(position, _)| *position == c.position)
                    })
                    .collect();
                if let Some(c) = missing.iter().find(|c| c.not_null && !c.has_default) {
                    return Err(format!(
                        "column {} was not recorded, has no default and takes no null",
                        c.name
                    ));
                }
                let names: Vec<&str> = missing.iter().map(|c| c.name.as_str()).collect();
                Ok((!names.is_empty())
                    .then(|| format!("not recorded, takes its default: {}", names.join(", "))))
            }
        }
    }

    fn steps_of(&self, life: usize) -> usize {
        let life = &self.lives[life];
        // Lives of several steps are those undone one by one.
        if life.existed && life.exists { life.events.len() } else { 1 }
    }

    /// Rows that refer to rows a step deletes.
    pub fn children(&self) -> Result<Vec<Child>> {
        let mut found = Vec::new();
        let going: Vec<usize> = self
            .steps
            .iter()
            .filter(|step| step.action == Action::Delete && self.refused[step.life].is_none())
            .map(|step| step.life)
            .collect();
        if going.is_empty() {
            return Ok(found);
        }
        for referrer in writing::referrers(self.relid)? {
            let positions: Vec<usize> = referrer
                .columns
                .iter()
                .filter_map(|name| self.row_type.attributes.iter().position(|a| a.name == *name))
                .collect();
            let mut asked = Vec::new();
            let mut documents: Vec<String> = Vec::new();
            for &life in &going {
                let Some(now) = self.now[life].and_then(|row| self.row_type.expand(row)) else { continue };
                let cells: Vec<Cell> = positions
                    .iter()
                    .map(|&p| {
                        let mut out = Vec::new();
                        let _ = self.row_type.encoder.write(p, now.get(p), &mut out, LIMIT);
                        (p, out.into_boxed_slice())
                    })
                    .collect();
                documents.push(text(self.object(&cells)));
                asked.push(life);
            }
            let Some(child_type) = RowType::of_relation(referrer.relid) else { continue };
            let child_key = Table::open(referrer.relid, pg_sys::AccessShareLock as i32)
                .map(|t| t.key_columns())
                .unwrap_or_default();
            let child = lookup::qualified_name(referrer.relid).unwrap_or_default();
            let mut alias = "r".to_owned();
            while child_type.attributes.iter().chain(&self.row_type.attributes).any(|a| a.name == alias) {
                alias.push('_');
            }
            let on: Vec<String> = (0..referrer.columns.len())
                .map(|i| {
                    let (own, other) = (&referrer.columns[i], &referrer.referring[i]);
                    format!(
                        "p.{} {} {alias}.{}",
                        pgrx::spi::quote_identifier(own),
                        referrer.operators[i],
                        pgrx::spi::quote_identifier(other)
                    )
                })
                .collect();
            let only = if lookup::is_partitioned(referrer.relid) { "" } else { "ONLY " };
            let query = format!(
                "SELECT d.n, {alias} FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS d (doc, n)
                  CROSS JOIN LATERAL pg_catalog.json_populate_record(NULL::{}, d.doc::pg_catalog.json) AS p
                   JOIN {only}{child} AS {alias} ON {}",
                self.table,
                on.join(" AND ")
            );
            rows::each_now(&query, &[documents.into()], |row| {
                let mut key = Vec::new();
                if let Some(values) = child_type.expand(row.value(1)) {
                    row_key::write(&child_type, &child_key, &values, &mut key);
                }
                found.push(Child {
                    life: asked[row.get::<i64>(0).unwrap_or(1) as usize - 1],
                    relid: referrer.relid,
                    table: child.clone(),
                    key,
                    constraint: referrer.name.clone(),
                    columns: referrer.referring.clone(),
                });
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Whether undoing a life takes its row away or writes one of these columns.
    pub fn lets_go(&self, life: usize, columns: &[String]) -> bool {
        self.refused[life].is_none()
            && self.steps.iter().filter(|step| step.life == life).any(|step| {
                step.action == Action::Delete
                    || step.cells.iter().any(|(p, _)| columns.contains(&self.row_type.attributes[*p].name))
            })
    }

    pub(super) fn key_cells(&self, key: &[u8]) -> Vec<Cell> {
        let mut cells = Vec::new();
        crate::audit::entries::add_key(&mut cells, &self.key, key);
        cells
    }

    pub(super) fn key_object(&self, key: &Key) -> Vec<u8> {
        self.object(&self.key_cells(key))
    }

    pub(super) fn object(&self, cells: &[Cell]) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (i, (position, value)) in cells.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            json::string(self.row_type.attributes[*position].name.as_bytes(), &mut out);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.push(b'}');
        out
    }
}

/// JSON text as a parameter's value.
fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

//! Undoing recorded changes in the tables themselves: what is chosen, what is refused and why, and in
//! which order the rest is done.

use crate::audit::answerable;
use crate::audit::entries::{self, Entry, Order};
use crate::audit::lineage::LoggedShape;
use crate::audit::revert_table::{Later, TableUndo};
use crate::audit::subject::{self, Subject};
use crate::audit::undo::{Action, Place};
use crate::capture::policy::{self, Kind};
use crate::capture::raw_json;
use crate::error::{Error, Result};
use crate::pg::datum::timestamptz;
use crate::pg::statements::with_triggers_last;
use crate::pg::{datum, json, lookup, rows, security, spi};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Which changes to undo: one of the three.
pub enum Choice {
    Transaction(u64),
    Correlation(pgrx::Uuid),
    Since(pg_sys::Oid, i64),
}

/// What becomes of one entry.
pub struct Outcome {
    pub place: Place,
    pub table: String,
    pub row_key: Option<String>,
    pub action: &'static str,
    pub status: &'static str,
    pub reason: Option<String>,
    pub statement: Option<String>,
}

/// Plans the undoing and, unless it is a dry run, does it. One outcome for each entry, in the order of
/// undoing.
pub fn revert(choice: &Choice, dry_run: bool) -> Result<Vec<Outcome>> {
    subject::check_reader()?;
    if !Kind::Audit.storage_exists() {
        return Ok(Vec::new());
    }
    let entries = select(choice)?;
    let shapes = shapes(&entries)?;
    let selected: HashSet<i64> = entries.iter().map(|e| e.audit_id).collect();
    let mut refused: Vec<(Entry, String)> = Vec::new();
    let mut by_table: BTreeMap<i32, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        let table_id = shapes.get(&entry.relation_id).map_or(0, |shape| shape.table_id);
        if entry.operation == b'T' {
            refused.push((
                entry,
                "a TRUNCATE cannot be undone: its entry does not hold the rows it removed".into(),
            ));
        } else if entry.key.is_none() {
            refused.push((entry, "recorded without a key, so its row cannot be found".into()));
        } else {
            by_table.entry(table_id).or_default().push(entry);
        }
    }
    let mut tables = Vec::new();
    for (table_id, entries) in by_table {
        match subject_of(table_id)? {
            Ok((subject, relid)) => {
                tables.push(plan(&subject, relid, table_id, entries, &selected, !dry_run)?)
            }
            Err(reason) => refused.extend(entries.into_iter().map(|entry| (entry, reason.clone()))),
        }
    }
    refuse_parents(&mut tables)?;
    if !dry_run {
        apply(&tables)?;
    }
    let mut outcomes: Vec<Outcome> = refused
        .into_iter()
        .map(|(entry, reason)| Outcome {
            reason: Some(reason),
            status: "refused",
            ..outcome(&entry, &shapes)
        })
        .collect();
    for table in &tables {
        report(table, &shapes, dry_run, &mut outcomes);
    }
    outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.place));
    Ok(outcomes)
}

/// Reads the chosen entries, oldest first.
fn select(choice: &Choice) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    let mut each = |entry| {
        found.push(entry);
        Ok(())
    };
    match choice {
        // Numbers of transactions of another cluster, from before a restore, mean nothing here.
        Choice::Transaction(txid) => {
            let since = security::as_extension_owner(subject::identifiers_since)?;
            entries::read(
                "e.txid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.xid8 AND e.changed_at OPERATOR(pg_catalog.>=) $2",
                Order::OldestFirst,
                true,
                &[txid.to_string().into(), timestamptz(since).into()],
                each,
            )?;
        }
        Choice::Correlation(id) => {
            let (mut contexts, mut first, mut last) = (Vec::new(), i64::MAX, i64::MIN);
            security::as_extension_owner(|| {
                rows::each(
                    "SELECT c.context_id, c.recorded_at, c.recorded_at OPERATOR(pg_catalog.+) '29 days'::pg_catalog.interval
                       FROM architect.capture_context AS c WHERE c.correlation_id OPERATOR(pg_catalog.=) $1",
                    &[(*id).into()],
                    |row| {
                        contexts.push(row.get::<i64>(0).unwrap_or_default());
                        first = first.min(row.get(1).unwrap_or(i64::MAX));
                        last = last.max(row.get(2).unwrap_or(i64::MIN));
                        Ok(())
                    },
                )
            })?;
            entries::read(
                "e.context_id OPERATOR(pg_catalog.=) ANY ($1) AND e.changed_at OPERATOR(pg_catalog.>=) $2
                 AND e.changed_at OPERATOR(pg_catalog.<) $3",
                Order::OldestFirst,
                true,
                &[contexts.into(), timestamptz(first).into(), timestamptz(last).into()],
                each,
            )?;
        }
        Choice::Since(relid, since) => {
            let subject = Subject::of_relation(*relid)?;
            let (relations, above) = answerable::relevant(&subject, *relid)?;
            entries::read(
                "e.changed_at OPERATOR(pg_catalog.>=) $1
                 AND (e.relation_id OPERATOR(pg_catalog.=) ANY ($2)
                      OR e.relation_id OPERATOR(pg_catalog.=) ANY ($3) AND e.operation OPERATOR(pg_catalog.=) 'T')",
                Order::OldestFirst,
                true,
                &[timestamptz(*since).into(), relations.into(), above.into()],
                &mut each,
            )?;
        }
    }
    Ok(found)
}

fn shapes(entries: &[Entry]) -> Result<HashMap<i32, LoggedShape>> {
    let mut relations: Vec<i32> = entries.iter().map(|e| e.relation_id).collect();
    relations.sort_unstable();
    relations.dedup();
    let tables = security::as_extension_owner(|| {
        spi::read(
            "SELECT DISTINCT r.table_id FROM architect.capture_relation AS r WHERE r.relation_id OPERATOR(pg_catalog.=) ANY ($1)",
            &[relations.into()],
            |row| row.get::<i32>(1),
        )
    })?;
    let tables: Vec<i32> = tables.into_iter().flatten().collect();
    let all = security::as_extension_owner(|| subject::shapes(&tables))?;
    Ok(all.into_iter().map(|shape| (shape.relation_id, shape)).collect())
}

/// The table a number stands for, if it is there and audited; else why its changes stay.
fn subject_of(table_id: i32) -> Result<std::result::Result<(Subject, pg_sys::Oid), String>> {
    let Some(policy) = policy::numbered(Kind::Audit, table_id)? else {
        return Ok(Err("the table is no longer audited: what has changed since is not known".into()));
    };
    let relid = if policy::identifiers_are_ours()? {
        Some(policy.relid).filter(|relid| lookup::relation_name(*relid).is_some())
    } else {
        lookup::relation_named(&policy.schema_name, &policy.table_name)
    };
    let Some(relid) = relid else { return Ok(Err("the table is no longer there".into())) };
    Ok(Ok((Subject::of_relation(relid)?, relid)))
}

/// Works out what to do in one table.
fn plan(
    subject: &Subject,
    relid: pg_sys::Oid,
    table_id: i32,
    entries: Vec<Entry>,
    selected: &HashSet<i64>,
    lock: bool,
) -> Result<TableUndo> {
    let began = security::as_extension_owner(|| answerable::earliest(table_id))?;
    let mut table = TableUndo::new(subject, relid, entries)?;
    for life in 0..table.lives.len() {
        if table.place(table.lives[life].events[0]).0 < began {
            table.refuse(life, || {
                "the audit of the table was interrupted since: what has changed then is not known".into()
            });
        }
    }
    // Locked first, so that the log then read has every change of these rows.
    table.read_present(lock)?;
    let later = table.later(subject, selected)?;
    let who = contexts(&later)?;
    for (life, later) in later {
        table.refuse(life, || {
            let (id, at) = (later.place.1, answerable::time_text(later.place.0));
            let by = who.get(&later.context_id).map_or("somebody", String::as_str);
            let what = if later.truncate { "truncated" } else { "changed" };
            format!("{what} since by audit_id {id} at {at} by {by}")
        });
    }
    table.compare();
    Ok(table)
}

/// Who is behind the contexts of later changes.
fn contexts(later: &HashMap<usize, Later>) -> Result<HashMap<i64, String>> {
    let mut ids: Vec<i64> = later.values().map(|l| l.context_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = HashMap::new();
    security::as_extension_owner(|| {
        rows::each_now(
            "SELECT c.context_id, c.session_role, c.actor FROM architect.capture_context AS c
              WHERE c.context_id OPERATOR(pg_catalog.=) ANY ($1)",
            &[ids.into()],
            |row| {
                let role = row.get::<String>(1).unwrap_or_default();
                let by = match row.get::<String>(2) {
                    Some(actor) => format!("{role} (actor {actor})"),
                    None => role,
                };
                found.insert(row.get(0).unwrap_or_default(), by);
                Ok(())
            },
        )
    })?;
    Ok(found)
}

/// Refuses to delete a row that rows refer to which stay: a foreign key would take them along, or fail.
fn refuse_parents(tables: &mut [TableUndo]) -> Result<()> {
    let mut children = Vec::new();
    for (i, table) in tables.iter().enumerate() {
        children.extend(table.children()?.into_iter().map(|child| (i, child)));
    }
    let last_keys: HashMap<(pg_sys::Oid, Vec<u8>), (usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(i, table)| {
            let lives = table.lives.iter().enumerate().filter(|(_, life)| life.exists);
            lives.map(move |(n, life)| ((table.relid, life.last_key.to_vec()), (i, n)))
        })
        .collect();
    loop {
        let mut more = false;
        for (i, child) in &children {
            let leaves = last_keys
                .get(&(child.relid, child.key.clone()))
                .is_some_and(|&(table, life)| tables[table].lets_go(life, &child.columns));
            if !leaves && tables[*i].refused[child.life].is_none() {
                more = true;
                tables[*i].refuse(child.life, || {
                    let key = String::from_utf8_lossy(&child.key).into_owned();
                    format!(
                        "row {key} of table {} refers to it (foreign key {})",
                        child.table, child.constraint
                    )
                });
            }
        }
        if !more {
            return Ok(());
        }
    }
}

/// Does what was planned, the latest change first.
fn apply(tables: &[TableUndo]) -> Result<()> {
    let mut order: Vec<(Place, usize, usize)> = Vec::new();
    for (i, table) in tables.iter().enumerate() {
        let steps = table.steps.iter().enumerate().filter(|(_, step)| table.refused[step.life].is_none());
        order.extend(steps.map(|(n, step)| (table.place(step.event), i, n)));
    }
    order.sort_unstable_by(|a, b| b.cmp(a));
    if order.is_empty() {
        return Ok(());
    }
    with_triggers_last(|statements| {
        for (place, i, n) in order {
            let (table, step) = (&tables[i], &tables[i].steps[n]);
            let (statement, parameters) = table.statement(step);
            let parameters: Vec<&[u8]> = parameters.iter().map(Vec::as_slice).collect();
            if statements.run(&statement, &parameters)? != 1 {
                return Err(Error::not_in_prerequisite_state(format!(
                    "the change with audit_id {} could not be undone",
                    place.1
                ))
                .detail(format!("This changed no row: {}", table.shown(step)))
                .hint(
                    "A trigger or a row-level security policy of the table prevents it. Nothing was undone.",
                ));
            }
        }
        Ok(())
    })
}

fn outcome(entry: &Entry, shapes: &HashMap<i32, LoggedShape>) -> Outcome {
    let shape = shapes.get(&entry.relation_id);
    Outcome {
        place: (entry.changed_at, entry.audit_id),
        table: shape.map(|s| lookup::qualify(&s.schema_name, &s.table_name)).unwrap_or_default(),
        row_key: shape.zip(entry.key.as_deref()).map(|(shape, key)| key_text(&shape.key_columns, key)),
        action: "NONE",
        status: "refused",
        reason: None,
        statement: None,
    }
}

fn key_text(columns: &[String], key: &[u8]) -> String {
    let parts = if columns.len() == 1 { vec![key] } else { raw_json::elements(key) };
    let mut out = vec![b'{'];
    for (i, (column, part)) in columns.iter().zip(parts).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::string(column.as_bytes(), &mut out);
        out.push(b':');
        out.extend_from_slice(part);
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

fn report(table: &TableUndo, shapes: &HashMap<i32, LoggedShape>, dry_run: bool, into: &mut Vec<Outcome>) {
    let steps: HashMap<usize, usize> = table.steps.iter().enumerate().map(|(n, s)| (s.event, n)).collect();
    let done = if dry_run { "planned" } else { "applied" };
    for (number, life) in table.lives.iter().enumerate() {
        let with = life.events.iter().find(|event| steps.contains_key(event));
        for event in &life.events {
            let mut outcome =
                Outcome { table: table.table.clone(), ..outcome(&table.entries[*event], shapes) };
            if let Some(reason) = &table.refused[number] {
                outcome.reason = Some(reason.clone());
                into.push(outcome);
                continue;
            }
            outcome.status = done;
            match (steps.get(event), with) {
                (Some(&n), _) => {
                    let step = &table.steps[n];
                    outcome.action = match step.action {
                        Action::Insert => "INSERT",
                        Action::Update => "UPDATE",
                        Action::Delete => "DELETE",
                    };
                    outcome.reason = table.remarks.get(event).cloned();
                    outcome.statement = Some(table.shown(step));
                }
                (None, Some(with)) => {
                    outcome.reason =
                        Some(format!("undone together with audit_id {}", table.entries[*with].audit_id));
                }
                (None, None) => outcome.reason = Some("nothing is left of it to undo".into()),
            }
            into.push(outcome);
        }
    }
}

impl Outcome {
    /// The columns of revert_changes.
    pub fn datums(self) -> [Option<pg_sys::Datum>; 8] {
        [
            self.place.1.into_datum(),
            self.place.0.into_datum(),
            self.table.into_datum(),
            self.row_key.map(|key| datum::jsonb(&key)),
            self.action.into_datum(),
            self.status.into_datum(),
            self.reason.into_datum(),
            self.statement.into_datum(),
        ]
    }
}

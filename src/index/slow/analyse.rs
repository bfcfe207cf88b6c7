//! Planning each statement, and asking the advisor which indexes would help it.

use crate::catalog::index;
use crate::error::Result;
use crate::index::advice;
use crate::index::advisor::{self, Request};
use crate::index::slow::figures::{self, Figures};
use crate::index::slow::rules::{self, Finding, Table, Tables};
use crate::index::workload::{Entry, Workload, patiently};
use crate::pg::plan_shape::Kind;
use crate::pg::planning::{Parameters, Statement};
use crate::pg::subtransaction::attempt;
use crate::pg::whatif::Configuration;
use crate::pg::{lookup, security, session, spi};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use std::collections::HashMap;

pub struct Analysed {
    pub figures: Figures,
    pub finding: Finding,
}

/// Part of a statement's cost, in percent, that an index has to save to be worth a word.
const WORTH: f64 = 20.0;
/// Columns of an index that is tried.
const COLUMNS: usize = 3;
/// Microseconds to find the indexes for one statement in.
const PATIENCE: i64 = 2_000_000;

pub fn all(min_mean: &Interval, top: i32) -> Result<Vec<Analysed>> {
    let (least, indexes) = security::with_safe_search_path(|| {
        let least = "SELECT (extract(epoch FROM $1) * 1000)::float8";
        (spi::read_one::<f64>(least, &[(*min_mean).into()]), index::all())
    });
    let indexes = indexes?;
    let mut indexed: HashMap<pg_sys::Oid, Vec<i16>> = HashMap::new();
    for index in indexes.iter().filter(|index| index.usable()) {
        let first = index.keys.first().and_then(|key| key.column);
        indexed.entry(index.table).or_default().extend(first);
    }
    let mut work = Work { indexed, tables: Tables::new() };
    let mut all = Vec::new();
    for figures in figures::read(min_mean, top)? {
        pgrx::check_for_interrupts!();
        let slow = figures.mean_ms() >= least.unwrap_or_default();
        let found = match attempt(|| patiently(|| work.findings(&figures, slow))) {
            Ok(found) => found,
            Err(error) if error.is_cancel() => return Err(error),
            // The message may hold a constant of the statement: its code alone is shown.
            Err(error) => vec![plain("not_analyzed", not_planned(&error.sqlstate()))],
        };
        let found = if found.is_empty() && slow {
            vec![plain("none", "nothing conspicuous in its plan and figures".to_owned())]
        } else {
            found
        };
        all.extend(found.into_iter().map(|finding| Analysed { figures: figures.clone(), finding }));
    }
    Ok(all)
}

fn plain(kind: &'static str, detail: String) -> Finding {
    Finding { kind, priority: "LOW", detail, recommendation: String::new() }
}

fn not_planned(sqlstate: &str) -> String {
    let why = match sqlstate {
        "42501" => ": a role that ran it lacks a privilege, or the current role the rights of any that did",
        "55P03" => ": a table is held by somebody else just now",
        "42P01" => ": a table is gone, or not in the search_path",
        "42703" => ": a column is gone, or it is of a function and names its variables",
        _ => "",
    };
    format!("planning it fails with SQLSTATE {sqlstate}{why}")
}

struct Work {
    indexed: HashMap<pg_sys::Oid, Vec<i16>>,
    tables: Tables,
}

impl Work {
    fn findings(&mut self, figures: &Figures, slow: bool) -> Result<Vec<Finding>> {
        let Some(text) = &figures.text else {
            return Ok(vec![plain("not_analyzed", "the current role may not see its text".to_owned())]);
        };
        if figures.author.is_none() {
            return Ok(vec![plain("not_analyzed", not_planned("42501"))]);
        }
        let statement = Statement::repaired(text, figures.author)?;
        let shape = statement.shape(&Configuration::default(), &Parameters::none())?;
        for node in &shape.nodes {
            if let Kind::SequentialScan { relation, .. } | Kind::IndexScan { relation, .. } = &node.kind {
                self.look_at(*relation)?;
            }
        }
        let mut found = rules::findings(figures, &shape, &self.tables, slow);
        if slow {
            found.splice(0..0, self.missing_indexes(text, figures)?);
        }
        Ok(found)
    }

    /// What the advisor would create for this statement alone, and what of it is worth a word.
    fn missing_indexes(&self, text: &str, figures: &Figures) -> Result<Vec<Finding>> {
        let entry = Entry {
            query_id: figures.query_id,
            text: text.to_owned(),
            calls: figures.calls,
            total_ms: figures.total_ms,
            rows: figures.rows,
            author: figures.author,
        };
        let request = Request {
            budget: f64::INFINITY,
            max_columns: COLUMNS,
            deadline: session::clock().saturating_add(PATIENCE),
            schemas: None,
            weigh_writes: false,
        };
        let workload = Workload { entries: vec![entry], days: 1.0, measured: true };
        let outcome = advisor::advise(&request, &workload)?;
        let (mut found, mut taken) = (Vec::new(), Vec::new());
        for creation in &outcome.creations {
            let saved =
                100.0 * (creation.before - creation.after) / outcome.total_before.max(f64::MIN_POSITIVE);
            if saved < WORTH {
                continue;
            }
            let (_, statement, _) = advice::statements(&creation.spec, &mut taken);
            found.push(Finding {
                kind: "missing_index",
                priority: if saved >= 80.0 { "HIGH" } else { "MEDIUM" },
                detail: format!(
                    "an index on {} of {} would save {saved:.0} % of its planned cost and take {:.1} MB",
                    creation.spec.columns().join(", "),
                    lookup::qualified_name(creation.spec.relid).unwrap_or_default(),
                    creation.bytes / 1_048_576.0
                ),
                recommendation: statement,
            });
        }
        Ok(found)
    }

    fn look_at(&mut self, relation: pg_sys::Oid) -> Result<()> {
        if self.tables.contains_key(&relation) {
            return Ok(());
        }
        let facts = spi::read_now(
            "SELECT c.relpages::pg_catalog.float8, pg_catalog.pg_stat_get_live_tuples(c.oid)::pg_catalog.float8,
                    c.reltuples::pg_catalog.float8, pg_catalog.pg_stat_get_mod_since_analyze(c.oid)::pg_catalog.float8,
                    EXISTS (SELECT FROM pg_catalog.pg_stats AS s
                             WHERE s.schemaname OPERATOR(pg_catalog.=) n.nspname AND s.tablename OPERATOR(pg_catalog.=) c.relname)
               FROM pg_catalog.pg_class AS c
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
              WHERE c.oid OPERATOR(pg_catalog.=) $1",
            &[relation.into()],
            |row| {
                let number = |i| row.get::<f64>(i).map(Option::unwrap_or_default);
                Ok((number(1)?, number(2)?, number(3)?, number(4)?, row.get::<bool>(5)?.unwrap_or_default()))
            },
        )?;
        let Some(&(pages, live, counted, changed, analyzed)) = facts.first() else { return Ok(()) };
        let columns = crate::catalog::column::columns(relation)?;
        let size = lookup::relation_size(relation).map(|bytes| bytes as f64 / f64::from(pg_sys::BLCKSZ));
        let table = Table {
            name: lookup::qualified_name(relation).unwrap_or_default(),
            pages: size.unwrap_or(pages),
            rows: live.max(counted),
            changed: analyzed.then_some(changed),
            columns: columns
                .into_iter()
                .map(|column| (column.number, pgrx::spi::quote_identifier(column.name)))
                .collect(),
            indexed: self.indexed.get(&relation).cloned().unwrap_or_default(),
        };
        self.tables.insert(relation, table);
        Ok(())
    }
}

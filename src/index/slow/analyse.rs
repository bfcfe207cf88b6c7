//! Planning each statement, and asking the advisor which indexes would help it.

use crate::catalog::index;
use crate::catalog::workload::search_path_of;
use crate::error::{Error, Result};
use crate::index::advice;
use crate::index::advisor::{self, Request};
use crate::index::replace::LEAST_OF_A_CALL;
use crate::index::slow::figures::{self, Caller, Figures};
use crate::index::slow::rules::{self, Facts, Finding, Table, Tables};
use crate::index::values::{self, Distributions};
use crate::index::workload::{Entry, Workload, in_names_of, patiently};
use crate::pg::plan_shape::Kind;
use crate::pg::planning::{Parameters, Statement};
use crate::pg::query_shape;
use crate::pg::subtransaction::attempt;
use crate::pg::whatif::Configuration;
use crate::pg::{lookup, security, session, spi};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use std::collections::HashMap;
use std::ffi::CString;

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
    let indexes = security::with_safe_search_path(index::all)?;
    let mut work =
        Work { indexed: HashMap::new(), tables: Tables::new(), distributions: Distributions::default() };
    for index in indexes.iter().filter(|index| index.usable()) {
        let Some(first) = index.keys.first() else { continue };
        let Some(column) = first.column else { continue };
        let of = work.indexed.entry(index.table).or_default();
        of.0.push(column);
        if index.method == "btree" && lookup::finds_beginnings(first.family, first.collation) {
            of.1.push(column);
        }
    }
    let mut all = Vec::new();
    for figures in figures::read(min_mean, top)? {
        pgrx::check_for_interrupts!();
        let found = match attempt(|| patiently(|| work.findings(&figures))) {
            Ok(found) => found,
            Err(error) if error.is_cancel() => return Err(error),
            // The message may hold a constant of the statement: its code alone is shown.
            Err(error) if figures.slow => vec![plain("not_analyzed", not_planned(&error.sqlstate()))],
            Err(_) => continue,
        };
        let found = if found.is_empty() && figures.slow {
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
        "22023" => ": a utility statement, or one that a rule takes apart, has no plan",
        "42703" => ": a column is gone, or it is of a function and names its variables",
        _ => "",
    };
    format!("planning it fails with SQLSTATE {sqlstate}{why}")
}

struct Work {
    /// By table, the columns that indexes begin with, and those that a btree finds beginnings of texts by.
    indexed: HashMap<pg_sys::Oid, (Vec<i16>, Vec<i16>)>,
    tables: Tables,
    distributions: Distributions,
}

impl Work {
    fn findings(&mut self, figures: &Figures) -> Result<Vec<Finding>> {
        let unknown = |why| Ok(if figures.slow { vec![plain("not_analyzed", why)] } else { Vec::new() });
        let Some(text) = &figures.text else {
            return unknown("the current role may not see its text".to_owned());
        };
        let Some(author) = figures.author else {
            return unknown(not_planned("42501"));
        };
        let path = search_path_of(author)?;
        let statement = in_names_of(path.as_deref(), || Statement::repaired(text, figures.author))?;
        let shape = statement.shape(&Configuration::default(), &Parameters::none())?;
        for node in &shape.nodes {
            if let Kind::SequentialScan { relation, .. } | Kind::IndexScan { relation } = &node.kind {
                self.look_at(*relation)?;
            }
        }
        let asked = statement.asks();
        let facts = Facts {
            shape: &shape,
            tables: &self.tables,
            expected: if figures.slow {
                expected(&statement, &asked, shape.rows, &mut self.distributions)?
            } else {
                (shape.rows, shape.rows)
            },
            together: together(&asked),
            caller: figures
                .caller
                .as_ref()
                .filter(|_| shape.looks_up)
                .filter(|c| selects(c))
                .map(|c| c.query_id),
        };
        let mut found = rules::findings(figures, &facts);
        if figures.slow {
            found.splice(0..0, self.missing_indexes(text, figures, path)?);
        }
        Ok(found)
    }

    /// What the advisor would create for this statement alone, and what of it is worth a word.
    fn missing_indexes(
        &self,
        text: &str,
        figures: &Figures,
        search_path: Option<CString>,
    ) -> Result<Vec<Finding>> {
        let entry = Entry {
            query_id: figures.query_id,
            text: text.to_owned(),
            calls: figures.calls,
            total_ms: figures.total_ms,
            rows: figures.rows,
            author: figures.author,
            search_path,
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
            if saved < WORTH || figures.mean_ms() * saved < 100.0 * LEAST_OF_A_CALL {
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
                    OR COALESCE(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)) IS NOT NULL
                    -- Whose statistics the caller may not see.
                    OR c.reltuples OPERATOR(pg_catalog.>=) 0 AND (c.relrowsecurity OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT'))
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
        let (indexed, by_beginning) = self.indexed.get(&relation).cloned().unwrap_or_default();
        let table = Table {
            name: lookup::qualified_name(relation).unwrap_or_default(),
            pages: size.unwrap_or(pages),
            rows: live.max(counted),
            changed: analyzed.then_some(changed),
            columns: columns
                .into_iter()
                .map(|column| (column.number, pgrx::spi::quote_identifier(column.name)))
                .collect(),
            indexed,
            by_beginning,
        };
        self.tables.insert(relation, table);
        Ok(())
    }
}

/// Columns of one table that a statement compares by equality, where there are several.
fn together(asked: &query_shape::Shape) -> Option<(pg_sys::Oid, Vec<i16>)> {
    asked.uses.iter().find_map(|table| {
        let equal = |clause: &&query_shape::Clause| {
            clause.certain && !clause.join && clause.kind == query_shape::Kind::Equal
        };
        let mut columns: Vec<i16> = table
            .clauses
            .iter()
            .filter(equal)
            .filter_map(|clause| match clause.key {
                query_shape::Key::Column(column) => Some(column),
                query_shape::Key::Expression(_) => None,
            })
            .collect();
        columns.sort_unstable();
        columns.dedup();
        (columns.len() > 1).then_some((table.relid, columns))
    })
}

/// The least and the most rows the planner expects of a statement, by the commonest and the rarest values its
/// parameters may have, and by ranges of everything and of next to nothing.
fn expected(
    statement: &Statement,
    asked: &query_shape::Shape,
    unknown: f64,
    distributions: &mut Distributions,
) -> Result<(f64, f64)> {
    let types = statement.parameter_types();
    let (mut least, mut most) = (unknown, unknown);
    if types.is_empty() {
        return Ok((least, most));
    }
    for sample in [(0.0, 1.0), (0.0, 0.0), (0.999, 1.0), (0.999, 0.0)] {
        let choose = || {
            let values = values::choose(asked, types.len(), sample, distributions)?;
            Ok::<_, Error>(Parameters::from_text(types, &values))
        };
        let values = security::as_author(statement.author(), choose)?;
        let rows = statement.plan(&Configuration::default(), &values)?.rows;
        (least, most) = (least.min(rows), most.max(rows));
    }
    Ok((least, most))
}

/// Whether a statement returns rows.
fn selects(caller: &Caller) -> bool {
    let shape = || {
        let statement = Statement::repaired(&caller.text, caller.author)?;
        statement.shape(&Configuration::default(), &Parameters::none())
    };
    caller.author.is_some() && attempt(|| patiently(shape)).is_ok_and(|shape| shape.is_select)
}

//! Findings from a statement's figures and its plan.
#![forbid(unsafe_code)]

use crate::index::slow::figures::Figures;
use crate::pg::plan_shape::{Asks, Condition, Kind, Shape};
use pgrx::pg_sys::Oid;
use std::collections::HashMap;

#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub kind: &'static str,
    pub priority: &'static str,
    pub detail: String,
    pub recommendation: String,
}

/// What the plan's tables are like.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub name: String,
    pub pages: f64,
    pub rows: f64,
    /// Rows changed since the last ANALYZE; none where there was none.
    pub changed: Option<f64>,
    /// Names of the columns, by number.
    pub columns: HashMap<i16, String>,
    /// Columns some index begins with.
    pub indexed: Vec<i16>,
}

pub type Tables = HashMap<Oid, Table>;

/// Pages from which reading a whole table is worth a word: 8 MB.
const BIG_TABLE: f64 = 1000.0;
/// Rows of a result that nobody reads at once.
const LARGE_RESULT: f64 = 10_000.0;
/// How wrong an estimate may be: within this planners do not go astray.
const WRONG: f64 = 10.0;
/// Mean planning time from which its share is worth a word.
const PLANNING_MS: f64 = 5.0;
const PAGE: f64 = 8192.0;

/// `slow`: the statement's mean time is what was asked for, and not only its calls are many.
pub fn findings(figures: &Figures, shape: &Shape, tables: &Tables, slow: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    calls(figures, shape, slow, &mut found);
    if slow {
        result(figures, shape, &mut found);
        scans(shape, tables, &mut found);
        estimates(figures, shape, tables, &mut found);
        resources(figures, shape, &mut found);
    }
    found
}

fn push(
    found: &mut Vec<Finding>,
    kind: &'static str,
    priority: &'static str,
    detail: String,
    recommendation: &str,
) {
    found.push(Finding { kind, priority, detail, recommendation: recommendation.to_owned() });
}

fn calls(figures: &Figures, shape: &Shape, slow: bool, found: &mut Vec<Finding>) {
    if !slow && shape.is_select && !shape.aggregated && figures.rows_per_call() <= 2.0 {
        push(
            found,
            "n_plus_one",
            if figures.total_ms > 60_000.0 { "HIGH" } else { "MEDIUM" },
            format!(
                "called {} times for {:.1} rows each, {:.0} ms in all",
                figures.calls,
                figures.rows_per_call(),
                figures.total_ms
            ),
            "if one request makes many of these calls, fetch its rows in one: = ANY ($1) or a join",
        );
    }
}

fn result(figures: &Figures, shape: &Shape, found: &mut Vec<Finding>) {
    let rows = figures.rows_per_call();
    if shape.is_select && !shape.limited && rows >= LARGE_RESULT {
        push(
            found,
            "large_result",
            "MEDIUM",
            format!("returns {rows:.0} rows a call and has no LIMIT"),
            "page through the result by its key, or read it through a cursor",
        );
    }
    if shape.skips {
        push(
            found,
            "offset_pagination",
            "MEDIUM",
            "OFFSET reads all the rows it skips: each further page takes longer".to_owned(),
            "continue after the last row seen instead: WHERE (sort columns, key) > (its values) ORDER BY them LIMIT n",
        );
    }
}

fn scans(shape: &Shape, tables: &Tables, found: &mut Vec<Finding>) {
    for node in &shape.nodes {
        let (relation, conditions, sequential) = match &node.kind {
            Kind::SequentialScan { relation, conditions } => (relation, conditions, true),
            Kind::IndexScan { relation, conditions } => (relation, conditions, false),
            _ => continue,
        };
        let Some(table) = tables.get(relation) else { continue };
        if sequential && table.pages >= BIG_TABLE {
            push(
                found,
                "sequential_scan",
                if node.rows * 20.0 < table.rows { "HIGH" } else { "MEDIUM" },
                format!(
                    "reads all {:.0} MB of {} for an estimated {:.0} of {:.0} rows",
                    table.pages * PAGE / 1_048_576.0,
                    table.name,
                    node.rows,
                    table.rows.max(node.rows)
                ),
                "where few rows are wanted an index on what they are chosen by helps; where most are, fewer columns, a summary or partitions do",
            );
        }
        for condition in conditions {
            column(condition, table, sequential, found);
        }
    }
}

fn column(condition: &Condition, table: &Table, sequential: bool, found: &mut Vec<Finding>) {
    let name = table.columns.get(&condition.column).map_or("?", String::as_str);
    let place = format!("{name} of {}", table.name);
    let indexed = table.indexed.contains(&condition.column);
    match &condition.asks {
        Asks::Function(function) if indexed => push(
            found,
            "function_on_indexed_column",
            "HIGH",
            format!("compares {function}() of column {place}, whose index holds the column itself"),
            "compare the bare column (a range instead of a function of it), or index the expression",
        ),
        Asks::Cast(to) if indexed => push(
            found,
            "implicit_cast",
            "HIGH",
            format!("converts indexed column {place} to {to} to compare it"),
            "give the other side the column's type: a parameter, constant or join column of another type keeps the index from being used",
        ),
        Asks::Pattern { wildcard_first } if sequential => {
            let (detail, advice) = match wildcard_first {
                Some(true) => (
                    format!("looks for a pattern in column {place} that begins with a wildcard"),
                    "a GIN index with gin_trgm_ops (extension pg_trgm) finds patterns anywhere in a text",
                ),
                Some(false) => (
                    format!("looks for a pattern in column {place} by reading the whole table"),
                    "a btree index with text_pattern_ops finds texts by their beginning",
                ),
                None => (
                    format!("looks for a pattern, which the kept statement does not show, in column {place}"),
                    "if it begins with a wildcard, a GIN index with gin_trgm_ops (pg_trgm); if with text, a btree with text_pattern_ops",
                ),
            };
            push(found, "leading_wildcard", "MEDIUM", detail, advice);
        }
        _ => {}
    }
}

fn estimates(figures: &Figures, shape: &Shape, tables: &Tables, found: &mut Vec<Finding>) {
    for table in scanned(shape, tables) {
        let stale = match table.changed {
            None => table.pages > 0.0,
            Some(changed) => changed > 1000.0 + 0.2 * table.rows,
        };
        if stale {
            let detail = match table.changed {
                None => format!("{} was never analyzed", table.name),
                Some(changed) => format!("{changed:.0} rows of {} changed since it was analyzed", table.name),
            };
            push(found, "stale_statistics", "HIGH", detail, &format!("ANALYZE {};", table.name));
        }
    }
    if !shape.is_select || shape.limited {
        return;
    }
    let (real, estimated) = (figures.rows_per_call().max(1.0), shape.rows.max(1.0));
    if real.max(estimated) >= 1000.0 && (real / estimated).max(estimated / real) >= WRONG {
        let correlated = shape.nodes.iter().find_map(|node| match &node.kind {
            Kind::SequentialScan { relation, conditions } | Kind::IndexScan { relation, conditions } => {
                let mut columns: Vec<i16> = conditions.iter().map(|c| c.column).collect();
                columns.sort_unstable();
                columns.dedup();
                (columns.len() > 1).then_some((tables.get(relation)?, columns))
            }
            _ => None,
        });
        let advice = match correlated {
            Some((table, columns)) => {
                let names: Vec<&str> =
                    columns.iter().filter_map(|c| table.columns.get(c)).map(String::as_str).collect();
                format!(
                    "CREATE STATISTICS (dependencies, ndistinct, mcv) ON {} FROM {}; then ANALYZE it",
                    names.join(", "),
                    table.name
                )
            }
            None => "raise the statistics target of the columns compared, then ANALYZE".to_owned(),
        };
        push(
            found,
            "row_estimate",
            "MEDIUM",
            format!("the planner expects {estimated:.0} rows, {real:.0} are returned on average"),
            &advice,
        );
    }
}

fn scanned<'a>(shape: &Shape, tables: &'a Tables) -> Vec<&'a Table> {
    let mut relations: Vec<Oid> = shape
        .nodes
        .iter()
        .filter_map(|node| match &node.kind {
            Kind::SequentialScan { relation, .. } | Kind::IndexScan { relation, .. } => Some(*relation),
            _ => None,
        })
        .collect();
    relations.sort_unstable_by_key(|relation| relation.to_u32());
    relations.dedup();
    relations.iter().filter_map(|relation| tables.get(relation)).collect()
}

fn resources(figures: &Figures, shape: &Shape, found: &mut Vec<Finding>) {
    let calls = figures.calls.max(1.0);
    if figures.temp_written > 0.0 {
        let what = if shape.nodes.iter().any(|node| node.kind == Kind::Sort) {
            "sort"
        } else if shape.nodes.iter().any(|node| node.kind == Kind::Hash) {
            "hash table"
        } else {
            "intermediate result"
        };
        let megabytes = figures.temp_written * PAGE / 1_048_576.0 / calls;
        push(
            found,
            "spill",
            "MEDIUM",
            format!("a {what} does not fit into work_mem: {megabytes:.1} MB written to disk a call"),
            "SET work_mem for this statement's role or function, or give it an index in the order it sorts by",
        );
    }
    if figures.jit_ms > 0.1 * figures.total_ms {
        push(
            found,
            "jit",
            "MEDIUM",
            format!("{:.0} % of its time is compiling", 100.0 * figures.jit_ms / figures.total_ms),
            "raise jit_above_cost, or SET jit = off for this statement's role",
        );
    }
    if figures.plan_ms > 0.3 * (figures.plan_ms + figures.total_ms) && figures.plan_ms > PLANNING_MS * calls {
        push(
            found,
            "planning_time",
            "MEDIUM",
            format!(
                "{:.0} % of its time is planning",
                100.0 * figures.plan_ms / (figures.plan_ms + figures.total_ms)
            ),
            "prepare it once a session; fewer partitions, joins or indexes make plans faster",
        );
    }
    let touched = figures.hit + figures.read;
    if figures.read > 1000.0 && figures.read > 0.5 * touched {
        push(
            found,
            "cache_misses",
            "LOW",
            format!(
                "{:.0} % of the pages it reads are not in shared_buffers",
                100.0 * figures.read / touched
            ),
            "read fewer pages (an index, fewer columns), or give shared_buffers more",
        );
    }
    if figures.wal_bytes / calls > 10_000_000.0 {
        push(
            found,
            "wal_volume",
            "LOW",
            format!("writes {:.0} MB of WAL a call", figures.wal_bytes / calls / 1_048_576.0),
            "change rows in smaller batches, and only those whose values differ; drop indexes that are not used",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, Tables, findings};
    use crate::index::slow::figures::Figures;
    use crate::pg::plan_shape::{Asks, Condition, Kind, Node, Shape};
    use pgrx::pg_sys::Oid;

    fn kinds(figures: &Figures, shape: &Shape) -> Vec<&'static str> {
        findings(figures, shape, &tables(), true).into_iter().map(|f| f.kind).collect()
    }

    fn tables() -> Tables {
        let table = Table {
            name: "t".into(),
            pages: 5000.0,
            rows: 1e6,
            changed: Some(0.0),
            columns: [(1, "a".to_owned()), (2, "b".to_owned())].into(),
            indexed: vec![1],
        };
        [(Oid::from(7), table)].into()
    }

    fn shape(conditions: Vec<Condition>) -> Shape {
        let kind = Kind::SequentialScan { relation: Oid::from(7), conditions };
        Shape {
            is_select: true,
            rows: 10.0,
            nodes: vec![Node { kind, rows: 10.0, width: 8.0 }],
            ..Shape::default()
        }
    }

    fn figures() -> Figures {
        Figures { calls: 10.0, rows: 100.0, total_ms: 5000.0, ..Figures::default() }
    }

    #[test]
    fn what_the_plan_asks_of_columns() {
        let asks = |asks| shape(vec![Condition { column: 1, asks }]);
        assert_eq!(kinds(&figures(), &asks(Asks::Equality)), ["sequential_scan"]);
        assert!(
            kinds(&figures(), &asks(Asks::Function("lower".into()))).contains(&"function_on_indexed_column")
        );
        assert!(kinds(&figures(), &asks(Asks::Cast("numeric".into()))).contains(&"implicit_cast"));
        assert!(
            kinds(&figures(), &asks(Asks::Pattern { wildcard_first: None })).contains(&"leading_wildcard")
        );
        let bare = shape(vec![Condition { column: 2, asks: Asks::Function("lower".into()) }]);
        assert_eq!(kinds(&figures(), &bare), ["sequential_scan"], "b has no index to miss");
    }

    #[test]
    fn what_the_figures_say() {
        let large = Figures { rows: 1e6, ..figures() };
        let plan = Shape { is_select: true, rows: 1e5, ..Shape::default() };
        assert_eq!(kinds(&large, &plan), ["large_result"]);
        assert!(kinds(&large, &Shape { limited: true, ..plan.clone() }).is_empty());
        assert_eq!(kinds(&large, &Shape { rows: 10.0, ..plan.clone() }), ["large_result", "row_estimate"]);
        assert_eq!(
            kinds(&Figures { temp_written: 100.0, ..figures() }, &plan.clone()),
            ["row_estimate", "spill"]
        );
        assert_eq!(
            kinds(&Figures { jit_ms: 2000.0, ..figures() }, &shape(vec![])),
            ["sequential_scan", "jit"]
        );
        assert_eq!(
            kinds(&Figures { plan_ms: 5000.0, ..figures() }, &shape(vec![])),
            ["sequential_scan", "planning_time"]
        );
        assert_eq!(kinds(&figures(), &Shape { skips: true, rows: 10.0, ..plan }), ["offset_pagination"]);
    }

    #[test]
    fn many_calls_for_a_row_each_are_one_finding() {
        let often = Figures { calls: 1e6, rows: 1e6, total_ms: 1e5, ..Figures::default() };
        let found = findings(&often, &shape(vec![]), &tables(), false);
        assert_eq!(found.iter().map(|f| f.kind).collect::<Vec<_>>(), ["n_plus_one"]);
        let counted = Shape { aggregated: true, ..shape(vec![]) };
        assert!(findings(&often, &counted, &tables(), false).is_empty());
    }
}

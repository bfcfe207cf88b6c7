//! Findings from a statement's figures and its plan.
#![forbid(unsafe_code)]

use crate::index::slow::figures::{CALLS_FOR_ROWS, Figures};
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
    /// Those of them by which it finds texts by their beginning.
    pub by_beginning: Vec<i16>,
}

pub type Tables = HashMap<Oid, Table>;

/// Pages from which reading a whole table is worth a word: 8 MB.
const BIG_TABLE: f64 = 1000.0;
/// Pages from which it is worth a word what keeps a table from being read by an index: half a megabyte.
const SOME: f64 = 64.0;
/// Pages from which it matters what the planner knows of a table.
const MORE_THAN_A_FEW: f64 = 8.0;
/// Calls that are many, though no other statement returns about as many rows.
const MANY_CALLS: f64 = 1000.0;
/// Rows of a result that nobody reads at once.
const LARGE_RESULT: f64 = 10_000.0;
/// How wrong an estimate may be: within this planners do not go astray.
const WRONG: f64 = 10.0;
/// Mean planning time from which its share is worth a word.
const PLANNING_MS: f64 = 5.0;
const PAGE: f64 = 8192.0;

/// What is known of a statement besides its figures.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub shape: &'a Shape,
    pub tables: &'a Tables,
    /// The least and the most rows the planner expects, by values its parameters may have.
    pub expected: (f64, f64),
    /// Columns of one table that are compared by equality, where there are several.
    pub together: Option<(Oid, Vec<i16>)>,
    /// A statement that returns about as many rows as this one is called.
    pub caller: Option<i64>,
}

pub fn findings(figures: &Figures, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    calls(figures, facts, &mut found);
    if figures.slow {
        result(figures, facts.shape, &mut found);
        scans(figures, facts, &mut found);
        estimates(figures, facts, &mut found);
        resources(figures, facts.shape, &mut found);
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

fn calls(figures: &Figures, facts: &Facts, found: &mut Vec<Finding>) {
    let shape = facts.shape;
    let least = if facts.caller.is_some() { CALLS_FOR_ROWS } else { MANY_CALLS };
    if !shape.is_select || !shape.looks_up || figures.rows_per_call() > 2.0 || figures.calls < least {
        return;
    }
    let mut detail = format!(
        "called {} times for {:.1} rows each, {:.0} ms in all",
        figures.calls,
        figures.rows_per_call(),
        figures.total_ms
    );
    if let Some(caller) = facts.caller {
        detail += &format!("; statement {caller} returns about as many rows");
    }
    push(
        found,
        "n_plus_one",
        match facts.caller {
            Some(_) if figures.total_ms > 60_000.0 => "HIGH",
            Some(_) => "MEDIUM",
            None => "LOW",
        },
        detail,
        "if one request makes many of these calls, fetch its rows in one: = ANY ($1) or a join",
    );
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

fn scans(figures: &Figures, facts: &Facts, found: &mut Vec<Finding>) {
    // The plan is today's and for unknown values: what the calls really read tells whether it was theirs.
    let read = (figures.hit + figures.read) / figures.calls.max(1.0);
    let mut whole: Vec<(&Table, &[Condition], f64, Oid)> = Vec::new();
    for node in &facts.shape.nodes {
        if let Kind::SequentialScan { relation, conditions } = &node.kind
            && let Some(table) = facts.tables.get(relation)
            && read >= 0.5 * table.pages
            && !whole.iter().any(|(.., known)| known == relation)
        {
            whole.push((table, conditions, node.rows, *relation));
        }
    }
    whole.sort_by(|a, b| b.0.pages.total_cmp(&a.0.pages));
    let big = whole.iter().filter(|(table, ..)| table.pages >= BIG_TABLE).count();
    if let Some((table, _, rows, _)) = whole.first().filter(|_| big > 0) {
        let all = table.rows.max(*rows);
        let mut detail = format!(
            "reads all {:.0} MB of {} for an estimated {rows:.0} of {all:.0} rows",
            table.pages * PAGE / 1_048_576.0,
            table.name,
        );
        if big > 1 {
            detail += &format!("; and {} more tables of 8 MB and more", big - 1);
        }
        let (priority, advice) = if rows * 20.0 < all {
            ("HIGH", "few rows are wanted: an index on what they are chosen by")
        } else if rows * 2.0 < all {
            (
                "MEDIUM",
                "an index on what the rows are chosen by, with the columns read included; or partitions",
            )
        } else {
            (
                "LOW",
                "most rows are wanted, where an index is of no help: fewer columns, a summary kept up to date, or partitions",
            )
        };
        push(found, "sequential_scan", priority, detail, advice);
    }
    for (table, conditions, _, relation) in whole.iter().filter(|(table, ..)| table.pages >= SOME) {
        for condition in *conditions {
            column(condition, table, found);
        }
        for (_, number, to) in facts.shape.converted.iter().filter(|(of, ..)| of == relation) {
            let condition = Condition { column: *number, asks: Asks::Cast(to.clone()) };
            if !conditions.contains(&condition) {
                column(&condition, table, found);
            }
        }
    }
}

/// Of a table that is read whole.
fn column(condition: &Condition, table: &Table, found: &mut Vec<Finding>) {
    let name = table.columns.get(&condition.column).map_or("?", String::as_str);
    let place = format!("{name} of {}", table.name);
    let indexed = table.indexed.contains(&condition.column);
    match &condition.asks {
        Asks::Function(function) if indexed => push(
            found,
            "function_on_indexed_column",
            "HIGH",
            format!("compares {function} of column {place}, whose index holds the column itself"),
            "compare the bare column (a range instead of a function of it), or index the expression",
        ),
        Asks::Cast(to) if indexed => push(
            found,
            "implicit_cast",
            "HIGH",
            format!("converts indexed column {place} to {to} to compare it"),
            "give the other side the column's type: a parameter, constant or join column of another type keeps the index from being used",
        ),
        Asks::Pattern { wildcard_first } => {
            // An index that finds beginnings is there and all was read: it was none.
            let wildcard_first =
                wildcard_first.or(table.by_beginning.contains(&condition.column).then_some(true));
            let (kind, priority, detail, advice) = match wildcard_first {
                Some(true) => (
                    "leading_wildcard",
                    "MEDIUM",
                    format!("looks for a pattern in column {place} that begins with a wildcard"),
                    "a GIN index with gin_trgm_ops (extension pg_trgm) finds patterns anywhere in a text",
                ),
                Some(false) => (
                    "pattern_without_index",
                    "MEDIUM",
                    format!("looks for the beginning of a text in column {place} by reading the whole table"),
                    "a btree index with text_pattern_ops finds texts by their beginning",
                ),
                None => (
                    "leading_wildcard",
                    "LOW",
                    format!(
                        "looks for a pattern in column {place}; the kept statement does not show whether it begins with a wildcard"
                    ),
                    "if it does, a GIN index with gin_trgm_ops (pg_trgm); if it begins with text, a btree with text_pattern_ops",
                ),
            };
            push(found, kind, priority, detail, advice);
        }
        _ => {}
    }
}

fn estimates(figures: &Figures, facts: &Facts, found: &mut Vec<Finding>) {
    let (shape, tables) = (facts.shape, facts.tables);
    for table in scanned(shape, tables) {
        let stale = table.pages >= MORE_THAN_A_FEW
            && table.changed.is_none_or(|changed| changed > 1000.0 + 0.2 * table.rows);
        if stale {
            let detail = match table.changed {
                None => format!("{} was never analyzed", table.name),
                Some(changed) => format!("{changed:.0} rows of {} changed since it was analyzed", table.name),
            };
            push(found, "stale_statistics", "HIGH", detail, &format!("ANALYZE {};", table.name));
        }
    }
    // What a function returns is not estimated from anything.
    if !shape.is_select || shape.limited || scanned(shape, tables).is_empty() {
        return;
    }
    let real = figures.rows_per_call().max(1.0);
    // With some values it may be right, and those may be the ones that are asked for.
    let (least, most) = (facts.expected.0.max(1.0), facts.expected.1.max(1.0));
    let estimated = real.clamp(least, most);
    if real.max(estimated) >= 1000.0 && (real / estimated).max(estimated / real) >= WRONG {
        let advice = match facts.together.as_ref().and_then(|(oid, c)| Some((tables.get(oid)?, c))) {
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
            Kind::SequentialScan { relation, .. } | Kind::IndexScan { relation } => Some(*relation),
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
        let largest = shape
            .nodes
            .iter()
            .filter(|node| [Kind::Sort, Kind::Hash].contains(&node.kind))
            .max_by(|a, b| (a.rows * a.width).total_cmp(&(b.rows * b.width)));
        let what = match largest.map(|node| &node.kind) {
            Some(Kind::Sort) => "sort",
            Some(_) => "hash table",
            None => "intermediate result",
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
    // The first call reads what nobody has read before.
    if figures.calls > 4.0 && figures.read > 1000.0 && figures.read > 0.5 * touched {
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
    use super::{Facts, Table, Tables, findings};
    use crate::index::slow::figures::Figures;
    use crate::pg::plan_shape::{Asks, Condition, Kind, Node, Shape};
    use pgrx::pg_sys::Oid;

    fn kinds(figures: &Figures, shape: &Shape) -> Vec<&'static str> {
        kinds_of(figures, shape, (shape.rows, shape.rows))
    }

    fn kinds_of(figures: &Figures, shape: &Shape, expected: (f64, f64)) -> Vec<&'static str> {
        let tables = tables();
        let facts = Facts { shape, tables: &tables, expected, together: None, caller: None };
        findings(figures, &facts).into_iter().map(|f| f.kind).collect()
    }

    fn tables() -> Tables {
        let table = Table {
            name: "t".into(),
            pages: 5000.0,
            rows: 1e6,
            changed: Some(0.0),
            columns: [(1, "a".to_owned()), (2, "b".to_owned())].into(),
            indexed: vec![1],
            by_beginning: Vec::new(),
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

    fn by_index() -> Node {
        Node { kind: Kind::IndexScan { relation: Oid::from(7) }, rows: 10.0, width: 8.0 }
    }

    fn figures() -> Figures {
        Figures {
            calls: 10.0,
            rows: 100.0,
            total_ms: 5000.0,
            hit: 50_000.0,
            slow: true,
            ..Figures::default()
        }
    }

    #[test]
    fn what_the_plan_asks_of_columns() {
        let asks = |asks| shape(vec![Condition { column: 1, asks }]);
        assert_eq!(kinds(&figures(), &asks(Asks::Equality)), ["sequential_scan"]);
        assert!(
            kinds(&figures(), &asks(Asks::Function("lower()".into())))
                .contains(&"function_on_indexed_column")
        );
        assert!(kinds(&figures(), &asks(Asks::Cast("numeric".into()))).contains(&"implicit_cast"));
        assert!(
            kinds(&figures(), &asks(Asks::Pattern { wildcard_first: None })).contains(&"leading_wildcard")
        );
        let bare = shape(vec![Condition { column: 2, asks: Asks::Function("lower()".into()) }]);
        assert_eq!(kinds(&figures(), &bare), ["sequential_scan"], "b has no index to miss");
        let joined = Shape { converted: vec![(Oid::from(7), 1, "numeric".into())], ..shape(vec![]) };
        assert!(kinds(&figures(), &joined).contains(&"implicit_cast"));
    }

    #[test]
    fn a_plan_that_was_not_the_calls_says_nothing() {
        let few = Figures { hit: 100.0, ..figures() };
        let cast = Condition { column: 1, asks: Asks::Cast("numeric".into()) };
        assert!(kinds(&few, &shape(vec![cast])).is_empty(), "ten pages a call are not five thousand");
    }

    #[test]
    fn what_the_figures_say() {
        let large = Figures { rows: 1e6, ..figures() };
        let plan = Shape { nodes: vec![by_index()], is_select: true, rows: 1e5, ..Shape::default() };
        assert_eq!(kinds(&large, &plan), ["large_result"]);
        assert!(kinds(&large, &Shape { limited: true, ..plan.clone() }).is_empty());
        assert_eq!(kinds(&large, &Shape { rows: 10.0, ..plan.clone() }), ["large_result", "row_estimate"]);
        assert_eq!(kinds_of(&large, &plan, (10.0, 2e5)), ["large_result"], "right for some values");
        let function = Shape { rows: 10.0, nodes: Vec::new(), ..plan.clone() };
        assert_eq!(kinds(&large, &function), ["large_result"], "no table is read");
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
        let by_key = Shape { looks_up: true, ..shape(vec![]) };
        let tables = tables();
        let found = |figures: &Figures, shape: &Shape, caller| {
            let facts = Facts { shape, tables: &tables, expected: (1.0, 1.0), together: None, caller };
            findings(figures, &facts).into_iter().map(|f| (f.kind, f.priority)).collect::<Vec<_>>()
        };
        assert_eq!(found(&often, &by_key, None), [("n_plus_one", "LOW")]);
        assert_eq!(found(&often, &by_key, Some(7)), [("n_plus_one", "HIGH")]);
        assert!(found(&often, &shape(vec![]), None).is_empty(), "no table is looked up by a parameter");
        let some = Figures { calls: 200.0, rows: 200.0, ..often };
        assert!(found(&some, &by_key, None).is_empty());
        assert_eq!(found(&some, &by_key, Some(7)), [("n_plus_one", "HIGH")]);
    }
}

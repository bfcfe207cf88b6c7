//! What a plan does, taken out of its nodes: which tables are read how, what is asked of their columns,
//! what has to be sorted or hashed.

use super::lookup::{self, string_from};
use super::nodes::{Tree, is, nodes_of, walk};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::ffi::CStr;

/// A statement and its plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    pub is_select: bool,
    /// The result is as many rows as a LIMIT lets through.
    pub limited: bool,
    /// Some part of it skips rows with OFFSET.
    pub skips: bool,
    /// The result is made of groups, not of rows.
    pub aggregated: bool,
    pub compiled: bool,
    /// The planner's estimates for the whole.
    pub rows: f64,
    pub cost: f64,
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub rows: f64,
    pub width: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Reads a table from end to end.
    SequentialScan {
        relation: pg_sys::Oid,
        conditions: Vec<Condition>,
    },
    /// Reads some of a table by an index; the conditions are those the index leaves to check.
    IndexScan {
        relation: pg_sys::Oid,
        conditions: Vec<Condition>,
    },
    Sort,
    Hash,
    Other,
}

/// What is asked of a column, of each row read.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub column: i16,
    pub asks: Asks,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Asks {
    Equality,
    Range,
    /// LIKE and its kin; whether the pattern begins with a wildcard, where the statement says so.
    Pattern {
        wildcard_first: Option<bool>,
    },
    /// A comparison of what a function makes of the column.
    Function(String),
    /// A comparison of the column converted to another type because the other side is of that type.
    Cast(String),
    Other,
}

/// # Safety
/// `planned` is a plan of `query`, both alive.
pub(super) unsafe fn shape(planned: *mut pg_sys::PlannedStmt, query: *mut pg_sys::Query) -> Shape {
    // SAFETY: the caller's promise.
    unsafe {
        let top = (*planned).planTree;
        let tables: Vec<*mut pg_sys::RangeTblEntry> = nodes_of((*planned).rtable).collect();
        let mut shape = Shape {
            is_select: (*query).commandType == pg_sys::CmdType::CMD_SELECT && (*query).rowMarks.is_null(),
            limited: !(*query).limitCount.is_null(),
            aggregated: (*query).hasAggs || !(*query).groupClause.is_null(),
            compiled: (*planned).jitFlags & pg_sys::PGJIT_PERFORM as i32 != 0,
            rows: (*top).plan_rows,
            cost: (*top).total_cost,
            ..Shape::default()
        };
        walk(query.cast(), Tree::Analysed, &mut |node| {
            shape.skips |=
                is(node, NodeTag::T_Query) && !(*node.cast::<pg_sys::Query>()).limitOffset.is_null();
            true
        });
        add(top, &tables, &mut shape.nodes);
        for subplan in nodes_of::<pg_sys::Plan>((*planned).subplans) {
            add(subplan, &tables, &mut shape.nodes);
        }
        shape
    }
}

/// # Safety
/// `plan` is null or a node of a plan with this range table.
unsafe fn add(plan: *mut pg_sys::Plan, tables: &[*mut pg_sys::RangeTblEntry], into: &mut Vec<Node>) {
    if plan.is_null() {
        return;
    }
    // SAFETY: nodes are what their tags say; every scan starts with Scan.
    unsafe {
        let mut children = std::ptr::null_mut();
        let scan = || {
            let number = (*plan.cast::<pg_sys::Scan>()).scanrelid;
            let table = tables.get((number as usize).wrapping_sub(1));
            let relation = table.map_or(pg_sys::InvalidOid, |table| (**table).relid);
            (relation, conditions((*plan).qual, number as i32))
        };
        let kind = match (*plan).type_ {
            NodeTag::T_SeqScan => {
                let (relation, conditions) = scan();
                Kind::SequentialScan { relation, conditions }
            }
            NodeTag::T_IndexScan | NodeTag::T_IndexOnlyScan | NodeTag::T_BitmapHeapScan => {
                let (relation, conditions) = scan();
                Kind::IndexScan { relation, conditions }
            }
            NodeTag::T_Sort | NodeTag::T_IncrementalSort => Kind::Sort,
            NodeTag::T_Hash => Kind::Hash,
            NodeTag::T_Agg
                if (*plan.cast::<pg_sys::Agg>()).aggstrategy == pg_sys::AggStrategy::AGG_HASHED =>
            {
                Kind::Hash
            }
            NodeTag::T_Append => {
                children = (*plan.cast::<pg_sys::Append>()).appendplans;
                Kind::Other
            }
            NodeTag::T_MergeAppend => {
                children = (*plan.cast::<pg_sys::MergeAppend>()).mergeplans;
                Kind::Other
            }
            NodeTag::T_CustomScan => {
                children = (*plan.cast::<pg_sys::CustomScan>()).custom_plans;
                Kind::Other
            }
            NodeTag::T_SubqueryScan => {
                add((*plan.cast::<pg_sys::SubqueryScan>()).subplan, tables, into);
                Kind::Other
            }
            _ => Kind::Other,
        };
        into.push(Node { kind, rows: (*plan).plan_rows, width: f64::from((*plan).plan_width) });
        for child in nodes_of::<pg_sys::Plan>(children) {
            add(child, tables, into);
        }
        add((*plan).lefttree, tables, into);
        add((*plan).righttree, tables, into);
    }
}

/// # Safety
/// `quals` is a list of expressions over the columns of range table entry `table`.
unsafe fn conditions(quals: *mut pg_sys::List, table: i32) -> Vec<Condition> {
    let mut found = Vec::new();
    // SAFETY: the caller's promise; nodes are what their tags say.
    unsafe {
        for qual in nodes_of::<pg_sys::Node>(quals) {
            walk(qual, Tree::Analysed, &mut |node| {
                let (operator, arguments) = if is(node, NodeTag::T_OpExpr) {
                    let expression = node.cast::<pg_sys::OpExpr>();
                    ((*expression).opno, (*expression).args)
                } else if is(node, NodeTag::T_ScalarArrayOpExpr) {
                    let expression = node.cast::<pg_sys::ScalarArrayOpExpr>();
                    ((*expression).opno, (*expression).args)
                } else {
                    return true;
                };
                let arguments: Vec<*mut pg_sys::Node> = nodes_of(arguments).collect();
                if let [left, right] = arguments[..] {
                    for (side, other) in [(left, right), (right, left)] {
                        if let Some(condition) = condition(side, other, operator, table) {
                            found.push(condition);
                        }
                    }
                }
                true
            });
        }
    }
    found
}

/// # Safety
/// Two expressions, compared by an operator.
unsafe fn condition(
    side: *mut pg_sys::Node,
    other: *mut pg_sys::Node,
    operator: pg_sys::Oid,
    table: i32,
) -> Option<Condition> {
    // SAFETY: the caller's promise; nodes are what their tags say.
    unsafe {
        let side = bare(side);
        if let Some(column) = column_of(side, table) {
            // A column compared with another of its table finds nothing by an index.
            if column_of(bare(other), table).is_some() {
                return None;
            }
            return Some(Condition { column, asks: asked(operator, other) });
        }
        let (name, argument, converts) = if is(side, NodeTag::T_FuncExpr) {
            let call = side.cast::<pg_sys::FuncExpr>();
            let converts = (*call).funcformat != pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
            let name = pg_sys::get_func_name((*call).funcid);
            let name = if name.is_null() { String::new() } else { string_from(name) };
            let inner = nodes_of::<pg_sys::Node>((*call).args)
                .map(|argument| bare(argument))
                .find(|argument| column_of(*argument, table).is_some())?;
            let name = if converts { lookup::type_name((*call).funcresulttype, -1) } else { name };
            (name, inner, converts)
        } else if is(side, NodeTag::T_CoerceViaIO) {
            let coercion = side.cast::<pg_sys::CoerceViaIO>();
            let name = lookup::type_name((*coercion).resulttype, -1);
            (name, bare((*coercion).arg.cast()), true)
        } else {
            return None;
        };
        let column = column_of(argument, table)?;
        let asks = if converts { Asks::Cast(name) } else { Asks::Function(name) };
        Some(Condition { column, asks })
    }
}

/// Below conversions that change nothing.
///
/// # Safety
/// `node` is null or an expression.
unsafe fn bare(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the caller's promise.
    unsafe {
        while is(node, NodeTag::T_RelabelType) {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        node
    }
}

/// # Safety
/// `node` is null or an expression.
unsafe fn column_of(node: *mut pg_sys::Node, table: i32) -> Option<i16> {
    // SAFETY: the caller's promise.
    unsafe {
        if !is(node, NodeTag::T_Var) {
            return None;
        }
        let var = node.cast::<pg_sys::Var>();
        #[allow(clippy::unnecessary_cast)]
        ((*var).varno as i32 == table && (*var).varattno > 0).then(|| (*var).varattno)
    }
}

/// What an operator asks, by how the planner estimates it: so operators of extensions are known too.
///
/// # Safety
/// `other` is an expression.
unsafe fn asked(operator: pg_sys::Oid, other: *mut pg_sys::Node) -> Asks {
    // SAFETY: look-ups by OID; a constant is of the type it says.
    unsafe {
        let estimator = pg_sys::get_oprrest(operator);
        let name = if estimator == pg_sys::InvalidOid {
            std::ptr::null_mut()
        } else {
            pg_sys::get_func_name(estimator)
        };
        if name.is_null() {
            return Asks::Other;
        }
        match CStr::from_ptr(name).to_bytes() {
            b"eqsel" => Asks::Equality,
            b"scalarltsel" | b"scalarlesel" | b"scalargtsel" | b"scalargesel" => Asks::Range,
            b"likesel" | b"iclikesel" => Asks::Pattern { wildcard_first: wildcard_first(bare(other)) },
            _ => Asks::Other,
        }
    }
}

/// # Safety
/// `pattern` is an expression.
unsafe fn wildcard_first(pattern: *mut pg_sys::Node) -> Option<bool> {
    // SAFETY: a text constant holds a varlena.
    unsafe {
        if !is(pattern, NodeTag::T_Const) {
            return None;
        }
        let constant = pattern.cast::<pg_sys::Const>();
        if (*constant).constisnull || (*constant).consttype != pg_sys::TEXTOID {
            return None;
        }
        let text = <String as pgrx::FromDatum>::from_datum((*constant).constvalue, false)?;
        Some(text.starts_with(['%', '_']))
    }
}

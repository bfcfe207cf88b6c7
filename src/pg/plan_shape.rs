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
    /// Some part of it pages through rows: LIMIT with an OFFSET.
    pub skips: bool,
    /// Some table of users is looked up by equality with a parameter.
    pub looks_up: bool,
    /// The result is made of groups, not of rows.
    pub aggregated: bool,
    pub compiled: bool,
    /// The planner's estimates for the whole.
    pub rows: f64,
    pub cost: f64,
    pub nodes: Vec<Node>,
    /// Columns that a join converts because the other side is of another type: table, column, type.
    pub converted: Vec<(pg_sys::Oid, i16, String)>,
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
    /// Reads some of a table by an index.
    IndexScan {
        relation: pg_sys::Oid,
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
    /// A comparison of what a function, or a cast that is written out, makes of the column.
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
            shape.skips |= is(node, NodeTag::T_Query) && pages(node.cast());
            true
        });
        add(top, &tables, &mut shape);
        for subplan in nodes_of::<pg_sys::Plan>((*planned).subplans) {
            add(subplan, &tables, &mut shape);
        }
        shape
    }
}

/// Whether a query has a LIMIT and an OFFSET other than nothing.
///
/// # Safety
/// `query` is an analysed query.
unsafe fn pages(query: *mut pg_sys::Query) -> bool {
    // SAFETY: the caller's promise; nodes are what their tags say.
    unsafe {
        let offset = (*query).limitOffset;
        let nothing = is(offset, NodeTag::T_Const) && {
            let constant = offset.cast::<pg_sys::Const>();
            (*constant).constisnull || (*constant).constvalue.value() == 0
        };
        !offset.is_null() && !nothing && !(*query).limitCount.is_null()
    }
}

/// # Safety
/// `plan` is null or a node of a plan with this range table.
unsafe fn add(plan: *mut pg_sys::Plan, tables: &[*mut pg_sys::RangeTblEntry], into: &mut Shape) {
    if plan.is_null() {
        return;
    }
    // SAFETY: nodes are what their tags say; every scan starts with Scan, every join with Join.
    unsafe {
        let mut children = std::ptr::null_mut();
        let scanned = || {
            let number = (*plan.cast::<pg_sys::Scan>()).scanrelid;
            let table = tables.get((number as usize).wrapping_sub(1));
            (table.map_or(pg_sys::InvalidOid, |table| (**table).relid), number as i32)
        };
        let kind = match (*plan).type_ {
            NodeTag::T_SeqScan => {
                let (relation, number) = scanned();
                into.looks_up |= looks_up((*plan).qual, relation);
                Kind::SequentialScan { relation, conditions: conditions((*plan).qual, number) }
            }
            NodeTag::T_IndexScan => {
                let relation = scanned().0;
                into.looks_up |= looks_up((*plan.cast::<pg_sys::IndexScan>()).indexqual, relation);
                Kind::IndexScan { relation }
            }
            NodeTag::T_IndexOnlyScan => {
                let relation = scanned().0;
                into.looks_up |= looks_up((*plan.cast::<pg_sys::IndexOnlyScan>()).indexqual, relation);
                Kind::IndexScan { relation }
            }
            NodeTag::T_BitmapIndexScan => {
                let relation = scanned().0;
                into.looks_up |= looks_up((*plan.cast::<pg_sys::BitmapIndexScan>()).indexqual, relation);
                Kind::Other
            }
            NodeTag::T_BitmapHeapScan => Kind::IndexScan { relation: scanned().0 },
            NodeTag::T_Sort | NodeTag::T_IncrementalSort => Kind::Sort,
            NodeTag::T_Hash => Kind::Hash,
            NodeTag::T_Agg
                if (*plan.cast::<pg_sys::Agg>()).aggstrategy == pg_sys::AggStrategy::AGG_HASHED =>
            {
                Kind::Hash
            }
            NodeTag::T_HashJoin => {
                converted((*plan.cast::<pg_sys::HashJoin>()).hashclauses, tables, &mut into.converted);
                Kind::Other
            }
            NodeTag::T_MergeJoin => {
                converted((*plan.cast::<pg_sys::MergeJoin>()).mergeclauses, tables, &mut into.converted);
                Kind::Other
            }
            NodeTag::T_NestLoop => {
                converted((*plan.cast::<pg_sys::Join>()).joinqual, tables, &mut into.converted);
                Kind::Other
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
        into.nodes.push(Node { kind, rows: (*plan).plan_rows, width: f64::from((*plan).plan_width) });
        for child in nodes_of::<pg_sys::Plan>(children) {
            add(child, tables, into);
        }
        add((*plan).lefttree, tables, into);
        add((*plan).righttree, tables, into);
    }
}

/// Whether conditions on a table of users ask for equality with a parameter of the statement.
///
/// # Safety
/// `quals` is a list of expressions.
unsafe fn looks_up(quals: *mut pg_sys::List, relation: pg_sys::Oid) -> bool {
    // SAFETY: the caller's promise; nodes are what their tags say.
    unsafe {
        relation.to_u32() >= pg_sys::FirstNormalObjectId
            && nodes_of::<pg_sys::OpExpr>(quals).any(|qual| {
                is(qual, NodeTag::T_OpExpr)
                    && nodes_of::<pg_sys::Node>((*qual).args).any(|side| {
                        let side = bare(side);
                        is(side, NodeTag::T_Param)
                            && (*side.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
                            && asked((*qual).opno, side) == Asks::Equality
                    })
            })
    }
}

/// Columns that conditions of a join convert to another type.
///
/// # Safety
/// `quals` is a list of expressions of a plan with this range table.
unsafe fn converted(
    quals: *mut pg_sys::List,
    tables: &[*mut pg_sys::RangeTblEntry],
    into: &mut Vec<(pg_sys::Oid, i16, String)>,
) {
    // SAFETY: the caller's promise; a plan's variables still say what they were in the query.
    unsafe {
        for qual in nodes_of::<pg_sys::OpExpr>(quals).filter(|qual| is(*qual, NodeTag::T_OpExpr)) {
            for side in nodes_of::<pg_sys::Node>((*qual).args) {
                let side = bare(side);
                if !is(side, NodeTag::T_FuncExpr) {
                    continue;
                }
                let call = side.cast::<pg_sys::FuncExpr>();
                let column = nodes_of::<pg_sys::Node>((*call).args).next().map(|argument| bare(argument));
                let Some(column) = column.filter(|column| is(*column, NodeTag::T_Var)) else { continue };
                if (*call).funcformat != pg_sys::CoercionForm::COERCE_IMPLICIT_CAST {
                    continue;
                }
                let var = column.cast::<pg_sys::Var>();
                let table = tables.get(((*var).varnosyn as usize).wrapping_sub(1));
                if let Some(table) = table.filter(|t| (***t).rtekind == pg_sys::RTEKind::RTE_RELATION) {
                    let to = lookup::type_name((*call).funcresulttype, -1);
                    into.push(((**table).relid, (*var).varattnosyn, to));
                }
            }
        }
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
                        if let Some(condition) = condition(side, other, operator, table)
                            && !found.contains(&condition)
                        {
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
        if asked(operator, other) == Asks::Other {
            return None;
        }
        let (name, implicit) = made(side);
        let mut column = None;
        walk(side, Tree::Analysed, &mut |node| {
            column = column.or(column_of(node, table));
            column.is_none()
        });
        let asks = if implicit { Asks::Cast(name) } else { Asks::Function(name) };
        Some(Condition { column: column?, asks })
    }
}

/// What an expression makes of its column, and whether it is a conversion that nobody asked for.
///
/// # Safety
/// `side` is an expression.
unsafe fn made(side: *mut pg_sys::Node) -> (String, bool) {
    // SAFETY: the caller's promise; nodes are what their tags say.
    unsafe {
        let (to, form) = if is(side, NodeTag::T_FuncExpr) {
            let call = side.cast::<pg_sys::FuncExpr>();
            if (*call).funcformat == pg_sys::CoercionForm::COERCE_EXPLICIT_CALL {
                let name = pg_sys::get_func_name((*call).funcid);
                let name = if name.is_null() { String::new() } else { string_from(name) };
                return (format!("{name}()"), false);
            }
            ((*call).funcresulttype, (*call).funcformat)
        } else if is(side, NodeTag::T_CoerceViaIO) {
            let coercion = side.cast::<pg_sys::CoerceViaIO>();
            ((*coercion).resulttype, (*coercion).coerceformat)
        } else {
            return ("an expression".to_owned(), false);
        };
        let implicit = form == pg_sys::CoercionForm::COERCE_IMPLICIT_CAST;
        let name = lookup::type_name(to, -1);
        (if implicit { name } else { format!("a cast to {name}") }, implicit)
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

//! The walk through an analysed query: joins, conditions, orders, subqueries and WITH.

use super::operators::{extern_parameter, is_descending, kind_of, strategy};
use super::{Clause, Key, Kind, OrderKey, ParameterUse, Shape, keys::bare};
use crate::pg::lookup::{self, string_from};
use crate::pg::nodes::{Tree, is, nodes_of, walk, walk_expressions};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Collector {
    pub(super) shape: Shape,
    /// Use by query and range table index.
    pub(super) known: HashMap<(*mut pg_sys::Query, usize), usize>,
    /// The query being read, innermost last.
    pub(super) stack: Vec<*mut pg_sys::Query>,
}

/// A key as found: the use, the column or expression, and which range table entry it belongs to.
pub(super) struct Found {
    pub(super) place: usize,
    pub(super) key: Key,
    pub(super) type_oid: pg_sys::Oid,
}

impl Collector {
    /// # Safety
    /// `query` is live and analysed; so is what is above it on the stack.
    pub(super) unsafe fn query(&mut self, query: *mut pg_sys::Query) {
        // SAFETY: the caller's promise; nodes are what their tags say.
        unsafe {
            self.stack.push(query);
            if !(*query).jointree.is_null() {
                self.join_tree((*query).jointree.cast());
            }
            for entry in nodes_of::<pg_sys::RangeTblEntry>((*query).rtable) {
                if (*entry).rtekind == pg_sys::RTEKind::RTE_SUBQUERY {
                    self.query((*entry).subquery);
                }
            }
            for with in nodes_of::<pg_sys::CommonTableExpr>((*query).cteList) {
                if is((*with).ctequery, NodeTag::T_Query) {
                    self.query((*with).ctequery.cast());
                }
            }
            self.expressions(query);
            self.orders(query);
            for (node, offset) in [((*query).limitCount, false), ((*query).limitOffset, true)] {
                if node.is_null() {
                    continue;
                }
                let into = if offset { &mut self.shape.offsets } else { &mut self.shape.limits };
                walk(node, Tree::Analysed, &mut |below| {
                    into.extend(extern_parameter(below));
                    true
                });
            }
            self.stack.pop();
        }
    }

    unsafe fn join_tree(&mut self, node: *mut pg_sys::Node) {
        // SAFETY: as `query`.
        unsafe {
            if is(node, NodeTag::T_FromExpr) {
                let from = node.cast::<pg_sys::FromExpr>();
                for item in nodes_of::<pg_sys::Node>((*from).fromlist) {
                    self.join_tree(item);
                }
                self.condition((*from).quals, true);
            } else if is(node, NodeTag::T_JoinExpr) {
                let join = node.cast::<pg_sys::JoinExpr>();
                self.join_tree((*join).larg);
                self.join_tree((*join).rarg);
                // What an outer join asks of its optional side does not hold for every row.
                self.condition((*join).quals, (*join).jointype == pg_sys::JoinType::JOIN_INNER);
            }
        }
    }

    /// Columns, subqueries in expressions, min and max.
    unsafe fn expressions(&mut self, query: *mut pg_sys::Query) {
        // SAFETY: as `query`.
        unsafe {
            walk_expressions(query, &mut |node| {
                if is(node, NodeTag::T_Query) {
                    self.query(node.cast());
                    return false;
                }
                if is(node, NodeTag::T_Var) {
                    let var = node.cast::<pg_sys::Var>();
                    if let Some((place, column)) = self.resolve(&self.stack.clone(), node) {
                        let table = &mut self.shape.uses[place];
                        table.columns.insert(column);
                        table.whole_row |= (*var).varattno == 0;
                    }
                } else if is(node, NodeTag::T_Aggref) {
                    self.aggregate(node.cast());
                } else if is(node, NodeTag::T_SubLink) {
                    self.sublink(node.cast());
                }
                true
            });
        }
    }

    unsafe fn aggregate(&mut self, aggregate: *mut pg_sys::Aggref) {
        // SAFETY: as `query`.
        unsafe {
            let name = pg_sys::get_func_name((*aggregate).aggfnoid);
            if name.is_null() || !["min", "max"].contains(&string_from(name).as_str()) {
                return;
            }
            if let Some(argument) = nodes_of::<pg_sys::TargetEntry>((*aggregate).args).next()
                && let Some((place, column)) = self.resolve(&self.stack.clone(), (*argument).expr.cast())
            {
                self.shape.uses[place].orders.push(vec![OrderKey {
                    column,
                    descending: false,
                    nulls_first: false,
                }]);
            }
        }
    }

    /// `x IN (SELECT y ...)` compares x with y, both ways.
    unsafe fn sublink(&mut self, link: *mut pg_sys::SubLink) {
        // SAFETY: as `query`.
        unsafe {
            if (*link).subLinkType != pg_sys::SubLinkType::ANY_SUBLINK
                || !is((*link).subselect, NodeTag::T_Query)
            {
                return;
            }
            self.condition((*link).testexpr, false);
            let inner = (*link).subselect.cast::<pg_sys::Query>();
            self.stack.push(inner);
            for target in nodes_of::<pg_sys::TargetEntry>((*inner).targetList) {
                if (*target).resjunk {
                    continue;
                }
                let expression: *mut pg_sys::Node = (*target).expr.cast();
                if let Some((place, column)) = self.resolve(&self.stack.clone(), expression)
                    && let Some(operator) = lookup::equality_operator(pg_sys::exprType(expression))
                {
                    self.shape.uses[place].clauses.push(Clause {
                        key: Key::Column(column),
                        kind: Kind::Equal,
                        operator,
                        join: true,
                        certain: true,
                    });
                }
            }
            self.stack.pop();
        }
    }

    /// `certain`: holds for every row the query reads of the tables in it.
    unsafe fn condition(&mut self, node: *mut pg_sys::Node, certain: bool) {
        if node.is_null() {
            return;
        }
        // SAFETY: as `query`.
        unsafe {
            match (*node).type_ {
                NodeTag::T_List => {
                    for member in nodes_of::<pg_sys::Node>(node.cast()) {
                        self.condition(member, certain);
                    }
                }
                NodeTag::T_BoolExpr => {
                    let expression = node.cast::<pg_sys::BoolExpr>();
                    match (*expression).boolop {
                        pg_sys::BoolExprType::NOT_EXPR => self.predicate(node, certain),
                        operation => {
                            let certain = certain && operation == pg_sys::BoolExprType::AND_EXPR;
                            for member in nodes_of::<pg_sys::Node>((*expression).args) {
                                self.condition(member, certain);
                            }
                        }
                    }
                }
                NodeTag::T_OpExpr => {
                    let expression = node.cast::<pg_sys::OpExpr>();
                    let sides: Vec<*mut pg_sys::Node> = nodes_of((*expression).args).collect();
                    if let [left, right] = sides[..] {
                        self.comparison((*expression).opno, left, right, certain, false);
                        let commuted = pg_sys::get_commutator((*expression).opno);
                        if commuted != pg_sys::InvalidOid {
                            self.comparison(commuted, right, left, certain, false);
                        }
                    }
                    self.predicate(node, certain);
                }
                NodeTag::T_ScalarArrayOpExpr => {
                    let expression = node.cast::<pg_sys::ScalarArrayOpExpr>();
                    let sides: Vec<*mut pg_sys::Node> = nodes_of((*expression).args).collect();
                    if let ([left, right], true) = (&sides[..], (*expression).useOr) {
                        self.comparison((*expression).opno, *left, *right, certain, true);
                        self.predicate(node, certain);
                    }
                }
                NodeTag::T_NullTest => {
                    let test = node.cast::<pg_sys::NullTest>();
                    if let Some(found) = self.key((*test).arg.cast()) {
                        self.shape.uses[found.place].clauses.push(Clause {
                            key: found.key,
                            kind: Kind::Null,
                            operator: pg_sys::InvalidOid,
                            join: false,
                            certain,
                        });
                    }
                    self.predicate(node, certain);
                }
                NodeTag::T_Var | NodeTag::T_BooleanTest => self.predicate(node, certain),
                _ => {}
            }
        }
    }

    unsafe fn comparison(
        &mut self,
        operator: pg_sys::Oid,
        key: *mut pg_sys::Node,
        other: *mut pg_sys::Node,
        certain: bool,
        array: bool,
    ) {
        // SAFETY: as `query`.
        unsafe {
            let Some(found) = self.key(key) else { return };
            let mut join = false;
            let mut own = false;
            let stack = self.stack.clone();
            walk(other, Tree::Analysed, &mut |node| {
                if is(node, NodeTag::T_Var) {
                    join = true;
                    own |= self.resolve(&stack, node).is_some_and(|(place, _)| place == found.place);
                }
                join |= is(node, NodeTag::T_Param)
                    && (*node.cast::<pg_sys::Param>()).paramkind != pg_sys::ParamKind::PARAM_EXTERN;
                true
            });
            if own {
                return;
            }
            self.parameter(&found, operator, other, array);
            let kind = match (kind_of(operator, found.type_oid), array) {
                (Kind::Equal, true) => Kind::In,
                (_, true) => return,
                (kind, false) => kind,
            };
            self.shape.uses[found.place].clauses.push(Clause {
                key: found.key,
                kind,
                operator,
                join,
                certain,
            });
        }
    }

    /// Notes what a parameter is compared with.
    unsafe fn parameter(
        &mut self,
        found: &Found,
        operator: pg_sys::Oid,
        other: *mut pg_sys::Node,
        array: bool,
    ) {
        let Key::Column(column) = found.key else { return };
        // SAFETY: as `query`.
        unsafe {
            let direct = extern_parameter(other);
            let relid = self.shape.uses[found.place].relid;
            let kind = kind_of(operator, found.type_oid);
            let lower_bound = strategy(operator, found.type_oid) >= pg_sys::BTGreaterEqualStrategyNumber;
            let mut numbers = Vec::new();
            walk(other, Tree::Analysed, &mut |node| {
                numbers.extend(extern_parameter(node));
                true
            });
            for number in numbers {
                let array = array && direct == Some(number);
                self.shape.parameters.entry(number).or_insert(ParameterUse {
                    relid,
                    column,
                    kind,
                    lower_bound,
                    array,
                });
            }
        }
    }

    unsafe fn orders(&mut self, query: *mut pg_sys::Query) {
        // SAFETY: as `query`.
        unsafe {
            for clause in [(*query).sortClause, (*query).groupClause, (*query).distinctClause] {
                let mut order: Vec<OrderKey> = Vec::new();
                let mut of = None;
                for key in nodes_of::<pg_sys::SortGroupClause>(clause) {
                    let target = pg_sys::get_sortgroupclause_tle(key, (*query).targetList);
                    let Some((place, column)) =
                        self.resolve(&self.stack.clone(), bare((*target).expr.cast()))
                    else {
                        break;
                    };
                    if *of.get_or_insert(place) != place {
                        break;
                    }
                    order.push(OrderKey {
                        column,
                        descending: is_descending((*key).sortop),
                        nulls_first: (*key).nulls_first,
                    });
                }
                if let Some(place) = of
                    && !self.shape.uses[place].orders.contains(&order)
                {
                    self.shape.uses[place].orders.push(order);
                }
            }
        }
    }
}

//! What a query asks of each table: the conditions, orders and columns an index could serve. Read from the
//! analysed query, so that names, casts, views and subqueries are what PostgreSQL takes them for.

use super::lookup::{self, string_from};
use super::nodes::{Tree, copy, is, nodes_of, walk, walk_expressions};
use super::planning::Statement;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::collections::{BTreeSet, HashMap};

/// What a statement asks of its tables, and changes of them.
#[derive(Debug, Default)]
pub struct Shape {
    pub uses: Vec<TableUse>,
    pub change: Option<Change>,
    /// What parameters are compared with, by number.
    pub parameters: HashMap<usize, ParameterUse>,
    /// Parameters of LIMIT and of OFFSET.
    pub limits: Vec<usize>,
    pub offsets: Vec<usize>,
}

/// A parameter's part in a comparison with a column.
#[derive(Debug, Clone, Copy)]
pub struct ParameterUse {
    pub relid: pg_sys::Oid,
    pub column: i16,
    pub kind: Kind,
    /// The column is above it: `column > $1`.
    pub lower_bound: bool,
    /// Equal to one of an array's elements, and the parameter is the array.
    pub array: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Insert,
    Update,
    Delete,
}

/// The table a statement changes; of an UPDATE, the columns it sets.
#[derive(Debug, Clone)]
pub struct Change {
    pub relid: pg_sys::Oid,
    pub kind: ChangeKind,
    pub columns: Vec<i16>,
}

/// One appearance of a table in a statement.
#[derive(Debug, Default)]
pub struct TableUse {
    pub relid: pg_sys::Oid,
    pub clauses: Vec<Clause>,
    /// Orders of rows that are asked for or would help: ORDER BY, GROUP BY, DISTINCT, min and max.
    pub orders: Vec<Vec<OrderKey>>,
    /// Columns read, for whatever purpose.
    pub columns: BTreeSet<i16>,
    pub whole_row: bool,
    /// Conditions without parameters that hold for every row asked for.
    pub predicates: Vec<Predicate>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Column(i16),
    /// As SQL over the table's columns.
    Expression(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Equal,
    /// Equal to one of several.
    In,
    Range,
    /// LIKE and its kin.
    Pattern,
    Null,
    /// An operator that is none of btree's.
    Other,
}

#[derive(Debug, Clone)]
pub struct Clause {
    pub key: Key,
    pub kind: Kind,
    /// With the key on its left; invalid for Null.
    pub operator: pg_sys::Oid,
    /// Compared with another table's columns.
    pub join: bool,
    /// Not below an OR.
    pub certain: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrderKey {
    pub column: i16,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Predicate {
    pub sql: String,
    pub columns: Vec<i16>,
    /// The constants a column is compared with, as text: whether they may be shown is for the caller to find
    /// out.
    pub constants: Vec<String>,
}

impl Statement {
    pub fn asks(&self) -> Shape {
        let mut collector = Collector::default();
        // SAFETY: the statement's query lives while it does.
        unsafe {
            let query = self.query();
            collector.query(query);
            collector.shape.change = change(query);
        }
        collector.shape
    }
}

unsafe fn change(query: *mut pg_sys::Query) -> Option<Change> {
    // SAFETY: an analysed query; its result relation is an entry of its range table.
    unsafe {
        let kind = match (*query).commandType {
            pg_sys::CmdType::CMD_INSERT => ChangeKind::Insert,
            pg_sys::CmdType::CMD_UPDATE => ChangeKind::Update,
            pg_sys::CmdType::CMD_DELETE => ChangeKind::Delete,
            _ => return None,
        };
        let entry =
            nodes_of::<pg_sys::RangeTblEntry>((*query).rtable).nth((*query).resultRelation as usize - 1)?;
        let columns = nodes_of::<pg_sys::TargetEntry>((*query).targetList)
            .filter(|target| !(**target).resjunk)
            .map(|target| (*target).resno)
            .collect();
        Some(Change { relid: (*entry).relid, kind, columns })
    }
}

#[derive(Default)]
struct Collector {
    shape: Shape,
    /// Use by query and range table index.
    known: HashMap<(*mut pg_sys::Query, usize), usize>,
    /// The query being read, innermost last.
    stack: Vec<*mut pg_sys::Query>,
}

/// A key as found: the use, the column or expression, and which range table entry it belongs to.
struct Found {
    place: usize,
    key: Key,
    type_oid: pg_sys::Oid,
}

impl Collector {
    /// # Safety
    /// `query` is live and analysed; so is what is above it on the stack.
    unsafe fn query(&mut self, query: *mut pg_sys::Query) {
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

    /// A condition on one table alone, without parameters, that a partial index could have.
    unsafe fn predicate(&mut self, node: *mut pg_sys::Node, certain: bool) {
        // SAFETY: as `query`.
        unsafe {
            if !certain || pg_sys::contain_mutable_functions(node) {
                return;
            }
            let Some((place, columns, varno)) = self.only_table(node) else { return };
            let mut constants = Vec::new();
            let mut fit = true;
            walk(node, Tree::Analysed, &mut |below| {
                fit &= !is(below, NodeTag::T_Param) && !is(below, NodeTag::T_SubLink);
                if is(below, NodeTag::T_Const) {
                    constants.extend(constant_texts(below.cast()));
                }
                true
            });
            // Only equality: a range's bounds move with time.
            if !constants.is_empty() {
                let operator = if is(node, NodeTag::T_OpExpr) {
                    (*node.cast::<pg_sys::OpExpr>()).opno
                } else if is(node, NodeTag::T_ScalarArrayOpExpr) {
                    (*node.cast::<pg_sys::ScalarArrayOpExpr>()).opno
                } else {
                    return;
                };
                let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::op_input_types(operator, &mut left, &mut right);
                fit &= kind_of(operator, left) == Kind::Equal;
            }
            if !fit {
                return;
            }
            let relid = self.shape.uses[place].relid;
            let node = in_order(node);
            let sql = spelled(node, varno, relid);
            let predicate = Predicate { sql, columns, constants };
            let known = &mut self.shape.uses[place].predicates;
            if !known.contains(&predicate) {
                known.push(predicate);
            }
        }
    }

    /// A column, or an expression of one table's columns, that an index could be on.
    unsafe fn key(&mut self, node: *mut pg_sys::Node) -> Option<Found> {
        // SAFETY: as `query`.
        unsafe {
            let node = bare(node);
            let type_oid = pg_sys::exprType(node);
            if is(node, NodeTag::T_Var) {
                let (place, column) = self.resolve(&self.stack.clone(), node)?;
                return (column > 0).then_some(Found { place, key: Key::Column(column), type_oid });
            }
            if is(node, NodeTag::T_Const)
                || is(node, NodeTag::T_Param)
                || pg_sys::contain_mutable_functions(node)
            {
                return None;
            }
            let (place, _, varno) = self.only_table(node)?;
            let mut fit = true;
            walk(node, Tree::Analysed, &mut |below| {
                let unfit = [NodeTag::T_Param, NodeTag::T_SubLink, NodeTag::T_Aggref, NodeTag::T_WindowFunc];
                fit &= !unfit.iter().any(|tag| is(below, *tag));
                true
            });
            if !fit {
                return None;
            }
            let sql = spelled(node, varno, self.shape.uses[place].relid);
            Some(Found { place, key: Key::Expression(sql), type_oid })
        }
    }

    /// The one table of the current query whose columns an expression has, those, and its number.
    #[allow(clippy::unnecessary_cast)] // PostgreSQL 14 counts range table entries without a sign.
    unsafe fn only_table(&mut self, node: *mut pg_sys::Node) -> Option<(usize, Vec<i16>, i32)> {
        // SAFETY: as `query`.
        unsafe {
            let query = *self.stack.last()?;
            let mut varno = None;
            let mut columns = BTreeSet::new();
            let mut fit = true;
            walk(node, Tree::Analysed, &mut |below| {
                if is(below, NodeTag::T_Var) {
                    let var = below.cast::<pg_sys::Var>();
                    fit &= (*var).varlevelsup == 0 && (*var).varattno > 0;
                    fit &= *varno.get_or_insert((*var).varno as i32) == (*var).varno as i32;
                    columns.insert((*var).varattno);
                }
                fit
            });
            let varno = varno.filter(|_| fit)?;
            let entry = nodes_of::<pg_sys::RangeTblEntry>((*query).rtable).nth(varno as usize - 1)?;
            if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
                return None;
            }
            let place = self.place(query, varno as usize, (*entry).relid)?;
            Some((place, columns.into_iter().collect(), varno))
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

    /// The base table's column a variable stands for, through joins, subqueries and WITH.
    unsafe fn resolve(
        &mut self,
        stack: &[*mut pg_sys::Query],
        node: *mut pg_sys::Node,
    ) -> Option<(usize, i16)> {
        // SAFETY: as `query`.
        unsafe {
            let node = bare(node);
            if !is(node, NodeTag::T_Var) {
                return None;
            }
            let var = node.cast::<pg_sys::Var>();
            let depth = stack.len().checked_sub(1 + (*var).varlevelsup as usize)?;
            let stack = &stack[..=depth];
            let query = stack[depth];
            let entry = nodes_of::<pg_sys::RangeTblEntry>((*query).rtable).nth((*var).varno as usize - 1)?;
            let nth = usize::try_from((*var).varattno).ok()?.checked_sub(1);
            match (*entry).rtekind {
                pg_sys::RTEKind::RTE_RELATION => {
                    let place = self.place(query, (*var).varno as usize, (*entry).relid)?;
                    Some((place, (*var).varattno))
                }
                pg_sys::RTEKind::RTE_JOIN => {
                    let alias = nodes_of::<pg_sys::Node>((*entry).joinaliasvars).nth(nth?)?;
                    self.resolve(stack, alias)
                }
                #[cfg(feature = "pg18")]
                pg_sys::RTEKind::RTE_GROUP => {
                    let expression = nodes_of::<pg_sys::Node>((*entry).groupexprs).nth(nth?)?;
                    self.resolve(stack, expression)
                }
                pg_sys::RTEKind::RTE_SUBQUERY => {
                    let inner = (*entry).subquery;
                    let target = nodes_of::<pg_sys::TargetEntry>((*inner).targetList).nth(nth?)?;
                    let mut below = stack.to_vec();
                    below.push(inner);
                    if (*inner).setOperations.is_null() {
                        self.resolve(&below, (*target).expr.cast())
                    } else {
                        None
                    }
                }
                pg_sys::RTEKind::RTE_CTE => {
                    let depth = depth.checked_sub((*entry).ctelevelsup as usize)?;
                    let name = string_from((*entry).ctename);
                    let with = nodes_of::<pg_sys::CommonTableExpr>((*stack[depth]).cteList)
                        .find(|with| string_from((**with).ctename) == name)?;
                    if (*entry).self_reference || !is((*with).ctequery, NodeTag::T_Query) {
                        return None;
                    }
                    let inner = (*with).ctequery.cast::<pg_sys::Query>();
                    let target = nodes_of::<pg_sys::TargetEntry>((*inner).targetList).nth(nth?)?;
                    let mut below = stack[..=depth].to_vec();
                    below.push(inner);
                    if (*inner).setOperations.is_null() {
                        self.resolve(&below, (*target).expr.cast())
                    } else {
                        None
                    }
                }
                _ => None,
            }
        }
    }

    fn place(&mut self, query: *mut pg_sys::Query, number: usize, relid: pg_sys::Oid) -> Option<usize> {
        if let Some(place) = self.known.get(&(query, number)) {
            return Some(*place);
        }
        // SAFETY: a syscache look-up.
        let kind = unsafe { pg_sys::get_rel_relkind(relid) } as u8;
        if ![pg_sys::RELKIND_RELATION, pg_sys::RELKIND_PARTITIONED_TABLE, pg_sys::RELKIND_MATVIEW]
            .contains(&kind)
        {
            return None;
        }
        self.shape.uses.push(TableUse { relid, ..TableUse::default() });
        self.known.insert((query, number), self.shape.uses.len() - 1);
        Some(self.shape.uses.len() - 1)
    }
}

/// Without casts that change nothing but the name of the type.
unsafe fn bare(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: nodes are what their tags say.
    unsafe {
        while is(node, NodeTag::T_RelabelType) {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
    }
    node
}

/// A constant as text, an array's elements each.
///
/// # Safety
/// `value` is a constant of an analysed query.
unsafe fn constant_texts(value: *mut pg_sys::Const) -> Vec<String> {
    // SAFETY: the caller's promise; each value is given to its own type's functions.
    unsafe {
        if (*value).constisnull {
            return Vec::new();
        }
        let text = |type_oid, datum| {
            let (mut output, mut varlena) = (pg_sys::InvalidOid, false);
            pg_sys::getTypeOutputInfo(type_oid, &mut output, &mut varlena);
            string_from(pg_sys::OidOutputFunctionCall(output, datum))
        };
        let element = pg_sys::get_element_type((*value).consttype);
        if element == pg_sys::InvalidOid {
            return vec![text((*value).consttype, (*value).constvalue)];
        }
        let (mut length, mut by_value, mut align) = (0, false, 0);
        pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
        let (mut elements, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        let array = pg_sys::pg_detoast_datum((*value).constvalue.cast_mut_ptr()).cast();
        pg_sys::deconstruct_array(
            array,
            element,
            i32::from(length),
            by_value,
            align,
            &mut elements,
            &mut nulls,
            &mut count,
        );
        (0..count as usize).filter(|i| !*nulls.add(*i)).map(|i| text(element, *elements.add(i))).collect()
    }
}

/// Two columns compared, the one that comes first in the table on the left: one condition, one predicate.
unsafe fn in_order(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: nodes are what their tags say; works on a copy.
    unsafe {
        if !is(node, NodeTag::T_OpExpr) {
            return node;
        }
        let expression = node.cast::<pg_sys::OpExpr>();
        let sides: Vec<*mut pg_sys::Node> = nodes_of((*expression).args).collect();
        let column = |side: *mut pg_sys::Node| {
            is(side, NodeTag::T_Var).then(|| (*side.cast::<pg_sys::Var>()).varattno)
        };
        match sides[..] {
            [left, right] if column(left) > column(right) && column(right).is_some() => {
                let turned = copy(expression);
                pg_sys::CommuteOpExpr(turned);
                turned.cast()
            }
            _ => node,
        }
    }
}

unsafe fn extern_parameter(node: *mut pg_sys::Node) -> Option<usize> {
    // SAFETY: nodes are what their tags say.
    unsafe {
        let node = bare(node);
        if !is(node, NodeTag::T_Param) {
            return None;
        }
        let parameter = node.cast::<pg_sys::Param>();
        ((*parameter).paramkind == pg_sys::ParamKind::PARAM_EXTERN).then_some((*parameter).paramid as usize)
    }
}

/// The operator's number in btree's default operator class of the type; zero where it is not there.
fn strategy(operator: pg_sys::Oid, type_oid: pg_sys::Oid) -> u32 {
    // SAFETY: syscache look-ups.
    unsafe {
        let class = pg_sys::GetDefaultOpClass(type_oid, pg_sys::BTREE_AM_OID);
        if class == pg_sys::InvalidOid {
            return 0;
        }
        pg_sys::get_op_opfamily_strategy(operator, pg_sys::get_opclass_family(class)) as u32
    }
}

/// What btree's default operator class of the type calls the operator.
fn kind_of(operator: pg_sys::Oid, type_oid: pg_sys::Oid) -> Kind {
    match strategy(operator, type_oid) {
        pg_sys::BTEqualStrategyNumber => return Kind::Equal,
        0 => {}
        _ => return Kind::Range,
    }
    // SAFETY: returns null or a palloc'd string.
    unsafe {
        let name = pg_sys::get_opname(operator);
        if !name.is_null() && ["~~", "~~*", "~", "~*", "^@"].contains(&string_from(name).as_str()) {
            return Kind::Pattern;
        }
    }
    Kind::Other
}

fn is_descending(operator: pg_sys::Oid) -> bool {
    let (mut family, mut type_oid) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: a catalogue look-up that fills its arguments.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        let mut strategy: i16 = 0;
        #[cfg(feature = "pg18")]
        let mut strategy: pg_sys::CompareType::Type = 0;
        if operator == pg_sys::InvalidOid
            || !pg_sys::get_ordering_op_properties(operator, &mut family, &mut type_oid, &mut strategy)
        {
            return false;
        }
        i64::from(strategy) == i64::from(pg_sys::BTGreaterStrategyNumber)
    }
}

/// An expression of one table as SQL over its columns.
///
/// # Safety
/// Its variables are those of range table entry `varno`, a table.
unsafe fn spelled(node: *mut pg_sys::Node, varno: i32, relid: pg_sys::Oid) -> String {
    // SAFETY: the caller's promise; works on a copy.
    unsafe {
        let node = copy(node);
        pg_sys::ChangeVarNodes(node, varno, 1, 0);
        let context = pg_sys::deparse_context_for(c"t".as_ptr(), relid);
        string_from(pg_sys::deparse_expression(node, context, false, false))
    }
}

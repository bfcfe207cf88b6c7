//! Which column or expression of which table a node is, and the conditions on one table alone.

use super::collect::{Collector, Found};
use super::operators::kind_of;
use super::{Key, Kind, Predicate, TableUse};
use crate::pg::lookup::string_from;
use crate::pg::nodes::{Tree, copy, is, nodes_of, walk};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::collections::BTreeSet;

impl Collector {
    /// A condition on one table alone, without parameters, that a partial index could have.
    pub(super) unsafe fn predicate(&mut self, node: *mut pg_sys::Node, certain: bool) {
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
    pub(super) unsafe fn key(&mut self, node: *mut pg_sys::Node) -> Option<Found> {
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

    /// The base table's column a variable stands for, through joins, subqueries and WITH.
    pub(super) unsafe fn resolve(
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
pub(super) unsafe fn bare(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
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

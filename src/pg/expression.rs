//! Expressions as the catalogue stores them: index expressions and predicates.

use super::lookup::string_from;
use pgrx::pg_sys;
use std::ffi::CString;

/// The members of a stored list of expressions (an index's expressions, or the conditions of its
/// predicate), each as text that is equal where the expressions are, wherever in their statements they
/// stood.
pub fn canonical(stored: &str) -> Vec<String> {
    // SAFETY: lists of nodes as the reader makes them; the writer returns a palloc'd string for each.
    unsafe {
        nodes(stored)
            .into_iter()
            .map(|node| string_from(pg_sys::nodeToString(node.cast::<std::ffi::c_void>())))
            .collect()
    }
}

/// Whether a stored predicate holds wherever none of `columns` is null, as for each row a foreign key's
/// check or action looks for.
pub fn follows_from_not_null(stored: &str, columns: &[(i16, pg_sys::Oid, i32, pg_sys::Oid)]) -> bool {
    // SAFETY: nodes of the right kinds, made by PostgreSQL's own constructors in the current context; the
    // prover reads them.
    unsafe {
        let mut known = std::ptr::null_mut();
        for &(number, type_oid, typmod, collation) in columns {
            let mut test = pgrx::PgBox::<pg_sys::NullTest>::alloc_node(pg_sys::NodeTag::T_NullTest);
            test.arg = pg_sys::makeVar(1, number, type_oid, typmod, collation, 0).cast();
            test.nulltesttype = pg_sys::NullTestType::IS_NOT_NULL;
            test.argisrow = false;
            test.location = -1;
            known = pg_sys::lappend(known, test.into_pg().cast());
        }
        let Some(predicate) = list(stored) else { return false };
        pg_sys::predicate_implied_by(predicate, known, false)
    }
}

/// # Safety
/// `stored` is a node tree of the running server's version.
unsafe fn nodes(stored: &str) -> Vec<*mut pg_sys::Node> {
    // SAFETY: the caller's promise; elements of a list of nodes are nodes.
    unsafe {
        let Some(list) = list(stored) else { return Vec::new() };
        (0..(*list).length as usize).map(|i| (*(*list).elements.add(i)).ptr_value.cast()).collect()
    }
}

/// A list of expressions, or the conditions of an expression that is one of several joined by AND.
///
/// # Safety
/// As `nodes`.
unsafe fn list(stored: &str) -> Option<*mut pg_sys::List> {
    let text = CString::new(stored).ok()?;
    // SAFETY: the caller's promise; the tag says what the node is.
    unsafe {
        let node: *mut pg_sys::Node = pg_sys::stringToNode(text.as_ptr()).cast();
        if node.is_null() {
            None
        } else if (*node).type_ == pg_sys::NodeTag::T_List {
            Some(node.cast())
        } else {
            Some(pg_sys::make_ands_implicit(node.cast()))
        }
    }
}

//! Walking PostgreSQL's lists and node trees.

use pgrx::pg_sys;
use std::ffi::c_void;

/// The nodes of a list, in order; none for an empty list, which is a null pointer.
///
/// # Safety
/// `list` is null or a list of pointers that lives while the iterator does.
pub(super) unsafe fn nodes_of<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: the caller's promise; a list's length and cells belong together.
    let length = if list.is_null() { 0 } else { unsafe { (*list).length as usize } };
    // SAFETY: as above, within the length.
    (0..length).map(move |i| unsafe { (*(*list).elements.add(i)).ptr_value.cast::<T>() })
}

/// # Safety
/// `node` is null or points to a node.
pub(super) unsafe fn is<T>(node: *mut T, tag: pg_sys::NodeTag) -> bool {
    // SAFETY: every node starts with its tag.
    !node.is_null() && unsafe { (*node.cast::<pg_sys::Node>()).type_ == tag }
}

/// A deep copy, in the current memory context.
///
/// # Safety
/// `node` is null or points to a node that copyObject knows.
pub(super) unsafe fn copy<T>(node: *const T) -> *mut T {
    // SAFETY: the caller's promise.
    unsafe { pg_sys::copyObjectImpl(node.cast()).cast() }
}

/// Which of the server's walkers knows the kind of tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// As the grammar made it.
    Raw,
    /// As the analyser made it: queries and expressions.
    Analysed,
}

/// Calls `visit` for a node and those below it; below a node for which it returns false it does not go.
///
/// # Safety
/// `node` is null or a live node of such a tree.
pub(super) unsafe fn walk(
    node: *mut pg_sys::Node,
    tree: Tree,
    visit: &mut dyn FnMut(*mut pg_sys::Node) -> bool,
) {
    struct Walk<'a> {
        tree: Tree,
        visit: &'a mut dyn FnMut(*mut pg_sys::Node) -> bool,
    }
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn step(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
        if node.is_null() {
            return false;
        }
        // SAFETY: `context` is the `Walk` below, borrowed by nobody else while the walker runs.
        unsafe {
            let walk = &mut *context.cast::<Walk>();
            if (walk.visit)(node) {
                match walk.tree {
                    Tree::Raw => pg_sys::raw_expression_tree_walker(node, Some(step), context),
                    Tree::Analysed if is(node, pg_sys::NodeTag::T_Query) => {
                        pg_sys::query_tree_walker(node.cast(), Some(step), context, 0)
                    }
                    Tree::Analysed => pg_sys::expression_tree_walker(node, Some(step), context),
                };
            }
        }
        false
    }
    let mut walk = Walk { tree, visit };
    // SAFETY: the caller's promise; the context outlives the call.
    unsafe {
        step(node, (&raw mut walk).cast());
    }
}

/// Calls `visit` for the expressions of an analysed query and those below them, subqueries of its FROM and
/// WITH clauses left out.
///
/// # Safety
/// `query` is a live analysed query.
pub(super) unsafe fn walk_expressions(
    query: *mut pg_sys::Query,
    visit: &mut dyn FnMut(*mut pg_sys::Node) -> bool,
) {
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn step(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
        // SAFETY: `context` is the reference below, used by nobody else while the walker runs.
        unsafe { walk(node, Tree::Analysed, *context.cast::<&mut dyn FnMut(*mut pg_sys::Node) -> bool>()) };
        false
    }
    let flags =
        pg_sys::QTW_IGNORE_RT_SUBQUERIES | pg_sys::QTW_IGNORE_CTE_SUBQUERIES | pg_sys::QTW_IGNORE_JOINALIASES;
    let mut visit: &mut dyn FnMut(*mut pg_sys::Node) -> bool = visit;
    // SAFETY: the caller's promise; the context outlives the call.
    unsafe {
        pg_sys::query_tree_walker(query, Some(step), (&raw mut visit).cast(), flags as i32);
    }
}

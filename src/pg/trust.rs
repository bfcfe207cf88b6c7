//! Whose code an expression runs: PostgreSQL's own, a superuser's, or somebody's.

use super::nodes::{Tree, is, walk};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::ffi::c_void;

/// Whether an expression runs functions of PostgreSQL and of superusers only. Where it does not, it runs
/// with the rights of somebody who chose to run it, and of nobody else.
///
/// # Safety
/// `expression` is null or an analysed expression that nothing has been folded in yet.
pub(super) unsafe fn is_trusted(expression: *mut pg_sys::Node) -> bool {
    let mut trusted = true;
    // SAFETY: the caller's promise; nodes are what their tags say.
    unsafe {
        walk(expression, Tree::Analysed, &mut |node| {
            // The domain's conditions are its owner's; so are those of domains that the text of a composite value
            // is read into.
            let conditions = is(node, NodeTag::T_CoerceToDomain)
                || is(node, NodeTag::T_CoerceViaIO)
                    && is_made_later((*node.cast::<pg_sys::CoerceViaIO>()).resulttype);
            let strange = pg_sys::check_functions_in_node(node, Some(is_somebodys), std::ptr::null_mut());
            trusted &= !conditions && !strange;
            trusted
        });
    }
    trusted
}

fn is_made_later(object: pg_sys::Oid) -> bool {
    object.to_u32() >= pg_sys::FirstNormalObjectId
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn is_somebodys(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    is_made_later(function)
        && pgrx::pg_catalog::pg_proc::PgProc::new(function)
            .is_none_or(|function| !super::security::is_superuser(function.proowner()))
}

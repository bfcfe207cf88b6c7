//! Parse analysis of a statement whose parameters have no declared types, by PostgreSQL's own analyser:
//! a parameter takes the type of what it is compared with, as in PREPARE, and where PREPARE would refuse
//! (two types for one parameter, none at all) this finds something that can be planned.

use super::nodes::{Tree, is, walk};
use super::planning::plannable;
use crate::error::Result;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::ffi::{CString, c_void};

/// What the hooks of one analysis share.
struct Inference {
    /// `$1` first; invalid for a number not met, UNKNOWN until something says which.
    types: Vec<pg_sys::Oid>,
}

/// Numbers above are no parameter but a mistake: the array of types has an entry for each.
const MOST_PARAMETERS: i32 = 65_535;

/// Analyses and rewrites a statement. `hints` are types of parameters known beforehand, invalid where not.
/// post_parse_analyze_hook is not called: pg_stat_statements would enter the text into its table.
///
/// # Safety
/// `statement` is a raw statement; the result lives in the current memory context.
pub(super) unsafe fn analyse(
    statement: *mut pg_sys::RawStmt,
    text: &str,
    hints: &[pg_sys::Oid],
) -> Result<(*mut pg_sys::Query, Vec<pg_sys::Oid>)> {
    // SAFETY: the parse state is freed at the end; what the hooks are given outlives the analysis.
    unsafe {
        let text: CString = super::lookup::c_string(text)?;
        let mut inference = Inference { types: hints.to_vec() };
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        (*state).p_sourcetext = text.as_ptr();
        (*state).p_paramref_hook = Some(parameter);
        (*state).p_coerce_param_hook = Some(coerce);
        (*state).p_ref_hook_state = (&raw mut inference).cast();
        let query = pg_sys::transformTopLevelStmt(state, statement);
        pg_sys::free_parsestate(state);
        if (*query).commandType == pg_sys::CmdType::CMD_UTILITY {
            return Ok((plannable(pg_sys::lappend(std::ptr::null_mut(), query.cast()))?, Vec::new()));
        }
        settle(query, &mut inference);
        let rewritten = pg_sys::pg_rewrite_query(query);
        Ok((plannable(rewritten)?, inference.types))
    }
}

/// A parameter as met in the text, of the type found so far.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn parameter(
    state: *mut pg_sys::ParseState,
    reference: *mut pg_sys::ParamRef,
) -> *mut pg_sys::Node {
    // SAFETY: the hook's arguments; its state is the `Inference` of `analyse`.
    unsafe {
        let inference = &mut *(*state).p_ref_hook_state.cast::<Inference>();
        let number = (*reference).number;
        if number <= 0 || number > MOST_PARAMETERS {
            // No hook's node: the parser reports the parameter.
            return std::ptr::null_mut();
        }
        let position = number as usize - 1;
        if inference.types.len() <= position {
            inference.types.resize(position + 1, pg_sys::InvalidOid);
        }
        let known = &mut inference.types[position];
        if *known == pg_sys::InvalidOid {
            *known = pg_sys::UNKNOWNOID;
        }
        new_parameter(number, *known, (*reference).location).cast()
    }
}

/// A parameter of unknown type takes the type the context wants.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn coerce(
    state: *mut pg_sys::ParseState,
    parameter: *mut pg_sys::Param,
    target: pg_sys::Oid,
    _typmod: i32,
    _location: i32,
) -> *mut pg_sys::Node {
    // SAFETY: as in `parameter`; the node is the parser's to change here.
    unsafe {
        if (*parameter).paramkind != pg_sys::ParamKind::PARAM_EXTERN
            || (*parameter).paramtype != pg_sys::UNKNOWNOID
        {
            return std::ptr::null_mut();
        }
        let inference = &mut *(*state).p_ref_hook_state.cast::<Inference>();
        let known = &mut inference.types[(*parameter).paramid as usize - 1];
        if *known == pg_sys::UNKNOWNOID {
            *known = target;
        } else if *known != target {
            // One value of two types: for planning, as good as two parameters.
            inference.types.push(target);
            (*parameter).paramid = inference.types.len() as i32;
        }
        (*parameter).paramtype = target;
        (*parameter).paramtypmod = -1;
        (*parameter).paramcollid = pg_sys::get_typcollation(target);
        parameter.cast()
    }
}

unsafe fn new_parameter(number: i32, type_oid: pg_sys::Oid, location: i32) -> *mut pg_sys::Param {
    // SAFETY: a node made in the current memory context.
    unsafe {
        let node = pg_sys::palloc0(size_of::<pg_sys::Param>()).cast::<pg_sys::Param>();
        (*node).xpr.type_ = NodeTag::T_Param;
        (*node).paramkind = pg_sys::ParamKind::PARAM_EXTERN;
        (*node).paramid = number;
        (*node).paramtype = type_oid;
        (*node).paramtypmod = -1;
        (*node).paramcollid = pg_sys::get_typcollation(type_oid);
        (*node).location = location;
        node
    }
}

/// What is still of unknown type, or was met before its type was found, gets one.
///
/// # Safety
/// `query` has just been analysed with `inference`.
unsafe fn settle(query: *mut pg_sys::Query, inference: &mut Inference) {
    for known in &mut inference.types {
        if *known == pg_sys::UNKNOWNOID {
            *known = pg_sys::TEXTOID;
        }
    }
    // SAFETY: the caller's promise.
    unsafe {
        walk(query.cast(), Tree::Analysed, &mut |node| {
            if is(node, NodeTag::T_Param) {
                let parameter = node.cast::<pg_sys::Param>();
                if (*parameter).paramkind == pg_sys::ParamKind::PARAM_EXTERN
                    && (*parameter).paramtype == pg_sys::UNKNOWNOID
                {
                    (*parameter).paramtype = inference.types[(*parameter).paramid as usize - 1];
                    (*parameter).paramcollid = pg_sys::get_typcollation((*parameter).paramtype);
                }
            }
            true
        });
    }
}

/// Runs `work`; where it fails, the place in the text that the error names comes with it, in characters
/// from one, zero where it names none.
pub(super) fn with_error_position<T>(
    work: impl FnOnce() -> Result<T>,
) -> std::result::Result<T, (crate::error::Error, usize)> {
    unsafe extern "C-unwind" fn note(argument: *mut c_void) {
        // SAFETY: called while an error is being made; the argument is the integer below.
        unsafe { *argument.cast::<i32>() = super::ffi::error_position() }
    }
    struct Pop(*mut pg_sys::ErrorContextCallback);
    impl Drop for Pop {
        fn drop(&mut self) {
            // SAFETY: the stack as it was found.
            unsafe { pg_sys::error_context_stack = self.0 }
        }
    }
    let mut position = 0_i32;
    let outcome = super::subtransaction::attempt(|| {
        // SAFETY: the callback is taken off again before it goes out of scope, on any path.
        unsafe {
            let mut callback = pg_sys::ErrorContextCallback {
                previous: pg_sys::error_context_stack,
                callback: Some(note),
                arg: (&raw mut position).cast(),
            };
            let _pop = Pop(pg_sys::error_context_stack);
            pg_sys::error_context_stack = &raw mut callback;
            work()
        }
    });
    outcome.map_err(|error| (error, usize::try_from(position).unwrap_or(0)))
}

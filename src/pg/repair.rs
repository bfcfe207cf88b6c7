//! Statements as pg_stat_statements keeps them: constants replaced by `$n` wherever they stood, which is
//! often not where a parameter may stand (`date $1`), or leaves nothing to tell its type by (`$1 + $2`).
//!
//! The grammar itself says where a parameter is out of place: the text is given to it, and a parameter
//! that it stops at is offered again as a literal, and made a parameter again in the tree. What remains
//! undetermined is typed by trial: the analyser's complaint names the operator or function, and its
//! parameters take one type after another until it has none.

use super::analysis::{analyse, with_error_position};
use super::memory::OwnedContext;
use super::nodes::{Tree, copy, is, nodes_of, walk};
use super::planning::Statement;
use super::security;
use super::statement_text::only_statement;
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::ffi::CStr;

/// Stands before a parameter that is offered as a literal: no text that a person wrote has it.
const MARK: char = '\u{2}';

/// Types tried for parameters that nothing else determines; numbers first, because an operator between two
/// untyped constants can only have been one of numbers.
const TRIED: [pg_sys::Oid; 13] = [
    pg_sys::INT4OID,
    pg_sys::NUMERICOID,
    pg_sys::TEXTOID,
    pg_sys::TIMESTAMPTZOID,
    pg_sys::DATEOID,
    pg_sys::INTERVALOID,
    pg_sys::FLOAT8OID,
    pg_sys::INT8OID,
    pg_sys::BOOLOID,
    pg_sys::JSONBOID,
    pg_sys::TEXTARRAYOID,
    pg_sys::INT4ARRAYOID,
    pg_sys::UUIDOID,
];

/// Operators or functions repaired in one statement before it is given up.
const MOST_REPAIRS: usize = 12;
/// And words before parameters: each costs a pass over the text.
const MOST_WORDS: usize = 100;

impl Statement {
    /// Analyses a statement, normalised or not, as `author`, a role that ran it, or as the caller: literals
    /// of composite types run the conditions of domains.
    pub fn repaired(text: &str, author: Option<pg_sys::Oid>) -> Result<Self> {
        let memory = OwnedContext::roomy(c"db_architect statement");
        let analyse = || {
            // SAFETY: all trees live in `memory`.
            unsafe {
                let text = grammatical(text)?;
                let raw = only_statement(&text)?;
                let statement = (*raw).stmt;
                if !has_plan(statement) {
                    return Err(Error::invalid_parameter("the statement is not one that is planned")
                        .detail("Only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES have plans."));
                }
                restore_parameters(statement);
                fold_parameters(statement);
                let (query, types) = typed(raw, &text)?;
                Ok((text, query, types))
            }
        };
        let (text, query, types) = memory.within(|| security::as_author(author, analyse))?;
        Self::new(&text, query, types, author, memory)
    }
}

unsafe fn has_plan(statement: *mut pg_sys::Node) -> bool {
    [
        NodeTag::T_SelectStmt,
        NodeTag::T_InsertStmt,
        NodeTag::T_UpdateStmt,
        NodeTag::T_DeleteStmt,
        #[cfg(not(feature = "pg14"))]
        NodeTag::T_MergeStmt,
    ]
    .into_iter()
    // SAFETY: a raw statement's tree.
    .any(|tag| unsafe { is(statement, tag) })
}

/// The text with parameters the grammar refuses offered as literals.
fn grammatical(text: &str) -> Result<String> {
    let mut text = text.to_owned();
    let mut outcome = parsed(&text);
    for _ in 0..MOST_WORDS {
        let Err((error, position)) = outcome else { return Ok(text) };
        let Some((start, _)) = text.char_indices().nth(position.wrapping_sub(1)) else { return Err(error) };
        // A list of a thousand dates has a thousand of them: all that stand behind the same word are offered
        // at once, or, where one of those is no parameter, the first.
        let further = [true, false].into_iter().find_map(|all| {
            let offered = offered(&text, start, all)?;
            let outcome = parsed(&offered);
            let further =
                outcome.as_ref().err().is_none_or(|(error, now)| *now > position || error.is_cancel());
            further.then_some((offered, outcome))
        });
        (text, outcome) = further.ok_or(error)?;
    }
    outcome.map(|()| text).map_err(|(error, _)| error)
}

/// What the grammar says of a text: nothing, or its complaint and the place in characters from one.
fn parsed(text: &str) -> std::result::Result<(), (Error, usize)> {
    let scratch = OwnedContext::roomy(c"db_architect trial");
    scratch.within(|| {
        with_error_position(|| {
            pgrx::check_for_interrupts!();
            // SAFETY: the tree is not kept.
            unsafe { only_statement(text).map(|_| ()) }
        })
    })
}

/// The text with the parameter at `start` as a literal, and with `all` those behind the same word too. None
/// where there is no parameter.
fn offered(text: &str, start: usize, all: bool) -> Option<String> {
    let number = |at: usize| {
        let digits = text[at..].strip_prefix('$')?.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0).then(|| &text[at..=at + digits])
    };
    let word = |at: usize| {
        let before = text[..at].trim_end();
        let begin = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        before.get(begin..).unwrap_or_default()
    };
    number(start)?;
    let mut offered = text[..start].to_owned();
    let mut copied = start;
    let mut quote = None;
    for (at, character) in text[start..].char_indices().map(|(at, character)| (start + at, character)) {
        match quote {
            Some(open) => quote = Some(open).filter(|_| character != open),
            None if ['"', '\''].contains(&character) => quote = Some(character),
            None if character == '$' && (at == start || all && text[..at].ends_with(char::is_whitespace)) => {
                if let Some(parameter) = number(at)
                    && (at == start || !word(at).is_empty() && word(at).eq_ignore_ascii_case(word(start)))
                {
                    offered.push_str(&text[copied..at]);
                    offered.push_str(&format!("'{MARK}{parameter}'"));
                    copied = at + parameter.len();
                }
            }
            None => {}
        }
    }
    offered.push_str(&text[copied..]);
    Some(offered)
}

/// Literals that `grammatical` made become parameters.
///
/// # Safety
/// `statement` is a raw tree.
unsafe fn restore_parameters(statement: *mut pg_sys::Node) {
    // SAFETY: nodes are what their tags say.
    unsafe {
        walk(statement, Tree::Raw, &mut |node| {
            if is(node, NodeTag::T_A_Const)
                && let Some(text) = string_constant(node.cast())
                && let Some(number) = text.strip_prefix(MARK).and_then(|t| t.strip_prefix('$'))
                && let Ok(number) = number.parse()
            {
                let location = (*node.cast::<pg_sys::A_Const>()).location;
                make_parameter(node, number, location);
                return false;
            }
            true
        });
    }
}

unsafe fn string_constant(constant: *mut pg_sys::A_Const) -> Option<String> {
    // SAFETY: a constant is of the kind its inner tag says.
    unsafe {
        #[cfg(feature = "pg14")]
        let text =
            if (*constant).val.type_ == NodeTag::T_String { (*constant).val.val.str_ } else { return None };
        #[cfg(not(feature = "pg14"))]
        let text = if !(*constant).isnull && (*constant).val.node.type_ == NodeTag::T_String {
            (*constant).val.sval.sval
        } else {
            return None;
        };
        Some(CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// Overwrites a node by a parameter's.
///
/// # Safety
/// The node is a constant or an expression, each larger than a parameter's.
unsafe fn make_parameter(node: *mut pg_sys::Node, number: i32, location: i32) {
    // SAFETY: the caller's promise.
    unsafe {
        node.cast::<pg_sys::ParamRef>().write(pg_sys::ParamRef {
            type_: NodeTag::T_ParamRef,
            number,
            location,
        });
    }
}

/// `column < $1 + $2`: what is made of parameters only and compared with something else is a constant, and
/// one parameter stands for it, of the type and with values of what it is compared with.
///
/// # Safety
/// `statement` is a raw tree.
unsafe fn fold_parameters(statement: *mut pg_sys::Node) {
    // SAFETY: nodes are what their tags say.
    unsafe {
        let mut highest = 0;
        walk(statement, Tree::Raw, &mut |node| {
            if is(node, NodeTag::T_ParamRef) {
                highest = highest.max((*node.cast::<pg_sys::ParamRef>()).number);
            }
            true
        });
        walk(statement, Tree::Raw, &mut |node| {
            if is(node, NodeTag::T_A_Expr) {
                let expression = node.cast::<pg_sys::A_Expr>();
                if compares(expression) {
                    let mut sides = operands((*expression).lexpr);
                    sides.extend(operands((*expression).rexpr));
                    if sides.iter().any(|side| !only_parameters(*side)) {
                        for side in sides {
                            if is(side, NodeTag::T_A_Expr) && only_parameters(side) {
                                highest += 1;
                                make_parameter(side, highest, (*side.cast::<pg_sys::A_Expr>()).location);
                            }
                        }
                    }
                }
            }
            true
        });
    }
}

unsafe fn compares(expression: *mut pg_sys::A_Expr) -> bool {
    use pg_sys::A_Expr_Kind as Kind;
    // SAFETY: an operator's name is a list of strings, the last of which is the operator.
    unsafe {
        match (*expression).kind {
            Kind::AEXPR_BETWEEN
            | Kind::AEXPR_NOT_BETWEEN
            | Kind::AEXPR_BETWEEN_SYM
            | Kind::AEXPR_NOT_BETWEEN_SYM => true,
            Kind::AEXPR_OP => ["=", "<", ">", "<=", ">=", "<>"].contains(&operator_name(expression).as_str()),
            _ => false,
        }
    }
}

unsafe fn operator_name(expression: *mut pg_sys::A_Expr) -> String {
    // SAFETY: as in `compares`.
    unsafe {
        let Some(last) = nodes_of::<pg_sys::Node>((*expression).name).last() else { return String::new() };
        #[cfg(feature = "pg14")]
        let text = (*last.cast::<pg_sys::Value>()).val.str_;
        #[cfg(not(feature = "pg14"))]
        let text = (*last.cast::<pg_sys::String>()).sval;
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

unsafe fn operands(side: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    // SAFETY: BETWEEN has a list on its right.
    unsafe {
        if is(side, NodeTag::T_List) {
            nodes_of(side.cast()).collect()
        } else if side.is_null() {
            Vec::new()
        } else {
            vec![side]
        }
    }
}

/// Parameters, constants, casts and arithmetic, and nothing else.
unsafe fn only_parameters(node: *mut pg_sys::Node) -> bool {
    // SAFETY: nodes are what their tags say.
    unsafe {
        if is(node, NodeTag::T_ParamRef) || is(node, NodeTag::T_A_Const) {
            return true;
        }
        if is(node, NodeTag::T_TypeCast) {
            return only_parameters((*node.cast::<pg_sys::TypeCast>()).arg);
        }
        if !is(node, NodeTag::T_A_Expr) {
            return false;
        }
        let expression = node.cast::<pg_sys::A_Expr>();
        (*expression).kind == pg_sys::A_Expr_Kind::AEXPR_OP
            && ["+", "-", "*", "/", "%", "^"].contains(&operator_name(expression).as_str())
            && ((*expression).lexpr.is_null() || only_parameters((*expression).lexpr))
            && only_parameters((*expression).rexpr)
    }
}

/// Analyses with types tried for parameters that have none.
///
/// # Safety
/// As `analyse`.
unsafe fn typed(raw: *mut pg_sys::RawStmt, text: &str) -> Result<(*mut pg_sys::Query, Vec<pg_sys::Oid>)> {
    let mut hints: Vec<pg_sys::Oid> = Vec::new();
    let attempt = |hints: &[pg_sys::Oid]| {
        // What a trial leaves behind goes with it.
        let scratch = OwnedContext::roomy(c"db_architect trial");
        let analysed = scratch.within(|| {
            with_error_position(|| {
                pgrx::check_for_interrupts!();
                // SAFETY: analysis changes its input, hence the copy.
                unsafe { analyse(copy(raw), text, hints) }
            })
        });
        // SAFETY: the query lives in `scratch`; its copy is made in the caller's context.
        analysed.map(|(query, types)| unsafe { (copy(query), types) })
    };
    let mut failure = match attempt(&hints) {
        Ok(done) => return Ok(done),
        Err(failure) => failure,
    };
    for _ in 0..MOST_REPAIRS {
        let (error, position) = failure;
        if error.is_cancel() || !is_about_types(&error) {
            return Err(error);
        }
        // SAFETY: a raw tree.
        let concerned = unsafe { parameters_at((*raw).stmt, text, position) };
        let concerned: Vec<usize> = concerned
            .into_iter()
            .filter(|n| hints.get(n - 1).is_none_or(|known| *known == pg_sys::InvalidOid))
            .collect();
        if concerned.is_empty() {
            return Err(error);
        }
        let mut better = None;
        for candidate in TRIED {
            let mut next = hints.clone();
            for number in &concerned {
                if next.len() < *number {
                    next.resize(*number, pg_sys::InvalidOid);
                }
                next[number - 1] = candidate;
            }
            match attempt(&next) {
                Ok(done) => return Ok(done),
                Err((other, place)) if place > position && better.is_none() => {
                    better = Some((next, (other, place)));
                }
                Err((other, _)) if other.is_cancel() => return Err(other),
                Err(_) => {}
            }
        }
        let Some((next, now)) = better else { return Err(error) };
        hints = next;
        failure = now;
    }
    Err(failure.0)
}

fn is_about_types(error: &Error) -> bool {
    use pgrx::PgSqlErrorCode as Code;
    [
        Code::ERRCODE_AMBIGUOUS_FUNCTION,
        Code::ERRCODE_UNDEFINED_FUNCTION,
        Code::ERRCODE_INDETERMINATE_DATATYPE,
        Code::ERRCODE_DATATYPE_MISMATCH,
        Code::ERRCODE_CANNOT_COERCE,
        Code::ERRCODE_WRONG_OBJECT_TYPE,
        Code::ERRCODE_AMBIGUOUS_PARAMETER,
    ]
    .contains(&error.code())
}

/// Numbers of the parameters below the operator or function at a place of the text.
///
/// # Safety
/// `statement` is the raw tree of `text`.
unsafe fn parameters_at(statement: *mut pg_sys::Node, text: &str, position: usize) -> Vec<usize> {
    let Some((place, _)) = text.char_indices().nth(position.wrapping_sub(1)) else { return Vec::new() };
    let place = place as i32;
    let mut found = std::collections::BTreeSet::new();
    // SAFETY: nodes are what their tags say.
    unsafe {
        walk(statement, Tree::Raw, &mut |node| {
            let location = if is(node, NodeTag::T_A_Expr) {
                (*node.cast::<pg_sys::A_Expr>()).location
            } else if is(node, NodeTag::T_FuncCall) {
                (*node.cast::<pg_sys::FuncCall>()).location
            } else if is(node, NodeTag::T_ParamRef) {
                (*node.cast::<pg_sys::ParamRef>()).location
            } else {
                return true;
            };
            if location == place {
                walk(node, Tree::Raw, &mut |below| {
                    if is(below, NodeTag::T_ParamRef) {
                        found.insert((*below.cast::<pg_sys::ParamRef>()).number as usize);
                    }
                    // A comparison further below has told its parameters' types.
                    below == node || !is(below, NodeTag::T_A_Expr) || !compares(below.cast())
                });
            }
            true
        });
    }
    found.into_iter().collect()
}

//! An index as a CREATE INDEX statement defines it, resolved by PostgreSQL's own parser and catalogue
//! without anything being created.

use super::lookup::{self, string_from};
use super::memory::OwnedContext;
use super::nodes::{copy, is, nodes_of};
use super::statement_text::only_statement;
use super::trust::is_trusted;
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use pgrx::prelude::*;
use std::ffi::CStr;

/// One column of an index, key or included.
#[derive(Debug, Clone)]
pub struct IndexColumn {
    /// Zero for an expression.
    pub attnum: i16,
    pub type_oid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
    /// Operator class, its family and input type; invalid for an included column.
    pub opclass: pg_sys::Oid,
    pub opfamily: pg_sys::Oid,
    pub opcintype: pg_sys::Oid,
    pub descending: bool,
    pub nulls_first: bool,
    /// An index-only scan can give its value back.
    pub returned: bool,
    /// Equal values have equal images, so that a btree may store them once.
    pub equal_image: bool,
    /// As SQL spells it, for an expression.
    pub expression: Option<String>,
}

/// An index on one table, resolved. Owns the trees of its expressions and predicate, whose variables are
/// those of range table entry 1.
pub struct IndexDefinition {
    pub relid: pg_sys::Oid,
    pub method: pg_sys::Oid,
    pub method_name: String,
    pub keys: usize,
    pub columns: Vec<IndexColumn>,
    /// As SQL spells it.
    pub predicate: Option<String>,
    /// Percent of a page that is filled, where the statement says.
    pub fillfactor: Option<i32>,
    /// Pages that a BRIN index sums up at once, where the statement says.
    pub pages_per_range: Option<i32>,
    pub unique: bool,
    /// Its expressions and predicate run no function of anybody but PostgreSQL and superusers.
    pub trusted: bool,
    pub(super) expressions: *mut pg_sys::List,
    pub(super) conditions: *mut pg_sys::List,
    _memory: OwnedContext,
}

/// The table of a CREATE INDEX statement, locked against changes of its shape as a query would, and the
/// name it gives the index.
pub fn target_of(statement: &str) -> Result<(pg_sys::Oid, Option<String>)> {
    let memory = OwnedContext::new(c"db_architect index statement");
    // SAFETY: the tree lives in `memory` until the name is looked up.
    memory.within(|| unsafe {
        let tree = index_statement(statement)?;
        let relid = pg_sys::RangeVarGetRelidExtended(
            (*tree).relation,
            pg_sys::AccessShareLock as i32,
            0,
            None,
            std::ptr::null_mut(),
        );
        let kind = pg_sys::get_rel_relkind(relid) as u8;
        if ![pg_sys::RELKIND_RELATION, pg_sys::RELKIND_MATVIEW, pg_sys::RELKIND_PARTITIONED_TABLE]
            .contains(&kind)
        {
            let name = lookup::qualified_name(relid).unwrap_or_default();
            return Err(Error::wrong_object_type(format!("cannot create index on relation \"{name}\""))
                .detail(format!("{name} is not a table, a partitioned table or a materialized view.")));
        }
        let name = (*tree).idxname;
        Ok((relid, (!name.is_null()).then(|| string_from(name))))
    })
}

impl IndexDefinition {
    /// The statement's index as it would be on `relid`: its own table or a partition of it, whose columns
    /// may stand in another order. The caller holds a lock on the table.
    pub fn resolve(statement: &str, relid: pg_sys::Oid) -> Result<Self> {
        let memory = OwnedContext::new(c"db_architect hypothetical index");
        // SAFETY: everything made here lives in `memory`, which the definition owns.
        let parts = memory.within(|| unsafe { resolve(statement, relid) })?;
        Ok(Self { _memory: memory, ..parts })
    }

    pub fn is_btree(&self) -> bool {
        self.method == pg_sys::BTREE_AM_OID
    }
}

/// # Safety
/// The tree is made in the current memory context.
unsafe fn index_statement(statement: &str) -> Result<*mut pg_sys::IndexStmt> {
    // SAFETY: a raw statement's tree is a live node.
    unsafe {
        let raw = only_statement(statement)?;
        let tree = (*raw).stmt;
        if !is(tree, NodeTag::T_IndexStmt) {
            return Err(Error::invalid_parameter("not a CREATE INDEX statement")
                .hint("Give each index as CREATE INDEX ON table (columns)."));
        }
        let tree = tree.cast::<pg_sys::IndexStmt>();
        if (*tree).relation.is_null() {
            return Err(Error::invalid_parameter("not a CREATE INDEX statement"));
        }
        Ok(tree)
    }
}

/// # Safety
/// The current memory context outlives the result.
unsafe fn resolve(statement: &str, relid: pg_sys::Oid) -> Result<IndexDefinition> {
    // SAFETY: nodes of the statement's tree, as the grammar and transformIndexStmt leave them.
    unsafe {
        let tree = index_statement(statement)?;
        let text = lookup::c_string(statement)?;
        let tree = super::ffi::transform_index_statement(relid, tree, &text);
        let method = pg_sys::get_index_am_oid((*tree).accessMethod, false);
        let routine = pg_sys::GetIndexAmRoutineByAmId(method, false);
        let method_name = string_from((*tree).accessMethod);
        let keys: Vec<*mut pg_sys::IndexElem> = nodes_of((*tree).indexParams).collect();
        let included: Vec<*mut pg_sys::IndexElem> = nodes_of((*tree).indexIncludingParams).collect();
        if !included.is_empty() && !(*routine).amcaninclude {
            return Err(unsupported(&method_name, "included columns"));
        }
        if keys.len() > 1 && !(*routine).amcanmulticol {
            return Err(unsupported(&method_name, "multicolumn indexes"));
        }
        if keys.len() + included.len() > pg_sys::INDEX_MAX_KEYS as usize {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_TOO_MANY_COLUMNS,
                format!("cannot use more than {} columns in an index", pg_sys::INDEX_MAX_KEYS),
            ));
        }
        let mut definition = IndexDefinition {
            relid,
            method,
            keys: keys.len(),
            columns: Vec::new(),
            predicate: None,
            fillfactor: option((*tree).options, c"fillfactor").filter(|percent| (10..=100).contains(percent)),
            pages_per_range: option((*tree).options, c"pages_per_range").filter(|pages| *pages > 0),
            unique: (*tree).unique,
            trusted: true,
            expressions: std::ptr::null_mut(),
            conditions: std::ptr::null_mut(),
            _memory: OwnedContext::new(c"db_architect hypothetical index"),
            method_name,
        };
        let context = pg_sys::deparse_context_for(c"t".as_ptr(), relid);
        for (position, element) in keys.iter().chain(&included).enumerate() {
            let column = resolve_column(&mut definition, *element, position < keys.len(), routine, context)?;
            definition.columns.push(column);
        }
        if !(*tree).whereClause.is_null() {
            let clause = (*tree).whereClause;
            if pg_sys::contain_mutable_functions(clause) {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
                    "functions in index predicate must be marked IMMUTABLE",
                ));
            }
            definition.trusted &= is_trusted(clause);
            definition.predicate =
                Some(string_from(pg_sys::deparse_expression(clause, context, false, false)));
            // As RelationGetIndexPredicate prepares it for the planner.
            let clause = pg_sys::eval_const_expressions(std::ptr::null_mut(), clause);
            let clause = pg_sys::canonicalize_qual(clause.cast(), false);
            definition.conditions = pg_sys::make_ands_implicit(clause.cast());
            pg_sys::fix_opfuncids(definition.conditions.cast());
        }
        Ok(definition)
    }
}

/// # Safety
/// As `resolve`; `element` is one of the statement's, transformed.
unsafe fn resolve_column(
    definition: &mut IndexDefinition,
    element: *mut pg_sys::IndexElem,
    key: bool,
    routine: *mut pg_sys::IndexAmRoutine,
    context: *mut pg_sys::List,
) -> Result<IndexColumn> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut column = IndexColumn {
            attnum: 0,
            type_oid: pg_sys::InvalidOid,
            typmod: -1,
            collation: pg_sys::InvalidOid,
            opclass: pg_sys::InvalidOid,
            opfamily: pg_sys::InvalidOid,
            opcintype: pg_sys::InvalidOid,
            descending: (*element).ordering == pg_sys::SortByDir::SORTBY_DESC,
            nulls_first: false,
            returned: true,
            equal_image: false,
            expression: None,
        };
        let plain = if (*element).name.is_null() {
            let mut node = (*element).expr;
            while is(node, NodeTag::T_CollateExpr) {
                node = (*node.cast::<pg_sys::CollateExpr>()).arg.cast();
            }
            if is(node, NodeTag::T_Var) { (*node.cast::<pg_sys::Var>()).varattno } else { 0 }
        } else {
            let number = pg_sys::get_attnum(definition.relid, (*element).name);
            if number == 0 {
                return Err(Error::undefined_column(format!(
                    "column \"{}\" does not exist",
                    string_from((*element).name)
                )));
            }
            number
        };
        if plain < 0 {
            return Err(Error::invalid_parameter("index creation on system columns is not supported"));
        }
        if plain > 0 {
            column.attnum = plain;
            pg_sys::get_atttypetypmodcoll(
                definition.relid,
                plain,
                &mut column.type_oid,
                &mut column.typmod,
                &mut column.collation,
            );
        } else {
            let node = (*element).expr;
            if pg_sys::contain_mutable_functions(node) {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
                    "functions in index expression must be marked IMMUTABLE",
                ));
            }
            definition.trusted &= is_trusted(node);
            column.type_oid = pg_sys::exprType(node);
            column.typmod = pg_sys::exprTypmod(node);
            column.collation = pg_sys::exprCollation(node);
            column.expression = Some(string_from(pg_sys::deparse_expression(node, context, false, false)));
            // As RelationGetIndexExpressions prepares it for the planner.
            let prepared = pg_sys::eval_const_expressions(std::ptr::null_mut(), copy(node));
            pg_sys::fix_opfuncids(prepared);
            definition.expressions = pg_sys::lappend(definition.expressions, prepared.cast());
        }
        if !(*element).collation.is_null() {
            column.collation = pg_sys::get_collation_oid((*element).collation, false);
        }
        if !pg_sys::type_is_collatable(column.type_oid) && (*element).collation.is_null() {
            column.collation = pg_sys::InvalidOid;
        }
        if !key {
            return Ok(column);
        }
        let name = lookup::c_string(&definition.method_name)?;
        column.opclass =
            pg_sys::ResolveOpClass((*element).opclass, column.type_oid, name.as_ptr(), definition.method);
        column.opfamily = pg_sys::get_opclass_family(column.opclass);
        column.opcintype = pg_sys::get_opclass_input_type(column.opclass);
        if (*routine).amcanorder {
            column.nulls_first = match (*element).nulls_ordering {
                pg_sys::SortByNulls::SORTBY_NULLS_FIRST => true,
                pg_sys::SortByNulls::SORTBY_NULLS_LAST => false,
                _ => column.descending,
            };
        } else if (*element).ordering != pg_sys::SortByDir::SORTBY_DEFAULT
            || (*element).nulls_ordering != pg_sys::SortByNulls::SORTBY_NULLS_DEFAULT
        {
            return Err(unsupported(&definition.method_name, "ASC/DESC and NULLS FIRST/LAST options"));
        }
        column.returned = returned(definition.method, &column);
        column.equal_image = definition.is_btree() && equal_image(&column);
        Ok(column)
    }
}

/// Support procedures by number, of `access/nbtree.h` and `access/gist.h`.
const BTEQUALIMAGE_PROC: i16 = 4;
const GIST_COMPRESS_PROC: i16 = 3;
const GIST_FETCH_PROC: i16 = 9;

/// Whether an index-only scan has the column's value, as the access method's amcanreturn says of a real
/// index.
fn returned(method: pg_sys::Oid, column: &IndexColumn) -> bool {
    // SAFETY: syscache look-ups about an operator family.
    let support = |number| unsafe {
        pg_sys::get_opfamily_proc(column.opfamily, column.opcintype, column.opcintype, number)
            != pg_sys::InvalidOid
    };
    match method {
        pg_sys::BTREE_AM_OID => true,
        pg_sys::GIST_AM_OID => support(GIST_FETCH_PROC) || !support(GIST_COMPRESS_PROC),
        _ => false,
    }
}

/// What btree itself asks the operator class before it stores equal keys once.
fn equal_image(column: &IndexColumn) -> bool {
    // SAFETY: a look-up, and a call of a support function with the arguments `_bt_allequalimage` gives it.
    unsafe {
        let procedure =
            pg_sys::get_opfamily_proc(column.opfamily, column.opcintype, column.opcintype, BTEQUALIMAGE_PROC);
        procedure != pg_sys::InvalidOid
            && pg_sys::OidFunctionCall1Coll(procedure, column.collation, column.opcintype.into()).value() != 0
    }
}

/// # Safety
/// `options` is the statement's list of DefElem.
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<i32> {
    // SAFETY: the caller's promise; a nodes' names are nul-terminated.
    unsafe {
        nodes_of::<pg_sys::DefElem>(options)
            .find(|option| CStr::from_ptr((**option).defname) == name && !(**option).arg.is_null())
            // Quoted in what pg_get_indexdef prints.
            .and_then(|option| string_from(pg_sys::defGetString(option)).parse().ok())
    }
}

fn unsupported(method: &str, what: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!("access method \"{method}\" does not support {what}"),
    )
}

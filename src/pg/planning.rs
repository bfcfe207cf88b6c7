//! A statement analysed once and planned many times, each time with another set of indexes before the
//! planner. Nothing is executed and no transaction id is assigned.

use super::lookup;
use super::memory::OwnedContext;
use super::nodes::{copy, is, nodes_of};
use super::plan_shape::{Shape, shape};
use super::security;
use super::whatif::{self, Configuration};
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;
use std::cell::Cell;
use std::ffi::CString;

/// A statement's analysed and rewritten query, with the locks that analysis takes.
pub struct Statement {
    text: CString,
    query: *mut pg_sys::Query,
    /// Types of its parameters, `$1` first; invalid for a number that is not used.
    parameter_types: Vec<pg_sys::Oid>,
    /// The author's privileges on its tables have been asked for.
    permitted: Cell<bool>,
    /// As whom it is planned; none: the caller.
    author: Option<pg_sys::Oid>,
    /// What one planning leaves behind.
    work: OwnedContext,
    _memory: OwnedContext,
}

/// What a statement costs, and by which indexes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub startup_cost: f64,
    pub total_cost: f64,
    pub rows: f64,
    /// Every index in the plan, hypothetical ones by the OID of their part.
    pub indexes: Vec<pg_sys::Oid>,
}

/// Values for a statement's parameters; those without one are planned for as unknown.
pub struct Parameters {
    list: pg_sys::ParamListInfo,
    _memory: OwnedContext,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Yaml,
    Xml,
}

impl Parameters {
    /// One value, or none, for each of the types; values are copied.
    pub fn new(values: &[(pg_sys::Oid, Option<pg_sys::Datum>)]) -> Self {
        let memory = OwnedContext::new(c"db_architect parameters");
        // SAFETY: room for the header and every entry; zeroed entries are parameters without a value.
        let list = memory.within(|| unsafe {
            let size = std::mem::offset_of!(pg_sys::ParamListInfoData, params)
                + values.len() * size_of::<pg_sys::ParamExternData>();
            let list = pg_sys::palloc0(size).cast::<pg_sys::ParamListInfoData>();
            (*list).numParams = values.len() as i32;
            let entries = (*list).params.as_mut_ptr();
            for (i, (type_oid, value)) in values.iter().enumerate() {
                if let Some(value) = value {
                    let (mut length, mut by_value) = (0, false);
                    pg_sys::get_typlenbyval(*type_oid, &mut length, &mut by_value);
                    *entries.add(i) = pg_sys::ParamExternData {
                        value: super::ffi::copy_datum(*value, by_value, length),
                        isnull: false,
                        pflags: pg_sys::PARAM_FLAG_CONST as u16,
                        ptype: *type_oid,
                    };
                }
            }
            list
        });
        Self { list, _memory: memory }
    }

    /// Values given as text; one that its type does not take is left out.
    pub fn from_text(types: &[pg_sys::Oid], values: &[Option<String>]) -> Self {
        let parsed: Vec<(pg_sys::Oid, Option<pg_sys::Datum>)> = types
            .iter()
            .zip(values)
            .map(|(type_oid, value)| {
                let datum = value.as_ref().and_then(|text| {
                    super::subtransaction::attempt(|| {
                        let text = lookup::c_string(text)?;
                        let (mut input, mut element) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                        // SAFETY: the type's own input function, called as the function manager would.
                        unsafe {
                            pg_sys::getTypeInputInfo(*type_oid, &mut input, &mut element);
                            Ok(pg_sys::OidInputFunctionCall(input, text.as_ptr().cast_mut(), element, -1))
                        }
                    })
                    .ok()
                });
                (*type_oid, datum)
            })
            .collect();
        Self::new(&parsed)
    }

    pub fn none() -> Self {
        Self::new(&[])
    }
}

impl Statement {
    /// `query` is allocated in `memory`.
    pub(super) fn new(
        text: &str,
        query: *mut pg_sys::Query,
        parameter_types: Vec<pg_sys::Oid>,
        author: Option<pg_sys::Oid>,
        memory: OwnedContext,
    ) -> Result<Self> {
        let text = lookup::c_string(text)?;
        let work = OwnedContext::roomy(c"db_architect planning");
        Ok(Self { text, query, parameter_types, permitted: Cell::new(false), author, work, _memory: memory })
    }

    pub fn author(&self) -> Option<pg_sys::Oid> {
        self.author
    }

    pub fn parameter_types(&self) -> &[pg_sys::Oid] {
        &self.parameter_types
    }

    pub(super) fn query(&self) -> *mut pg_sys::Query {
        self.query
    }

    /// Plans the statement. `standard_planner` itself is called: what other extensions hook onto planner()
    /// neither counts nor changes this.
    pub fn plan(&self, configuration: &Configuration, parameters: &Parameters) -> Result<Plan> {
        self.with_plan(configuration, parameters, |planned| {
            // SAFETY: a plan the planner has just made.
            unsafe {
                let top = (*planned).planTree;
                let mut indexes = Vec::new();
                collect_indexes(top, &mut indexes);
                for subplan in nodes_of::<pg_sys::Plan>((*planned).subplans) {
                    collect_indexes(subplan, &mut indexes);
                }
                indexes.sort_unstable_by_key(|index| index.to_u32());
                indexes.dedup();
                Ok(Plan {
                    startup_cost: (*top).startup_cost,
                    total_cost: (*top).total_cost,
                    rows: (*top).plan_rows,
                    indexes,
                })
            }
        })
    }

    /// What the plan does.
    pub fn shape(&self, configuration: &Configuration, parameters: &Parameters) -> Result<Shape> {
        // SAFETY: the plan is the query's, and lives until this returns.
        self.with_plan(configuration, parameters, |planned| unsafe { Ok(shape(planned, self.query)) })
    }

    /// EXPLAIN's account of the plan.
    pub fn explain(
        &self,
        configuration: &Configuration,
        parameters: &Parameters,
        format: Format,
    ) -> Result<String> {
        self.with_plan(configuration, parameters, |planned| {
            // SAFETY: EXPLAIN without ANALYZE opens tables, not indexes, and executes nothing.
            unsafe {
                let state = pg_sys::NewExplainState();
                (*state).costs = true;
                (*state).format = match format {
                    Format::Text => pg_sys::ExplainFormat::EXPLAIN_FORMAT_TEXT,
                    Format::Json => pg_sys::ExplainFormat::EXPLAIN_FORMAT_JSON,
                    Format::Yaml => pg_sys::ExplainFormat::EXPLAIN_FORMAT_YAML,
                    Format::Xml => pg_sys::ExplainFormat::EXPLAIN_FORMAT_XML,
                };
                pg_sys::ExplainBeginOutput(state);
                pg_sys::ExplainOnePlan(
                    planned,
                    std::ptr::null_mut(),
                    state,
                    self.text.as_ptr(),
                    self.nulls(),
                    std::ptr::null_mut(),
                    std::ptr::null(),
                    std::ptr::null(),
                    #[cfg(any(feature = "pg17", feature = "pg18"))]
                    std::ptr::null(),
                );
                pg_sys::ExplainEndOutput(state);
                let text = (*state).str_;
                // EXPLAIN ends the text format with a newline of its own.
                Ok(lookup::string_from((*text).data).trim_end().to_owned())
            }
        })
    }

    /// Starting a plan that prunes partitions evaluates parameters: null, for those left in it.
    ///
    /// # Safety
    /// The list lives as long as the current memory context.
    unsafe fn nulls(&self) -> pg_sys::ParamListInfo {
        // SAFETY: as in `Parameters::new`.
        unsafe {
            let size = std::mem::offset_of!(pg_sys::ParamListInfoData, params)
                + self.parameter_types.len() * size_of::<pg_sys::ParamExternData>();
            let list = pg_sys::palloc0(size).cast::<pg_sys::ParamListInfoData>();
            (*list).numParams = self.parameter_types.len() as i32;
            for (i, type_oid) in self.parameter_types.iter().enumerate() {
                let entry = (*list).params.as_mut_ptr().add(i);
                (*entry).isnull = true;
                (*entry).ptype = *type_oid;
            }
            list
        }
    }

    fn with_plan<T>(
        &self,
        configuration: &Configuration,
        parameters: &Parameters,
        work: impl FnOnce(*mut pg_sys::PlannedStmt) -> Result<T>,
    ) -> Result<T> {
        self.work.reset();
        let as_author = || {
            whatif::with(configuration, parameters.list, || {
                // SAFETY: the planner scribbles on its input, hence the copy; a snapshot is active.
                let planned = unsafe {
                    let _snapshot = Snapshot::ensure();
                    let planned = pg_sys::standard_planner(
                        copy(self.query),
                        self.text.as_ptr(),
                        pg_sys::CURSOR_OPT_PARALLEL_OK as i32,
                        parameters.list,
                    );
                    if !self.permitted.get() {
                        check_privileges(planned);
                        self.permitted.set(true);
                    }
                    planned
                };
                work(planned)
            })
        };
        self.work.within(|| security::as_author(self.author, as_author))
    }
}

/// An active snapshot, where the caller has none.
struct Snapshot(bool);

impl Snapshot {
    unsafe fn ensure() -> Self {
        // SAFETY: pops what it pushes.
        unsafe {
            let missing = !pg_sys::ActiveSnapshotSet();
            if missing {
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            }
            Self(missing)
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            // SAFETY: pushed by `ensure`.
            unsafe { pg_sys::PopActiveSnapshot() }
        }
    }
}

/// What the executor would ask: a plan tells its reader about the tables in it.
///
/// # Safety
/// `planned` is a plan.
unsafe fn check_privileges(planned: *mut pg_sys::PlannedStmt) {
    // SAFETY: the caller's promise; raises an error where a privilege is missing.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        pg_sys::ExecCheckRTPerms((*planned).rtable, true);
        #[cfg(any(feature = "pg16", feature = "pg17", feature = "pg18"))]
        pg_sys::ExecCheckPermissions((*planned).rtable, (*planned).permInfos, true);
    }
}

/// # Safety
/// `plan` is null or a node of a plan.
unsafe fn collect_indexes(plan: *mut pg_sys::Plan, into: &mut Vec<pg_sys::Oid>) {
    if plan.is_null() {
        return;
    }
    // SAFETY: nodes are what their tags say.
    unsafe {
        let list = match (*plan).type_ {
            NodeTag::T_IndexScan => {
                into.push((*plan.cast::<pg_sys::IndexScan>()).indexid);
                std::ptr::null_mut()
            }
            NodeTag::T_IndexOnlyScan => {
                into.push((*plan.cast::<pg_sys::IndexOnlyScan>()).indexid);
                std::ptr::null_mut()
            }
            NodeTag::T_BitmapIndexScan => {
                into.push((*plan.cast::<pg_sys::BitmapIndexScan>()).indexid);
                std::ptr::null_mut()
            }
            NodeTag::T_Append => (*plan.cast::<pg_sys::Append>()).appendplans,
            NodeTag::T_MergeAppend => (*plan.cast::<pg_sys::MergeAppend>()).mergeplans,
            NodeTag::T_BitmapAnd => (*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans,
            NodeTag::T_BitmapOr => (*plan.cast::<pg_sys::BitmapOr>()).bitmapplans,
            NodeTag::T_CustomScan => (*plan.cast::<pg_sys::CustomScan>()).custom_plans,
            NodeTag::T_SubqueryScan => {
                collect_indexes((*plan.cast::<pg_sys::SubqueryScan>()).subplan, into);
                std::ptr::null_mut()
            }
            _ => std::ptr::null_mut(),
        };
        for child in nodes_of::<pg_sys::Plan>(list) {
            collect_indexes(child, into);
        }
        collect_indexes((*plan).lefttree, into);
        collect_indexes((*plan).righttree, into);
    }
}

/// The one plannable query of a rewritten statement, or why there is none.
///
/// # Safety
/// `rewritten` is what pg_rewrite_query returned.
pub(super) unsafe fn plannable(rewritten: *mut pg_sys::List) -> Result<*mut pg_sys::Query> {
    // SAFETY: the caller's promise.
    unsafe {
        let queries: Vec<*mut pg_sys::Query> = nodes_of(rewritten).collect();
        match queries[..] {
            [only] if (*only).commandType != pg_sys::CmdType::CMD_UTILITY && is(only, NodeTag::T_Query) => {
                Ok(only)
            }
            [] => Err(Error::invalid_parameter("a rule leaves nothing of the statement to plan")),
            [_] => Err(Error::invalid_parameter("the statement is not one that is planned")
                .detail("Only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES have plans.")),
            _ => Err(Error::invalid_parameter("a rule makes several statements of this one")),
        }
    }
}

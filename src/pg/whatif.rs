//! What the planner would do with other indexes than there are: hypothetical ones put before it, existing
//! ones hidden, for one planning of ours and for nobody else's.
//!
//! The hooks are installed once and pass through: while nothing is asked, a query pays for one branch in
//! each. They carry no guard while idle, so that other extensions' hooks and errors pass untouched.

use super::expression_stats::ExpressionStats;
use super::index_definition::IndexDefinition;
use super::nodes::{copy, nodes_of};
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::{CString, c_char};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the planner asks of an index's size.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct IndexSize {
    pub pages: f64,
    pub tuples: f64,
    /// Levels above the leaves; negative where the access method has no such thing.
    pub height: i32,
}

/// An index that is not there: one part for an ordinary table, one for each partition otherwise.
pub struct HypotheticalIndex {
    pub name: CString,
    pub parts: Vec<Part>,
}

pub struct Part {
    pub definition: IndexDefinition,
    pub size: IndexSize,
    /// For each column that is an expression, what ANALYZE would know of it.
    statistics: Vec<Option<Rc<ExpressionStats>>>,
    oid: pg_sys::Oid,
}

impl Part {
    pub fn new(
        definition: IndexDefinition,
        size: IndexSize,
        statistics: Vec<Option<Rc<ExpressionStats>>>,
    ) -> Self {
        Self { definition, size, statistics, oid: next_oid() }
    }

    /// What a plan calls it.
    pub fn oid(&self) -> pg_sys::Oid {
        self.oid
    }
}

/// Indexes in the planner's eyes: those that are there, less `hidden`, and `created`.
#[derive(Clone, Default)]
pub struct Configuration {
    pub created: Vec<Rc<HypotheticalIndex>>,
    pub hidden: Vec<pg_sys::Oid>,
}

/// OIDs from the end of their range: no catalogue row has them until four billion objects were made, and
/// nothing is written anywhere, so that a standby can do the same.
fn next_oid() -> pg_sys::Oid {
    thread_local!(static NEXT: Cell<u32> = const { Cell::new(0) });
    let next = NEXT.get();
    NEXT.set((next + 1) % (1 << 24));
    pg_sys::Oid::from(u32::MAX - 1 - next)
}

#[derive(Default)]
struct Active {
    /// By table.
    created: HashMap<pg_sys::Oid, Vec<(Rc<HypotheticalIndex>, usize)>>,
    /// By index, to name and to know it.
    known: HashMap<pg_sys::Oid, (Rc<HypotheticalIndex>, usize)>,
    hidden: HashSet<pg_sys::Oid>,
}

/// The one branch.
static ACTIVE: AtomicBool = AtomicBool::new(false);

thread_local! {
    static STATE: RefCell<Active> = RefCell::default();
    /// The parameters of the planning that is ours: a query planned inside it, by a function that is
    /// folded to a constant, has others and sees the real indexes.
    static PARAMETERS: Cell<pg_sys::ParamListInfo> = const { Cell::new(std::ptr::null_mut()) };
}

static mut PREVIOUS_INFO: pg_sys::get_relation_info_hook_type = None;
static mut PREVIOUS_NAME: pg_sys::explain_get_index_name_hook_type = None;
static mut PREVIOUS_STATS: pg_sys::get_index_stats_hook_type = None;

/// Installs the hooks; called once, when the library is loaded.
pub fn install() {
    // SAFETY: set once by the only thread, before any query of ours is planned.
    unsafe {
        PREVIOUS_INFO = pg_sys::get_relation_info_hook;
        pg_sys::get_relation_info_hook = Some(relation_info);
        PREVIOUS_NAME = pg_sys::explain_get_index_name_hook;
        pg_sys::explain_get_index_name_hook = Some(index_name);
        PREVIOUS_STATS = pg_sys::get_index_stats_hook;
        pg_sys::get_index_stats_hook = Some(index_stats);
    }
}

/// Runs `work`, in which plannings with `parameters` see `configuration`.
pub(super) fn with<R>(
    configuration: &Configuration,
    parameters: pg_sys::ParamListInfo,
    work: impl FnOnce() -> R,
) -> R {
    // A function that is run while this is planned may ask the same.
    struct Back(bool, pg_sys::ParamListInfo, Active);
    impl Drop for Back {
        fn drop(&mut self) {
            ACTIVE.store(self.0, Ordering::Relaxed);
            PARAMETERS.set(self.1);
            STATE.set(std::mem::take(&mut self.2));
        }
    }
    let mut state = Active { hidden: configuration.hidden.iter().copied().collect(), ..Active::default() };
    for index in &configuration.created {
        for (number, part) in index.parts.iter().enumerate() {
            state.created.entry(part.definition.relid).or_default().push((Rc::clone(index), number));
            state.known.insert(part.oid, (Rc::clone(index), number));
        }
    }
    let _back =
        Back(ACTIVE.swap(true, Ordering::Relaxed), PARAMETERS.replace(parameters), STATE.replace(state));
    work()
}

unsafe extern "C-unwind" fn relation_info(
    root: *mut pg_sys::PlannerInfo,
    relid: pg_sys::Oid,
    inhparent: bool,
    rel: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: what the planner gave us is passed on.
    unsafe {
        if let Some(previous) = PREVIOUS_INFO {
            previous(root, relid, inhparent, rel);
        }
        if ACTIVE.load(Ordering::Relaxed) {
            adjust(root, relid, inhparent, rel);
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn adjust(
    root: *mut pg_sys::PlannerInfo,
    relid: pg_sys::Oid,
    inhparent: bool,
    rel: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: the planner's own structures, whose index list is ours to change here.
    unsafe {
        if (*(*root).glob).boundParams != PARAMETERS.get() {
            return;
        }
        STATE.with_borrow(|state| {
            if !state.hidden.is_empty() {
                let mut kept = std::ptr::null_mut();
                for index in nodes_of::<pg_sys::IndexOptInfo>((*rel).indexlist) {
                    if !state.hidden.contains(&(*index).indexoid) {
                        kept = pg_sys::lappend(kept, index.cast());
                    }
                }
                (*rel).indexlist = kept;
            }
            // The parent of partitions or children is not scanned by an index.
            if inhparent {
                return;
            }
            for (index, number) in state.created.get(&relid).into_iter().flatten() {
                let info = index_info(&index.parts[*number], rel);
                (*rel).indexlist = pg_sys::lcons(info.cast(), (*rel).indexlist);
            }
        });
    }
}

/// An array in the planner's memory.
///
/// # Safety
/// `T` is what the planner expects there.
unsafe fn array<T: Copy>(values: impl ExactSizeIterator<Item = T>) -> *mut T {
    // SAFETY: allocated for exactly the values written.
    unsafe {
        let memory = pg_sys::palloc0(values.len().max(1) * size_of::<T>()).cast::<T>();
        for (i, value) in values.enumerate() {
            memory.add(i).write(value);
        }
        memory
    }
}

/// What get_relation_info builds from a real index.
///
/// # Safety
/// `rel` is being set up by the planner, for the definition's table.
unsafe fn index_info(part: &Part, rel: *mut pg_sys::RelOptInfo) -> *mut pg_sys::IndexOptInfo {
    let definition = &part.definition;
    let keys = &definition.columns[..definition.keys];
    let varno = unsafe_relid(rel);
    // SAFETY: the routine is the access method's; every array has as many entries as the planner reads.
    unsafe {
        let routine = &*pg_sys::GetIndexAmRoutineByAmId(definition.method, false);
        let info = pg_sys::palloc0(size_of::<pg_sys::IndexOptInfo>()).cast::<pg_sys::IndexOptInfo>();
        let set = &mut *info;
        set.type_ = pg_sys::NodeTag::T_IndexOptInfo;
        set.indexoid = part.oid;
        set.rel = rel;
        set.pages = part.size.pages.clamp(1.0, f64::from(u32::MAX - 1)) as u32;
        set.tuples = part.size.tuples;
        set.tree_height = part.size.height;
        set.ncolumns = definition.columns.len() as i32;
        set.nkeycolumns = definition.keys as i32;
        set.indexkeys = array(definition.columns.iter().map(|c| i32::from(c.attnum)));
        set.canreturn = array(definition.columns.iter().map(|c| c.returned));
        set.indexcollations = array(keys.iter().map(|c| c.collation));
        set.opfamily = array(keys.iter().map(|c| c.opfamily));
        set.opcintype = array(keys.iter().map(|c| c.opcintype));
        // GIN's cost function looks into the array without asking whether there is one.
        set.opclassoptions = array(keys.iter().map(|_| std::ptr::null_mut()));
        if routine.amcanorder {
            set.sortopfamily = set.opfamily;
            set.reverse_sort = array(keys.iter().map(|c| c.descending));
            set.nulls_first = array(keys.iter().map(|c| c.nulls_first));
        }
        set.relam = definition.method;
        set.unique = definition.unique;
        set.immediate = true;
        // Makes the cost functions of GIN and BRIN, and look-ups of actual extremes, leave it closed.
        set.hypothetical = true;
        set.amcanorderbyop = routine.amcanorderbyop;
        set.amoptionalkey = routine.amoptionalkey;
        set.amsearcharray = routine.amsearcharray;
        set.amsearchnulls = routine.amsearchnulls;
        set.amcanparallel = routine.amcanparallel;
        set.amhasgettuple = routine.amgettuple.is_some();
        set.amhasgetbitmap = routine.amgetbitmap.is_some();
        set.amcanmarkpos = routine.ammarkpos.is_some() && routine.amrestrpos.is_some();
        // The same function pointer; older bindings leave out its arguments.
        set.amcostestimate = std::mem::transmute_copy(&routine.amcostestimate);
        set.indexprs = copy(definition.expressions);
        set.indpred = copy(definition.conditions);
        if varno != 1 {
            pg_sys::ChangeVarNodes(set.indexprs.cast(), 1, varno, 0);
            pg_sys::ChangeVarNodes(set.indpred.cast(), 1, varno, 0);
        }
        set.indextlist = target_list(definition, set.indexprs, varno);
        info
    }
}

fn unsafe_relid(rel: *mut pg_sys::RelOptInfo) -> i32 {
    // SAFETY: called with the relation the planner is setting up.
    unsafe { (*rel).relid as i32 }
}

/// As plancat.c's build_index_tlist.
///
/// # Safety
/// `expressions` are the definition's, copied and renumbered.
unsafe fn target_list(
    definition: &IndexDefinition,
    expressions: *mut pg_sys::List,
    varno: i32,
) -> *mut pg_sys::List {
    // SAFETY: the caller's promise; nodes are made in the planner's memory.
    unsafe {
        let mut expressions = nodes_of::<pg_sys::Expr>(expressions);
        let mut list = std::ptr::null_mut();
        for (i, column) in definition.columns.iter().enumerate() {
            let expression = if column.attnum != 0 {
                let mut collation = pg_sys::InvalidOid;
                let (mut type_oid, mut typmod) = (column.type_oid, column.typmod);
                pg_sys::get_atttypetypmodcoll(
                    definition.relid,
                    column.attnum,
                    &mut type_oid,
                    &mut typmod,
                    &mut collation,
                );
                // The type of the first argument differs between versions.
                pg_sys::makeVar(varno as _, column.attnum, type_oid, typmod, collation, 0).cast()
            } else {
                expressions.next().unwrap_or(std::ptr::null_mut())
            };
            let entry = pg_sys::makeTargetEntry(expression, i as i16 + 1, std::ptr::null_mut(), false);
            list = pg_sys::lappend(list, entry.cast());
        }
        list
    }
}

unsafe extern "C-unwind" fn index_name(index: pg_sys::Oid) -> *const c_char {
    // SAFETY: what the caller gave us is passed on.
    unsafe {
        if ACTIVE.load(Ordering::Relaxed) {
            let name = own_name(index);
            if !name.is_null() {
                return name;
            }
        }
        match PREVIOUS_NAME {
            Some(previous) => previous(index),
            None => std::ptr::null(),
        }
    }
}

/// The name lives as long as the configuration is in force, which is longer than EXPLAIN needs it.
fn own_name(index: pg_sys::Oid) -> *const c_char {
    STATE.with_borrow(|state| state.known.get(&index).map_or(std::ptr::null(), |(i, _)| i.name.as_ptr()))
}

unsafe extern "C-unwind" fn index_stats(
    root: *mut pg_sys::PlannerInfo,
    index: pg_sys::Oid,
    column: pg_sys::AttrNumber,
    data: *mut pg_sys::VariableStatData,
) -> bool {
    // SAFETY: what the planner gave us is passed on.
    unsafe {
        if ACTIVE.load(Ordering::Relaxed) && own_stats(index, column, data) {
            return true;
        }
        match PREVIOUS_STATS {
            Some(previous) => previous(root, index, column, data),
            None => false,
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn own_stats(
    index: pg_sys::Oid,
    column: pg_sys::AttrNumber,
    data: *mut pg_sys::VariableStatData,
) -> bool {
    STATE.with_borrow(|state| {
        let Some((index, number)) = state.known.get(&index) else { return false };
        let part = &index.parts[*number];
        match part.statistics.get(column as usize - 1) {
            // SAFETY: the tuple outlives the configuration; nothing is freed when the planner is done.
            Some(Some(statistics)) => unsafe {
                (*data).statsTuple = statistics.tuple();
                (*data).freefunc = Some(keep);
                (*data).acl_ok = may_read_all(part.definition.relid);
                true
            },
            _ => false,
        }
    })
}

/// Whether the current role may read every row: values of the table are kept from functions that may tell of
/// them otherwise, as PostgreSQL keeps its own statistics.
///
/// # Safety
/// Called in a guard.
unsafe fn may_read_all(table: pg_sys::Oid) -> bool {
    // Privileges on a partition are those on what was asked.
    let asked = super::ffi::partition_ancestors(table).pop().unwrap_or(table);
    // SAFETY: look-ups about an existing table and the current role.
    unsafe {
        pg_sys::pg_class_aclcheck(asked, pg_sys::GetUserId(), pg_sys::ACL_SELECT as pg_sys::AclMode)
            == pg_sys::AclResult::ACLCHECK_OK
            && pg_sys::check_enable_rls(asked, pg_sys::InvalidOid, true)
                != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    }
}

/// The tuple is not the planner's to free.
unsafe extern "C-unwind" fn keep(_tuple: pg_sys::HeapTuple) {}

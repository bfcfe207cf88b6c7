//! What a query asks of each table: the conditions, orders and columns an index could serve. Read from the
//! analysed query, so that names, casts, views and subqueries are what PostgreSQL takes them for.

//!
//! | file | what it holds |
//! | --- | --- |
//! | `collect.rs` | the walk through a query: joins, conditions, orders, subqueries |
//! | `keys.rs` | which column or expression of which table a node is, and conditions on one table |
//! | `operators.rs` | what an operator is to a btree |

mod collect;
mod keys;
mod operators;

use super::nodes::nodes_of;
use super::planning::Statement;
use collect::Collector;
use pgrx::pg_sys;
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

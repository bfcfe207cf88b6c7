//! Indexes to test rules on.

use crate::catalog::index::{Index, Key};
use pgrx::pg_sys::Oid;

/// A valid btree over these columns.
pub fn index(columns: &[i16]) -> Index {
    let key = |&column| Key {
        column: Some(column),
        expression: None,
        opclass: Oid::from(1),
        family: Oid::from(1),
        collation: Oid::INVALID,
        descending: false,
        nulls_first: false,
        options: String::new(),
    };
    Index {
        oid: Oid::from(100),
        table: Oid::from(50),
        schema: "s".into(),
        table_name: "t".into(),
        name: "i".into(),
        method: "btree".into(),
        partitioned: false,
        parent: None,
        unique: false,
        primary: false,
        immediate: true,
        nulls_not_distinct: false,
        valid: true,
        ready: true,
        replica_identity: false,
        clustered: false,
        keys: columns.iter().map(key).collect(),
        included: Vec::new(),
        predicate: Vec::new(),
        predicate_tree: None,
        options: Vec::new(),
        constraint: None,
        referenced: false,
        of_extension: false,
        pages: 10,
        scans: 0,
        tuples_read: 0,
        tuples_fetched: 0,
        last_scan: None,
    }
}

pub fn with_method(columns: &[i16], method: &str) -> Index {
    Index { method: method.into(), ..index(columns) }
}

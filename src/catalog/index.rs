//! Indexes, with everything that tells one from another.

use crate::error::Result;
use crate::pg::{expression, lookup, spi};
use pgrx::pg_sys;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// An index as the catalogue and the statistics system know it.
#[derive(Debug, Clone)]
pub struct Index {
    pub oid: pg_sys::Oid,
    pub table: pg_sys::Oid,
    pub schema: String,
    pub table_name: String,
    pub name: String,
    pub method: String,
    /// Whether it stands for the indexes of all partitions and has no storage itself.
    pub partitioned: bool,
    /// The partitioned index it is attached to.
    pub parent: Option<pg_sys::Oid>,
    pub unique: bool,
    pub primary: bool,
    /// Uniqueness is checked at once and not at the end of the transaction.
    pub immediate: bool,
    pub nulls_not_distinct: bool,
    pub valid: bool,
    /// Insertions maintain it.
    pub ready: bool,
    pub replica_identity: bool,
    pub clustered: bool,
    pub keys: Vec<Key>,
    pub included: Vec<i16>,
    /// Each condition of the predicate, in a form that is equal where the conditions are.
    pub predicate: Vec<String>,
    /// The predicate as the catalogue stores it.
    pub predicate_tree: Option<String>,
    pub options: Vec<String>,
    /// The constraint it enforces.
    pub constraint: Option<Constraint>,
    /// A foreign key of another table refers to it.
    pub referenced: bool,
    /// The extension its table belongs to made it.
    pub of_extension: bool,
    pub pages: i64,
    pub scans: i64,
    pub tuples_read: i64,
    pub tuples_fetched: i64,
    pub last_scan: Option<pgrx::datum::TimestampWithTimeZone>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    pub name: String,
    /// `contype`: p, u or x.
    pub kind: char,
}

/// One key column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The table's column, none for an expression.
    pub column: Option<i16>,
    /// The expression in a form that is equal where expressions are.
    pub expression: Option<String>,
    pub opclass: pg_sys::Oid,
    pub family: pg_sys::Oid,
    pub collation: pg_sys::Oid,
    pub descending: bool,
    pub nulls_first: bool,
    /// Options of the operator class.
    pub options: String,
}

impl Index {
    pub fn qualified_name(&self) -> String {
        lookup::qualify(&self.schema, &self.name)
    }

    pub fn qualified_table(&self) -> String {
        lookup::qualify(&self.schema, &self.table_name)
    }

    /// Equal for an index and one rebuilt from it, as a uuid: all that tells an index from another but its
    /// name. Not from pg_get_indexdef, which waits for whoever holds the table.
    pub fn fingerprint(&self) -> String {
        let told = (&self.method, self.unique, &self.keys, &self.included, &self.predicate);
        let digest = Sha256::digest(format!("{told:?}").as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn usable(&self) -> bool {
        self.valid && self.ready
    }

    /// Bytes on disk, as last counted by VACUUM or ANALYZE while somebody holds the index exclusively.
    pub fn size(&self) -> i64 {
        if self.partitioned {
            return 0;
        }
        lookup::relation_size(self.oid).unwrap_or(self.pages * i64::from(pg_sys::BLCKSZ))
    }
}

/// An index that no other stands for, with those it stands for.
pub struct Tree<'a> {
    pub top: &'a Index,
    /// Those with storage: the top itself unless it is partitioned.
    pub members: Vec<&'a Index>,
}

impl Tree<'_> {
    pub fn size(&self) -> i64 {
        self.members.iter().map(|index| index.size()).sum()
    }
}

/// Indexes by what stands at the top of their partition tree.
pub fn trees(indexes: &[Index]) -> Vec<Tree<'_>> {
    let by_oid: HashMap<pg_sys::Oid, &Index> = indexes.iter().map(|index| (index.oid, index)).collect();
    let mut members: HashMap<pg_sys::Oid, Vec<&Index>> = HashMap::new();
    for index in indexes.iter().filter(|index| !index.partitioned) {
        let mut top = index;
        while let Some(parent) = top.parent.and_then(|oid| by_oid.get(&oid)) {
            top = parent;
        }
        members.entry(top.oid).or_default().push(index);
    }
    indexes
        .iter()
        .filter(|index| index.parent.is_none())
        .map(|top| Tree { top, members: members.remove(&top.oid).unwrap_or_default() })
        .collect()
}

const NULLS_NOT_DISTINCT: &str = if cfg!(feature = "pg14") { "false" } else { "i.indnullsnotdistinct" };
const LAST_SCAN: &str = if cfg!(any(feature = "pg14", feature = "pg15")) {
    "NULL::timestamptz"
} else {
    "pg_stat_get_lastscan(i.indexrelid)"
};

/// Every index on a table of users that the current role may know of: it may read some column of the
/// table, has the owner's rights or may read everybody's statistics. Other sessions' temporary tables
/// are left out, and so are our own.
///
/// To be called within `security::with_safe_search_path`.
pub fn all() -> Result<Vec<Index>> {
    let query = format!(
        "SELECT i.indexrelid, i.indrelid, n.nspname::text, t.relname::text, c.relname::text, a.amname::text,
                c.relkind = 'I', h.inhparent, i.indisunique, i.indisprimary, i.indimmediate, {NULLS_NOT_DISTINCT},
                i.indisvalid, i.indisready AND i.indislive,
                i.indisreplident AND t.relreplident = 'i', i.indisclustered,
                i.indnkeyatts, i.indkey::int2[], i.indclass::oid[],
                ARRAY(SELECT o.opcfamily FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS k (opclass, place)
                        JOIN pg_opclass AS o ON o.oid = k.opclass ORDER BY k.place),
                i.indcollation::oid[], i.indoption::int2[],
                ARRAY(SELECT coalesce(array_to_string(k.attoptions, ','), '') FROM pg_attribute AS k
                       WHERE k.attrelid = i.indexrelid AND k.attnum > 0 ORDER BY k.attnum),
                i.indexprs::text, i.indpred::text, coalesce(c.reloptions, '{{}}'),
                x.conname::text, x.contype,
                EXISTS (SELECT FROM pg_constraint AS f WHERE f.conindid = i.indexrelid AND f.contype = 'f'),
                EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'
                           AND d.objid IN (i.indexrelid, i.indrelid)),
                c.relpages::int8, pg_stat_get_numscans(i.indexrelid),
                pg_stat_get_tuples_returned(i.indexrelid), pg_stat_get_tuples_fetched(i.indexrelid), {LAST_SCAN}
           FROM pg_index AS i
           JOIN pg_class AS c ON c.oid = i.indexrelid
           JOIN pg_class AS t ON t.oid = i.indrelid
           JOIN pg_namespace AS n ON n.oid = t.relnamespace
           JOIN pg_am AS a ON a.oid = c.relam
           LEFT JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid
           LEFT JOIN pg_constraint AS x ON x.conindid = i.indexrelid AND x.conrelid = i.indrelid
                                       AND x.contype IN ('p', 'u', 'x')
          WHERE t.relkind IN ('r', 'p', 'm')
            AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'architect')
            AND (t.relpersistence <> 't' OR n.oid = pg_my_temp_schema())
            AND {VISIBLE}
          ORDER BY n.nspname, t.relname, c.relname, i.indexrelid"
    );
    spi::read_now(&query, &[], |row| {
        let flag = |i| row.get::<bool>(i).map(Option::unwrap_or_default);
        let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
        let number = |i| row.get::<i64>(i).map(Option::unwrap_or_default);
        let columns = row.get::<Vec<i16>>(18)?.unwrap_or_default();
        let key_count = usize::try_from(row.get::<i16>(17)?.unwrap_or_default()).unwrap_or_default();
        let expressions = row.get::<String>(24)?;
        let predicate_tree = row.get::<String>(25)?;
        let parts = Parts {
            columns: &columns,
            opclasses: row.get(19)?.unwrap_or_default(),
            families: row.get(20)?.unwrap_or_default(),
            collations: row.get(21)?.unwrap_or_default(),
            options: row.get(22)?.unwrap_or_default(),
            opclass_options: row.get(23)?.unwrap_or_default(),
            expressions: expressions.as_deref().map(expression::canonical).unwrap_or_default(),
        };
        let constraint = text(27)?;
        Ok(Index {
            oid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
            table: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
            schema: text(3)?,
            table_name: text(4)?,
            name: text(5)?,
            method: text(6)?,
            partitioned: flag(7)?,
            parent: row.get(8)?,
            unique: flag(9)?,
            primary: flag(10)?,
            immediate: flag(11)?,
            nulls_not_distinct: flag(12)?,
            valid: flag(13)?,
            ready: flag(14)?,
            replica_identity: flag(15)?,
            clustered: flag(16)?,
            keys: parts.keys(key_count),
            included: columns.get(key_count..).unwrap_or_default().to_vec(),
            predicate: predicate_tree.as_deref().map(expression::canonical).unwrap_or_default(),
            predicate_tree,
            options: row.get(26)?.unwrap_or_default(),
            constraint: row
                .get::<i8>(28)?
                .map(|kind| Constraint { name: constraint, kind: kind as u8 as char }),
            referenced: flag(29)?,
            of_extension: flag(30)?,
            pages: number(31)?,
            scans: number(32)?,
            tuples_read: number(33)?,
            tuples_fetched: number(34)?,
            last_scan: row.get(35)?,
        })
    })
}

/// Whether the current role may know of table `t` of schema `n`.
pub const VISIBLE: &str = "(pg_has_role(t.relowner, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE')
     OR has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(t.oid, 'SELECT'))";

/// What `pg_index` says of the columns, in its parallel arrays.
struct Parts<'a> {
    columns: &'a [i16],
    opclasses: Vec<pg_sys::Oid>,
    families: Vec<pg_sys::Oid>,
    collations: Vec<pg_sys::Oid>,
    options: Vec<i16>,
    opclass_options: Vec<String>,
    expressions: Vec<String>,
}

impl Parts<'_> {
    fn keys(&self, count: usize) -> Vec<Key> {
        let mut expressions = self.expressions.iter();
        let oid = |oids: &[pg_sys::Oid], i: usize| oids.get(i).copied().unwrap_or(pg_sys::InvalidOid);
        self.columns
            .iter()
            .take(count)
            .enumerate()
            .map(|(i, &column)| {
                let option = self.options.get(i).copied().unwrap_or_default();
                Key {
                    column: (column != 0).then_some(column),
                    expression: if column == 0 { expressions.next().cloned() } else { None },
                    opclass: oid(&self.opclasses, i),
                    family: oid(&self.families, i),
                    collation: oid(&self.collations, i),
                    descending: option & 1 != 0,
                    nulls_first: option & 2 != 0,
                    options: self.opclass_options.get(i).cloned().unwrap_or_default(),
                }
            })
            .collect()
    }
}

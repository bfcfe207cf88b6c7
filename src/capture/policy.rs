//! Stored policies, read below privileges and below the transaction's snapshot: a trigger that fires must
//! see the policy that made it.

use crate::error::{Error, Result};
use crate::pg::scan::btree_on;
use crate::pg::table::{Fields, Table};
use crate::pg::{ffi, lookup, session};
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet};

/// What a table's changes are recorded for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Audit,
    Feed,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Audit, Kind::Feed];

    /// The columns that identify a row unless a policy names some. They decide the order of the feed.
    pub fn key_columns(self, table: &Table) -> Vec<usize> {
        match self {
            Kind::Audit => table.key_columns(),
            Kind::Feed => table.immediate_key_columns(),
        }
    }

    /// The table its policies are in.
    pub fn policies(self) -> &'static str {
        match self {
            Kind::Audit => "audit_table",
            Kind::Feed => "cdc_table",
        }
    }

    /// The table that says in which schemas new tables are recorded.
    pub fn schemas(self) -> &'static str {
        match self {
            Kind::Audit => "audit_schema",
            Kind::Feed => "cdc_schema",
        }
    }

    /// The function that enables it on a table.
    pub fn function(self) -> &'static str {
        match self {
            Kind::Audit => "enable_audit",
            Kind::Feed => "enable_cdc",
        }
    }

    /// A pattern its relations' names match, and no others'.
    pub fn own_relations(self) -> &'static str {
        match self {
            Kind::Audit => "^(audit|capture)_",
            Kind::Feed => "^(cdc|change|consumer|capture)_",
        }
    }

    /// What a table whose changes it records is said to be.
    pub fn recorded(self) -> &'static str {
        match self {
            Kind::Audit => "audited",
            Kind::Feed => "captured",
        }
    }

    /// What is done to a table, in messages.
    pub fn verb(self) -> &'static str {
        match self {
            Kind::Audit => "audit",
            Kind::Feed => "capture",
        }
    }

    pub fn gerund(self) -> &'static str {
        match self {
            Kind::Audit => "Auditing",
            Kind::Feed => "Capturing",
        }
    }

    pub fn verb_of_end(self) -> &'static str {
        match self {
            Kind::Audit => "stop auditing",
            Kind::Feed => "stop capturing",
        }
    }

    /// What disabling leaves.
    pub fn what_stays(self) -> &'static str {
        match self {
            Kind::Audit => "the log keeps its entries",
            Kind::Feed => "the feed keeps its events",
        }
    }

    /// Whether its storage has been made: by the first table it was enabled on, or by a restore. All of
    /// it: in the middle of a restore some tables are there and some are not.
    pub fn storage_exists(self) -> bool {
        let log: &[&str] = match self {
            Kind::Audit => &["audit_entry", "audit_log"],
            Kind::Feed => &["change_segment", "change_entry", "change_log"],
        };
        ["capture_origin", "capture_relation", self.policies(), self.schemas()]
            .iter()
            .chain(log)
            .all(|name| lookup::own_relation(name).is_some())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Image {
    Changed,
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    Degrade,
    Fail,
}

/// What stands in for a column's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mask {
    /// null
    Null,
    /// {"sha256":"..."} of the value as JSON; null stays null
    Hash,
    /// "***"
    Constant,
}

impl Mask {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "null" => Some(Self::Null),
            "hash" => Some(Self::Hash),
            "constant" => Some(Self::Constant),
            _ => None,
        }
    }
}

/// How a table is recorded: a row of audit_table or cdc_table.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub kind: Kind,
    pub table_id: i32,
    pub relid: pg_sys::Oid,
    pub schema_name: String,
    pub table_name: String,
    pub enabled: bool,
    pub image: Image,
    pub include: Option<Columns>,
    pub exclude: Columns,
    pub replicated: bool,
    pub operations: Vec<String>,
    /// Of audit_table; else as if not asked for.
    pub require_context: bool,
    pub on_error: OnError,
    /// Of cdc_table; else none. An action for each column of `masked`.
    pub masked: Columns,
    pub actions: Vec<String>,
    pub key: Option<Columns>,
    pub condition: Option<String>,
    pub notify: bool,
    pub channel: String,
}

/// A set of columns, by name and, while the table is the one they were named in, by number: a renamed
/// column stays in the set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    pub names: Vec<String>,
    pub numbers: Vec<i16>,
}

impl Columns {
    pub fn contains(&self, name: &str, number: Option<i16>) -> bool {
        self.position(name, number).is_some()
    }

    /// Where in the set the column is.
    pub fn position(&self, name: &str, number: Option<i16>) -> Option<usize> {
        let by_number = || number.and_then(|number| self.numbers.iter().position(|&n| n == number));
        self.names.iter().position(|n| n == name).or_else(by_number)
    }
}

/// Positions of columns: first those audit_table and cdc_table have in common.
mod column {
    pub const TABLE_ID: usize = 0;
    pub const RELID: usize = 1;
    pub const SCHEMA_NAME: usize = 2;
    pub const TABLE_NAME: usize = 3;
    pub const ENABLED: usize = 4;
    pub const OPERATIONS: usize = 5;
    pub const IMAGE: usize = 6;
    pub const INCLUDE_COLUMNS: usize = 7;
    pub const EXCLUDE_COLUMNS: usize = 8;
    pub const INCLUDE_ATTNUMS: usize = 9;
    pub const EXCLUDE_ATTNUMS: usize = 10;
    pub const REPLICATED: usize = 11;

    pub mod audit {
        pub const REQUIRE_CONTEXT: usize = 12;
        pub const ON_ERROR: usize = 13;
    }

    pub mod cdc {
        pub const MASK_COLUMNS: usize = 12;
        pub const MASK_ATTNUMS: usize = 13;
        pub const MASK_ACTIONS: usize = 14;
        pub const KEY_COLUMNS: usize = 15;
        pub const KEY_ATTNUMS: usize = 16;
        pub const CONDITION: usize = 17;
        pub const NOTIFY: usize = 18;
        pub const CHANNEL: usize = 19;
    }
}

impl Policy {
    /// Whether the policy's table, whose stored number is of this database, exists and is not `relid`:
    /// one of its former names does not make `relid` that table.
    pub fn is_about_another_table(&self, relid: pg_sys::Oid) -> bool {
        self.relid != relid && lookup::relation_name(self.relid).is_some()
    }

    pub fn records(&self, operation: &str) -> bool {
        self.operations.iter().any(|o| o == operation)
    }

    fn read(kind: Kind, row: &Fields) -> Self {
        let texts =
            |i| row.get::<Vec<Option<String>>>(i).map(|v| v.into_iter().flatten().collect::<Vec<_>>());
        let set = |names, numbers| {
            texts(names).map(|names| Columns {
                names,
                numbers: row
                    .get::<Vec<Option<i16>>>(numbers)
                    .map(|v| v.into_iter().flatten().collect())
                    .unwrap_or_default(),
            })
        };
        let text = |i| row.get::<String>(i).unwrap_or_default();
        let (audit, feed) = (kind == Kind::Audit, kind == Kind::Feed);
        Self {
            kind,
            table_id: row.get(column::TABLE_ID).unwrap_or_default(),
            relid: row.get(column::RELID).unwrap_or(pg_sys::InvalidOid),
            schema_name: text(column::SCHEMA_NAME),
            table_name: text(column::TABLE_NAME),
            enabled: row.get(column::ENABLED).unwrap_or_default(),
            image: if text(column::IMAGE) == "full" { Image::Full } else { Image::Changed },
            include: set(column::INCLUDE_COLUMNS, column::INCLUDE_ATTNUMS),
            exclude: set(column::EXCLUDE_COLUMNS, column::EXCLUDE_ATTNUMS).unwrap_or_default(),
            replicated: row.get(column::REPLICATED).unwrap_or_default(),
            operations: texts(column::OPERATIONS).unwrap_or_default(),
            require_context: audit && row.get(column::audit::REQUIRE_CONTEXT).unwrap_or_default(),
            on_error: if audit && text(column::audit::ON_ERROR) == "fail" {
                OnError::Fail
            } else {
                OnError::Degrade
            },
            masked: feed
                .then(|| set(column::cdc::MASK_COLUMNS, column::cdc::MASK_ATTNUMS))
                .flatten()
                .unwrap_or_default(),
            actions: feed.then(|| texts(column::cdc::MASK_ACTIONS)).flatten().unwrap_or_default(),
            key: feed.then(|| set(column::cdc::KEY_COLUMNS, column::cdc::KEY_ATTNUMS)).flatten(),
            condition: feed.then(|| row.get(column::cdc::CONDITION)).flatten(),
            notify: feed && row.get(column::cdc::NOTIFY).unwrap_or_default(),
            channel: if feed { text(column::cdc::CHANNEL) } else { String::new() },
        }
    }

    /// What stands in for a column's value; an action this version does not know hides it.
    pub fn mask(&self, name: &str, number: Option<i16>) -> Option<Mask> {
        let position = self.masked.position(name, number)?;
        Some(self.actions.get(position).and_then(|action| Mask::parse(action)).unwrap_or(Mask::Null))
    }
}

pub(super) fn own_table(name: &str, lock: u32) -> Result<Table> {
    lookup::own_relation(name)
        .and_then(|relid| Table::open(relid, lock as i32))
        // A view may have taken its name.
        .filter(Table::is_heap)
        .ok_or_else(|| storage_missing(name))
}

pub fn storage_missing(name: &str) -> Error {
    let (what, remedy) = if name.starts_with("capture_") {
        ("what audit log and change feed share is not there", "recorded tables, or enable one of them")
    } else if name.starts_with("audit_") {
        ("the audit log is not there", "audited tables, or call architect.enable_audit()")
    } else {
        ("the change feed is not there", "captured tables, or call architect.enable_cdc()")
    };
    Error::not_in_prerequisite_state(what)
        .detail(format!("Table architect.{name} does not exist."))
        .hint(format!("Restore schema architect together with the {remedy} again."))
}

/// A stored policy before it is read: what it is about.
pub struct About<'a>(&'a Fields);

impl About<'_> {
    pub fn table_id(&self) -> i32 {
        self.0.get(column::TABLE_ID).unwrap_or_default()
    }

    pub fn relid(&self) -> pg_sys::Oid {
        self.0.get(column::RELID).unwrap_or(pg_sys::InvalidOid)
    }

    pub fn enabled(&self) -> bool {
        self.0.get(column::ENABLED).unwrap_or_default()
    }

    pub fn is_named(&self, (schema, table): &(String, String)) -> bool {
        self.0.bytes(column::TABLE_NAME) == table.as_bytes()
            && self.0.bytes(column::SCHEMA_NAME) == schema.as_bytes()
    }
}

/// Stored policies of a kind. Only those wanted are read: there may be thousands, and this happens whenever
/// a session meets a table.
pub fn select(kind: Kind, wanted: impl Fn(&About) -> bool) -> Result<Vec<Policy>> {
    let mut found = Vec::new();
    own_table(kind.policies(), pg_sys::AccessShareLock)?.scan(None, |row| {
        if wanted(&About(row)) {
            found.push(Policy::read(kind, row));
        }
    });
    Ok(found)
}

/// Every stored policy of a kind.
pub fn all(kind: Kind) -> Result<Vec<Policy>> {
    select(kind, |_| true)
}

/// The enabled policy of a number.
pub fn numbered(kind: Kind, table_id: i32) -> Result<Option<Policy>> {
    Ok(select(kind, |about| about.enabled() && about.table_id() == table_id)?.into_iter().next())
}

/// Whether stored object identifiers belong to this database: not so after a restore elsewhere.
pub fn identifiers_are_ours() -> Result<bool> {
    let mut latest: Option<(i32, String, pg_sys::Oid)> = None;
    own_table("capture_origin", pg_sys::AccessShareLock)?.scan(None, |row| {
        let id: i32 = row.get(0).unwrap_or_default();
        if latest.as_ref().is_none_or(|(last, ..)| id > *last) {
            latest = Some((id, row.get(1).unwrap_or_default(), row.get(2).unwrap_or(pg_sys::InvalidOid)));
        }
    });
    Ok(latest.is_some_and(|(_, system, database)| {
        system == session::system_identifier() && database == session::database()
    }))
}

/// The policy a relation is recorded under, its own or that of a partitioned table above it, with the
/// relation it was set on.
pub fn find(kind: Kind, relid: pg_sys::Oid) -> Result<Option<(Policy, pg_sys::Oid)>> {
    let mut chain = vec![relid];
    chain.extend(ffi::partition_ancestors(relid));
    if let Some(top) = chain.last()
        && let Some(policy) = by_number(kind, *top)?
    {
        return Ok(Some((policy, *top)));
    }
    let policies = Policies::about(kind, &chain)?;
    // From the top: a partition of an audited table is part of that table, whatever was set on it.
    Ok(chain
        .into_iter()
        .rev()
        .find_map(|candidate| policies.own(candidate).map(|policy| (policy.clone(), candidate))))
}

/// The enabled policy that has a relation's number, by index, whatever others there are. None where there is no
/// index, or numbers are not of this database.
fn by_number(kind: Kind, relid: pg_sys::Oid) -> Result<Option<Policy>> {
    let table = own_table(kind.policies(), pg_sys::AccessShareLock)?;
    let Some(index) = btree_on(&table, column::RELID as i16 + 1) else { return Ok(None) };
    let mut found = None;
    table.scan(Some((index, column::RELID, relid)), |row| {
        if About(row).enabled() {
            found = Some(Policy::read(kind, row));
        }
    });
    Ok(if found.is_some() && identifiers_are_ours()? { found } else { None })
}

/// The enabled policy of a kind that was set on a relation itself; none without its storage.
pub fn own(kind: Kind, relid: pg_sys::Oid) -> Result<Option<Policy>> {
    if !kind.storage_exists() {
        return Ok(None);
    }
    let ours = identifiers_are_ours()?;
    let name = name_of(relid);
    let found = select(kind, |about| {
        about.enabled()
            && (ours && about.relid() == relid || name.as_ref().is_some_and(|name| about.is_named(name)))
    })?;
    Ok(found.into_iter().next())
}

/// Schema and name of a relation.
fn name_of(relid: pg_sys::Oid) -> Option<(String, String)> {
    Some((lookup::relation_schema(relid)?, lookup::relation_name(relid)?))
}

/// Policies of more relations than this are looked for by reading all of them.
const MOST_NAMES: usize = 64;

/// Enabled policies of a kind, read once for many relations.
#[derive(Default)]
pub struct Policies {
    policies: Vec<Policy>,
    by_relation: HashMap<pg_sys::Oid, usize>,
    by_name: HashMap<(String, String), usize>,
}

impl Policies {
    /// Those of some relations; to be asked about no others.
    pub fn about(kind: Kind, relations: &[pg_sys::Oid]) -> Result<Self> {
        let wanted: HashSet<pg_sys::Oid> = relations.iter().copied().collect();
        let names: Vec<(String, String)> = wanted.iter().filter_map(|relid| name_of(*relid)).collect();
        if names.len() > MOST_NAMES {
            return Self::read(kind);
        }
        let of_these = |about: &About| {
            about.enabled()
                && (wanted.contains(&about.relid()) || names.iter().any(|name| about.is_named(name)))
        };
        Self::of(select(kind, of_these)?)
    }

    pub fn read(kind: Kind) -> Result<Self> {
        Self::of(select(kind, |about| about.enabled())?)
    }

    fn of(policies: Vec<Policy>) -> Result<Self> {
        let mut found = Self { policies, ..Self::default() };
        if found.policies.is_empty() {
            return Ok(found);
        }
        let ours = identifiers_are_ours()?;
        for (number, policy) in found.policies.iter().enumerate() {
            if ours {
                found.by_relation.entry(policy.relid).or_insert(number);
            }
            // One of its former names does not make another table the policy's.
            if !ours || lookup::relation_name(policy.relid).is_none() {
                let name = (policy.schema_name.clone(), policy.table_name.clone());
                found.by_name.entry(name).or_insert(number);
            }
        }
        Ok(found)
    }

    /// The policy that was set on a relation itself.
    pub fn own(&self, relid: pg_sys::Oid) -> Option<&Policy> {
        let number = self.by_relation.get(&relid).or_else(|| self.by_name.get(&name_of(relid)?)).copied()?;
        self.policies.get(number)
    }
}

//! Tables as privacy sees them, read from the catalogue for many at a time.

use super::catalogue;
use super::sql::Typed;
use crate::error::Result;
use crate::pg::{kept, lookup, security};
use pgrx::pg_sys;
use std::collections::HashMap;

/// What a value of a type is like, where it is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Date,
    Timestamp,
    Bool,
    Uuid,
    Bytes,
    Network,
    Json,
    Jsonb,
    Array,
    /// Text in another form: a tsvector, xml, hstore, a composite, an address, whatever an extension brings.
    Made,
    Other,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub number: i16,
    pub typed: Typed,
    pub kind: Kind,
    /// Most characters of a text; none where any number will do.
    pub length: Option<i32>,
    /// The type as declared, to cast to.
    pub full_type: String,
    /// The base type with its length or precision, where it has one.
    pub limited_type: Option<String>,
    pub not_null: bool,
    pub generated: bool,
    pub identity_always: bool,
    pub unique: bool,
    /// A constraint of it, or of its domain, asks for an @.
    pub wants_at: bool,
}

impl Column {
    pub fn name(&self) -> &str {
        &self.typed.name
    }

    /// Whether values of this type are taken for personal data unless somebody has said otherwise.
    pub fn holds_text(&self) -> bool {
        matches!(
            self.kind,
            Kind::Text | Kind::Bytes | Kind::Network | Kind::Json | Kind::Jsonb | Kind::Array | Kind::Made
        )
    }
}

#[derive(Debug, Clone)]
pub struct Index {
    /// Numbers of its columns, 0 for an expression.
    pub columns: Vec<i16>,
    pub definition: String,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub relid: pg_sys::Oid,
    pub schema: String,
    pub name: String,
    /// Schema-qualified and quoted.
    pub qualified: String,
    pub owner: pg_sys::Oid,
    pub owner_name: String,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    /// What tells rows apart: a key, or else where they lie.
    pub key: Vec<Typed>,
    pub has_key: bool,
    /// Rows, about.
    pub size: i64,
    /// Row-level security would hide rows from the owner.
    pub hides_rows: bool,
    /// Our trigger records its changes.
    pub captured: bool,
    pub declared: Vec<catalogue::Column>,
}

impl Table {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name() == name)
    }

    pub fn column_numbered(&self, number: i16) -> Option<&Column> {
        self.columns.iter().find(|column| column.number == number)
    }

    pub fn typed(&self, name: &str) -> Option<Typed> {
        self.column(name).map(|column| column.typed.clone())
    }

    /// Whether an index finds rows by these columns: it begins with one of them.
    pub fn finds_by(&self, columns: &[String], json_path: &[String]) -> bool {
        let numbers: Vec<i16> =
            columns.iter().filter_map(|name| self.column(name)).map(|column| column.number).collect();
        self.indexes.iter().any(|index| match index.columns.first() {
            Some(0) => json_path.last().is_some_and(|step| index.definition.contains(step.as_str())),
            Some(first) => json_path.is_empty() && numbers.contains(first),
            None => false,
        })
    }

    pub fn may_act(&self) -> bool {
        security::has_rights_of(self.owner)
    }
}

/// Reads tables, all of them at once.
pub fn load(relids: &[pg_sys::Oid], declared: &[catalogue::Column]) -> Result<Vec<Table>> {
    let mut columns = columns(relids)?;
    let mut indexes = indexes(relids)?;
    let mut tables = facts(relids)?;
    for table in &mut tables {
        table.columns = columns.remove(&table.relid.to_u32()).unwrap_or_default();
        let indexes = indexes.remove(&table.relid.to_u32()).unwrap_or_default();
        for index in indexes.iter().filter(|index| index.unique) {
            for column in table.columns.iter_mut().filter(|c| index.index.columns.contains(&c.number)) {
                column.unique = true;
            }
        }
        // The primary key, else a unique index over columns that are never null.
        let key = indexes.iter().filter(|index| index.unique && index.whole).find(|index| {
            index.index.columns.iter().all(|number| {
                *number > 0 && table.column_numbered(*number).is_some_and(|column| column.not_null)
            })
        });
        if let Some(key) = key {
            table.key = key
                .index
                .columns
                .iter()
                .filter_map(|number| table.column_numbered(*number))
                .map(|column| column.typed.clone())
                .collect();
            table.has_key = true;
        } else {
            table.key = vec![system("tableoid", "pg_catalog.oid"), system("ctid", "pg_catalog.tid")];
        }
        table.indexes = indexes.into_iter().map(|index| index.index).collect();
        table.declared = declared
            .iter()
            .filter(|column| column.schema == table.schema && column.table == table.name)
            .cloned()
            .collect();
    }
    Ok(tables)
}

fn system(name: &str, base_type: &str) -> Typed {
    Typed {
        name: name.to_owned(),
        base_type: base_type.to_owned(),
        equality: Some("OPERATOR(pg_catalog.=)".to_owned()),
    }
}

fn facts(relids: &[pg_sys::Oid]) -> Result<Vec<Table>> {
    let rows = kept::read_now(
        "SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relowner,
                c.relrowsecurity AND c.relforcerowsecurity AND NOT (r.rolsuper OR r.rolbypassrls),
                EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                          JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
                         WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND p.proname OPERATOR(pg_catalog.=) 'capture'
                           AND p.pronamespace OPERATOR(pg_catalog.=) 'architect'::pg_catalog.regnamespace),
                (SELECT pg_catalog.sum(CASE WHEN l.reltuples OPERATOR(pg_catalog.>=) 0::pg_catalog.float4 THEN l.reltuples::pg_catalog.float8
                                            ELSE (pg_catalog.pg_relation_size(l.oid) OPERATOR(pg_catalog./) 100)::pg_catalog.float8 END)::pg_catalog.int8
                   FROM pg_catalog.pg_class AS l
                  WHERE l.oid OPERATOR(pg_catalog.=) c.oid AND c.relkind OPERATOR(pg_catalog.<>) 'p'
                     OR l.oid OPERATOR(pg_catalog.=) ANY (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(c.oid) AS p WHERE p.isleaf))
           FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
           JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) c.relowner
          WHERE c.oid OPERATOR(pg_catalog.=) ANY ($1)",
        &[relids.to_vec().into()],
        |row| {
            let schema: String = row.get(2)?.unwrap_or_default();
            let name: String = row.get(3)?.unwrap_or_default();
            let owner = row.get(4)?.unwrap_or(pg_sys::InvalidOid);
            Ok(Table {
                relid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                qualified: lookup::qualify(&schema, &name),
                schema,
                name,
                owner,
                // Not from the query: a role's name may be in another encoding than the database.
                owner_name: security::role_name(owner),
                columns: Vec::new(),
                indexes: Vec::new(),
                key: Vec::new(),
                has_key: false,
                size: row.get(7)?.unwrap_or_default(),
                hides_rows: row.get(5)?.unwrap_or_default(),
                captured: row.get(6)?.unwrap_or_default(),
                declared: Vec::new(),
            })
        },
    )?;
    // In the order asked for.
    Ok(relids.iter().filter_map(|relid| rows.iter().find(|table| table.relid == *relid)).cloned().collect())
}

// Two conditions on constraints and not one with OR: each has an index, and few definitions are spelled out.
fn columns(relids: &[pg_sys::Oid]) -> Result<HashMap<u32, Vec<Column>>> {
    let rows = kept::read_now(
        "WITH RECURSIVE base (start, type, typmod) AS (
             SELECT DISTINCT a.atttypid, a.atttypid, -1 FROM pg_catalog.pg_attribute AS a
              WHERE a.attrelid OPERATOR(pg_catalog.=) ANY ($1) AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
             UNION ALL
             SELECT b.start, t.typbasetype, CASE WHEN b.typmod OPERATOR(pg_catalog.>=) 0 THEN b.typmod ELSE t.typtypmod END
               FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) b.type AND t.typtype OPERATOR(pg_catalog.=) 'd')
         SELECT a.attrelid, a.attnum, a.attname::pg_catalog.text,
                pg_catalog.format_type(t.oid, -1), t.oid, t.typcategory,
                pg_catalog.format_type(a.atttypid, -1), a.attnotnull OR d.typnotnull, a.attgenerated OPERATOR(pg_catalog.<>) '',
                a.attidentity OPERATOR(pg_catalog.=) 'a',
                m.typmod, CASE WHEN m.typmod OPERATOR(pg_catalog.>=) 0 THEN pg_catalog.format_type(t.oid, m.typmod) END,
                EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                         WHERE k.conrelid OPERATOR(pg_catalog.=) a.attrelid AND k.contype OPERATOR(pg_catalog.=) 'c'::\"char\"
                           AND a.attnum OPERATOR(pg_catalog.=) ANY (k.conkey)
                           AND pg_catalog.strpos(pg_catalog.pg_get_constraintdef(k.oid), '@') OPERATOR(pg_catalog.>) 0)
                OR EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                            WHERE k.contypid OPERATOR(pg_catalog.=) a.atttypid AND k.contype OPERATOR(pg_catalog.=) 'c'::\"char\"
                              AND pg_catalog.strpos(pg_catalog.pg_get_constraintdef(k.oid), '@') OPERATOR(pg_catalog.>) 0)
           FROM pg_catalog.pg_attribute AS a
           JOIN base AS b ON b.start OPERATOR(pg_catalog.=) a.atttypid
           JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) b.type AND t.typtype OPERATOR(pg_catalog.<>) 'd'
           JOIN pg_catalog.pg_type AS d ON d.oid OPERATOR(pg_catalog.=) a.atttypid
          CROSS JOIN LATERAL (SELECT CASE WHEN a.atttypmod OPERATOR(pg_catalog.>=) 0 THEN a.atttypmod ELSE b.typmod END AS typmod) AS m
          WHERE a.attrelid OPERATOR(pg_catalog.=) ANY ($1) AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
          ORDER BY a.attrelid, a.attnum",
        &[relids.to_vec().into()],
        |row| {
            let type_oid: pg_sys::Oid = row.get(5)?.unwrap_or(pg_sys::InvalidOid);
            let category = row.get::<i8>(6)?.unwrap_or_default() as u8;
            let typmod: i32 = row.get(11)?.unwrap_or(-1);
            let kind = kind_of(type_oid, category);
            let length = (matches!(type_oid, pg_sys::VARCHAROID | pg_sys::BPCHAROID) && typmod >= 4).then(|| typmod - 4);
            let column = Column {
                number: row.get(2)?.unwrap_or_default(),
                typed: Typed {
                    name: row.get(3)?.unwrap_or_default(),
                    base_type: row.get(4)?.unwrap_or_default(),
                    equality: None,
                },
                kind,
                length,
                full_type: row.get(7)?.unwrap_or_default(),
                limited_type: row.get(12)?,
                not_null: row.get(8)?.unwrap_or_default(),
                generated: row.get(9)?.unwrap_or_default(),
                identity_always: row.get(10)?.unwrap_or_default(),
                unique: false,
                wants_at: row.get(13)?.unwrap_or_default(),
            };
            Ok((row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid), type_oid, column))
        },
    )?;
    let mut equalities: HashMap<u32, Option<String>> = HashMap::new();
    let mut found: HashMap<u32, Vec<Column>> = HashMap::new();
    for (relid, type_oid, mut column) in rows {
        column.typed.equality =
            equalities.entry(type_oid.to_u32()).or_insert_with(|| equality(type_oid)).clone();
        found.entry(relid.to_u32()).or_default().push(column);
    }
    Ok(found)
}

/// Most types' equality is PostgreSQL's own: only others are looked up.
fn equality(type_oid: pg_sys::Oid) -> Option<String> {
    if type_oid.to_u32() < pg_sys::FirstNormalObjectId {
        return lookup::equality_operator(type_oid).map(|_| "OPERATOR(pg_catalog.=)".to_owned());
    }
    crate::catalog::writing::equality(type_oid)
}

fn kind_of(type_oid: pg_sys::Oid, category: u8) -> Kind {
    match type_oid {
        pg_sys::JSONOID => Kind::Json,
        pg_sys::JSONBOID => Kind::Jsonb,
        pg_sys::UUIDOID => Kind::Uuid,
        pg_sys::BYTEAOID => Kind::Bytes,
        pg_sys::BOOLOID => Kind::Bool,
        pg_sys::DATEOID => Kind::Date,
        pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Kind::Timestamp,
        pg_sys::INETOID | pg_sys::CIDROID => Kind::Network,
        // The server's own bookkeeping.
        pg_sys::PG_LSNOID
        | pg_sys::TIDOID
        | pg_sys::XIDOID
        | pg_sys::XID8OID
        | pg_sys::CIDOID
        | pg_sys::PG_SNAPSHOTOID => Kind::Other,
        _ => match category {
            b'S' => Kind::Text,
            b'N' => Kind::Number,
            b'A' => Kind::Array,
            b'U' | b'C' => Kind::Made,
            _ => Kind::Other,
        },
    }
}

struct Found {
    index: Index,
    unique: bool,
    whole: bool,
}

fn indexes(relids: &[pg_sys::Oid]) -> Result<HashMap<u32, Vec<Found>>> {
    let rows = kept::read_now(
        "SELECT i.indrelid, (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts OPERATOR(pg_catalog.-) 1], i.indisunique,
                i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid,
                CASE WHEN i.indexprs IS NULL THEN '' ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END
           FROM pg_catalog.pg_index AS i
          WHERE i.indrelid OPERATOR(pg_catalog.=) ANY ($1) AND i.indisvalid
          ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid",
        &[relids.to_vec().into()],
        |row| {
            let relid: pg_sys::Oid = row.get(1)?.unwrap_or(pg_sys::InvalidOid);
            Ok((
                relid,
                Found {
                    index: Index {
                        columns: row.get(2)?.unwrap_or_default(),
                        definition: row.get(5)?.unwrap_or_default(),
                    },
                    unique: row.get(3)?.unwrap_or_default(),
                    whole: row.get(4)?.unwrap_or_default(),
                },
            ))
        },
    )?;
    let mut found: HashMap<u32, Vec<Found>> = HashMap::new();
    for (relid, index) in rows {
        found.entry(relid.to_u32()).or_default().push(index);
    }
    Ok(found)
}

//! What can be asked for, and the command it is. Always from OIDs: what is queued is never SQL.

use crate::error::{Error, Result};
use crate::pg::{lookup, spi};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Takes a partition off its table, in two transactions, beside readers and writers.
    Detach {
        parent: pg_sys::Oid,
        child: pg_sys::Oid,
    },
    /// Ends such a detach that was interrupted between the two.
    FinalizeDetach {
        parent: pg_sys::Oid,
        child: pg_sys::Oid,
    },
    /// Makes an index like another one, on a table of the same columns; `key_columns`, of that table, are
    /// appended to the key.
    CreateIndex {
        table: pg_sys::Oid,
        like: pg_sys::Oid,
        key_columns: Vec<i16>,
        name: String,
    },
    DropIndex {
        table: pg_sys::Oid,
        index: pg_sys::Oid,
    },
}

impl Work {
    /// The table whose owner the command runs as.
    pub fn table(&self) -> pg_sys::Oid {
        match self {
            Self::Detach { parent, .. } | Self::FinalizeDetach { parent, .. } => *parent,
            Self::CreateIndex { table, .. } | Self::DropIndex { table, .. } => *table,
        }
    }

    /// Whether the catalogue has what it is to come to.
    pub fn is_done(&self) -> Result<bool> {
        Ok(match self {
            Self::Detach { child, .. } | Self::FinalizeDetach { child, .. } => spi::read_one_now::<bool>(
                "SELECT true FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid OPERATOR(pg_catalog.=) $1",
                &[(*child).into()],
            )
            .is_none(),
            Self::CreateIndex { table, name, .. } => spi::read_one_now::<bool>(
                "SELECT true FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid OPERATOR(pg_catalog.=) x.indexrelid
                  WHERE x.indrelid OPERATOR(pg_catalog.=) $1 AND i.relname OPERATOR(pg_catalog.=) $2::pg_catalog.name AND x.indisvalid",
                &[(*table).into(), name.as_str().into()],
            )
            .is_some(),
            Self::DropIndex { index, .. } => lookup::qualified_name(*index).is_none(),
        })
    }

    /// The command. Names are looked up now; everything is qualified, so `search_path` does not matter.
    pub fn command(&self) -> Result<String> {
        match self {
            Self::Detach { parent, child } => Ok(format!(
                "ALTER TABLE {} DETACH PARTITION {} CONCURRENTLY",
                name_of(*parent)?,
                name_of(*child)?
            )),
            Self::FinalizeDetach { parent, child } => Ok(format!(
                "ALTER TABLE {} DETACH PARTITION {} FINALIZE",
                name_of(*parent)?,
                name_of(*child)?
            )),
            Self::CreateIndex { table, like, key_columns, name } => {
                let model = IndexModel::read(*like)?;
                let definition = if key_columns.is_empty() {
                    model.definition
                } else {
                    model.extended(*like, *table, key_columns)?
                };
                Ok(format!(
                    "CREATE {}INDEX CONCURRENTLY {} ON {} {definition}{}",
                    if model.unique { "UNIQUE " } else { "" },
                    quote_identifier(name),
                    name_of(*table)?,
                    model
                        .tablespace
                        .map_or(String::new(), |t| format!(" TABLESPACE {}", quote_identifier(t))),
                ))
            }
            Self::DropIndex { index, .. } => Ok(format!("DROP INDEX CONCURRENTLY {}", name_of(*index)?)),
        }
    }
}

/// What pg_get_indexdef says of an index, in pieces.
struct IndexModel {
    unique: bool,
    /// From `USING` on.
    definition: String,
    tablespace: Option<String>,
    /// A primary key or unique constraint: plain columns, default operator classes and order.
    constraint: bool,
}

impl IndexModel {
    fn read(index: pg_sys::Oid) -> Result<Self> {
        let found = spi::read_now(
            "SELECT x.indisunique, pg_catalog.pg_get_indexdef(x.indexrelid), x.indrelid, c.relkind,
                    (SELECT t.spcname::pg_catalog.text FROM pg_catalog.pg_tablespace AS t
                      WHERE t.oid OPERATOR(pg_catalog.=) c.reltablespace),
                    EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                             WHERE k.conindid OPERATOR(pg_catalog.=) x.indexrelid
                               AND k.contype OPERATOR(pg_catalog.=) ANY (ARRAY['p', 'u']::\"char\"[]))
               FROM pg_catalog.pg_index AS x
               JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) x.indexrelid
              WHERE x.indexrelid OPERATOR(pg_catalog.=) $1",
            &[index.into()],
            |row| {
                Ok((
                    row.get::<bool>(1)?.unwrap_or_default(),
                    row.get::<String>(2)?.unwrap_or_default(),
                    row.get::<pg_sys::Oid>(3)?.unwrap_or(pg_sys::InvalidOid),
                    row.get::<i8>(4)?.unwrap_or_default() as u8,
                    row.get::<String>(5)?,
                    row.get::<bool>(6)?.unwrap_or_default(),
                ))
            },
        )?;
        let (unique, text, table, kind, tablespace, constraint) =
            found.into_iter().next().ok_or_else(|| gone("index", index))?;
        let prefix = format!(
            "CREATE {}INDEX {} ON {}{} ",
            if unique { "UNIQUE " } else { "" },
            quote_identifier(lookup::relation_name(index).unwrap_or_default()),
            if kind == pg_sys::RELKIND_PARTITIONED_INDEX { "ONLY " } else { "" },
            name_of(table)?,
        );
        let definition = text
            .strip_prefix(&prefix)
            .ok_or_else(|| {
                Error::internal("an index definition does not begin as expected").detail(text.clone())
            })?
            .to_owned();
        Ok(Self { unique, definition, tablespace, constraint })
    }

    /// The definition with more columns at the end of its key; for constraints' indexes only, whose
    /// columns have neither operator class nor order.
    fn extended(&self, index: pg_sys::Oid, table: pg_sys::Oid, key_columns: &[i16]) -> Result<String> {
        if !self.constraint {
            return Err(Error::not_in_prerequisite_state("only a constraint's index can be widened").detail(
                format!("Index {} belongs to no primary key or unique constraint.", name_of(index)?),
            ));
        }
        let parts = spi::read_now(
            "SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(x.indexrelid, n, false), ', ' ORDER BY n)
                        FILTER (WHERE n OPERATOR(pg_catalog.<=) x.indnkeyatts),
                    pg_catalog.string_agg(pg_catalog.pg_get_indexdef(x.indexrelid, n, false), ', ' ORDER BY n)
                        FILTER (WHERE n OPERATOR(pg_catalog.>) x.indnkeyatts),
                    COALESCE((pg_catalog.to_jsonb(x.*) OPERATOR(pg_catalog.->>) 'indnullsnotdistinct')::pg_catalog.bool, false),
                    (SELECT pg_catalog.array_to_string(c.reloptions, ', ') FROM pg_catalog.pg_class AS c
                      WHERE c.oid OPERATOR(pg_catalog.=) x.indexrelid)
               FROM pg_catalog.pg_index AS x, pg_catalog.generate_series(1, x.indnatts) AS n
              WHERE x.indexrelid OPERATOR(pg_catalog.=) $1
              GROUP BY x.*, x.indexrelid",
            &[index.into()],
            |row| {
                Ok((
                    row.get::<String>(1)?.unwrap_or_default(),
                    row.get::<String>(2)?,
                    row.get::<bool>(3)?.unwrap_or_default(),
                    row.get::<String>(4)?.filter(|options| !options.is_empty()),
                ))
            },
        )?;
        let (keys, included, nulls_not_distinct, options) =
            parts.into_iter().next().ok_or_else(|| gone("index", index))?;
        let mut columns = keys;
        for number in key_columns {
            let column = lookup::attribute_name(table, *number).ok_or_else(|| gone("column", table))?;
            columns += &format!(", {}", quote_identifier(column));
        }
        let mut definition = format!("USING btree ({columns})");
        if let Some(included) = included {
            definition += &format!(" INCLUDE ({included})");
        }
        if nulls_not_distinct {
            definition += " NULLS NOT DISTINCT";
        }
        if let Some(options) = options {
            definition += &format!(" WITH ({options})");
        }
        Ok(definition)
    }
}

/// `USING ...` of an index: two indexes of the same are alike, whatever table they are on.
pub fn index_definition(index: pg_sys::Oid) -> Result<String> {
    let model = IndexModel::read(index)?;
    Ok(format!("{}{}", if model.unique { "UNIQUE " } else { "" }, model.definition))
}

/// The command that makes the like of an index on a partitioned table, of no partition of it.
pub fn index_on(index: pg_sys::Oid, name: &str, table: &str) -> Result<String> {
    index_like(index, &format!("{} ON ONLY", quote_identifier(name)), table)
}

/// The same under a name PostgreSQL chooses.
pub fn index_on_any(index: pg_sys::Oid, table: &str) -> Result<String> {
    index_like(index, "ON ONLY", table)
}

/// The same on a partitioned table and its partitions, under names PostgreSQL chooses.
pub fn index_below(index: pg_sys::Oid, table: &str) -> Result<String> {
    index_like(index, "ON", table)
}

fn index_like(index: pg_sys::Oid, where_to: &str, table: &str) -> Result<String> {
    let model = IndexModel::read(index)?;
    Ok(format!(
        "CREATE {}INDEX {where_to} {table} {}{}",
        if model.unique { "UNIQUE " } else { "" },
        model.definition,
        model.tablespace.map_or(String::new(), |t| format!(" TABLESPACE {}", quote_identifier(t))),
    ))
}

fn name_of(relid: pg_sys::Oid) -> Result<String> {
    lookup::qualified_name(relid).ok_or_else(|| gone("relation", relid))
}

fn gone(what: &str, oid: pg_sys::Oid) -> Error {
    Error::new(
        pgrx::PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        format!("{what} of OID {} no longer exists", oid.to_u32()),
    )
    .detail("It was dropped while a command for it was waiting.")
}

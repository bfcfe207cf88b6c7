//! Foreign keys between masked columns. Their values change on both sides, one table after the other, so
//! the constraint is dropped first and made and validated again last.

use super::rules::Checked;
use crate::error::Result;
use crate::pg::{security, spi, subtransaction};
use crate::privacy::action::Action;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForeignKey {
    schema: String,
    table: String,
    name: String,
    definition: String,
    #[serde(skip)]
    relid: pg_sys::Oid,
    #[serde(skip)]
    references: pg_sys::Oid,
    #[serde(skip)]
    columns: Vec<String>,
    #[serde(skip)]
    referenced: Vec<String>,
}

/// The foreign keys of and to these tables that no other constraint stands above.
pub fn of(relids: &[pg_sys::Oid]) -> Result<Vec<ForeignKey>> {
    let names = |column: &str, of: &str| {
        format!(
            "ARRAY(SELECT a.attname::pg_catalog.text
                     FROM pg_catalog.unnest(f.{column}) WITH ORDINALITY AS k (attnum, n)
                     JOIN pg_catalog.pg_attribute AS a
                       ON a.attrelid OPERATOR(pg_catalog.=) f.{of} AND a.attnum OPERATOR(pg_catalog.=) k.attnum
                    ORDER BY k.n)"
        )
    };
    spi::read_now(
        &format!(
            "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, f.conname::pg_catalog.text,
                    pg_catalog.pg_get_constraintdef(f.oid), f.conrelid, f.confrelid, {}, {}
               FROM pg_catalog.pg_constraint AS f
               JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) f.conrelid
               JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
              WHERE f.contype OPERATOR(pg_catalog.=) 'f' AND f.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
                AND (f.conrelid OPERATOR(pg_catalog.=) ANY ($1) OR f.confrelid OPERATOR(pg_catalog.=) ANY ($1))
              ORDER BY n.nspname, c.relname, f.conname",
            names("conkey", "conrelid"),
            names("confkey", "confrelid")
        ),
        &[relids.to_vec().into()],
        |row| {
            let list = |i| -> std::result::Result<Vec<String>, pgrx::spi::Error> {
                Ok(row.get::<Vec<Option<String>>>(i)?.unwrap_or_default().into_iter().flatten().collect())
            };
            Ok(ForeignKey {
                schema: row.get(1)?.unwrap_or_default(),
                table: row.get(2)?.unwrap_or_default(),
                name: row.get(3)?.unwrap_or_default(),
                definition: row.get(4)?.unwrap_or_default(),
                relid: row.get(5)?.unwrap_or(pg_sys::InvalidOid),
                references: row.get(6)?.unwrap_or(pg_sys::InvalidOid),
                columns: list(7)?,
                referenced: list(8)?,
            })
        },
    )
}

/// A pseudonym of a whole column: what a foreign key compares.
fn pseudonym<'a>(
    masked: &'a [(pg_sys::Oid, Vec<Checked>)],
    relid: pg_sys::Oid,
    column: &str,
) -> Option<&'a Checked> {
    masked.iter().find(|(table, _)| *table == relid)?.1.iter().find(|checked| {
        checked.column.name == column
            && checked.rule.json_path.is_empty()
            && checked.rule.action == Action::Pseudonym
    })
}

/// Whether the values of a foreign key change.
pub fn changes(key: &ForeignKey, masked: &[(pg_sys::Oid, Vec<Checked>)]) -> bool {
    let changed = |relid, columns: &[String]| columns.iter().any(|c| pseudonym(masked, relid, c).is_some());
    changed(key.relid, &key.columns) || changed(key.references, &key.referenced)
}

/// Why a foreign key would not hold any more; none where both sides become the same.
pub fn broken(key: &ForeignKey, masked: &[(pg_sys::Oid, Vec<Checked>)]) -> Option<String> {
    let alike = key.columns.iter().zip(&key.referenced).all(|(from, to)| {
        match (pseudonym(masked, key.relid, from), pseudonym(masked, key.references, to)) {
            (None, None) => true,
            (Some(from), Some(to)) => {
                from.domain == to.domain
                    && from.format == to.format
                    && from.column.longest == to.column.longest
            }
            _ => false,
        }
    });
    (!alike).then(|| {
        format!(
            "foreign key {} of {} would not hold: its columns on both sides need a pseudonym of the same domain, format and length, in one mask_database()",
            key.name,
            crate::pg::lookup::qualify(&key.schema, &key.table)
        )
    })
}

/// Whether a key concerns a column.
pub fn concerns(key: &ForeignKey, relid: pg_sys::Oid, column: &str) -> bool {
    key.relid == relid && key.columns.iter().any(|c| c == column)
        || key.references == relid && key.referenced.iter().any(|c| c == column)
}

impl ForeignKey {
    fn alter(&self, what: &[String]) -> Result<()> {
        let Some(relid) = crate::pg::lookup::relation_named(&self.schema, &self.table) else { return Ok(()) };
        let owner = super::table::owner(relid)?;
        let table = crate::pg::lookup::qualify(&self.schema, &self.table);
        subtransaction::attempt(|| {
            security::as_table_owner(owner, || {
                what.iter()
                    .try_for_each(|what| spi::run(&format!("ALTER TABLE {table} {what}"), &[]).map(|_| ()))
            })
        })
    }

    pub fn drop(&self) -> Result<()> {
        self.alter(&[format!("DROP CONSTRAINT IF EXISTS {}", quote_identifier(&self.name))])
    }

    /// Makes it again, as it was, and checks every row.
    pub fn restore(&self) -> Result<()> {
        let there = spi::read_one_now::<bool>(
            "SELECT true FROM pg_catalog.pg_constraint AS c
              WHERE c.conrelid OPERATOR(pg_catalog.=) $1 AND c.conname OPERATOR(pg_catalog.=) $2::pg_catalog.name",
            &[crate::pg::lookup::relation_named(&self.schema, &self.table).into(), self.name.as_str().into()],
        );
        if there.is_some() {
            return Ok(());
        }
        self.alter(&[format!("ADD CONSTRAINT {} {}", quote_identifier(&self.name), self.definition)])
    }
}

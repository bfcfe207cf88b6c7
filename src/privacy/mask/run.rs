//! Masking the rows of one table, a range of its blocks at a time.

use super::expression::{self, Parameters};
use super::pseudonym::Pseudonyms;
use super::rules::Checked;
use super::running;
use super::table::Stored;
use super::usage;
use crate::error::{Error, Result};
use crate::pg::table::Table;
use crate::pg::{lookup, security, session, spi, subtransaction};
use crate::privacy::action::Action;
use crate::privacy::{owner, storage};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

/// Parameters every statement has: the token, two places and the ids of what was masked before.
const FIXED: usize = 4;

/// A table's rules, as the statement that carries them out.
pub struct Masking<'a> {
    target: &'a Stored,
    checked: &'a [Checked],
    statement: String,
    parameters: Vec<Option<String>>,
    /// Where values were put out of the way of others first.
    settle: Option<String>,
}

impl<'a> Masking<'a> {
    /// None where every column is kept.
    pub fn new(target: &'a Stored, checked: &'a [Checked]) -> Option<Self> {
        let mut parameters = Parameters::from(FIXED + 1);
        let mut assignments: Vec<String> = expression::values(checked, "$1", &mut parameters)
            .into_iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let shuffled: Vec<String> = checked
            .iter()
            .filter(|c| c.rule.action == Action::Shuffle)
            .map(|c| quote_identifier(&c.column.name))
            .collect();
        assignments.extend(shuffled.iter().map(|name| format!("{name} = s.{name}")));
        if assignments.is_empty() {
            return None;
        }
        let table = lookup::qualify(&target.schema, &target.name);
        let range = "t.ctid OPERATOR(pg_catalog.>=) $2::pg_catalog.tid AND t.ctid OPERATOR(pg_catalog.<) $3::pg_catalog.tid
                     AND NOT t.xmin OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.xid[])";
        let set = assignments.join(", ");
        let statement = if shuffled.is_empty() {
            format!("UPDATE ONLY {table} AS t SET {set} WHERE {range}")
        } else {
            // The rows of the range in two orders: each gets the values of its counterpart.
            let columns = shuffled.join(", ");
            format!(
                "WITH b AS MATERIALIZED (
                     SELECT t.ctid AS place, pg_catalog.row_number() OVER (ORDER BY t.ctid) AS here,
                            pg_catalog.row_number() OVER (ORDER BY pg_catalog.random()) AS there, {columns}
                       FROM ONLY {table} AS t WHERE {range})
                 UPDATE ONLY {table} AS t SET {set}
                   FROM b AS o JOIN b AS s ON s.there OPERATOR(pg_catalog.=) o.here
                  WHERE t.ctid OPERATOR(pg_catalog.=) o.place"
            )
        };
        let aside: Vec<(String, String, String)> =
            checked.iter().filter(|c| c.aside).map(expression::settled).collect();
        let settle = (!aside.is_empty()).then(|| {
            let set: Vec<String> = aside.iter().map(|(name, value, _)| format!("{name} = {value}")).collect();
            let still: Vec<&str> = aside.iter().map(|(.., still)| still.as_str()).collect();
            format!(
                "UPDATE ONLY {table} AS t SET {}
                  WHERE t.ctid OPERATOR(pg_catalog.>=) $1::pg_catalog.tid AND t.ctid OPERATOR(pg_catalog.<) $2::pg_catalog.tid
                    AND ({})",
                set.join(", "),
                still.join(" OR ")
            )
        });
        Some(Self { target, checked, statement, parameters: parameters.values, settle })
    }

    /// Pages the table has now.
    pub fn blocks(&self) -> Result<i64> {
        Ok(spi::read_one_now::<i64>(
            "SELECT pg_catalog.pg_relation_size($1::pg_catalog.oid::pg_catalog.regclass)
                    OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8",
            &[self.target.relid.into()],
        )
        .unwrap_or_default())
    }

    /// Masks the rows in a range of blocks but for those written by the transactions named; returns how many
    /// there were, and the id that what was written bears.
    pub fn mask(&self, from: i64, to: i64, before: &[String]) -> Result<(usize, String)> {
        let place = |block: i64| format!("({block},0)");
        let rows = running::with(pseudonyms(self.checked)?, |token| {
            let mut values: Vec<DatumWithOid> =
                vec![token.into(), place(from).into(), place(to).into(), before.to_vec().into()];
            values.extend(self.parameters.iter().map(|value| DatumWithOid::from(value.clone())));
            let mut types = vec![
                pg_sys::BuiltinOid::INT8OID,
                pg_sys::BuiltinOid::TEXTOID,
                pg_sys::BuiltinOid::TEXTOID,
                pg_sys::BuiltinOid::TEXTARRAYOID,
            ];
            types.resize(FIXED + self.parameters.len(), pg_sys::BuiltinOid::TEXTOID);
            subtransaction::attempt(|| {
                let id = session::writing_id().to_string();
                Ok((self.execute(&self.statement, &types, &values)?, id))
            })
        });
        rows.map_err(|error| discreet(error, self.target))
    }

    /// Whether values have been put out of the way of others and must still be put in their places.
    pub fn must_settle(&self) -> bool {
        self.settle.is_some()
    }

    /// Puts values in a range of blocks in their places; may be done again.
    pub fn settle(&self, from: i64, to: i64) -> Result<usize> {
        let Some(statement) = &self.settle else { return Ok(0) };
        let place = |block: i64| format!("({block},0)");
        let types = [pg_sys::BuiltinOid::TEXTOID, pg_sys::BuiltinOid::TEXTOID];
        let settled = subtransaction::attempt(|| {
            self.execute(statement, &types, &[place(from).into(), place(to).into()])
        });
        settled.map_err(|error| discreet(error, self.target))
    }

    /// The statement is looked through as the caller, who may use our functions, and run as the table's owner.
    fn execute(
        &self,
        statement: &str,
        types: &[pg_sys::BuiltinOid],
        values: &[DatumWithOid],
    ) -> Result<usize> {
        let gone = || Error::undefined_object("the table does not exist any more");
        let table = Table::open(self.target.relid, pg_sys::RowExclusiveLock as i32).ok_or_else(gone)?;
        let types: Vec<pg_sys::PgOid> = types.iter().copied().map(pg_sys::PgOid::from).collect();
        let run = || {
            security::with_safe_search_path(|| {
                Spi::connect_mut(|client| {
                    let prepared = client.prepare_mut(statement, &types)?;
                    security::as_table_owner(self.target.owner, || {
                        Ok(client.update(&prepared, None, values)?.len())
                    })
                })
            })
        };
        // With policies on the table PostgreSQL looks it through again, as whom it is for.
        if table.has_policies() { usage::with(self.target.owner, run) } else { run() }
    }
}

/// The pseudonyms of the rules that have a format, in their order.
pub fn pseudonyms(checked: &[Checked]) -> Result<Vec<Pseudonyms>> {
    let secret = storage::secret()?;
    let of_rule = |c: &Checked| {
        let longest = c.column.longest.filter(|_| c.rule.json_path.is_empty());
        c.format.map(|format| Pseudonyms::new(&secret, &c.domain, format, longest))
    };
    Ok(checked.iter().filter_map(of_rule).collect())
}

/// An error that tells what failed and none of the values it failed with; nor what the owner's code says of it, which may
/// be a value.
pub fn discreet(error: Error, target: &Stored) -> Error {
    if error.is_cancel() {
        return error;
    }
    let table = lookup::qualify(&target.schema, &target.name);
    // Five characters of six bits; the class is in the first two.
    let class = error.code() as i32 & 0xfff;
    let of = |code: PgSqlErrorCode| code as i32 & 0xfff;
    if class == of(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION) {
        let constraint = constraint_in(error.message(), target.relid);
        let by = constraint.map_or("a constraint".to_owned(), |name| format!("constraint \"{name}\""));
        return Error::new(error.code(), format!("a masked value violates {by}"))
            .detail(format!("A masked value of table {table} is refused; values are not shown."))
            .hint("Look at the rules of the columns the constraint is about.");
    }
    if class == of(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION) {
        return Error::new(error.code(), format!("a masked value does not fit a column of table {table}"))
            .detail("The value is not shown.")
            .hint("Look at the types and lengths of the masked columns.");
    }
    if error.code() == PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE
        && Table::open_briefly(target.relid).is_some_and(|table| table.forces_policies())
    {
        return Error::insufficient_privilege(format!("rows of table {table} could be overlooked"))
            .detail("Row-level security is forced on its owner. Nothing was changed.")
            .hint("ALTER TABLE ... NO FORCE ROW LEVEL SECURITY for the time being.");
    }
    owner::silent(&error, &table)
}

/// The constraint or index of a table that a message names.
fn constraint_in(message: &str, relid: pg_sys::Oid) -> Option<String> {
    let named: Vec<String> = message.split('"').map(str::to_owned).collect();
    spi::read_one_now::<String>(
        "SELECT k.name::pg_catalog.text
           FROM (SELECT c.conname FROM pg_catalog.pg_constraint AS c WHERE c.conrelid OPERATOR(pg_catalog.=) $1
                 UNION ALL
                 SELECT i.relname FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid OPERATOR(pg_catalog.=) x.indexrelid
                  WHERE x.indrelid OPERATOR(pg_catalog.=) $1) AS k (name)
          WHERE k.name::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($2) LIMIT 1",
        &[relid.into(), named.into()],
    )
}

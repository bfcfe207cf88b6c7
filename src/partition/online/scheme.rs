//! By which column, and in which steps, a table is or is to be partitioned.

use super::call::Call;
use crate::catalog::relation::{self, Relation};
use crate::error::{Error, Result};
use crate::partition::key::KeyKind;
use crate::partition::layout::Layout;
use crate::partition::period::{Grid, Period, Zone};
use crate::partition::table::Parent;
use crate::partition::{maintain, policy, zone};
use crate::pg::{session, spi};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

#[derive(Clone)]
pub struct Scheme {
    pub column: String,
    pub number: i16,
    pub kind: KeyKind,
    pub grid: Grid,
    pub timezone: String,
}

/// What a caller says of it.
pub struct Wish {
    pub every: Option<Interval>,
    pub step: Option<i64>,
    pub unit: Option<String>,
    pub timezone: Option<String>,
}

impl Wish {
    /// From four arguments in a row: every, step, unit, timezone.
    pub fn from(call: &Call, first: usize) -> Self {
        Self {
            every: call.optional(first),
            step: call.optional(first + 1),
            unit: call.optional(first + 2),
            timezone: call.optional(first + 3),
        }
    }

    pub fn scheme(&self, table: &Relation, column: &str) -> Result<Scheme> {
        let number = relation::column_number(table.oid, column)
            .ok_or_else(|| relation::no_such_column(table, column))?;
        let type_name = type_name(table.oid, number)?;
        let kind = KeyKind::of(&type_name, self.unit.as_deref()).map_err(|why| {
            Error::wrong_object_type(format!(
                "cannot partition {} by column \"{column}\"",
                table.qualified_name()
            ))
            .detail(format!("Column \"{column}\": {why}."))
            .hint("Units of integers are epoch_s, epoch_ms and epoch_us; without one they are numbers.")
        })?;
        let timezone = match &self.timezone {
            Some(zone) => zone.clone(),
            None => spi::read_one_now::<String>("SELECT pg_catalog.current_setting('TimeZone')", &[])
                .unwrap_or_else(|| "UTC".into()),
        };
        Ok(Scheme { column: column.to_owned(), number, kind, grid: Grid::new(self.period(kind)?), timezone })
    }

    fn period(&self, kind: KeyKind) -> Result<Period> {
        let refused = |why: &str| Error::invalid_parameter("the partitions' period does not fit").detail(why);
        match (kind.is_time(), &self.every, self.step) {
            (true, Some(every), None) => {
                Period::from_interval(every.months(), every.days(), every.micros()).map_err(refused)
            }
            (false, _, Some(step)) => Period::from_step(step).map_err(refused),
            (true, _, _) => {
                Err(refused("The key is a time.").hint("Give every as an interval, and no step."))
            }
            (false, _, None) => {
                Err(refused("The key is a number.").hint("Give step, and unit if it counts time."))
            }
        }
    }
}

impl Scheme {
    /// As the table is kept: by its policy, else as its last partition is.
    pub fn in_use(parent: &Parent, column: &str) -> Result<Self> {
        let layout = match policy::read(Some(parent.oid))?.into_iter().next() {
            Some(policy) => Layout::read(parent, &policy.shape)?,
            None => maintain::unmanaged(parent)?,
        };
        let number = relation::column_number(parent.oid, column)
            .ok_or_else(|| Error::internal("the partition key is not a column"))?;
        Ok(Self {
            column: column.to_owned(),
            number,
            kind: layout.kind,
            grid: layout.grid,
            timezone: layout.timezone,
        })
    }

    /// Valid until the end of the transaction.
    pub fn zone(&self) -> Result<Box<dyn Zone>> {
        zone::for_key(self.kind, &self.timezone)
    }

    /// Now, as this key says it; none for numbers.
    pub fn now(&self) -> Option<i64> {
        if !self.kind.is_time() {
            return None;
        }
        let instant = session::clock();
        if self.kind.has_zone() {
            return Some(instant);
        }
        crate::pg::datetime::NamedZone::new(&self.timezone).ok().map(|zone| zone.local(instant))
    }

    /// A value as a literal, quoted.
    pub fn literal(&self, at: i64) -> Result<String> {
        self.kind
            .text(at)
            .map(|text| format!("'{text}'"))
            .ok_or_else(|| Error::internal("a bound that the key's type cannot hold"))
    }

    pub fn quoted(&self) -> String {
        quote_identifier(&self.column)
    }

    /// The least or greatest value of the key among the rows of a table; none where it is empty.
    pub fn extreme(&self, table: &str, greatest: bool) -> Result<Option<i64>> {
        // By order: uuid has neither min nor max before PostgreSQL 18.
        let query = format!(
            "SELECT t.{column}::pg_catalog.text FROM ONLY {table} AS t WHERE t.{column} IS NOT NULL
              ORDER BY t.{column} {order} LIMIT 1",
            column = self.quoted(),
            order = if greatest { "DESC" } else { "ASC" },
        );
        let found =
            crate::pg::security::with_settings(&[(c"datestyle", c"ISO"), (c"timezone", c"UTC")], || {
                spi::read_one_now::<String>(&query, &[])
            });
        found
            .map(|text| {
                self.kind.parse(&text).map(|(at, _)| at).ok_or_else(|| {
                    Error::new(
                        PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
                        format!("column \"{}\" of {table} holds a value that makes no bound", self.column),
                    )
                    .detail(format!("The value is {text}."))
                })
            })
            .transpose()
    }
}

/// The name of a column's type in pg_catalog; as it is called elsewhere for others.
fn type_name(table: pg_sys::Oid, number: i16) -> Result<String> {
    spi::read_one_now::<String>(
        "SELECT CASE WHEN t.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
                     THEN t.typname::pg_catalog.text ELSE pg_catalog.format_type(t.oid, NULL) END
           FROM pg_catalog.pg_attribute AS a
           JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
          WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.=) $2",
        &[table.into(), number.into()],
    )
    .ok_or_else(|| Error::internal("a column has no type"))
}

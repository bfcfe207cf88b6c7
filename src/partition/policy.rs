//! What is to be done about a table: stored by manage_partitions(), followed by maintain_partitions().

use super::layout::Shape;
use super::period::Period;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, session, spi};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// What becomes of a partition past keeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Detach,
    Drop,
    /// Detached, then moved to a schema or handed to a function.
    Archive {
        schema: Option<String>,
        function: Option<String>,
    },
}

/// How long rows are kept.
#[derive(Debug, Clone)]
pub enum Keep {
    Forever,
    Time {
        months: i32,
        days: i32,
        micros: i64,
        text: String,
    },
    /// The last so many numbers.
    Values(i64),
}

#[derive(Debug, Clone)]
pub struct Retention {
    pub keep: Keep,
    pub fate: Fate,
    /// At most so many at a time.
    pub most: i32,
}

#[derive(Debug, Clone)]
pub struct Policy {
    /// None where the table is no longer there.
    pub relid: Option<pg_sys::Oid>,
    pub schema: String,
    pub table: String,
    pub owner_name: String,
    pub shape: Shape,
    pub timezone: String,
    pub ahead: i32,
    pub retention: Retention,
    pub privileges: bool,
    pub analyze: bool,
}

impl Policy {
    #[must_use]
    pub fn qualified_name(&self) -> String {
        lookup::qualify(&self.schema, &self.table)
    }
}

impl Fate {
    pub fn parse(action: &str, schema: Option<String>, function: Option<String>) -> Result<Self> {
        let wrong = |detail: &str| {
            Err(Error::invalid_parameter(format!("invalid retention \"{action}\""))
                .detail(detail.to_owned())
                .hint("Available values: detach, drop, archive; archive takes archive_schema or archive_function."))
        };
        match (action, &schema, &function) {
            ("detach", None, None) => Ok(Self::Detach),
            ("drop", None, None) => Ok(Self::Drop),
            ("archive", Some(_), None) | ("archive", None, Some(_)) => Ok(Self::Archive { schema, function }),
            ("archive", _, _) => wrong("Where to is not said, or said twice."),
            ("detach" | "drop", _, _) => wrong("Only an archive has a schema or a function."),
            _ => wrong("There is no such action."),
        }
    }

    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Detach => "detach",
            Self::Drop => "drop",
            Self::Archive { .. } => "archive",
        }
    }

    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        if let Self::Archive { schema, .. } = self { schema.as_deref() } else { None }
    }

    #[must_use]
    pub fn function(&self) -> Option<&str> {
        if let Self::Archive { function, .. } = self { function.as_deref() } else { None }
    }
}

impl Keep {
    pub fn of(keep: Option<Interval>, value: Option<i64>) -> Result<Self> {
        match (keep, value) {
            (None, None) => Ok(Self::Forever),
            (Some(keep), None) if keep.months() >= 0 && keep.days() >= 0 && keep.micros() >= 0 => {
                let (months, days, micros) = (keep.months(), keep.days(), keep.micros());
                if (months, days, micros) == (0, 0, 0) {
                    return Err(Error::invalid_parameter("keep must not be empty")
                        .hint("Give an interval such as '13 months', or null to keep everything."));
                }
                Ok(Self::Time { months, days, micros, text: interval_text(keep) })
            }
            (None, Some(value)) if value > 0 => Ok(Self::Values(value)),
            (Some(_), Some(_)) => Err(Error::invalid_parameter("both keep and keep_value are given")
                .hint("keep is for keys that say when, keep_value for numbers.")),
            _ => Err(Error::invalid_parameter("what is kept must be positive")
                .hint("Give an interval such as '13 months', or null to keep everything.")),
        }
    }
}

fn interval_text(interval: Interval) -> String {
    security::with_settings(&[(c"IntervalStyle", c"postgres")], || {
        spi::read_one::<String>("SELECT $1::pg_catalog.text", &[interval.into()])
    })
    .unwrap_or_default()
}

#[must_use]
pub fn storage_exists() -> bool {
    lookup::own_relation("partition_policy").is_some()
}

/// Makes the storage if it is not there.
pub fn ensure_storage() -> Result<()> {
    if storage_exists() {
        return Ok(());
    }
    security::as_extension_owner(|| {
        // 'archpart' in ASCII: two sessions do not make it at once.
        spi::run("SELECT pg_catalog.pg_advisory_xact_lock($1)", &[0x6172_6368_7061_7274_i64.into()])?;
        crate::pg::invalidation::listen();
        if !storage_exists() {
            spi::run(include_str!("../../sql/storage/partition.sql"), &[])?;
        }
        Ok(())
    })
}

/// Every policy, or one table's.
pub fn read(only: Option<pg_sys::Oid>) -> Result<Vec<Policy>> {
    if !storage_exists() {
        return Ok(Vec::new());
    }
    security::as_extension_owner(|| {
        let policies = spi::read_now(
            "SELECT CASE WHEN p.system_identifier = $1 AND p.database_oid = $2
                         THEN (SELECT c.oid FROM pg_class c WHERE c.oid = p.relid)
                         ELSE (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                                WHERE n.nspname = p.schema_name AND c.relname = p.table_name) END,
                    p.schema_name, p.table_name, p.owner_name, p.every, p.step, p.anchor, p.key_unit, p.timezone,
                    p.ahead, p.keep, p.keep_value, p.keep_action, p.archive_schema, p.archive_function, p.max_retired,
                    p.privileges, p.analyze_parent
               FROM architect.partition_policy p ORDER BY 2, 3",
            &[session::system_identifier().into(), session::database().into()],
            |row| {
                let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
                let every: Option<Interval> = row.get(5)?;
                let step: Option<i64> = row.get(6)?;
                Ok(Row {
                    relid: row.get(1)?,
                    schema: text(2)?,
                    table: text(3)?,
                    owner_name: text(4)?,
                    every,
                    step,
                    anchor: row.get(7)?.unwrap_or_default(),
                    unit: row.get(8)?,
                    timezone: text(9)?,
                    ahead: row.get(10)?.unwrap_or_default(),
                    keep: row.get(11)?,
                    keep_value: row.get(12)?,
                    action: text(13)?,
                    archive_schema: row.get(14)?,
                    archive_function: row.get(15)?,
                    most: row.get(16)?.unwrap_or_default(),
                    privileges: row.get(17)?.unwrap_or_default(),
                    analyze: row.get(18)?.unwrap_or_default(),
                })
            },
        )?;
        policies
            .into_iter()
            .filter(|policy| only.is_none() || policy.relid == only)
            .map(Row::policy)
            .collect()
    })
}

struct Row {
    relid: Option<pg_sys::Oid>,
    schema: String,
    table: String,
    owner_name: String,
    every: Option<Interval>,
    step: Option<i64>,
    anchor: i64,
    unit: Option<String>,
    timezone: String,
    ahead: i32,
    keep: Option<Interval>,
    keep_value: Option<i64>,
    action: String,
    archive_schema: Option<String>,
    archive_function: Option<String>,
    most: i32,
    privileges: bool,
    analyze: bool,
}

impl Row {
    fn policy(self) -> Result<Policy> {
        let period = period(self.every, self.step)?;
        Ok(Policy {
            shape: Shape {
                unit: self.unit,
                period,
                timezone: Some(self.timezone.clone()),
                anchor: Some(self.anchor),
            },
            retention: Retention {
                keep: Keep::of(self.keep, self.keep_value)?,
                fate: Fate::parse(&self.action, self.archive_schema, self.archive_function)?,
                most: self.most,
            },
            relid: self.relid,
            schema: self.schema,
            table: self.table,
            owner_name: self.owner_name,
            timezone: self.timezone,
            ahead: self.ahead,
            privileges: self.privileges,
            analyze: self.analyze,
        })
    }
}

/// An interval or a step as a period.
pub fn period(every: Option<Interval>, step: Option<i64>) -> Result<Period> {
    let period = match (every, step) {
        (Some(every), None) => Period::from_interval(every.months(), every.days(), every.micros()),
        (None, Some(step)) => Period::from_step(step),
        _ => Err("Give either every, an interval, or step, a number."),
    };
    period.map_err(|why| {
        Error::invalid_parameter("invalid period")
            .detail(why)
            .hint("Give every => '1 month', '7 days' or '6 hours'; or step => 1000000.")
    })
}

/// How many periods ahead by default: half a year of months, a month of days, three days of hours.
#[must_use]
pub const fn usual_ahead(period: Period) -> i32 {
    match period {
        Period::Months(1) => 6,
        Period::Months(2..=3) => 4,
        Period::Months(_) => 2,
        Period::Days(1) => 30,
        Period::Days(2..=7) => 8,
        Period::Days(_) => 6,
        Period::Micros(_) => 72,
        Period::Step(_) => 8,
    }
}

/// The partitions nobody may retire, by qualified name, with the reason.
pub fn holds() -> Result<Vec<(String, String)>> {
    if !storage_exists() {
        return Ok(Vec::new());
    }
    security::as_extension_owner(|| {
        spi::read_now(
            "SELECT coalesce(n.nspname::text, h.schema_name), coalesce(c.relname::text, h.table_name), h.reason
               FROM architect.partition_hold h
               LEFT JOIN pg_class c ON c.oid = h.relid AND h.system_identifier = $1 AND h.database_oid = $2
               LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
              ORDER BY 1, 2",
            &[session::system_identifier().into(), session::database().into()],
            |row| {
                let text = |i| row.get::<String>(i).map(Option::unwrap_or_default);
                Ok((lookup::qualify(&text(1)?, &text(2)?), text(3)?))
            },
        )
    })
}

/// After a rename or a restore: policies note where their tables are now.
pub fn follow_tables() -> Result<()> {
    if !storage_exists() {
        return Ok(());
    }
    const ELSEWHERE: &str = "CASE WHEN p.system_identifier = $1 AND p.database_oid = $2 THEN c.oid = p.relid
                                  ELSE n.nspname = p.schema_name AND c.relname = p.table_name END
         AND (p.relid, p.schema_name, p.table_name, p.system_identifier, p.database_oid)
             IS DISTINCT FROM (c.oid, n.nspname::text, c.relname::text, $1, $2)";
    let here = || [session::system_identifier().into(), session::database().into()];
    security::as_extension_owner(|| {
        // Looked at first: mostly there is nothing to write.
        let moved = spi::read_one_now::<bool>(
            &format!("SELECT true FROM architect.partition_policy p, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       WHERE c.relkind = 'p' AND {ELSEWHERE} LIMIT 1"),
            &here(),
        );
        if moved.is_some() {
            spi::run(
                &format!(
                    "UPDATE architect.partition_policy p
                        SET relid = c.oid, schema_name = n.nspname, table_name = c.relname, system_identifier = $1, database_oid = $2
                       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p' AND {ELSEWHERE}"
                ),
                &here(),
            )?;
        }
        Ok(())
    })
}

/// Changes how long rows are kept, and what becomes of what is past that. Says whether that was news.
pub fn set_retention(relid: pg_sys::Oid, keep: Option<Interval>, fate: &Fate) -> Result<bool> {
    change(
        relid,
        "keep = $4, keep_action = $5, archive_schema = $6, archive_function = $7",
        "(p.keep, p.keep_action, p.archive_schema, p.archive_function) IS DISTINCT FROM ($4, $5, $6, $7)",
        vec![keep.into(), fate.name().into(), fate.schema().into(), fate.function().into()],
    )
}

/// Changes how many periods ahead partitions are made for.
pub fn set_ahead(relid: pg_sys::Oid, ahead: i32) -> Result<bool> {
    change(relid, "ahead = $4", "p.ahead <> $4", vec![ahead.into()])
}

/// Makes a policy its table's owner's: of a table of our own, whoever has come to own it by a restore.
pub fn set_owner(relid: pg_sys::Oid, owner: &str) -> Result<bool> {
    change(relid, "owner_name = $4", "p.owner_name <> $4", vec![owner.into()])
}

fn change(relid: pg_sys::Oid, set: &str, news: &str, values: Vec<DatumWithOid<'_>>) -> Result<bool> {
    follow_tables()?;
    let by = security::role_name(security::session_role());
    security::as_extension_owner(|| {
        let mut arguments: Vec<DatumWithOid> = vec![relid.into(), session::database().into(), by.into()];
        arguments.extend(values);
        let query = format!(
            "UPDATE architect.partition_policy AS p SET {set}, managed_by = $3, managed_at = pg_catalog.clock_timestamp()
              WHERE p.relid = $1 AND p.database_oid = $2 AND {news}"
        );
        spi::run(&query, &arguments).map(|changed| changed > 0)
    })
}

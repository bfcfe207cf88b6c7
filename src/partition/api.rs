//! The SQL functions that make partitions and show them.

use super::create::{self, Row};
use super::layout::{Layout, Shape};
use super::period::Period;
use super::{policy, table};
use crate::error::{self, Error};
use crate::pg::security;
use pgrx::PgRelation;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What `create_partitions` was called with.
struct Wanted {
    period: Period,
    unit: Option<String>,
    ahead: i32,
    back: i32,
    since: Option<i64>,
    until: Option<i64>,
    from_value: Option<i64>,
    to_value: Option<i64>,
    timezone: Option<String>,
    privileges: bool,
    dry_run: bool,
}

/// Makes a table's monthly partitions: the current month's, those of the coming months and, if asked for,
/// of past ones. Safe to call again at any time: what is there stays as it is.
///
/// Arguments: parent, a table partitioned by range whose key's leading column is a date, timestamp,
/// timestamptz or uuid (version 7); ahead and back, how many months after and before the current one;
/// since and until, wall clock times in timezone, instead of back and ahead: every month that has a part
/// in it (until itself excluded), also called "from" and "to", in double quotes; timezone, in which months begin and end: by default the session's, or UTC
/// if the partitions there are fit that and not the session's; say it wherever sessions differ; privileges, whether new partitions get the parent's privileges (not
/// needed to use them through the parent); dry_run, to see the SQL.
/// Returns one row for each month: created; exists; exists_irregular, held by partitions with other
/// bounds; conflict, with the object in the way; failed, with the reason, also a WARNING; with dry_run
/// would create, with the SQL. A month partly held gets partitions for the rest of it. A month after a gap
/// gets the gap's partitions too. Names are like table_p2026_11.
/// Errors: 42501 not the owner; 42809 not partitioned by range, or by a key without months; 22023 an
/// argument out of range; 55P03 the parent was locked by others for ten seconds.
/// Lock: none if there is nothing to do. SHARE UPDATE EXCLUSIVE on the parent, until the transaction ends:
/// readers and writers go on. SHARE ROW EXCLUSIVE on tables its foreign keys refer to, ACCESS EXCLUSIVE on
/// a default partition. Waits 200 ms at a time. Privilege: ownership of the parent, and what its owner
/// needs to create a table in its schema: partitions are made as the owner.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn create_monthly_partitions(
    parent: PgRelation,
    ahead: default!(i32, "6"),
    back: default!(i32, "0"),
    since: default!(Option<Timestamp>, "NULL"),
    until: default!(Option<Timestamp>, "NULL"),
    timezone: default!(Option<&str>, "NULL"),
    privileges: default!(bool, "false"),
    dry_run: default!(bool, "false"),
    from: default!(Option<Timestamp>, "NULL"),
    to: default!(Option<Timestamp>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(partition_name, String),
            name!(from_value, String),
            name!(to_value, String),
            name!(action, String),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let wanted = Wanted {
        period: Period::Months(1),
        unit: None,
        ahead,
        back,
        since: either(since, from, "since", "from")?,
        until: either(until, to, "until", "to")?,
        from_value: None,
        to_value: None,
        timezone: timezone.map(str::to_owned),
        privileges,
        dry_run,
    };
    Ok(TableIterator::new(made(parent, &wanted)?))
}

/// Makes a table's partitions of any period.
///
/// Arguments: parent; every, an interval of months, of days or of hours, such as '1 day', '7 days' (from
/// Monday), '3 months', '1 year', '6 hours', for keys that say when; or step, for integer keys; ahead and
/// back, how many after and before the current one: where now lies, or the highest row of an integer key;
/// since and until (or "from" and "to"), wall clock times in timezone, or from_value and to_value, numbers, instead; key_unit,
/// for integer keys that count seconds (epoch_s), milliseconds (epoch_ms) or microseconds (epoch_us) since
/// 1970; timezone, privileges and dry_run as in create_monthly_partitions. Where the last partition is a
/// whole period that begins elsewhere, on Sunday or on the 15th, it is gone on like that. Hours are real
/// ones: a day of 25 has 25.
/// Returns and errors as create_monthly_partitions. Lock and privilege: the same.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn create_partitions(
    parent: PgRelation,
    every: default!(Option<Interval>, "NULL"),
    ahead: default!(i32, "6"),
    back: default!(i32, "0"),
    since: default!(Option<Timestamp>, "NULL"),
    until: default!(Option<Timestamp>, "NULL"),
    timezone: default!(Option<&str>, "NULL"),
    step: default!(Option<i64>, "NULL"),
    from_value: default!(Option<i64>, "NULL"),
    to_value: default!(Option<i64>, "NULL"),
    key_unit: default!(Option<&str>, "NULL"),
    privileges: default!(bool, "false"),
    dry_run: default!(bool, "false"),
    from: default!(Option<Timestamp>, "NULL"),
    to: default!(Option<Timestamp>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(partition_name, String),
            name!(from_value, String),
            name!(to_value, String),
            name!(action, String),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let wanted = Wanted {
        period: policy::period(every, step)?,
        unit: key_unit.map(str::to_owned),
        ahead,
        back,
        since: either(since, from, "since", "from")?,
        until: either(until, to, "until", "to")?,
        from_value,
        to_value,
        timezone: timezone.map(str::to_owned),
        privileges,
        dry_run,
    };
    Ok(TableIterator::new(made(parent, &wanted)?))
}

/// One argument under two names.
fn either(
    one: Option<Timestamp>,
    other: Option<Timestamp>,
    name: &str,
    same: &str,
) -> error::Result<Option<i64>> {
    if one.is_some() && other.is_some() {
        return Err(Error::invalid_parameter(format!("both {name} and \"{same}\" are given"))
            .hint("They are the same argument; as a keyword \"from\" is written in quotes."));
    }
    Ok(one.or(other).map(i64::from))
}

type Made = (String, String, String, String, String);

fn made(parent: PgRelation, wanted: &Wanted) -> error::Result<Vec<Made>> {
    // The argument holds its table open, and an open table cannot be altered: it is closed here.
    let relid = parent.oid();
    drop(parent);
    for (value, name) in [(wanted.ahead, "ahead"), (wanted.back, "back")] {
        if !(0..=super::missing::MOST as i32).contains(&value) {
            return Err(Error::invalid_parameter(format!("invalid value for argument \"{name}\": {value}"))
                .hint(format!("Give a number from 0 to {}.", super::missing::MOST)));
        }
    }
    let shape = Shape {
        unit: wanted.unit.clone(),
        period: wanted.period,
        timezone: wanted.timezone.clone(),
        anchor: None,
    };
    let parent = security::with_safe_search_path(|| table::owned(relid, "make partitions of"))?;
    let rows = security::as_owner(parent.owner, || {
        super::locking::with_timeout(|| {
            create::run(&parent, &shape, wanted.privileges, wanted.dry_run, |layout| stretch(layout, wanted))
        })
    })?;
    Ok(rows.into_iter().map(told).collect())
}

fn told(row: Row) -> Made {
    if row.action == "failed" {
        ereport!(
            PgLogLevel::WARNING,
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("partition {} was not made: {}", row.name, row.detail)
        );
    }
    (row.name, row.low, row.high, row.action.to_owned(), row.detail)
}

/// From where to where partitions are wanted.
fn stretch(layout: &Layout, wanted: &Wanted) -> error::Result<(i64, i64)> {
    let given = |time: Option<i64>, number: Option<i64>| -> error::Result<Option<i64>> {
        match (layout.kind.is_time(), time, number) {
            (true, Some(local), None) => Ok(Some(layout.zone.instant(local))),
            (false, None, Some(number)) => Ok(Some(number)),
            (_, None, None) => Ok(None),
            (true, ..) => {
                Err(Error::invalid_parameter("from_value and to_value are for keys that are numbers")
                    .hint("Give since and until."))
            }
            (false, ..) => Err(Error::invalid_parameter("since and until are for keys that say when")
                .hint("Give from_value and to_value.")),
        }
    };
    let low = given(wanted.since, wanted.from_value)?;
    let high = given(wanted.until, wanted.to_value)?;
    let zone = layout.zone.as_ref();
    let outside = || Error::invalid_parameter("the bounds are beyond what can be reckoned with");
    let (mut from, mut to) = layout.stretch(wanted.ahead, wanted.back)?;
    if let Some(low) = low {
        from = layout.grid.floor(low, zone).ok_or_else(outside)?;
    }
    if let Some(high) = high {
        // Bounds that were given stand for themselves.
        if low.is_none() {
            from = from.min(layout.grid.floor(high - 1, zone).ok_or_else(outside)?);
        }
        to = layout.grid.next(high - 1, zone).ok_or_else(outside)?;
    }
    if from >= to {
        return Err(Error::invalid_parameter("there is nothing between the bounds")
            .detail(format!("They are {} and {}.", layout.readable(from), layout.readable(to)))
            .hint("until must be after since, to_value greater than from_value."));
    }
    Ok((from, to))
}

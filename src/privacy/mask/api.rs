//! The SQL functions of masking.

use super::job::{self, Manner};
use super::keys::ForeignKey;
use super::plan::{self, Plan};
use super::run::Masking;
use super::{anonymity, logs, rewrite, view};
use crate::error::{Error, Result};
use crate::pg::procedure::Procedure;
use crate::pg::{lookup, security, spi};
use crate::privacy::storage;
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, PgRelation};
use std::time::Duration;

/// Replaces what a table's columns hold by what was declared for them, for good, in one transaction.
///
/// Statements run as the table's owner under restrictions, in every partition. Results of hash, pseudonym,
/// partial, generalise, noise and shuffle are pseudonymised, still personal data; null, constant and random
/// ones are anonymised. Pseudonyms are the same for the same value in every column of the same domain
/// (params {"domain"}, else the column a foreign key leads to, else the category) and differ for different ones;
/// shuffle moves values between the table's rows. The rows as they were stay in dead tuples until VACUUM, and in backups.
/// Arguments: table_name; columns to mask (null: every declared one); rules for this once, over the declared
/// ones: {"column": "action"} or {"column": {"action", "params", "category"}}; dry_run, whether only to say what
/// would be done; keep_logs, whether to mask although the audit log or the change feed keep the values as they were;
/// rewrite, whether to write the table anew: faster, no triggers fire and no old rows are left in its files, but nobody
/// can use it meanwhile (where a view or the like is in the way it is masked by updates, and a NOTICE says so).
/// Returns one row for each rule: table_name, column_name, action, status (planned, masked, refused) and
/// detail; and one with the number of rows. If any rule is refused nothing is masked.
/// Errors: 42501 not the owner; 55000 nothing is declared, or a log has the values; 22023 invalid rules; what constraints of the table
/// refuse, without values. Lock: ROW EXCLUSIVE and row locks; ACCESS EXCLUSIVE with rewrite; ACCESS EXCLUSIVE where a foreign key within the
/// table is masked on both sides. Privilege: ownership of the table.
#[pg_extern]
fn anonymize_table(
    table_name: PgRelation,
    columns: default!(Option<Vec<Option<String>>>, "NULL"),
    rules: default!(Option<JsonB>, "NULL"),
    dry_run: default!(bool, "false"),
    keep_logs: default!(bool, "false"),
    rewrite: default!(bool, "false"),
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(table_name, String),
            name!(column_name, Option<String>),
            name!(action, String),
            name!(status, String),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let relid = table_name.oid();
    drop(table_name);
    let rows = security::with_safe_search_path(|| {
        let mut wanted: Vec<plan::Asked> = plan::declared(Some(&[relid]))?;
        if let Some(rules) = rules {
            plan::overlay(&mut wanted, relid, plan::given(&rules.0)?);
        }
        if let Some(columns) = columns {
            plan::only(&mut wanted, columns.into_iter().flatten().collect(), relid)?;
        }
        if wanted.is_empty() {
            return Err(Error::not_in_prerequisite_state("no column of the table is declared")
                .hint("Call declare_column() or accept_discovery(), or give rules."));
        }
        let plan = plan::make(wanted, false)?;
        let mask = !dry_run && !plan.refused();
        let count = if mask { Some(mask_now(&plan, keep_logs, rewrite)?) } else { None };
        Ok(report(&plan, count))
    })?;
    Ok(TableIterator::new(rows))
}

type Row = (String, Option<String>, String, String, String);

fn report(plan: &Plan, masked: Option<usize>) -> Vec<Row> {
    let status = |refused: bool| match (refused, masked) {
        (true, _) => "refused",
        (false, None) => "planned",
        (false, Some(_)) => "masked",
    };
    let mut rows: Vec<Row> = plan
        .lines
        .iter()
        .map(|line| {
            (
                line.table.clone(),
                Some(line.column.clone()),
                line.action.to_owned(),
                status(line.refused).to_owned(),
                line.detail.clone(),
            )
        })
        .collect();
    if let (Some(count), Some(first)) = (masked, plan.lines.first()) {
        rows.push((first.table.clone(), None, "mask".into(), "masked".into(), format!("{count} rows")));
    }
    rows
}

fn mask_now(plan: &Plan, keep_logs: bool, rewrite: bool) -> Result<usize> {
    storage::ensure()?;
    logs::check(plan, keep_logs)?;
    plan.foreign_keys.iter().try_for_each(ForeignKey::drop)?;
    let mut count = 0;
    let mut left = Vec::new();
    for (relid, checked) in &plan.masked {
        match if rewrite { rewrite::table(*relid, checked)? } else { None } {
            Some(rows) => count += rows as usize,
            None => left.extend(super::table::stored(*relid)?.into_iter().map(|stored| (stored, checked))),
        }
    }
    for (stored, checked) in left {
        if let Some(masking) = Masking::new(&stored, checked) {
            let blocks = masking.blocks()?;
            count += masking.mask(0, blocks, &[])?.0;
            if masking.must_settle() {
                masking.settle(0, masking.blocks()?)?;
            }
        }
    }
    plan.foreign_keys.iter().try_for_each(ForeignKey::restore)?;
    Ok(count)
}

/// Masks every declared table, or some, in batches that commit: for copies of a database that others will
/// work with.
///
/// As anonymize_table, but resumable: after an error, a cancel or a crash the next call with the same tables goes on
/// where the last one was. Foreign keys whose columns get pseudonyms are dropped first, and made and
/// checked again last. mask_progress() shows how far it is. Nobody else should write meanwhile: rows written
/// behind the masking's back are masked only if they land where it has not been.
/// Arguments: tables (null: all that are declared); batch_pages, pages of 8 kB in a transaction; pause between
/// two transactions; dry_run, whether only to say, as NOTICEs, what would be done; keep_logs, whether to mask although the
/// audit log or the change feed keep the values as they were; rewrite, whether to write tables anew, each in one transaction,
/// as anonymize_table does.
/// Errors: 25001 inside a transaction block or a function; 55000 a rule is refused, a log has the values, or another
/// masking was begun;
/// 55006 another masking is under way; 42501 not the owner of a table.
/// Lock: ROW EXCLUSIVE on each table and row locks, a batch long; ACCESS EXCLUSIVE for foreign keys, briefly at
/// the start and for their check at the end. Privilege: EXECUTE, ownership of the tables.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."mask_database"(
    "tables" regclass[] DEFAULT NULL, "batch_pages" integer DEFAULT 1000, "pause" interval DEFAULT '0',
    "dry_run" boolean DEFAULT false, "keep_logs" boolean DEFAULT false, "rewrite" boolean DEFAULT false
) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn mask_database(fcinfo: pg_sys::FunctionCallInfo) -> std::result::Result<(), ErrorReport> {
    let procedure = Procedure::begin(fcinfo, "mask_database()")?;
    let tables = Procedure::argument::<Vec<Option<pg_sys::Oid>>>(fcinfo, 0)
        .map(|tables| tables.into_iter().flatten().collect::<Vec<_>>());
    let pages = Procedure::argument::<i32>(fcinfo, 1).unwrap_or(1000);
    let pause = Procedure::argument::<Interval>(fcinfo, 2).map_or(0, |pause| pause.as_micros());
    if pages < 1 {
        return Err(Error::invalid_parameter("batch_pages must be at least 1").into());
    }
    let pause = u64::try_from(pause)
        .map(Duration::from_micros)
        .map_err(|_| Error::invalid_parameter("pause must not be negative"))?;
    let keep_logs = Procedure::argument::<bool>(fcinfo, 4).unwrap_or(false);
    let rewrite = Procedure::argument::<bool>(fcinfo, 5).unwrap_or(false);
    if Procedure::argument::<bool>(fcinfo, 3).unwrap_or(false) {
        let plan = procedure.transaction(|| {
            security::with_safe_search_path(|| plan::make(plan::declared(tables.as_deref())?, false))
        })?;
        for line in &plan.lines {
            let status = if line.refused { "refused" } else { "planned" };
            notice!("{}.{}: {} {status}: {}", line.table, line.column, line.action, line.detail);
        }
        return Ok(());
    }
    let rows =
        job::run(&procedure, tables, &Manner { batch_pages: pages.into(), pause, keep_logs, rewrite })?;
    notice!("{rows} rows were masked");
    Ok(())
}

/// How far maskings by mask_database() are.
///
/// Returns one row for each table of each run, the latest first: run_id, table_name, status (running, done),
/// pages_done, pages, rows_masked, started_at and finished_at. Lock: none. Privilege: EXECUTE. Assigns no
/// transaction id.
#[pg_extern(stable)]
fn mask_progress() -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(run_id, i64),
            name!(table_name, String),
            name!(status, String),
            name!(pages_done, i64),
            name!(pages, i64),
            name!(rows_masked, i64),
            name!(started_at, Option<TimestampWithTimeZone>),
            name!(finished_at, Option<TimestampWithTimeZone>),
        ),
    >,
    ErrorReport,
> {
    if !storage::exists() {
        return Ok(TableIterator::new(Vec::new()));
    }
    let rows = security::as_extension_owner(|| {
        spi::read(
            "SELECT r.run_id, m.schema_name, m.table_name,
                    CASE WHEN m.finished_at IS NULL THEN 'running' ELSE 'done' END,
                    m.next_block, m.blocks, m.rows_masked, r.started_at, m.finished_at
               FROM architect.privacy_mask_run AS r
               JOIN architect.privacy_mask_table AS m ON m.run_id OPERATOR(pg_catalog.=) r.run_id
              ORDER BY r.run_id DESC, m.schema_name, m.table_name",
            &[],
            |row| {
                let schema: String = row.get(2)?.unwrap_or_default();
                let name: String = row.get(3)?.unwrap_or_default();
                Ok((
                    row.get(1)?.unwrap_or_default(),
                    lookup::qualify(&schema, &name),
                    row.get(4)?.unwrap_or_default(),
                    row.get(5)?.unwrap_or_default(),
                    row.get(6)?.unwrap_or_default(),
                    row.get(7)?.unwrap_or_default(),
                    row.get(8)?,
                    row.get(9)?,
                ))
            },
        )
    })?;
    Ok(TableIterator::new(rows))
}

/// Groups of rows that are too few to hide in: the classes of equal values of some columns with fewer than k rows.
///
/// A table is k-anonymous for these columns where nothing is returned (Sweeney, 2002).
/// Arguments: table_name; columns, those by which rows could be told (null: the declared ones of identifier_class
/// quasi); k.
/// Returns one row for each class below k, the smallest first: class (column and value as jsonb) and rows. The
/// values are shown: the caller may read them.
/// Errors: 42501 without SELECT on the table; 42703 no such column; 42809 a view; 22023 k below 1 or no columns.
/// Lock: ACCESS SHARE. Privilege: EXECUTE, SELECT on the columns. Reads as the owner for who has its rights. Assigns no transaction id.
#[pg_extern(stable)]
fn k_anonymity(
    table_name: PgRelation,
    columns: default!(Option<Vec<Option<String>>>, "NULL"),
    k: default!(i32, "5"),
) -> std::result::Result<TableIterator<'static, (name!(class, JsonB), name!(rows, i64))>, ErrorReport> {
    let relid = table_name.oid();
    drop(table_name);
    let columns = columns.map(|columns| columns.into_iter().flatten().collect());
    let rows = security::with_safe_search_path(|| anonymity::small_classes(relid, columns, k))?;
    Ok(TableIterator::new(rows))
}

/// Classes in which a sensitive column has too few different values to hide anybody's.
///
/// A table is (distinct) l-diverse for these columns where nothing is returned (Machanavajjhala et al., 2007).
/// Arguments: table_name; columns as for k_anonymity; sensitive, the column whose values must vary; l.
/// Returns one row for each class below l: class, rows, distinct_values.
/// Errors, lock and privilege: as k_anonymity.
#[pg_extern(stable)]
fn l_diversity(
    table_name: PgRelation,
    sensitive: &str,
    columns: default!(Option<Vec<Option<String>>>, "NULL"),
    l: default!(i32, "2"),
) -> std::result::Result<
    TableIterator<'static, (name!(class, JsonB), name!(rows, i64), name!(distinct_values, i64))>,
    ErrorReport,
> {
    let relid = table_name.oid();
    drop(table_name);
    let columns = columns.map(|columns| columns.into_iter().flatten().collect());
    let rows = security::with_safe_search_path(|| anonymity::uniform_classes(relid, columns, sensitive, l))?;
    Ok(TableIterator::new(rows))
}

/// Makes a view of a table with the declared masks, and lets a role read it.
///
/// The view belongs to the table's owner and is a security barrier: who reads it runs no function of
/// theirs on unmasked values. Columns with action null, constant, partial, generalise or keep are shown so; those with
/// another action are null, because a key must not stand in a view and a random value is not stable. The role's own
/// rights on the table are not touched: revoke them.
/// Arguments: table_name; role_name to grant SELECT to (null: nobody yet); view_name, in the table's schema (null:
/// the table's name and _masked).
/// Returns one row: object_name, action (created, replaced), detail with the role.
/// Errors: 42501 not the owner; 42704 no such role; 55000 nothing is declared for the table; 42P07 another kind of
/// relation has the name. Lock: ACCESS EXCLUSIVE on the view. Privilege: ownership of the table, CREATE on
/// its schema.
#[pg_extern]
fn masked_view(
    table_name: PgRelation,
    role_name: default!(Option<&str>, "NULL"),
    view_name: default!(Option<&str>, "NULL"),
) -> std::result::Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(detail, String))>,
    ErrorReport,
> {
    let relid = table_name.oid();
    drop(table_name);
    let row = security::with_safe_search_path(|| view::make(relid, role_name, view_name))?;
    Ok(TableIterator::once(row))
}

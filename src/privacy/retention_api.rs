//! The SQL functions of retention and tombstones.

use super::{retention, tombstone};
use crate::pg::procedure::Procedure;
use crate::pg::security;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Values that need not be retained any more and are still there: what retention_run would do.
///
/// Returns one row for each declared column with retention and retention_from: the action (mask, or delete where the
/// column's action is delete_row) and the number of rows past their time.
/// Errors: 55000 what was declared is not there any more. Lock: ACCESS SHARE on the tables, which are read.
/// Tables of others are left out with a NOTICE, as are those that a hold keeps: on the table, on one that loses rows with
/// it, or on a person of a type whose rows the table has. In the persons' own table only the held persons' rows stay.
/// Privilege: the rights of the tables' owners.
#[pg_extern]
fn retention_due() -> Result<
    TableIterator<'static, (name!(object_name, String), name!(action, String), name!(rows, i64))>,
    ErrorReport,
> {
    let rows = security::with_safe_search_path(|| {
        retention::due()?
            .iter()
            .map(|due| Ok((due.object(), due.action().to_owned(), due.count()? as i64)))
            .collect::<crate::error::Result<Vec<_>>>()
    })?;
    Ok(TableIterator::new(rows))
}

/// Masks or deletes what need not be retained any more, in batches that commit; to be called by a scheduler.
///
/// Arguments: dry_run, true unless told otherwise: only says what it would do. What is done is in data_deletion_log.
/// Errors: 25001 inside a transaction block or a function. What fails for one column is a WARNING and does not stop
/// the others.
/// What retention_due leaves out is left alone; holds are looked at again in each batch.
/// Lock: ROW EXCLUSIVE on the tables, and nobody places a hold during a batch; rows locked by others are left to the next run.
/// Privilege: EXECUTE, and the rights of the tables' owners.
#[pg_extern(sql = r#"
CREATE PROCEDURE architect."retention_run"(dry_run boolean DEFAULT true) LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"#)]
fn retention_run(fcinfo: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    let procedure = Procedure::begin(fcinfo, "retention_run()")?;
    let dry_run = Procedure::argument::<bool>(fcinfo, 0).unwrap_or(true);
    let mut all = procedure.transaction(|| security::with_safe_search_path(retention::due))?;
    for due in &mut all {
        let outcome = if dry_run {
            procedure.transaction(|| security::with_safe_search_path(|| due.count()))
        } else {
            run(&procedure, due)
        };
        match outcome {
            Ok(0) => {}
            Ok(rows) => {
                let done = if dry_run { "to be done" } else { "done" };
                ereport!(
                    PgLogLevel::NOTICE,
                    PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
                    format!("{}: {} {rows} rows {done}", due.object(), due.action())
                );
            }
            Err(error) if error.is_cancel() => return Err(error.into()),
            Err(error) => ereport!(
                PgLogLevel::WARNING,
                PgSqlErrorCode::ERRCODE_WARNING,
                format!("retention of {} failed: {}", due.object(), error.one_line())
            ),
        }
    }
    Ok(())
}

fn run(procedure: &Procedure, due: &mut retention::Due) -> crate::error::Result<u64> {
    let mut total = 0;
    loop {
        let (last, changed) = procedure.transaction(|| {
            security::with_safe_search_path(|| {
                let (last, changed) = due.batch()?;
                if changed > 0 {
                    due.note(changed)?;
                }
                Ok((last, changed))
            })
        })?;
        total += changed;
        if last {
            return Ok(total);
        }
    }
}

/// Erases again whoever was erased before and is there: after an older backup was restored.
///
/// Arguments: dry_run, true unless told otherwise.
/// Data keys that shred_subject() threw away and that came back are thrown away again, under type (data key).
/// Returns one row for each person found, without saying who: to be erased, erased, or blocked with the reason; one for a
/// type that is not declared any more; one for data keys. A person some of whose rows are retained is found each time;
/// erasing it again changes nothing.
/// Errors: 42501 not the owner of the persons' table. Lock: reads every row of the persons' tables; as erase_subject.
/// Privilege: the rights of the tables' owners.
#[pg_extern]
fn reapply_tombstones(
    dry_run: default!(bool, "true"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(subject_type, String),
            name!(request_id, Option<i64>),
            name!(action, String),
            name!(detail, String),
        ),
    >,
    ErrorReport,
> {
    let rows = security::with_safe_search_path(|| tombstone::reapply(dry_run))?;
    Ok(TableIterator::new(
        rows.into_iter().map(|r| (r.subject_type, r.request_id, r.action.to_owned(), r.detail)),
    ))
}

/// Tombstones with the secret they were made with, to be kept outside the database and its backups: restoring a backup
/// loses those made since.
///
/// Who has this document can find out whether a key he guesses was erased: keep it as safe as a backup.
/// Lock: none. Privilege: EXECUTE. Assigns no transaction id.
#[pg_extern(stable)]
fn export_tombstones() -> Result<JsonB, ErrorReport> {
    Ok(JsonB(tombstone::export()?))
}

/// Adds tombstones that export_tombstones returned, after a restore; then call reapply_tombstones.
///
/// Returns how many are new. Errors: 22023 another document; 55000 they are of another database.
/// Lock: none. Privilege: EXECUTE.
#[pg_extern]
fn import_tombstones(document: JsonB) -> Result<i64, ErrorReport> {
    Ok(security::with_safe_search_path(|| tombstone::import(&document.0))?)
}

//! One command at the top level, as if a client had sent it alone: what DETACH PARTITION CONCURRENTLY
//! and CREATE INDEX CONCURRENTLY ask for, since they commit on their own. Only a background worker is
//! outside any transaction, so only there can this be called.

use super::memory::OwnedContext;
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CString;
use std::panic::AssertUnwindSafe;

/// Runs one utility command. On failure everything is rolled back that the command had not committed,
/// its session locks are released, and the error comes back as a value.
pub fn execute(command: &str) -> Result<()> {
    let text = CString::new(command).map_err(|_| Error::internal("a command contains a zero byte"))?;
    // The command may commit and go on: what it was parsed and planned into has to outlive that.
    let memory = OwnedContext::new(c"db_architect command");
    recover(|| {
        // SAFETY: the sequence of PostgreSQL's own exec_simple_query, outside any transaction. The context
        // is made current after StartTransactionCommand, which sets another one. The portal is active
        // while it runs, so commits within the command leave it alone.
        unsafe {
            pg_sys::debug_query_string = text.as_ptr();
            pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::CurrentMemoryContext = memory.raw();
            let parsed = pg_sys::pg_parse_query(text.as_ptr());
            if parsed.is_null() || (*parsed).length != 1 {
                return Err(Error::internal("not exactly one command"));
            }
            let statement = (*(*parsed).elements).ptr_value.cast::<pg_sys::RawStmt>();
            let tag = pg_sys::CreateCommandTag((*statement).stmt);
            let snapshot = pg_sys::analyze_requires_snapshot(statement);
            if snapshot {
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            }
            let planned = pg_sys::pg_plan_queries(
                analyze(statement, text.as_ptr()),
                text.as_ptr(),
                0,
                std::ptr::null_mut(),
            );
            if snapshot {
                pg_sys::PopActiveSnapshot();
            }
            let portal = pg_sys::CreatePortal(c"".as_ptr(), true, true);
            (*portal).visible = false;
            pg_sys::PortalDefineQuery(
                portal,
                std::ptr::null(),
                text.as_ptr(),
                tag,
                planned,
                std::ptr::null_mut(),
            );
            pg_sys::PortalStart(portal, std::ptr::null_mut(), 0, std::ptr::null_mut());
            let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestNone);
            let mut completion: pg_sys::QueryCompletion = std::mem::zeroed();
            run(portal, receiver, &mut completion);
            pg_sys::PortalDrop(portal, false);
            pg_sys::CommitTransactionCommand();
        }
        Ok(())
    })
}

/// Runs `work` in a transaction of its own, with a snapshot, and commits it; rolls back if it fails.
pub fn transaction<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    recover(|| {
        // SAFETY: outside any transaction; what is begun is ended here or, after an error, by `recover`.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let result = work()?;
        // SAFETY: as above.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        Ok(result)
    })
}

/// Makes an error a value, and the session one outside any transaction whatever had happened.
fn recover<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    let outcome =
        PgTryBuilder::new(AssertUnwindSafe(work)).catch_others(|caught| Err(Error::from(caught))).execute();
    // SAFETY: aborts what is open, locks, snapshots, portals and resource owners included; does nothing
    // where no transaction is open. The text is about to go away.
    unsafe {
        if outcome.is_err() {
            pg_sys::AbortOutOfAnyTransaction();
        }
        pg_sys::debug_query_string = std::ptr::null();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
        pg_sys::CurrentMemoryContext = pg_sys::TopMemoryContext;
    }
    outcome
}

/// # Safety
/// As for PostgreSQL's function of this name.
#[cfg(not(feature = "pg14"))]
unsafe fn analyze(statement: *mut pg_sys::RawStmt, text: *const std::ffi::c_char) -> *mut pg_sys::List {
    // SAFETY: the caller's promise; no parameters.
    unsafe {
        pg_sys::pg_analyze_and_rewrite_fixedparams(
            statement,
            text,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
        )
    }
}

/// # Safety
/// As for PostgreSQL's function of this name.
#[cfg(feature = "pg14")]
unsafe fn analyze(statement: *mut pg_sys::RawStmt, text: *const std::ffi::c_char) -> *mut pg_sys::List {
    // SAFETY: the caller's promise; no parameters.
    unsafe { pg_sys::pg_analyze_and_rewrite(statement, text, std::ptr::null_mut(), 0, std::ptr::null_mut()) }
}

/// # Safety
/// The portal has been started.
unsafe fn run(
    portal: pg_sys::Portal,
    receiver: *mut pg_sys::DestReceiver,
    completion: &mut pg_sys::QueryCompletion,
) {
    // SAFETY: the caller's promise; at the top level.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::PortalRun(portal, std::ffi::c_long::MAX, true, true, receiver, receiver, completion);
        #[cfg(feature = "pg18")]
        pg_sys::PortalRun(portal, std::ffi::c_long::MAX, true, receiver, receiver, completion);
    }
}

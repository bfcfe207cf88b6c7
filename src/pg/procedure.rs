//! Work that commits as it goes: a procedure called on its own, one transaction after the other.

use super::subtransaction;
use crate::error::{Error, Result};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// A procedure being called. Each piece of its work is a transaction of its own.
pub struct Procedure(());

impl Procedure {
    /// Begins; an error inside a transaction block or a function, where nothing could be committed.
    pub fn begin(fcinfo: pg_sys::FunctionCallInfo, name: &str) -> Result<Self> {
        // SAFETY: PostgreSQL hands a valid fcinfo; CALL puts a CallContext into it.
        let atomic = unsafe {
            let context = (*fcinfo).context;
            context.is_null()
                || (*context).type_ != pg_sys::NodeTag::T_CallContext
                || (*context.cast::<pg_sys::CallContext>()).atomic
        };
        if atomic {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
                format!("{name} cannot run inside a transaction block or a function"),
            )
            .detail("It commits after each of its steps.")
            .hint(format!("CALL architect.{name}; as a statement of its own.")));
        }
        // SAFETY: closed by Drop. The connection's memory lives as long as the CALL.
        let status = unsafe { pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32) };
        if status < 0 {
            return Err(Error::internal("the procedure cannot connect to SPI"));
        }
        let procedure = Self(());
        procedure.next();
        Ok(procedure)
    }

    fn next(&self) {
        self.commit();
        self.snapshot();
    }

    /// Commits, and begins the next transaction: READ COMMITTED, whatever the session's default. Work that
    /// takes a lock and then looks must see what was committed while it waited.
    fn commit(&self) {
        // SAFETY: connected non-atomically, outside any subtransaction and with no role switched. The next
        // transaction has taken no snapshot yet, so its isolation level may still be set.
        unsafe {
            pg_sys::SPI_commit();
            pg_sys::XactIsoLevel = pg_sys::XACT_READ_COMMITTED as i32;
        }
    }

    /// The portal gets a snapshot again, as CALL promises what runs inside it.
    fn snapshot(&self) {
        // SAFETY: in a transaction, within the portal of the CALL.
        unsafe { pg_sys::EnsurePortalSnapshotExists() }
    }

    /// Runs `work` and commits what it did; rolls it back, leaving nothing of it, if it fails.
    pub fn transaction<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let result = subtransaction::attempt(work);
        self.next();
        result
    }

    /// Waits, holding neither locks nor a transaction id nor a snapshot, so that nobody waits for us; can
    /// be cancelled.
    pub fn sleep(&self, duration: std::time::Duration) {
        self.commit();
        sleep(duration);
        self.snapshot();
    }

    /// The procedure's argument of this position, from zero; none where it is null.
    pub fn argument<T: FromDatum>(fcinfo: pg_sys::FunctionCallInfo, position: usize) -> Option<T> {
        // SAFETY: PostgreSQL hands a valid fcinfo whose arguments are those the procedure was declared with.
        unsafe { pgrx::fcinfo::pg_getarg(fcinfo, position) }
    }
}

/// Waits within a transaction; can be cancelled.
pub fn sleep(duration: std::time::Duration) {
    // SAFETY: a function of one float8.
    unsafe {
        pgrx::direct_function_call_as_datum(pg_sys::pg_sleep, &[duration.as_secs_f64().into_datum()]);
    }
}

impl Drop for Procedure {
    fn drop(&mut self) {
        // On an error that unwinds the abort of the transaction closes the connection.
        if !std::thread::panicking() {
            // SAFETY: closes what `begin` opened.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}

//! Background workers started on demand: no preload, one process per piece of work, gone when it is done.

use super::ffi::unguarded;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;

/// Exports the main function of a worker under the C symbol `$symbol`. The body is a safe
/// `fn(&str)` that gets what `start` was given; it runs connected to the database, outside any transaction,
/// as the bootstrap superuser unless `start_for` says otherwise.
#[macro_export]
macro_rules! export_worker {
    ($symbol:ident, $body:path) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        #[::pgrx::pg_guard]
        pub extern "C-unwind" fn $symbol(session: ::pgrx::pg_sys::Datum) {
            $crate::pg::worker::serve(session, $body)
        }
    };
}

/// Has a worker started in this database that is to do something by `as_role`; false where the server has no
/// room for one just now.
///
/// Servers built with assertions, which no package is, end where a transaction begins under the restriction of
/// `as_role`: there the session is the role's own. The role has to be one that may log in, before PostgreSQL 17.
pub fn start_for(role: pg_sys::Oid, symbol: &str, title: &str, argument: &str) -> bool {
    let role = if super::session::has_assertions() { role } else { pg_sys::InvalidOid };
    load(super::session::database(), role, symbol, title, argument)
}

/// Has one started in any database. `argument` has 127 bytes at most.
pub fn start_in(database: pg_sys::Oid, symbol: &str, title: &str, argument: &str) -> bool {
    load(database, pg_sys::InvalidOid, symbol, title, argument)
}

fn load(database: pg_sys::Oid, role: pg_sys::Oid, symbol: &str, title: &str, argument: &str) -> bool {
    let session = u64::from(role.to_u32()) << 32 | u64::from(database.to_u32());
    BackgroundWorkerBuilder::new(title)
        .set_type("db_architect worker")
        .set_library("db_architect")
        .set_function(symbol)
        .set_argument(Some(pg_sys::Datum::from(session)))
        .set_extra(argument)
        .enable_spi_access()
        .set_notify_pid(super::session::backend_pid())
        .load_dynamic()
        .is_ok()
}

/// Roles that may not log in have sessions too.
#[cfg(any(feature = "pg17", feature = "pg18"))]
const ANY_ROLE: u32 = pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;
#[cfg(not(any(feature = "pg17", feature = "pg18")))]
const ANY_ROLE: u32 = 0;

/// What `export_worker!` calls.
pub fn serve(session: pg_sys::Datum, body: fn(&str)) {
    let session = session.value() as u64;
    let (role, database) = ((session >> 32) as u32, session as u32);
    // SAFETY: the first thing in a new process. `die` and the handler of SIGINT that is there already
    // only set flags, seen where PostgreSQL looks for interrupts.
    unsafe {
        handle(pg_sys::SIGTERM as i32, unguarded::die);
        handle(pg_sys::SIGHUP as i32, unguarded::SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            pg_sys::Oid::from(database),
            pg_sys::Oid::from(role),
            ANY_ROLE,
        );
    }
    body(pgrx::bgworkers::BackgroundWorker::get_extra());
}

/// # Safety
/// The handler is fit to be called in a signal handler.
unsafe fn handle(signal: i32, handler: unsafe extern "C-unwind" fn(i32)) {
    // SAFETY: the caller's promise.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

/// Runs `work`, transactions and all, as a role that cannot go back to the superuser the worker is: what
/// the role's functions do, at a commit as well, is restricted as it is within PostgreSQL's own maintenance
/// commands. SET ROLE and SET SESSION AUTHORIZATION are refused, and so is leaving work for later.
///
/// The role and the restriction outlast commits, since a command may commit and go on. A session that is the
/// role's own has nowhere to go back to.
pub fn as_role<R>(role: pg_sys::Oid, work: impl FnOnce() -> R) -> R {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: what `as_role` found.
            unsafe { pg_sys::SetUserIdAndSecContext(super::security::session_role(), 0) }
        }
    }
    if super::security::session_role() == role {
        return work();
    }
    let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    // SAFETY: outside any transaction and any change of role; transactions that abort come back to it.
    unsafe { pg_sys::SetUserIdAndSecContext(role, restricted as i32) }
    let _back = Back;
    work()
}

/// Sets a parameter for the rest of the worker's life.
pub fn set(name: &std::ffi::CStr, value: &std::ffi::CStr) {
    // SAFETY: outside any transaction, so nothing puts it back.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}

/// Asks a process of this cluster to give up what it is doing, as pg_cancel_backend does.
pub fn cancel(pid: i32) {
    unsafe extern "C" {
        fn kill(pid: i32, signal: i32) -> i32;
    }
    // SAFETY: a system call.
    unsafe { kill(pid, pg_sys::SIGINT as i32) };
}

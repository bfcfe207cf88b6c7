//! Facts about this session, transaction and cluster.

use super::memory::OwnedContext;
use pgrx::pg_sys;
use std::cell::RefCell;

/// Whether the server was built with assertions.
pub fn has_assertions() -> bool {
    // SAFETY: a parameter every server has, whose value is a palloc'd or static nul-terminated string.
    unsafe {
        let value = pg_sys::GetConfigOption(c"debug_assertions".as_ptr(), true, false);
        !value.is_null() && std::ffi::CStr::from_ptr(value) == c"on"
    }
}

/// Microseconds since 2000-01-01 00:00 UTC, PostgreSQL's timestamptz, by the wall clock.
pub fn clock() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Start of the current transaction.
pub fn transaction_start() -> i64 {
    // SAFETY: reads backend-local state.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// Start of the current statement, as the client sent it.
pub fn statement_start() -> i64 {
    // SAFETY: reads backend-local state.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// The top-level transaction's id, assigned now if it has none yet.
pub fn transaction_id() -> u64 {
    // SAFETY: inside a transaction, which a caller of ours always is; the first call raises no error.
    unsafe {
        match super::ffi::unguarded::GetTopFullTransactionIdIfAny().value {
            0 => pg_sys::GetTopFullTransactionId().value,
            assigned => assigned,
        }
    }
}

/// The top-level transaction's id, none while it has none.
pub fn transaction_id_if_any() -> Option<u64> {
    // SAFETY: reads backend-local state.
    Some(unsafe { super::ffi::unguarded::GetTopFullTransactionIdIfAny() }.value).filter(|&id| id != 0)
}

/// Id of the innermost open transaction or savepoint, which what it writes bears, assigned now if it has none.
pub fn writing_id() -> u32 {
    // SAFETY: inside a transaction; assigns an id at most.
    unsafe { pg_sys::GetCurrentTransactionId() }.into_inner()
}

/// Number of the innermost open savepoint, within the transaction; 1 outside any. Numbers grow: one within
/// another has the higher number, and so have later ones.
pub fn savepoint() -> u32 {
    // SAFETY: reads backend-local state.
    unsafe { super::ffi::unguarded::GetCurrentSubTransactionId() }
}

/// The command being executed, counted within the transaction.
pub fn command_id() -> u32 {
    // SAFETY: reads backend-local state; false: do not mark it used.
    unsafe { super::ffi::unguarded::GetCurrentCommandId(false) }
}

/// Whether this server is a standby, or still replaying its log.
pub fn in_recovery() -> bool {
    // SAFETY: reads shared state.
    unsafe { pg_sys::RecoveryInProgress() }
}

pub fn backend_pid() -> i32 {
    // SAFETY: a backend-local variable.
    unsafe { pg_sys::MyProcPid }
}

pub fn database() -> pg_sys::Oid {
    // SAFETY: a backend-local variable.
    unsafe { pg_sys::MyDatabaseId }
}

/// Name of the current database, in the server's encoding.
pub fn database_name() -> Vec<u8> {
    // SAFETY: returns null for an unknown OID, else a palloc'd copy.
    unsafe {
        let name = pg_sys::get_database_name(pg_sys::MyDatabaseId);
        if name.is_null() { Vec::new() } else { std::ffi::CStr::from_ptr(name).to_bytes().to_vec() }
    }
}

/// Whether the database does not know which encoding its texts are in.
#[inline]
pub fn is_sql_ascii() -> bool {
    // SAFETY: reads backend-local state.
    unsafe { super::ffi::unguarded::GetDatabaseEncoding() == pg_sys::pg_enc::PG_SQL_ASCII as i32 }
}

/// Whether bytes are text in the server's encoding.
pub fn is_text(bytes: &[u8]) -> bool {
    // SAFETY: reads so many bytes; with noError it raises none.
    unsafe { pg_sys::pg_verifymbstr(bytes.as_ptr().cast(), bytes.len() as i32, true) }
}

/// Identifies the cluster; another after pg_restore or pg_upgrade, the same on a standby.
pub fn system_identifier() -> String {
    // SAFETY: reads the control file as loaded at start.
    unsafe { pg_sys::GetSystemIdentifier() }.to_string()
}

/// Copies application_name into `into` if it differs; says whether it did.
pub fn application_name_into(into: &mut String) -> bool {
    // SAFETY: the setting is null or a nul-terminated string.
    let name = unsafe {
        let name = pg_sys::application_name;
        if name.is_null() { c"" } else { std::ffi::CStr::from_ptr(name) }
    };
    if name.to_bytes() == into.as_bytes() {
        return false;
    }
    *into = name.to_string_lossy().into_owned();
    true
}

/// The session's time zone, by name.
pub fn time_zone() -> String {
    // SAFETY: a backend-local variable; the name lives as long as the zone.
    unsafe { super::lookup::string_from(pg_sys::pg_get_timezone_name(pg_sys::session_timezone)) }
}

/// Whether the session runs with session_replication_role = replica (logical apply, for one).
pub fn is_replica_session() -> bool {
    // SAFETY: a backend-local variable.
    unsafe { pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32 }
}

/// Whether this transaction may write nothing: declared so, or on a standby.
pub fn is_read_only() -> bool {
    // SAFETY: backend-local and shared variables.
    unsafe { pg_sys::XactReadOnly || pg_sys::RecoveryInProgress() }
}

/// Start-up in `pg_upgrade --binary-upgrade` mode, when nothing of ours may act.
pub fn is_binary_upgrade() -> bool {
    // SAFETY: a backend-local variable.
    unsafe { pg_sys::IsBinaryUpgrade }
}

thread_local! {
    static CLIENT: RefCell<Option<(OwnedContext, Option<pg_sys::Datum>)>> = const { RefCell::new(None) };
}

/// The client's address as an inet datum that lives as long as the session; none for a local socket
/// and for background processes.
pub fn client_address() -> Option<pg_sys::Datum> {
    CLIENT.with_borrow_mut(|client| {
        client
            .get_or_insert_with(|| {
                let memory = OwnedContext::new(c"db_architect client address");
                // SAFETY: a function of no arguments that reads the session's port, called as the
                // function manager would; its result is allocated in `memory`.
                let address = memory.within(|| unsafe {
                    if pg_sys::MyProcPort.is_null() {
                        None
                    } else {
                        pgrx::direct_function_call_as_datum(pg_sys::inet_client_addr, &[])
                    }
                });
                (memory, address)
            })
            .1
    })
}

/// When this session began, microseconds since 2000: with its process's number, which may be used again,
/// this tells it from all others.
pub fn backend_start() -> i64 {
    // SAFETY: a backend-local variable.
    unsafe { pg_sys::MyStartTimestamp }
}

/// Whether a process of this cluster has this number, whoever's it is by now.
pub fn is_backend(pid: i32) -> bool {
    // SAFETY: looks through the process array under its lock; null where there is none.
    unsafe { !pg_sys::BackendPidGetProc(pid).is_null() }
}

/// Whether the caller is evaluated by the statement the client sent, not by one within a function or DO.
pub fn is_in_outermost_query() -> bool {
    // SAFETY: reads the active portal and walks up the memory contexts; both outlive this call.
    unsafe {
        let portal = pg_sys::ActivePortal;
        if portal.is_null() || (*portal).queryDesc.is_null() {
            return false;
        }
        let state = (*(*portal).queryDesc).estate;
        if state.is_null() {
            return false;
        }
        let mut context = pg_sys::CurrentMemoryContext;
        while !context.is_null() && context != (*state).es_query_cxt {
            context = (*context).parent;
        }
        !context.is_null()
    }
}

/// Whether the statement is part of a transaction that goes on after it.
pub fn is_in_transaction_block() -> bool {
    // SAFETY: reads backend-local state.
    unsafe { pg_sys::IsTransactionBlock() || pg_sys::IsSubTransaction() }
}

/// Waits, as long as nothing interrupts: cancelling the statement or ending the session does.
pub fn nap(duration: std::time::Duration) {
    let flags = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: the backend's own latch; an interrupt is an error that unwinds.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            flags as i32,
            duration.as_millis().max(1) as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
        pgrx::check_for_interrupts!();
    }
}

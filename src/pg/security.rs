//! Acting as another role for a moment.

use crate::error::Result;
use pgrx::pg_sys;
use std::ffi::CStr;

/// Runs `work` as `role`, as a SECURITY DEFINER function would, and goes back whatever happens.
pub fn as_role<R>(role: pg_sys::Oid, work: impl FnOnce() -> R) -> R {
    switched(role, 0, work)
}

fn switched<R>(role: pg_sys::Oid, restriction: i32, work: impl FnOnce() -> R) -> R {
    struct Back(pg_sys::Oid, i32);
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: restores what GetUserIdAndSecContext reported.
            unsafe { pg_sys::SetUserIdAndSecContext(self.0, self.1) }
        }
    }
    let mut user = pg_sys::InvalidOid;
    let mut context = 0;
    // SAFETY: both functions only read and write backend-local state. An error that unwinds drops
    // the guard; an abort of the transaction restores both by itself.
    let _back = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        let local = pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
        pg_sys::SetUserIdAndSecContext(role, context | local | restriction);
        Back(user, context)
    };
    work()
}

/// Runs `work` as `role` the way PostgreSQL's own maintenance commands run as a table's owner: what the
/// owner's functions, casts and defaults do cannot reach back to the caller's role, nor change its settings.
/// Safe search_path.
pub fn as_owner<R>(role: pg_sys::Oid, work: impl FnOnce() -> R) -> R {
    let restricted = pg_sys::SECURITY_RESTRICTED_OPERATION as i32;
    switched(role, restricted, || settings_for(SAFE_SEARCH_PATH, false, work))
}

/// Runs `work` with the rights of whoever's code it may run and of nobody else, as `as_owner` does, but finds
/// names on the caller's search_path: a statement is planned as a role that ran it, since planning runs its
/// functions. None: as the caller, who gave the statement.
pub fn as_author<R>(author: Option<pg_sys::Oid>, work: impl FnOnce() -> R) -> R {
    match author {
        Some(role) => {
            let restricted = pg_sys::SECURITY_RESTRICTED_OPERATION as i32;
            switched(role, restricted, || settings_for(&[], false, work))
        }
        None => work(),
    }
}

/// Role the current statement runs as.
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: reads backend-local state.
    unsafe { pg_sys::GetUserId() }
}

/// Role that `SET ROLE` chose, outside any SECURITY DEFINER function.
pub fn outer_role() -> pg_sys::Oid {
    // SAFETY: reads backend-local state.
    unsafe { pg_sys::GetOuterUserId() }
}

/// Role the session was opened as, or that `SET SESSION AUTHORIZATION` chose.
pub fn session_role() -> pg_sys::Oid {
    // SAFETY: reads backend-local state.
    unsafe { pg_sys::GetSessionUserId() }
}

/// A role's name; empty where it no longer exists.
pub fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: with noerr the function returns null instead of raising an error.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() { String::new() } else { super::lookup::string_from(name) }
    }
}

/// The role of a name.
pub fn role_named(name: &str) -> Option<pg_sys::Oid> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a nul-terminated name; a role that does not exist is no error.
    Some(unsafe { pg_sys::get_role_oid(name.as_ptr(), true) }).filter(|&role| role != pg_sys::InvalidOid)
}

/// Runs `work` with `search_path = pg_catalog, pg_temp`, as a function with a SET clause would.
pub fn with_safe_search_path<R>(work: impl FnOnce() -> R) -> R {
    with_settings(SAFE_SEARCH_PATH, work)
}

const SAFE_SEARCH_PATH: &[(&CStr, &CStr)] = &[(c"search_path", c"pg_catalog, pg_temp")];

/// Runs `work` with settings that any role may set, as a function with SET clauses would.
pub fn with_settings<R>(settings: &[(&CStr, &CStr)], work: impl FnOnce() -> R) -> R {
    settings_for(settings, true, work)
}

/// Runs `work` with settings. `keep` says whether settings that `work` itself makes last beyond it: never where
/// it runs somebody else's code, which would change the caller's session.
fn settings_for<R>(settings: &[(&CStr, &CStr)], keep: bool, work: impl FnOnce() -> R) -> R {
    struct Back(i32, bool);
    impl Drop for Back {
        fn drop(&mut self) {
            // After an error the abort of the (sub)transaction puts the settings back.
            if !std::thread::panicking() {
                // SAFETY: closes the nesting level opened below.
                unsafe { pg_sys::AtEOXact_GUC(self.1, self.0) }
            }
        }
    }
    // SAFETY: opens a nesting level and sets parameters within it, as fmgr does for SET clauses.
    let _back = unsafe {
        let back = Back(pg_sys::NewGUCNestLevel(), keep);
        for (name, value) in settings {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        back
    };
    work()
}

/// Runs `work` as the owner of somebody's table, as VACUUM and ANALYZE do: the owner's triggers, casts,
/// defaults and index expressions run with the owner's rights, cannot leave this role, cannot make temporary
/// objects, find nothing through search_path, and cannot leave work to be done after the role has been left:
/// PostgreSQL refuses to queue deferred triggers here, hence the constraints are made immediate first.
/// What that code sets is put back too. Rows hidden by row-level security are an error, never silently left out.
///
/// To be called within `subtransaction::attempt`, which undoes everything when `work` fails.
pub fn as_table_owner<R>(role: pg_sys::Oid, work: impl FnOnce() -> Result<R>) -> Result<R> {
    // What the caller itself has deferred runs now, as the caller, not within the owner's rights.
    super::spi::run_plain(c"SET CONSTRAINTS ALL IMMEDIATE")?;
    switched(role, pg_sys::SECURITY_RESTRICTED_OPERATION as i32, || {
        settings_for(&[SAFE_SEARCH_PATH[0], (c"row_security", c"off")], false, work)
    })
}

/// Whether the current role has the rights of another.
pub fn has_rights_of(role: pg_sys::Oid) -> bool {
    // SAFETY: look-ups about roles.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), role) }
}

/// Whether a role is a superuser.
pub fn is_superuser(role: pg_sys::Oid) -> bool {
    // SAFETY: a look-up about a role; an unknown one is none.
    unsafe { pg_sys::superuser_arg(role) }
}

/// Runs `work` as the extension's owner, who owns its storage, with a safe search_path.
pub fn as_extension_owner<R>(work: impl FnOnce() -> R) -> R {
    match super::lookup::extension_owner() {
        Some(owner) => as_role(owner, || with_safe_search_path(work)),
        None => with_safe_search_path(work),
    }
}

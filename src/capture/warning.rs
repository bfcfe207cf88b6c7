//! What is said, once a session, when a change is not recorded as it should be and the write goes on.

use crate::error::Error;
use crate::pg::lookup;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::RefCell;

/// More than this is not said.
const MOST: usize = 1000;

/// The trigger is there but no policy is: let the write pass.
pub fn not_recorded(relid: pg_sys::Oid) {
    let name = lookup::qualified_name(relid).unwrap_or_default();
    once(
        format!("changes of table {name} are not recorded"),
        "The table has the capture trigger but no policy says how it is recorded. Call architect.enable_audit() or architect.enable_cdc().",
    );
}

/// The feed cannot be written to.
pub fn feed_is_broken(error: &Error) {
    once(
        format!("changes are not captured: {}", error.one_line()),
        "The change feed has a gap from here on. Call architect.cdc_coverage() for what to do.",
    );
}

/// A setting has a value that cannot be recorded, and nothing audited is changed.
pub fn without_context(error: &Error) {
    once(
        format!("changes are captured without a context: {}", error.one_line()),
        "Set architect.actor, architect.correlation_id and architect.context to valid values.",
    );
}

fn once(message: String, detail: &'static str) {
    thread_local! {
        static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }
    let new = SAID.with_borrow_mut(|said| {
        let new = said.len() < MOST && !said.contains(&message);
        if new {
            said.push(message.clone());
        }
        new
    });
    if new {
        ereport!(PgLogLevel::WARNING, PgSqlErrorCode::ERRCODE_WARNING, message, detail);
    }
}

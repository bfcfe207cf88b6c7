//! The masking under way in this session. SQL reaches its pseudonyms through one function, which answers
//! only to who knows the number of the moment: it is passed as a parameter, so that what a table's owner
//! attached to the table and runs meanwhile cannot ask for pseudonyms of its own.

use super::pseudonym::Pseudonyms;
use crate::error::{Error, Result};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::RefCell;

struct Running {
    token: i64,
    pseudonyms: Vec<Pseudonyms>,
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Runs `work`, during which the pseudonyms are to be had by the token it is given.
pub fn with<R>(pseudonyms: Vec<Pseudonyms>, work: impl FnOnce(i64) -> Result<R>) -> Result<R> {
    struct End(Option<Running>);
    impl Drop for End {
        fn drop(&mut self) {
            RUNNING.set(self.0.take());
        }
    }
    let mut token = [0; 8];
    getrandom::getrandom(&mut token)
        .map_err(|_| Error::internal("the system has no random numbers to give"))?;
    let token = i64::from_ne_bytes(token);
    let _end = End(RUNNING.replace(Some(Running { token, pseudonyms })));
    work(token)
}

fn ask<R>(token: i64, number: i32, answer: impl FnOnce(&Pseudonyms) -> R) -> Result<R> {
    RUNNING.with_borrow(|running| {
        running
            .as_ref()
            .filter(|running| running.token == token)
            .and_then(|running| running.pseudonyms.get(usize::try_from(number).ok()?))
            .map(answer)
            .ok_or_else(|| {
                Error::insufficient_privilege("a pseudonym is made only while architect masks a table")
                    .hint("Call architect.anonymize_table().")
            })
    })
}

/// The pseudonym of a text; called by the statements of anonymize_table() and mask_database() only, with
/// a number that only they know. Errors: 42501 otherwise. Not to be called by hand.
#[pg_extern(
    stable,
    parallel_unsafe,
    sql = "
CREATE FUNCTION architect.mask_text(token bigint, number integer, value text) RETURNS text
    STRICT STABLE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"
)]
fn mask_text(token: i64, number: i32, value: &str) -> std::result::Result<String, ErrorReport> {
    Ok(ask(token, number, |pseudonyms| pseudonyms.text(value))?)
}

/// The pseudonym of a whole number; as mask_text. Errors: 42501. Not to be called by hand.
#[pg_extern(
    stable,
    parallel_unsafe,
    sql = "
CREATE FUNCTION architect.mask_integer(token bigint, number integer, value bigint) RETURNS bigint
    STRICT STABLE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';
"
)]
fn mask_integer(token: i64, number: i32, value: i64) -> std::result::Result<i64, ErrorReport> {
    Ok(ask(token, number, |pseudonyms| pseudonyms.integer(value))?)
}

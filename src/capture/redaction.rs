//! While a person is being erased, what is recorded of it holds no values: the event, its time, its row key and
//! which columns it concerned are kept. What was recorded before, the logs take out by themselves.

use crate::error::Result;
use pgrx::pg_sys;
use std::cell::Cell;

/// Rows of a table that are being erased, as logs may know them.
#[derive(Debug, Clone)]
pub struct Target {
    pub relid: pg_sys::Oid,
    pub schema: String,
    pub table: String,
    /// Values of the key columns, as text, of rows that are there; with the columns to clear, none for all.
    pub key_columns: Vec<String>,
    pub keys: Vec<Vec<Option<String>>>,
    /// The key itself identifies the person.
    pub clear_key: bool,
    /// References by which rows that are gone already are known: columns, and the values they had.
    pub references: Vec<(Vec<String>, Vec<Vec<Option<String>>>)>,
    /// Columns to clear; none: all but the key.
    pub columns: Option<Vec<String>>,
}

/// Everything that is to be taken out of a log.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    pub targets: Vec<Target>,
    /// Values that identify the person, and nobody else, wherever they stand.
    pub identities: Vec<String>,
    /// On whose order and why; stored with the seal.
    pub authority: String,
}

/// What a log has forgotten.
#[derive(Debug, Clone, Default)]
pub struct Redacted {
    pub object: String,
    pub entries: u64,
    pub contexts: u64,
    pub detail: String,
}

/// A log that records what tables held.
pub trait PersonalLog {
    /// Whether there is one.
    fn is_kept(&self) -> bool;

    /// Values that some columns of a person's row had before.
    fn former_values(&self, row: &Target, columns: &[String]) -> Result<Vec<String>>;

    /// Takes a person's values out, in this transaction: events, their times, actions and places stay.
    fn redact(&self, redaction: &Redaction) -> Result<Option<Redacted>>;
}

/// What stands for a value that was not recorded, or was taken out of the log, because it was erased.
pub const MARKER: &[u8] = b"{\"architect_redacted\":true}";
/// The name in it.
pub const MARKED: &str = "architect_redacted";

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

pub fn is_on() -> bool {
    ON.get()
}

/// Runs `work`, during which no values are recorded.
pub fn without_values<R>(work: impl FnOnce() -> R) -> R {
    struct Off(bool);
    impl Drop for Off {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _off = Off(ON.replace(true));
    work()
}

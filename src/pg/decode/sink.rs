//! Writing lines to the client.

use super::super::ffi::unguarded;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// A change that is left out tells PostgreSQL so once in so many, lest the client take a long silence
/// for a dead server.
const SILENCE: u32 = 100;

/// Where lines go.
pub struct Sink<'a> {
    pub(super) context: *mut pg_sys::LogicalDecodingContext,
    /// Changes left out since the client last heard of anything.
    pub(super) silent: &'a mut u32,
}

impl Sink<'_> {
    /// Sends one line, which is in the server's encoding.
    pub fn line(&mut self, line: &[u8]) {
        *self.silent = 0;
        let converted = self.converted(line);
        let bytes = converted.as_deref().unwrap_or(line);
        let context = self.context;
        // SAFETY: the context is the one of the callback that is running; the buffer it holds takes any
        // bytes by length. One boundary for all three calls: its frame owns nothing.
        unsafe {
            pg_guard_ffi_boundary(|| {
                unguarded::OutputPluginPrepareWrite(context, true);
                unguarded::appendBinaryStringInfo((*context).out, bytes.as_ptr().cast(), bytes.len() as i32);
                unguarded::OutputPluginWrite(context, true);
            })
        }
    }

    /// Whether lines go straight to a replication client, not through SQL: SQL functions keep their state
    /// in the writer's private pointer, a walsender does not.
    #[inline]
    pub fn is_stream(&self) -> bool {
        // SAFETY: the context of the running callback.
        unsafe { (*self.context).output_writer_private.is_null() }
    }

    /// Notes that a change was left out.
    #[inline]
    pub fn nothing(&mut self) {
        *self.silent += 1;
        if *self.silent >= SILENCE {
            self.progress(false);
        }
    }

    /// Lets the client know how far decoding is, though there was nothing to send.
    pub fn progress(&mut self, skipped_transaction: bool) {
        *self.silent = 0;
        // SAFETY: the context of the running callback.
        unsafe {
            #[cfg(feature = "pg14")]
            {
                let _ = skipped_transaction;
                pg_sys::OutputPluginUpdateProgress(self.context);
            }
            #[cfg(not(feature = "pg14"))]
            pg_sys::OutputPluginUpdateProgress(self.context, skipped_transaction);
        }
    }

    /// The line as UTF-8, JSON's encoding, where it goes straight to a replication client of a database
    /// in another one; through SQL it is text like any other and converted as such.
    fn converted(&self, line: &[u8]) -> Option<Vec<u8>> {
        // SAFETY: reads backend-local state.
        let encoding = unsafe { unguarded::GetDatabaseEncoding() };
        let needed = encoding != pg_sys::pg_enc::PG_UTF8 as i32
            && encoding != pg_sys::pg_enc::PG_SQL_ASCII as i32
            && self.is_stream();
        if !needed || line.is_ascii() {
            return None;
        }
        let convert = AssertUnwindSafe(|| {
            // SAFETY: a string of this length in the server's encoding; the result is nul-terminated and
            // lives in the row's context.
            unsafe {
                let text = pg_sys::pg_server_to_any(
                    line.as_ptr().cast(),
                    line.len() as i32,
                    pg_sys::pg_enc::PG_UTF8 as i32,
                );
                std::ffi::CStr::from_ptr(text).to_bytes().to_vec()
            }
        });
        // A character that Unicode has not: better a replacement than a slot that never moves on.
        let lossy = || line.iter().map(|&byte| if byte.is_ascii() { byte } else { b'?' }).collect();
        Some(PgTryBuilder::new(convert).catch_others(|_| lossy()).execute())
    }
}

/// A 32-bit transaction number with its epoch. What is decoded is never older than 2^31 transactions.
pub(super) fn widen(xid: pg_sys::TransactionId) -> u64 {
    // SAFETY: reads shared memory under its lock; raises no error.
    let next = unsafe { unguarded::ReadNextFullTransactionId() }.value;
    let full = (next & !0xffff_ffff) | u64::from(u32::from(xid));
    if full >= next { full.wrapping_sub(1 << 32) } else { full }
}

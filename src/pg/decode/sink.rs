//! Writing lines to the client.

use super::super::ffi::unguarded;
use crate::error::Error;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// A change that is left out tells PostgreSQL so once in so many, lest the client take a long silence
/// for a dead server.
const SILENCE: u32 = 100;

/// Room for what the replication protocol puts in front of a message (25 bytes).
const HEAD: usize = 32;

/// Buffers larger than this are given back after use.
const KEEP: usize = 8 << 20;

/// Lines on their way to the client, in the server's encoding.
pub struct Lines(Vec<u8>);

impl Default for Lines {
    fn default() -> Self {
        Self(vec![0; HEAD])
    }
}

impl Lines {
    /// To append to.
    #[inline]
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    #[inline]
    pub fn text(&self) -> &[u8] {
        &self.0[HEAD..]
    }

    #[inline]
    pub fn text_mut(&mut self) -> &mut [u8] {
        &mut self.0[HEAD..]
    }

    #[inline]
    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(HEAD + length);
    }

    fn clear(&mut self) {
        if self.0.capacity() > KEEP {
            *self = Self::default();
        }
        self.truncate(0);
    }
}

/// PostgreSQL's buffer while it borrows ours: it gets its own back, on the error path too.
struct Lent {
    place: pg_sys::StringInfo,
    content: pg_sys::StringInfoData,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: the buffer lives as long as the decoding context, which outlives the callback.
        unsafe { *self.place = self.content }
    }
}

/// Where lines go.
pub struct Sink<'a> {
    pub(super) context: *mut pg_sys::LogicalDecodingContext,
    /// Changes left out since the client last heard of anything.
    pub(super) silent: &'a mut u32,
}

impl Sink<'_> {
    /// Sends lines as one message, and empties their buffer.
    pub fn send(&mut self, lines: &mut Lines) {
        *self.silent = 0;
        match self.converted(lines.text()) {
            Some(mut converted) => self.write(&mut converted),
            None => self.write(lines),
        }
        lines.clear();
    }

    /// The bytes go out from where they are: PostgreSQL's own buffer, which would be as large again, borrows
    /// them for so long.
    fn write(&mut self, lines: &mut Lines) {
        let context = self.context;
        lines.0.push(0);
        // SAFETY: the context is the one of the callback that is running. Its writer puts a header into the
        // buffer, then reads all of it by length and changes none but bytes of the header.
        unsafe {
            pg_guard_ffi_boundary(|| unguarded::OutputPluginPrepareWrite(context, true));
            let own = (*context).out;
            let header = std::slice::from_raw_parts((*own).data.cast::<u8>(), (*own).len as usize);
            let length = header.len() + lines.0.len() - HEAD - 1;
            let (Some(start), Ok(length)) = (HEAD.checked_sub(header.len()), i32::try_from(length)) else {
                Error::internal("a line is too large to be sent").raise();
            };
            lines.0[start..HEAD].copy_from_slice(header);
            let _back = Lent { place: own, content: *own };
            *own = pg_sys::StringInfoData {
                data: lines.0.as_mut_ptr().add(start).cast(),
                len: length,
                maxlen: length.saturating_add(1),
                cursor: 0,
            };
            pg_guard_ffi_boundary(|| unguarded::OutputPluginWrite(context, true));
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
    fn converted(&self, line: &[u8]) -> Option<Lines> {
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
        let mut converted = Lines::default();
        converted.0.extend(PgTryBuilder::new(convert).catch_others(|_| lossy()).execute());
        Some(converted)
    }
}

/// A 32-bit transaction number with its epoch. What is decoded is never older than 2^31 transactions.
pub(super) fn widen(xid: pg_sys::TransactionId) -> u64 {
    // SAFETY: reads shared memory under its lock; raises no error.
    let next = unsafe { unguarded::ReadNextFullTransactionId() }.value;
    let full = (next & !0xffff_ffff) | u64::from(u32::from(xid));
    if full >= next { full.wrapping_sub(1 << 32) } else { full }
}

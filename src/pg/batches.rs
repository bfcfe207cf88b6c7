//! Reading a large result in batches: memory holds one batch, whatever the result's size.

use super::tuple::{Row, Values};
use crate::error::{Error, Result};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::varlena;

/// An open query. It sees what was committed, and what this transaction wrote, when it was opened, and
/// assigns no transaction id. Cursors and other queries of one function must be closed in the reverse
/// order of opening.
pub struct Cursor {
    portal: pg_sys::Portal,
}

/// One row of a batch; columns by position from zero, asked for by the type the query gives them.
pub struct Record {
    values: Values,
}

impl Cursor {
    pub fn open(query: &str, arguments: &[DatumWithOid]) -> Result<Self> {
        let query =
            std::ffi::CString::new(query).map_err(|_| Error::internal("a query contains a null byte"))?;
        let mut types: Vec<pg_sys::Oid> = arguments.iter().map(DatumWithOid::oid).collect();
        let mut nulls: Vec<std::ffi::c_char> = Vec::new();
        let mut datums: Vec<pg_sys::Datum> = Vec::new();
        for argument in arguments {
            let datum = argument.datum().map(|datum| datum.sans_lifetime());
            nulls.push(if datum.is_some() { b' ' } else { b'n' } as std::ffi::c_char);
            datums.push(datum.unwrap_or(pg_sys::Datum::from(0usize)));
        }
        // SAFETY: as many types, values and nulls as arguments, copied by SPI. Closed by Drop; after an
        // error the (sub)transaction's abort closes connection and portal.
        unsafe {
            if pg_sys::SPI_connect() < 0 {
                return Err(Error::internal("cannot connect to SPI"));
            }
            let portal = pg_sys::SPI_cursor_open_with_args(
                std::ptr::null(),
                query.as_ptr(),
                arguments.len() as i32,
                types.as_mut_ptr(),
                datums.as_mut_ptr(),
                nulls.as_ptr(),
                false,
                pg_sys::CURSOR_OPT_NO_SCROLL as i32,
            );
            if portal.is_null() {
                pg_sys::SPI_finish();
                return Err(Error::internal("an internal query cannot be opened"));
            }
            Ok(Self { portal })
        }
    }

    /// Hands over the next rows, `count` at most; returns how many there were.
    pub fn fetch(&mut self, count: usize, mut each: impl FnMut(&Record) -> Result<()>) -> Result<usize> {
        // SAFETY: the portal is open and no connection made later is; the rows live until the table is
        // freed, and no record outlives its call.
        unsafe {
            pg_sys::SPI_cursor_fetch(self.portal, true, count as i64 as _);
            let table = pg_sys::SPI_tuptable;
            let found = pg_sys::SPI_processed as usize;
            let mut outcome = Ok(());
            for i in 0..found {
                let row = Row {
                    tuple: *(*table).vals.add(i),
                    descriptor: (*table).tupdesc,
                    _lifetime: std::marker::PhantomData,
                };
                outcome = each(&Record { values: row.values() });
                if outcome.is_err() {
                    break;
                }
            }
            pg_sys::SPI_freetuptable(table);
            outcome.map(|()| found)
        }
    }

    /// Hands over every row, a batch at a time.
    pub fn each(mut self, mut each: impl FnMut(&Record) -> Result<()>) -> Result<()> {
        const BATCH: usize = 1024;
        while self.fetch(BATCH, &mut each)? == BATCH {}
        Ok(())
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: opened by `open`, closed once.
            unsafe {
                pg_sys::SPI_cursor_close(self.portal);
                pg_sys::SPI_finish();
            }
        }
    }
}

impl Record {
    pub fn is_null(&self, column: usize) -> bool {
        self.values.get(column).is_null()
    }

    /// A bigint, xid8, timestamptz (microseconds since 2000).
    pub fn i64(&self, column: usize) -> i64 {
        self.values.get(column).datum.value() as i64
    }

    pub fn i32(&self, column: usize) -> i32 {
        self.values.get(column).datum.value() as i32
    }

    pub fn char(&self, column: usize) -> u8 {
        self.values.get(column).datum.value() as u8
    }

    /// Appends a text, json or bytea value as it is stored; false where it is null.
    pub fn append_bytes(&self, column: usize, into: &mut Vec<u8>) -> bool {
        self.append(column, into, false)
    }

    /// Appends a text or json value in UTF-8, whatever the database's encoding; false where it is null.
    pub fn append_text(&self, column: usize, into: &mut Vec<u8>) -> bool {
        self.append(column, into, true)
    }

    pub fn bytes(&self, column: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append_bytes(column, &mut bytes).then_some(bytes)
    }

    pub fn text(&self, column: usize) -> Option<String> {
        let mut bytes = Vec::new();
        self.append_text(column, &mut bytes).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn append(&self, column: usize, into: &mut Vec<u8>, utf8: bool) -> bool {
        let value = self.values.get(column);
        if value.is_null() {
            return false;
        }
        // SAFETY: a varlena of a live row, as the caller's query says. What is fetched or converted is
        // palloc'd anew and freed here.
        unsafe {
            let stored: *mut pg_sys::varlena = value.datum.cast_mut_ptr();
            let flat = pg_sys::pg_detoast_datum_packed(stored);
            let bytes = varlena::varlena_to_byte_slice(flat);
            if utf8 && !bytes.is_empty() {
                let converted = pg_sys::pg_server_to_any(
                    bytes.as_ptr().cast(),
                    bytes.len() as i32,
                    pg_sys::pg_enc::PG_UTF8 as i32,
                );
                if converted.cast::<u8>().cast_const() == bytes.as_ptr() {
                    into.extend_from_slice(bytes);
                } else {
                    into.extend_from_slice(std::ffi::CStr::from_ptr(converted).to_bytes());
                    pg_sys::pfree(converted.cast());
                }
            } else {
                into.extend_from_slice(bytes);
            }
            if flat != stored {
                pg_sys::pfree(flat.cast());
            }
        }
        true
    }
}

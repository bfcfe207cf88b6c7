//! A row's change as the sections of an event.

use super::plan::{Column, Plan};
use crate::capture::image;
use crate::capture::policy::Mask;
use crate::cdc::event::{Body, Section};
use crate::error::Error;
use crate::pg::decode::Action;
use crate::pg::encode::Encoder;
use crate::pg::tuple::{Value, Values, same_image};
use crate::pg::{json, subtransaction};

/// Most bytes of a line: a StringInfo holds 1 GB, and what reads the line should hold it as jsonb.
const LIMIT: usize = 250_000_000;

/// What Debezium writes for a value that the WAL does not have.
const UNAVAILABLE: &[u8] = b"\"__debezium_unavailable_value\"";

/// Columns by what became of them; kept from row to row for its memory.
#[derive(Default)]
pub struct Notes {
    changed: Vec<usize>,
    unchanged_toast: Vec<usize>,
}

pub struct Row<'a> {
    pub plan: &'a Plan,
    pub encoder: &'a Encoder,
    pub action: Action,
    pub old: Option<&'a Values>,
    pub new: Option<&'a Values>,
    pub notes: &'a mut Notes,
    /// Write something for a value the WAL does not have.
    pub placeholder: bool,
}

impl Body for Row<'_> {
    fn write(&mut self, section: Section, out: &mut Vec<u8>) -> bool {
        match section {
            Section::Key => self.key(out),
            Section::Old => self.old_image(out),
            Section::New => self.new_image(out),
            Section::Changed => {
                let known = self.plan.full && self.action == Action::Update && self.old.is_some();
                if known {
                    self.list(&self.notes.changed, out);
                }
                known
            }
            Section::UnchangedToast => {
                self.list(&self.notes.unchanged_toast, out);
                !self.notes.unchanged_toast.is_empty()
            }
            Section::Masked => {
                out.extend_from_slice(&self.plan.masked);
                !self.plan.masked.is_empty()
            }
            Section::Payload | Section::Headers => false,
        }
    }
}

impl Row<'_> {
    fn key(&mut self, out: &mut Vec<u8>) -> bool {
        if self.plan.key.is_empty() {
            return false;
        }
        out.push(b'{');
        for (n, &i) in self.plan.key.iter().enumerate() {
            let value = match self.new {
                Some(_) => self.current(i),
                None => self.old.filter(|_| self.plan.columns[i].logged).map(|old| old.get(i)),
            };
            let Some(value) = value else {
                // Without it no row is meant: say that it is not known.
                while out.pop() != Some(b'{') {}
                out.extend_from_slice(b"null");
                return true;
            };
            if n > 0 {
                out.push(b',');
            }
            self.label(i, out);
            self.put(i, value, true, out);
        }
        out.push(b'}');
        true
    }

    fn old_image(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(old) = self.old else { return false };
        let mut first = true;
        out.push(b'{');
        for &i in self.plan.shown.iter().filter(|&&i| self.plan.columns[i].logged) {
            separate(&mut first, out);
            self.label(i, out);
            self.put(i, old.get(i), false, out);
        }
        out.push(b'}');
        true
    }

    fn new_image(&mut self, out: &mut Vec<u8>) -> bool {
        self.notes.changed.clear();
        self.notes.unchanged_toast.clear();
        let Some(new) = self.new else { return false };
        let before = self.old.filter(|_| self.plan.full && self.action == Action::Update);
        let mut first = true;
        out.push(b'{');
        for &i in &self.plan.shown {
            let column = &self.plan.columns[i];
            let Some(value) = self.current(i) else {
                self.notes.unchanged_toast.push(i);
                if self.placeholder {
                    separate(&mut first, out);
                    self.label(i, out);
                    out.extend_from_slice(UNAVAILABLE);
                }
                continue;
            };
            if let Some(before) = before
                && !new.get(i).is_on_disk(column.storage)
                && !same_image(column.storage, before.get(i), value)
            {
                self.notes.changed.push(i);
            }
            separate(&mut first, out);
            self.label(i, out);
            self.put(i, value, false, out);
        }
        out.push(b'}');
        true
    }

    /// A column's value in the row as it is now; none where the WAL does not have it, because an UPDATE
    /// left alone what is stored out of line.
    #[inline]
    fn current(&self, i: usize) -> Option<Value> {
        let storage = self.plan.columns[i].storage;
        let value = self.new?.get(i);
        if !value.is_on_disk(storage) {
            return Some(value);
        }
        let old = self.old.filter(|_| self.plan.columns[i].logged)?.get(i);
        (!old.is_on_disk(storage)).then_some(old)
    }

    #[inline]
    fn label(&self, i: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.plan.columns[i].label());
    }

    fn list(&self, columns: &[usize], out: &mut Vec<u8>) {
        let mut first = true;
        out.push(b'[');
        for &i in columns {
            separate(&mut first, out);
            out.extend_from_slice(self.plan.columns[i].name());
        }
        out.push(b']');
    }

    #[inline]
    fn put(&self, i: usize, value: Value, as_key: bool, out: &mut Vec<u8>) {
        let column = &self.plan.columns[i];
        match column.mask {
            None => self.plain(i, column, value, as_key, out),
            Some(_) if value.is_null() => out.extend_from_slice(b"null"),
            Some(Mask::Null) => out.extend_from_slice(b"null"),
            Some(Mask::Constant) => out.extend_from_slice(b"\"***\""),
            Some(Mask::Hash) => {
                let start = out.len();
                self.plain(i, column, value, as_key, out);
                image::hash(start, out);
            }
        }
    }

    #[inline]
    fn plain(&self, i: usize, column: &Column, value: Value, as_key: bool, out: &mut Vec<u8>) {
        if value.is_on_disk(column.storage) {
            out.extend_from_slice(b"{\"architect_unavailable\":true}");
            return;
        }
        let start = out.len();
        let mut encode = || {
            let written = if as_key {
                self.encoder.write_key(i, value, out, LIMIT)
            } else {
                self.encoder.write(i, value, out, LIMIT)
            };
            if let Err(oversize) = written {
                oversize.mark(out);
            }
        };
        if !self.plan.careful.get() {
            encode();
        } else if let Err(error) = subtransaction::attempt(|| {
            encode();
            Ok(())
        }) {
            out.truncate(start);
            if error.is_cancel() {
                error.raise();
            }
            unreadable(&error, out);
        }
        if self.plan.any_encoding && std::str::from_utf8(&out[start..]).is_err() {
            let bytes = out.split_off(start);
            out.extend_from_slice(b"{\"architect_bytes\":");
            json::hex(&bytes, out);
            out.push(b'}');
        }
    }
}

/// Stands in for a value that its type's output function refuses to write.
fn unreadable(error: &Error, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"architect_unreadable\":");
    json::string(error.message().as_bytes(), out);
    out.push(b'}');
}

#[inline]
fn separate(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}

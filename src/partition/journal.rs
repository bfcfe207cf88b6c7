//! What maintenance did: one row for every action and every refusal.

use crate::error::Result;
use crate::pg::procedure::Procedure;
use crate::pg::{security, spi};
use pgrx::pg_sys;
use std::time::Instant;

/// Runs whose actions are kept.
const KEPT: i64 = 1000;

pub struct Note {
    pub relid: pg_sys::Oid,
    pub parent: String,
    pub object: String,
    pub action: &'static str,
    pub detail: String,
    pub took_ms: i64,
}

/// One run, and what is to be written down about it.
pub struct Journal {
    pub run: i64,
    /// Not yet written.
    notes: Vec<Note>,
    written: Vec<Note>,
    pub failed: i32,
}

impl Journal {
    pub fn begin(procedure: &Procedure) -> Result<Self> {
        let run = procedure.transaction(|| {
            let by = security::role_name(security::session_role());
            security::as_extension_owner(|| {
                let run = spi::run_one::<i64>(
                    "INSERT INTO architect.partition_run (run_by) VALUES ($1) RETURNING run_id",
                    &[by.into()],
                )?
                .unwrap_or_default();
                spi::run("DELETE FROM architect.partition_run WHERE run_id <= $1", &[(run - KEPT).into()])?;
                Ok(run)
            })
        })?;
        Ok(Self { run, notes: Vec::new(), written: Vec::new(), failed: 0 })
    }

    /// Notes what was done to a table; kept by the next `write`.
    pub fn note(
        &mut self,
        (relid, parent): (pg_sys::Oid, &str),
        object: impl Into<String>,
        action: &'static str,
        detail: impl Into<String>,
        begun: Instant,
    ) {
        if matches!(action, "failed" | "conflict") {
            self.failed += 1;
        }
        self.notes.push(Note {
            relid,
            parent: parent.to_owned(),
            object: object.into(),
            action,
            detail: detail.into(),
            took_ms: begun.elapsed().as_millis() as i64,
        });
    }

    /// What was noted: first what is written down already.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.written.iter().chain(&self.notes)
    }

    pub fn write(&mut self, procedure: &Procedure) -> Result<()> {
        if self.notes.is_empty() {
            return Ok(());
        }
        let (run, notes) = (self.run, std::mem::take(&mut self.notes));
        procedure.transaction(|| {
            security::as_extension_owner(|| {
                for note in &notes {
                    spi::run(
                        "INSERT INTO architect.partition_action
                             (run_id, relid, parent_name, object_name, action, detail, took_ms)
                         VALUES ($1, $2, $3, $4, $5, $6, $7)",
                        &[
                            run.into(),
                            note.relid.into(),
                            note.parent.as_str().into(),
                            note.object.as_str().into(),
                            note.action.into(),
                            note.detail.as_str().into(),
                            note.took_ms.into(),
                        ],
                    )?;
                }
                Ok(())
            })
        })?;
        self.written.extend(notes);
        Ok(())
    }

    /// Returns how much failed.
    pub fn finish(&mut self, procedure: &Procedure) -> Result<i32> {
        self.write(procedure)?;
        let (run, failed) = (self.run, self.failed);
        procedure.transaction(|| {
            security::as_extension_owner(|| {
                spi::run(
                    "UPDATE architect.partition_run SET finished_at = clock_timestamp(), failed = $2 WHERE run_id = $1",
                    &[run.into(), failed.into()],
                )
            })
        })?;
        Ok(failed)
    }
}

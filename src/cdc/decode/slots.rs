//! Replication slots: how far behind they are, and moving those along that nothing happens for.

use super::advice::Slot;
use super::message::HEARTBEAT;
use crate::error::{Error, Result};
use crate::maintenance::{Run, Step};
use crate::pg::{session, spi, subtransaction};

pub const STEPS: &[Step] = &[Step { name: "wal heartbeat", run: beat }];

/// A slot with what is shown of it.
pub struct Listed {
    pub name: String,
    pub plugin: Option<String>,
    pub database: Option<String>,
    pub pid: Option<i32>,
    pub two_phase: bool,
    pub slot: Slot,
}

/// Every slot of the cluster: any of them can fill the disk.
pub fn list() -> Result<Vec<Listed>> {
    spi::read(
        "SELECT s.slot_name::pg_catalog.text, s.plugin::pg_catalog.text, s.database::pg_catalog.text, s.active, s.active_pid,
                s.wal_status, s.two_phase,
                pg_catalog.pg_wal_lsn_diff(here.lsn, s.confirmed_flush_lsn)::pg_catalog.int8,
                pg_catalog.pg_wal_lsn_diff(here.lsn, s.restart_lsn)::pg_catalog.int8,
                s.safe_wal_size,
                NULLIF(keep.setting, '-1')::pg_catalog.int8 OPERATOR(pg_catalog.*) 1048576,
                usual.setting::pg_catalog.int8 OPERATOR(pg_catalog.*) 1048576
           FROM pg_catalog.pg_replication_slots AS s,
                pg_catalog.pg_settings AS keep, pg_catalog.pg_settings AS usual,
                (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                             ELSE pg_catalog.pg_current_wal_insert_lsn() END) AS here (lsn)
          WHERE keep.name OPERATOR(pg_catalog.=) 'max_slot_wal_keep_size' AND usual.name OPERATOR(pg_catalog.=) 'max_wal_size'
          ORDER BY s.slot_name",
        &[],
        |row| {
            let plugin: Option<String> = row.get(2)?;
            Ok(Listed {
                name: row.get(1)?.unwrap_or_default(),
                database: row.get(3)?,
                pid: row.get(5)?,
                two_phase: row.get(7)?.unwrap_or_default(),
                slot: Slot {
                    ours: plugin.as_deref() == Some("db_architect"),
                    active: row.get(4)?.unwrap_or_default(),
                    wal_status: row.get(6)?,
                    lag: row.get(8)?,
                    retained: row.get(9)?,
                    safe: row.get(10)?,
                    limit: row.get(11)?,
                    usual: row.get(12)?.unwrap_or_default(),
                },
                plugin,
            })
        },
    )
}

/// What was done with a slot.
pub struct Moved {
    pub slot: String,
    pub action: &'static str,
    pub detail: String,
}

/// Our slots of this database: those being read get a heartbeat; those nobody reads are moved to the end
/// of the WAL where nothing in it is for them, if `unread` asks for that.
pub fn advance(unread: bool) -> Result<Vec<Moved>> {
    if session::in_recovery() {
        return Err(Error::not_in_prerequisite_state("slots cannot be moved along during recovery")
            .hint("Call it on the primary server."));
    }
    let database = session::database_name();
    let here = |listed: &Listed| {
        listed.slot.ours && listed.database.as_deref().is_some_and(|name| name.as_bytes() == database)
    };
    let ours: Vec<Listed> = list()?.into_iter().filter(here).collect();
    let mut moved = Vec::new();
    for listed in ours.iter().filter(|listed| !listed.slot.active && unread) {
        moved.push(advance_unread(listed)?);
    }
    if ours.iter().any(|listed| listed.slot.active) {
        let lsn = heartbeat()?;
        moved.extend(ours.into_iter().filter(|listed| listed.slot.active).map(|listed| Moved {
            slot: listed.name,
            action: "heartbeat",
            detail: format!("A heartbeat was written at {lsn}."),
        }));
    }
    Ok(moved)
}

/// Transactional, so that its commit puts it on disk at once and decoders see the end of a transaction.
fn heartbeat() -> Result<String> {
    let lsn = spi::run_one::<String>(
        "SELECT pg_catalog.pg_logical_emit_message(true, $1, '')::pg_catalog.text",
        &[HEARTBEAT.into()],
    )?;
    Ok(lsn.unwrap_or_default())
}

/// Moves a slot over WAL that has nothing for it. Read with no filter but the tables this upkeep itself
/// writes to, because nobody knows which options its consumer will come with.
fn advance_unread(listed: &Listed) -> Result<Moved> {
    let done = |action, detail: String| Ok(Moved { slot: listed.name.clone(), action, detail });
    if listed.slot.wal_status.as_deref() == Some("lost") {
        return done("skipped", "WAL it needs is gone.".into());
    }
    let outcome = subtransaction::attempt(|| {
        let target =
            spi::run_one::<String>("SELECT pg_catalog.pg_current_wal_flush_lsn()::pg_catalog.text", &[])?
                .unwrap_or_default();
        let waiting = spi::run_one::<String>(
            "SELECT lsn::pg_catalog.text FROM pg_catalog.pg_logical_slot_peek_changes($1::pg_catalog.name, $2::pg_catalog.pg_lsn, 1,
                 'include-transaction', 'false', 'tables', '*.*, architect.*',
                 'exclude-tables', 'architect.maintenance_run, architect.maintenance_result',
                 'operations', 'insert, update, delete, truncate, event, message') LIMIT 1",
            &[listed.name.as_str().into(), target.as_str().into()],
        )?;
        if waiting.is_some() {
            return Ok((target, waiting));
        }
        spi::run(
            "SELECT FROM pg_catalog.pg_replication_slot_advance($1::pg_catalog.name, $2::pg_catalog.pg_lsn)",
            &[listed.name.as_str().into(), target.as_str().into()],
        )?;
        Ok((target, None))
    });
    match outcome {
        Ok((_, Some(lsn))) => done("kept", format!("Changes are waiting for its consumer, from {lsn}.")),
        Ok((target, None)) => done("advanced", format!("Nothing was waiting; it is at {target} now.")),
        Err(error) if error.is_cancel() => Err(error),
        // Its consumer has come back, for one.
        Err(error) => done("skipped", error.one_line()),
    }
}

/// A heartbeat where somebody reads a slot of ours: a reader that confirms only what it was sent would
/// otherwise hold back WAL that other databases write.
fn beat(run: &mut Run) -> Result<()> {
    if session::in_recovery() {
        return Ok(());
    }
    for moved in run.transaction(|| advance(false))? {
        run.note(moved.slot, moved.action, moved.detail);
    }
    Ok(())
}

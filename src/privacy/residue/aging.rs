//! What is on disk until something overwrites it.

use super::touched;
use crate::error::Result;
use crate::pg::subtransaction::attempt;
use crate::pg::{security, spi};
use crate::privacy::request::Request;
use crate::privacy::verify::Place;

/// What is on disk until something overwrites it.
pub fn places(request: &Request) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let objects = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT d.object_name, pg_catalog.max(d.executed_at)::pg_catalog.text FROM architect.data_deletion_log AS d
              WHERE d.request_id OPERATOR(pg_catalog.=) $1 AND d.rows_affected OPERATOR(pg_catalog.>) 0
              GROUP BY 1 ORDER BY 1",
            &[request.request_id.into()],
            |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
        )
    })?;
    let not_rewritten = touched::not_rewritten(request)?;
    for (object, at) in objects {
        let relations = touched::relations(&object);
        let vacuumed = spi::read_one_now::<bool>(
            "SELECT pg_catalog.bool_and((GREATEST(s.last_vacuum, s.last_autovacuum) OPERATOR(pg_catalog.>) $2::pg_catalog.timestamptz) IS TRUE)
               FROM pg_catalog.unnest($1) AS r (oid)
               LEFT JOIN LATERAL pg_catalog.pg_partition_tree(r.oid) AS p ON p.isleaf
               JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid OPERATOR(pg_catalog.=) COALESCE(p.relid::pg_catalog.oid, r.oid)",
            &[relations.into(), at.into()],
        );
        places.extend(dead_rows(&object, vacuumed == Some(true), not_rewritten.contains(&object)));
    }
    places.extend(wal(request)?);
    places.extend(holders()?);
    Ok(places)
}

/// Old versions of rows, and what is left of them where VACUUM has freed their space: it overwrites nothing.
fn dead_rows(object: &str, vacuumed: bool, same_files: bool) -> [Place; 2] {
    let tables = match object {
        "architect.audit_log" => "architect.audit_entry, architect.capture_context",
        "architect.change_log" => {
            "architect.change_entry, architect.cdc_dead_letter, architect.capture_context"
        }
        table => table,
    };
    let dead = Place::new(
        format!("dead rows of {object}"),
        if vacuumed || !same_files { "clear" } else { "pending" },
        "the old versions of the rows, and index entries",
    );
    let bytes = Place::new(
        format!("bytes on pages of {object}"),
        if same_files { "pending" } else { "clear" },
        "of its rows and index entries, where nothing has overwritten them",
    );
    [
        if vacuumed || !same_files { dead } else { dead.clear_by(format!("VACUUM {tables}")) },
        if same_files {
            bytes.clear_by(format!(
                "VACUUM FULL {tables} rewrites table and indexes; or wait until the space is used again"
            ))
        } else {
            bytes
        },
    ]
}

fn wal(request: &Request) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let outcome = attempt(|| {
        security::as_extension_owner(|| {
            spi::read_now(
                "SELECT (SELECT pg_catalog.min(w.name) FROM pg_catalog.pg_ls_waldir() AS w
                      WHERE w.name OPERATOR(pg_catalog.~) '^[0-9A-F]{24}$')
                    OPERATOR(pg_catalog.>) pg_catalog.pg_walfile_name(r.erased_lsn)
               FROM architect.privacy_request AS r WHERE r.request_id OPERATOR(pg_catalog.=) $1",
                &[request.request_id.into()],
                |row| row.get::<bool>(1),
            )
        })
    });
    places.push(match outcome.map(|rows| rows.into_iter().flatten().next()) {
        Ok(Some(true)) => Place::new("write-ahead log", "clear", "the files of that time are recycled"),
        Ok(_) => Place::new("write-ahead log", "pending", "files of that time are still there").clear_by(
            "recycled by itself after checkpoints; CHECKPOINT, and pg_switch_wal() on a quiet server",
        ),
        Err(_) => Place::new("write-ahead log", "not searched", "its files may be listed by pg_monitor only"),
    });
    let slots = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT s.slot_name::pg_catalog.text FROM pg_catalog.pg_replication_slots AS s
           JOIN architect.privacy_request AS r ON r.request_id OPERATOR(pg_catalog.=) $1
          WHERE s.restart_lsn OPERATOR(pg_catalog.<) r.erased_lsn ORDER BY 1",
            &[request.request_id.into()],
            |row| row.get::<String>(1),
        )
    });
    for slot in slots?.into_iter().flatten() {
        places.push(
            Place::new(
                format!("replication slot {}", pgrx::spi::quote_identifier(&slot)),
                "pending",
                "keeps the write-ahead log of that time",
            )
            .clear_by("let its consumer catch up, or drop the slot"),
        );
    }
    Ok(places)
}

/// What keeps VACUUM from taking old versions away.
fn holders() -> Result<Vec<Place>> {
    let prepared = spi::read_now(
        "SELECT p.gid FROM pg_catalog.pg_prepared_xacts AS p
          WHERE p.database OPERATOR(pg_catalog.=) pg_catalog.current_database() ORDER BY 1",
        &[],
        |row| row.get::<String>(1),
    )?;
    Ok(prepared
        .into_iter()
        .flatten()
        .map(|gid| {
            Place::new(
                "prepared transactions",
                "pending",
                format!("{gid} may hold values, and keeps VACUUM back"),
            )
            .clear_by("COMMIT PREPARED or ROLLBACK PREPARED")
        })
        .collect())
}

//! Places other than tables: statistics, large objects, what is left on disk until it is overwritten, and what is
//! outside the database.

use super::identity::Seeker;
use super::request::Request;
use super::verify::Place;
use crate::error::Result;
use crate::pg::batches::Cursor;
use crate::pg::subtransaction::attempt;
use crate::pg::{security, spi};

/// What ANALYZE has kept of columns: readable through pg_stats until it runs again.
pub fn statistics(seeker: &Seeker) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for (view, kind) in [
        (
            "SELECT pg_catalog.format('%I.%I', s.schemaname, s.tablename), pg_catalog.format('column %I', s.attname),
                    pg_catalog.concat_ws(' ', s.most_common_vals::pg_catalog.text, s.histogram_bounds::pg_catalog.text,
                                         s.most_common_elems::pg_catalog.text)
               FROM pg_catalog.pg_stats AS s WHERE s.schemaname OPERATOR(pg_catalog.<>) 'pg_catalog'",
            "pg_stats",
        ),
        (
            "SELECT pg_catalog.format('%I.%I', s.schemaname, s.tablename), pg_catalog.format('statistics %I', s.statistics_name),
                    s.most_common_vals::pg_catalog.text
               FROM pg_catalog.pg_stats_ext AS s WHERE s.most_common_vals IS NOT NULL",
            "pg_stats_ext",
        ),
    ] {
        Cursor::open(view, &[])?.each(|row| {
            if row.text(2).is_some_and(|text| seeker.finds(&text)) {
                let table = row.text(0).unwrap_or_default();
                let what = row.text(1).unwrap_or_default();
                places.push(
                    Place::new(format!("{kind} of {table}"), "present", what)
                        .clear_by(format!("ANALYZE {table}")),
                );
            }
            Ok(())
        })?;
    }
    if places.is_empty() {
        let detail = if is_superuser() { "all of them" } else { "those of tables you may read" };
        places.push(Place::new("planner statistics", "clear", detail));
    }
    Ok(places)
}

fn is_superuser() -> bool {
    spi::read_one_now::<bool>(
        "SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) $1",
        &[security::current_role().into()],
    ) == Some(true)
}

pub fn large_objects(seeker: &Seeker) -> Result<Vec<Place>> {
    let there =
        spi::read_one_now::<bool>("SELECT true FROM pg_catalog.pg_largeobject_metadata AS m LIMIT 1", &[]);
    if there.is_none() {
        return Ok(Vec::new());
    }
    if !is_superuser() {
        return Ok(vec![
            Place::new("large objects", "not searched", "only a superuser may")
                .clear_by("call this as a superuser"),
        ]);
    }
    // A page and the next one: a value may lie across both.
    let mut found = Vec::new();
    let mut last: Option<(i64, Vec<u8>)> = None;
    Cursor::open(
        "SELECT l.loid::pg_catalog.int8, l.data FROM pg_catalog.pg_largeobject AS l ORDER BY l.loid, l.pageno",
        &[],
    )?
    .each(|row| {
        let (oid, data) = (row.i64(0), row.bytes(1).unwrap_or_default());
        let mut text = match &last {
            Some((before, tail)) if *before == oid => tail.clone(),
            _ => Vec::new(),
        };
        text.extend_from_slice(&data);
        if seeker.finds(&String::from_utf8_lossy(&text)) && found.last() != Some(&oid) {
            found.push(oid);
        }
        let tail = data[data.len().saturating_sub(512)..].to_vec();
        last = Some((oid, tail));
        Ok(())
    })?;
    if found.is_empty() {
        return Ok(vec![Place::new("large objects", "clear", "all of them")]);
    }
    Ok(found
        .into_iter()
        .map(|oid| {
            Place::new(format!("large object {oid}"), "present", "")
                .clear_by(format!("SELECT lo_unlink({oid}), then VACUUM pg_largeobject"))
        })
        .collect())
}

/// Statement texts, where pg_stat_statements keeps them.
pub fn statements(seeker: &Seeker) -> Result<Vec<Place>> {
    let schema = spi::read_one_now::<String>(
        "SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_extension AS e
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
          WHERE e.extname OPERATOR(pg_catalog.=) 'pg_stat_statements'",
        &[],
    );
    let Some(schema) = schema else { return Ok(Vec::new()) };
    let view = crate::pg::lookup::qualify(&schema, "pg_stat_statements");
    let outcome = attempt(|| {
        let mut found = 0;
        Cursor::open(&format!("SELECT s.query FROM {view} AS s"), &[])?.each(|row| {
            found += u64::from(row.text(0).is_some_and(|text| seeker.finds(&text)));
            Ok(())
        })?;
        Ok(found)
    });
    Ok(vec![match outcome {
        Ok(0) => Place::new("pg_stat_statements", "clear", "texts of statements"),
        Ok(found) => Place::new("pg_stat_statements", "present", format!("{found} texts of statements"))
            .clear_by("SELECT pg_stat_statements_reset()"),
        Err(error) => Place::new("pg_stat_statements", "not searched", error.message()),
    }])
}

/// What is on disk until something overwrites it.
pub fn aging(request: &Request) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let tables = security::as_extension_owner(|| {
        spi::read_now(
            "SELECT l.object_name,
                    pg_catalog.bool_and(COALESCE(GREATEST(s.last_vacuum, s.last_autovacuum) OPERATOR(pg_catalog.>) l.at, false))
               FROM (SELECT d.object_name, pg_catalog.to_regclass(CASE d.object_name WHEN 'architect.audit_log' THEN 'architect.audit_entry'
                                   WHEN 'architect.change_log' THEN 'architect.change_entry' ELSE d.object_name END) AS relation, pg_catalog.max(d.executed_at) AS at
                       FROM architect.data_deletion_log AS d
                      WHERE d.request_id OPERATOR(pg_catalog.=) $1 AND d.rows_affected OPERATOR(pg_catalog.>) 0
                      GROUP BY 1) AS l
               JOIN pg_catalog.pg_stat_all_tables AS s
                 ON s.relid OPERATOR(pg_catalog.=) l.relation::pg_catalog.oid
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(l.relation) AS p WHERE p.isleaf)
                 OR s.relid OPERATOR(pg_catalog.=) ANY (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(l.relation) AS p
                                                         WHERE p.isleaf)
              GROUP BY l.object_name ORDER BY l.object_name",
            &[request.request_id.into()],
            |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<bool>(2)?)),
        )
    })?;
    for (table, vacuumed) in tables {
        places.push(if vacuumed == Some(true) {
            Place::new(
                format!("dead rows of {table}"),
                "clear",
                "vacuumed since; bytes may stay in table and index pages until they are overwritten",
            )
            .clear_by(format!("VACUUM FULL {table} rewrites table and indexes"))
        } else {
            Place::new(
                format!("dead rows of {table}"),
                "pending",
                "the old versions of the rows, and index entries",
            )
            .clear_by(format!("VACUUM {table}"))
        });
    }
    places.extend(wal(request)?);
    places.extend(holders()?);
    Ok(places)
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

/// What the database cannot look into.
pub fn outside(request: &Request) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let earliest = security::as_extension_owner(|| {
        spi::read_one_now::<String>(
            "SELECT (r.erased_at OPERATOR(pg_catalog.+) s.backup_retention)::pg_catalog.text
               FROM architect.privacy_request AS r, architect.privacy_setting AS s
              WHERE r.request_id OPERATOR(pg_catalog.=) $1",
            &[request.request_id.into()],
        )
    });
    let how = "restoring one: reapply_tombstones(); set_privacy_rules(backup_retention => ...) says when they are gone";
    places.push(Place {
        earliest,
        ..Place::new("backups and archived write-ahead log", "outside", "kept elsewhere").clear_by(how)
    });
    places.push(
        Place::new("server log", "outside", "statements and messages of before, as far as they were logged")
            .clear_by("the log's own retention"),
    );
    let list = |query: &str| -> Result<Vec<String>> {
        Ok(spi::read_now(query, &[], |row| row.get::<String>(1))?.into_iter().flatten().collect())
    };
    for table in list(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.relkind OPERATOR(pg_catalog.=) 'f' ORDER BY 1",
    )? {
        places.push(Place::new(
            format!("foreign table {table}"),
            "outside",
            "its rows are on another server",
        ));
    }
    for publication in
        list("SELECT p.pubname::pg_catalog.text FROM pg_catalog.pg_publication AS p ORDER BY 1")?
    {
        places.push(
            Place::new(format!("subscribers of publication {publication}"), "outside", "they have copies")
                .clear_by("deletes and updates reach them by replication; check there"),
        );
    }
    Ok(places)
}

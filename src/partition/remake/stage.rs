//! The new tables before they are attached: partitions of a staging table divided like the real one, so
//! that PostgreSQL itself puts each row where it belongs. And what notes changes meanwhile.

use super::run::Settings;
use crate::capture::exchange;
use crate::error::{Error, Result};
use crate::partition::job;
use crate::partition::online::tell;
use crate::partition::table::{Parent, Partition};
use crate::partition::template::Template;
use crate::pg::{lookup, security, spi, subtransaction};
use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, quote_literal};

/// Constraint that proves a new partition's bounds.
const BOUND: &str = "architect_piece_bound";
const ROW_TRIGGER: &str = "architect_note_changes";
const TRUNCATE_TRIGGER: &str = "architect_note_truncate";

/// Makes the staging table, the new tables with nothing but the key that tells rows apart, and the table
/// of noted keys.
pub fn create(settings: &Settings, parent: &Parent, like: &Partition) -> Result<()> {
    // What becomes of these tables is told when they are attached.
    exchange::unfollowed(|| create_all(settings, parent, like))
}

fn create_all(settings: &Settings, parent: &Parent, like: &Partition) -> Result<()> {
    let (stage, real) = (settings.stage(), parent.qualified_name());
    let divided = spi::read_one_now::<String>("SELECT pg_get_partkeydef($1)", &[parent.oid.into()])
        .ok_or_else(|| Error::internal("a partitioned table has no key"))?;
    spi::run(
        &format!(
            "CREATE TABLE {stage} (LIKE {real} INCLUDING DEFAULTS INCLUDING GENERATED) PARTITION BY {divided}"
        ),
        &[],
    )?;
    let template = Template::of(parent, Some(like), None, true)?;
    for piece in &settings.pieces {
        let table = settings.qualify(&piece.name);
        spi::run(&template.create(&real, &table, None), &[])?;
        for statement in template.before_attaching(&table) {
            spi::run(&statement, &[])?;
        }
        spi::run(
            &format!(
                "ALTER TABLE {stage} ATTACH PARTITION {table} FOR VALUES FROM ({}) TO ({})",
                piece.low, piece.high
            ),
            &[],
        )?;
        let oid = settings.oid(&piece.name)?;
        let bound = spi::read_one_now::<String>("SELECT pg_get_partition_constraintdef($1)", &[oid.into()])
            .ok_or_else(|| Error::internal("a partition has no bounds"))?;
        spi::run(&format!("ALTER TABLE {table} ADD CONSTRAINT {BOUND} CHECK ({bound})"), &[])?;
    }
    add_index(settings, pg_sys::Oid::from(settings.key.index))?;
    let columns: Vec<String> = settings.key.columns.iter().map(quote_identifier).collect();
    spi::run(
        &format!(
            "CREATE TABLE {} AS SELECT {} FROM ONLY {real} WITH NO DATA",
            settings.noted(),
            columns.join(", ")
        ),
        &[],
    )?;
    Ok(())
}

/// An index or constraint of the partitioned table on the staging table, and so on every new one.
pub fn add_index(settings: &Settings, index: pg_sys::Oid) -> Result<()> {
    let stage = settings.stage();
    let constraint = spi::read_one_now::<String>(
        "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint AS c WHERE c.conindid = $1 AND c.contype IN ('p', 'u')",
        &[index.into()],
    );
    match constraint {
        Some(definition) => spi::run(&format!("ALTER TABLE {stage} ADD {definition}"), &[]),
        None => spi::run(&job::index_below(index, &stage)?, &[]),
    }?;
    Ok(())
}

/// The partitioned table's other indexes.
pub fn other_indexes(settings: &Settings) -> Result<Vec<pg_sys::Oid>> {
    spi::read_now(
        "SELECT x.indexrelid FROM pg_index AS x WHERE x.indrelid = $1 AND x.indexrelid <> $2 ORDER BY 1",
        &[pg_sys::Oid::from(settings.parent).into(), pg_sys::Oid::from(settings.key.index).into()],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}

/// The partitioned table's foreign keys to other tables: name and definition. One to itself would have copies
/// of rows refer to it; one to a partitioned table has a part for each of its partitions.
pub fn foreign_keys(settings: &Settings) -> Result<Vec<(String, String)>> {
    spi::read_now(
        "SELECT c.conname::text, pg_get_constraintdef(c.oid) FROM pg_constraint AS c
          WHERE c.conrelid = $1 AND c.confrelid <> $1 AND c.contype = 'f'
            AND NOT EXISTS (SELECT FROM pg_constraint AS whole WHERE whole.oid = c.conparentid AND whole.conrelid = c.conrelid)
          ORDER BY c.oid",
        &[pg_sys::Oid::from(settings.parent).into()],
        |row| Ok((row.get::<String>(1)?.unwrap_or_default(), row.get::<String>(2)?.unwrap_or_default())),
    )
}

pub fn has_constraint(table: pg_sys::Oid, name: &str) -> Option<bool> {
    spi::read_one_now::<bool>(
        "SELECT c.convalidated FROM pg_constraint AS c WHERE c.conrelid = $1 AND c.conname = $2::name",
        &[table.into(), name.into()],
    )
}

/// From the end of this transaction on every change is noted: who has written before has committed before,
/// since the lock this takes waits for them. As the extension's owner, who may use the trigger function.
pub fn watch(settings: &Settings) -> Result<()> {
    for source in &settings.sources {
        let source = pg_sys::Oid::from(*source);
        let Some(table) = lookup::qualified_name(source) else { continue };
        spi::run(&format!("LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE"), &[])?;
        let mut arguments = vec![quote_literal(settings.oid(&settings.noted_name())?.to_u32().to_string())];
        for column in &settings.key.columns {
            let number = crate::catalog::relation::column_number(source, column)
                .ok_or_else(|| Error::internal("a partition lacks a column"))?;
            arguments.push(quote_literal(number.to_string()));
        }
        let arguments = arguments.join(", ");
        security::as_extension_owner(|| {
            for statement in [
                format!(
                    "CREATE OR REPLACE TRIGGER {ROW_TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON {table}
                     FOR EACH ROW EXECUTE FUNCTION architect.note_changed_key({arguments})"
                ),
                format!(
                    "CREATE OR REPLACE TRIGGER {TRUNCATE_TRIGGER} BEFORE TRUNCATE ON {table}
                     FOR EACH STATEMENT EXECUTE FUNCTION architect.note_changed_key()"
                ),
                format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {ROW_TRIGGER}"),
                format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRUNCATE_TRIGGER}"),
            ] {
                spi::run(&statement, &[])?;
            }
            Ok::<_, Error>(())
        })?;
    }
    Ok(())
}

/// The end of that.
pub fn unwatch(settings: &Settings) -> Result<()> {
    for source in &settings.sources {
        if let Some(table) = lookup::qualified_name(pg_sys::Oid::from(*source)) {
            spi::run(&format!("DROP TRIGGER IF EXISTS {ROW_TRIGGER} ON {table}"), &[])?;
            spi::run(&format!("DROP TRIGGER IF EXISTS {TRUNCATE_TRIGGER} ON {table}"), &[])?;
        }
    }
    spi::run(&format!("DROP TABLE IF EXISTS {}", settings.noted()), &[])?;
    Ok(())
}

/// The staging table goes, and all that is still attached to it.
pub fn drop(settings: &Settings) -> Result<()> {
    spi::run(&format!("DROP TABLE IF EXISTS {}", settings.stage()), &[])?;
    Ok(())
}

/// That, and new tables that have been taken off it.
pub fn drop_all(settings: &Settings) -> Result<()> {
    drop(settings)?;
    for piece in &settings.pieces {
        // One that is there without the constraint is somebody else's.
        let ours = lookup::relation_named(&settings.schema, &piece.name)
            .is_some_and(|table| has_constraint(table, BOUND).is_some());
        if ours {
            spi::run(&format!("DROP TABLE {}", settings.qualify(&piece.name)), &[])?;
        }
    }
    Ok(())
}

/// Puts the new tables below the staging table, or takes them off it before the exchange, which is short
/// because nobody else looks at them.
pub fn gather(settings: &Settings, below: bool) -> Result<()> {
    let stage = settings.stage();
    for piece in &settings.pieces {
        if lookup::is_partition(settings.oid(&piece.name)?) == below {
            continue;
        }
        let table = settings.qualify(&piece.name);
        let change = if below {
            format!("ATTACH PARTITION {table} FOR VALUES FROM ({}) TO ({})", piece.low, piece.high)
        } else {
            format!("DETACH PARTITION {table}")
        };
        spi::run(&format!("ALTER TABLE {stage} {change}"), &[])?;
    }
    Ok(())
}

/// The condition on the key's columns that says a row belongs into a new table.
pub fn bound_of(settings: &Settings, piece: &super::plan::Piece) -> Result<String> {
    spi::read_one_now::<String>(
        "SELECT pg_get_expr(c.conbin, c.conrelid) FROM pg_constraint AS c WHERE c.conrelid = $1 AND c.conname = $2::name",
        &[settings.oid(&piece.name)?.into(), BOUND.into()],
    )
    .ok_or_else(|| Error::internal("a new partition has lost its constraint"))
}

/// Exchanges the old partitions for the new ones; everything is locked.
pub fn exchange(settings: &Settings, parent: &str) -> Result<()> {
    for source in &settings.sources {
        if let Some(table) = lookup::qualified_name(pg_sys::Oid::from(*source)) {
            spi::run(&format!("ALTER TABLE {parent} DETACH PARTITION {table}"), &[])?;
        }
    }
    for piece in &settings.pieces {
        let table = settings.qualify(&piece.name);
        spi::run(
            &format!(
                "ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES FROM ({}) TO ({})",
                piece.low, piece.high
            ),
            &[],
        )?;
    }
    Ok(())
}

/// What new partitions get once they are attached. A publication may be somebody else's.
pub fn finish(settings: &Settings, template: &Template) -> Result<()> {
    for piece in &settings.pieces {
        for statement in template.indexes.on(settings.oid(&piece.name)?)? {
            spi::run(&statement, &[])?;
        }
        for statement in template.after_attaching(&settings.qualify(&piece.name)) {
            match subtransaction::attempt(|| spi::run(&statement, &[])) {
                Err(error) if error.is_cancel() => return Err(error),
                Err(error) => tell(format!("not done: {statement}: {}", error.one_line())),
                Ok(_) => {}
            }
        }
    }
    Ok(())
}

/// Constraints that only served the exchange go, after it: it is short enough as it is.
pub fn drop_bound(settings: &Settings, piece: &super::plan::Piece) -> Result<()> {
    let table = settings.qualify(&piece.name);
    if lookup::relation_named(&settings.schema, &piece.name).is_some() {
        spi::run(&format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {BOUND}"), &[])?;
    }
    Ok(())
}

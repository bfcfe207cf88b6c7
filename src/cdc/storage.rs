//! The feed's tables: made on first use, as the extension's owner.

use crate::capture::pack;
use crate::capture::segment::{Segment, segment_name};
use crate::capture::storage as shared;
use crate::error::Result;
use crate::pg::{invalidation, lookup, security, spi};

/// Tables the feed starts with: one to write to, one to turn to, one that waits for its consumers.
const SEGMENTS: i32 = 3;

/// Makes the storage if it is not there, and notes where it is: after a restore into another database
/// stored identifiers are looked up again by name.
pub fn ensure() -> Result<()> {
    security::as_extension_owner(|| {
        if lookup::own_relation("change_entry").is_none() {
            shared::ensure()?;
            if lookup::own_relation("change_entry").is_none() {
                spi::run(include_str!("../../sql/storage/cdc.sql"), &[])?;
                for segment in 0..SEGMENTS {
                    add_segment(if segment == 0 { "current" } else { "free" })?;
                }
            }
        }
        shared::note_origin()
    })
}

/// Makes one more table of the feed, in a state of change_segment; returns its number. To be called as the
/// extension's owner.
pub fn add_segment(state: &str) -> Result<i32> {
    let segment = spi::run_one::<i32>(
        "INSERT INTO architect.change_segment (segment_id, state)
         SELECT COALESCE(pg_catalog.max(s.segment_id) OPERATOR(pg_catalog.+) 1, 0), $1 FROM architect.change_segment AS s
         RETURNING segment_id",
        &[state.into()],
    )?
    .unwrap_or_default();
    make_segment(segment)?;
    Ok(segment)
}

/// Notes that a table of the feed is in a state of change_segment from now on, and its bounds not known.
pub fn set_state(segment: i32, state: &str) -> Result<()> {
    spi::run(
        "UPDATE architect.change_segment AS s
            SET state = $2, since = pg_catalog.clock_timestamp(), first_position = NULL, last_position = NULL,
                oldest_at = NULL, newest_at = NULL, bytes = NULL
          WHERE s.segment_id OPERATOR(pg_catalog.=) $1",
        &[segment.into(), state.into()],
    )?;
    Ok(())
}

/// Makes tables that change_segment lists and that are not there; returns their names. To be called as the
/// extension's owner.
pub fn repair() -> Result<Vec<String>> {
    let missing: Vec<Segment> =
        Segment::all()?.into_iter().filter(|segment| segment.relid().is_none()).collect();
    for segment in &missing {
        make_segment(segment.id)?;
    }
    if !missing.is_empty() {
        // Without the current one, writers may have taken any.
        spi::run(
            "UPDATE architect.change_segment AS s
                SET first_position = NULL, last_position = NULL, oldest_at = NULL, newest_at = NULL, bytes = NULL
              WHERE s.first_position IS NOT NULL",
            &[],
        )?;
        announce_segments();
    }
    Ok(missing.iter().map(Segment::name).collect())
}

fn make_segment(segment: i32) -> Result<()> {
    let name = segment_name(segment);
    spi::run(
        &format!(
            "CREATE TABLE architect.{name} (LIKE architect.change_entry INCLUDING DEFAULTS INCLUDING STORAGE
                 INCLUDING COMPRESSION INCLUDING INDEXES) USING heap WITH (toast_tuple_target = {})",
            pack::PAGE
        ),
        &[],
    )?;
    // What ALTER DEFAULT PRIVILEGES may have given away is taken back before anything can be in it.
    shared::revoke_all(&name)?;
    spi::run(&format!("ALTER TABLE architect.{name} INHERIT architect.change_entry"), &[])?;
    Ok(())
}

/// Makes every session look again which table of the feed is written to, once this transaction commits.
pub fn announce_segments() {
    if let Some(segments) = lookup::own_relation("change_segment") {
        invalidation::announce(segments);
    }
}

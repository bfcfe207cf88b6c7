//! What a call asks for, and whether it can be had; then it begins, or goes on.

use super::plan::{self, Piece};
use super::run::{Remake, Settings, resume};
use crate::error::{Error, Result};
use crate::partition::online::{self, Attempts, Call, Operation, Scheme, Wish, tell};
use crate::partition::table::{Parent, Partition};
use crate::pg::{lookup, security, spi};
use pgrx::pg_sys;

/// How a split or merge is to be done.
pub struct Terms {
    pub batch: i32,
    pub pause: std::time::Duration,
    pub drop_source: bool,
    pub dry_run: bool,
}

impl Terms {
    fn from(call: &Call, at: &Arguments) -> Result<Self> {
        Ok(Self {
            batch: call.required(at.batch, "batch")?,
            pause: call.duration(at.pause, "pause")?,
            drop_source: call.required(at.drop_source, "drop_source")?,
            dry_run: call.required(at.dry_run, "dry_run")?,
        })
    }
}

/// Positions of the arguments both have.
struct Arguments {
    batch: usize,
    pause: usize,
    drop_source: usize,
    dry_run: usize,
    deadline: usize,
    lock_timeout: usize,
}

const SPLIT: Arguments =
    Arguments { batch: 5, pause: 6, drop_source: 7, dry_run: 8, deadline: 9, lock_timeout: 10 };
const MERGE: Arguments =
    Arguments { batch: 2, pause: 3, drop_source: 4, dry_run: 5, deadline: 6, lock_timeout: 7 };

pub fn split(call: &Call) -> Result<()> {
    let child: pg_sys::Oid = call.required(0, "child")?;
    if let Some(done) = go_on(call, "split", child, &SPLIT)? {
        return done;
    }
    let (parent, source) =
        call.procedure.transaction(|| security::with_safe_search_path(|| plan::find(child)))?;
    let (table, attempts) =
        call.on_table(parent.oid, "split a partition of", SPLIT.deadline, SPLIT.lock_timeout)?;
    let column = parent.column.clone().ok_or_else(|| {
        Error::wrong_object_type(format!("cannot split partitions of {}", parent.qualified_name()))
            .detail("Its partition key is an expression.")
    })?;
    let scheme = attempts.look(|| Wish::from(call, 1).scheme(&table, &column))?;
    divide(attempts, parent, source, &scheme, &Terms::from(call, &SPLIT)?)
}

/// Splits one partition.
pub fn divide(
    attempts: Attempts,
    parent: Parent,
    source: Partition,
    scheme: &Scheme,
    terms: &Terms,
) -> Result<()> {
    let pieces = attempts.look(|| {
        let name = source.qualified_name();
        let extremes = scheme.extreme(&name, false)?.zip(scheme.extreme(&name, true)?);
        plan::pieces(&parent, &source, scheme, extremes)
    })?;
    start("split", attempts, parent, &[source], pieces, terms)
}

pub fn merge(call: &Call) -> Result<()> {
    let mut children: Vec<pg_sys::Oid> = call.required(0, "children")?;
    children.sort_unstable_by_key(|oid| oid.to_u32());
    children.dedup();
    for child in &children {
        if let Some(done) = go_on(call, "merge", *child, &MERGE)? {
            return done;
        }
    }
    let found = call.procedure.transaction(|| {
        security::with_safe_search_path(|| {
            children.iter().map(|child| plan::find(*child)).collect::<Result<Vec<_>>>()
        })
    })?;
    let Some(parent) = found.first().map(|(parent, _)| parent.clone()) else {
        return Err(Error::invalid_parameter("no partitions are named"));
    };
    if found.iter().any(|(other, _)| other.oid != parent.oid) {
        return Err(Error::invalid_parameter("partitions of different tables cannot be merged"));
    }
    let (_, attempts) =
        call.on_table(parent.oid, "merge partitions of", MERGE.deadline, MERGE.lock_timeout)?;
    let sources: Vec<Partition> = found.into_iter().map(|(_, partition)| partition).collect();
    let piece = plan::merged(&parent, &sources, call.optional::<String>(1).as_deref())?;
    start("merge", attempts, parent, &sources, vec![piece], &Terms::from(call, &MERGE)?)
}

/// Goes on with what was interrupted, if something was.
fn go_on(call: &Call, kind: &str, child: pg_sys::Oid, at: &Arguments) -> Result<Option<Result<()>>> {
    let name = lookup::qualified_name(child).unwrap_or_default();
    let found: Option<Operation<Settings>> =
        call.procedure.transaction(|| online::resume(kind, child, &name))?;
    let Some(operation) = found else { return Ok(None) };
    let parent = pg_sys::Oid::from(operation.settings.parent);
    let (_, attempts) = call.on_table(parent, "change partitions of", at.deadline, at.lock_timeout)?;
    Ok(Some(resume(call, operation, attempts)))
}

fn start(
    kind: &str,
    attempts: Attempts,
    parent: Parent,
    sources: &[Partition],
    pieces: Vec<Piece>,
    terms: &Terms,
) -> Result<()> {
    let oids: Vec<pg_sys::Oid> = sources.iter().map(|source| source.oid).collect();
    let key = attempts.look(|| {
        plan::check(&parent, &oids, &pieces)?;
        plan::key(&parent)
    })?;
    // What would be lost with foreign keys of tables that are not the caller's to change.
    attempts.procedure.transaction(|| security::with_safe_search_path(|| may_change_referring(&parent)))?;
    let (rows, blocks) = attempts.look(|| {
        let rows: f64 = sources.iter().map(|source| source.rows.max(0.0)).sum();
        let blocks = oids.iter().map(|oid| super::run::blocks_of(oid.to_u32())).sum::<Result<i64>>()?;
        Ok((rows as i64, blocks))
    })?;
    if terms.dry_run {
        for piece in &pieces {
            tell(format!(
                "{} FOR VALUES FROM ({}) TO ({})",
                lookup::qualify(&parent.schema, &piece.name),
                piece.low,
                piece.high
            ));
        }
        tell(format!("about {rows} rows would be copied"));
        return Ok(());
    }
    let batch = i64::from(terms.batch.clamp(1, 1_000_000));
    // Of a table whose statistics say nothing fifty rows a block are assumed.
    let per_block = if rows > 0 && blocks > 0 { (rows / blocks).max(1) } else { 50 };
    let settings = Settings {
        kind: kind.to_owned(),
        parent: parent.oid.to_u32(),
        schema: parent.schema.clone(),
        sources: oids.iter().map(|oid| oid.to_u32()).collect(),
        pieces,
        key,
        blocks: Vec::new(),
        at: (0, 0),
        per_batch: (batch / per_block).max(1),
        pause_ms: terms.pause.as_millis() as u64,
        indexed: Vec::new(),
        later: Vec::new(),
        drop_source: terms.drop_source,
    };
    let like = sources[0].clone();
    let name = like.qualified_name();
    let remake = Remake { attempts, parent, like };
    let operation = remake.begin(settings, &name, rows)?;
    remake.run(operation)
}

fn may_change_referring(parent: &Parent) -> Result<()> {
    let other = spi::read_one_now::<String>(
        "SELECT r.oid::regclass::text FROM pg_constraint AS c JOIN pg_class AS r ON r.oid = c.conrelid
          WHERE c.confrelid = $1 AND c.contype = 'f' AND c.conparentid = 0
            AND (NOT pg_has_role(r.relowner, 'USAGE')
                 OR r.relkind = 'p' AND current_setting('server_version_num')::int < 180000) LIMIT 1",
        &[parent.oid.into()],
    );
    match other {
        None => Ok(()),
        Some(table) => Err(Error::not_in_prerequisite_state(format!(
            "partitions of {} cannot be exchanged for others",
            parent.qualified_name()
        ))
        .detail(format!(
            "A foreign key of {table} refers to it, which would have to be made anew: it is another role's, or, before PostgreSQL 18, partitioned (as the table itself is)."
        ))
        .hint("Drop the foreign key, and add it again afterwards.")),
    }
}

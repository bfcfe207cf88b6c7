//! What goes: whole months past the time to keep, and contexts nothing refers to any more.

use crate::audit::partitions::{self, Partition, readable};
use crate::audit::seal::retire;
use crate::audit::settings::Settings;
use crate::error::Result;
use crate::maintenance::{Run, contexts};
use crate::pg::{lookup, spi};
use pgrx::prelude::*;

/// Drops, or detaches, the months past keeping, the oldest first.
pub fn drop_months(run: &mut Run) -> Result<()> {
    let due = run.transaction(|| {
        if !super::maintain::log_exists() {
            return Ok(Vec::new());
        }
        let Some(keep) = Settings::read()?.keep else { return Ok(Vec::new()) };
        // Never the current month, however little is to be kept.
        let limit = spi::read_one_now::<TimestampWithTimeZone>(
            "SELECT LEAST(pg_catalog.now() OPERATOR(pg_catalog.-) $1,
                          pg_catalog.date_trunc('month', pg_catalog.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')",
            &[keep.into()],
        )
        .map_or(i64::MIN, i64::from);
        Ok(partitions::all()?.into_iter().filter(|p| p.high.is_some_and(|high| high <= limit)).collect())
    })?;
    let mut failure = Ok(());
    for partition in due {
        match run.retrying(|| drop_month(&partition)) {
            Ok((action, detail)) => run.note(partition.name, action, detail),
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => {
                run.note(partition.name, "failed", error.one_line());
                failure = Err(error);
            }
        }
    }
    failure
}

fn drop_month(partition: &Partition) -> Result<(&'static str, String)> {
    let settings = Settings::read()?;
    let name = lookup::qualify("architect", &partition.name);
    // Nobody writes to it, or to the log at all, from here to the end: what is checked stays true.
    spi::run("LOCK TABLE ONLY architect.audit_entry IN ACCESS EXCLUSIVE MODE", &[])?;
    spi::run(&format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"), &[])?;
    let (Some(high), low) = (partition.high, partition.low) else {
        return Ok(("kept", "it has no upper bound".into()));
    };
    let period = match low {
        Some(low) => format!("{} to {}", readable(low), readable(high)),
        None => format!("everything before {}", readable(high)),
    };
    let mut detail = period.clone();
    if retire::in_use() {
        if settings.require_seal && !retire::is_sealed(&name)? {
            return Ok((
                "kept",
                "not sealed yet: a transaction may still be open, or call seal_audit_log()".into(),
            ));
        }
        let action = if settings.detach { "detached" } else { "dropped" };
        let seal = retire::retire(
            low.unwrap_or(i64::MIN / 2),
            high,
            &format!("{} {action} by the retention policy ({period})", partition.name),
        )?;
        detail = format!("{period}; seal {}", seal.seal_id);
    }
    if settings.detach {
        spi::run(&format!("ALTER TABLE architect.audit_entry DETACH PARTITION {name}"), &[])?;
        return Ok(("detached", detail));
    }
    spi::run(&format!("DROP TABLE {name}"), &[])?;
    Ok(("dropped", detail))
}

/// Deletes contexts older than anything that can refer to them: a session stores its context anew at least
/// every 28 days, so an entry's context is at most that much older than the entry.
pub fn purge_contexts(run: &mut Run) -> Result<()> {
    let limit = run.transaction(|| {
        if !super::maintain::log_exists() {
            return Ok(None);
        }
        // Detached months are of use only with the contexts they refer to.
        let settings = Settings::read()?;
        if settings.keep.is_none() || settings.detach {
            return Ok(None);
        }
        oldest_kept()
    })?;
    let Some(limit) = limit else { return Ok(()) };
    let purged = contexts::purge(run, limit)?;
    if purged > 0 {
        run.note(
            "capture_context",
            "purged",
            format!("{purged} contexts recorded before {}", readable(limit)),
        );
    }
    Ok(())
}

/// Nothing kept is older; none where that is not known.
fn oldest_kept() -> Result<Option<i64>> {
    let partitions = partitions::all()?;
    let lowest = partitions.iter().filter(|p| !p.is_default).map(|p| p.low.unwrap_or(i64::MIN)).min();
    let in_default = spi::read_one_now::<TimestampWithTimeZone>(
        "SELECT pg_catalog.min(e.changed_at) FROM architect.audit_entry_default AS e",
        &[],
    )
    .map(i64::from);
    let in_feed = crate::capture::feed::oldest()?;
    Ok(lowest.into_iter().chain(in_default).chain(in_feed).min().filter(|&at| at > i64::MIN))
}

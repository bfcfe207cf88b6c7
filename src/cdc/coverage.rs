//! Is every captured table still fully captured, and can the feed be written to?

use crate::capture::coverage::{self, Finding, GAP, WARNING, array_literal};
use crate::capture::policy::{Image, Kind, Policy};
use crate::capture::segment::Segment;
use crate::error::Result;
use crate::pg::{lookup, notify};

/// Above this share of the server's notification queue writers stop waking consumers.
const FULLEST: f64 = 0.5;

pub fn findings() -> Result<Vec<Finding>> {
    let mut found = coverage::findings(Kind::Feed, repair)?;
    if Kind::Feed.storage_exists() {
        found.extend(segments()?);
    }
    if notify::queue_usage() > FULLEST {
        found.push(Finding {
            table: "pg_notify".into(),
            partition: None,
            status: WARNING,
            code: "notification_queue_full".into(),
            detail: "The server's notification queue is more than half full: consumers are not woken.".into(),
            fix: Some(
                "End the sessions that LISTEN and stay in one transaction: see pg_stat_activity.".into(),
            ),
        });
    }
    Ok(found)
}

/// Tables of the feed that somebody dropped. With none left, changes are not captured.
fn segments() -> Result<Vec<Finding>> {
    let all = Segment::all()?;
    let missing: Vec<&Segment> = all.iter().filter(|segment| segment.relid().is_none()).collect();
    let status = if missing.len() == all.len() { GAP } else { WARNING };
    let finding = |name: &str| Finding {
        table: lookup::qualify("architect", name),
        partition: None,
        status,
        code: "segment_missing".into(),
        detail: "A table of the feed does not exist: what was in it is lost to its consumers.".into(),
        fix: Some("CALL architect.run_maintenance()".into()),
    };
    if all.is_empty() {
        return Ok(vec![finding("change_entry_0")]);
    }
    Ok(missing.iter().map(|segment| finding(&segment.name())).collect())
}

/// The call of enable_cdc a policy comes from.
fn repair(policy: &Policy, table: &str) -> String {
    let list = |columns: &[String]| pgrx::spi::quote_literal(array_literal(columns));
    let mut call = format!("SELECT * FROM architect.enable_cdc({}", pgrx::spi::quote_literal(table));
    call += &format!(", operations => {}", list(&policy.operations));
    if let Some(include) = &policy.include {
        call += &format!(", columns => {}", list(&include.names));
    }
    if !policy.exclude.names.is_empty() {
        call += &format!(", exclude => {}", list(&policy.exclude.names));
    }
    if !policy.masked.names.is_empty() {
        let masks: serde_json::Map<String, serde_json::Value> = policy
            .masked
            .names
            .iter()
            .zip(&policy.actions)
            .map(|(column, action)| (column.clone(), action.as_str().into()))
            .collect();
        call +=
            &format!(", mask => {}", pgrx::spi::quote_literal(serde_json::Value::from(masks).to_string()));
    }
    if let Some(condition) = &policy.condition {
        call += &format!(", \"when\" => {}", pgrx::spi::quote_literal(condition));
    }
    if let Some(key) = &policy.key {
        call += &format!(", key => {}", list(&key.names));
    }
    if policy.image == Image::Changed {
        call += ", image => 'changed'";
    }
    if policy.replicated {
        call += ", replicated => true";
    }
    if !policy.notify {
        call += ", notify => false";
    }
    if policy.channel != "data_changes" {
        call += &format!(", channel => {}", pgrx::spi::quote_literal(&policy.channel));
    }
    call + ")"
}

//! Forgetting a person in the change feed: what consumers have not read yet says no values any more.

use crate::capture::forget::{self, Forgetting, Log};
use crate::capture::policy::Kind;
use crate::capture::redaction::{PersonalLog, Redacted, Redaction, Target};
use crate::error::Result;
use crate::pg::{security, spi};

pub struct ChangeLog;

const LOG: Log = Log { kind: Kind::Feed, table: "change_entry", id: "position", at: "recorded_at" };
/// Dead letters are copies: they outlive the events in the feed, and go back into it.
const DEAD: Log = Log { table: "cdc_dead_letter", ..LOG };
const LOGS: [&Log; 2] = [&LOG, &DEAD];

impl PersonalLog for ChangeLog {
    fn is_kept(&self) -> bool {
        LOG.is_there()
    }

    fn former_values(&self, row: &Target, columns: &[String]) -> Result<Vec<String>> {
        security::as_extension_owner(|| {
            let mut found = Vec::new();
            for log in LOGS {
                found.extend(forget::former_values(log, row, columns)?);
            }
            Ok(found)
        })
    }

    fn redact(&self, redaction: &Redaction) -> Result<Option<Redacted>> {
        security::as_extension_owner(|| {
            let (mut entries, mut contexts, mut positions) = (0, 0, Vec::new());
            for log in LOGS {
                let Some(forgetting) = Forgetting::of(log, redaction)? else { continue };
                forgetting.carry_out()?;
                entries += forgetting.entries();
                contexts += forgetting.contexts();
                positions.extend(forgetting.ids());
            }
            reasons(positions)?;
            Ok(Some(Redacted {
                object: "architect.change_log".to_owned(),
                entries,
                contexts,
                detail: "values taken out of events; what consumers have read already is theirs to erase"
                    .to_owned(),
            }))
        })
    }
}

/// Why a consumer refused an event may say what was in it.
fn reasons(positions: Vec<i64>) -> Result<()> {
    if positions.is_empty() || !DEAD.is_there() {
        return Ok(());
    }
    for table in ["cdc_dead_letter", "cdc_aside"] {
        spi::run(
            &format!(
                "UPDATE architect.{table} SET reason = '[redacted]' WHERE position = ANY ($1) AND reason IS NOT NULL"
            ),
            &[positions.clone().into()],
        )?;
    }
    Ok(())
}

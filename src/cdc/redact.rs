//! Forgetting a person in the change feed: what consumers have not read yet says no values any more.

use crate::capture::forget::{self, Forgetting, Log};
use crate::capture::policy::Kind;
use crate::capture::redaction::{PersonalLog, Redacted, Redaction, Target};
use crate::error::Result;
use crate::pg::security;

pub struct ChangeLog;

const LOG: Log = Log { kind: Kind::Feed, table: "change_entry", id: "position", at: "recorded_at" };

impl PersonalLog for ChangeLog {
    fn is_kept(&self) -> bool {
        LOG.is_there()
    }

    fn former_values(&self, row: &Target, columns: &[String]) -> Result<Vec<String>> {
        security::as_extension_owner(|| forget::former_values(&LOG, row, columns))
    }

    fn redact(&self, redaction: &Redaction) -> Result<Option<Redacted>> {
        security::as_extension_owner(|| {
            let Some(forgetting) = Forgetting::of(&LOG, redaction)? else { return Ok(None) };
            forgetting.carry_out()?;
            Ok(Some(Redacted {
                object: "architect.change_log".to_owned(),
                entries: forgetting.entries(),
                contexts: forgetting.contexts(),
                detail: "values taken out of events; what consumers have read already is theirs to erase"
                    .to_owned(),
            }))
        })
    }
}

//! Forgetting a person in the audit log: the seal says that it was lawful.

use super::seal::redact as sealed;
use crate::capture::forget::{self, Forgetting, Log};
use crate::capture::policy::Kind;
use crate::capture::redaction::{PersonalLog, Redacted, Redaction, Target};
use crate::error::Result;
use crate::pg::security;

pub struct AuditLog;

const LOG: Log = Log { kind: Kind::Audit, table: "audit_entry", id: "audit_id", at: "changed_at" };

impl PersonalLog for AuditLog {
    fn is_kept(&self) -> bool {
        LOG.is_there()
    }

    fn former_values(&self, row: &Target, columns: &[String]) -> Result<Vec<String>> {
        security::as_extension_owner(|| forget::former_values(&LOG, row, columns))
    }

    fn redact(&self, redaction: &Redaction) -> Result<Option<Redacted>> {
        security::as_extension_owner(|| {
            let Some(forgetting) = Forgetting::of(&LOG, redaction)? else { return Ok(None) };
            let opened = sealed::open(&forgetting.places)?;
            forgetting.carry_out()?;
            let seal = match opened {
                Some(opened) => sealed::close(opened, &redaction.authority)?,
                None => None,
            };
            Ok(Some(Redacted {
                object: "architect.audit_log".to_owned(),
                entries: forgetting.entries(),
                contexts: forgetting.contexts(),
                detail: match seal {
                    Some(seal) => format!("values taken out of entries; seal {seal} says so"),
                    None => "values taken out of entries".to_owned(),
                },
            }))
        })
    }
}

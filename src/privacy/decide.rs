//! Declarations stored, and with each the decision: who, when, what was before.

use super::storage;
use crate::error::Result;
use crate::pg::{security, spi};
use pgrx::JsonB;
use pgrx::datum::DatumWithOid;

/// What was done with an object.
pub struct Report {
    pub object: String,
    pub action: &'static str,
    pub detail: String,
}

/// Stores a declaration and the decision, unless nothing changed.
pub fn store<'a>(
    kind: &'static str,
    name: &str,
    find: &str,
    write: &str,
    key: &[DatumWithOid],
    values: impl FnOnce() -> Vec<DatumWithOid<'a>>,
) -> Result<Report> {
    let by = security::role_name(security::current_role());
    security::as_extension_owner(|| {
        let before = spi::read_one_now::<JsonB>(find, key);
        let mut values = values();
        values.push(by.as_str().into());
        spi::run(write, &values)?;
        let after = spi::read_one_now::<JsonB>(find, key);
        let (verb, action) = match (&before, &after) {
            (Some(before), Some(after)) if content(&before.0) == content(&after.0) => {
                return Ok(Report {
                    object: name.to_owned(),
                    action: "exists",
                    detail: "as declared before".into(),
                });
            }
            (Some(_), _) => ("change", "changed"),
            (None, _) => ("declare", "declared"),
        };
        note(&by, verb, kind, name, before, after)?;
        Ok(Report { object: name.to_owned(), action, detail: kind.to_owned() })
    })
}

/// What was decided, without who and when.
fn content(row: &serde_json::Value) -> serde_json::Value {
    let mut row = row.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.remove("declared_at");
        fields.remove("declared_by");
    }
    row
}

fn note(
    by: &str,
    verb: &str,
    kind: &str,
    name: &str,
    before: Option<JsonB>,
    after: Option<JsonB>,
) -> Result<()> {
    spi::run(
        "INSERT INTO architect.privacy_decision (decided_by, verb, kind, object_name, before, after)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[by.into(), verb.into(), kind.into(), name.into(), before.into(), after.into()],
    )?;
    Ok(())
}

/// Takes declarations back: those of `table` that `condition` picks.
pub fn remove(kind: &'static str, delete: &str, arguments: &[DatumWithOid], name: String) -> Result<Report> {
    storage::require()?;
    let by = security::role_name(security::current_role());
    security::as_extension_owner(|| {
        let gone = spi::run_one::<JsonB>(delete, arguments)?;
        let Some(gone) = gone else {
            return Ok(Report { object: name, action: "skipped", detail: "was not declared".into() });
        };
        note(&by, "undeclare", kind, &name, Some(gone), None)?;
        Ok(Report { object: name, action: "undeclared", detail: kind.to_owned() })
    })
}

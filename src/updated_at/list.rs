//! What is enabled where, and in what state.

use crate::catalog::relation::{self, Relation};
use crate::catalog::trigger::{self, Trigger};
use crate::error::Result;
use crate::pg::lookup;
use crate::updated_at::columns;
use crate::updated_at::spec::{Kept, Spec};
use crate::updated_at::state::{FUNCTION, State};

/// One column that is kept.
pub struct Entry {
    pub table: String,
    pub column: String,
    pub kept_as: String,
    pub clock: String,
    pub only_if_changed: bool,
    pub trigger: String,
    pub status: String,
}

pub fn all() -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for own in trigger::calling(FUNCTION)?.iter().filter(|t| !t.cloned) {
        let Some(target) = relation::describe(own.relid)? else { continue };
        let state = State::read(&target)?;
        let spec = match Spec::parse(&trigger::arguments(own.oid)?) {
            Ok(spec) => spec,
            Err(error) => {
                entries.push(Entry {
                    table: target.qualified_name(),
                    column: String::new(),
                    kept_as: String::new(),
                    clock: String::new(),
                    only_if_changed: false,
                    trigger: own.name.clone(),
                    status: format!("{}; drop the trigger", error.message()),
                });
                continue;
            }
        };
        for kept in &spec.kept {
            entries.push(Entry {
                table: target.qualified_name(),
                column: state.column(kept).map_or(&kept.name, |column| &column.name).clone(),
                kept_as: kept.role.name().to_owned(),
                clock: spec.clock.name().to_owned(),
                only_if_changed: !spec.always,
                trigger: own.name.clone(),
                status: status(&target, &state, own, kept),
            });
        }
    }
    entries.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(entries)
}

/// The first thing that is wrong, gravest first.
fn status(target: &Relation, state: &State, own: &Trigger, kept: &Kept) -> String {
    let Some(column) = state.column(kept) else {
        return format!(
            "column {} does not exist: every UPDATE fails; add it, or disable it",
            pgrx::spi::quote_identifier(&kept.name)
        );
    };
    if let Err(error) = columns::check(target, kept.role, column) {
        return format!("{}: every UPDATE fails", error.message());
    }
    let asleep = |t: &&Trigger| !matches!(t.enabled, 'O' | 'A');
    if asleep(&own) {
        return "the trigger is disabled; enable it again".to_owned();
    }
    if let Some(partition) = state.triggers.iter().find(|t| t.cloned && asleep(t)) {
        let name = lookup::qualified_name(partition.relid).unwrap_or_default();
        return format!("the trigger is disabled on partition {name}; enable it again");
    }
    if let Some(later) = state.others.iter().filter(|name| **name > own.name).max() {
        return format!(
            "trigger {} fires after it and may change the row; enable it again",
            pgrx::spi::quote_identifier(later)
        );
    }
    "ok".to_owned()
}

//! Attaching the trigger to tables and taking it off again.

use crate::catalog::column::Column;
use crate::catalog::relation::Relation;
use crate::error::{Error, Result};
use crate::pg::{ffi, lookup, session, spi};
use crate::updated_at::columns;
use crate::updated_at::spec::{Clock, Kept, Origin, Role, Spec, last_name};
use crate::updated_at::state::{FUNCTION, State};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// One thing done, skipped or refused.
#[derive(Debug)]
pub struct Report {
    pub object: String,
    pub action: &'static str,
    pub detail: String,
}

impl Report {
    fn new(object: impl Into<String>, action: &'static str, detail: impl Into<String>) -> Self {
        Self { object: object.into(), action, detail: detail.into() }
    }
}

/// What a caller wants kept.
pub struct Request {
    pub columns: Vec<Wanted>,
    pub clock: Clock,
    pub only_if_changed: bool,
}

pub struct Wanted {
    pub role: Role,
    pub name: String,
    /// Add the column where the table has none of that name.
    pub add: bool,
}

/// What has to be done to a table for a request.
#[derive(Default)]
struct Steps {
    add: Vec<(Role, String)>,
    defaults: Vec<(pg_sys::Oid, Role, String)>,
    /// Defaults of columns that are no longer kept.
    undo: Vec<(pg_sys::Oid, String)>,
    spec: Spec,
    name: String,
    replace: bool,
    /// Triggers that are there but do not fire.
    wake: Vec<(pg_sys::Oid, String)>,
    /// Partitions with a trigger of their own.
    absorb: Vec<(pg_sys::Oid, String)>,
}

impl Steps {
    fn alter_columns(&self) -> bool {
        !(self.add.is_empty() && self.defaults.is_empty() && self.undo.is_empty())
    }

    fn is_empty(&self) -> bool {
        !self.alter_columns() && !self.replace && self.wake.is_empty() && self.absorb.is_empty()
    }
}

/// Keeps columns of a table. Looks first and locks only if there is something to do, then looks again:
/// two callers at once queue up and the second finds the work done.
pub fn enable(relid: pg_sys::Oid, request: &Request) -> Result<Vec<Report>> {
    let target = Relation::owned_table(relid, "enable updated_at on")?;
    let mut state = State::read(&target)?;
    if let Some(report) = part_of_another(&target, &state) {
        return Ok(vec![report]);
    }
    let mut steps = steps(&target, &state, request)?;
    if !steps.is_empty() {
        let mode = if steps.alter_columns() || renames(&state, &steps) {
            "ACCESS EXCLUSIVE"
        } else {
            "SHARE ROW EXCLUSIVE"
        };
        spi::run(&format!("LOCK TABLE {} IN {mode} MODE", target.qualified_name()), &[])?;
        state = spi::with_fresh_snapshot(|| State::read(&target))?;
        steps = self::steps(&target, &state, request)?;
    }
    let mut reports = Vec::new();
    let known = state.own.as_ref().map(|own| own.spec.clone());
    let empty = steps.is_empty();
    carry_out(&target, &state, &mut steps, &mut reports)?;
    let kept = steps.spec.clone();
    let action = match known {
        None => "enabled",
        Some(_) if empty => "exists",
        Some(known) if same_wish(&known, &kept) => "repaired",
        Some(_) => "changed",
    };
    reports.push(Report::new(target.qualified_name(), action, describe(&target, &state, &kept)));
    for child in &state.children {
        reports.push(Report::new(
            lookup::qualified_name(*child).unwrap_or_default(),
            "skipped",
            format!("inherits from {}: enable it there too", target.qualified_name()),
        ));
    }
    Ok(reports)
}

/// Stops keeping the columns of some roles, or of all.
pub fn disable(relid: pg_sys::Oid, roles: &[Role], drop_columns: bool) -> Result<Vec<Report>> {
    let target = Relation::owned_table(relid, "disable updated_at on")?;
    let name = target.qualified_name();
    let state = State::read(&target)?;
    if let Some(report) = part_of_another(&target, &state) {
        return Ok(vec![Report { action: "skipped", ..report }]);
    }
    let nothing = || Ok(vec![Report::new(&name, "skipped", "was not enabled")]);
    let concerns = |state: &State| {
        state.own.as_ref().is_some_and(|own| own.spec.kept.iter().any(|kept| roles.contains(&kept.role)))
    };
    if !concerns(&state) {
        return nothing();
    }
    spi::run(&format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"), &[])?;
    let state = spi::with_fresh_snapshot(|| State::read(&target))?;
    let Some(own) = state.own.as_ref().filter(|_| concerns(&state)) else { return nothing() };
    let (gone, left): (Vec<Kept>, Vec<Kept>) =
        own.spec.kept.iter().cloned().partition(|kept| roles.contains(&kept.role));
    let mut reports = Vec::new();
    let remaining = Spec { kept: left, ..own.spec.clone() };
    if remaining.kept.is_empty() {
        drop_trigger(relid, &own.trigger.name)?;
    } else {
        create_trigger(&target, &state, &own.trigger.name, &remaining)?;
    }
    for kept in gone {
        let Some(column) = state.column(&kept) else { continue };
        let object = format!("{name}.{}", pgrx::spi::quote_identifier(&column.name));
        if kept.added && drop_columns {
            let column = pgrx::spi::quote_identifier(&column.name);
            spi::run(&format!("ALTER TABLE {name} DROP COLUMN {column}"), &[])?;
            reports.push(Report::new(object, "dropped", "column dropped: it had been added"));
            continue;
        }
        let undo = if kept.default_set { state.our_defaults(kept.role, &column.name) } else { Vec::new() };
        for relid in &undo {
            columns::set_default(*relid, &column.name, None)?;
        }
        let detail = match (kept.added, undo.is_empty()) {
            (true, _) => {
                "column kept with its values and default, though it had been added: drop it if it is not needed"
            }
            (false, false) => "column kept with its values; the default it had been given is dropped",
            (false, true) => "column kept as it is",
        };
        reports.push(Report::new(object, "kept", detail));
    }
    let detail = if remaining.kept.is_empty() {
        "trigger dropped".to_owned()
    } else {
        format!("still kept: {}", roles_of(&remaining))
    };
    reports.push(Report::new(name, "disabled", detail));
    Ok(reports)
}

/// A partition follows its partitioned table.
fn part_of_another(target: &Relation, state: &State) -> Option<Report> {
    let clone = state.triggers.iter().find(|t| t.relid == target.oid && t.cloned)?;
    let above = ffi::partition_ancestors(target.oid)
        .into_iter()
        .rev()
        .find(|oid| state.above.contains(oid))
        .and_then(lookup::qualified_name)
        .unwrap_or_else(|| clone.name.clone());
    Some(Report::new(target.qualified_name(), "exists", format!("enabled as a partition of {above}")))
}

fn renames(state: &State, steps: &Steps) -> bool {
    state.own.as_ref().is_some_and(|own| own.trigger.name != steps.name) || !steps.absorb.is_empty()
}

/// Whether two specs ask for the same: they may differ in what was found out about the columns.
fn same_wish(a: &Spec, b: &Spec) -> bool {
    let roles = |spec: &Spec| spec.kept.iter().map(|kept| kept.role).collect::<Vec<_>>();
    let same_columns = a.kept.iter().zip(&b.kept).all(|(a, b)| a.number == b.number || a.name == b.name);
    a.clock == b.clock && a.always == b.always && roles(a) == roles(b) && same_columns
}

fn steps(target: &Relation, state: &State, request: &Request) -> Result<Steps> {
    let mut steps = Steps::default();
    let known = state.own.as_ref().map(|own| &own.spec);
    let mut spec = Spec {
        kept: Vec::new(),
        clock: request.clock,
        always: !request.only_if_changed,
        origin: Some(Origin {
            system: session::system_identifier(),
            database: session::database().to_u32(),
            table: target.oid.to_u32(),
        }),
    };
    // What is kept already, under the names columns have now; a dropped column is forgotten.
    for kept in known.into_iter().flat_map(|known| &known.kept) {
        if let Some(column) = state.column(kept) {
            spec.set(Kept { name: column.name.clone(), number: Some(column.number), ..kept.clone() });
        }
    }
    for wanted in &request.columns {
        let found = state.columns.iter().find(|column| column.name == wanted.name);
        let before = spec.column(wanted.role).cloned();
        match found {
            Some(column) => {
                columns::check(target, wanted.role, column)?;
                if before.as_ref().is_some_and(|before| before.number == Some(column.number)) {
                    continue;
                }
                spec.set(Kept {
                    role: wanted.role,
                    name: column.name.clone(),
                    number: Some(column.number),
                    added: false,
                    default_set: false,
                });
            }
            None if wanted.add => {
                steps.add.push((wanted.role, wanted.name.clone()));
                spec.set(Kept {
                    role: wanted.role,
                    name: wanted.name.clone(),
                    number: None,
                    added: true,
                    default_set: false,
                });
            }
            None => return Err(columns::missing(target, &wanted.name)),
        }
        // Another column than before: the former one goes back to what it was.
        if let Some(before) = before.filter(|before| before.default_set) {
            let relations = state.our_defaults(before.role, &before.name);
            steps.undo.extend(relations.into_iter().map(|relid| (relid, before.name.clone())));
        }
    }
    one_role_each(target, &spec)?;
    for kept in spec.kept.iter_mut().filter(|kept| kept.number.is_some()) {
        let own = kept.added || kept.default_set;
        for (relid, default) in state.defaults(&kept.name) {
            let set = match default {
                None => true,
                Some(default) => {
                    own && columns::is_our_default(kept.role, default)
                        && !columns::is_current_default(kept.role, spec.clock, default)
                }
            };
            if set {
                steps.defaults.push((relid, kept.role, kept.name.clone()));
                kept.default_set |= !kept.added && relid == target.oid;
            }
        }
    }
    let current = state.own.as_ref().map(|own| own.trigger.name.as_str());
    let last = state.others.iter().max().cloned().unwrap_or_default();
    steps.name = last_name(current, &state.others).ok_or_else(|| {
        Error::not_in_prerequisite_state(format!(
            "no trigger name sorts behind \"{last}\" on table {}",
            target.qualified_name()
        ))
        .hint("BEFORE triggers fire in the order of their names, and this one must be the last. Rename that trigger.")
    })?;
    let unchanged = known.is_some_and(|known| known.arguments() == spec.arguments());
    steps.replace = !steps.add.is_empty() || !unchanged || current != Some(steps.name.as_str());
    steps.wake = state
        .triggers
        .iter()
        .filter(|t| !matches!(t.enabled, 'O' | 'A') && (t.relid == target.oid || t.cloned))
        .map(|t| (t.relid, t.name.clone()))
        .collect();
    steps.absorb = state
        .triggers
        .iter()
        .filter(|t| t.relid != target.oid && !t.cloned)
        .map(|t| (t.relid, t.name.clone()))
        .collect();
    steps.spec = spec;
    Ok(steps)
}

fn one_role_each(target: &Relation, spec: &Spec) -> Result<()> {
    for (index, kept) in spec.kept.iter().enumerate() {
        if let Some(other) = spec.kept[..index].iter().find(|other| other.name == kept.name) {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
                format!(
                    "column \"{}\" cannot be kept as both {} and {}",
                    kept.name,
                    other.role.name(),
                    kept.role.name()
                ),
            )
            .detail(format!("Table {} has it enabled as {}.", target.qualified_name(), other.role.name()))
            .hint("Name another column, or call architect.remove_standard_columns() first."));
        }
    }
    Ok(())
}

fn carry_out(target: &Relation, state: &State, steps: &mut Steps, reports: &mut Vec<Report>) -> Result<()> {
    let table = target.qualified_name();
    for (relid, name) in &steps.absorb {
        drop_trigger(*relid, name)?;
        let partition = lookup::qualified_name(*relid).unwrap_or_default();
        reports.push(Report::new(partition, "merged", format!("now enabled as a partition of {table}")));
    }
    let object = |name: &str| format!("{table}.{}", pgrx::spi::quote_identifier(name));
    for (role, name) in &steps.add {
        let detail = columns::add(target, *role, name, steps.spec.clock)?;
        reports.push(Report::new(object(name), "added", detail));
    }
    // PostgreSQL cuts long names: what counts is what it made of them.
    if !steps.add.is_empty() {
        let columns: Vec<Column> = spi::with_fresh_snapshot(|| crate::catalog::column::columns(target.oid))?;
        let former = |number: i16| state.columns.iter().any(|column| column.number == number);
        let mut new = columns.iter().filter(|column| !former(column.number));
        for (role, _) in &steps.add {
            if let (Some(kept), Some(column)) =
                (steps.spec.kept.iter_mut().find(|kept| kept.role == *role), new.next())
            {
                kept.name.clone_from(&column.name);
                kept.number = Some(column.number);
            }
        }
    }
    for (relid, role, name) in &steps.defaults {
        let expression = columns::default_expression(*role, steps.spec.clock);
        columns::set_default(*relid, name, Some(expression))?;
        if *relid == target.oid {
            let default = expression.replace("pg_catalog.", "");
            reports.push(Report::new(object(name), "default set", default));
        }
    }
    for (relid, name) in &steps.undo {
        columns::set_default(*relid, name, None)?;
    }
    if steps.replace {
        if let Some(own) = state.own.as_ref().filter(|own| own.trigger.name != steps.name) {
            drop_trigger(target.oid, &own.trigger.name)?;
        }
        create_trigger(target, state, &steps.name, &steps.spec)?;
    }
    for (relid, name) in steps.wake.iter().filter(|_| !steps.replace) {
        let table = lookup::qualified_name(*relid).unwrap_or_default();
        spi::run(&format!("ALTER TABLE {table} ENABLE TRIGGER {}", pgrx::spi::quote_identifier(name)), &[])?;
    }
    Ok(())
}

/// Creates the trigger, or replaces it where it has this name already. Replacing resets a trigger that
/// was made to fire always; that is the owner's wish and is put back.
pub fn create_trigger(target: &Relation, state: &State, name: &str, spec: &Spec) -> Result<()> {
    let table = target.qualified_name();
    let name = pgrx::spi::quote_identifier(name);
    let arguments: Vec<String> = spec.arguments().iter().map(pgrx::spi::quote_literal).collect();
    let replaced = state.own.as_ref();
    let replace = if replaced.is_some() { "OR REPLACE " } else { "" };
    spi::run(
        &format!(
            "CREATE {replace}TRIGGER {name} BEFORE UPDATE ON {table}
             FOR EACH ROW EXECUTE FUNCTION architect.{FUNCTION}({})",
            arguments.join(", ")
        ),
        &[],
    )?;
    if replaced.is_some_and(|own| own.trigger.enabled == 'A') {
        spi::run(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"), &[])?;
    }
    Ok(())
}

fn drop_trigger(relid: pg_sys::Oid, name: &str) -> Result<()> {
    let table = lookup::qualified_name(relid).unwrap_or_default();
    spi::run(&format!("DROP TRIGGER {} ON {table}", pgrx::spi::quote_identifier(name)), &[]).map(|_| ())
}

fn roles_of(spec: &Spec) -> String {
    let column = |kept: &Kept| {
        if kept.name == kept.role.name() {
            kept.name.clone()
        } else {
            format!("{} as {}", pgrx::spi::quote_identifier(&kept.name), kept.role.name())
        }
    };
    spec.kept.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn describe(target: &Relation, state: &State, spec: &Spec) -> String {
    let mut detail = roles_of(spec);
    if spec.column(Role::UpdatedAt).is_some() || spec.column(Role::CreatedAt).is_some() {
        detail += &format!("; {} clock", spec.clock.name());
    }
    detail += if spec.always { "; at every UPDATE" } else { "; when an UPDATE changes something" };
    if target.partitioned {
        detail += &format!("; partitions: {}", state.relations.len() - 1);
    }
    detail
}

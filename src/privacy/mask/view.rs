//! Masked views: what a role may see of a table, computed when it looks.

use super::expression::{self, Parameters};
use super::plan;
use super::rules;
use super::table;
use crate::catalog::relation::Relation;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi, subtransaction};
use crate::privacy::action::Action;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

pub fn make(relid: pg_sys::Oid, role: Option<&str>, name: Option<&str>) -> Result<(String, String, String)> {
    let relation = Relation::owned_table(relid, "make a masked view of")?;
    let declared = plan::declared(Some(&[relid]))?.into_iter().next().map(|(_, rules)| rules).ok_or_else(|| {
        Error::not_in_prerequisite_state(format!("nothing is declared of table {}", relation.qualified_name()))
            .hint("Call declare_column() or accept_discovery() first: a view without masks would show everything.")
    })?;
    if let Some(role) = role {
        let known = spi::read_one_now::<bool>(
            "SELECT true FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
            &[role.into()],
        );
        if known.is_none() {
            return Err(Error::undefined_object(format!("role \"{role}\" does not exist")));
        }
    }
    let columns = table::columns(relid)?;
    let name = match name {
        Some(name) => name.to_owned(),
        None => cut(&format!("{}_masked", relation.name)),
    };
    let view = lookup::qualify(&relation.schema, &name);
    let existing = lookup::relation_named(&relation.schema, &name);
    let mut list = Vec::new();
    for column in &columns {
        let quoted = quote_identifier(&column.name);
        let rules: Vec<_> =
            declared.iter().filter(|rule| rule.column == column.name).cloned().map(stable).collect();
        let shown = if rules.is_empty() {
            format!("t.{quoted}")
        } else {
            masked(rules, &columns).unwrap_or_else(|| format!("NULL::{}", column.type_name))
        };
        list.push(format!("{shown} AS {quoted}"));
    }
    let owner = table::owner(relid)?;
    subtransaction::attempt(|| {
        security::as_table_owner(owner, || {
            let create = format!(
                "CREATE OR REPLACE VIEW {view} WITH (security_barrier) AS SELECT {} FROM {} AS t",
                list.join(", "),
                relation.qualified_name()
            );
            spi::run(&create, &[])?;
            spi::run(&format!("REVOKE ALL ON {view} FROM PUBLIC"), &[])?;
            if let Some(role) = role {
                spi::run(&format!("GRANT SELECT ON {view} TO {}", quote_identifier(role)), &[])?;
            }
            Ok(())
        })
    })?;
    let action = if existing.is_some() { "replaced" } else { "created" };
    let detail =
        role.map_or_else(|| "granted to nobody yet".to_owned(), |role| format!("SELECT granted to {role}"));
    Ok((view, action.to_owned(), detail))
}

/// What a view can show holds no key and is the same each time: anything else becomes null.
fn stable(rule: rules::Rule) -> rules::Rule {
    match rule.action {
        Action::Keep | Action::Null | Action::Constant | Action::Partial | Action::Generalise => rule,
        _ => rules::Rule { action: Action::Null, params: serde_json::json!({}), ..rule },
    }
}

/// The expression for a column; none where a rule does not fit it. NOT NULL does not matter in a view.
fn masked(rules: Vec<rules::Rule>, columns: &[table::Column]) -> Option<String> {
    let relaxed: Vec<table::Column> = columns
        .iter()
        .cloned()
        .map(|column| table::Column {
            not_null: false,
            unique: false,
            unique_alone: false,
            foreign_key: false,
            partition_key: false,
            identity_always: false,
            generated: false,
            ..column
        })
        .collect();
    let checked: Option<Vec<rules::Checked>> =
        rules.into_iter().map(|rule| rules::check(rule, &relaxed).ok()).collect();
    let checked = checked?;
    let first = checked.first()?;
    if checked.iter().all(|c| c.rule.action == Action::Keep) {
        return Some(format!("t.{}", quote_identifier(&first.column.name)));
    }
    expression::values(&checked, "NULL", &mut Parameters::literals()).pop().map(|(_, value)| value)
}

/// A name of at most 63 bytes, cut before a character.
fn cut(name: &str) -> String {
    let mut end = name.len().min(63);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

//! What a masking would do: the tables, their rules, what is refused and why.

use super::keys::{self, ForeignKey};
use super::rules::{self, Checked, Rule};
use super::table::{self, Stored};
use crate::catalog::relation::Relation;
use crate::error::{Error, Result};
use crate::pg::{lookup, security, spi, subtransaction};
use crate::privacy::action::Action;
use crate::privacy::catalogue;
use pgrx::pg_sys;
use serde_json::Value;

/// One line of the plan.
pub struct Line {
    pub table: String,
    pub column: String,
    pub action: &'static str,
    pub refused: bool,
    pub detail: String,
}

#[derive(Default)]
pub struct Plan {
    pub lines: Vec<Line>,
    /// Each table's rules that can be carried out.
    pub masked: Vec<(pg_sys::Oid, Vec<Checked>)>,
    pub foreign_keys: Vec<ForeignKey>,
}

impl Plan {
    /// What tells pseudonyms apart, of each rule in order: to be the same when a masking goes on, whatever
    /// foreign keys it has dropped since.
    pub fn domains(&self) -> Vec<String> {
        self.masked.iter().flat_map(|(_, checked)| checked).map(|rule| rule.domain.clone()).collect()
    }

    /// Puts back what `domains` said; false where the rules are others now.
    pub fn with_domains(&mut self, domains: Vec<String>) -> bool {
        let rules = self.masked.iter_mut().flat_map(|(_, checked)| checked);
        let mut domains = domains.into_iter();
        for rule in rules {
            let Some(domain) = domains.next() else { return false };
            rule.domain = domain;
        }
        domains.next().is_none()
    }

    pub fn refused(&self) -> bool {
        self.lines.iter().any(|line| line.refused)
    }

    /// The tables that hold rows, each with the rules of the table it is, or is a partition of.
    pub fn stored(&self) -> Result<Vec<(Stored, &[Checked])>> {
        let mut all = Vec::new();
        for (relid, checked) in &self.masked {
            all.extend(table::stored(*relid)?.into_iter().map(|stored| (stored, checked.as_slice())));
        }
        Ok(all)
    }
}

/// Checks the rules of several tables, and what they do to the foreign keys between them.
///
/// `begun`: a masking has put values aside, below zero, that are still there.
pub fn make(tables: Vec<Asked>, begun: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    for (relid, wanted) in tables {
        let relation = Relation::owned_table(relid, "mask")?;
        let columns = table::columns(relid)?;
        let mut checked = Vec::new();
        for rule in wanted {
            let name = if rule.json_path.is_empty() {
                rule.column.clone()
            } else {
                format!("{} #> {{{}}}", rule.column, rule.json_path.join(","))
            };
            let mut line = Line {
                table: relation.qualified_name(),
                column: name,
                action: rule.action.name(),
                refused: false,
                detail: rules::standing(rule.action).to_owned(),
            };
            let twice = checked.iter().any(|known: &Checked| {
                known.rule.column == rule.column
                    && (known.rule.json_path.is_empty() || rule.json_path.is_empty())
            });
            let check = rules::check(rule, &columns)
                .and_then(|rule| if begun { Ok(rule) } else { signed(relid, rule) });
            match check {
                Ok(_) if twice => {
                    (line.refused, line.detail) = (true, "another rule is about the whole column".into());
                }
                Ok(rule) => checked.push(rule),
                Err(reason) => (line.refused, line.detail) = (true, reason),
            }
            plan.lines.push(line);
        }
        plan.masked.push((relid, checked));
    }
    let relids: Vec<pg_sys::Oid> = plan.masked.iter().map(|(relid, _)| *relid).collect();
    let changing: Vec<ForeignKey> =
        keys::of(&relids)?.into_iter().filter(|key| keys::changes(key, &plan.masked)).collect();
    for key in &changing {
        if let Some(reason) = keys::broken(key, &plan.masked) {
            for (relid, checked) in &plan.masked {
                let table = lookup::qualified_name(*relid).unwrap_or_default();
                for rule in checked.iter().filter(|c| keys::concerns(key, *relid, &c.column.name)) {
                    if let Some(line) = plan
                        .lines
                        .iter_mut()
                        .find(|line| line.table == table && line.column == rule.column.name)
                    {
                        (line.refused, line.detail) = (true, reason.clone());
                    }
                }
            }
        }
    }
    plan.foreign_keys = changing;
    Ok(plan)
}

/// Refuses a unique column of whole numbers with some below zero, where values are put aside.
fn signed(relid: pg_sys::Oid, rule: Checked) -> std::result::Result<Checked, String> {
    if !rule.aside || rules::kind(&rule.column) != rules::Kind::Integer {
        return Ok(rule);
    }
    let (table, name) =
        (lookup::qualified_name(relid).unwrap_or_default(), pgrx::spi::quote_identifier(&rule.column.name));
    let negative = subtransaction::attempt(|| {
        security::as_table_owner(table::owner(relid)?, || {
            Ok(spi::read_one_now::<bool>(
                &format!("SELECT true FROM {table} AS t WHERE t.{name} OPERATOR(pg_catalog.<) 0 LIMIT 1"),
                &[],
            ))
        })
    });
    match negative {
        Ok(None) => Ok(rule),
        Ok(Some(_)) => Err("the column is unique and has values below zero".into()),
        Err(error) => Err(error.one_line()),
    }
}

/// A table and the rules asked for.
pub type Asked = (pg_sys::Oid, Vec<Rule>);

/// The declared rules of every table, or of some, by table.
pub fn declared(only: Option<&[pg_sys::Oid]>) -> Result<Vec<Asked>> {
    let mut tables: Vec<Asked> = Vec::new();
    for column in catalogue::columns()? {
        // A declaration whose table is gone masks nothing; coverage_assert() tells of it.
        let Some(relid) = lookup::relation_named(&column.schema, &column.table) else { continue };
        if only.is_some_and(|only| !only.contains(&relid)) {
            continue;
        }
        let rule = Rule {
            column: column.column,
            json_path: column.json_path,
            category: column.category,
            action: column.action,
            params: column.params,
        };
        match tables.iter_mut().find(|(known, _)| *known == relid) {
            Some((_, rules)) => rules.push(rule),
            None => tables.push((relid, vec![rule])),
        }
    }
    Ok(tables)
}

/// Puts given rules in the place of declared ones of the same columns.
pub fn overlay(tables: &mut Vec<Asked>, relid: pg_sys::Oid, given: Vec<Rule>) {
    if given.is_empty() {
        return;
    }
    if !tables.iter().any(|(known, _)| *known == relid) {
        tables.push((relid, Vec::new()));
    }
    for (_, rules) in tables.iter_mut().filter(|(known, _)| *known == relid) {
        for rule in &given {
            // A rule given without a category is of the column's declared one.
            let category = rules.iter().find(|r| r.column == rule.column).map(|r| r.category.clone());
            rules.retain(|known| known.column != rule.column);
            let mut rule = rule.clone();
            if rule.category.is_empty() {
                rule.category = category.unwrap_or_default();
            }
            rules.push(rule);
        }
    }
}

/// Leaves out every column but some, each of which must have a rule.
pub fn only(tables: &mut [Asked], columns: Vec<String>, relid: pg_sys::Oid) -> Result<()> {
    let known = |column: &String| tables.iter().any(|(_, rules)| rules.iter().any(|r| r.column == *column));
    if let Some(unknown) = columns.iter().find(|column| !known(column)) {
        return Err(Error::undefined_column(format!("nothing is declared of column \"{unknown}\""))
            .detail(format!("The table is {}.", lookup::qualified_name(relid).unwrap_or_default()))
            .hint("Call declare_column() or give a rule."));
    }
    tables.iter_mut().for_each(|(_, rules)| rules.retain(|rule| columns.contains(&rule.column)));
    Ok(())
}

/// Rules given for this once: `{"column": "action"}` or `{"column": {"action": ..., "params": {...}, "category": ...}}`.
pub fn given(rules: &Value) -> Result<Vec<Rule>> {
    let invalid = || {
        Error::invalid_parameter("rules must be a JSON object of columns and actions")
            .hint("{\"email\": \"pseudonym\", \"name\": {\"action\": \"constant\", \"params\": {\"value\": \"-\"}}}")
    };
    let rules = rules.as_object().ok_or_else(invalid)?;
    rules
        .iter()
        .map(|(column, rule)| {
            let (name, params, category) = match rule {
                Value::String(name) => (name.as_str(), Value::Object(Default::default()), ""),
                Value::Object(parts) => (
                    parts.get("action").and_then(Value::as_str).ok_or_else(invalid)?,
                    parts.get("params").cloned().unwrap_or_else(|| Value::Object(Default::default())),
                    parts.get("category").and_then(Value::as_str).unwrap_or(""),
                ),
                _ => return Err(invalid()),
            };
            let action = Action::parse(name)?;
            action.check(&params)?;
            let category = category.to_owned();
            Ok(Rule { column: column.clone(), json_path: Vec::new(), category, action, params })
        })
        .collect()
}

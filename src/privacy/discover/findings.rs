//! Looking through tables within a time budget, keeping what was found, and declaring it.

use super::category::Category;
use super::sample::{self, Column, Looked, Target};
use super::weigh::{self, Finding};
use crate::error::{Error, Result};
use crate::pg::{lookup, security, session, spi, subtransaction};
use crate::privacy::action::Action;
use crate::privacy::declare::{self, ColumnDeclaration};
use crate::privacy::storage;
use std::time::{Duration, Instant};

/// What was found of a column or path.
pub struct Found {
    pub finding_id: Option<i64>,
    pub schema: String,
    pub table: String,
    pub column: String,
    pub json_path: Vec<String>,
    pub finding: Finding,
    pub proposed_action: &'static str,
}

/// Looks through the tables. Tables of persons come first; what the budget does not cover is judged by names.
pub fn discover(
    schemas: Option<Vec<String>>,
    sample_rows: i32,
    budget: Duration,
    min_confidence: f32,
) -> Result<Vec<Found>> {
    let start = Instant::now();
    let mut targets = sample::targets(schemas)?;
    targets.sort_by_key(|target| !super::names::is_person_table(&target.name));
    let mut found = Vec::new();
    let (mut unread, mut refused) = (0, 0);
    for target in &targets {
        pgrx::check_for_interrupts!();
        let mut why = None;
        let looked = if !target.readable() {
            refused += 1;
            why = Some("not read: no privilege");
            target.unread()
        } else if target.has_policies() {
            refused += 1;
            why = Some("not read: row-level security");
            target.unread()
        } else if start.elapsed() >= budget {
            unread += 1;
            why = Some("not read: out of time");
            target.unread()
        } else {
            match subtransaction::attempt(|| target.read(sample_rows)) {
                Ok(looked) => looked,
                Err(error) if error.is_cancel() => return Err(error),
                Err(_) => {
                    refused += 1;
                    why = Some("not read: the table refused");
                    target.unread()
                }
            }
        };
        found.extend(judge(target, &looked, min_confidence, why));
    }
    if unread > 0 || refused > 0 {
        pgrx::notice!(
            "{unread} of {} tables were judged by names only for want of time, {refused} because they could not be read",
            targets.len()
        );
    }
    found.sort_by(|a, b| {
        (&a.schema, &a.table, &a.column, &a.json_path).cmp(&(&b.schema, &b.table, &b.column, &b.json_path))
    });
    if !session::is_read_only() {
        keep(&mut found)?;
    }
    Ok(found)
}

fn judge(target: &Target, looked: &[Looked], min_confidence: f32, why: Option<&str>) -> Vec<Found> {
    let evidence: Vec<&weigh::Evidence> = looked.iter().map(|l| &l.evidence).collect();
    weigh::table(&target.name, &evidence)
        .into_iter()
        .zip(looked)
        .filter_map(|(finding, looked)| {
            let mut finding = finding.filter(|finding| finding.confidence >= min_confidence)?;
            finding.evidence.extend(why.map(str::to_owned));
            let Column { name, nullable, unique, .. } = &target.columns[looked.column];
            let whole = looked.json_path.is_empty();
            Some(Found {
                finding_id: None,
                schema: target.schema.clone(),
                table: target.name.clone(),
                column: name.clone(),
                json_path: looked.json_path.clone(),
                proposed_action: finding.category.proposed_action(*nullable || !whole, *unique && whole),
                finding,
            })
        })
        .collect()
}

/// Keeps findings, under the number they had before where there was one.
fn keep(found: &mut [Found]) -> Result<()> {
    storage::ensure()?;
    security::as_extension_owner(|| {
        for one in found {
            one.finding_id = spi::run_one::<i64>(
                "INSERT INTO architect.privacy_finding AS f
                        (schema_name, table_name, column_name, json_path, category, identifier_class, confidence,
                         evidence, proposed_action)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 ON CONFLICT (schema_name, table_name, column_name, json_path) DO UPDATE
                    SET category = excluded.category, identifier_class = excluded.identifier_class,
                        confidence = excluded.confidence, evidence = excluded.evidence,
                        proposed_action = excluded.proposed_action, found_at = excluded.found_at
                 RETURNING f.finding_id",
                &[
                    one.schema.as_str().into(),
                    one.table.as_str().into(),
                    one.column.as_str().into(),
                    one.json_path.clone().into(),
                    one.finding.category.name().into(),
                    one.finding.category.identifier_class().into(),
                    one.finding.confidence.into(),
                    one.finding.evidence.clone().into(),
                    one.proposed_action.into(),
                ],
            )?;
        }
        Ok(())
    })
}

/// A finding as it was kept.
struct Kept {
    id: i64,
    schema: String,
    table: String,
    column: String,
    json_path: Vec<String>,
    category: String,
    identifier_class: String,
    action: String,
    confidence: f32,
}

/// Declares findings; returns what was done with each.
pub fn accept(
    ids: Option<Vec<i64>>,
    min_confidence: f32,
) -> Result<Vec<(i64, String, &'static str, String)>> {
    storage::require()?;
    let kept = security::as_extension_owner(|| {
        spi::read(
            "SELECT f.finding_id, f.schema_name, f.table_name, f.column_name, f.json_path, f.category,
                    f.identifier_class, f.proposed_action, f.confidence
               FROM architect.privacy_finding AS f
              WHERE CASE WHEN $1 IS NULL THEN f.confidence OPERATOR(pg_catalog.>=) $2
                         ELSE f.finding_id OPERATOR(pg_catalog.=) ANY ($1) END
              ORDER BY f.finding_id",
            &[ids.clone().into(), min_confidence.into()],
            |row| {
                Ok(Kept {
                    id: row.get(1)?.unwrap_or_default(),
                    schema: row.get(2)?.unwrap_or_default(),
                    table: row.get(3)?.unwrap_or_default(),
                    column: row.get(4)?.unwrap_or_default(),
                    json_path: row
                        .get::<Vec<Option<String>>>(5)?
                        .unwrap_or_default()
                        .into_iter()
                        .flatten()
                        .collect(),
                    category: row.get(6)?.unwrap_or_default(),
                    identifier_class: row.get(7)?.unwrap_or_default(),
                    action: row.get(8)?.unwrap_or_default(),
                    confidence: row.get(9)?.unwrap_or_default(),
                })
            },
        )
    })?;
    if let Some(unknown) = ids.iter().flatten().find(|id| !kept.iter().any(|kept| kept.id == **id)) {
        return Err(Error::undefined_object(format!("there is no finding {unknown}"))
            .hint("Numbers of findings are in the result of discover_pii()."));
    }
    let mut done = Vec::new();
    for kept in kept {
        let name = format!(
            "{}.{}",
            lookup::qualify(&kept.schema, &kept.table),
            pgrx::spi::quote_identifier(&kept.column)
        );
        let (action, detail) = match declare_one(&kept) {
            Ok(report) => (report.action, report.detail),
            Err(error) if error.is_cancel() => return Err(error),
            Err(error) => ("refused", error.one_line()),
        };
        done.push((kept.id, name, action, detail));
    }
    Ok(done)
}

fn declare_one(kept: &Kept) -> Result<crate::privacy::decide::Report> {
    if kept.json_path.iter().any(|key| key == "[]") {
        return Err(Error::invalid_parameter("the values are elements of a json array").detail(
            "A json path leads to one value; declare the path of the array to mask or erase it whole.",
        ));
    }
    let relid = lookup::relation_named(&kept.schema, &kept.table)
        .ok_or_else(|| Error::undefined_object("the table does not exist any more"))?;
    let action = Action::parse(&kept.action)?;
    let declared = ColumnDeclaration {
        column: kept.column.clone(),
        json_path: kept.json_path.clone(),
        category: kept.category.clone(),
        identifier_class: kept.identifier_class.clone(),
        action,
        params: Category::params(&kept.category, action),
        purpose: None,
        legal_basis: None,
        retention: None,
        retention_from: None,
        recipients: Vec::new(),
        source: "discovered",
        confidence: Some(kept.confidence),
    };
    subtransaction::attempt(|| declare::column(relid, &declared))
}

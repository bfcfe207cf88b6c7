//! Advice in words: names, statements, reasons, how sure it is; and the log it is kept in.

use crate::error::Result;
use crate::index::advisor::{Creation, Outcome};
use crate::index::drops::{Removal, Successor};
use crate::index::price::Upkeep;
use crate::index::report::usage::in_days;
use crate::index::spec::Spec;
use crate::index::statement::NewIndex;
use crate::index::workload::Workload;
use crate::pg::{lookup, security, session, spi};
use pgrx::pg_sys;
use pgrx::spi::quote_literal;

pub struct Advice {
    pub action: &'static str,
    pub relid: pg_sys::Oid,
    pub table: String,
    pub index_name: String,
    pub columns: Vec<String>,
    pub method: String,
    pub statement: String,
    pub undo: String,
    pub bytes: f64,
    pub query_ids: Vec<i64>,
    /// What those take, in milliseconds a day, before and after; of a CREATE.
    pub helped_ms: Option<(f64, f64)>,
    pub before: f64,
    pub after: f64,
    pub share: f64,
    pub upkeep: Upkeep,
    pub priority: &'static str,
    pub reason: String,
    pub confidence: &'static str,
    pub caveats: Vec<String>,
}

pub fn creations(outcome: &Outcome, workload: &Workload, coverage: f64) -> Vec<Advice> {
    let mut taken = Vec::new();
    let mut list = Vec::new();
    for creation in &outcome.creations {
        let share = share(creation.before - creation.after, outcome);
        let spec = &creation.spec;
        let relid = spec.relid;
        let partitioned = lookup::is_partitioned(relid);
        let (name, statement, undo) = statements(spec, &mut taken);
        let mut caveats = common_caveats(outcome, workload, coverage);
        if partitioned {
            caveats.push("of a partitioned table: built on each partition concurrently, by a background worker, and attached".to_owned());
        }
        if spec.packed {
            caveats.push("its pages are packed full, because nothing has written to the table since it was loaded and analysed: leave WITH (fillfactor) out if that will change".to_owned());
        }
        if creation.some_values {
            caveats.push("holds for some values of the parameters more than for others".to_owned());
        }
        if ["gin", "gist", "spgist"].contains(&spec.method.as_str()) {
            caveats.push(format!("the size of a {} index is a rough estimate", spec.method));
        }
        if creation.upkeep.ends_hot {
            caveats.push("updates of its columns are HOT no longer".to_owned());
        }
        list.push(Advice {
            action: "CREATE",
            relid,
            table: lookup::qualified_name(relid).unwrap_or_default(),
            columns: spec.columns(),
            method: spec.method.clone(),
            statement,
            undo,
            index_name: name,
            bytes: creation.bytes,
            query_ids: creation.helped.clone(),
            helped_ms: Some(creation.helped_ms),
            before: creation.before,
            after: creation.after,
            share,
            upkeep: creation.upkeep,
            priority: priority(share),
            reason: created_for(creation, share),
            confidence: confidence(workload, coverage, creation.some_values || outcome.expired),
            caveats,
        });
    }
    list
}

fn created_for(creation: &Creation, share: f64) -> String {
    let stands_in = creation.replaces.join(" and ");
    if creation.statements == 0 && !creation.replaces.is_empty() {
        return format!("stands in for {stands_in}, which can go: writes pay for one index instead of two");
    }
    let mut reason = format!(
        "{} {} cheaper; the workload's time falls by {}, writes pay {:.0} ms a day",
        creation.statements,
        if creation.statements == 1 { "statement gets" } else { "statements get" },
        percent(share),
        creation.upkeep.ms
    );
    if !creation.replaces.is_empty() {
        reason += &format!("; begins as {stands_in} does, which can go");
    }
    reason
}

/// The index's name, the statement that creates it and the one that undoes that. No name is given twice.
pub fn statements(spec: &Spec, taken: &mut Vec<String>) -> (String, String, String) {
    let relid = spec.relid;
    let schema = lookup::relation_schema(relid).unwrap_or_default();
    let table = lookup::relation_name(relid).unwrap_or_default();
    let name = NewIndex::named(&schema, &table, &spec.key_names(), relid, taken).name;
    let qualified = lookup::qualify(&schema, &name);
    if lookup::is_partitioned(relid) {
        // CREATE INDEX CONCURRENTLY does not take a partitioned table.
        let create = format!(
            "CALL architect.create_partitioned_index({}, {}, {});",
            quote_literal(lookup::qualify(&schema, &table)),
            quote_literal(spec.definition()),
            quote_literal(&name)
        );
        return (name, create, format!("DROP INDEX {qualified};"));
    }
    let create = format!("{};", spec.statement(Some(&name), true));
    (name, create, format!("DROP INDEX CONCURRENTLY {qualified};"))
}

pub fn removals(
    removals: Vec<Removal>,
    outcome: &Outcome,
    workload: &Workload,
    coverage: f64,
) -> Vec<Advice> {
    removals
        .into_iter()
        .map(|removal| {
            let share = share(removal.before - removal.after, outcome);
            let mut caveats = common_caveats(outcome, workload, coverage);
            let unused = removal.scans == 0;
            if removal.days < 30.0 {
                caveats.push(format!("its scans were observed for {} only", in_days(removal.days)));
            }
            if !unused && removal.successor.is_none() {
                caveats.push(
                    "it has been scanned, but the statements analysed do as well without it".to_owned(),
                );
            }
            if matches!(removal.successor, Some(Successor::Advised | Successor::Merged)) {
                caveats.push("only after the index that takes over has been built".to_owned());
            }
            let reason = match &removal.successor {
                Some(Successor::Advised | Successor::Merged) => {
                    "an index advised above serves what it serves".to_owned()
                }
                Some(Successor::Existing(name)) => format!("{name} serves what it serves"),
                None if unused => {
                    format!(
                        "no statement of the workload and no scan in {} has used it",
                        in_days(removal.days)
                    )
                }
                None => "the writes it makes dearer cost more than the statements would lose".to_owned(),
            };
            let sure = unused && removal.days >= 30.0 && coverage >= 0.9;
            Advice {
                action: "DROP",
                relid: removal.relid,
                index_name: removal.index_name,
                table: removal.table,
                columns: removal.columns,
                method: removal.method,
                statement: removal.statement,
                undo: removal.undo,
                bytes: removal.bytes,
                query_ids: removal.affected,
                helped_ms: None,
                before: removal.before,
                after: removal.after,
                share,
                upkeep: removal.upkeep,
                priority: priority(share),
                reason,
                confidence: if sure {
                    "high"
                } else {
                    confidence(workload, coverage, !unused || removal.days < 7.0)
                },
                caveats,
            }
        })
        .collect()
}

fn share(gain: f64, outcome: &Outcome) -> f64 {
    if outcome.total_before > 0.0 { gain / outcome.total_before } else { 0.0 }
}

fn percent(share: f64) -> String {
    if share >= 0.1 { format!("{:.0} %", share * 100.0) } else { format!("{:.1} %", share * 100.0) }
}

fn priority(share: f64) -> &'static str {
    match share {
        s if s >= 0.1 => "high",
        s if s >= 0.02 => "medium",
        _ => "low",
    }
}

fn confidence(workload: &Workload, coverage: f64, doubtful: bool) -> &'static str {
    if doubtful || coverage < 0.5 {
        "low"
    } else if !workload.measured || coverage < 0.9 {
        "medium"
    } else {
        "high"
    }
}

fn common_caveats(outcome: &Outcome, workload: &Workload, coverage: f64) -> Vec<String> {
    let mut caveats = Vec::new();
    if coverage < 0.95 {
        caveats.push(format!("{} of the workload could be analysed", percent(coverage)));
    }
    if !workload.measured {
        caveats.push("times are guessed from the planner's costs".to_owned());
    } else if workload.days < 1.0 {
        caveats.push("the workload was observed for less than a day".to_owned());
    }
    if outcome.expired {
        caveats.push("the time limit ended the search".to_owned());
    }
    caveats
}

/// Notes the advice, for review_advice(); the same advice once a day. A standby and a read-only transaction
/// give advice that is not kept.
pub fn keep(rows: &[Advice]) -> Result<()> {
    if session::in_recovery() || session::is_read_only() || lookup::own_relation("advice_log").is_none() {
        return Ok(());
    }
    let to = security::role_name(security::current_role());
    let by = security::role_name(security::session_role());
    security::as_extension_owner(|| {
        for row in rows {
            spi::run(
                "INSERT INTO architect.advice_log (advised_to, advised_by, action, table_oid, schema_name, table_name,
                        index_name, columns, method, statement, undo, estimated_bytes, cost_before, cost_after,
                        benefit_ms_per_day, write_ms_per_day, query_ids, helped_before, helped_after)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
                  WHERE NOT EXISTS (SELECT FROM architect.advice_log AS l
                         WHERE l.table_oid OPERATOR(pg_catalog.=) $4 AND l.statement OPERATOR(pg_catalog.=) $10
                           AND l.advised_at OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval))",
                &[
                    to.as_str().into(),
                    by.as_str().into(),
                    row.action.into(),
                    row.relid.into(),
                    lookup::relation_schema(row.relid).into(),
                    lookup::relation_name(row.relid).into(),
                    row.index_name.as_str().into(),
                    row.columns.clone().into(),
                    row.method.as_str().into(),
                    row.statement.as_str().into(),
                    row.undo.as_str().into(),
                    (row.bytes as i64).into(),
                    row.before.into(),
                    row.after.into(),
                    (row.before - row.after).into(),
                    row.upkeep.ms.into(),
                    row.query_ids.clone().into(),
                    row.helped_ms.map(|(before, _)| before).into(),
                    row.helped_ms.map(|(_, after)| after).into(),
                ],
            )?;
        }
        Ok(())
    })
}

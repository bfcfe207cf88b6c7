//! Whether the constraints of a table take what erasing would put into rows that stay: tried on these rows without changing
//! them, so that the plan says what would otherwise fail half-way.

use super::owner::{self, Values};
use super::plan::{Act, Plan, Step, Which};
use super::sql;
use super::table::Kind;
use crate::error::Result;
use crate::pg::kept;
use pgrx::pg_sys;

/// Blocks the steps whose values a constraint would refuse.
pub fn of(plan: &Plan, steps: &mut [Step]) -> Result<()> {
    for step in steps.iter_mut().filter(|step| step.act == Act::Mask) {
        if let Some(why) = refused(plan, step)? {
            step.act = Act::Blocked;
            step.blocker = Some(why);
        }
    }
    Ok(())
}

fn refused(plan: &Plan, step: &Step) -> Result<Option<String>> {
    let table = &plan.graph.tables[step.table];
    let Which::Rows(rows) = &step.which else { return Ok(None) };
    let checks = checks(table.relid)?;
    let mut values = Values::default();
    let (replacements, _) = plan.replacements(step, &mut values);
    let emptied = plan.detached_columns(step);
    let concerns = |column: &str| {
        replacements.iter().any(|r| r.column == column) || emptied.iter().any(|name| name == column)
    };
    let of_domain = replacements.iter().any(|r| {
        table
            .column(&r.column)
            .is_some_and(|column| column.kind == Kind::Made || column.full_type != column.typed.base_type)
    });
    let checks: Vec<&Check> =
        checks.iter().filter(|check| check.columns.iter().any(|c| concerns(c))).collect();
    if checks.is_empty() && !of_domain {
        return Ok(None);
    }
    // The rows as they would be; a domain refuses its values by itself.
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let name = sql::identifier(column.name());
            match replacements.iter().find(|r| r.column == column.name()) {
                Some(replacement) => format!("{} AS {name}", replacement.expression),
                None if emptied.iter().any(|n| n == column.name()) && !column.holds_text() => {
                    format!("NULL::{} AS {name}", column.full_type)
                }
                None => format!("{} AS {name}", sql::of("t", column.name())),
            }
        })
        .collect();
    let node = &plan.collection.nodes[step.table];
    let keys: Vec<_> = rows.iter().map(|&row| node.rows[row].key.clone()).collect();
    let among = sql::among("t", &table.key, &keys, &mut values);
    let verdicts: Vec<String> = checks
        .iter()
        .map(|check| {
            format!(
                "COALESCE(pg_catalog.bool_and(({}) IS NOT FALSE), true)::pg_catalog.text",
                check.expression
            )
        })
        .chain(std::iter::once("pg_catalog.count(changed.*)::pg_catalog.text".to_owned()))
        .collect();
    let query = format!(
        "SELECT {} FROM (SELECT {} FROM {} AS t WHERE {among} OFFSET 0) AS changed",
        verdicts.join(", "),
        columns.join(", "),
        table.qualified
    );
    let tried =
        owner::within(table.owner, &table.qualified, || owner::texts(&query, &values, verdicts.len()));
    Ok(match tried {
        Ok(rows) => rows.first().and_then(|row| {
            let at = row.iter().take(checks.len()).position(|verdict| verdict.as_deref() == Some("false"))?;
            Some(refusal(&format!("constraint {}", sql::identifier(&checks[at].name))))
        }),
        Err(error) if error.is_cancel() => return Err(error),
        // A check of the row's own table or place, which the changed row has not.
        Err(error) if error.code() == pgrx::PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN => None,
        Err(_) => Some(refusal("a type or constraint")),
    })
}

fn refusal(by: &str) -> String {
    format!("{by} refuses what would take the values' place: declare_column() with a constant that it takes")
}

struct Check {
    name: String,
    columns: Vec<String>,
    expression: String,
}

fn checks(relid: pg_sys::Oid) -> Result<Vec<Check>> {
    kept::read_now(
        "SELECT c.conname::pg_catalog.text, pg_catalog.pg_get_expr(c.conbin, c.conrelid),
                ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a
                       WHERE a.attrelid OPERATOR(pg_catalog.=) c.conrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (c.conkey))
           FROM pg_catalog.pg_constraint AS c
          WHERE c.conrelid OPERATOR(pg_catalog.=) $1 AND c.contype OPERATOR(pg_catalog.=) 'c'::pg_catalog.\"char\" ORDER BY 1",
        &[relid.into()],
        |row| {
            Ok(Check {
                name: row.get(1)?.unwrap_or_default(),
                expression: row.get(2)?.unwrap_or_default(),
                columns: row.get::<Vec<Option<String>>>(3)?.unwrap_or_default().into_iter().flatten().collect(),
            })
        },
    )
}

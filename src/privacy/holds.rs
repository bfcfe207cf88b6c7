//! Holds: reasons not to erase.

use super::graph::Graph;
use super::plan::{Act, Step, Which};
use crate::error::Result;
use crate::pg::{kept, security};
use std::collections::HashSet;

/// Steps that say what is held, and the tables whose rows are.
pub fn concerning(graph: &Graph, key_hmac: &[u8]) -> Result<(Vec<Step>, HashSet<usize>)> {
    let subject_type = graph.subject.subject_type.as_str();
    let holds = security::as_extension_owner(|| {
        kept::read_now(
            "SELECT h.hold_id, h.schema_name, h.table_name, h.reason, h.hold_until::pg_catalog.text
               FROM architect.privacy_hold AS h
              WHERE h.lifted_at IS NULL AND (h.hold_until IS NULL OR h.hold_until OPERATOR(pg_catalog.>) pg_catalog.now())
                AND (h.table_name IS NOT NULL
                     OR h.subject_type OPERATOR(pg_catalog.=) $1 AND h.key_hmac OPERATOR(pg_catalog.=) $2)
              ORDER BY h.hold_id",
            &[subject_type.into(), key_hmac.to_vec().into()],
            |row| {
                Ok((
                    row.get::<i64>(1)?.unwrap_or_default(),
                    row.get::<String>(2)?.zip(row.get::<String>(3)?),
                    row.get::<String>(4)?.unwrap_or_default(),
                    row.get::<String>(5)?,
                ))
            },
        )
    })?;
    let mut steps = Vec::new();
    let mut tables = HashSet::new();
    for (id, table, reason, until) in holds {
        let text = format!("hold {id}: {reason}");
        let place = match &table {
            Some((schema, name)) => {
                graph.tables.iter().position(|table| (&table.schema, &table.name) == (schema, name))
            }
            None => Some(0),
        };
        let Some(place) = place else { continue };
        let blocked = table.is_none();
        if !blocked {
            tables.insert(place);
        }
        steps.push(Step {
            table: place,
            act: if blocked { Act::Blocked } else { Act::Keep },
            which: Which::None,
            rows: 0,
            columns: Vec::new(),
            declared_only: false,
            person_columns: None,
            detach: Vec::new(),
            blocker: blocked.then(|| text.clone()),
            reason: (!blocked).then_some(text),
            until,
            retained: 0,
        });
    }
    Ok((steps, tables))
}

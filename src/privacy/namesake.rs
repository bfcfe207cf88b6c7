//! What identifies a person who is being erased: values of now and before, and which of them nobody else bears.

use super::catalogue::{self, Subject};
use super::collect::{Class, Texts};
use super::erase::LOGS;
use super::graph::Graph;
use super::owner::{self, Values};
use super::plan::Plan;
use super::replace;
use super::seek::direct;
use super::sql::{self, of};
use super::table::Table;
use crate::capture::identity_words::identifies;
use crate::capture::redaction::Target;
use crate::error::Result;
use crate::pg::batches::Cursor;
use crate::pg::{kept, lookup, spi};
use std::collections::HashSet;

/// What identifies the person, now and, as far as the logs know, before.
pub fn values(plan: &Plan) -> Result<Vec<String>> {
    let columns = &plan.graph.subject.identity;
    let root = &plan.graph.tables[0];
    let mut values: Vec<String> = Vec::new();
    if let Some(row) = plan.collection.nodes.first().and_then(|node| node.rows.first())
        && !row.key.is_empty()
    {
        values.extend(plan.collection.nodes[0].pick(row, columns).into_iter().flatten());
    }
    let key: Texts = plan.key.iter().cloned().map(Some).collect();
    let row = Target {
        relid: root.relid,
        schema: root.schema.clone(),
        table: root.name.clone(),
        key_columns: Vec::new(),
        keys: Vec::new(),
        clear_key: false,
        references: vec![(plan.graph.subject.key.clone(), vec![key])],
        columns: None,
    };
    for log in LOGS {
        values.extend(log.former_values(&row, columns)?);
    }
    values.retain(|value| is_somebodys(root, value));
    Ok(values)
}

/// What erasing has put there before identifies nobody.
fn is_somebodys(table: &Table, value: &str) -> bool {
    !replace::is_ours(value) && !table.declared.iter().any(|d| d.params["value"].as_str() == Some(value))
}

/// What else is looked for when the erasing is proven: values of columns declared to identify directly, in every row
/// that is the person's own.
pub fn declared_values(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for (table, node) in plan.graph.tables.iter().zip(&plan.collection.nodes) {
        let columns: Vec<String> = direct(table).map(str::to_owned).collect();
        if columns.is_empty() {
            continue;
        }
        let own = |class| matches!(class, Class::Own | Class::Masked | Class::Kept);
        let rows = node.rows.iter().filter(|row| own(row.class) && !row.key.is_empty());
        let values = rows.flat_map(|row| node.pick(row, &columns)).flatten();
        found.extend(values.filter(|value| is_somebodys(table, value) && is_distinctive(value)));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Columns are declared direct unless somebody says otherwise: a single plain word in one may be anybody's.
fn is_distinctive(value: &str) -> bool {
    let words = value.split_whitespace().count();
    words <= 12 && (words > 1 || value.contains(|c: char| c.is_ascii_digit() || c == '@'))
}

/// How full text search keeps some values, in every configuration there is; nothing where no column holds such vectors.
pub fn lexemes(values: &[String]) -> Result<Lexemes> {
    let used = kept::read_one_now::<bool>(
        "SELECT true FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
          WHERE a.attrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
            AND a.atttypid OPERATOR(pg_catalog.=) 'pg_catalog.tsvector'::pg_catalog.regtype AND NOT a.attisdropped
            AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m}'::\"char\"[]) LIMIT 1",
        &[],
    )?;
    if used != Some(true) {
        return Ok(Lexemes::default());
    }
    let values: Vec<String> = values.iter().filter(|value| identifies(value)).cloned().collect();
    let rows = spi::read_now(
        "SELECT DISTINCT (SELECT pg_catalog.string_agg(u.lexeme, ' ' ORDER BY p.place, u.lexeme)
                            FROM pg_catalog.unnest(l.vector) AS u
                            LEFT JOIN LATERAL pg_catalog.unnest(u.positions) AS p (place) ON true),
                pg_catalog.tsvector_to_array(l.vector)
           FROM pg_catalog.pg_ts_config AS c, pg_catalog.unnest($1) AS v (value),
                LATERAL (SELECT pg_catalog.to_tsvector(c.oid::pg_catalog.regconfig, v.value) AS vector) AS l",
        &[values.into()],
        |row| Ok((row.get::<String>(1)?, row.get::<Vec<String>>(2)?.unwrap_or_default())),
    )?;
    let (texts, mut sets): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    sets.sort_unstable();
    sets.dedup();
    Ok(Lexemes { texts: texts.into_iter().flatten().collect(), sets })
}

/// Values as vectors have them: in order where those have positions, else together.
#[derive(Default)]
pub struct Lexemes {
    pub texts: Vec<String>,
    pub sets: Vec<Vec<String>>,
}

/// Those of some values that no other person bears, of whatever type, as far as the caller may look: a text with one of
/// these is about this person. The history of a namesake is the namesake's.
pub fn unshared(plan: &Plan, values: &[String]) -> Result<Vec<String>> {
    let sought: Vec<&String> = values.iter().filter(|value| identifies(value)).collect();
    if sought.is_empty() || !LOGS.iter().any(|log| log.is_kept()) {
        return Ok(Vec::new());
    }
    let mut borne = HashSet::new();
    for subject in catalogue::subjects()? {
        let own = subject.subject_type == plan.graph.subject.subject_type;
        others(&plan.graph, &subject, own.then_some(plan.key.as_slice()), &sought, &mut borne)?;
    }
    Ok(sought.into_iter().filter(|value| !borne.contains(&value.to_lowercase())).cloned().collect())
}

/// Adds those of the values, in lower case, that persons of a type bear, but for one of them.
fn others(
    graph: &Graph,
    subject: &Subject,
    but: Option<&[String]>,
    sought: &[&String],
    borne: &mut HashSet<String>,
) -> Result<()> {
    let Some(relid) = lookup::relation_named(&subject.schema, &subject.table) else { return Ok(()) };
    let Some(table) = graph.table(relid)? else { return Ok(()) };
    let columns: Vec<&String> = subject.identity.iter().filter(|name| table.column(name).is_some()).collect();
    if columns.is_empty() || !table.may_act() || table.hides_rows {
        return Ok(());
    }
    let mut values = Values::default();
    let lower: Vec<String> = sought.iter().map(|value| value.to_lowercase()).collect();
    let list = values.add(sql::array(lower.iter().map(|value| Some(value.as_str()))));
    let text = |name: &String| format!("{}::pg_catalog.text", of("t", name));
    let hits: Vec<String> = columns
        .iter()
        .map(|name| {
            format!("pg_catalog.lower({}) OPERATOR(pg_catalog.=) ANY ({list}::pg_catalog.text[])", text(name))
        })
        .collect();
    let mut condition = format!("({})", hits.join(" OR "));
    if let Some(key) = but {
        let same: Vec<String> = subject
            .key
            .iter()
            .zip(key)
            .filter_map(|(name, value)| {
                let place = values.add(value.as_str());
                table.typed(name).map(|typed| typed.equals("t", &place))
            })
            .collect();
        condition = format!("{condition} AND ({}) IS NOT TRUE", same.join(" AND "));
    }
    let selected: Vec<String> = columns.iter().map(|name| text(name)).collect();
    let query = format!("SELECT {} FROM {} AS t WHERE {condition}", selected.join(", "), table.qualified);
    owner::within(table.owner, &table.qualified, || {
        Cursor::open(&query, &values.arguments())?.each(|row| {
            borne.extend((0..selected.len()).filter_map(|i| row.text(i)).map(|value| value.to_lowercase()));
            Ok(())
        })
    })
}

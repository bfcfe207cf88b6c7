//! Whether somebody has decided about everything that reaches a person.

use super::catalogue;
use super::graph::{Graph, Ownership};
use super::plan::SCAN_AT_MOST;
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Gap {
    pub subject_type: String,
    pub severity: &'static str,
    pub kind: &'static str,
    pub object: String,
    pub why: String,
}

pub fn gaps(subject_type: Option<&str>) -> Result<Vec<Gap>> {
    let mut found = Vec::new();
    let subjects = catalogue::subjects()?;
    if let Some(wanted) = subject_type
        && !subjects.iter().any(|subject| subject.subject_type == wanted)
    {
        return Err(catalogue::no_such_subject(wanted));
    }
    for subject in subjects.iter().filter(|s| subject_type.is_none_or(|wanted| wanted == s.subject_type)) {
        match Graph::of(&subject.subject_type) {
            Ok(graph) => of_graph(&graph, &mut found),
            Err(error) => found.push(Gap {
                subject_type: subject.subject_type.clone(),
                severity: "gap",
                kind: "declaration",
                object: super::declare::name_of(subject),
                why: error.message().to_owned(),
            }),
        }
    }
    Ok(found)
}

fn of_graph(graph: &Graph, found: &mut Vec<Gap>) {
    let mut gap = |severity, kind, object: String, why: String| {
        found.push(Gap { subject_type: graph.subject.subject_type.clone(), severity, kind, object, why });
    };
    for link in &graph.links {
        let name = link.describe(&graph.tables);
        if link.ownership == Ownership::Undecided {
            gap("gap", "foreign key", name.clone(), "nobody has decided whose its rows are".to_owned());
        }
        if !link.indexed && graph.tables[link.to].size > SCAN_AT_MOST {
            gap(
                "warning",
                "index",
                name,
                format!("no index finds rows of {}", graph.tables[link.to].qualified),
            );
        }
    }
    for (number, table) in graph.tables.iter().enumerate() {
        let owned = number == 0
            || graph.links.iter().any(|link| {
                link.to == number && matches!(link.ownership, Ownership::Owned | Ownership::CoOwned)
            });
        if table.hides_rows {
            gap(
                "gap",
                "table",
                table.qualified.clone(),
                "row-level security is forced on its owner".to_owned(),
            );
        }
        if !owned {
            continue;
        }
        // A generated column says what those say that it is made from.
        for column in table.columns.iter().filter(|column| column.holds_text() && !column.generated) {
            let declared = table.declared.iter().any(|d| d.column == column.name());
            let of_link = graph.links.iter().any(|link| {
                link.to == number
                    && (link.to_columns.iter().any(|name| name == column.name())
                        || link.discriminator.as_ref().is_some_and(|(name, _)| name == column.name())
                        || link.person_columns.iter().flatten().any(|name| name == column.name()))
            });
            if !declared && !of_link && !table.key.iter().any(|key| key.name == column.name()) {
                gap(
                    "gap",
                    "column",
                    format!("{}.{}", table.qualified, super::sql::identifier(column.name())),
                    "nobody has declared what it holds".to_owned(),
                );
            }
        }
    }
}

pub fn assert(subject_type: Option<&str>) -> Result<()> {
    let gaps: Vec<Gap> = gaps(subject_type)?.into_iter().filter(|gap| gap.severity == "gap").collect();
    if gaps.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 20;
    let mut list: Vec<String> = gaps
        .iter()
        .take(SHOWN)
        .map(|gap| format!("{}: {} {}: {}", gap.subject_type, gap.kind, gap.object, gap.why))
        .collect();
    if gaps.len() > SHOWN {
        list.push(format!("and {} more", gaps.len() - SHOWN));
    }
    Err(Error::not_in_prerequisite_state(format!(
        "nobody has decided about {} things that reach persons",
        gaps.len()
    ))
    .detail(list.join("\n"))
    .hint("declare_column() and declare_edge() say what happens to them; coverage() lists them all."))
}

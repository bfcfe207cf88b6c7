//! From a workload to a ranked list of indexes to create and to drop.

use crate::error::{Error, Result};
use crate::index::candidate::{Candidates, Spec};
use crate::index::price::{self, Upkeep};
use crate::index::search::{Answer, Planner, Price, Search, Set, Weighted};
use crate::index::sizer::Sizer;
use crate::index::values::Distributions;
use crate::index::whatif;
use crate::index::workload::{self, Analysed, Workload};
use crate::index::writes::WriteRates;
use crate::pg::query_shape::Key;
use crate::pg::subtransaction::attempt;
use crate::pg::whatif::{Configuration, HypotheticalIndex};
use crate::pg::{lookup, session};
use pgrx::pg_sys;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

pub struct Request {
    pub budget: f64,
    pub max_columns: usize,
    /// Microseconds since 2000, as `session::clock` counts.
    pub deadline: i64,
    pub schemas: Option<Vec<String>>,
}

/// An index worth creating.
pub struct Creation {
    pub spec: Spec,
    pub bytes: f64,
    /// Of the workload, in milliseconds a day, before it and with it.
    pub before: f64,
    pub after: f64,
    pub upkeep: Upkeep,
    pub helped: Vec<i64>,
    pub statements: usize,
    /// Of a helped statement with parameters, some values gain nothing.
    pub some_values: bool,
}

pub struct Outcome {
    pub statements: Vec<Analysed>,
    pub creations: Vec<Creation>,
    /// What the workload takes as things are, and with all creations.
    pub total_before: f64,
    pub total_after: f64,
    pub weights: Vec<f64>,
    /// The configuration advised, to judge existing indexes by.
    pub configuration: Configuration,
    pub candidates: usize,
    pub plans: usize,
    pub reused: usize,
    pub expired: bool,
}

/// A candidate that PostgreSQL would accept, sized.
struct Candidate {
    spec: Spec,
    index: Rc<HypotheticalIndex>,
    upkeep: Upkeep,
}

pub fn advise(request: &Request, workload: &Workload) -> Result<Outcome> {
    let mut distributions = Distributions::default();
    let mut statements = Vec::new();
    for entry in &workload.entries {
        check_for_interrupts()?;
        if session::clock() > request.deadline && !statements.is_empty() {
            break;
        }
        if let Ok(analysed) = workload::analyse(entry, &mut distributions)? {
            statements.push(analysed);
        }
    }
    let weights: Vec<f64> =
        statements.iter().map(|s| workload.ms_per_day(s) / s.cost.max(f64::MIN_POSITIVE)).collect();
    let writes = WriteRates::read(&statements, workload)?;
    let mut plans = 0;
    let candidates = survivors(request, &statements, &weights, &writes, &mut plans)?;
    let mut expired = session::clock() > request.deadline;
    let prices: Vec<Price> =
        candidates.iter().map(|c| Price { bytes: whatif::bytes(&c.index), upkeep: c.upkeep.ms }).collect();
    let weighted: Vec<Weighted> = statements
        .iter()
        .zip(&weights)
        .map(|(statement, weight)| Weighted { weight: *weight, relevant: relevant(statement, &candidates) })
        .collect();
    let mut oracle = Oracle { statements: &statements, candidates: &candidates, deadline: request.deadline };
    let all: Vec<usize> = (0..candidates.len()).collect();
    let mut search = Search::new(&mut oracle, &weighted, &prices, request.budget);
    for (number, statement) in weighted.iter().enumerate() {
        search.answer(number, &statement.relevant.iter().copied().collect())?;
    }
    let order = search.run(&all)?;
    let mut creations = Vec::new();
    let mut chosen: Set = Vec::new();
    let total_before = search.total(&Vec::new())?;
    let mut before = total_before;
    for index in order {
        let mut with = chosen.clone();
        with.push(index);
        with.sort_unstable();
        let (mut helped, mut some_values) = (Vec::new(), false);
        for (number, statement) in statements.iter().enumerate() {
            let (was, now) = (search.answer(number, &chosen)?.cost, search.answer(number, &with)?.cost);
            if now < was * 0.99 {
                helped.push(statement.entry.query_id);
                some_values |=
                    statement.parameters.len() > 1 && statement.spread.1 > statement.spread.0 * 3.0;
            }
        }
        let after = search.total(&with)?;
        let candidate = &candidates[index];
        // The search may end before it has weighed everything.
        if after < before {
            creations.push(Creation {
                spec: candidate.spec.clone(),
                bytes: prices[index].bytes,
                before,
                after,
                upkeep: candidate.upkeep,
                statements: helped.len(),
                helped,
                some_values,
            });
            before = after;
            chosen = with;
        }
    }
    plans += search.plans;
    let reused = search.reused;
    expired |= session::clock() > request.deadline;
    let configuration = Configuration {
        created: chosen.iter().map(|index| Rc::clone(&candidates[*index].index)).collect(),
        hidden: Vec::new(),
    };
    let count = candidates.len();
    drop(candidates);
    Ok(Outcome {
        statements,
        creations,
        total_before,
        total_after: before,
        weights,
        configuration,
        candidates: count,
        plans,
        reused,
        expired,
    })
}

/// Candidates that the planner takes when it may choose from all of a kind: the others are not worth being
/// weighed.
fn survivors(
    request: &Request,
    statements: &[Analysed],
    weights: &[f64],
    writes: &WriteRates,
    plans: &mut usize,
) -> Result<Vec<Candidate>> {
    let mut sizer = Sizer::quick();
    let mut known: HashMap<Spec, Option<usize>> = HashMap::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut wanted: BTreeSet<usize> = BTreeSet::new();
    let mut by_worth: Vec<usize> = (0..statements.len()).collect();
    let worth = |s: &usize| weights[*s] * statements[*s].cost;
    by_worth.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    for number in by_worth {
        let statement = &statements[number];
        check_for_interrupts()?;
        if session::clock() > request.deadline {
            break;
        }
        let mut own = Candidates::new(request.max_columns);
        for table in statement.shape.uses.iter().filter(|table| concerns(request, table.relid)) {
            own.of_use(table)?;
        }
        sizer.serve(statement.statement.author());
        let mut numbers = Vec::new();
        for spec in own.specs {
            if let Some(known) = known.get(&spec) {
                numbers.extend(*known);
                continue;
            }
            let made = attempt(|| workload::patiently(|| make(&spec, &mut sizer, writes)));
            let place = match made {
                Ok(candidate) if whatif::bytes(&candidate.index) <= request.budget => {
                    candidates.push(candidate);
                    Some(candidates.len() - 1)
                }
                Ok(_) => None,
                Err(error) if error.is_cancel() => return Err(error),
                // An access method or operator class that the type does not have.
                Err(_) => None,
            };
            known.insert(spec, place);
            numbers.extend(place);
        }
        // What a class of candidates offers shows only without those that beat it.
        let narrow = |c: &Candidate| c.spec.included.is_empty() && c.spec.predicate.is_none();
        let classes: [&dyn Fn(&Candidate) -> bool; 5] =
            [&|_| true, &|c| c.spec.predicate.is_none(), &|c| c.spec.included.is_empty(), &narrow, &|c| {
                narrow(c) && c.spec.keys.len() == 1
            }];
        let mut before: Option<Vec<usize>> = None;
        for class in classes {
            let offered: Vec<usize> = numbers.iter().copied().filter(|i| class(&candidates[*i])).collect();
            if offered.is_empty() || before.as_ref() == Some(&offered) {
                continue;
            }
            for answer in ask(statement, &offered, &candidates)? {
                *plans += 1;
                wanted.extend(answer.used);
            }
            before = Some(offered);
        }
    }
    let mut place = 0;
    candidates.retain(|_| {
        place += 1;
        wanted.contains(&(place - 1))
    });
    Ok(candidates)
}

fn make(spec: &Spec, sizer: &mut Sizer, writes: &WriteRates) -> Result<Candidate> {
    let index = whatif::hypothetical(&spec.statement(None, false), None, sizer)?;
    let mut rows = 0.0;
    let mut all = 0.0;
    for part in &index.parts {
        rows += part.size.tuples;
        all += sizer.table(part.definition.relid).1;
    }
    let share = if all > 0.0 { (rows / all).min(1.0) } else { 1.0 };
    let entry = (whatif::bytes(&index) / rows.max(1.0)).clamp(12.0, 2000.0);
    let summarizing =
        cfg!(any(feature = "pg16", feature = "pg17", feature = "pg18")) && spec.method == "brin";
    let upkeep =
        price::upkeep(&spec.method, entry, share, &writes.of(spec.relid, &spec.watched()), summarizing);
    Ok(Candidate { spec: spec.clone(), index, upkeep })
}

fn concerns(request: &Request, relid: pg_sys::Oid) -> bool {
    let schema = lookup::relation_schema(relid).unwrap_or_default();
    if schema == "pg_catalog" || schema == "information_schema" || schema == "architect" {
        return false;
    }
    request.schemas.as_ref().is_none_or(|schemas| schemas.contains(&schema))
}

/// Candidates on a table of the statement whose first column it asks something of.
fn relevant(statement: &Analysed, candidates: &[Candidate]) -> BTreeSet<usize> {
    let fits =
        |candidate: &Candidate| {
            statement.shape.uses.iter().any(|table| {
                table.relid == candidate.spec.relid
                    && candidate.spec.predicate.as_ref().is_none_or(|sql| {
                        table.predicates.iter().any(|predicate| sql.contains(&predicate.sql))
                    })
                    && candidate.spec.keys.first().is_some_and(|first| match &first.key {
                        Key::Column(column) => table.columns.contains(column),
                        key => table.clauses.iter().any(|clause| clause.key == *key),
                    })
            })
        };
    (0..candidates.len()).filter(|index| fits(&candidates[*index])).collect()
}

/// Plans of a statement with some candidates, one for each set of values.
fn ask(statement: &Analysed, set: &[usize], candidates: &[Candidate]) -> Result<Vec<Answer>> {
    let configuration = Configuration {
        created: set.iter().map(|index| Rc::clone(&candidates[*index].index)).collect(),
        hidden: Vec::new(),
    };
    let mut answers = Vec::new();
    for values in &statement.parameters {
        let plan = statement.statement.plan(&configuration, values)?;
        let mut used: Set = set
            .iter()
            .copied()
            .filter(|index| {
                candidates[*index].index.parts.iter().any(|part| plan.indexes.contains(&part.oid()))
            })
            .collect();
        used.sort_unstable();
        answers.push(Answer { cost: plan.total_cost, used });
    }
    Ok(answers)
}

struct Oracle<'a> {
    statements: &'a [Analysed],
    candidates: &'a [Candidate],
    deadline: i64,
}

impl Planner for Oracle<'_> {
    fn plan(&mut self, statement: usize, set: &Set) -> Result<Answer> {
        check_for_interrupts()?;
        let answers = ask(&self.statements[statement], set, self.candidates)?;
        let cost = answers.iter().map(|answer| answer.cost).sum::<f64>() / answers.len().max(1) as f64;
        let used: BTreeSet<usize> = answers.into_iter().flat_map(|answer| answer.used).collect();
        Ok(Answer { cost, used: used.into_iter().collect() })
    }

    fn expired(&mut self) -> bool {
        session::clock() > self.deadline
    }
}

/// A cancel is an error like any other, and comes back through the same path.
fn check_for_interrupts() -> Result<()> {
    pgrx::check_for_interrupts!();
    Ok::<(), Error>(())
}

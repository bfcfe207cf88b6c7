//! From a workload to a ranked list of indexes to create and to drop.

use crate::error::{Error, Result};
use crate::index::candidate::{Candidates, Recurrence};
use crate::index::existing::Existing;
use crate::index::plans::{Answer, Plans, Set};
use crate::index::portfolio::Price;
use crate::index::price::{self, Upkeep};
use crate::index::search::{self, Planner, Search};
use crate::index::sizer::Sizer;
use crate::index::spec::{Spec, SpecKey};
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
    /// Whether writes pay for an index, or only its readers are asked.
    pub weigh_writes: bool,
}

/// An index worth creating.
pub struct Creation {
    pub spec: Spec,
    pub index: Rc<HypotheticalIndex>,
    pub bytes: f64,
    /// Of the workload, in milliseconds a day, before it and with it.
    pub before: f64,
    pub after: f64,
    pub upkeep: Upkeep,
    pub helped: Vec<i64>,
    /// Of those alone, before it and with it.
    pub helped_ms: (f64, f64),
    pub statements: usize,
    /// Of a helped statement with parameters, some values gain nothing.
    pub some_values: bool,
    /// Existing indexes that it was made to stand in for.
    pub replaces: Vec<String>,
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
    /// What is known of sizes and writes by then.
    pub sizer: Sizer,
    pub writes: WriteRates,
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
    /// In whose name it was made.
    author: Option<pg_sys::Oid>,
    /// By a plan of the statement it was made for.
    used: bool,
}

/// The part of the budget that is filled by estimates: what is built is to fit, and each may be a little larger.
const FILLED: f64 = 0.98;

/// A table of so many pages that a tenth of an index is worth a word: ten megabytes.
const PACKED_PAGES: f64 = 1280.0;

/// A btree refuses entries of more than 2,704 bytes, and with them the row: there are wider ones than in a sample.
const WIDEST: u32 = 1352;

/// Bytes included for index-only scans: with more it is a copy of the table.
const MOST_INCLUDED: f64 = 100.0;

/// What saves less than this part of the workload is not worth a DBA's time.
pub const WORTH_SAYING: f64 = 0.0005;

/// Plans made of a statement with its own candidates, and with those of all statements.
const PLANS_OF_OWN: usize = 12;
const PLANS_OF_ALL: usize = 8;

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
    let writes = match request.weigh_writes {
        true => WriteRates::read(&statements, workload)?,
        false => WriteRates::default(),
    };
    let questions = questions(&statements);
    let mut plans = 0;
    let Survey { candidates, prices, mut known, sizer } =
        survey(request, &statements, &weights, &questions, &writes, &mut plans)?;
    let mut expired = session::clock() > request.deadline;
    let (weights_of, relevant): (Vec<f64>, Vec<Set>) = questions
        .iter()
        .map(|question| {
            let share = question.share * weights[question.statement];
            (share, relevant(&statements[question.statement], &candidates))
        })
        .unzip();
    let mut oracle = Oracle {
        statements: &statements,
        questions: &questions,
        candidates: &candidates,
        deadline: request.deadline,
    };
    for (question, relevant) in relevant.iter().enumerate() {
        let most = PLANS_OF_ALL / statements[questions[question].statement].parameters.len().max(1);
        plans += search::explore(&mut oracle, &mut known[question], question, relevant, &prices, most)?;
    }
    let mut search =
        Search::new(&mut oracle, &weights_of, &prices, &relevant, known, request.budget * FILLED);
    let order = search.run()?;
    let mut creations = Vec::new();
    let mut chosen: Set = Vec::new();
    let total_before = search.total(&Vec::new())?;
    let mut before = total_before;
    for index in order {
        let mut with = chosen.clone();
        with.push(index);
        with.sort_unstable();
        let (mut was, mut now) = (vec![0.0; statements.len()], vec![0.0; statements.len()]);
        for (number, question) in questions.iter().enumerate() {
            was[question.statement] += question.share * search.answer(number, &chosen)?.cost;
            now[question.statement] += question.share * search.answer(number, &with)?.cost;
        }
        let helps = |number: &usize| now[*number] < was[*number] * 0.99;
        let helped: Vec<usize> = (0..statements.len()).filter(helps).collect();
        let some_values = helped.iter().any(|number| {
            let statement = &statements[*number];
            statement.parameters.len() > 1 && statement.spread.1 > statement.spread.0 * 3.0
        });
        let of_helped = |costs: &[f64]| helped.iter().map(|s| weights[*s] * costs[*s]).sum::<f64>();
        let helped_ms = (of_helped(&was), of_helped(&now));
        let helped: Vec<i64> = helped.into_iter().map(|number| statements[number].entry.query_id).collect();
        let after = search.total(&with)?;
        let candidate = &candidates[index];
        // The search may end before it has weighed everything.
        if after < before {
            creations.push(Creation {
                spec: candidate.spec.clone(),
                index: Rc::clone(&candidate.index),
                replaces: Vec::new(),
                bytes: prices[index].bytes,
                before,
                after,
                upkeep: candidate.upkeep,
                statements: helped.len(),
                helped,
                helped_ms,
                some_values,
            });
            before = after;
            chosen = with;
        }
    }
    plans += search.plans;
    let reused = search.reused;
    expired |= session::clock() > request.deadline;
    let count = candidates.len();
    drop(candidates);
    creations.retain(|creation| creation.before - creation.after >= WORTH_SAYING * total_before);
    let configuration = Configuration {
        created: creations.iter().map(|creation| Rc::clone(&creation.index)).collect(),
        hidden: Vec::new(),
    };
    Ok(Outcome {
        statements,
        creations,
        sizer,
        writes,
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

/// A statement with one set of values for its parameters.
struct Question {
    statement: usize,
    values: usize,
    /// Its part in the statement's executions.
    share: f64,
}

fn questions(statements: &[Analysed]) -> Vec<Question> {
    let of = |(statement, analysed): (usize, &Analysed)| {
        let share = 1.0 / analysed.parameters.len().max(1) as f64;
        (0..analysed.parameters.len()).map(move |values| Question { statement, values, share })
    };
    statements.iter().enumerate().flat_map(of).collect()
}

/// What could be created, and what is known of the questions' plans with it.
struct Survey {
    candidates: Vec<Candidate>,
    prices: Vec<Price>,
    known: Vec<Plans>,
    sizer: Sizer,
}

/// Candidates that the planner takes when it may choose from all of a statement's own: only those are worth
/// being weighed for the others.
fn survey(
    request: &Request,
    statements: &[Analysed],
    weights: &[f64],
    questions: &[Question],
    writes: &WriteRates,
    plans: &mut usize,
) -> Result<Survey> {
    let mut sizer = Sizer::quick();
    let mut columns: HashMap<pg_sys::Oid, BTreeSet<i16>> = HashMap::new();
    for table in statements.iter().flat_map(|statement| &statement.shape.uses) {
        columns.entry(table.relid).or_default().extend(&table.columns);
    }
    let mut pool = Pool { budget: request.budget, existing: Existing::read()?, ..Pool::default() };
    let mut known = vec![Plans::default(); questions.len()];
    for (question, known) in questions.iter().zip(&mut known) {
        let cost = statements[question.statement].costs[question.values];
        known.add(&Vec::new(), &Answer { cost, used: Vec::new() });
    }
    let mut recurrence = Recurrence::default();
    for statement in statements {
        recurrence.count(&statement.shape.uses, statement.entry.calls);
    }
    let mut by_worth: Vec<usize> = (0..statements.len()).collect();
    let worth = |s: &usize| weights[*s] * statements[*s].cost;
    by_worth.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    for number in by_worth {
        let statement = &statements[number];
        check_for_interrupts()?;
        if session::clock() > request.deadline {
            break;
        }
        let author = statement.statement.author();
        sizer.serve(author);
        let mut specs = Candidates::new(request.max_columns, &recurrence);
        for table in statement.shape.uses.iter().filter(|table| concerns(request, table.relid)) {
            if let Some(columns) = columns.remove(&table.relid) {
                attempt(|| workload::patiently(|| whatif::prepare(table.relid, &columns, &mut sizer)))
                    .or_else(|error| if error.is_cancel() { Err(error) } else { Ok(()) })?;
            }
            let packed = writes.is_quiet(table.relid) && sizer.table(table.relid).0 >= PACKED_PAGES;
            specs.of_use(table, packed)?;
        }
        let mut own: Set = Vec::new();
        for spec in specs.specs {
            own.extend(pool.add(&spec, &mut sizer, writes)?);
        }
        own.sort_unstable();
        let mut oracle =
            Oracle { statements, questions, candidates: &pool.candidates, deadline: request.deadline };
        for (question, _) in questions.iter().enumerate().filter(|(_, q)| q.statement == number) {
            *plans += search::explore(
                &mut oracle,
                &mut known[question],
                question,
                &own,
                &pool.prices,
                PLANS_OF_OWN / statement.parameters.len().max(1),
            )?;
        }
    }
    let mut used: BTreeSet<usize> =
        known.iter().flat_map(|k| k.all().flat_map(|plan| plan.used.iter().copied())).collect();
    // What is simple serves many, though it may be the best for none.
    used.extend((0..pool.candidates.len()).filter(|number| pool.candidates[*number].spec.is_simple()));
    for (place, one) in used.clone().into_iter().enumerate() {
        for other in used.clone().into_iter().skip(place + 1) {
            let (one, other) = (&pool.candidates[one], &pool.candidates[other]);
            // An expression runs with the rights of who wrote it.
            if one.author == other.author
                && let Some(spec) = one.spec.merged(&other.spec)
            {
                sizer.serve(one.author);
                used.extend(pool.add(&spec, &mut sizer, writes)?);
            }
        }
    }
    let Pool { mut candidates, prices, .. } = pool;
    for (number, candidate) in candidates.iter_mut().enumerate() {
        candidate.used = used.contains(&number);
    }
    Ok(Survey { candidates, prices, known, sizer })
}

/// Candidates by number, each once.
#[derive(Default)]
struct Pool {
    candidates: Vec<Candidate>,
    prices: Vec<Price>,
    budget: f64,
    existing: Existing,
    numbers: HashMap<Spec, Option<usize>>,
    /// By table and first key.
    families: HashMap<(pg_sys::Oid, SpecKey), usize>,
}

impl Pool {
    /// The candidate's number; none where it cannot be made, is larger than the budget, or there already.
    fn add(&mut self, spec: &Spec, sizer: &mut Sizer, writes: &WriteRates) -> Result<Option<usize>> {
        if let Some(known) = self.numbers.get(spec) {
            return Ok(*known);
        }
        let place = match attempt(|| workload::patiently(|| make(spec, sizer, writes))) {
            Ok(candidate)
                if whatif::bytes(&candidate.index) <= self.budget
                    && !self.existing.serve_as(&candidate.index) =>
            {
                let next = self.families.len();
                self.prices.push(Price {
                    bytes: whatif::bytes(&candidate.index),
                    upkeep: candidate.upkeep.ms,
                    family: *self.families.entry((spec.relid, spec.keys[0].clone())).or_insert(next),
                });
                self.candidates.push(candidate);
                Some(self.candidates.len() - 1)
            }
            Ok(_) => None,
            Err(error) if error.is_cancel() => return Err(error),
            // An access method or operator class that the type does not have.
            Err(_) => None,
        };
        self.numbers.insert(spec.clone(), place);
        Ok(place)
    }
}

fn make(spec: &Spec, sizer: &mut Sizer, writes: &WriteRates) -> Result<Candidate> {
    let (index, upkeep) = made(spec, sizer, writes)?;
    Ok(Candidate { spec: spec.clone(), index, upkeep, author: sizer.author(), used: false })
}

/// An index sized, and what writes pay for it.
pub fn made(spec: &Spec, sizer: &mut Sizer, writes: &WriteRates) -> Result<(Rc<HypotheticalIndex>, Upkeep)> {
    let index = whatif::hypothetical(&spec.statement(None, false), None, sizer)?;
    if spec.method == "btree" {
        for part in &index.parts {
            let widths = sizer.widths(&part.definition)?;
            if widths.widest > WIDEST || widths.included > MOST_INCLUDED {
                return Err(Error::invalid_parameter("an index row would be too wide"));
            }
        }
    }
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
    Ok((index, upkeep))
}

fn concerns(request: &Request, relid: pg_sys::Oid) -> bool {
    let schema = lookup::relation_schema(relid).unwrap_or_default();
    if schema == "pg_catalog" || schema == "information_schema" || schema == "architect" {
        return false;
    }
    request.schemas.as_ref().is_none_or(|schemas| schemas.contains(&schema))
}

/// Candidates on a table of the statement whose first column it asks something of.
fn relevant(statement: &Analysed, candidates: &[Candidate]) -> Set {
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
    (0..candidates.len()).filter(|index| candidates[*index].used && fits(&candidates[*index])).collect()
}

struct Oracle<'a> {
    statements: &'a [Analysed],
    questions: &'a [Question],
    candidates: &'a [Candidate],
    deadline: i64,
}

impl Planner for Oracle<'_> {
    fn plan(&mut self, question: usize, set: &Set) -> Result<Answer> {
        check_for_interrupts()?;
        let question = &self.questions[question];
        let statement = &self.statements[question.statement];
        let created = set.iter().map(|index| Rc::clone(&self.candidates[*index].index)).collect();
        let configuration = Configuration { created, hidden: Vec::new() };
        let plan = statement.statement.plan(&configuration, &statement.parameters[question.values])?;
        let uses = |index: &usize| {
            self.candidates[*index].index.parts.iter().any(|part| plan.indexes.contains(&part.oid()))
        };
        Ok(Answer { cost: plan.total_cost, used: set.iter().copied().filter(uses).collect() })
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

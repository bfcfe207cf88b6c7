//! The best set of indexes under a budget, by the plans that are known: pure arithmetic. The planner is
//! asked afterwards whether it agrees.
#![forbid(unsafe_code)]

use crate::index::plans::{Answer, Plans, Set};
use std::collections::BTreeSet;

/// What an index costs to have.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    pub bytes: f64,
    /// Milliseconds a day of writes it makes dearer.
    pub upkeep: f64,
    /// What it begins with, by a number of the caller's: indexes that begin alike stand in for each other.
    pub family: usize,
}

/// Worth is divided by size to this power: by byte fills the budget with small things, worth alone with one
/// big thing, and which is better depends on what is left over.
const EXPONENTS: [f64; 4] = [1.0, 0.8, 0.6, 0.3];

/// An index this small is taken for as large: size is no reason to choose between small ones.
pub const SMALL: f64 = 65_536.0;

pub struct Model<'a> {
    plans: &'a [Plans],
    weights: &'a [f64],
    prices: &'a [Price],
    budget: f64,
    /// For each index the questions that have a plan with it, and those plans, the cheapest first.
    concerned: Vec<Vec<(usize, Vec<&'a Answer>)>>,
    moves: Vec<Move>,
}

/// What can be added at once: an index, or all indexes of a plan; and the questions it concerns.
struct Move {
    indexes: Set,
    questions: Vec<usize>,
}

/// A set, and what every question costs with it.
#[derive(Clone)]
struct State {
    has: Vec<bool>,
    bytes: f64,
    upkeep: f64,
    costs: Vec<f64>,
}

impl State {
    fn total(&self) -> f64 {
        self.upkeep + self.costs.iter().sum::<f64>()
    }

    fn set(&self) -> Set {
        (0..self.has.len()).filter(|index| self.has[*index]).collect()
    }
}

impl<'a> Model<'a> {
    pub fn new(plans: &'a [Plans], weights: &'a [f64], prices: &'a [Price], budget: f64) -> Self {
        let mut concerned: Vec<Vec<(usize, Vec<&Answer>)>> = vec![Vec::new(); prices.len()];
        let mut moves: BTreeSet<Set> = BTreeSet::new();
        for (question, known) in plans.iter().enumerate() {
            for plan in known.all() {
                for index in &plan.used {
                    match concerned[*index].last_mut() {
                        Some((last, plans)) if *last == question => plans.push(plan),
                        _ => concerned[*index].push((question, vec![plan])),
                    }
                    moves.insert(vec![*index]);
                }
                if plan.used.len() > 1 {
                    moves.insert(plan.used.clone());
                }
            }
        }
        let moves = moves
            .into_iter()
            .filter(|set| set.iter().map(|i| prices[*i].bytes).sum::<f64>() <= budget)
            .map(|indexes| {
                let questions: BTreeSet<usize> = indexes
                    .iter()
                    .flat_map(|i| concerned[*i].iter().map(|(question, _)| *question))
                    .collect();
                Move { indexes, questions: questions.into_iter().collect() }
            })
            .collect();
        Self { plans, weights, prices, budget, concerned, moves }
    }

    /// Sets that no exchange makes better, from each of these on and from nothing, the best first. `enough`
    /// says when to stop looking.
    pub fn proposals(&self, starts: &[Set], enough: &mut dyn FnMut() -> bool) -> Vec<Set> {
        let mut found: Vec<(f64, Set)> = Vec::new();
        let mut keep = |state: State| {
            let state = self.tidied(state);
            let entry = (state.total(), state.set());
            if !found.iter().any(|(_, set)| *set == entry.1) {
                found.push(entry);
            }
        };
        for start in starts {
            keep(self.improved(self.state(start), EXPONENTS[0], true, enough));
        }
        for exponent in EXPONENTS {
            let mut state = self.state(&Vec::new());
            let cramped = self.fill(&mut state, exponent, None);
            if cramped {
                state = self.improved(state, exponent, false, enough);
            }
            keep(state);
            // Where everything worth having has room there is nothing to weigh against each other.
            if !cramped || enough() {
                break;
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.into_iter().map(|(_, set)| set).collect()
    }

    fn state(&self, set: &Set) -> State {
        let mut state = State {
            has: vec![false; self.prices.len()],
            bytes: 0.0,
            upkeep: 0.0,
            costs: vec![0.0; self.plans.len()],
        };
        for index in set {
            state.has[*index] = true;
            state.bytes += self.prices[*index].bytes;
            state.upkeep += self.prices[*index].upkeep;
        }
        for question in 0..self.plans.len() {
            state.costs[question] = self.cost(question, |i| state.has[i]);
        }
        state
    }

    /// What a question costs with the indexes that are `there`.
    fn cost(&self, question: usize, there: impl Fn(usize) -> bool) -> f64 {
        let cost = self.plans[question].cheapest(there).map_or(f64::INFINITY, |plan| plan.cost);
        self.weights[question] * cost
    }

    /// What a question saves by a plan of these that has all its indexes `there`, over what it costs now.
    fn saving(&self, question: usize, plans: &[&Answer], now: f64, there: impl Fn(usize) -> bool) -> f64 {
        let weight = self.weights[question];
        plans
            .iter()
            .take_while(|plan| weight * plan.cost < now)
            .find(|plan| plan.used.iter().all(|index| there(*index)))
            .map_or(0.0, |plan| now - weight * plan.cost)
    }

    fn add(&self, state: &mut State, addition: &Move) {
        for index in &addition.indexes {
            if !state.has[*index] {
                state.has[*index] = true;
                state.bytes += self.prices[*index].bytes;
                state.upkeep += self.prices[*index].upkeep;
            }
        }
        for question in &addition.questions {
            state.costs[*question] = self.cost(*question, |i| state.has[i]);
        }
    }

    fn remove(&self, state: &mut State, index: usize) {
        state.has[index] = false;
        state.bytes -= self.prices[index].bytes;
        state.upkeep -= self.prices[index].upkeep;
        for (question, _) in &self.concerned[index] {
            state.costs[*question] = self.cost(*question, |i| state.has[i]);
        }
    }

    /// What adding indexes saves, upkeep deducted.
    fn gain(&self, state: &State, addition: &Move) -> f64 {
        let there = |index| state.has[index] || addition.indexes.contains(&index);
        // Only a plan with something new can save anything.
        let mut new = self.missing(state, addition);
        let saved = match (new.next(), new.next()) {
            (None, _) => 0.0,
            (Some(only), None) => self.concerned[only]
                .iter()
                .map(|(question, plans)| self.saving(*question, plans, state.costs[*question], there))
                .sum(),
            _ => addition
                .questions
                .iter()
                .map(|question| {
                    self.missing(state, addition)
                        .filter_map(|index| {
                            let of = &self.concerned[index];
                            let place = of.binary_search_by_key(question, |(question, _)| *question).ok()?;
                            Some(self.saving(*question, &of[place].1, state.costs[*question], there))
                        })
                        .fold(0.0, f64::max)
                })
                .sum(),
        };
        saved - self.missing(state, addition).map(|i| self.prices[i].upkeep).sum::<f64>()
    }

    fn missing<'b>(&self, state: &'b State, addition: &'b Move) -> impl Iterator<Item = usize> + 'b {
        addition.indexes.iter().copied().filter(|index| !state.has[*index])
    }

    /// What removing an index costs, upkeep deducted.
    fn loss(&self, state: &State, index: usize) -> f64 {
        let lost: f64 = self.concerned[index]
            .iter()
            .map(|(question, _)| {
                self.cost(*question, |i| i != index && state.has[i]) - state.costs[*question]
            })
            .sum();
        lost - self.prices[index].upkeep
    }

    /// Adds what is worth most for its size, while there is room; never `barred`. Says whether something
    /// worth having had no room.
    fn fill(&self, state: &mut State, exponent: f64, barred: Option<usize>) -> bool {
        loop {
            let room = self.budget - state.bytes;
            let mut winner: Option<(f64, &Move)> = None;
            let mut cramped = false;
            for addition in &self.moves {
                let bytes: f64 = self.missing(state, addition).map(|i| self.prices[i].bytes).sum();
                if bytes == 0.0
                    || (bytes > room && cramped)
                    || barred.is_some_and(|index| addition.indexes.contains(&index))
                {
                    continue;
                }
                let gain = self.gain(state, addition);
                if gain <= 0.0 {
                    continue;
                }
                if bytes > room {
                    cramped = true;
                    continue;
                }
                let rate = gain / bytes.max(SMALL).powf(exponent);
                if winner.as_ref().is_none_or(|(best, _)| rate > *best) {
                    winner = Some((rate, addition));
                }
            }
            let Some((_, addition)) = winner else { return cramped };
            self.add(state, addition);
        }
    }

    /// Exchanges, as long as that helps; of two indexes at once only if `thorough`.
    fn improved(
        &self,
        mut state: State,
        exponent: f64,
        thorough: bool,
        enough: &mut dyn FnMut() -> bool,
    ) -> State {
        loop {
            let next = match self.without_one(&state, exponent, enough) {
                None if thorough => self.with_another(&state, exponent, enough),
                next => next,
            };
            match next {
                Some(next) => state = next,
                None => return state,
            }
        }
    }

    /// A better set: one index out and the room filled anew.
    fn without_one(&self, state: &State, exponent: f64, enough: &mut dyn FnMut() -> bool) -> Option<State> {
        for out in state.set() {
            if enough() {
                return None;
            }
            let mut next = state.clone();
            self.remove(&mut next, out);
            self.fill(&mut next, exponent, Some(out));
            if is_better(&next, state) {
                return Some(next);
            }
        }
        None
    }

    /// A better set: at most one index out, something in, out what is worth least for its size until it fits,
    /// and the room filled anew.
    fn with_another(&self, state: &State, exponent: f64, enough: &mut dyn FnMut() -> bool) -> Option<State> {
        let total = state.total();
        // What a byte of room would be worth at best.
        let rates = self.moves.iter().map(|addition| {
            let bytes: f64 = self.missing(state, addition).map(|i| self.prices[i].bytes).sum();
            if bytes > 0.0 { self.gain(state, addition) / bytes.max(SMALL) } else { 0.0 }
        });
        let hoped = 2.0 * rates.fold(0.0, f64::max);
        for out in state.set().into_iter().map(Some).chain([None]) {
            if enough() {
                return None;
            }
            let mut without = state.clone();
            if let Some(out) = out {
                self.remove(&mut without, out);
            }
            for addition in &self.moves {
                if self.missing(&without, addition).count() > 4 {
                    continue;
                }
                let gain = self.gain(&without, addition);
                if gain <= 0.0 || out.is_some_and(|index| addition.indexes.contains(&index)) {
                    continue;
                }
                let bytes: f64 = self.missing(&without, addition).map(|i| self.prices[i].bytes).sum();
                let room = (self.budget - without.bytes - bytes).max(0.0);
                if without.total() - gain - room * hoped >= total {
                    continue;
                }
                let mut next = without.clone();
                self.add(&mut next, addition);
                if !self.make_room(&mut next, &addition.indexes)
                    || next.total() - (self.budget - next.bytes) * hoped >= total
                {
                    continue;
                }
                self.fill(&mut next, exponent, None);
                if is_better(&next, state) {
                    return Some(next);
                }
            }
        }
        None
    }

    /// Takes away what is worth least for its size until the rest fits; not what is `kept`.
    fn make_room(&self, state: &mut State, kept: &Set) -> bool {
        while state.bytes > self.budget {
            let rate = |index: &usize| self.loss(state, *index) / self.prices[*index].bytes.max(SMALL);
            let out = state
                .set()
                .into_iter()
                .filter(|index| kept.binary_search(index).is_err())
                .min_by(|a, b| rate(a).total_cmp(&rate(b)));
            let Some(out) = out else { return false };
            self.remove(state, out);
        }
        true
    }

    /// Without what serves nothing.
    fn tidied(&self, mut state: State) -> State {
        for index in state.set() {
            if self.loss(&state, index) <= 0.0 {
                self.remove(&mut state, index);
            }
        }
        state
    }
}

fn is_better(next: &State, than: &State) -> bool {
    next.total() < than.total() * (1.0 - 1e-6)
}

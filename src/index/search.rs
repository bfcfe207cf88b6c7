//! The search for the set of indexes that is worth most: pure, over an oracle that says what each question
//! costs with a set.
//!
//! The planner is dear, arithmetic is not. So the planner is first asked for a few good plans of each
//! question, large indexes and small; the best set by those plans is found without it; then it says what
//! the set really costs, which teaches new plans, and so on until it tells nothing new.
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::index::plans::{Answer, Plans, Set};
use crate::index::portfolio::{Model, Price, SMALL};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Who plans.
pub trait Planner {
    /// The cost of a question with these indexes, all of which it could use.
    fn plan(&mut self, question: usize, set: &Set) -> Result<Answer>;
    /// Time is up: answers as they are known will do.
    fn expired(&mut self) -> bool;
}

/// Rounds of finding the best set and asking the planner what it costs.
const ROUNDS: usize = 12;

/// Worth is divided by size to this power where indexes are chosen one by one.
const GREEDY: [f64; 2] = [1.0, 0.7];

/// A part of a question's cost that is not worth a question to the planner.
const TRIFLE: f64 = 1e-3;

/// Instead of the round in which a candidate was last asked about.
const NEVER: usize = usize::MAX;

pub struct Search<'a, P: Planner> {
    planner: &'a mut P,
    /// Milliseconds a day per unit of cost, of each question.
    weights: &'a [f64],
    prices: &'a [Price],
    /// The indexes that could matter to each question.
    relevant: &'a [Set],
    budget: f64,
    known: Vec<Plans>,
    exact: HashMap<(usize, Set), Answer>,
    /// What of the whole workload's time is not worth a question either.
    trifle: f64,
    /// Plans made and answers found without one.
    pub plans: usize,
    pub reused: usize,
}

impl<'a, P: Planner> Search<'a, P> {
    pub fn new(
        planner: &'a mut P,
        weights: &'a [f64],
        prices: &'a [Price],
        relevant: &'a [Set],
        known: Vec<Plans>,
        budget: f64,
    ) -> Self {
        let exact = HashMap::new();
        Self { planner, weights, prices, relevant, budget, known, exact, trifle: 0.0, plans: 0, reused: 0 }
    }

    /// What one question costs with a set of indexes.
    pub fn answer(&mut self, question: usize, set: &Set) -> Result<Answer> {
        let set = self.within(question, set);
        if let Some(answer) = self.exact.get(&(question, set.clone())) {
            return Ok(answer.clone());
        }
        if let Some(answer) = self.known[question].settled(&set) {
            self.reused += 1;
            let answer = answer.clone();
            self.exact.insert((question, set), answer.clone());
            return Ok(answer);
        }
        if self.planner.expired() {
            // As far as is known. What a question costs without any index always is.
            let there = |index: usize| set.binary_search(&index).is_ok();
            let cheapest = self.known[question].cheapest(there);
            return Ok(cheapest.cloned().unwrap_or(Answer { cost: f64::INFINITY, used: Vec::new() }));
        }
        self.ask(question, set)
    }

    /// Milliseconds a day of all questions, and of the indexes' upkeep.
    pub fn total(&mut self, set: &Set) -> Result<f64> {
        let mut total: f64 = set.iter().map(|index| self.prices[*index].upkeep).sum();
        for question in 0..self.weights.len() {
            total += self.weights[question] * self.answer(question, set)?.cost;
        }
        Ok(total)
    }

    /// The best set found, indexes in the order in which they are worth most.
    pub fn run(&mut self) -> Result<Set> {
        let mut best: Set = Vec::new();
        let mut least = self.total(&best)?;
        self.trifle = least * TRIFLE * 0.2;
        let mut starts = vec![];
        for exponent in GREEDY {
            let (found, cramped) = self.greedy(exponent)?;
            let total = self.total(&found)?;
            if total < least {
                (best, least) = (found.clone(), total);
            }
            starts.push(found);
            if !cramped || self.planner.expired() {
                break;
            }
        }
        for _ in 0..ROUNDS {
            let planner = &mut *self.planner;
            let model = Model::new(&self.known, self.weights, self.prices, self.budget);
            let proposals = model.proposals(&starts, &mut || planner.expired());
            let before = self.plans;
            starts = vec![best.clone()];
            for found in proposals {
                let total = self.verified(&found)?;
                if total < least {
                    (best, least) = (found, total);
                }
            }
            if self.planner.expired() || (self.plans == before && !self.look_around(&best, least)?) {
                break;
            }
        }
        self.ranked(best)
    }

    /// Adds what is worth most for its size, while there is room. Says whether something worth having had none.
    fn greedy(&mut self, exponent: f64) -> Result<(Set, bool)> {
        let mut chosen: Set = Vec::new();
        // What a candidate was worth when last asked, at first what it can be worth at best; worth rarely grows as
        // others are chosen, so only candidates that would win are asked again.
        let mut worth: Vec<(usize, f64, usize)> = Vec::new();
        let all: BTreeSet<usize> = self.relevant.iter().flatten().copied().collect();
        for candidate in all {
            worth.push((candidate, self.hope(&chosen, candidate)?, NEVER));
        }
        let mut round = 0;
        loop {
            let room = self.budget - chosen.iter().map(|index| self.prices[*index].bytes).sum::<f64>();
            let mut winner = None;
            loop {
                let rate = |(index, gain, _): &(usize, f64, usize)| {
                    gain / self.prices[*index].bytes.max(SMALL).powf(exponent)
                };
                let top = worth
                    .iter()
                    .enumerate()
                    .filter(|(_, entry)| entry.1 > 0.0 && self.prices[entry.0].bytes <= room)
                    .max_by(|a, b| rate(a.1).total_cmp(&rate(b.1)))
                    .map(|(place, entry)| (place, entry.2));
                let Some((place, asked)) = top else { break };
                let expired = self.planner.expired();
                if asked == round || expired && asked != NEVER {
                    winner = Some(place);
                    break;
                }
                if expired {
                    // Hope alone is no reason to advise it.
                    worth[place].1 = 0.0;
                    continue;
                }
                worth[place].1 = self.gain(&chosen, worth[place].0)?;
                worth[place].2 = round;
            }
            let Some(place) = winner else {
                let cramped = worth.iter().any(|entry| entry.1 > 0.0 && self.prices[entry.0].bytes > room);
                return Ok((chosen, cramped));
            };
            insert(&mut chosen, worth.swap_remove(place).0);
            round += 1;
        }
    }

    /// What a candidate adds to a set at best, for all that is known.
    fn hope(&mut self, set: &Set, candidate: usize) -> Result<f64> {
        let mut with = set.clone();
        insert(&mut with, candidate);
        let mut hope = -self.prices[candidate].upkeep;
        for question in 0..self.weights.len() {
            if self.relevant[question].binary_search(&candidate).is_ok() {
                let before = self.answer(question, set)?.cost;
                let inside = self.within(question, &with);
                hope += self.weights[question] * (before - self.known[question].at_least(&inside)).max(0.0);
            }
        }
        Ok(hope)
    }

    /// What a candidate adds to a set. Not asked of the planner where it cannot matter.
    fn gain(&mut self, set: &Set, candidate: usize) -> Result<f64> {
        let mut with = set.clone();
        insert(&mut with, candidate);
        let mut gain = -self.prices[candidate].upkeep;
        for question in 0..self.weights.len() {
            if self.relevant[question].binary_search(&candidate).is_err() {
                continue;
            }
            let before = self.answer(question, set)?.cost;
            let inside = self.within(question, &with);
            let hope = before - self.known[question].at_least(&inside);
            if hope > before * TRIFLE && self.weights[question] * hope > self.trifle {
                gain += self.weights[question] * (before - self.answer(question, &with)?.cost);
            }
        }
        Ok(gain)
    }

    fn within(&self, question: usize, set: &Set) -> Set {
        let relevant = &self.relevant[question];
        set.iter().copied().filter(|i| relevant.binary_search(i).is_ok()).collect()
    }

    /// Asks about the set with one index more, where that could be worth it for all that is known. Says whether
    /// it learned anything.
    fn look_around(&mut self, set: &Set, total: f64) -> Result<bool> {
        let before = self.plans;
        let trifle = total * TRIFLE;
        for question in 0..self.weights.len() {
            let now = self.answer(question, set)?.cost;
            for more in self.relevant[question].clone() {
                if self.planner.expired() {
                    return Ok(self.plans > before);
                }
                let mut with = self.within(question, set);
                insert(&mut with, more);
                let hope = now - self.known[question].at_least(&with);
                if self.weights[question] * hope > trifle && !self.known[question].was_asked(&with) {
                    self.ask(question, with)?;
                }
            }
        }
        Ok(self.plans > before)
    }

    /// What a set costs, asked of the planner whatever is known: it is not quite true that more indexes never
    /// make a plan dearer, so an answer that follows from others may be too high.
    fn verified(&mut self, set: &Set) -> Result<f64> {
        let mut total: f64 = set.iter().map(|index| self.prices[*index].upkeep).sum();
        for question in 0..self.weights.len() {
            let within = self.within(question, set);
            let cost = if self.planner.expired() || self.known[question].was_asked(&within) {
                self.answer(question, set)?.cost
            } else {
                self.ask(question, within)?.cost
            };
            total += self.weights[question] * cost;
        }
        Ok(total)
    }

    fn ask(&mut self, question: usize, set: Set) -> Result<Answer> {
        self.plans += 1;
        let answer = self.planner.plan(question, &set)?;
        self.known[question].add(&set, &answer);
        self.exact.insert((question, set), answer.clone());
        Ok(answer)
    }

    /// In the order in which each is worth most, given those before it.
    fn ranked(&mut self, set: Set) -> Result<Set> {
        let (mut left, mut order) = (set, Vec::new());
        while !left.is_empty() {
            let mut chosen: Set = order.clone();
            chosen.sort_unstable();
            let mut best: Option<(usize, f64)> = None;
            for index in left.clone() {
                let mut with = chosen.clone();
                insert(&mut with, index);
                let total = self.total(&with)?;
                if best.is_none_or(|(_, least)| total < least) {
                    best = Some((index, total));
                }
            }
            let Some((index, _)) = best else { break };
            left.retain(|i| *i != index);
            order.push(index);
        }
        Ok(order)
    }
}

/// Good plans of one question. First with all its indexes, then each time with those smaller than the largest
/// the plan used: the best plan of every size. Then, the cheapest plans first, without one that the plan used
/// and those as large that begin like it: what comes next to each. Says how many plans that took, `most` at
/// most.
pub fn explore<P: Planner>(
    planner: &mut P,
    known: &mut Plans,
    question: usize,
    relevant: &Set,
    prices: &[Price],
    most: usize,
) -> Result<usize> {
    let mut made = 0;
    let mut seen: HashSet<Set> = HashSet::new();
    let mut open: Vec<(Set, Answer)> = Vec::new();
    let mut ask = |set: Set, open: &mut Vec<(Set, Answer)>| -> Result<Option<Answer>> {
        if !seen.insert(set.clone()) {
            return Ok(None);
        }
        let answer = match known.settled(&set) {
            Some(answer) => answer.clone(),
            None if made == most || planner.expired() => return Ok(None),
            None => {
                made += 1;
                let answer = planner.plan(question, &set)?;
                known.add(&set, &answer);
                answer
            }
        };
        open.push((set, answer.clone()));
        Ok(Some(answer))
    };
    let mut set = relevant.clone();
    while let Some(answer) = ask(set.clone(), &mut open)? {
        let largest = answer.used.iter().map(|i| prices[*i].bytes).fold(0.0, f64::max);
        set.retain(|i| prices[*i].bytes < largest);
    }
    while let Some(place) = (0..open.len()).min_by(|a, b| open[*a].1.cost.total_cmp(&open[*b].1.cost)) {
        let (set, answer) = open.swap_remove(place);
        for used in &answer.used {
            let of = prices[*used];
            let beside = |i: &usize| prices[*i].family != of.family || prices[*i].bytes < of.bytes;
            ask(set.iter().copied().filter(beside).collect(), &mut open)?;
        }
    }
    Ok(made)
}

fn insert(set: &mut Set, index: usize) {
    if let Err(place) = set.binary_search(&index) {
        set.insert(place, index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::plans::includes;

    /// Each question has the cheapest of the plans whose indexes are there.
    struct Fake {
        plans: Vec<Vec<(f64, Set)>>,
        asked: usize,
        patience: usize,
    }

    impl Planner for Fake {
        fn plan(&mut self, question: usize, set: &Set) -> Result<Answer> {
            self.asked += 1;
            let best = self.plans[question]
                .iter()
                .filter(|(_, used)| includes(set, used))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap();
            Ok(Answer { cost: best.0, used: best.1.clone() })
        }

        fn expired(&mut self) -> bool {
            self.asked > self.patience
        }
    }

    fn solve(plans: &[&[(f64, &[usize])]], bytes: &[f64], budget: f64, patience: usize) -> (Set, usize) {
        let mut fake = Fake {
            plans: plans.iter().map(|p| p.iter().map(|(c, u)| (*c, u.to_vec())).collect()).collect(),
            asked: 0,
            patience,
        };
        let weights = vec![1.0; plans.len()];
        let prices: Vec<Price> = bytes.iter().map(|b| Price { bytes: *b, upkeep: 1.0, family: 0 }).collect();
        let relevant: Vec<Set> = plans
            .iter()
            .map(|p| {
                let all: std::collections::BTreeSet<usize> =
                    p.iter().flat_map(|(_, u)| u.iter().copied()).collect();
                all.into_iter().collect()
            })
            .collect();
        let mut known = Vec::new();
        for (question, relevant) in relevant.iter().enumerate() {
            let mut plans = Plans::default();
            let nothing = fake.plan(question, &Vec::new()).unwrap();
            plans.add(&Vec::new(), &nothing);
            explore(&mut fake, &mut plans, question, relevant, &prices, 10).unwrap();
            known.push(plans);
        }
        let mut set = Search::new(&mut fake, &weights, &prices, &relevant, known, budget).run().unwrap();
        set.sort_unstable();
        (set, fake.asked)
    }

    #[test]
    fn one_wide_index_replaces_two_narrow_ones() {
        let (set, _) = solve(
            &[&[(100.0, &[]), (10.0, &[0]), (9.0, &[2])], &[(100.0, &[]), (10.0, &[1]), (9.0, &[2])]],
            &[40e6, 40e6, 60e6],
            70e6,
            usize::MAX,
        );
        assert_eq!(set, vec![2]);
    }

    #[test]
    fn indexes_that_help_only_together_are_found() {
        let (set, _) = solve(
            &[&[(100.0, &[]), (10.0, &[0, 1])], &[(100.0, &[]), (60.0, &[2])]],
            &[40e6, 40e6, 40e6],
            90e6,
            usize::MAX,
        );
        assert_eq!(set, vec![0, 1]);
    }

    #[test]
    fn what_is_worth_most_by_byte_makes_room_for_what_is_worth_more() {
        // By byte 0 wins, and leaves no room for 1, which is worth more than both others.
        let (set, _) = solve(
            &[&[(100.0, &[]), (70.0, &[0])], &[(100.0, &[]), (10.0, &[1])], &[(100.0, &[]), (95.0, &[2])]],
            &[20e6, 90e6, 10e6],
            100e6,
            usize::MAX,
        );
        assert_eq!(set, vec![1, 2]);
    }

    #[test]
    fn an_index_that_costs_more_than_it_saves_is_not_advised() {
        assert!(solve(&[&[(100.0, &[]), (99.5, &[0])]], &[1e6], 1e9, usize::MAX).0.is_empty());
    }

    #[test]
    fn the_budget_holds() {
        let (set, _) = solve(
            &[&[(100.0, &[]), (1.0, &[0])], &[(100.0, &[]), (50.0, &[1])]],
            &[90e6, 20e6],
            100e6,
            usize::MAX,
        );
        assert_eq!(set, vec![0]);
    }

    #[test]
    fn when_time_is_up_there_is_an_answer() {
        let (set, asked) =
            solve(&[&[(100.0, &[]), (1.0, &[0])], &[(100.0, &[]), (50.0, &[1])]], &[1e6, 1e6], 1e9, 3);
        assert!(asked < 10 && !set.is_empty());
    }

    #[test]
    fn a_plan_is_not_asked_for_twice() {
        let (_, asked) =
            solve(&[&[(100.0, &[]), (10.0, &[0])], &[(5.0, &[])]], &[1e6, 1e6, 1e6], 1e9, usize::MAX);
        assert_eq!(asked, 3);
    }
}

//! The search for the set of indexes that is worth most: pure, over an oracle that says what each statement
//! costs with a set.
//!
//! The oracle asks the planner as little as it can: a plan that used the indexes U out of the set S is the
//! plan for every set between them, because the planner had all of S to choose from and chose U.
#![forbid(unsafe_code)]

use crate::error::Result;
use std::collections::{BTreeSet, HashMap};

/// Indexes by number, in order.
pub type Set = Vec<usize>;

/// One answer of the planner.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub cost: f64,
    pub used: Set,
}

/// Who plans.
pub trait Planner {
    /// The cost of a statement with these indexes, all of which it could use.
    fn plan(&mut self, statement: usize, set: &Set) -> Result<Answer>;
    /// Time is up: answers as they are known will do.
    fn expired(&mut self) -> bool;
}

/// A statement's part in the workload, and the indexes that could matter to it.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// Milliseconds a day per unit of cost.
    pub weight: f64,
    pub relevant: BTreeSet<usize>,
}

/// What an index costs to have.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    pub bytes: f64,
    /// Milliseconds a day of writes it makes dearer.
    pub upkeep: f64,
}

pub struct Search<'a, P: Planner> {
    planner: &'a mut P,
    statements: &'a [Weighted],
    prices: &'a [Price],
    budget: f64,
    known: Vec<Vec<(Set, Answer)>>,
    exact: HashMap<(usize, Set), Answer>,
    /// Plans made and answers found without one.
    pub plans: usize,
    pub reused: usize,
}

impl<'a, P: Planner> Search<'a, P> {
    pub fn new(planner: &'a mut P, statements: &'a [Weighted], prices: &'a [Price], budget: f64) -> Self {
        let known = statements.iter().map(|_| Vec::new()).collect();
        Self { planner, statements, prices, budget, known, exact: HashMap::new(), plans: 0, reused: 0 }
    }

    /// What one statement costs with a set of indexes.
    pub fn answer(&mut self, statement: usize, set: &Set) -> Result<Answer> {
        let relevant = &self.statements[statement].relevant;
        let set: Set = set.iter().copied().filter(|index| relevant.contains(index)).collect();
        if let Some(answer) = self.exact.get(&(statement, set.clone())) {
            return Ok(answer.clone());
        }
        let within = self.known[statement]
            .iter()
            .find(|(planned, answer)| includes(planned, &set) && includes(&set, &answer.used))
            .map(|(_, answer)| answer.clone());
        let answer = match within {
            Some(answer) => {
                self.reused += 1;
                answer
            }
            None => {
                self.plans += 1;
                let answer = self.planner.plan(statement, &set)?;
                self.known[statement].push((set.clone(), answer.clone()));
                answer
            }
        };
        self.exact.insert((statement, set), answer.clone());
        Ok(answer)
    }

    /// Milliseconds a day of all statements, and of the indexes' upkeep.
    pub fn total(&mut self, set: &Set) -> Result<f64> {
        let mut total: f64 = set.iter().map(|index| self.prices[*index].upkeep).sum();
        for statement in 0..self.statements.len() {
            total += self.statements[statement].weight * self.answer(statement, set)?.cost;
        }
        Ok(total)
    }

    fn bytes(&self, set: &Set) -> f64 {
        set.iter().map(|index| self.prices[*index].bytes).sum()
    }

    /// The best set found, indexes in the order in which they are worth most.
    pub fn run(&mut self, candidates: &[usize]) -> Result<Set> {
        let mut best: Set = Vec::new();
        let mut best_total = self.total(&best)?;
        // Worth by byte fills the budget with small things, worth alone with one big: the middle often wins.
        for exponent in [1.0, 0.7] {
            let (found, cramped) = self.greedy(Vec::new(), candidates, None, exponent)?;
            let found = if cramped { self.improve(found, candidates, exponent)? } else { found };
            let total = self.total(&found)?;
            if total < best_total {
                (best, best_total) = (found, total);
            }
            // Where everything worth having has room there is nothing to weigh against each other.
            if !cramped || self.planner.expired() {
                break;
            }
        }
        self.ranked(best)
    }

    /// Adds to a set what is worth most for its size, while there is room; never `barred`. Says whether
    /// something worth having had no room.
    fn greedy(
        &mut self,
        mut chosen: Set,
        candidates: &[usize],
        barred: Option<usize>,
        exponent: f64,
    ) -> Result<(Set, bool)> {
        // What a candidate was worth when last asked; worth rarely grows as others are chosen, so only
        // candidates that would win are asked again.
        let mut worth: Vec<(usize, f64, usize)> = Vec::new();
        let base = self.costs(&chosen)?;
        for candidate in candidates {
            if chosen.contains(candidate) || barred == Some(*candidate) {
                continue;
            }
            worth.push((*candidate, self.gain(&chosen, &base, *candidate)?, 0));
            if self.planner.expired() {
                break;
            }
        }
        let mut round = 0;
        loop {
            let base = self.costs(&chosen)?;
            let room = self.budget - self.bytes(&chosen);
            let mut winner = None;
            loop {
                let rate = |(index, gain, _): &(usize, f64, usize)| {
                    gain / self.prices[*index].bytes.max(8192.0).powf(exponent)
                };
                let top = worth
                    .iter()
                    .enumerate()
                    .filter(|(_, entry)| entry.1 > 0.0 && self.prices[entry.0].bytes <= room)
                    .max_by(|a, b| rate(a.1).total_cmp(&rate(b.1)))
                    .map(|(place, entry)| (place, entry.2));
                let Some((place, asked)) = top else { break };
                if asked == round || self.planner.expired() {
                    winner = Some(place);
                    break;
                }
                worth[place].1 = self.gain(&chosen, &base, worth[place].0)?;
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

    /// Costs of the statements, in milliseconds a day.
    fn costs(&mut self, set: &Set) -> Result<Vec<f64>> {
        (0..self.statements.len())
            .map(|s| Ok(self.statements[s].weight * self.answer(s, set)?.cost))
            .collect()
    }

    /// What a candidate adds to a set.
    fn gain(&mut self, set: &Set, base: &[f64], candidate: usize) -> Result<f64> {
        let mut with = set.clone();
        insert(&mut with, candidate);
        let mut gain = -self.prices[candidate].upkeep;
        for (statement, before) in base.iter().enumerate() {
            if self.statements[statement].relevant.contains(&candidate) {
                gain += before - self.statements[statement].weight * self.answer(statement, &with)?.cost;
            }
        }
        Ok(gain)
    }

    /// Takes one index away and fills the room anew, as long as that helps.
    fn improve(&mut self, mut set: Set, candidates: &[usize], exponent: f64) -> Result<Set> {
        let mut total = self.total(&set)?;
        loop {
            let mut better: Option<(Set, f64)> = None;
            for out in set.clone() {
                if self.planner.expired() {
                    return Ok(better.map_or(set, |(next, _)| next));
                }
                let without: Set = set.iter().copied().filter(|i| *i != out).collect();
                let (next, _) = self.greedy(without, candidates, Some(out), exponent)?;
                let cost = self.total(&next)?;
                if cost < better.as_ref().map_or(total, |(_, least)| *least) * (1.0 - 1e-6) {
                    better = Some((next, cost));
                }
            }
            match better {
                Some((next, cost)) => (set, total) = (next, cost),
                None => return Ok(set),
            }
        }
    }

    /// In the order in which each is worth most, given those before it; what is worth nothing is left out.
    fn ranked(&mut self, set: Set) -> Result<Set> {
        let (mut left, mut order) = (set, Vec::new());
        while !left.is_empty() {
            let mut sorted: Set = order.clone();
            sorted.sort_unstable();
            let base = self.costs(&sorted)?;
            let mut best: Option<(usize, f64)> = None;
            for index in left.clone() {
                let gain = self.gain(&sorted, &base, index)?;
                if best.is_none_or(|(_, most)| gain > most) {
                    best = Some((index, gain));
                }
            }
            let Some((index, _)) = best else { break };
            left.retain(|i| *i != index);
            order.push(index);
        }
        Ok(order)
    }
}

fn insert(set: &mut Set, index: usize) {
    if let Err(place) = set.binary_search(&index) {
        set.insert(place, index);
    }
}

/// Both in order.
fn includes(set: &Set, part: &Set) -> bool {
    part.iter().all(|index| set.binary_search(index).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each statement has the cheapest of the plans whose indexes are there.
    struct Fake {
        plans: Vec<Vec<(f64, Set)>>,
        asked: usize,
        patience: usize,
    }

    impl Planner for Fake {
        fn plan(&mut self, statement: usize, set: &Set) -> Result<Answer> {
            self.asked += 1;
            let best = self.plans[statement]
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
        let statements: Vec<Weighted> = plans
            .iter()
            .map(|p| Weighted {
                weight: 1.0,
                relevant: p.iter().flat_map(|(_, u)| u.iter().copied()).collect(),
            })
            .collect();
        let prices: Vec<Price> = bytes.iter().map(|b| Price { bytes: *b, upkeep: 1.0 }).collect();
        let candidates: Vec<usize> = (0..bytes.len()).collect();
        let mut set = Search::new(&mut fake, &statements, &prices, budget).run(&candidates).unwrap();
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

//! What the planner has said of one question so far, and what follows from it for sets it was not asked
//! about: pure.
//!
//! More indexes never make a plan dearer. A plan that uses the indexes U is there for every set that has
//! them, so its cost bounds theirs from above; a plan made with the set S bounds every part of S from below.
//! Where the two meet, the planner need not be asked.
#![forbid(unsafe_code)]

/// Indexes by number, in order.
pub type Set = Vec<usize>;

/// One answer of the planner.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub cost: f64,
    pub used: Set,
}

/// Costs closer than this are one: the planner itself does not tell paths apart that differ by less.
const SAME: f64 = 1e-4;

#[derive(Debug, Clone, Default)]
pub struct Plans {
    /// The cheapest first; none that another one makes needless.
    plans: Vec<Answer>,
    /// Sets asked about, and what they cost.
    asked: Vec<(Set, f64)>,
}

impl Plans {
    pub fn add(&mut self, set: &Set, answer: &Answer) {
        self.asked.push((set.clone(), answer.cost));
        let needless = |by: &Answer, of: &Answer| by.cost <= of.cost && includes(&of.used, &by.used);
        if self.plans.iter().any(|plan| needless(plan, answer)) {
            return;
        }
        self.plans.retain(|plan| !needless(answer, plan));
        let place = self.plans.partition_point(|plan| plan.cost <= answer.cost);
        self.plans.insert(place, answer.clone());
    }

    /// The cheapest known plan whose indexes `has` names.
    pub fn cheapest(&self, has: impl Fn(usize) -> bool) -> Option<&Answer> {
        self.plans.iter().find(|plan| plan.used.iter().all(|index| has(*index)))
    }

    /// What the question costs at least with a set.
    pub fn at_least(&self, set: &Set) -> f64 {
        self.asked.iter().filter(|(asked, _)| includes(asked, set)).map(|(_, cost)| *cost).fold(0.0, f64::max)
    }

    pub fn was_asked(&self, set: &Set) -> bool {
        self.asked.iter().any(|(asked, _)| asked == set)
    }

    /// The answer for a set, if it follows from what is known.
    pub fn settled(&self, set: &Set) -> Option<&Answer> {
        let cheapest = self.cheapest(|index| set.binary_search(&index).is_ok())?;
        (cheapest.cost <= self.at_least(set) * (1.0 + SAME)).then_some(cheapest)
    }

    pub fn all(&self) -> impl Iterator<Item = &Answer> {
        self.plans.iter()
    }
}

/// Both in order.
pub fn includes(set: &Set, part: &Set) -> bool {
    let mut set = set.iter();
    part.len() <= set.len() && part.iter().all(|wanted| set.find(|index| *index >= wanted) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cost: f64, used: &[usize]) -> Answer {
        Answer { cost, used: used.to_vec() }
    }

    #[test]
    fn a_plan_holds_for_every_set_between_what_it_used_and_what_it_could_have_used() {
        let mut plans = Plans::default();
        plans.add(&vec![], &plan(100.0, &[]));
        plans.add(&vec![1, 2, 3], &plan(10.0, &[2]));
        assert_eq!(plans.settled(&vec![2]), Some(&plan(10.0, &[2])));
        assert_eq!(plans.settled(&vec![2, 3]), Some(&plan(10.0, &[2])));
        assert_eq!(plans.settled(&vec![1, 3]), None);
        assert_eq!(plans.settled(&vec![2, 4]), None);
        assert_eq!(plans.at_least(&vec![1, 3]), 10.0);
    }

    #[test]
    fn bounds_of_different_plans_meet() {
        let mut plans = Plans::default();
        plans.add(&vec![1], &plan(50.0, &[1]));
        plans.add(&vec![1, 2, 3], &plan(50.0, &[3]));
        // Between the two: no set below {1, 2, 3} costs less than 50, and with 1 none costs more.
        assert_eq!(plans.settled(&vec![1, 2]).map(|p| p.cost), Some(50.0));
    }

    #[test]
    fn what_another_plan_makes_needless_is_not_kept() {
        let mut plans = Plans::default();
        plans.add(&vec![1, 2], &plan(20.0, &[1, 2]));
        plans.add(&vec![1], &plan(20.0, &[1]));
        plans.add(&vec![1, 4], &plan(30.0, &[1, 4]));
        assert_eq!(plans.all().count(), 1);
    }
}

//! The best points of a search, in an order that is the same every time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::point::Id;

/// A point that a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Higher is better.
    pub score: f32,
    /// The point's id, which decides between equal scores.
    pub id: Id,
    /// The point's place in its collection.
    pub point: u32,
}

impl Eq for Candidate {}

/// The better one is the greater: by the score, then by the smaller id.
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best candidates so far, at most `limit` of them.
pub struct Best {
    limit: usize,
    /// The worst of them on top.
    heap: BinaryHeap<Reverse<Candidate>>,
}

impl Best {
    /// None yet.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            heap: BinaryHeap::new(),
        }
    }

    /// Whether a candidate of this score may be good enough.
    pub fn takes(&self, score: f32) -> bool {
        self.heap.len() < self.limit || self.heap.peek().is_some_and(|worst| score >= worst.0.score)
    }

    /// Takes the candidate in if it is good enough and then `passes`: a test that costs more than a comparison is made
    /// of few.
    ///
    /// # Errors
    /// Those of `passes`.
    pub fn offer<E>(&mut self, candidate: Candidate, passes: impl FnOnce() -> Result<bool, E>) -> Result<(), E> {
        if self.heap.len() < self.limit {
            if passes()? {
                self.heap.push(Reverse(candidate));
            }
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate > worst.0
            && passes()?
        {
            *worst = Reverse(candidate);
        }
        Ok(())
    }

    /// The candidates, best first.
    pub fn into_sorted(self) -> Vec<Candidate> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse(candidate)| candidate)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(score: f32, id: u64) -> Candidate {
        Candidate {
            score,
            id: Id::Number(id),
            point: id as u32,
        }
    }

    fn offer(best: &mut Best, candidate: Candidate, passes: impl FnOnce() -> bool) {
        let Ok(()) = best.offer(candidate, || Ok::<_, std::convert::Infallible>(passes()));
    }

    fn best(limit: usize, candidates: &[Candidate]) -> Vec<u32> {
        let mut best = Best::new(limit);
        for candidate in candidates {
            offer(&mut best, *candidate, || true);
        }
        best.into_sorted()
            .into_iter()
            .map(|candidate| candidate.point)
            .collect()
    }

    #[test]
    fn the_best_come_first_and_no_more_than_asked() {
        let candidates = [
            candidate(0.1, 1),
            candidate(0.9, 2),
            candidate(-1.0, 3),
            candidate(0.5, 4),
        ];
        assert_eq!(best(2, &candidates), [2, 4]);
        assert_eq!(best(9, &candidates), [2, 4, 1, 3]);
    }

    #[test]
    fn between_equals_the_smaller_id_wins_whatever_the_order() {
        let mut candidates = [candidate(0.5, 3), candidate(0.5, 1), candidate(0.5, 2)];
        assert_eq!(best(2, &candidates), [1, 2]);
        candidates.reverse();
        assert_eq!(best(2, &candidates), [1, 2]);
    }

    #[test]
    fn only_a_candidate_that_is_good_enough_is_tested() {
        let mut best = Best::new(1);
        offer(&mut best, candidate(0.5, 1), || true);
        assert!(!best.takes(0.4) && best.takes(0.5));
        offer(&mut best, candidate(0.4, 2), || panic!("tested"));
        offer(&mut best, candidate(0.6, 3), || false);
        assert_eq!(best.into_sorted(), [candidate(0.5, 1)]);
    }
}

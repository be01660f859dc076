//! Things gathered until one more would be too many for a call.

/// What one call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most items.
    pub items: usize,
    /// Most weight: estimated tokens, or bytes.
    pub weight: u64,
}

/// Fills batches up to both limits. An item heavier than the limit is a batch of its own.
#[derive(Debug)]
pub struct Batcher<T> {
    limits: BatchLimits,
    items: Vec<T>,
    weight: u64,
}

impl<T> Batcher<T> {
    /// An empty one.
    pub fn new(limits: BatchLimits) -> Self {
        Batcher {
            limits,
            items: Vec::new(),
            weight: 0,
        }
    }

    /// Adds an item. Returns the batch before it, if the item did not fit, or the batch with it, if that is full.
    pub fn push(&mut self, item: T, weight: u64) -> Option<Vec<T>> {
        let fits = self.items.is_empty() || self.weight.saturating_add(weight) <= self.limits.weight;
        let full = if fits { None } else { self.take() };
        self.items.push(item);
        self.weight = self.weight.saturating_add(weight);
        // Both can't be full: the one before left a single item here, and where one item is a batch none is ever kept.
        if full.is_none() && self.items.len() >= self.limits.items {
            self.take()
        } else {
            full
        }
    }

    /// The items gathered so far.
    pub fn take(&mut self) -> Option<Vec<T>> {
        self.weight = 0;
        (!self.items.is_empty()).then(|| std::mem::take(&mut self.items))
    }

    /// Whether nothing is gathered.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(limits: BatchLimits, weights: &[u64]) -> Vec<Vec<u64>> {
        let mut batcher = Batcher::new(limits);
        let mut batches: Vec<Vec<u64>> = weights
            .iter()
            .filter_map(|weight| batcher.push(*weight, *weight))
            .collect();
        batches.extend(batcher.take());
        assert!(batcher.is_empty());
        batches
    }

    #[test]
    fn a_batch_ends_at_either_limit() {
        let limits = BatchLimits { items: 3, weight: 10 };
        assert_eq!(fill(limits, &[1, 1, 1, 1]), [vec![1, 1, 1], vec![1]]);
        assert_eq!(fill(limits, &[6, 4, 1]), [vec![6, 4], vec![1]]);
        assert_eq!(fill(limits, &[6, 5]), [vec![6], vec![5]]);
        assert_eq!(fill(limits, &[50, 1]), [vec![50], vec![1]]);
        assert_eq!(fill(limits, &[]), Vec::<Vec<u64>>::new());
    }

    proptest! {
        #[test]
        fn batches_keep_both_limits_and_lose_nothing(
            weights in proptest::collection::vec(0u64..30, 0..100), items in 1usize..8, weight in 1u64..40,
        ) {
            let batches = fill(BatchLimits { items, weight }, &weights);
            for batch in &batches {
                prop_assert!(!batch.is_empty() && batch.len() <= items);
                prop_assert!(batch.len() == 1 || batch.iter().sum::<u64>() <= weight);
            }
            prop_assert_eq!(batches.concat(), weights);
        }
    }
}

//! How requests have ended, by operation, counted without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::error::SendError;

/// Operations counted under their own name; the labels of a metric are never forgotten, so there must be an end to them.
const MOST_OPERATIONS: usize = 64;

/// The operation of requests whose caller named none, and of those above [`MOST_OPERATIONS`].
const OTHER: &str = "other";

/// The classes of a status, the caller's going away, then every [`SendError::kind`].
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const CANCELLED: &str = "cancelled";
const OUTCOMES: usize = STATUS_CLASSES.len() + 1 + SendError::KINDS.len();

/// How a request has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome(usize);

impl Outcome {
    pub const CANCELLED: Self = Self(STATUS_CLASSES.len());

    pub fn of_status(status: http::StatusCode) -> Self {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        Self(class.min(STATUS_CLASSES.len() - 1))
    }

    pub fn of_error(error: &SendError) -> Self {
        let kind = error.kind();
        let index = SendError::KINDS.iter().position(|known| *known == kind);
        index.map_or(Self::CANCELLED, |index| Self(Self::CANCELLED.0 + 1 + index))
    }

    fn name(self) -> &'static str {
        let errors = || SendError::KINDS.get(self.0.checked_sub(Self::CANCELLED.0 + 1)?);
        STATUS_CLASSES.get(self.0).or_else(errors).copied().unwrap_or(CANCELLED)
    }
}

/// The counters of one operation.
#[derive(Debug)]
pub(crate) struct Operation {
    name: Arc<str>,
    ended: [AtomicU64; OUTCOMES],
}

impl Operation {
    fn new(name: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            name,
            ended: [const { AtomicU64::new(0) }; OUTCOMES],
        })
    }

    pub fn ended(&self, outcome: Outcome) {
        if let Some(count) = self.ended.get(outcome.0) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Every operation of a pool.
#[derive(Debug)]
pub(crate) struct Operations {
    other: Arc<Operation>,
    named: ArcSwap<Vec<Arc<Operation>>>,
}

impl Operations {
    pub fn new() -> Self {
        Self {
            other: Operation::new(OTHER.into()),
            named: ArcSwap::default(),
        }
    }

    /// The counters of the operation of this name, made when it is first seen.
    pub fn get(&self, name: Option<&Arc<str>>) -> Arc<Operation> {
        let Some(name) = name.filter(|name| name.as_ref() != OTHER) else {
            return self.other.clone();
        };
        let known = |operations: &Vec<Arc<Operation>>| operations.iter().find(|known| known.name == *name).cloned();
        if let Some(operation) = known(&self.named.load()) {
            return operation;
        }
        let made = Operation::new(name.clone());
        self.named.rcu(|operations| {
            let mut operations = Vec::clone(operations);
            if known(&operations).is_none() && operations.len() < MOST_OPERATIONS {
                operations.push(made.clone());
            }
            operations
        });
        known(&self.named.load()).unwrap_or_else(|| self.other.clone())
    }

    /// What was counted so far; what never happened is left out.
    pub fn snapshot(&self) -> BTreeMap<(Arc<str>, &'static str), u64> {
        let named = self.named.load();
        named
            .iter()
            .chain([&self.other])
            .flat_map(|operation| {
                let counts = operation.ended.iter().map(|count| count.load(Ordering::Relaxed));
                counts
                    .enumerate()
                    .filter(|(_, count)| *count > 0)
                    .map(|(index, count)| ((operation.name.clone(), Outcome(index).name()), count))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_under_its_own_name() {
        let operations = Operations::new();
        let embed = operations.get(Some(&"embed".into()));
        embed.ended(Outcome::of_status(http::StatusCode::OK));
        embed.ended(Outcome::of_error(&SendError::Closed { pool: "p".to_owned() }));
        operations.get(Some(&"embed".into())).ended(Outcome::CANCELLED);
        operations
            .get(None)
            .ended(Outcome::of_status(http::StatusCode::BAD_GATEWAY));
        let counted: Vec<_> = operations
            .snapshot()
            .into_iter()
            .map(|((operation, outcome), count)| (operation.to_string(), outcome, count))
            .collect();
        let expected = [
            ("embed", "2xx", 1),
            ("embed", "cancelled", 1),
            ("embed", "closed", 1),
            ("other", "5xx", 1),
        ];
        assert_eq!(
            counted,
            expected.map(|(operation, outcome, count)| (operation.to_owned(), outcome, count))
        );
    }

    #[test]
    fn there_is_an_end_to_the_names_of_operations() {
        let operations = Operations::new();
        for number in 0..1_000 {
            operations
                .get(Some(&number.to_string().into()))
                .ended(Outcome::CANCELLED);
        }
        let snapshot = operations.snapshot();
        assert_eq!(snapshot.len(), MOST_OPERATIONS + 1);
        assert_eq!(snapshot[&("other".into(), "cancelled")], 1_000 - MOST_OPERATIONS as u64);
    }
}

//! What waits to be sent to one provider, in batches, and what becomes of a batch that failed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use weir_runtime::CallError;

use super::batch::{BatchLimits, Batcher};
use super::verdict::{Verdict, judge};
use crate::remedy;

/// Waits in a row, without a success between, after which a provider is given up. With a minute at most for each.
const MAX_WAITS: u32 = 10;

/// A file of this run.
pub type FileKey = usize;

/// Something of a file that is sent in batches.
pub trait Part {
    /// The file it is of.
    fn file(&self) -> FileKey;
    /// What it adds to a batch.
    fn weight(&self) -> u64;
}

/// What is sent in one call.
#[derive(Debug)]
pub struct Batch<T> {
    /// In the order in which they came.
    pub items: Vec<T>,
    /// Whether it has failed once already.
    pub retried: bool,
}

/// What a failure led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// Nothing is sent for this time; then the batch again.
    Waits(Duration),
    /// The batch, or its parts, are sent again.
    Again,
    /// It had been sent again already: these files can't be done in this run.
    Lost(Vec<FileKey>),
    /// The run is to stop; what to do about it.
    Stop(&'static str),
}

/// Batches on their way to one provider.
#[derive(Debug)]
pub struct Queue<T> {
    batcher: Batcher<T>,
    ready: VecDeque<Batch<T>>,
    held_until: Option<Instant>,
    waits: u32,
}

impl<T: Part> Queue<T> {
    /// An empty one.
    pub fn new(limits: BatchLimits) -> Self {
        Queue {
            batcher: Batcher::new(limits),
            ready: VecDeque::new(),
            held_until: None,
            waits: 0,
        }
    }

    /// Adds a part.
    pub fn push(&mut self, part: T) {
        let weight = part.weight();
        if let Some(items) = self.batcher.push(part, weight) {
            self.ready.push_back(Batch { items, retried: false });
        }
    }

    /// The next batch to send: a full one, or, with `flush`, what there is. None while a wait lasts.
    pub fn next(&mut self, flush: bool, now: Instant) -> Option<Batch<T>> {
        if self.held_until(now).is_some() {
            return None;
        }
        self.ready.pop_front().or_else(|| {
            let items = if flush { self.batcher.take() } else { None };
            items.map(|items| Batch { items, retried: false })
        })
    }

    /// Whether nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.batcher.is_empty()
    }

    /// When sending may go on, while a wait lasts.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| now < *until)
    }

    /// A batch of this queue was sent.
    pub fn succeeded(&mut self) {
        self.waits = 0;
    }

    /// A batch failed. It is put back, whole or in parts, unless the error or its second failure forbids that.
    pub fn failed(&mut self, batch: Batch<T>, error: &CallError, now: Instant) -> Failed {
        match judge(error, self.waits) {
            Verdict::Stop => Failed::Stop(remedy::of(error).unwrap_or("every call would fail like this one")),
            Verdict::Wait(_) if self.waits >= MAX_WAITS => {
                Failed::Stop("the provider asked to wait too often; try again later")
            }
            Verdict::Wait(wait) => {
                self.ready.push_front(batch);
                let until = now + wait;
                // The answers to the calls that were in flight together are one wait.
                let held = self.held_until(now);
                self.waits += u32::from(held.is_none());
                self.held_until = held.max(Some(until));
                Failed::Waits(wait)
            }
            Verdict::Halve if batch.items.len() > 1 => {
                let mut first = batch.items;
                let second = first.split_off(first.len() / 2);
                for items in [second, first] {
                    self.ready.push_front(Batch {
                        items,
                        retried: batch.retried,
                    });
                }
                Failed::Again
            }
            Verdict::Halve | Verdict::Retry if batch.retried => {
                Failed::Lost(by_file(batch.items).into_iter().map(|(file, _)| file).collect())
            }
            Verdict::Halve | Verdict::Retry => {
                // Each file alone, so that one of them can't fail the others.
                for (_, items) in by_file(batch.items) {
                    self.ready.push_back(Batch { items, retried: true });
                }
                Failed::Again
            }
        }
    }
}

/// Parts of one file follow each other, since files are queued whole.
fn by_file<T: Part>(items: Vec<T>) -> Vec<(FileKey, Vec<T>)> {
    let mut files: Vec<(FileKey, Vec<T>)> = Vec::new();
    for item in items {
        match files.last_mut() {
            Some((file, parts)) if *file == item.file() => parts.push(item),
            _ => files.push((item.file(), vec![item])),
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use weir_runtime::types::Error;

    use super::*;
    use crate::failing::refused;

    #[derive(Debug, Clone, PartialEq)]
    struct Item(FileKey, u32);

    impl Part for Item {
        fn file(&self) -> FileKey {
            self.0
        }
        fn weight(&self) -> u64 {
            1
        }
    }

    fn queue(items: &[Item]) -> Queue<Item> {
        let mut queue = Queue::new(BatchLimits { items: 4, weight: 100 });
        items.iter().cloned().for_each(|item| queue.push(item));
        queue
    }

    const FOUR: [Item; 4] = [Item(1, 0), Item(1, 1), Item(2, 0), Item(3, 0)];

    #[test]
    fn a_part_of_a_batch_waits_for_more_unless_flushed() {
        let now = Instant::now();
        let mut queue = queue(&FOUR[..3]);
        assert!(queue.next(false, now).is_none());
        assert_eq!(queue.next(true, now).unwrap().items, &FOUR[..3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_failed_batch_is_sent_again_file_by_file_and_then_given_up() {
        let now = Instant::now();
        let upstream = refused("embed", Error::Upstream);
        let mut queue = queue(&FOUR);
        let batch = queue.next(false, now).unwrap();
        assert_eq!(queue.failed(batch, &upstream, now), Failed::Again);
        let first = queue.next(false, now).unwrap();
        assert_eq!(first.items, &FOUR[..2]);
        assert_eq!(queue.failed(first, &upstream, now), Failed::Lost(vec![1]));
        assert_eq!(queue.next(false, now).unwrap().items, &FOUR[2..3]);
        assert_eq!(queue.next(false, now).unwrap().items, &FOUR[3..]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_batch_too_large_is_halved_down_to_one_item() {
        let now = Instant::now();
        let too_large = refused("embed", Error::TooLarge);
        let mut queue = queue(&FOUR);
        let batch = queue.next(false, now).unwrap();
        assert_eq!(queue.failed(batch, &too_large, now), Failed::Again);
        let half = queue.next(false, now).unwrap();
        assert_eq!(half.items, &FOUR[..2]);
        assert_eq!(queue.failed(half, &too_large, now), Failed::Again);
        let one = queue.next(false, now).unwrap();
        assert_eq!(one.items, &FOUR[..1]);
        assert_eq!(queue.failed(one, &too_large, now), Failed::Again);
        assert_eq!(queue.next(false, now).unwrap().items, &FOUR[1..2]);
        assert_eq!(queue.next(false, now).unwrap().items, &FOUR[2..]);
        let again = queue.next(false, now).unwrap();
        assert_eq!(queue.failed(again, &too_large, now), Failed::Lost(vec![1]));
    }

    #[test]
    fn a_rate_limit_holds_the_queue_and_ends_in_a_stop_if_it_never_lifts() {
        let mut now = Instant::now();
        let limited = refused("embed", Error::RateLimited);
        let mut queue = queue(&FOUR);
        for _ in 0..MAX_WAITS {
            let batch = queue.next(false, now).unwrap();
            let Failed::Waits(wait) = queue.failed(batch, &limited, now) else {
                panic!("expected a wait")
            };
            assert!(queue.next(false, now + wait / 2).is_none());
            now += wait;
        }
        let batch = queue.next(false, now).unwrap();
        assert!(matches!(queue.failed(batch, &limited, now), Failed::Stop(_)));
    }

    #[test]
    fn calls_refused_together_are_one_wait() {
        let now = Instant::now();
        let limited = refused("embed", Error::RateLimited);
        let mut queue = queue(&[FOUR, FOUR].concat());
        let (first, second) = (queue.next(false, now).unwrap(), queue.next(false, now).unwrap());
        queue.failed(first, &limited, now);
        queue.failed(second, &limited, now);
        assert_eq!(queue.waits, 1);
        queue.succeeded();
        assert_eq!(queue.waits, 0);
    }
}

//! What waits to be sent to one provider, in batches, and what becomes of a batch that failed.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use weir_runtime::CallError;

use super::batch::{BatchLimits, Batcher};
use super::verdict::{Verdict, judge};
use crate::remedy;

/// Waits in a row, without a success between, after which a provider is given up. With a minute at most for each, so that
/// is five minutes of a provider that can't be reached.
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
    /// How many waits there had been when it was sent.
    sent_after: u64,
    /// How many batches had passed when it found the provider absent.
    waited_at: Option<u64>,
}

impl<T> Batch<T> {
    fn new(items: Vec<T>, retried: bool) -> Self {
        Batch {
            items,
            retried,
            sent_after: 0,
            waited_at: None,
        }
    }
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
    /// The provider does not answer, or wants to be asked later and later; the batch was put back.
    Down,
    /// The run is to stop; what to do about it.
    Stop(&'static str),
}

/// Batches on their way to one provider.
#[derive(Debug)]
pub struct Queue<T> {
    batcher: Batcher<T>,
    ready: VecDeque<Batch<T>>,
    held_until: Option<Instant>,
    /// Waits without a success between.
    waits_in_a_row: u32,
    waits: u64,
    successes: u64,
    has_answered: bool,
}

impl<T: Part> Queue<T> {
    /// An empty one.
    pub fn new(limits: BatchLimits) -> Self {
        Queue {
            batcher: Batcher::new(limits),
            ready: VecDeque::new(),
            held_until: None,
            waits_in_a_row: 0,
            waits: 0,
            successes: 0,
            has_answered: false,
        }
    }

    /// Adds a part.
    pub fn push(&mut self, part: T) {
        let weight = part.weight();
        if let Some(items) = self.batcher.push(part, weight) {
            self.ready.push_back(Batch::new(items, false));
        }
    }

    /// The next batch to send: a full one, or, with `flush`, what there is. None while a wait lasts.
    pub fn next(&mut self, flush: bool, now: Instant) -> Option<Batch<T>> {
        if self.held_until(now).is_some() {
            return None;
        }
        let mut batch = self.ready.pop_front().or_else(|| {
            let items = if flush { self.batcher.take() } else { None };
            items.map(|items| Batch::new(items, false))
        })?;
        batch.sent_after = self.waits;
        Some(batch)
    }

    /// Whether nothing waits here.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.batcher.is_empty()
    }

    /// When sending may go on, while a wait lasts.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| now < *until)
    }

    /// The provider has answered something else: should it be out of reach later, it is waited for.
    pub fn answered(&mut self) {
        self.has_answered = true;
    }

    /// A batch of this queue was sent.
    pub fn succeeded(&mut self) {
        self.waits_in_a_row = 0;
        self.successes += 1;
        self.has_answered = true;
    }

    /// Nothing is waited for any longer, and nothing that went wrong counts: another provider takes over.
    pub fn begin_anew(&mut self) {
        self.waits_in_a_row = 0;
        self.held_until = None;
    }

    /// A batch failed. It is put back, whole or in parts, unless the error or its second failure forbids that.
    pub fn failed(&mut self, batch: Batch<T>, error: &CallError, now: Instant) -> Failed {
        match judge(error, self.waits_in_a_row, self.has_answered) {
            Verdict::Stop => Failed::Stop(remedy::of(error).unwrap_or("every call would fail like this one")),
            Verdict::Unreachable => {
                self.ready.push_front(batch);
                Failed::Down
            }
            Verdict::Wait(wait) => self.hold(batch, wait, now),
            Verdict::Absent(wait) => match batch.waited_at {
                Some(successes) if successes < self.successes => self.again_or_lost(batch),
                _ => {
                    let waited_at = Some(self.successes);
                    self.hold(Batch { waited_at, ..batch }, wait, now)
                }
            },
            Verdict::Halve if batch.items.len() > 1 => {
                let mut first = batch.items;
                if let Some(place) = alone(error, first.len()) {
                    let item = first.remove(place);
                    self.ready.push_front(Batch::new(first, batch.retried));
                    // It has failed once, by itself.
                    self.ready.push_back(Batch::new(vec![item], true));
                    return Failed::Again;
                }
                let second = first.split_off(first.len() / 2);
                for items in [second, first] {
                    self.ready.push_front(Batch::new(items, batch.retried));
                }
                Failed::Again
            }
            Verdict::Halve | Verdict::Retry => self.again_or_lost(batch),
        }
    }

    fn hold(&mut self, batch: Batch<T>, wait: Duration, now: Instant) -> Failed {
        // What was sent before the last wait began tells nothing that was not known when it did.
        let is_news = batch.sent_after == self.waits;
        self.ready.push_front(batch);
        if !is_news {
            return Failed::Again;
        }
        if self.waits_in_a_row >= MAX_WAITS {
            return Failed::Down;
        }
        self.waits_in_a_row += 1;
        self.waits += 1;
        self.held_until = Some(now + wait);
        Failed::Waits(wait)
    }

    fn again_or_lost(&mut self, batch: Batch<T>) -> Failed {
        if batch.retried {
            return Failed::Lost(by_file(batch.items).into_iter().map(|(file, _)| file).collect());
        }
        // Each file alone, so that one of them can't fail the others.
        for (_, items) in by_file(batch.items) {
            self.ready.push_back(Batch::new(items, true));
        }
        Failed::Again
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

/// The item that is too large by itself, where the runtime has halved the call down to it.
fn alone(error: &CallError, items: usize) -> Option<usize> {
    let places = &error.part.as_ref()?.places;
    (places.len() == 1 && places.end <= items).then_some(places.start)
}

#[cfg(test)]
mod tests {
    use weir_runtime::types::{Error, HttpError};

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
    fn a_rate_limit_holds_the_queue_and_a_provider_that_never_lifts_it_counts_as_down() {
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
        assert_eq!(queue.failed(batch, &limited, now), Failed::Down);
        assert_eq!(queue.next(false, now).unwrap().items, FOUR, "the batch was put back");
    }

    #[test]
    fn calls_refused_together_are_one_wait_however_late_their_answers() {
        let now = Instant::now();
        let limited = refused("embed", Error::RateLimited);
        let mut queue = queue(&[FOUR, FOUR].concat());
        let (first, second) = (queue.next(false, now).unwrap(), queue.next(false, now).unwrap());
        let Failed::Waits(wait) = queue.failed(first, &limited, now) else {
            panic!("expected a wait")
        };
        assert_eq!(queue.failed(second, &limited, now + wait), Failed::Again);
        assert_eq!(queue.waits_in_a_row, 1);
        queue.succeeded();
        assert_eq!(queue.waits_in_a_row, 0);
    }

    #[test]
    fn a_provider_that_is_gone_is_waited_for_and_no_file_is_lost_to_that() {
        let mut now = Instant::now();
        let gone = refused("upsert", |_| Error::Http(HttpError::ConnectFailed("refused".into())));
        let mut queue = queue(&FOUR);
        queue.answered();
        for _ in 0..MAX_WAITS {
            let batch = queue.next(false, now).unwrap();
            let Failed::Waits(wait) = queue.failed(batch, &gone, now) else {
                panic!("expected a wait")
            };
            now += wait;
        }
        assert_eq!(queue.next(false, now).unwrap().items, FOUR);
    }

    #[test]
    fn a_provider_that_never_answered_is_not_waited_for() {
        let now = Instant::now();
        let gone = refused("upsert", |_| Error::Http(HttpError::ConnectFailed("refused".into())));
        let mut queue = queue(&FOUR);
        let batch = queue.next(false, now).unwrap();
        assert_eq!(queue.failed(batch, &gone, now), Failed::Down);
    }

    #[test]
    fn a_batch_that_alone_breaks_the_connection_is_given_up() {
        let mut now = Instant::now();
        let reset = refused("embed", |_| Error::Http(HttpError::ReadTimeout("slow".into())));
        let mut queue = queue(&FOUR[2..]);
        let mut fails = 0;
        loop {
            let batch = queue.next(true, now).unwrap();
            if batch.items.first() == Some(&FOUR[3]) {
                queue.succeeded();
                continue;
            }
            match queue.failed(batch, &reset, now) {
                Failed::Waits(wait) => now += wait,
                Failed::Again => {}
                Failed::Lost(files) => break assert_eq!(files, [FOUR[2].file()]),
                other => panic!("{other:?}"),
            }
            queue.succeeded();
            fails += 1;
            assert!(fails < 10, "it is sent for ever");
        }
    }

    #[test]
    fn what_the_runtime_found_too_large_alone_is_sent_by_itself_and_the_rest_together() {
        let now = Instant::now();
        let mut queue = queue(&FOUR);
        let part = weir_runtime::Part {
            of: "inputs",
            places: 2..3,
            whole: 4,
        };
        let named = CallError {
            part: Some(Box::new(part)),
            ..refused("embed", Error::TooLarge)
        };
        let all = queue.next(false, now).unwrap();
        assert_eq!(queue.failed(all, &named, now), Failed::Again);
        let rest = queue.next(false, now).unwrap();
        assert_eq!(rest.items, [FOUR[0].clone(), FOUR[1].clone(), FOUR[3].clone()]);
        let alone = queue.next(false, now).unwrap();
        assert_eq!(alone.items, &FOUR[2..3]);
        let lost = queue.failed(alone, &refused("embed", Error::TooLarge), now);
        assert_eq!(lost, Failed::Lost(vec![2]));
    }
}

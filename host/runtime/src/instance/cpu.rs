//! The processor time of a call: how much it may take, and whom it keeps waiting.
//!
//! A guest computes only while its future is polled, and the epoch makes it yield every few milliseconds. So the
//! time spent inside polls is the guest's, to the slice, however long the call waits in between.
//!
//! A call that computes for long is polled off the runtime's workers: the operating system then shares the cores between
//! it and them, and the sockets and timers of everybody else wait for no slice of its. One that computes a little now and
//! then, as for each piece of a stream, stays with them: to leave a worker costs more than most polls.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Handle, RuntimeFlavor, worker_index};
use tokio::task::block_in_place;

use crate::component::engine::SLICE;

/// The future was still not done when its processor time was used up. It is to be dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CpuTimeExceeded;

/// Polls that take as much together are the beginning, where most calls end. It is timed by the wall's clock, which goes
/// on while others have the processor: reading the thread's own is a system call, twice a poll.
const BEGINNING: Duration = SLICE;

/// The part of the time that a call may compute for on a worker, once it had its beginning: a tenth.
const PART: u32 = 10;

/// Polls a future to its end, or until its polls have taken `limit` of processor time. By reference: given by value, it
/// would have its room twice, in the arguments and where it is polled.
pub(crate) async fn metered<F: Future>(limit: Duration, mut future: Pin<&mut F>) -> Result<F::Output, CpuTimeExceeded> {
    let mut spent = Duration::ZERO;
    let mut owed = Owed::at(now());
    poll_fn(|context| {
        let begun = now();
        let is_long = owed.is_long_at(begun);
        let polled = if spent < BEGINNING {
            let polled = future.as_mut().poll(context);
            // The rest of a poll that was interrupted for long is nobody's.
            spent += begun.elapsed().min(BEGINNING);
            polled
        } else {
            let mut poll = || {
                let begun = thread_cpu_time();
                let polled = future.as_mut().poll(context);
                spent += thread_cpu_time().saturating_sub(begun);
                polled
            };
            if is_long { off_the_workers(poll) } else { poll() }
        };
        owed.add(begun, now());
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if spent > limit => Poll::Ready(Err(CpuTimeExceeded)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What a call has computed beyond its part of the time.
struct Owed {
    time: Duration,
    until: Instant,
}

impl Owed {
    fn at(begun: Instant) -> Self {
        Self {
            time: Duration::ZERO,
            until: begun,
        }
    }

    /// Whether it has computed for too long, of late, for a worker.
    fn is_long_at(&mut self, now: Instant) -> bool {
        self.time = self.time.saturating_sub((now - self.until) / PART);
        self.until = now;
        self.time >= BEGINNING
    }

    /// A poll, of which no more counts than a slice. No more is owed than two: it is forgiven in a while.
    fn add(&mut self, begun: Instant, ended: Instant) {
        self.time = (self.time + (ended - begun).min(SLICE)).min(2 * BEGINNING);
        self.until = ended;
    }
}

/// On this thread, which is a worker no more meanwhile; where it is none, or the runtime has no other, as it is.
fn off_the_workers<T>(poll: impl FnOnce() -> T) -> T {
    let multi_thread = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if multi_thread && worker_index().is_some() {
        block_in_place(poll)
    } else {
        poll()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "computing takes time though a test's clock stands still"
)]
fn now() -> Instant {
    Instant::now()
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;

    use super::*;

    /// Computes until it is ended, and yields now and then as the epoch makes a guest do.
    async fn busy() {
        loop {
            std::hint::black_box((0..10_000).sum::<u64>());
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_future_that_computes_and_yields_for_ever_is_ended() {
        assert_eq!(metered(BEGINNING / 2, pin!(busy())).await, Err(CpuTimeExceeded));
    }

    #[tokio::test]
    async fn a_long_call_is_timed_by_the_threads_own_clock() {
        let begun = thread_cpu_time();
        assert_eq!(metered(BEGINNING * 4, pin!(busy())).await, Err(CpuTimeExceeded));
        // All but the beginning, whatever else the machine does.
        assert!(thread_cpu_time().saturating_sub(begun) >= BEGINNING * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_costs_nothing() {
        let hour = pin!(tokio::time::sleep(Duration::from_secs(3600)));
        let waited = metered(Duration::from_secs(2), hour).await;
        assert_eq!(waited, Ok(()));
    }

    /// Which of a call's polls would leave the worker: each computes for so long and is followed by a wait.
    fn long_ones(polls: impl IntoIterator<Item = (Duration, Duration)>) -> Vec<bool> {
        let mut at = now();
        let mut owed = Owed::at(at);
        let polls = polls.into_iter().map(|(computes, waits)| {
            let is_long = owed.is_long_at(at);
            owed.add(at, at + computes);
            at += computes + waits;
            is_long
        });
        polls.collect()
    }

    #[test]
    fn a_call_that_goes_on_computing_leaves_the_worker_and_stays_away() {
        let computing = std::iter::repeat_n((SLICE, Duration::ZERO), 1_000);
        let long = long_ones(computing);
        assert_eq!(long.iter().position(|is_long| *is_long), Some(1));
        assert!(long[1..].iter().all(|is_long| *is_long));
        // Nor do short polls between the long ones bring it back.
        let mixed = (0..1_000).map(|poll| (if poll % 2 == 0 { SLICE } else { Duration::ZERO }, Duration::ZERO));
        assert!(long_ones(mixed)[1..].iter().all(|is_long| *is_long));
    }

    #[test]
    fn a_stream_that_computes_a_little_for_each_piece_stays_on_the_worker() {
        let pieces = std::iter::repeat_n((Duration::from_micros(90), Duration::from_millis(1)), 10_000);
        assert!(!long_ones(pieces).contains(&true));
    }

    #[test]
    fn a_call_that_has_computed_for_long_comes_back_after_a_while() {
        let waits = [Duration::ZERO, SLICE * PART * 2, Duration::ZERO];
        let polls = waits.map(|wait| (SLICE * 2, wait));
        assert_eq!(long_ones(polls), [false, true, false]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_call_that_computes_for_long_keeps_no_worker() {
        let (work, done) = mpsc::channel();
        let call = async move {
            for _ in 0..4 {
                let begun = now();
                while begun.elapsed() < BEGINNING / 2 {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
            tokio::spawn(async move { work.send(()) });
            // Blocks this thread until the runtime, which has but one worker, has run the other task.
            done.recv_timeout(Duration::from_secs(30))
        };
        let call = tokio::spawn(async { metered(Duration::from_secs(60), pin!(call)).await });
        assert_eq!(call.await.unwrap(), Ok(Ok(())));
    }
}

//! The processor time of a call.
//!
//! A guest computes only while its future is polled, and the epoch makes it yield every few milliseconds. So the
//! time spent inside polls is the guest's, to the slice, however long the call waits in between.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The future was still not done when its processor time was used up. It has been dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CpuTimeExceeded;

/// How much of a call is timed by the wall's clock, which goes on while others have the processor. Most calls need no
/// more; reading the thread's own clock is a system call, twice a poll.
const ROUGHLY: Duration = Duration::from_millis(10);

/// Runs a future to its end, or until its polls have taken `limit` of processor time.
pub(crate) async fn metered<F: Future>(limit: Duration, future: F) -> Result<F::Output, CpuTimeExceeded> {
    let mut future = pin!(future);
    let mut spent = Duration::ZERO;
    poll_fn(|context| {
        let polled = if spent < ROUGHLY {
            let begun = Instant::now();
            let polled = future.as_mut().poll(context);
            // The rest of a poll that was interrupted for long is nobody's.
            spent += begun.elapsed().min(ROUGHLY);
            polled
        } else {
            let begun = thread_cpu_time();
            let polled = future.as_mut().poll(context);
            spent += thread_cpu_time().saturating_sub(begun);
            polled
        };
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if spent > limit => Poll::Ready(Err(CpuTimeExceeded)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn thread_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_that_computes_and_yields_for_ever_is_ended() {
        let busy = async {
            loop {
                std::hint::black_box((0..10_000).sum::<u64>());
                tokio::task::yield_now().await;
            }
        };
        let ended: Result<(), _> = metered(Duration::from_millis(5), busy).await;
        assert_eq!(ended, Err(CpuTimeExceeded));
    }

    #[tokio::test]
    async fn a_poll_that_began_by_the_walls_clock_goes_on_by_the_threads() {
        let busy = async {
            loop {
                std::hint::black_box((0..10_000).sum::<u64>());
                tokio::task::yield_now().await;
            }
        };
        let begun = thread_cpu_time();
        let ended: Result<(), _> = metered(ROUGHLY * 3, busy).await;
        assert_eq!(ended, Err(CpuTimeExceeded));
        // All but the rough part is the thread's own time, whatever else the machine does.
        assert!(thread_cpu_time().saturating_sub(begun) >= ROUGHLY * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_costs_nothing() {
        let waited = metered(Duration::from_secs(2), tokio::time::sleep(Duration::from_secs(3600))).await;
        assert_eq!(waited, Ok(()));
    }
}

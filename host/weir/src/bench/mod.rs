//! A load on one target, and what it came to.
//!
//! | module | subject |
//! |---|---|
//! | [`target`] | what is asked, over and over: a URL through a pool, or an operation of a provider |
//! | [`tally`] | what the answers were, and how long they took |
//! | [`chart`] | latencies as a drawing |
//! | [`report`] | the result, for people and for programs |

pub mod chart;
pub mod report;
pub mod tally;
pub mod target;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use tally::{Shared, Tally};
use target::Target;

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests at once: each caller sends its next one when its last has ended.
    pub in_flight: NonZeroUsize,
    /// Requests in all; without end if not given.
    pub requests: Option<u64>,
    /// How long requests are sent; what is under way then is cut off.
    pub duration: Option<Duration>,
}

/// What a load came to.
#[derive(Debug)]
pub struct Run {
    /// The answers.
    pub tally: Tally,
    /// Requests that were under way at the end, and were cut off.
    pub cut_off: u64,
    /// From the first request to the end of the last.
    pub took: Duration,
    /// Processor time of the whole process meanwhile, user and system.
    pub cpu: Duration,
    /// Whether it ended before its time.
    pub interrupted: bool,
}

/// How far a load has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Requests that have ended.
    pub ended: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Since the first request.
    pub elapsed: Duration,
}

/// Between two looks at how far it has come: often enough for a bar to move.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Puts the load on the target until it is done, or cancelled.
///
/// # Errors
/// Where no request can succeed since the request itself is wrong.
pub async fn run(
    target: Arc<Target>,
    load: Load,
    mut report: impl FnMut(Progress),
    cancel: &CancellationToken,
) -> anyhow::Result<Run> {
    let shared = Arc::new(Shared::default());
    let left = Arc::new(Tickets::new(load.requests));
    let (began, cpu) = (Instant::now(), cpu_time());
    let mut callers = JoinSet::new();
    for _ in 0..load.in_flight.get() {
        callers.spawn(call(target.clone(), left.clone(), shared.clone()));
    }

    let mut over = std::pin::pin!(sleep(load.duration.unwrap_or(Duration::MAX)));
    let mut interrupted = false;
    loop {
        tokio::select! {
            ended = callers.join_next() => match ended {
                None => break,
                Some(ended) => ended??,
            },
            () = &mut over => break,
            () = cancel.cancelled() => {
                interrupted = true;
                break;
            }
            () = sleep(LOOKS_EVERY) => report(shared.progress(began.elapsed())),
        }
    }
    let (took, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
    callers.shutdown().await;
    let tally = shared.take();
    Ok(Run {
        cut_off: left.taken() - tally.ended(),
        tally,
        took,
        cpu,
        interrupted,
    })
}

async fn call(target: Arc<Target>, tickets: Arc<Tickets>, shared: Arc<Shared>) -> anyhow::Result<()> {
    while tickets.take() {
        let began = Instant::now();
        let outcome = target.request().await?;
        shared.add(outcome, began.elapsed());
    }
    Ok(())
}

/// The requests that may still be begun.
#[derive(Debug)]
struct Tickets {
    most: u64,
    taken: AtomicU64,
}

impl Tickets {
    fn new(most: Option<u64>) -> Self {
        Self {
            most: most.unwrap_or(u64::MAX),
            taken: AtomicU64::new(0),
        }
    }

    fn take(&self) -> bool {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

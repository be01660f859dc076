//! One client under one load: callers that each send their next request when the last is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::contender::{ByItself, Contender, Fresh, Hyper, HyperUtil, Native, Reqwest, Reused, Task, Weir};
use crate::process;

#[derive(Args)]
pub struct Load {
    #[arg(long)]
    client: Client,
    /// The core it keeps to.
    #[arg(long)]
    core: usize,
    #[command(flatten)]
    task: Task,
    /// Seconds of load before anything is measured.
    #[arg(long)]
    warm_up: f64,
    /// Seconds measured.
    #[arg(long)]
    seconds: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Client {
    WeirPool,
    Hyper,
    HyperUtil,
    Reqwest,
    Native,
    Reused,
    Fresh,
    ByItself,
}

/// What one client did while it was measured.
#[derive(Clone, Deserialize, Serialize)]
pub struct Measured {
    pub requests: u64,
    pub seconds: f64,
    /// Processor time of the client.
    pub cpu_seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// What a client says when the measured part begins.
pub const MEASURING: &str = "measuring";

pub fn run(load: &Load) -> anyhow::Result<()> {
    process::settle(load.core)?;
    process::runtime()?.block_on(async {
        match load.client {
            Client::WeirPool => measure::<Weir>(load).await,
            Client::Hyper => measure::<Hyper>(load).await,
            Client::HyperUtil => measure::<HyperUtil>(load).await,
            Client::Reqwest => measure::<Reqwest>(load).await,
            Client::Native => measure::<Native>(load).await,
            Client::Reused => measure::<Reused>(load).await,
            Client::Fresh => measure::<Fresh>(load).await,
            Client::ByItself => measure::<ByItself>(load).await,
        }
    })
}

async fn measure<C: Contender>(load: &Load) -> anyhow::Result<()> {
    let client = C::new(&load.task).await?;
    let (times, ending) = (Times::default(), Arc::new(AtomicBool::new(false)));
    // Whoever speaks HTTP/2 learns of it by a first request, instead of dialling for every caller at once.
    client.caller().await?.request().await?;
    let mut callers = JoinSet::new();
    for _ in 0..load.task.in_flight {
        callers.spawn(call(client.caller().await?, times.clone(), ending.clone()));
    }
    // A caller that fails ends the run: figures beside errors would mean little.
    alive(&mut callers, load.warm_up).await?;
    println!("{MEASURING}");
    times.take()?;
    let (began, cpu) = (Instant::now(), process::cpu_time());
    alive(&mut callers, load.seconds).await?;
    let (seconds, cpu) = (began.elapsed(), process::cpu_time() - cpu);
    let times = times.take()?;
    let microseconds = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "{}",
        serde_json::to_string(&Measured {
            requests: times.len(),
            seconds: seconds.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            p50_us: microseconds(0.5),
            p99_us: microseconds(0.99),
        })?
    );
    ending.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

/// Waits, unless a caller fails.
async fn alive(callers: &mut JoinSet<anyhow::Result<()>>, seconds: f64) -> anyhow::Result<()> {
    tokio::select! {
        Some(ended) = callers.join_next() => Ok(ended??),
        () = sleep(Duration::from_secs_f64(seconds)) => Ok(()),
    }
}

async fn call(mut client: impl Contender, times: Times, ending: Arc<AtomicBool>) -> anyhow::Result<()> {
    while !ending.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.request().await?;
        times.record(began.elapsed())?;
    }
    Ok(())
}

/// How long requests took, in nanoseconds with three digits.
#[derive(Clone)]
struct Times(Arc<Mutex<Histogram<u64>>>);

impl Default for Times {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Self::empty())))
    }
}

impl Times {
    /// A minute at most: longer than any deadline of any client here.
    fn empty() -> Histogram<u64> {
        #[expect(clippy::expect_used, reason = "constants")]
        Histogram::new_with_max(60_000_000_000, 3).expect("bounds in order")
    }

    fn record(&self, time: Duration) -> anyhow::Result<()> {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(times.record(u64::try_from(time.as_nanos())?)?)
    }

    /// What was recorded since the last time.
    fn take(&self) -> anyhow::Result<Histogram<u64>> {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut times, Self::empty()))
    }
}

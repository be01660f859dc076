//! What a component that misbehaves does to the calls of another provider in the same process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;
use weir_pool::PoolManager;
use weir_runtime::types::EmbeddingRequest;
use weir_runtime::{Provider, Runtime, RuntimeOptions};

use crate::component;

/// What the other does, as `tests/fixtures/misbehaver` is ordered to. Nothing comes first, and is compared with.
const ORDERS: [(&str, &str); 8] = [
    ("", "nothing: it is not called"),
    ("well", "answers"),
    ("spin", "computes until its processor time is used up"),
    ("grow", "allocates until its memory is used up"),
    ("recurse", "overflows its stack"),
    ("trap", "panics"),
    ("flood 2000", "writes 2,000 lines of log a call"),
    ("handles", "makes handles until it may have no more"),
];

/// Calls of the provider that is measured, in flight all the time.
const CALLERS: usize = 8;

/// Calls of the one that misbehaves, in flight all the time: more than a usual machine of two cores can bear.
const MISBEHAVERS: usize = 4;

#[derive(Args)]
pub struct Options {
    /// Where embeddings are asked for.
    #[arg(long)]
    base_url: String,
    /// Seconds measured beside each order, in each round.
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    rounds: usize,
}

/// The calls of a provider beside another, whatever that one does.
#[derive(Deserialize, Serialize)]
pub struct Neighbours {
    rows: Vec<Row>,
}

#[derive(Deserialize, Serialize)]
struct Row {
    beside: String,
    calls: u64,
    /// Calls of the one that misbehaves which ended meanwhile.
    misbehaved: u64,
    /// Medians of the rounds, in microseconds.
    p50: f64,
    p99: f64,
    lowest_p99: f64,
    highest_p99: f64,
}

impl fmt::Display for Neighbours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| the other component | its calls | calls measured | p50 µs | p99 µs | lowest–highest |\n|---|---|---|---|---|---|"
        )?;
        for row in &self.rows {
            writeln!(
                formatter,
                "| {} | {} | {} | {:.0} | {:.0} | {:.0}–{:.0} |",
                row.beside, row.misbehaved, row.calls, row.p50, row.p99, row.lowest_p99, row.highest_p99
            )?;
        }
        Ok(())
    }
}

/// As the program runs: a worker thread a core, none held to one.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", serde_json::to_string(&runtime.block_on(measure(options))?)?);
    Ok(())
}

async fn measure(options: &Options) -> anyhow::Result<Neighbours> {
    let runtime = Runtime::new(RuntimeOptions {
        cache_dir: Some(component::cache()),
        pools: PoolManager::new()?,
    })?;
    let measured = runtime.load(component::spec("voyage", &options.base_url)?).await?;
    let other = runtime.load(component::misbehaver(&options.base_url)?).await?;
    let mut samples: Vec<Vec<Sample>> = ORDERS.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds {
        for ((order, _), samples) in ORDERS.iter().zip(&mut samples) {
            samples.push(beside(order, &measured, &other, Duration::from_secs_f64(options.seconds)).await?);
        }
    }
    let rows = ORDERS.iter().zip(samples).map(|((_, beside), samples)| {
        let p99 = sorted(&samples, |sample| sample.p99);
        Row {
            beside: (*beside).to_owned(),
            calls: samples.iter().map(|sample| sample.calls).sum(),
            misbehaved: samples.iter().map(|sample| sample.misbehaved).sum(),
            p50: median(&sorted(&samples, |sample| sample.p50)),
            p99: median(&p99),
            lowest_p99: p99.first().copied().unwrap_or(f64::NAN),
            highest_p99: p99.last().copied().unwrap_or(f64::NAN),
        }
    });
    Ok(Neighbours { rows: rows.collect() })
}

/// One round beside one order.
struct Sample {
    calls: u64,
    misbehaved: u64,
    p50: f64,
    p99: f64,
}

async fn beside(order: &str, measured: &Provider, other: &Provider, time: Duration) -> anyhow::Result<Sample> {
    let ending = Arc::new(AtomicBool::new(false));
    let mut misbehaving = JoinSet::new();
    for _ in 0..if order.is_empty() { 0 } else { MISBEHAVERS } {
        let (other, order, ending) = (other.clone(), order.to_owned(), ending.clone());
        misbehaving.spawn(async move {
            let mut calls = 0_u64;
            while !ending.load(Ordering::Relaxed) {
                // Most orders end in an error; what kind is for tests to say.
                let _ = other.embed(request(&order)).await;
                calls += 1;
                // In the program, the next call is another request's, which waits for its turn.
                tokio::task::yield_now().await;
            }
            calls
        });
    }
    // The first instances are made, and the first lines are logged, before anything is measured.
    tokio::time::sleep(time / 10).await;

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (measured, ending) = (measured.clone(), ending.clone());
        callers.spawn(async move {
            let mut times = Histogram::<u64>::new(3)?;
            while !ending.load(Ordering::Relaxed) {
                let began = Instant::now();
                measured.embed(request("fn lend(&mut self)")).await?;
                times.record(u64::try_from(began.elapsed().as_nanos())?)?;
            }
            anyhow::Ok(times)
        });
    }
    tokio::time::sleep(time).await;
    ending.store(true, Ordering::Relaxed);
    let mut times = Histogram::<u64>::new(3)?;
    while let Some(caller) = callers.join_next().await {
        times.add(caller??).context("two histograms of one kind")?;
    }
    let mut misbehaved = 0;
    while let Some(calls) = misbehaving.join_next().await {
        misbehaved += calls?;
    }
    let microseconds = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Sample {
        calls: times.len(),
        misbehaved,
        p50: microseconds(0.5),
        p99: microseconds(0.99),
    })
}

fn request(text: &str) -> EmbeddingRequest {
    EmbeddingRequest {
        inputs: vec![text.to_owned()],
        model: None,
        kind: None,
        dimensions: None,
    }
}

fn sorted(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

//! What a component that misbehaves does to the calls of another provider in the same program.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use hdrhistogram::Histogram;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::run::Process;
use crate::{component, process};

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
    /// The program.
    #[arg(long)]
    weir: PathBuf,
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

pub fn run(options: &Options) -> anyhow::Result<()> {
    println!(
        "{}",
        serde_json::to_string(&process::runtime()?.block_on(measure(options))?)?
    );
    Ok(())
}

async fn measure(options: &Options) -> anyhow::Result<Neighbours> {
    let folder = std::env::temp_dir().join(format!("weir-neighbours-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (_program, address) = start(options, &folder).await?;
    let mut samples: Vec<Vec<Sample>> = ORDERS.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds {
        for ((order, _), samples) in ORDERS.iter().zip(&mut samples) {
            samples.push(beside(order, address, Duration::from_secs_f64(options.seconds)).await?);
        }
    }
    let _ = std::fs::remove_dir_all(folder);
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

async fn beside(order: &str, address: SocketAddr, time: Duration) -> anyhow::Result<Sample> {
    let ending = Arc::new(AtomicBool::new(false));
    let mut misbehaving = JoinSet::new();
    for _ in 0..if order.is_empty() { 0 } else { MISBEHAVERS } {
        let (mut other, order, ending) = (Client::new(address, "other").await?, order.to_owned(), ending.clone());
        misbehaving.spawn(async move {
            let mut calls = 0_u64;
            while !ending.load(Ordering::Relaxed) {
                // Most orders end in an error; what kind is for tests to say.
                other.embed(&order).await?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
    }
    // The first instances are made, and the first lines are logged, before anything is measured.
    tokio::time::sleep(time / 10).await;

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (mut measured, ending) = (Client::new(address, "voyage").await?, ending.clone());
        callers.spawn(async move {
            let mut times = Histogram::<u64>::new(3)?;
            while !ending.load(Ordering::Relaxed) {
                let began = Instant::now();
                let status = measured.embed("fn lend(&mut self)").await?;
                anyhow::ensure!(status.is_success(), "{status}");
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
        misbehaved += calls??;
    }
    let microseconds = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Sample {
        calls: times.len(),
        misbehaved,
        p50: microseconds(0.5),
        p99: microseconds(0.99),
    })
}

/// The program with both providers, once it answers.
async fn start(options: &Options, folder: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let folder = folder.display();
    let config = format!(
        r#"
data_dir = "{folder}/data"
cache_dir = "{folder}/cache"
[server]
listen = "{address}"
[providers.voyage]
component = "voyage"
config.base_url = "{base_url}"
secrets.api_key = {{ env = "BENCH_KEY" }}
egress.allow_private = ["127.0.0.1/32"]
[providers.other]
component = "{misbehaver}"
config.base_url = "{base_url}"
secrets.api_key = {{ env = "BENCH_KEY" }}
egress = {{ allow = ["{base_url}"], allow_private = ["127.0.0.1/32"] }}
"#,
        base_url = options.base_url,
        misbehaver = component::fixture("misbehaver"),
    );
    let file = format!("{folder}/weir.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(&options.weir);
    command
        .args(["serve", "--config", &file])
        .env("BENCH_KEY", "bench-key")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let program = Process::start(&mut command)?;
    let began = Instant::now();
    loop {
        let answered = async { Client::new(address, "voyage").await?.embed("x").await };
        match answered.await {
            Ok(StatusCode::OK) => return Ok((program, address)),
            Ok(status) => anyhow::bail!("the program answers with {status}"),
            Err(error) => anyhow::ensure!(began.elapsed() < Duration::from_secs(60), "no answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A connection to the program, for the calls of one provider.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    provider: &'static str,
}

impl Client {
    async fn new(address: SocketAddr, provider: &'static str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            address,
            provider,
        })
    }

    async fn embed(&mut self, input: &str) -> anyhow::Result<StatusCode> {
        let request = Request::post(format!("/v1/providers/{}/embed", self.provider))
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(json!({"inputs": [input]}).to_string()))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(status)
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

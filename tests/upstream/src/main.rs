//! `weir-upstream`: serves the providers' APIs until it is told to stop.
//!
//! One line of JSON on standard output says where everything listens, once it does.

#![forbid(unsafe_code)]

use std::{
    io::{Read, Write},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use weir_upstream::{Api, DEFAULT_API_KEY, Upstream};

/// Serves the Voyage, Cohere, OpenAI and Qdrant APIs on this machine, with real answers and faults to order.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address of every port
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// The port that serves all APIs, each under its name; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The control port; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    control_port: u16,
    /// The key clients must present
    #[arg(long, default_value = DEFAULT_API_KEY)]
    api_key: String,
    /// The key of one API, such as voyage=secret; may be given several times
    #[arg(long = "api-key-of", value_name = "API=KEY", value_parser = key_of)]
    api_keys: Vec<(Api, String)>,
    /// A key that may only read at Qdrant
    #[arg(long)]
    qdrant_read_only_key: Option<String>,
    /// Milliseconds every answer takes, besides the work
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// Seconds without a request after which a connection is closed; a real Qdrant has 5
    #[arg(long)]
    idle_timeout: Option<f64>,
    /// Listen with TLS too, and write the certificate authority to this file in PEM
    #[arg(long, value_name = "FILE")]
    tls_ca_file: Option<PathBuf>,
    /// Stop when standard input ends
    #[arg(long)]
    exit_with_stdin: bool,
}

fn key_of(text: &str) -> anyhow::Result<(Api, String)> {
    let (api, key) = text.split_once('=').context("expected API=KEY")?;
    Ok((api.parse()?, key.to_owned()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();

    let mut builder = Upstream::builder()
        .address(arguments.address)
        .port(arguments.port)
        .control_port(arguments.control_port)
        .api_key(arguments.api_key)
        .latency(Duration::from_millis(arguments.latency));
    for (api, key) in arguments.api_keys {
        builder = builder.api_key_of(api, key);
    }
    if let Some(key) = arguments.qdrant_read_only_key {
        builder = builder.qdrant_read_only_key(key);
    }
    if let Some(seconds) = arguments.idle_timeout {
        builder = builder.idle_timeout(Duration::try_from_secs_f64(seconds).context("--idle-timeout")?);
    }
    if let Some(path) = arguments.tls_ca_file {
        builder = builder.tls(true).ca_file(path);
    }
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let upstream = builder.start().await?;

    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(upstream.endpoints())?)?;
    stdout.flush()?;
    drop(stdout);

    let stdin_ended = arguments.exit_with_stdin.then(stdin_ended);
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        () = async { match stdin_ended { Some(ended) => { let _ = ended.await; } None => std::future::pending().await } } => {}
    }
    upstream.shutdown().await;
    Ok(())
}

/// A thread of its own reads standard input, since a read there can't be called off.
fn stdin_ended() -> oneshot::Receiver<()> {
    let (ended, wait) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        let _ = ended.send(());
    });
    wait
}

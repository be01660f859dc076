//! weir as a gateway beside others: the same upstream, the same clients, one gateway after the other.
//!
//! A gateway is held to core 1; the upstream and the clients share core 0. So what is compared first is the processor
//! time that a gateway takes for a request, and then how long its clients wait.

mod caller;
mod figures;
mod gateway;
mod tree;
mod upstream;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::Instant;

use self::caller::{Answered, Asks};
pub use self::caller::{Options as Caller, run as call};
pub use self::figures::Figures;
use self::figures::{Sample, Start};
use self::gateway::{Gateway, Installed};
pub use self::upstream::{Options as Upstream, run as serve};
use crate::client::MEASURING;
use crate::machine;
use crate::readme;
use crate::run::Process;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    installed: Installed,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load before anything is measured.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Replaces the figures in this file.
    #[arg(long)]
    readme: Option<PathBuf>,
}

const OTHERS_CORE: &str = "0";
const GATEWAYS_CORE: &str = "1";

/// Texts in the larger of the two requests for vectors.
const INPUTS: usize = 32;

/// How long a gateway may take to its first answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a gateway is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(2);

/// What is asked for, and how many ask at once.
const LOADS: [(&str, Asks, usize); 4] = [
    ("One short text, 1 in flight", Asks::One, 1),
    ("One short text, 16 in flight", Asks::One, 16),
    (
        "32 texts of 1,500 bytes, 1,024 dimensions in base64, 16 in flight",
        Asks::Many,
        16,
    ),
    ("Streamed chat of 50 words, 1 ms apart, 16 in flight", Asks::Words, 16),
];

pub fn run(options: &Options) -> anyhow::Result<()> {
    let machine = machine::facts(None)?;
    let mut upstream = Process::start(Command::new(std::env::current_exe()?).args([
        "gateway-upstream",
        "--core",
        OTHERS_CORE,
        "--inputs",
        &INPUTS.to_string(),
    ]))?;
    let port: u16 = upstream.line()?.trim().parse()?;
    let folder = std::env::temp_dir().join(format!("weir-gateways-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut figures = Figures::default();
    let none = format!("http://127.0.0.1:{port}/v1");
    for round in 0..options.rounds {
        for (load, asks, in_flight) in LOADS {
            let sample = loaded(&none, "gpt", &[], asks, in_flight, options, || Duration::ZERO)?;
            figures.add(load, "none", sample);
        }
        for gateway in options.installed.gateways(port, &folder)? {
            let name = gateway.name;
            eprintln!("round {}: {name}", round + 1);
            measure(gateway, options, &mut figures).context(name)?;
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    println!("{figures}");
    options
        .readme
        .as_ref()
        .map_or(Ok(()), |file| readme::replace_gateways(file, &machine, &figures))
}

#[expect(clippy::disallowed_methods, reason = "there is no runtime to block")]
fn measure(mut gateway: Gateway, options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", GATEWAYS_CORE])
        .arg(gateway.command.get_program())
        .args(gateway.command.get_args())
        .envs(
            gateway
                .command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let mut process = Process::start(&mut command)?;
    let base_url = match gateway.base_url.take() {
        Some(base_url) => base_url,
        None => loop {
            let line = process.line()?;
            if line.starts_with("http") {
                break line.trim().to_owned();
            }
        },
    };
    let one = |asks| {
        let model = gateway.model(asks);
        ask(&base_url, model, &gateway.headers, asks, 1, 0.0, 0.0)
    };
    while !answers(one(Asks::One))? {
        anyhow::ensure!(began.elapsed() < PATIENCE, "no answer within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let started = began.elapsed();
    std::thread::sleep(REST);
    let id = process.id();
    figures.started(
        gateway.name,
        Start {
            milliseconds: started.as_secs_f64() * 1e3,
            megabytes: tree::used(id).resident as f64 / 1e6,
        },
    );
    for (load, asks, in_flight) in LOADS {
        let sample = loaded(
            &base_url,
            gateway.model(asks),
            &gateway.headers,
            asks,
            in_flight,
            options,
            || tree::used(id).cpu,
        );
        match sample {
            Ok(sample) => figures.add(load, gateway.name, sample),
            // What one gateway can't do does not end the others' run: it has no figures there.
            Err(error) => eprintln!("{}, {load}: {error:#}", gateway.name),
        }
    }
    Ok(())
}

/// Whether one request was answered as it should be.
fn answers(mut request: Command) -> anyhow::Result<bool> {
    Ok(request.stderr(Stdio::null()).status()?.success())
}

fn loaded(
    base_url: &str,
    model: &str,
    headers: &[String],
    asks: Asks,
    in_flight: usize,
    options: &Options,
    cpu: impl Fn() -> Duration,
) -> anyhow::Result<Sample> {
    let mut command = ask(
        base_url,
        model,
        headers,
        asks,
        in_flight,
        options.warm_up,
        options.seconds,
    );
    let mut clients = Process::start(&mut command)?;
    let line = clients.line()?;
    anyhow::ensure!(line.trim() == MEASURING, "unexpected words: {line}");
    let before = cpu();
    let answered: Answered = clients.tells()?;
    let cpu = cpu() - before;
    Ok(Sample { answered, cpu })
}

fn ask(
    base_url: &str,
    model: &str,
    headers: &[String],
    asks: Asks,
    in_flight: usize,
    warm_up: f64,
    seconds: f64,
) -> Command {
    let (route, word) = match asks {
        Asks::One => ("embeddings", "one"),
        Asks::Many => ("embeddings", "many"),
        Asks::Words => ("chat/completions", "words"),
    };
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command
        .args([
            "gateway-client",
            "--core",
            OTHERS_CORE,
            "--asks",
            word,
            "--model",
            model,
        ])
        .args(["--url", &format!("{base_url}/{route}")])
        .args(["--inputs", &INPUTS.to_string(), "--in-flight", &in_flight.to_string()])
        .args(["--warm-up", &warm_up.to_string(), "--seconds", &seconds.to_string()]);
    for header in headers {
        command.args(["--header", header]);
    }
    command
}

//! Runs every scenario: a server for each, and its clients in turn, round by round.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use clap::Args;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::client::{MEASURING, Measured};
use crate::component::Components;
use crate::figures::{Figures, Sample};
use crate::neighbours::Neighbours;
use crate::scenario::{NEIGHBOURS, Protocol, SCENARIOS, STREAMS, Scenario};
use crate::server::{Seen, Started};
use crate::{machine, readme};

#[derive(Args)]
pub struct Options {
    /// How often every client has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load before anything is measured.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Only the scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The program, in which one provider is measured beside another.
    #[arg(long)]
    weir: PathBuf,
    /// A Python with httpx; without one, httpx is left out.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Replaces the figures in this file, unless only some scenarios are run.
    #[arg(long)]
    readme: Option<PathBuf>,
    /// Every sample goes here.
    #[arg(long)]
    json: Option<PathBuf>,
}

const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";

pub fn run(options: &Options) -> anyhow::Result<()> {
    let machine = machine::facts(options.python.as_deref())?;
    eprintln!("{machine}");
    let mut all = Vec::new();
    for scenario in SCENARIOS
        .iter()
        .filter(|scenario| scenario.name.contains(&options.only))
    {
        let figures = measure(scenario, options).with_context(|| scenario.name)?;
        println!("\n{}\n{}", scenario.name, figures.table());
        all.push(figures);
    }
    let components: Components = Process::start(Command::new(std::env::current_exe()?).arg("component"))?.tells()?;
    println!("\n{components}");
    let neighbours = NEIGHBOURS
        .name
        .contains(&options.only)
        .then(|| beside_misbehaviour(options));
    let neighbours = neighbours.transpose()?;
    if let Some(neighbours) = &neighbours {
        println!("\n{neighbours}");
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)?;
    }
    match (&options.readme, neighbours) {
        (Some(file), Some(neighbours)) if options.only.is_empty() => {
            readme::replace_figures(file, &machine, &all, &components, &neighbours)
        }
        _ => Ok(()),
    }
}

fn beside_misbehaviour(options: &Options) -> anyhow::Result<Neighbours> {
    let certificate = certificate();
    let server = Server::start(&NEIGHBOURS, &certificate)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("neighbours")
        .arg("--weir")
        .arg(&options.weir)
        .args(["--base-url", &format!("http://127.0.0.1:{}/v1", server.ports.plain)])
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--rounds", &options.rounds.to_string()]);
    let neighbours = Process::start(&mut command)?.tells();
    let _ = std::fs::remove_file(certificate);
    neighbours
}

fn certificate() -> PathBuf {
    std::env::temp_dir().join(format!("weir-benches-{}.pem", std::process::id()))
}

fn measure(scenario: &Scenario, options: &Options) -> anyhow::Result<Figures> {
    let certificate = certificate();
    let mut server = Server::start(scenario, &certificate)?;
    let clients = scenario
        .clients
        .iter()
        .filter(|client| **client != "httpx" || options.python.is_some());
    let clients: Vec<_> = clients.copied().collect();
    let mut figures = Figures::new(*scenario, &clients);
    for round in 0..options.rounds {
        // Whoever comes first in one round comes later in the next.
        for turn in 0..clients.len() {
            let Some(client) = clients.get((round + turn) % clients.len()) else {
                continue;
            };
            let sample =
                turn_of(client, scenario, &mut server, &certificate, options).with_context(|| client.to_string())?;
            eprintln!("{}, round {}: {client} {sample}", scenario.name, round + 1);
            figures.add(client, sample);
        }
    }
    let _ = std::fs::remove_file(certificate);
    Ok(figures)
}

/// One client's turn, from the start of its process to its end.
fn turn_of(
    client: &str,
    scenario: &Scenario,
    server: &mut Server,
    certificate: &Path,
    options: &Options,
) -> anyhow::Result<Sample> {
    let port = match scenario.protocol {
        Protocol::Http1 => server.ports.plain,
        Protocol::Http1Tls | Protocol::Http2Tls => server.ports.tls,
    };
    let mut command = match (&options.python, client) {
        (Some(python), "httpx") => {
            let mut command = Command::new(python);
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/client.py"));
            command
        }
        _ => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["client", "--client", client]);
            command
        }
    };
    command
        .args(["--core", CLIENT_CORE])
        .args([
            "--url",
            &format!(
                "{}://127.0.0.1:{port}{}",
                scenario.protocol.scheme(),
                scenario.answer.path()
            ),
        ])
        .args(["--verb", if scenario.post { "post" } else { "get" }])
        .args(["--in-flight", &scenario.in_flight.to_string()])
        .args(["--connections", &scenario.connections.to_string()])
        .arg("--certificate")
        .arg(certificate)
        .args(["--warm-up", &options.warm_up.to_string()])
        .args(["--seconds", &options.seconds.to_string()]);
    let (inputs, input_bytes, dimensions) = scenario.answer.sizes();
    if inputs > 0 {
        command
            .args([
                "--inputs",
                &inputs.to_string(),
                "--input-bytes",
                &input_bytes.to_string(),
            ])
            .args(["--dimensions", &dimensions.to_string()]);
    }
    if scenario.protocol.is_http2() {
        command.arg("--http2");
    }
    let at_first = server.seen()?.accepted;
    let mut process = Process::start(&mut command)?;
    let line = process.line()?;
    anyhow::ensure!(line.trim() == MEASURING, "unexpected words: {line}");
    let (before, began) = (server.seen()?, Instant::now());
    let measured: Measured = process.tells()?;
    let (after, took) = (server.seen()?, began.elapsed());
    let status = process.child.wait()?;
    anyhow::ensure!(status.success(), "ended with {status}");
    Ok(Sample {
        measured,
        connections: after.accepted - at_first,
        server_busy: (after.cpu - before.cpu).as_secs_f64() / took.as_secs_f64(),
    })
}

struct Server {
    process: Process,
    asks: ChildStdin,
    ports: Started,
}

impl Server {
    fn start(scenario: &Scenario, certificate: &Path) -> anyhow::Result<Self> {
        let (inputs, _, dimensions) = scenario.answer.sizes();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["server", "--core", SERVER_CORE, "--delay", &scenario.delay.to_string()])
            .args(["--streams", &STREAMS.to_string()])
            .args(["--inputs", &inputs.to_string(), "--dimensions", &dimensions.to_string()])
            .arg("--certificate")
            .arg(certificate)
            .stdin(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let asks = process.child.stdin.take().context("the server's standard input")?;
        let ports = process.tells()?;
        Ok(Self { process, asks, ports })
    }

    fn seen(&mut self) -> anyhow::Result<Seen> {
        writeln!(self.asks)?;
        self.process.tells()
    }
}

/// A process that is ended when it goes out of scope.
pub struct Process {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it, with its standard output to be read.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let says = BufReader::new(child.stdout.take().context("standard output")?);
        Ok(Self { child, says })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        anyhow::ensure!(self.says.read_line(&mut line)? > 0, "ended before it said anything");
        Ok(line)
    }

    pub fn tells<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| line)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

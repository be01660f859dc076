//! What a figure means nothing without: the machine, its load before the run, and the versions.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// As a list in Markdown.
pub fn facts(python: Option<&Path>) -> anyhow::Result<String> {
    let system = rustix::system::uname();
    let cores = std::thread::available_parallelism()?;
    anyhow::ensure!(
        cores.get() >= 2,
        "the client and the server need a core each, and there is one"
    );
    let model = read("/proc/cpuinfo")?
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned());
    let load = read("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(", ");
    let mut facts = vec![
        format!("{cores} cores of {model}, Linux {}", system.release().to_string_lossy()),
        format!("load averages before the run: {load}"),
        said(Command::new("rustc").arg("--version"))?,
        locked(&[
            "hyper",
            "hyper-util",
            "hyper-rustls",
            "reqwest",
            "h2",
            "rustls",
            "ring",
            "tokio",
        ])?,
    ];
    if let Some(python) = python {
        let versions = "import sys, httpx, h2; print('Python', sys.version.split()[0] + ', httpx', httpx.__version__ + ', h2', h2.__version__)";
        facts.push(said(Command::new(python).args(["-c", versions]))?);
    }
    facts.push(said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?);
    Ok(facts.iter().map(|fact| format!("- {fact}\n")).collect())
}

/// The versions of these crates in the lock file.
fn locked(crates: &[&str]) -> anyhow::Result<String> {
    let lock = include_str!("../Cargo.lock");
    let versions: Option<Vec<_>> = crates
        .iter()
        .map(|name| {
            let (_, entry) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
            Some(format!("{name} {}", entry.split('"').next()?))
        })
        .collect();
    Ok(versions.context("Cargo.lock")?.join(", "))
}

fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| file.to_owned())
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

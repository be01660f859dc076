//! `weir doctor`: is everything there that the configuration needs?

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpStream;
use weir_runtime::{Origin, Provider};

use crate::cli::{Context, Failed, Misconfigured};
use crate::config::{EffectiveConfig, Environment};
use crate::host::Host;

/// How long a server may take to accept a connection before it counts as out of reach.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Pass,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Check {
    outcome: Outcome,
    /// What was looked at.
    subject: String,
    /// What was found, and what to do about it.
    message: String,
    /// Whether it is the configuration that fails.
    #[serde(skip)]
    misconfigured: bool,
}

impl Check {
    fn new(outcome: Outcome, subject: impl Into<String>, message: impl Into<String>) -> Check {
        Check {
            outcome,
            subject: subject.into(),
            message: message.into(),
            misconfigured: false,
        }
    }

    fn misconfigured(subject: impl Into<String>, error: &impl ToString) -> Check {
        Check {
            misconfigured: true,
            ..Check::new(Outcome::Fail, subject, error.to_string())
        }
    }
}

pub(super) async fn run(context: &Context) -> anyhow::Result<()> {
    let checks = examine(context).await;
    let failed = checks.iter().any(|check| check.outcome == Outcome::Fail);
    if context.output.is_json() {
        context.output.json(&json!({ "ok": !failed, "checks": checks }))?;
    } else {
        for Check {
            outcome,
            subject,
            message,
            ..
        } in &checks
        {
            let outcome = match outcome {
                Outcome::Pass => "pass",
                Outcome::Warn => "warn",
                Outcome::Fail => "FAIL",
            };
            context.output.text(&format!("{outcome}  {subject}: {message}"))?;
        }
    }
    verdict(&checks)
}

fn verdict(checks: &[Check]) -> anyhow::Result<()> {
    if checks.iter().any(|check| check.misconfigured) {
        Err(Misconfigured.into())
    } else if checks.iter().any(|check| check.outcome == Outcome::Fail) {
        Err(Failed.into())
    } else {
        Ok(())
    }
}

async fn examine(context: &Context) -> Vec<Check> {
    let config = match context.config() {
        Ok(config) => config,
        Err(error) => return vec![Check::misconfigured("configuration", &error)],
    };
    let mut checks = vec![
        configuration(&config),
        server(&config),
        data_dir(&config.config.data_dir),
    ];
    checks.extend(secrets(&config));
    checks.extend(machine(&config));
    checks.extend(proxy(context.environment()));
    let host = match context.open(config).await {
        Ok(host) => host,
        Err(error) => {
            checks.push(Check::new(Outcome::Fail, "runtime", format!("{error:#}")));
            return checks;
        }
    };
    checks.push(Check::new(Outcome::Pass, "TLS", "root certificates are there"));
    checks.extend(components(&host).await);
    let providers = host.loaded();
    checks.extend(join_all(providers.iter().map(upstream)).await.into_iter().flatten());
    checks
}

fn configuration(config: &EffectiveConfig) -> Check {
    let providers = config.config.providers.len();
    let message = match &config.file {
        Some(file) => format!("{}, {providers} providers", file.display()),
        None => format!("no file, so what the environment has keys for: {providers} providers"),
    };
    Check::new(Outcome::Pass, "configuration", message)
}

fn server(config: &EffectiveConfig) -> Check {
    let server = &config.config.server;
    if let Err(error) = config.check_server() {
        return Check::misconfigured("server", &error);
    }
    if let Some(error) = server
        .api_keys
        .iter()
        .find_map(|source| source.read(&config.environment).err())
    {
        return Check::new(
            Outcome::Warn,
            "server",
            format!("`weir serve` would not start, since {error}"),
        );
    }
    let access = if server.api_keys.is_empty() {
        "without keys, for this machine alone"
    } else {
        "with keys"
    };
    Check::new(Outcome::Pass, "server", format!("{} {access}", server.address()))
}

fn data_dir(folder: &Path) -> Check {
    let probe = folder.join(".weir-doctor");
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, b""));
    match written.and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Check::new(Outcome::Pass, "data folder", folder.display().to_string()),
        Err(error) => {
            let advice = "set `data_dir` or WEIR_DATA_DIR to a folder that can be written";
            Check::new(
                Outcome::Fail,
                "data folder",
                format!("{}: {error}; {advice}", folder.display()),
            )
        }
    }
}

fn secrets(config: &EffectiveConfig) -> Vec<Check> {
    let mut checks = Vec::new();
    for (provider, settings) in &config.config.providers {
        for (secret, source) in &settings.secrets {
            let subject = format!("secret {provider}.{secret}");
            checks.push(match source.read(&config.environment) {
                Ok(_) => Check::new(Outcome::Pass, subject, format!("is in {source}")),
                Err(error) => Check::misconfigured(subject, &error),
            });
        }
    }
    checks
}

async fn components(host: &Host) -> Vec<Check> {
    let loads = host.load_all().await;
    loads
        .into_iter()
        .map(|(name, result)| {
            let subject = format!("provider {name}");
            match result {
                Ok(provider) => {
                    let manifest = provider.manifest();
                    let capabilities: Vec<&str> = provider
                        .capabilities()
                        .iter()
                        .map(|capability| capability.as_str())
                        .collect();
                    let message = format!("{} {}: {}", manifest.name, manifest.version, capabilities.join(", "));
                    Check::new(Outcome::Pass, subject, message)
                }
                Err(error) if error.is_configuration() => Check::misconfigured(subject, &error),
                Err(error) => Check::new(Outcome::Fail, subject, error.to_string()),
            }
        })
        .collect()
}

/// Whether each server that a provider talks to accepts connections. Nothing is sent.
async fn upstream(provider: &Provider) -> Vec<Check> {
    join_all(provider.origins().iter().map(async |origin| {
        let subject = format!("upstream {} {origin}", provider.name());
        match connect(origin).await {
            Ok(address) => Check::new(Outcome::Pass, subject, format!("accepts connections at {address}")),
            Err(reason) => {
                let advice = "check that it runs, and that this machine may reach it";
                Check::new(Outcome::Warn, subject, format!("{reason}; {advice}"))
            }
        }
    }))
    .await
}

async fn connect(origin: &Origin) -> Result<SocketAddr, String> {
    let host = origin.host().trim_start_matches('[').trim_end_matches(']');
    match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, origin.port()))).await {
        Ok(Ok(stream)) => stream.peer_addr().map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

/// Proxies that other programs would go through, and the pools don't.
fn proxy(environment: &Environment) -> Option<Check> {
    let variables = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let (name, _) = environment.first(&variables)?;
    let message = format!("{name} is set, and not used: requests go straight to the providers");
    Some(Check::new(Outcome::Warn, "proxy", message))
}

/// The limits of this machine that a busy host meets first.
fn machine(config: &EffectiveConfig) -> Option<Check> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let files = open_files(&limits)?;
    let connections: u64 = config
        .config
        .providers
        .values()
        .map(|provider| provider.http_pool.max_connections.get() as u64)
        .sum();
    let message = format!("{files} open files for at most {connections} pooled connections");
    // Half of them is left to components, files and the server's own callers.
    Some(if connections > files / 2 {
        let advice = "raise it with `ulimit -n`, or lower `http_pool.max_connections`";
        Check::new(Outcome::Warn, "machine", format!("{message}; {advice}"))
    } else {
        Check::new(Outcome::Pass, "machine", message)
    })
}

/// The soft limit of open files in `/proc/PID/limits` (proc_pid_limits(5)). None where there is no limit.
fn open_files(limits: &str) -> Option<u64> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             63717                63717                processes \n\
                      Max open files            1024                 1048576              files     \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(
            open_files("Max open files            unlimited            unlimited            files"),
            None
        );
    }

    #[test]
    fn a_wrong_configuration_is_told_from_other_failures() {
        let warning = || Check::new(Outcome::Warn, "proxy", "is not used");
        let failure = || Check::new(Outcome::Fail, "data folder", "is full");
        let wrong = Check::misconfigured("configuration", &"unknown key");
        assert_eq!(wrong.outcome, Outcome::Fail);
        assert!(verdict(&[warning()]).is_ok());
        assert!(verdict(&[warning(), failure()]).unwrap_err().is::<Failed>());
        assert!(verdict(&[failure(), wrong]).unwrap_err().is::<Misconfigured>());
    }

    #[test]
    fn a_folder_that_cannot_be_made_fails_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let check = data_dir(&file.join("data"));
        assert_eq!(check.outcome, Outcome::Fail);
        assert!(check.message.contains("WEIR_DATA_DIR"), "{}", check.message);
        assert_eq!(data_dir(&folder.path().join("new")).outcome, Outcome::Pass);
    }

    #[tokio::test]
    async fn a_closed_port_is_out_of_reach() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin: Origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        assert!(connect(&origin).await.is_ok());
        drop(listener);
        assert!(connect(&origin).await.is_err());
    }
}

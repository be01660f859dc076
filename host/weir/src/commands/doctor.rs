//! `weir doctor`: is everything there that the configuration needs?

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, StatusCode};
use serde::Serialize;
use serde_json::json;
use weir_pool::{Pool, SendError, SendOptions, Timeouts};
use weir_runtime::{Origin, Provider};

use crate::cli::{Context, Failed, Misconfigured};
use crate::config::{EffectiveConfig, ProviderSecret};
use crate::host::Host;

/// How long a server may take to answer, all attempts together, before it counts as out of reach.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

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
    let reached = providers.iter().map(|provider| upstream(&host, provider));
    checks.extend(join_all(reached).await.into_iter().flatten());
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
        .find_map(|key| key.source.read(&config.environment).err())
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
        for (secret, ProviderSecret { source, .. }) in &settings.secrets {
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
                Err(error) if error.is_configuration() => Check::misconfigured(subject, &error.reason()),
                Err(error) => Check::new(Outcome::Fail, subject, error.reason()),
            }
        })
        .collect()
}

/// Whether each server that a provider talks to answers, asked for nothing (`HEAD /`, without a key) through the
/// provider's own pool: with its proxy, its certificates and its address filter.
async fn upstream(host: &Host, provider: &Provider) -> Vec<Check> {
    let Some(pool) = provider.pool() else {
        return Vec::new();
    };
    join_all(provider.origins().iter().map(async |origin| {
        let subject = format!("upstream {} {origin}", provider.name());
        let through = match proxy(host, provider.name(), origin) {
            Some(proxy) => format!(" through the proxy {proxy}"),
            None => String::new(),
        };
        match reach(pool, origin).await {
            Ok(status) if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let message = format!("not reached{through}: it asks for a user name and a password");
                Check::new(Outcome::Warn, subject, message)
            }
            Ok(status) => Check::new(
                Outcome::Pass,
                subject,
                format!("answers{through} (HTTP {})", status.as_u16()),
            ),
            Err(error) => {
                let advice = "check that it runs, and that this machine may reach it";
                Check::new(Outcome::Warn, subject, format!("{}{through}; {advice}", told(&error)))
            }
        }
    }))
    .await
}

/// Where the proxy is that a provider's requests to `origin` go through. One that cannot be understood is told by the
/// request.
fn proxy(host: &Host, provider: &str, origin: &Origin) -> Option<String> {
    let proxies = host.config().providers.get(provider)?.http_pool.proxies().ok()?;
    let uri = format!("{origin}/").parse().ok()?;
    host.runtime().pools().proxy_for(&proxies, &uri).ok()?
}

async fn reach(pool: &Pool, origin: &Origin) -> Result<StatusCode, SendError> {
    let request = Request::head(format!("{origin}/"))
        .body(Bytes::new())
        .map_err(|error| SendError::InvalidRequest {
            reason: error.to_string(),
        })?;
    let options = SendOptions {
        timeouts: Timeouts {
            total: Some(ANSWER_TIMEOUT),
            ..Timeouts::default()
        },
        ..SendOptions::default()
    };
    Ok(pool.send(request, options).await?.status())
}

/// The error with its causes, each said once.
fn told(error: &SendError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
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
    // The other half is left to components, files and the server's own callers.
    let half = files / 2;
    let most = config.config.max_sockets.map_or(half, |most| most.get() as u64);
    let message = format!("{files} open files, at most {most} of them for the {connections} connections of the pools");
    let advice = if most > half {
        Some("raise it with `ulimit -n`, or lower `max_sockets`: files and callers need some as well")
    } else if connections > most {
        Some("pools may wait for one another; raise it with `ulimit -n`, or lower `http_pool.max_connections`")
    } else {
        None
    };
    Some(match advice {
        Some(advice) => Check::new(Outcome::Warn, "machine", format!("{message}; {advice}")),
        None => Check::new(Outcome::Pass, "machine", message),
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use weir_pool::{PoolManager, PoolSettings};

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
        let pools = PoolManager::new().unwrap();
        let pool = pools.pool("p", PoolSettings::default()).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
        });
        assert_eq!(reach(&pool, &origin).await.unwrap(), StatusCode::NOT_FOUND);
        let error = told(&reach(&pool, &origin).await.unwrap_err());
        assert!(
            error.starts_with(&format!("could not connect to {origin}: ")),
            "{error}"
        );
    }
}

//! `weir pools`: the pools of a running server, asked for over a pool of our own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::Url;
use weir_pool::{Pool, PoolConfig, PoolManager, SendOptions};

use crate::cli::{Context, UsageError};
use crate::table;

/// Between two looks with `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);

/// What `weir pools` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server [default: the configured listen address]. Its key is taken from the variable WEIR_API_KEY.
    // A text: an address that can't be parsed would be repeated, whatever it holds.
    #[arg(long)]
    url: Option<String>,
    /// Look again every second, until interrupted.
    #[arg(long)]
    watch: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let server = server(args, context)?;
    let pools = PoolManager::new()?;
    context.owns(&pools);
    let pool = pools.pool("weir", PoolConfig::default().into())?;
    loop {
        let answer = server.pools(&pool).await?;
        if args.watch && !context.output.is_json() {
            context.output.clear()?;
        }
        if context.output.is_json() {
            context.output.json_line(&answer)?;
        } else {
            context.output.text(&rows(&answer)?)?;
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

struct Server {
    url: String,
    key: Option<SecretString>,
    /// What to do where the key is refused.
    advice: &'static str,
}

fn server(args: &Args, context: &Context) -> anyhow::Result<Server> {
    // Another machine's server is not ours to have settings for.
    if let Some(url) = &args.url {
        let url = address(url)?;
        let key = context.environment().get("WEIR_API_KEY").map(SecretString::from);
        return Ok(Server::at(&url, key));
    }
    let config = context.config()?;
    let key = config
        .config
        .server
        .api_keys
        .first()
        .map(|key| key.source.read(&config.environment));
    let key = key.transpose().context("the server's key")?;
    Ok(Server {
        url: format!("http://{}/v1/pools", reachable(config.config.server.address())),
        key,
        advice: "",
    })
}

/// Where a server that listens there is reached from this machine. No system's proxy is asked for a loopback address.
pub(super) fn reachable(listens: SocketAddr) -> SocketAddr {
    let loopback = match listens.ip() {
        ip if !ip.is_unspecified() => return listens,
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(loopback, listens.port())
}

/// What `--url` says. An error does not repeat it: it may hold a password.
pub(super) fn address(text: &str) -> Result<Url, UsageError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| UsageError("--url takes an http or https address, like http://127.0.0.1:8787".to_owned()))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        let message =
            "--url takes an address without user name, password and query; set WEIR_API_KEY to the server's key";
        return Err(UsageError(message.to_owned()));
    }
    Ok(url)
}

impl Server {
    /// The one that `--url` names.
    fn at(url: &Url, key: Option<SecretString>) -> Server {
        Server {
            url: format!("{}/v1/pools", url.as_str().trim_end_matches('/')),
            key,
            advice: "; set WEIR_API_KEY to one of its keys",
        }
    }

    async fn pools(&self, pool: &Pool) -> anyhow::Result<Value> {
        let mut request = Request::get(&self.url);
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose_secret()));
        }
        let request = request
            .body(Bytes::new())
            .map_err(|error| UsageError(format!("{}: {error}", self.url)))?;
        let response = pool
            .send(request, SendOptions::default())
            .await
            .with_context(|| format!("no answer from {} (is `weir serve` running there?)", self.url))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .context("the answer broke off")?
            .to_bytes();
        if !status.is_success() {
            let said = serde_json::from_slice::<Value>(&body).ok();
            let said = said
                .as_ref()
                .and_then(|body| body.pointer("/error/message")?.as_str())
                .unwrap_or("no reason given");
            let advice = if status == StatusCode::UNAUTHORIZED {
                self.advice
            } else {
                ""
            };
            bail!("{} answered {status}: {}{advice}", self.url, said.trim_end_matches('.'));
        }
        serde_json::from_slice(&body).with_context(|| format!("{} did not answer with JSON", self.url))
    }
}

/// A pool a row.
fn rows(answer: &Value) -> anyhow::Result<String> {
    let pools: &Map<String, Value> = answer["pools"]
        .as_object()
        .ok_or_else(|| anyhow!("the server's answer has no `pools`"))?;
    if pools.is_empty() {
        return Ok("no provider has a pool yet".to_owned());
    }
    let headings = [
        "pool", "active", "idle", "dialling", "waiting", "max", "limit", "requests", "reused", "opened", "timeouts",
        "retries", "breaker",
    ];
    let number = |pool: &Value, name: &str| match &pool[name] {
        Value::Number(number) => number.to_string(),
        _ => "-".to_owned(),
    };
    let rows = pools.iter().map(|(name, pool)| {
        let sum = |name: &str| -> u64 {
            let counts = pool[name].as_object().into_iter().flatten();
            counts.filter_map(|(_, count)| count.as_u64()).sum()
        };
        let retries = sum("retries") + pool["replays"].as_u64().unwrap_or(0);
        let mut row = vec![name.clone()];
        row.extend(
            [
                "active",
                "idle",
                "connecting",
                "waiting",
                "max_connections",
                "concurrency_limit",
                "total_requests",
                "reused_requests",
                "connections_opened",
            ]
            .map(|field| number(pool, field)),
        );
        row.extend([
            sum("timeouts").to_string(),
            retries.to_string(),
            breaker(&pool["breakers"]),
        ]);
        row
    });
    Ok(table::render(&headings, rows))
}

/// The breakers of a pool's origins in a word: how many are not closed, of several.
fn breaker(breakers: &Value) -> String {
    let states: Vec<&str> = breakers
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, state)| state.as_str())
        .collect();
    let shut = states.iter().filter(|state| **state != "closed").count();
    match states.as_slice() {
        [] => "-".to_owned(),
        [state] => (*state).to_owned(),
        _ if shut == 0 => "closed".to_owned(),
        states => format!("{shut} of {} open", states.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        for wrong in [
            "http://u:hush@127.0.0.1:1",
            "http://hush@127.0.0.1:1",
            "http://127.0.0.1:1?key=hush",
            "ftp://u:hush@127.0.0.1",
            "http://u:hush@[bad",
        ] {
            let error = address(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with("--url takes an ") && !error.contains("hush"),
                "{error}"
            );
        }
        assert_eq!(address("http://127.0.0.1:1").unwrap().as_str(), "http://127.0.0.1:1/");
    }

    #[tokio::test]
    async fn a_refused_key_is_answered_with_its_variable() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = address(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        let pools = PoolManager::new().unwrap();
        let pool = pools.pool("weir", PoolConfig::default().into()).unwrap();

        let error = Server::at(&url, None).pools(&pool).await.unwrap_err();

        assert_eq!(
            error.to_string(),
            format!("{url}v1/pools answered 401 Unauthorized: no reason given; set WEIR_API_KEY to one of its keys")
        );
    }

    #[test]
    fn a_pool_is_a_row() {
        let answer = json!({"pools": {"voyage": {
            "active": 3, "idle": 2, "connecting": 0, "waiting": 1, "max_connections": 50, "total_requests": 77,
            "reused_requests": 70, "connections_opened": 7, "timeouts": {"read": 2, "pool": 1},
            "replays": 1, "retries": {"429": 4}, "concurrency_limit": 25, "breakers": {"https://a": "half-open"},
        }}});
        assert_eq!(
            rows(&answer).unwrap(),
            "POOL    ACTIVE  IDLE  DIALLING  WAITING  MAX  LIMIT  REQUESTS  REUSED  OPENED  TIMEOUTS  RETRIES  BREAKER\n\
             voyage  3       2     0         1        50   25     77        70      7       3         5        half-open"
        );
        let several = |states: [&str; 3]| breaker(&json!({"a": states[0], "b": states[1], "c": states[2]}));
        assert_eq!(several(["closed", "open", "half-open"]), "2 of 3 open");
        assert_eq!(several(["closed"; 3]), "closed");
        assert!(rows(&json!({})).is_err());
    }
}

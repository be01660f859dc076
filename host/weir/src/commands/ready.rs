//! `weir ready`: whether a running server takes requests, as its exit status; for images that hold no other client.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;
use weir_pool::{PoolConfig, PoolManager, SendOptions, Timeouts};

use super::pools::{address, reachable};
use crate::cli::{Context, UsageError};

/// Shorter than what health checks are given by those who run them (Docker 30 s, Kubernetes 1 s a try, which asks by
/// itself): a server that takes longer is not ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of an answer that is one line.
const ANSWER_BYTES: usize = 1 << 10;

/// What `weir ready` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server [default: the configured listen address].
    // A text: an address that can't be parsed would be repeated, whatever it holds.
    #[arg(long)]
    url: Option<String>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let base = match &args.url {
        Some(url) => address(url)?.to_string(),
        None => format!("http://{}", reachable(context.config()?.config.server.address())),
    };
    let url = format!("{}/readyz", base.trim_end_matches('/'));
    let pools = PoolManager::new()?;
    context.owns(&pools);
    let pool = pools.pool("weir", PoolConfig::default().into())?;
    let request = Request::get(&url)
        .body(Bytes::new())
        .map_err(|error| UsageError(format!("{url}: {error}")))?;
    let options = SendOptions {
        timeouts: Timeouts {
            total: Some(PATIENCE),
            ..Timeouts::default()
        },
        ..SendOptions::default()
    };
    let answer = pool.send(request, options).await;
    let answer = answer.with_context(|| format!("no answer from {url} (is `weir serve` running there?)"))?;
    let status = answer.status();
    let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES)
        .collect()
        .await;
    let body = body.map_err(|error| anyhow::anyhow!("{url}: the answer broke off: {error}"))?;
    let said = String::from_utf8_lossy(&body.to_bytes()).trim_end().to_owned();
    if !status.is_success() {
        bail!("{url} answered {status}: {said}");
    }
    if context.output.is_json() {
        return Ok(context.output.json(&json!({ "ready": true }))?);
    }
    Ok(context.output.text(&said)?)
}

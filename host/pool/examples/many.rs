//! A thousand requests over four connections, through load control: `cargo run --example many -- http://localhost:8080/`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::Request;
use http_body_util::BodyExt;
use weir_pool::{LoadConfig, Pool, PoolConfig, PoolManager, SendError, SendOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).ok_or("which URL?")?;
    let pools = PoolManager::new()?;
    let config = PoolConfig {
        max_connections: NonZeroUsize::new(4).ok_or("a pool has a connection")?,
        // Retries within a budget, a breaker for each origin, heed of `Retry-After` and of quotas, AIMD.
        load: LoadConfig::recommended(),
        ..PoolConfig::default()
    };
    let pool = pools.pool("example", config.into())?;

    let outcomes: Vec<_> = stream::iter(0..1_000)
        .map(|number| ask(&pool, &uri, number))
        .buffer_unordered(64)
        .collect()
        .await;

    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let stats = pool.stats();
    println!("{failed} of {} failed", outcomes.len());
    println!(
        "{} connections opened, {} requests over one that was there, {} sent again",
        stats.connections_opened,
        stats.reused_requests,
        stats.retries.values().sum::<u64>() + stats.replays,
    );
    println!("the pool is {:?}", pool.health().status());
    pools.close_all(Duration::from_secs(1)).await;
    Ok(())
}

async fn ask(pool: &Pool, uri: &str, number: u32) -> Result<Bytes, SendError> {
    let request = Request::post(uri).body(Bytes::from(number.to_string()));
    let request = request.map_err(|error| SendError::InvalidRequest {
        reason: error.to_string(),
    })?;
    // Asking twice does no harm here, so a request may go out again though its method is not idempotent.
    let options = SendOptions {
        operation: Some("ask".into()),
        replay_safe: true,
        ..SendOptions::default()
    };
    Ok(pool
        .send(request, options)
        .await?
        .into_body()
        .collect()
        .await?
        .to_bytes())
}

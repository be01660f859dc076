//! One request, and what the pool has to tell of it: `cargo run --example fetch -- https://example.org/`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use weir_pool::{PoolConfig, PoolManager, SendOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).ok_or("which URL?")?;
    let pools = PoolManager::new()?;
    let pool = pools.pool("example", PoolConfig::default().into())?;

    let response = pool
        .send(Request::get(uri).body(Bytes::new())?, SendOptions::default())
        .await?;
    println!("{} over {:?}", response.status(), response.version());
    // The body holds the connection: reading it to its end gives it back.
    let body = response.into_body().collect().await?.to_bytes();

    let stats = pool.stats();
    println!("{} bytes, {} connection idle", body.len(), stats.idle);
    pools.close_all(Duration::from_secs(1)).await;
    Ok(())
}

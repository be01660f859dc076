//! A bounded, fair, cancel-safe pool of HTTP client connections, on [hyper]'s connection API.
//!
//! HTTP/1.1 and, over TLS, HTTP/2. A [`PoolManager`] holds named [`Pool`]s; each has its own cap, deadlines and
//! metrics, and lends its connections to as many origins as its caller talks to.
//!
//! ```no_run
//! use std::num::NonZeroUsize;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http_body_util::BodyExt;
//! use weir_pool::{PoolConfig, PoolManager, SendOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pools = PoolManager::new()?;
//! let config = PoolConfig { max_connections: NonZeroUsize::new(8).unwrap(), ..PoolConfig::preset("qdrant") };
//! let qdrant = pools.pool("qdrant", config.into())?;
//!
//! let request = http::Request::post("http://localhost:6333/collections/code/points/query")
//!     .header("content-type", "application/json")
//!     .body(Bytes::from_static(br#"{"query": [0.1, 0.2], "limit": 3}"#))?;
//! // A query changes nothing, so it may be sent again if its connection turns out to be dead.
//! let options = SendOptions { operation: Some("query".into()), replay_safe: true, ..Default::default() };
//! let response = qdrant.send(request, options).await?;
//! println!("{}", response.status());
//! let body = response.into_body().collect().await?.to_bytes();
//! println!("{} bytes, {} connections opened", body.len(), qdrant.stats().connections_opened);
//!
//! pools.close_all(Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - **A cap that holds.** `max_connections` counts every socket from before its dial until it is closed, whoever went
//!   away meanwhile. An idle connection is used before another is dialled, and no more dials are made than callers wait.
//! - **Fairness.** Callers are served in the order of their arrival, also across origins: at the cap, the least
//!   recently used idle connection makes room for another origin. A line longer than `max_waiters` is refused at once.
//! - **No dead connections.** The end of an idle connection is seen when it happens. If a reused connection dies as a
//!   request is sent, the request goes out once more on a fresh one, where that is safe; see [`Pool::send`].
//! - **Cancel anywhere.** Dropping a future or a body at any point leaves nothing behind: no permit, no place in line.
//!   A dial whose caller has gone serves the next one.
//! - **The answer wins.** A server that answers and closes before it has read the request is heard.
//! - **Named deadlines.** For the line, the dial, writing, the first byte, between bytes, and in total; each can be
//!   set for one request ([`Timeouts`]) and each is its own [`SendError`].
//! - **HTTP/2 shares.** One handshake tells an origin's protocol before more dials are made; a connection is filled up
//!   to the peer's limit of streams before another is opened within the cap; what the peer refused or never looked at
//!   is sent again.
//!
//! # Where the time goes
//!
//! `pool_timeout` runs from the call of [`Pool::send`] until a connection is granted. It does not cut short a dial made
//! for the caller, which has a deadline of its own (`connect_timeout`).
//!
//! Redirects, retries, decompression and cookies are left to the caller.

#![forbid(unsafe_code)]

mod admission;
mod body;
mod config;
mod connect;
mod core;
mod error;
mod exchange;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod histogram;
mod manager;
mod meter;
mod options;
mod origin;
mod outgoing;
mod pool;
mod reason;
mod record;
mod settings;
mod stats;
mod wire;

pub use body::ResponseBody;
pub use config::PoolConfig;
pub use error::{ConnectStage, PoolError, ResetPoint, SendError, TlsError};
pub use histogram::{Histogram, HistogramSnapshot};
pub use manager::{CloseReport, PoolManager};
pub use options::{SendOptions, Timeouts};
pub use origin::Origin;
pub use pool::Pool;
pub use settings::{AddressFilter, PoolSettings};
pub use stats::PoolStats;

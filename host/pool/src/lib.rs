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
//! - **A good way there.** Names are resolved off the runtime's threads and kept for their TTL ([`Resolve`]); addresses
//!   are raced (RFC 8305) after a filter has seen them ([`AddressFilter`]); proxies are those of the environment or of
//!   the settings ([`Proxies`]); a pool may have roots and a client certificate of its own ([`TlsSettings`]). All of it
//!   is under one deadline.
//!
//! # Load control
//!
//! [`PoolConfig::load`] puts layers between callers and connections; by default there are none.
//!
//! ```
//! use std::num::NonZeroU32;
//!
//! use weir_pool::{LoadConfig, PoolConfig, RateConfig};
//!
//! let load = LoadConfig {
//!     // What the provider allows this account; its answers are heeded in any case.
//!     rate: Some(RateConfig { tokens_per_minute: NonZeroU32::new(3_000_000), ..Default::default() }),
//!     ..LoadConfig::recommended()
//! };
//! let config = PoolConfig { load, ..PoolConfig::preset("voyage") };
//! ```
//!
//! | part | what it does | what its callers see of it |
//! |---|---|---|
//! | [`RetryConfig`] | sends again after 408, 429, 500, 502, 503, 504 and lost connections, as `Retry-After` asks, within a budget | the last answer or error |
//! | [`HedgeConfig`] | sends what is answered late a second time | the first answer |
//! | [`BreakerConfig`] | asks nothing of an origin that keeps failing | [`SendError::BreakerOpen`] at once |
//! | [`RateConfig`] | keeps to requests and tokens a minute, and to what answers say is left | a wait, or [`SendError::RateLimited`] |
//! | [`AdaptiveConcurrency`] | has fewer requests under way while the server is overloaded | a wait, or [`SendError::PoolTimeout`] |
//! | [`ProbeConfig`] | asks from time to time whether the server is well | [`Pool::health`] |
//!
//! **Nothing is done twice by them.** A request whose method is not idempotent, that has no `Idempotency-Key` and is not
//! marked [`SendOptions::replay_safe`] is sent again only after 429, or after an error that proves that the server has
//! not acted on it ([`SendError::is_unprocessed`]).
//!
//! A caller's request is one in [`PoolStats::total_requests`] and has one outcome, however many attempts it took.
//! [`Pool::health`] says in a word how the pool is doing, with its reasons.
//!
//! # Where the time goes
//!
//! `pool_timeout` runs from the call of [`Pool::send`] until a connection is granted. It does not cut short a dial made
//! for the caller, which has a deadline of its own (`connect_timeout`). With load control it runs anew for each attempt,
//! from when the attempt has its turn under the limits of rate; the wait for a place under the limit of concurrency is a
//! part of it. `total_timeout` spans everything.
//!
//! The operator's deadlines can differ between operations ([`PoolConfig::operations`]), and callers can be kept from
//! lengthening them ([`PoolConfig::caller_timeouts`]).
//!
//! Compressed answers are asked for and decompressed ([`PoolConfig::decompress`]). Redirects and cookies are left to the caller.

#![forbid(unsafe_code)]

mod admission;
mod attempt;
mod body;
mod ceiling;
mod config;
mod connect;
mod core;
mod decode;
mod destination;
mod error;
mod exchange;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod histogram;
mod http2;
mod incoming;
mod load;
mod manager;
mod meter;
mod options;
mod origin;
mod outcomes;
mod outgoing;
mod pool;
mod proxy_error;
mod reason;
mod record;
mod settings;
mod stats;
mod wire;

pub use body::ResponseBody;
pub use config::PoolConfig;
pub use connect::{Certificates, ClientCertificate, Proxies, Resolve, Resolved, Roots, TlsSettings};
pub use error::{ConnectStage, PoolError, ResetPoint, SendError, TlsError, TransportError};
pub use histogram::{Histogram, HistogramSnapshot};
pub use load::LoadConfig;
pub use load::breaker::{BreakerConfig, BreakerState};
pub use load::budget::BudgetConfig;
pub use load::concurrency::AdaptiveConcurrency;
pub use load::headers::{quota_exhausted_for, retry_after};
pub use load::health::{Health, HealthReason, HealthStatus};
pub use load::hedge::HedgeConfig;
pub use load::probe::ProbeConfig;
pub use load::rate::RateConfig;
pub use load::retry::RetryConfig;
pub use manager::{CloseReport, PoolManager, PoolManagerBuilder, PreparedPool};
pub use options::{CallerTimeouts, SendOptions, Timeouts};
pub use origin::Origin;
pub use pool::Pool;
pub use proxy_error::ProxyError;
pub use settings::{AddressFilter, PoolSettings};
pub use stats::PoolStats;

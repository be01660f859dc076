//! What a caller decides about one request: [`SendOptions`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::PoolConfig;

/// How one request is to be sent.
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// What the request is for (`embed`, `query`), as a label in spans and metrics. Keep the set of values small.
    pub operation: Option<Arc<str>>,
    /// Marks a request of a non-idempotent method that may safely reach the server twice, such as an embedding.
    pub replay_safe: bool,
    /// Deadlines that differ from the pool's.
    pub timeouts: Timeouts,
}

/// Deadlines of one request; `None` means the pool's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// From the call of `send` until a connection is granted.
    pub pool: Option<Duration>,
    /// Name resolution, TCP and TLS together, for a dial made on behalf of this request.
    pub connect: Option<Duration>,
    /// Longest time without progress while the request is written.
    pub write: Option<Duration>,
    /// From the end of the request to the head of the answer.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body.
    pub read: Option<Duration>,
    /// From the call of `send` to the last byte of the body.
    pub total: Option<Duration>,
}

/// The deadlines in force for one request, the pool's own and the caller's put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub started: Instant,
    pub pool: Duration,
    pub connect: Duration,
    pub write: Duration,
    pub first_byte: Duration,
    pub read: Duration,
    pub total: Option<Duration>,
}

impl Deadlines {
    pub fn new(config: &PoolConfig, asked: &Timeouts, started: Instant) -> Self {
        Self {
            started,
            pool: asked.pool.unwrap_or(config.pool_timeout),
            connect: asked.connect.unwrap_or(config.connect_timeout),
            write: asked.write.unwrap_or(config.write_timeout),
            first_byte: asked.first_byte.unwrap_or(config.read_timeout),
            read: asked.read.unwrap_or(config.read_timeout),
            total: asked.total.or(config.total_timeout),
        }
    }

    /// When the caller stops waiting for a connection.
    pub fn pool_at(&self) -> Instant {
        later(self.started, self.pool)
    }

    /// When the caller stops waiting altogether.
    pub fn total_at(&self) -> Option<Instant> {
        self.total.map(|total| later(self.started, total))
    }
}

/// `instant + duration`, far in the future where that cannot be told: an operator may write a huge number for "never".
pub(crate) fn later(instant: Instant, duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    instant.checked_add(duration).unwrap_or_else(|| instant + NEVER)
}

//! What the operator decides about a pool: [`PoolConfig`] and its presets.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::load::LoadConfig;
use crate::options::{CallerTimeouts, Timeouts};

/// Sockets of one pool, dials in flight counted, when the operator names no number.
const DEFAULT_MAX_CONNECTIONS: NonZeroUsize = match NonZeroUsize::new(100) {
    Some(number) => number,
    None => NonZeroUsize::MIN,
};

/// Idle connections kept. Compared with the idle count, never with the total.
const DEFAULT_MAX_KEEPALIVE: usize = 20;

/// Callers in line: ten for each default connection. A line that long empties within the default `pool_timeout` only
/// if every request takes less than half a second, so a longer one would be waiting for its own time-out.
const DEFAULT_MAX_WAITERS: usize = 1_000;

/// A thousand vectors of 3,072 numbers, printed as JSON with full precision, are about 70 MB; this leaves room for
/// twice the text and still refuses an endless body.
const DEFAULT_MAX_RESPONSE_BYTES: u64 = 128 * 1024 * 1024;

/// Eight times what the strictest servers in use accept from clients (8 KiB).
const DEFAULT_MAX_RESPONSE_HEADER_BYTES: usize = 64 * 1024;

/// Everything that decides how a pool behaves. Two pools with equal configurations behave alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Whether connections are kept at all. `false` gives every request its own connection under the same cap, the
    /// same deadlines and the same metrics.
    pub enabled: bool,
    /// Most sockets open at once, over all origins of the pool and counting dials in flight.
    pub max_connections: NonZeroUsize,
    /// Most idle connections kept open.
    pub max_keepalive_connections: usize,
    /// How long a connection may lie idle and still be lent. A server's `Keep-Alive: timeout=N` shortens it.
    pub keepalive_expiry: Duration,
    /// Name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the end of the request to the first byte of the answer, and between two pieces of its body.
    pub read_timeout: Duration,
    /// Longest time without progress while the request is being written.
    pub write_timeout: Duration,
    /// From the call of `send` until a connection (or a stream of one) is granted, as one absolute deadline.
    pub pool_timeout: Duration,
    /// Whether HTTP/2 is offered to `https` origins.
    pub enable_http2: bool,
    /// Whether `http` origins are spoken to in HTTP/2 without asking (RFC 9113, section 3.3). For servers known to.
    pub http2_prior_knowledge: bool,
    /// Most callers in line for a connection; the next one is refused at once. A caller whose dial is under way is
    /// not in line.
    pub max_waiters: usize,
    /// Connections older than this are not lent again; up to a fifth of it is taken off at random, so that
    /// connections opened together do not end together. Without it a pool never follows a change in DNS.
    pub max_connection_age: Option<Duration>,
    /// From the call of `send` to the last byte of the body.
    pub total_timeout: Option<Duration>,
    /// Whether compressed answers are asked for (gzip, deflate) and decompressed, where the caller has no
    /// `Accept-Encoding` of its own.
    pub decompress: bool,
    /// Longest response body accepted, in bytes, once decompressed.
    pub max_response_bytes: u64,
    /// Largest response head accepted, in bytes.
    pub max_response_header_bytes: usize,
    /// Most requests under way at once, their bodies included; over HTTP/2 that is not the number of connections. A
    /// caller's wait for a place is a part of `pool_timeout`. `None` leaves it to the connections.
    pub max_concurrent_requests: Option<NonZeroUsize>,
    /// Deadlines of single operations ([`crate::SendOptions::operation`]) that differ from those above.
    pub operations: BTreeMap<String, Timeouts>,
    /// Whether a caller's own deadlines can be longer than these.
    pub caller_timeouts: CallerTimeouts,
    /// Retries, breakers and limits of rate; none by default.
    pub load: LoadConfig,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_keepalive_connections: DEFAULT_MAX_KEEPALIVE,
            keepalive_expiry: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            pool_timeout: Duration::from_secs(5),
            enable_http2: true,
            http2_prior_knowledge: false,
            max_waiters: DEFAULT_MAX_WAITERS,
            max_connection_age: None,
            total_timeout: None,
            decompress: true,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
            max_response_header_bytes: DEFAULT_MAX_RESPONSE_HEADER_BYTES,
            max_concurrent_requests: None,
            operations: BTreeMap::new(),
            caller_timeouts: CallerTimeouts::default(),
            load: LoadConfig::default(),
        }
    }
}

impl PoolConfig {
    /// The settings suited to a known provider (`voyage`, `cohere`, `qdrant`); the default for any other name.
    pub fn preset(provider: &str) -> Self {
        // As CodeWeaver has them, the code search whose pools these began as.
        let connections = |number| NonZeroUsize::new(number).unwrap_or(DEFAULT_MAX_CONNECTIONS);
        match provider {
            "voyage" | "cohere" => Self {
                max_connections: connections(50),
                read_timeout: Duration::from_secs(90),
                ..Self::default()
            },
            "qdrant" => Self {
                max_connections: connections(30),
                keepalive_expiry: Duration::from_secs(30),
                read_timeout: Duration::from_secs(120),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// Settings that a connection has agreed on with its server, or was opened for; they do not change while it lives.
    pub(crate) const AGREED: [&'static str; 4] = [
        "enabled",
        "enable_http2",
        "http2_prior_knowledge",
        "max_response_header_bytes",
    ];

    /// Whether load control is to be made anew to go by the other configuration.
    pub(crate) fn differs_in_load(&self, other: &Self) -> bool {
        let parts = |config: &Self| {
            (
                config.max_concurrent_requests,
                config.max_connections,
                config.max_waiters,
                config.load.clone(),
            )
        };
        parts(self) != parts(other)
    }

    /// The names of the settings in which two configurations differ.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        macro_rules! differing {
            ($($field:ident),* $(,)?) => {
                [$((stringify!($field), self.$field != other.$field)),*]
            };
        }
        differing!(
            enabled,
            max_connections,
            max_keepalive_connections,
            keepalive_expiry,
            connect_timeout,
            read_timeout,
            write_timeout,
            pool_timeout,
            enable_http2,
            http2_prior_knowledge,
            max_waiters,
            max_connection_age,
            total_timeout,
            decompress,
            max_response_bytes,
            max_response_header_bytes,
            max_concurrent_requests,
            operations,
            caller_timeouts,
            load,
        )
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_change_only_what_their_provider_needs() {
        assert_eq!(
            PoolConfig::preset("voyage").differences(&PoolConfig::default()),
            ["max_connections", "read_timeout"]
        );
        assert_eq!(PoolConfig::preset("cohere"), PoolConfig::preset("voyage"));
        assert_eq!(
            PoolConfig::preset("qdrant").differences(&PoolConfig::default()),
            ["max_connections", "keepalive_expiry", "read_timeout"]
        );
        assert_eq!(PoolConfig::preset("someone-else"), PoolConfig::default());
    }

    #[test]
    fn a_difference_in_load_control_is_named() {
        let config = PoolConfig {
            max_concurrent_requests: NonZeroUsize::new(1),
            operations: BTreeMap::from([("embed".to_owned(), Timeouts::default())]),
            caller_timeouts: CallerTimeouts::Shorten,
            load: LoadConfig::recommended(),
            ..PoolConfig::default()
        };
        assert_eq!(
            config.differences(&PoolConfig::default()),
            ["max_concurrent_requests", "operations", "caller_timeouts", "load"]
        );
    }
}

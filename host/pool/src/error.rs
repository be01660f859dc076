//! Why a request failed, or a pool could not be had, in terms of what the caller can do about it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use strum::{IntoStaticStr, VariantNames};

use crate::origin::Origin;
use crate::proxy_error::ProxyError;

/// Why a request got no answer, or not all of it. No variant carries a header, a body or a query.
#[derive(Debug, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum SendError {
    /// The request cannot be sent as it stands.
    #[error("the request cannot be sent: {reason}")]
    InvalidRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// No connection, or no place for one more request, became free in time. Ask less at once, or raise
    /// `max_connections`, `max_concurrent_requests` or `pool_timeout`.
    #[error("no connection to {origin} became free within {waited:?} ({limit} at most)")]
    PoolTimeout {
        /// Whom the request was for.
        origin: Origin,
        /// How long it waited.
        waited: Duration,
        /// The pool's `max_connections`, or how many requests may be under way.
        limit: usize,
    },
    /// The line for a connection is full already.
    #[error("{limit} requests wait for a connection already, so the one to {origin} was refused")]
    TooManyWaiters {
        /// Whom the request was for.
        origin: Origin,
        /// The pool's `max_waiters`.
        limit: usize,
    },
    /// The origin has failed so often that it is not asked for a while. Come back after `retry_after`.
    #[error("{origin} has failed too often and is not asked for another {retry_after:?}")]
    BreakerOpen {
        /// Whom the request was for.
        origin: Origin,
        /// How long until somebody may ask it again.
        retry_after: Duration,
    },
    /// The request would have had to wait too long for its turn. Come back after `retry_after`, send less, or raise the
    /// quotas or the `max_wait` of [`crate::RateConfig`].
    #[error("the quota of requests or tokens to {origin} is used up for another {retry_after:?}")]
    RateLimited {
        /// Whom the request was for.
        origin: Origin,
        /// How long it would have had to wait, as far as that is known.
        retry_after: Duration,
    },
    /// The pool is closed or closing.
    #[error("the pool `{pool}` is closed")]
    Closed {
        /// The pool's name.
        pool: String,
    },
    /// The host's name did not resolve.
    #[error("the name of {origin} could not be resolved")]
    Dns {
        /// Whom the request was for.
        origin: Origin,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The name resolved to addresses the pool must not dial.
    #[error("{origin} resolved to {address}, which this pool is not allowed to connect to")]
    AddressDenied {
        /// Whom the request was for.
        origin: Origin,
        /// The first address refused.
        address: IpAddr,
    },
    /// No address accepted a connection.
    #[error("could not connect to {origin}")]
    Connect {
        /// Whom the request was for.
        origin: Origin,
        /// Why the last address tried did not accept.
        #[source]
        source: io::Error,
    },
    /// There is no way through the proxy that is set for the origin.
    #[error("no way to {origin} through {proxy}: {source}")]
    Proxy {
        /// Whom the request was for.
        origin: Origin,
        /// Which proxy, as in `the proxy http://proxy.example:3128` or `the proxy in HTTPS_PROXY`.
        proxy: String,
        /// What was wrong.
        #[source]
        source: ProxyError,
    },
    /// Name resolution, TCP, the proxy and TLS together took too long.
    #[error("connecting to {origin} took longer than {limit:?} (while {stage})")]
    ConnectTimeout {
        /// Whom the request was for.
        origin: Origin,
        /// The time allowed.
        limit: Duration,
        /// What it was busy with when the time ran out.
        stage: ConnectStage,
    },
    /// The server's certificate or its TLS was not acceptable.
    #[error("no secure connection to {origin}: {source}")]
    Tls {
        /// Whom the request was for.
        origin: Origin,
        /// What was wrong.
        #[source]
        source: io::Error,
    },
    /// The server stopped taking the request.
    #[error("{origin} took nothing more of the request for {limit:?}")]
    WriteTimeout {
        /// Whom the request was for.
        origin: Origin,
        /// The time allowed without progress.
        limit: Duration,
    },
    /// The request was written and no answer began in time.
    #[error("{origin} did not begin to answer within {limit:?}")]
    FirstByteTimeout {
        /// Whom the request was for.
        origin: Origin,
        /// The time allowed.
        limit: Duration,
    },
    /// The answer began and then fell silent.
    #[error("{origin} sent nothing more of its answer for {limit:?}")]
    ReadTimeout {
        /// Whom the request was for.
        origin: Origin,
        /// The time allowed between two pieces.
        limit: Duration,
    },
    /// The whole exchange took too long.
    #[error("the exchange with {origin} took longer than {limit:?}")]
    TotalTimeout {
        /// Whom the request was for.
        origin: Origin,
        /// The time allowed.
        limit: Duration,
    },
    /// The connection ended early.
    #[error("{origin} closed the connection {when}{}", if *.maybe_processed { "; it may have acted on the request" } else { "" })]
    ConnectionReset {
        /// Whom the request was for.
        origin: Origin,
        /// How far the exchange had come.
        when: ResetPoint,
        /// Whether the server may have seen the request, and acted on it.
        maybe_processed: bool,
        /// What the connection reported.
        #[source]
        source: TransportError,
    },
    /// The body is longer than the pool accepts.
    #[error("the answer of {origin} is longer than {limit} bytes")]
    ResponseTooLarge {
        /// Whom the request was for.
        origin: Origin,
        /// The pool's `max_response_bytes`.
        limit: u64,
    },
    /// The body is not compressed as its head says, or it is cut off.
    #[error("the compressed answer of {origin} cannot be read")]
    Decode {
        /// Whom the request was for.
        origin: Origin,
        /// What was wrong.
        #[source]
        source: io::Error,
    },
    /// The head of the answer is larger than the pool accepts. Over HTTP/2 that is a [`Self::Protocol`] error: h2 does
    /// not tell an oversized head from a malformed one.
    #[error("the response head of {origin} is larger than {limit} bytes")]
    HeadersTooLarge {
        /// Whom the request was for.
        origin: Origin,
        /// The pool's `max_response_header_bytes`.
        limit: usize,
    },
    /// What the server sent is not HTTP, or it reset the stream for a reason of its own.
    #[error("{origin} broke the protocol")]
    Protocol {
        /// Whom the request was for.
        origin: Origin,
        /// What was wrong.
        #[source]
        source: TransportError,
    },
}

/// What the protocol's own library reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(hyper::Error),
    /// Over HTTP/2.
    #[error(transparent)]
    Http2(h2::Error),
}

impl SendError {
    /// Whether the server cannot have acted on the request, so that sending it again is safe for any method.
    pub fn is_unprocessed(&self) -> bool {
        match self {
            Self::InvalidRequest { .. }
            | Self::PoolTimeout { .. }
            | Self::TooManyWaiters { .. }
            | Self::BreakerOpen { .. }
            | Self::RateLimited { .. }
            | Self::Dns { .. }
            | Self::AddressDenied { .. }
            | Self::Connect { .. }
            | Self::Proxy { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. } => true,
            Self::ConnectionReset { maybe_processed, .. } => !maybe_processed,
            // A pool may close while the request is under way.
            Self::Closed { .. }
            | Self::WriteTimeout { .. }
            | Self::FirstByteTimeout { .. }
            | Self::ReadTimeout { .. }
            | Self::TotalTimeout { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Decode { .. }
            | Self::HeadersTooLarge { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// The same failure for another caller who had waited for the same dial; none if it was no dial's.
    pub(crate) fn of_same_dial(&self) -> Option<Self> {
        let again = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
        Some(match self {
            Self::ConnectTimeout { origin, limit, stage } => Self::ConnectTimeout {
                origin: origin.clone(),
                limit: *limit,
                stage: *stage,
            },
            Self::Dns { origin, source } => Self::Dns {
                origin: origin.clone(),
                source: again(source),
            },
            Self::Connect { origin, source } => Self::Connect {
                origin: origin.clone(),
                source: again(source),
            },
            Self::Proxy { origin, proxy, source } => Self::Proxy {
                origin: origin.clone(),
                proxy: proxy.clone(),
                source: source.again(),
            },
            Self::Tls { origin, source } => Self::Tls {
                origin: origin.clone(),
                source: again(source),
            },
            _ => return None,
        })
    }

    /// Every [`Self::kind`].
    pub(crate) const KINDS: &'static [&'static str] = <Self as VariantNames>::VARIANTS;

    /// The error's name in metrics: that of the variant.
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// Which deadline ran out, under the name of its setting; `None` for other failures.
    pub fn timeout(&self) -> Option<&'static str> {
        match self {
            Self::PoolTimeout { .. } => Some("pool"),
            Self::ConnectTimeout { .. } => Some("connect"),
            Self::WriteTimeout { .. } => Some("write"),
            Self::FirstByteTimeout { .. } => Some("first-byte"),
            Self::ReadTimeout { .. } => Some("read"),
            Self::TotalTimeout { .. } => Some("total"),
            _ => None,
        }
    }
}

/// How far an exchange had come when its connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetPoint {
    /// Nothing of the request had left.
    BeforeRequest,
    /// At least a part of the request had left and nothing of an answer had arrived.
    BeforeResponse,
    /// The head of the answer was incomplete.
    InHead,
    /// The body of the answer was incomplete.
    InBody,
}

impl fmt::Display for ResetPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeRequest => "before the request was sent",
            Self::BeforeResponse => "before it answered",
            Self::InHead => "in the middle of the response head",
            Self::InBody => "in the middle of the response body",
        })
    }
}

/// What a dial is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectStage {
    /// Resolving the host's name.
    Resolving,
    /// Opening the TCP connection.
    Connecting,
    /// Reaching a proxy and agreeing with it on a way to the server.
    Tunnelling,
    /// Agreeing on TLS and HTTP.
    Securing,
}

impl fmt::Display for ConnectStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "resolving its name",
            Self::Connecting => "opening the connection",
            Self::Tunnelling => "waiting for its proxy",
            Self::Securing => "agreeing on TLS",
        })
    }
}

/// Why a pool cannot be had under a name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The name belongs to a pool with other settings. Use another name, or close that pool first.
    #[error("the pool `{name}` exists with other settings: {}", .differing.join(", "))]
    SettingsDiffer {
        /// The pool's name.
        name: String,
        /// The settings that differ.
        differing: Vec<&'static str>,
    },
    /// There is no pool of that name.
    #[error("there is no pool `{name}`")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The pool's TLS could not be set up.
    #[error("the pool `{name}` cannot be set up")]
    Tls {
        /// The pool's name.
        name: String,
        /// What was wrong.
        #[source]
        source: TlsError,
    },
    /// The pool of that name is being closed; the name is free once that has ended.
    #[error("the pool `{name}` is being closed")]
    Closing {
        /// The pool's name.
        name: String,
    },
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No root certificate could be read. Install the platform's certificates, or correct `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`.
    #[error("no root certificate could be read: {}", .problems.join("; "))]
    Roots {
        /// What each place reported.
        problems: Vec<String>,
    },
    /// A file or a text in PEM does not hold what it should. Correct it.
    #[error("{place} cannot be used: {problem}")]
    Pem {
        /// The file's path.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The TLS library refused its configuration.
    #[error("TLS could not be configured")]
    Configuration(#[from] rustls::Error),
}

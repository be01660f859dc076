//! What a pool counts, and the picture of it that it hands out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::admission::Counts;
use crate::error::SendError;
use crate::histogram::{Histogram, HistogramSnapshot};
use crate::load::breaker::BreakerState;
use crate::outcomes::Operations;
use crate::reason::CloseReason;

/// The deadlines that are counted when they run out, as [`SendError::timeout`] names them.
const TIMEOUTS: [&str; 6] = ["pool", "connect", "write", "first-byte", "read", "total"];

/// A pool at one moment. Counters only grow; the rest is as it was then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolStats {
    /// Connections that carry a request.
    pub active: usize,
    /// Connections kept for the next request.
    pub idle: usize,
    /// Dials in flight.
    pub connecting: usize,
    /// Connections being closed, whose sockets still count.
    pub closing: usize,
    /// Callers without a connection, those whose dial is under way and those who wait for a place under the limit of
    /// concurrency included.
    pub waiting: usize,
    /// The cap on `active`, `idle`, `connecting` and `closing` together.
    pub max_connections: usize,
    /// Requests sent, in whatever way they ended.
    pub total_requests: u64,
    /// Requests under way, from the call of `send` to the end of the body.
    pub in_flight: usize,
    /// The highest `in_flight` has been.
    pub peak_in_flight: usize,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that were closed, by reason.
    pub connections_closed: BTreeMap<&'static str, u64>,
    /// Dials that ended without a connection.
    pub dials_failed: u64,
    /// Requests sent over a connection that had served before or had lain idle.
    pub reused_requests: u64,
    /// Requests that ended in a `pool-timeout`.
    pub pool_exhaustions: u64,
    /// Deadlines that ran out, by kind.
    pub timeouts: BTreeMap<&'static str, u64>,
    /// Requests sent once more, on a fresh connection, because the first had died.
    pub replays: u64,
    /// Attempts after the first, by the reason: a status (`503`), `connect` or `connection-reset`.
    pub retries: BTreeMap<&'static str, u64>,
    /// Requests that were not sent again since too much of the traffic had been.
    pub retries_denied: u64,
    /// Requests sent a second time beside the first.
    pub hedges: u64,
    /// What each origin's breaker does, where there are breakers.
    pub breakers: BTreeMap<String, BreakerState>,
    /// Attempts that ended in a `breaker-open`.
    pub breaker_refusals: u64,
    /// How many requests may be under way at present, where that is limited.
    pub concurrency_limit: Option<usize>,
    /// Attempts that were held to their rate.
    pub rate_limit_waits: u64,
    /// Attempts that ended in a `rate-limited`.
    pub rate_limit_refusals: u64,
    /// Requests that have ended, by operation (`other` where the caller named none) and by outcome: the class of the
    /// status (`2xx`), the kind of the error, or `cancelled`.
    pub requests_by_operation_and_outcome: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Bytes written to sockets, TLS included.
    pub bytes_sent: u64,
    /// Bytes read from sockets, TLS included.
    pub bytes_received: u64,
    /// From the call of `send` until a connection was granted.
    pub wait: HistogramSnapshot,
    /// Dials that ended in a connection.
    pub connect: HistogramSnapshot,
    /// From the grant of a connection to the head of the answer.
    pub first_byte: HistogramSnapshot,
    /// From the call of `send` to the end of the body.
    pub total: HistogramSnapshot,
}

/// The counters behind [`PoolStats`].
#[derive(Debug)]
pub(crate) struct Stats {
    requests: AtomicU64,
    in_flight: AtomicUsize,
    peak_in_flight: AtomicUsize,
    opened: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    dials_failed: AtomicU64,
    reused: AtomicU64,
    timeouts: [AtomicU64; TIMEOUTS.len()],
    replays: AtomicU64,
    pub operations: Operations,
    sent: AtomicU64,
    received: AtomicU64,
    pub wait: Histogram,
    pub connect: Histogram,
    pub first_byte: Histogram,
    pub total: Histogram,
}

impl Stats {
    pub fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            peak_in_flight: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            closed: [const { AtomicU64::new(0) }; CloseReason::ALL.len()],
            dials_failed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            timeouts: [const { AtomicU64::new(0) }; TIMEOUTS.len()],
            replays: AtomicU64::new(0),
            operations: Operations::new(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            wait: Histogram::new(),
            connect: Histogram::new(),
            first_byte: Histogram::new(),
            total: Histogram::new(),
        }
    }

    pub fn request_began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let now = self.in_flight.fetch_add(1, Ordering::AcqRel) + 1;
        self.peak_in_flight.fetch_max(now, Ordering::AcqRel);
    }

    pub fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub fn failed(&self, error: &SendError) {
        let kind = error
            .timeout()
            .and_then(|kind| TIMEOUTS.iter().position(|known| *known == kind));
        if let Some(count) = kind.and_then(|index| self.timeouts.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn connection_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub fn connection_closed(&self, reason: CloseReason) {
        if let Some(count) = self.closed.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn dial_failed(&self) {
        self.dials_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn reused(&self) {
        self.reused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn replayed(&self) {
        self.replays.fetch_add(1, Ordering::Relaxed);
    }

    pub fn bytes_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn bytes_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn snapshot(&self, counts: Counts, max_connections: usize) -> PoolStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let timeouts: BTreeMap<_, _> = TIMEOUTS.into_iter().zip(self.timeouts.iter().map(load)).collect();
        PoolStats {
            active: counts.active,
            idle: counts.idle,
            connecting: counts.connecting,
            closing: counts.closing,
            waiting: counts.waiting,
            max_connections,
            total_requests: load(&self.requests),
            in_flight: self.in_flight(),
            peak_in_flight: self.peak_in_flight.load(Ordering::Acquire),
            connections_opened: load(&self.opened),
            connections_closed: CloseReason::ALL
                .into_iter()
                .map(CloseReason::as_str)
                .zip(self.closed.iter().map(load))
                .filter(|(_, count)| *count > 0)
                .collect(),
            dials_failed: load(&self.dials_failed),
            reused_requests: load(&self.reused),
            pool_exhaustions: timeouts.get("pool").copied().unwrap_or_default(),
            timeouts,
            replays: load(&self.replays),
            requests_by_operation_and_outcome: self.operations.snapshot(),
            bytes_sent: load(&self.sent),
            bytes_received: load(&self.received),
            wait: self.wait.snapshot(),
            connect: self.connect.snapshot(),
            first_byte: self.first_byte.snapshot(),
            total: self.total.snapshot(),
            ..PoolStats::default()
        }
    }
}

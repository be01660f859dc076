//! What has passed through one connection, and when: the ground on which deadlines and replays are decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::stats::Stats;

/// Counters of one connection, written by its [`crate::wire::Wire`] and read by the exchanges on it.
#[derive(Debug)]
pub(crate) struct Meter {
    stats: Arc<Stats>,
    created: Instant,
    written: AtomicU64,
    /// Bytes of HTTP, that is, after TLS: a closing alert is no part of an answer.
    answered: AtomicU64,
    /// When the socket last took bytes, in nanoseconds since `created`.
    progress: AtomicU64,
    /// Whether `heard` is kept.
    listens: AtomicBool,
    /// When HTTP last arrived, in nanoseconds since `created`.
    heard: AtomicU64,
    blocked: AtomicBool,
    ended: AtomicBool,
    failed: AtomicBool,
}

impl Meter {
    pub fn new(stats: Arc<Stats>, now: Instant) -> Self {
        Self {
            stats,
            created: now,
            written: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            listens: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// Bytes the socket has taken.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Bytes of HTTP that have arrived.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// When the socket last took bytes.
    pub fn last_written_at(&self) -> Instant {
        self.created + Duration::from_nanos(self.progress.load(Ordering::Acquire))
    }

    /// Whether the socket takes nothing more for now.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    /// Whether the peer has ended the connection.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether the operating system has reported an error.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Has it noted from here on when HTTP arrives.
    pub fn listen(&self) {
        self.listens.store(true, Ordering::Release);
    }

    /// When HTTP last arrived since [`Self::listen`]; when the connection was made before that.
    pub fn last_heard_at(&self) -> Instant {
        self.created + Duration::from_nanos(self.heard.load(Ordering::Acquire))
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::AcqRel);
        self.progress.store(self.nanos(), Ordering::Release);
        self.stats.bytes_sent(bytes);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.stats.bytes_received(bytes);
    }

    pub(super) fn understood(&self, bytes: usize) {
        self.answered.fetch_add(bytes as u64, Ordering::AcqRel);
        if bytes > 0 && self.listens.load(Ordering::Acquire) {
            self.heard.store(self.nanos(), Ordering::Release);
        }
    }

    fn nanos(&self) -> u64 {
        let since = Instant::now().saturating_duration_since(self.created);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }
}

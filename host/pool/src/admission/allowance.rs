//! Sockets that several pools have between them: [`Allowance`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of sockets, each taken before its dial and given back once it is gone.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: usize,
    used: AtomicUsize,
}

impl Allowance {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    /// Sockets that may be opened now.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.used.load(Ordering::Acquire))
    }

    /// Takes the right to a socket, if there is one left.
    pub fn take(&self) -> bool {
        let within = |used| (used < self.limit).then_some(used + 1);
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, within)
            .is_ok()
    }

    /// A socket is gone.
    pub fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::AcqRel);
    }
}

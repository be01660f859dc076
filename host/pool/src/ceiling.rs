//! How many sockets all pools together may have: [`Ceiling`].
//!
//! A pool's own cap says what its provider bears, the ceiling what the process does. A pool that is stopped by the
//! ceiling alone is remembered in the order in which that happened. The others close what lies idle for its sake, and
//! whoever closes a socket lets the first of them go on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::admission::Allowance;
use crate::core::Core;

/// Half of the descriptors a process may have: the other half is for what is not a pool's (files, listeners, the
/// sockets of its own clients).
const SHARE_OF_DESCRIPTORS: usize = 2;

/// The sockets of all pools of a manager.
#[derive(Debug)]
pub(crate) struct Ceiling {
    pub allowance: Arc<Allowance>,
    /// Pools that wait for a socket, for a quick look.
    starving: AtomicUsize,
    pools: Mutex<Pools>,
}

#[derive(Debug, Default)]
struct Pools {
    all: Vec<Weak<Core>>,
    /// Those that wait for a socket, the longest-waiting first.
    starving: VecDeque<Weak<Core>>,
}

impl Ceiling {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            allowance: Allowance::new(limit.max(1)),
            starving: AtomicUsize::new(0),
            pools: Mutex::default(),
        })
    }

    /// Half of the process's limit of open descriptors (`RLIMIT_NOFILE`), read now.
    pub fn of_process() -> Arc<Self> {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let descriptors = descriptors.and_then(|limit| usize::try_from(limit).ok());
        Self::new(descriptors.unwrap_or(usize::MAX) / SHARE_OF_DESCRIPTORS)
    }

    pub fn enter(&self, pool: Weak<Core>) {
        let mut pools = self.lock();
        pools.all.retain(|pool| pool.strong_count() > 0);
        pools.all.push(pool);
    }

    /// Whether a pool waits for a socket of another one.
    pub fn is_wanted(&self) -> bool {
        self.starving.load(Ordering::Acquire) > 0
    }

    /// The pool is stopped by the ceiling: another one is to close an idle connection for it.
    pub fn starves(&self, starving: &Arc<Core>) {
        let others: Vec<_> = {
            let mut pools = self.lock();
            let pool = Arc::downgrade(starving);
            if !pools.starving.iter().any(|known| known.ptr_eq(&pool)) {
                pools.starving.push_back(pool.clone());
                self.starving.store(pools.starving.len(), Ordering::Release);
            }
            pools.all.iter().filter(|other| !other.ptr_eq(&pool)).cloned().collect()
        };
        // Whoever is asked takes its own lock, so this is done without ours.
        let _ = others
            .iter()
            .filter_map(Weak::upgrade)
            .any(|other| other.close_one_idle());
    }

    /// Lets those that wait go on while there is room, the longest-waiting pool first.
    pub fn feed(&self) {
        while self.is_wanted() && self.allowance.free() > 0 {
            let fed = {
                let mut pools = self.lock();
                let fed = pools.starving.pop_front();
                self.starving.store(pools.starving.len(), Ordering::Release);
                fed
            };
            let Some(fed) = fed else { return };
            if let Some(pool) = fed.upgrade() {
                // Still starving, it comes back to the end of the line.
                pool.go_on();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

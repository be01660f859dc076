//! One instance to one call: leased as a connection is, exclusively and in the order of arrival.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::instance::guest::{Guest, Instance};
use crate::instance::state::Grants;
use crate::spec::{Isolation, Limits};

/// How long an unused instance is kept.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// A provider's instances.
pub(crate) struct Instances {
    guest: Guest,
    grants: Grants,
    isolation: Isolation,
    max_instances: usize,
    max_calls: u64,
    permits: Arc<Semaphore>,
    /// The one used last is at the end, and is leased first.
    idle: Mutex<Vec<Idle>>,
    waiting: AtomicUsize,
    /// Those of the component that took this one's place, where there may be but one instance of both.
    successor: OnceLock<Arc<Instances>>,
}

struct Idle {
    instance: Box<Instance>,
    calls: u64,
    since: Instant,
}

/// How many instances there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceStats {
    /// Kept for the next call.
    pub idle: usize,
    /// Serving a call.
    pub leased: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

/// An instance for the time of one call. Dropping it drops the instance; see [`Lease::give_back`].
pub(crate) struct Lease {
    pub(crate) instance: Box<Instance>,
    calls: u64,
    owner: Arc<Instances>,
    permit: OwnedSemaphorePermit,
}

impl Instances {
    /// Where both are resident, the `predecessor`'s one permit is these instances' too: there is but one instance at
    /// any moment. [`Self::take_over`] is to follow.
    pub(crate) fn new(guest: Guest, grants: Grants, limits: &Limits, predecessor: Option<&Instances>) -> Self {
        let max_instances = if limits.isolation == Isolation::Resident {
            1
        } else {
            limits.max_instances.max(1)
        };
        let shared = predecessor
            .filter(|old| limits.isolation == Isolation::Resident && old.isolation == Isolation::Resident)
            .map(|old| old.permits.clone());
        Instances {
            guest,
            grants,
            isolation: limits.isolation,
            max_instances,
            max_calls: limits.max_calls,
            permits: shared.unwrap_or_else(|| Arc::new(Semaphore::new(max_instances))),
            idle: Mutex::default(),
            waiting: Default::default(),
            successor: OnceLock::new(),
        }
    }

    /// Waits until the `predecessor`'s one instance is at rest, drops it, and serves those who wait for it from here
    /// on. Does nothing where instances may stand side by side.
    pub(crate) async fn take_over(self: &Arc<Self>, predecessor: &Instances) {
        if !self.shares_its_place_with(predecessor) {
            return;
        }
        // Ends: whoever is ahead in the line is there within his call's deadline.
        let Some(_permit) = predecessor.permit().await else {
            return;
        };
        let _ = predecessor.successor.set(self.clone());
        let idle = std::mem::take(&mut *predecessor.lock());
        drop(idle);
    }

    /// Whether there is one instance of both at any moment.
    pub(crate) fn shares_its_place_with(&self, predecessor: &Instances) -> bool {
        Arc::ptr_eq(&self.permits, &predecessor.permits)
    }

    /// Drops the instances that were idle for too long, from time to time, as long as there are any to come.
    pub(crate) fn start_reaper(self: &Arc<Self>) {
        if self.isolation == Isolation::Resident {
            return;
        }
        let instances = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE_TIME / 4).await;
                let Some(instances) = instances.upgrade() else { return };
                let expired = split_expired(&mut instances.lock());
                drop(expired);
            }
        });
    }

    /// How many there can be.
    pub(crate) fn max_instances(&self) -> usize {
        self.max_instances
    }

    /// Waits until an instance may be had: first come, first served.
    pub(crate) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        // The semaphore is never closed.
        self.permits.clone().acquire_owned().await.ok()
    }

    /// An instance for the holder of a permit: the one used last, or a fresh one.
    pub(crate) async fn lease(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> wasmtime::Result<Lease> {
        if let Some(successor) = self.successor.get() {
            return Box::pin(successor.lease(permit)).await;
        }
        match self.take_idle() {
            Some(idle) => Ok(self.lent(idle.instance, idle.calls, permit)),
            // Boxed: most calls need no room for it.
            None => Box::pin(self.fresh(permit)).await,
        }
    }

    /// An instance for the holder of a permit that served no call before.
    pub(crate) async fn fresh(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> wasmtime::Result<Lease> {
        if let Some(successor) = self.successor.get() {
            return Box::pin(successor.fresh(permit)).await;
        }
        let instance = self.guest.instantiate(&self.grants).await?;
        Ok(self.lent(Box::new(instance), 0, permit))
    }

    fn lent(self: &Arc<Self>, instance: Box<Instance>, calls: u64, permit: OwnedSemaphorePermit) -> Lease {
        Lease {
            instance,
            calls,
            owner: self.clone(),
            permit,
        }
    }

    /// What the instances hold of the host.
    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(crate) fn stats(&self) -> InstanceStats {
        InstanceStats {
            idle: self.lock().len(),
            leased: self.max_instances - self.permits.available_permits(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    fn take_idle(&self) -> Option<Idle> {
        self.lock().pop()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Whether the instance served another call before.
    pub(crate) fn is_reused(&self) -> bool {
        self.calls > 0
    }

    /// Drops an instance that was lost; a fresh one may take its place.
    pub(crate) fn lose(self) -> OwnedSemaphorePermit {
        self.permit
    }

    /// Ends the lease after a call that went well. The instance is kept if its provider's settings say so.
    pub(crate) fn give_back(mut self) {
        let calls = self.calls + 1;
        let state = self.instance.store.data_mut();
        // What was left behind would go on in the next call, at its cost.
        let at_rest = state.end_call();
        let keep = at_rest
            && match self.owner.isolation {
                Isolation::Call => false,
                Isolation::Reuse => calls < self.owner.max_calls && !state.memory.is_bloated(),
                Isolation::Resident => true,
            };
        if keep {
            let idle = Idle {
                instance: self.instance,
                calls,
                since: Instant::now(),
            };
            self.owner.lock().push(idle);
        }
    }
}

/// Takes out those that were idle for too long; the list is in the order of their return.
fn split_expired(idle: &mut Vec<Idle>) -> Vec<Idle> {
    let now = Instant::now();
    let fresh = idle.partition_point(|idle| now.duration_since(idle.since) > IDLE_TIME);
    idle.drain(..fresh).collect()
}

/// Counts a waiter for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

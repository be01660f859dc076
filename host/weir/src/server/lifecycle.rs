//! Where the server is between its start and its end: which providers failed to load, whether all were tried, whether
//! it is stopping, and how many requests it still works on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::backend::Backend;

/// Providers loaded side by side at the start. Compiling one keeps every core busy already; the second hides the time
/// that the first reads its cache.
const LOADED_AT_ONCE: usize = 2;

pub(crate) struct Lifecycle {
    started: Instant,
    all_tried: AtomicBool,
    draining: AtomicBool,
    failures: Mutex<BTreeMap<String, String>>,
    in_flight: watch::Sender<usize>,
}

impl Lifecycle {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            all_tried: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            failures: Mutex::default(),
            in_flight: watch::Sender::new(0),
        }
    }

    /// Loads the providers that keep no state, so that the first request of each finds it ready. One that fails is noted, and tried again
    /// by the next request for it.
    pub async fn load_all(&self, backend: &dyn Backend) {
        let mut names = backend.provider_names();
        names.retain(|name| backend.loads_at_start(name));
        futures::stream::iter(&names)
            .for_each_concurrent(LOADED_AT_ONCE, |name| async move {
                if let Err(error) = backend.provider(name).await {
                    tracing::error!(
                        provider = name,
                        error = error.body.message,
                        "the provider does not load"
                    );
                    self.lock_failures().insert(name.clone(), error.body.message);
                }
            })
            .await;
        self.all_tried.store(true, Ordering::Release);
    }

    /// Why each provider that did not load at the start did not.
    pub fn failures(&self) -> BTreeMap<String, String> {
        self.lock_failures().clone()
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether every provider has been tried, and the server is not stopping.
    pub fn is_ready(&self) -> bool {
        self.all_tried.load(Ordering::Acquire) && !self.is_draining()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Counts a request as in flight until the returned value is dropped.
    pub fn request_begins(&self) -> InFlight {
        self.in_flight.send_modify(|count| *count += 1);
        InFlight(self.in_flight.clone())
    }

    pub fn requests_in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Waits until no request is in flight.
    pub async fn at_rest(&self) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.in_flight.subscribe().wait_for(|count| *count == 0).await;
    }

    fn lock_failures(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that the server works on, to the last byte of its answer.
pub(crate) struct InFlight(watch::Sender<usize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fake::{FakeBackend, FakeProvider};

    #[tokio::test]
    async fn the_server_is_ready_when_every_provider_was_tried_and_not_while_it_stops() {
        let lifecycle = Lifecycle::new();
        assert!(!lifecycle.is_ready());
        let backend = FakeBackend::default()
            .broken("a", "no secret")
            .provider(FakeProvider::new("b"));
        lifecycle.load_all(&backend).await;
        assert!(lifecycle.is_ready());
        assert_eq!(lifecycle.failures().into_keys().collect::<Vec<_>>(), ["a"]);
        lifecycle.start_draining();
        assert!(!lifecycle.is_ready());
    }

    #[tokio::test]
    async fn a_provider_that_keeps_state_is_not_loaded_at_the_start() {
        let lifecycle = Lifecycle::new();
        let backend = FakeBackend::default().broken("stateful", "another process has its storage open");
        lifecycle.load_all(&backend).await;
        assert!(lifecycle.is_ready());
        assert!(lifecycle.failures().is_empty());
    }

    #[tokio::test]
    async fn it_is_at_rest_when_the_last_request_is_dropped() {
        let lifecycle = Lifecycle::new();
        let (one, two) = (lifecycle.request_begins(), lifecycle.request_begins());
        drop(one);
        assert_eq!(lifecycle.requests_in_flight(), 1);
        let rest = lifecycle.at_rest();
        drop(two);
        rest.await;
        assert_eq!(lifecycle.requests_in_flight(), 0);
    }
}

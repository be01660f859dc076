//! Where the server is between its start and its end: whether it still loads providers, whether it is stopping, and how
//! many requests it still works on.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::Backend;

pub(crate) struct Lifecycle {
    started: Instant,
    loading: AtomicBool,
    begun: AtomicBool,
    draining: CancellationToken,
    in_flight: watch::Sender<usize>,
}

impl Lifecycle {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            loading: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            draining: CancellationToken::new(),
            in_flight: watch::Sender::new(0),
        }
    }

    /// Leaves each provider to be loaded by its first request: how long a start takes does not depend on their number.
    pub fn load_none(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Loads the providers that keep no state, as many side by side as there are processors, so that the first request
    /// of each finds it ready. One that fails is tried again by the next request for it.
    pub async fn load_all(&self, backend: &dyn Backend) {
        self.loading.store(true, Ordering::Release);
        let at_once = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut names = backend.provider_names();
        names.retain(|name| backend.loads_at_start(name));
        futures::stream::iter(&names)
            .for_each_concurrent(at_once, |name| async move {
                if let Err(error) = backend.provider(name).await {
                    tracing::error!(
                        provider = name,
                        error = error.body.message,
                        "the provider does not load"
                    );
                }
            })
            .await;
        self.loading.store(false, Ordering::Release);
        self.begun.store(true, Ordering::Release);
    }

    /// Whether the providers are being loaded that are loaded at the start.
    pub fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Acquire)
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether what is loaded at the start has been tried, and the server is not stopping.
    pub fn is_ready(&self) -> bool {
        self.begun.load(Ordering::Acquire) && !self.is_draining()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub fn start_draining(&self) {
        self.draining.cancel();
    }

    /// Waits until the server is stopping.
    pub async fn stopping(&self) {
        self.draining.cancelled().await;
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
        assert_eq!(backend.failures().into_keys().collect::<Vec<_>>(), ["a"]);
        lifecycle.start_draining();
        assert!(!lifecycle.is_ready());
    }

    #[tokio::test]
    async fn a_provider_that_keeps_state_is_not_loaded_at_the_start() {
        let lifecycle = Lifecycle::new();
        let backend = FakeBackend::default().broken("stateful", "another process has its storage open");
        lifecycle.load_all(&backend).await;
        assert!(lifecycle.is_ready());
        assert!(backend.failures().is_empty());
    }

    #[tokio::test]
    async fn a_server_that_loads_nothing_at_the_start_is_ready_at_once() {
        let lifecycle = Lifecycle::new();
        lifecycle.load_none();
        assert!(lifecycle.is_ready());
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

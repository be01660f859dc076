//! One configured provider's place: what serves there, and how its loads went.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use weir_runtime::Provider;

use super::HostError;

/// A provider's place. Callers take what serves at the moment and keep it to the end of their call.
#[derive(Default)]
pub(super) struct Slot {
    serving: ArcSwapOption<Provider>,
    /// One load at a time: a second would compile the same, and open the same storage.
    loading: tokio::sync::Mutex<()>,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    failure: Option<String>,
    /// The digest of the component that was refused last.
    refused: Option<String>,
    reloads: Reloads,
}

/// How often a provider's component was replaced, or was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// The new one serves.
    pub swapped: u64,
    /// The new one was refused, and the old one serves on.
    pub refused: u64,
}

impl Slot {
    /// What serves, if anything is loaded.
    pub(super) fn serving(&self) -> Option<Provider> {
        self.serving.load().as_deref().cloned()
    }

    /// What serves; loaded now if nothing is. A failure is remembered, and tried again the next time.
    pub(super) async fn serving_or(
        &self,
        load: impl AsyncFnOnce() -> Result<Provider, HostError>,
    ) -> Result<Provider, HostError> {
        if let Some(provider) = self.serving() {
            return Ok(provider);
        }
        let _alone = self.alone().await;
        if let Some(provider) = self.serving() {
            return Ok(provider);
        }
        match load().await {
            Ok(provider) => {
                self.serve(provider.clone());
                Ok(provider)
            }
            Err(error) => {
                self.history().failure = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Waits until no load is under way, and begins one.
    pub(super) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.loading.lock().await
    }

    /// From now on callers get this one.
    pub(super) fn swap(&self, provider: Provider) {
        self.serve(provider);
        self.history().reloads.swapped += 1;
    }

    /// The component of this digest does not get to serve.
    pub(super) fn refuse(&self, digest: Option<String>, reason: String) {
        let mut history = self.history();
        history.reloads.refused += 1;
        history.refused = digest;
        history.failure = Some(reason);
    }

    /// The file holds what serves again.
    pub(super) fn is_current(&self) {
        let mut history = self.history();
        history.failure = None;
        history.refused = None;
    }

    /// Whether a component of this digest was the last to be refused.
    pub(super) fn has_refused(&self, digest: &str) -> bool {
        self.history().refused.as_deref() == Some(digest)
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.history().failure.clone()
    }

    pub(super) fn reloads(&self) -> Reloads {
        self.history().reloads
    }

    fn serve(&self, provider: Provider) {
        self.serving.store(Some(Arc::new(provider)));
        self.is_current();
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! One configured provider's place: what serves there, and how its loads went.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use weir_runtime::Provider;

use tokio::sync::OwnedMutexGuard;

use super::HostError;
use super::inputs::Inputs;

/// A provider's place. Callers take what serves at the moment and keep it to the end of their call.
#[derive(Default)]
pub(super) struct Slot {
    serving: ArcSwapOption<Provider>,
    /// One load at a time: a second would compile the same, and open the same storage.
    loading: Arc<tokio::sync::Mutex<()>>,
    history: Mutex<History>,
}

/// Held for as long as nothing else may be loaded into a place.
pub(super) type Alone = OwnedMutexGuard<()>;

#[derive(Default)]
struct History {
    failure: Option<String>,
    /// The digest of the component that was refused last.
    refused: Option<String>,
    reloads: Reloads,
    /// What was read for the one that serves.
    inputs: Inputs,
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

    /// A place for the same provider under other settings. `serving` serves in it, who was loaded with `inputs`.
    pub(super) fn after(&self, serving: Provider, inputs: Inputs) -> Slot {
        let slot = Slot::default();
        slot.history().reloads = self.reloads();
        slot.serve(serving, inputs);
        slot
    }

    /// What came of the first load. A failure is remembered, and tried again the next time.
    pub(super) fn loaded(&self, loaded: Result<(Provider, Inputs), HostError>) -> Result<Provider, HostError> {
        match loaded {
            Ok((provider, inputs)) => {
                self.serve(provider.clone(), inputs);
                Ok(provider)
            }
            Err(error) => {
                self.history().failure = Some(error.reason());
                Err(error)
            }
        }
    }

    /// Waits until no load is under way, and begins one.
    pub(super) async fn alone(&self) -> Alone {
        self.loading.clone().lock_owned().await
    }

    /// From now on callers get this one.
    pub(super) fn swap(&self, provider: Provider, inputs: Inputs) {
        self.serve(provider, inputs);
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

    /// What was read for the one that serves.
    pub(super) fn inputs(&self) -> Inputs {
        self.history().inputs.clone()
    }

    pub(super) fn serve(&self, provider: Provider, inputs: Inputs) {
        self.serving.store(Some(Arc::new(provider)));
        self.history().inputs = inputs;
        self.is_current();
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

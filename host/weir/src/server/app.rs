//! What every route can reach.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::auth::ApiKeys;
use super::backend::Backend;
use super::dashboard::events::Watchers;
use super::dashboard::history::History;
use super::dashboard::recent_errors::RecentErrors;
use super::lifecycle::Lifecycle;
use super::reloads::Reloads;

/// The providers, the keys, and where the server is between its start and its end.
pub(crate) struct App {
    serving: ArcSwap<Serving>,
    pub lifecycle: Lifecycle,
    pub reloads: Reloads,
    pub history: History,
    pub recent_errors: RecentErrors,
    pub watchers: Watchers,
}

/// What one configuration makes of the server.
pub(crate) struct Serving {
    pub backend: Arc<dyn Backend>,
    pub keys: ApiKeys,
}

impl App {
    pub fn new(backend: Arc<dyn Backend>, keys: ApiKeys) -> Arc<Self> {
        Arc::new(Self {
            serving: ArcSwap::from_pointee(Serving { backend, keys }),
            lifecycle: Lifecycle::new(),
            reloads: Reloads::default(),
            history: History::default(),
            recent_errors: RecentErrors::default(),
            watchers: Watchers::default(),
        })
    }

    /// The providers of the configuration in force. A request takes them once, and keeps them to its end: it never finds
    /// the routes of one configuration and the providers of another.
    pub fn backend(&self) -> Arc<dyn Backend> {
        self.serving.load().backend.clone()
    }

    /// What is in force now.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// Requests that come from here on are served by this.
    pub fn serve(&self, serving: Serving) {
        self.serving.store(Arc::new(serving));
    }
}

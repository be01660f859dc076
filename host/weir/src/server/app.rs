//! What every route can reach.

use std::sync::Arc;

use super::auth::ApiKeys;
use super::backend::Backend;
use super::lifecycle::Lifecycle;

/// The providers, the keys, and where the server is between its start and its end.
pub(crate) struct App {
    pub backend: Arc<dyn Backend>,
    pub keys: ApiKeys,
    pub lifecycle: Lifecycle,
}

impl App {
    pub fn new(backend: Arc<dyn Backend>, keys: ApiKeys) -> Arc<Self> {
        Arc::new(Self {
            backend,
            keys,
            lifecycle: Lifecycle::new(),
        })
    }
}

//! A provider as its callers see it: typed operations, each a call in a leased instance.
//!
//! | file | subject |
//! |---|---|
//! | `call` | one call: lease, limits, what its end means |
//! | `operations` | the operations, by capability |
//! | `split` | lists that are sent in parts |
//! | `checked` | what an adapter may answer |
//! | `chat_stream` | an answer that comes in pieces |
//! | `stats` | what is counted |
//! | `gen_ai` | calls to models, in OpenTelemetry's words |

pub(crate) mod call;
pub mod chat_stream;
mod checked;
pub(crate) mod gen_ai;
mod operations;
mod split;
pub mod stats;

use std::sync::Arc;

use weir_pool::Pool;

use crate::bindings::v0_1_0::metadata::Manifest;
use crate::capability::Capability;
use crate::instance::lease::Instances;
use crate::lend::http::LentHttp;
use crate::origin::Origin;
use crate::provider::gen_ai::GenAi;
use crate::provider::stats::{Counters, ProviderStats};
use crate::spec::Limits;

/// A loaded component with all it was granted. Cheap to clone.
#[derive(Clone)]
pub struct Provider {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) name: Arc<str>,
    pub(crate) digest: String,
    pub(crate) manifest: Manifest,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) http: Option<Arc<LentHttp>>,
    pub(crate) limits: Limits,
    pub(crate) instances: Arc<Instances>,
    /// Those of the component before it too.
    pub(crate) counters: Arc<Counters>,
    /// Where calls to models are measured, if they are.
    pub(crate) gen_ai: Option<Arc<GenAi>>,
}

impl Provider {
    /// The provider's name; its pool's too.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The component's identity: `blake3:` and the hash of its bytes.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// What the component says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// What it can do.
    pub fn capabilities(&self) -> &[Capability] {
        &self.inner.capabilities
    }

    /// Whether a pool serves it.
    pub fn uses_pooled_http(&self) -> bool {
        self.inner.http.is_some()
    }

    /// The pool that serves it.
    pub fn pool(&self) -> Option<&Pool> {
        self.inner.http.as_deref().map(|http| &http.pool)
    }

    /// Where its requests may go.
    pub fn origins(&self) -> &[Origin] {
        self.inner
            .http
            .as_deref()
            .map(|http| http.egress.origins())
            .unwrap_or_default()
    }

    /// Tells the log that it serves from now on.
    pub(crate) fn tell_loaded(&self) {
        let Inner {
            name, digest, manifest, ..
        } = &*self.inner;
        tracing::info!(provider = %name, digest, version = manifest.version, "provider loaded");
    }

    /// What was counted so far.
    pub fn stats(&self) -> ProviderStats {
        let denied = self.inner.http.as_deref().map(|http| &*http.denied);
        self.inner.counters.snapshot(self.inner.instances.stats(), denied)
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.inner.name)
            .field("digest", &self.inner.digest)
            .finish()
    }
}

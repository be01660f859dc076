//! What there is: the configured providers, and the bundled components that could be.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_runtime::{Inspection, Provider};

use crate::bundled;
use crate::config::settings::HttpPool;
use crate::host::{Host, wasi_grant};

/// A provider, or a bundled component that is not configured.
#[derive(Debug, Clone, Serialize)]
pub struct ProviderSummary {
    /// The provider's name.
    pub name: String,
    /// The component: a bundled one's name, or a path.
    pub component: String,
    /// `blake3:` and the hash of the component's bytes, where they could be read.
    pub digest: Option<String>,
    /// The component's own version, once it is loaded.
    pub version: Option<String>,
    /// What it can do.
    pub capabilities: Vec<&'static str>,
    /// Whether a pool serves it.
    pub uses_pooled_http: bool,
    /// Where its requests may go, once it is loaded.
    pub origins: Vec<String>,
    /// The pool's settings, where a pool serves it.
    pub http_pool: Option<HttpPool>,
    /// How far it is.
    pub state: State,
    /// Why it can't be used, where `state` is `failed`; why the component that is there now isn't, where it is `loaded`.
    pub reason: Option<String>,
}

/// How far a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is not configured.
    Bundled,
    /// It is loaded at its first call.
    Configured,
    /// It serves.
    Loaded,
    /// It can't be used.
    Failed,
}

impl State {
    /// The state's public name.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Bundled => "bundled",
            State::Configured => "configured",
            State::Loaded => "loaded",
            State::Failed => "failed",
        }
    }
}

/// The configured providers.
pub async fn configured(host: &Host) -> Vec<ProviderSummary> {
    let failures = host.failures();
    let loaded: BTreeMap<String, Provider> = host
        .loaded()
        .into_iter()
        .map(|provider| (provider.name().to_owned(), provider))
        .collect();
    let mut summaries = Vec::new();
    for (name, config) in &host.config().providers {
        let pool = |used: bool| used.then(|| config.http_pool.clone());
        summaries.push(match loaded.get(name) {
            Some(provider) => ProviderSummary {
                name: name.clone(),
                component: config.component.clone(),
                digest: Some(provider.digest().to_owned()),
                version: Some(provider.manifest().version.clone()),
                capabilities: provider
                    .capabilities()
                    .iter()
                    .map(|capability| capability.as_str())
                    .collect(),
                uses_pooled_http: provider.uses_pooled_http(),
                origins: provider.origins().iter().map(ToString::to_string).collect(),
                http_pool: pool(provider.uses_pooled_http()),
                state: State::Loaded,
                reason: failures.get(name).cloned(),
            },
            None => {
                let bytes = host.component(name).await;
                let reason = failures
                    .get(name)
                    .cloned()
                    .or(bytes.as_ref().err().map(ToString::to_string));
                let inspection = bytes
                    .ok()
                    .map(|bytes| host.runtime().inspect(&bytes, wasi_grant(config)));
                let state = if reason.is_some() {
                    State::Failed
                } else {
                    State::Configured
                };
                let summary = inspected(name, &config.component, inspection, state);
                ProviderSummary {
                    http_pool: pool(summary.uses_pooled_http),
                    reason,
                    ..summary
                }
            }
        });
    }
    summaries
}

/// The bundled components that no configured provider is made of.
pub fn unconfigured(host: &Host) -> Vec<ProviderSummary> {
    bundled::all()
        .filter(|bundled| {
            !host
                .config()
                .providers
                .values()
                .any(|config| config.component == bundled.name)
        })
        .map(|bundled| {
            let inspection = host.runtime().inspect(bundled.bytes, weir_runtime::WasiMode::Closed);
            inspected(bundled.name, bundled.name, Some(inspection), State::Bundled)
        })
        .collect()
}

fn inspected(name: &str, component: &str, inspection: Option<Inspection>, state: State) -> ProviderSummary {
    ProviderSummary {
        name: name.to_owned(),
        component: component.to_owned(),
        version: None,
        capabilities: inspection
            .iter()
            .flat_map(|inspection| &inspection.capabilities)
            .map(|capability| capability.as_str())
            .collect(),
        uses_pooled_http: inspection
            .as_ref()
            .is_some_and(|inspection| inspection.uses_pooled_http),
        digest: inspection.map(|inspection| inspection.digest),
        origins: Vec::new(),
        http_pool: None,
        state,
        reason: None,
    }
}

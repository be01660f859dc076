//! What there is: the configured providers, and the bundled components that could be.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_runtime::metadata::Manifest;
use weir_runtime::{Inspection, Provider};

use crate::bundled;
use crate::config::settings::{HttpPool, ProviderConfig};
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
    /// The names of the secrets it takes, once it is loaded; before, of those it is configured with.
    pub secrets: Vec<String>,
    /// Where the provider's API is, once it is loaded and has one.
    pub base_url: Option<String>,
    /// Where its requests may go, once it is loaded.
    pub origins: Vec<String>,
    /// What it takes in one call, by operation, once it is loaded.
    pub limits: BTreeMap<String, CallLimits>,
    /// The pool's settings, where a pool serves it.
    pub http_pool: Option<HttpPool>,
    /// How far it is.
    pub state: State,
    /// Why it can't be used, where `state` is `failed`; why the component that is there now isn't, where it is `loaded`.
    pub reason: Option<String>,
}

/// What a provider takes in one call. What is none has no limit that is known.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CallLimits {
    /// Inputs, documents, points or results.
    pub max_items: Option<u32>,
    /// Tokens in one of them.
    pub max_item_tokens: Option<u32>,
    /// Tokens in all of them.
    pub max_tokens: Option<u32>,
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
                secrets: names(provider.manifest()),
                base_url: base_url(provider.manifest(), config),
                limits: limits(provider.manifest()),
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
                    secrets: config.secrets.keys().cloned().collect(),
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

fn names(manifest: &Manifest) -> Vec<String> {
    manifest.secrets.iter().map(|secret| secret.name.clone()).collect()
}

/// Its own or the component's default. One that is loaded has no user-info in it.
fn base_url(manifest: &Manifest, config: &ProviderConfig) -> Option<String> {
    const NAME: &str = "base_url";
    let given = config.config.get(NAME).map(|text| text.0.clone());
    let default = || {
        manifest
            .settings
            .iter()
            .find(|setting| setting.name == NAME)?
            .default
            .clone()
    };
    given.or_else(default)
}

fn limits(manifest: &Manifest) -> BTreeMap<String, CallLimits> {
    let stated = manifest.limits.iter();
    stated
        .map(|limits| {
            let of_call = CallLimits {
                max_items: limits.max_items,
                max_item_tokens: limits.max_item_tokens,
                max_tokens: limits.max_tokens,
            };
            (limits.operation.clone(), of_call)
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
        secrets: Vec::new(),
        base_url: None,
        origins: Vec::new(),
        limits: BTreeMap::new(),
        http_pool: None,
        state,
        reason: None,
    }
}

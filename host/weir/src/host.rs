//! The configured providers over one runtime. Each is loaded when it is first asked for.
//!
//! | file | subject |
//! |---|---|
//! | `load` | a component, with what the configuration grants it |
//! | `inputs` | what is read for that outside the configuration |
//! | `slot` | one provider's place |
//! | `reload` | components that are replaced while they serve |
//! | `succession` | the host of another configuration that takes this one's place |
//! | `watch` | when files were changed |
//! | `advice`, `error` | what to do where something is missing or wrong |

mod advice;
mod error;
mod inputs;
mod load;
mod reload;
mod slot;
mod succession;
mod watch;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use weir_pool::{PoolManager, TlsError};
use weir_runtime::{Provider, Runtime, RuntimeOptions, WasiGrant, WasiMode};

use crate::bundled;
use crate::config::settings::Wasi;
use crate::config::{ComponentSource, Config, EffectiveConfig, ProviderConfig};
use crate::telemetry::otlp;

pub use error::HostError;
pub use reload::Look;
pub use slot::Reloads;
pub use succession::NextHost;
pub use watch::Watch;

use slot::Slot;

/// The one secret that most adapters have.
const API_KEY: &str = "api_key";

/// The providers of one configuration.
pub struct Host {
    config: EffectiveConfig,
    runtime: Runtime,
    /// Shared with the hosts before and after this one, where its settings are the same in both.
    providers: BTreeMap<String, Arc<Slot>>,
    /// The one of the configuration in force, once there was another.
    newest: Arc<Mutex<Weak<Host>>>,
}

impl Host {
    /// Starts the runtime. Loads nothing yet. Needs a running tokio runtime.
    ///
    /// # Errors
    /// Where there are no root certificates, or the engine can't start.
    pub async fn open(config: EffectiveConfig) -> Result<Host, HostError> {
        let pools = pools(&config.config)?;
        let cache_dir = Some(config.config.cache_dir.clone());
        let mut runtime = Runtime::new(RuntimeOptions { cache_dir, pools })?;
        if let Some(meter) = otlp::meter() {
            runtime = runtime.measured_by(meter);
        }
        let providers = config
            .config
            .providers
            .keys()
            .map(|name| (name.clone(), Arc::default()))
            .collect();
        Ok(Host {
            config,
            runtime,
            providers,
            newest: Arc::default(),
        })
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.config.config
    }

    /// The settings with their origins.
    pub fn effective_config(&self) -> &EffectiveConfig {
        &self.config
    }

    /// The runtime that the providers share.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The providers' names, loaded or not.
    pub fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// Where `memory` and the index keep files.
    pub fn data_dir(&self) -> &Path {
        &self.config.config.data_dir
    }

    /// The provider of this name. Loads it the first time; a failure is tried again the next time. One that another
    /// configuration did away with meanwhile still serves those who hold this one.
    ///
    /// # Errors
    /// One that names the provider, and what is missing or wrong.
    pub async fn provider(&self, name: &str) -> Result<Provider, HostError> {
        let (Some(slot), Some(config)) = (self.providers.get(name), self.config.config.providers.get(name)) else {
            return Err(advice::unknown(name, &self.config));
        };
        if let Some(provider) = slot.serving() {
            return Ok(provider);
        }
        let alone = slot.alone().await;
        if let Some(provider) = slot.serving() {
            return Ok(provider);
        }
        match self.successor() {
            None => slot.loaded(self.load(name, config).await),
            Some(newest) if newest.providers.contains_key(name) => {
                drop(alone);
                Box::pin(newest.provider(name)).await
            }
            Some(_) => slot.loaded(self.load_unnamed(name, config).await),
        }
    }

    /// Loads every provider, side by side, and tells how each fared.
    pub async fn load_all(&self) -> Vec<(&str, Result<Provider, HostError>)> {
        let loads = self
            .provider_names()
            .map(async |name| (name, self.provider(name).await));
        futures::future::join_all(loads).await
    }

    /// The providers that are loaded.
    pub fn loaded(&self) -> Vec<Provider> {
        self.providers.values().filter_map(|slot| slot.serving()).collect()
    }

    /// Why providers do not load, or do not serve the newest component of their file, by name.
    pub fn failures(&self) -> BTreeMap<String, String> {
        self.providers
            .iter()
            .filter_map(|(name, slot)| Some((name.clone(), slot.failure()?)))
            .collect()
    }

    /// How often each provider's component was replaced or refused; none of those never tried.
    pub fn reloads(&self) -> Vec<(String, Reloads)> {
        self.providers
            .iter()
            .map(|(name, slot)| (name.clone(), slot.reloads()))
            .filter(|(_, reloads)| *reloads != Reloads::default())
            .collect()
    }

    /// The host that has taken this one's place, if there is one.
    fn successor(&self) -> Option<Arc<Host>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
        (!std::ptr::eq(self, &raw const *newest)).then_some(newest)
    }

    /// A configured provider's component.
    ///
    /// # Errors
    /// Where the file can't be read, or the program was built without it.
    pub async fn component(&self, name: &str) -> Result<Cow<'static, [u8]>, HostError> {
        let config = self
            .config
            .config
            .providers
            .get(name)
            .ok_or_else(|| advice::unknown(name, &self.config))?;
        match ComponentSource::of(&config.component) {
            ComponentSource::Bundled(component) => bundled::find(&component)
                .map(|bundled| Cow::Borrowed(bundled.bytes))
                .ok_or_else(|| HostError::NotBundled {
                    provider: name.to_owned(),
                    component,
                }),
            ComponentSource::File(path) => match tokio::fs::read(&path).await {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(error) => Err(HostError::Component {
                    provider: name.to_owned(),
                    path,
                    reason: error.to_string(),
                }),
            },
        }
    }
}

/// Pools that stay under the configuration's ceiling, none yet.
///
/// # Errors
/// Where there are no root certificates.
pub fn pools(config: &Config) -> Result<PoolManager, TlsError> {
    let builder = PoolManager::builder();
    match config.max_sockets {
        Some(most) => builder.max_sockets(most.get()).build(),
        None => builder.build(),
    }
}

/// The runtime's word for the settings `wasi` and `allow_wasi_http`.
pub fn wasi_grant(config: &ProviderConfig) -> WasiGrant {
    WasiGrant {
        mode: match config.wasi {
            Wasi::Closed => WasiMode::Closed,
            Wasi::Stub => WasiMode::Stub,
        },
        http: config.allow_wasi_http,
    }
}

#[cfg(test)]
mod tests {
    use weir_runtime::LoadError;

    use super::*;
    use crate::config::{Environment, Folders, Sources, load};

    async fn host(folder: &Path, environment: &[(&str, &str)], text: Option<&str>) -> Host {
        if let Some(text) = text {
            std::fs::write(folder.join("weir.toml"), text).unwrap();
        }
        let sources = Sources {
            file: None,
            environment: environment.iter().copied().collect::<Environment>(),
            folders: Folders {
                working: folder.to_owned(),
                config: None,
                data: folder.join("data"),
                cache: folder.join("cache"),
            },
            flags: Vec::new(),
        };
        Host::open(load(&sources).unwrap()).await.unwrap()
    }

    async fn failure(host: &Host, provider: &str) -> HostError {
        host.provider(provider).await.expect_err("the provider loaded")
    }

    #[tokio::test]
    async fn an_unknown_provider_is_answered_with_those_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), &[], None).await;
        assert_eq!(
            failure(&host, "memroy").await.to_string(),
            "there is no provider `memroy`; did you mean `memory`?"
        );
        let error = failure(&host, "voyage").await;
        assert_eq!(
            error.to_string(),
            "there is no provider `voyage` in this configuration; set VOYAGE_API_KEY or add [providers.voyage] to weir.toml"
        );
        assert!(error.is_configuration());
    }

    #[tokio::test]
    async fn where_a_file_lists_the_providers_a_key_alone_adds_none() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), &[("VOYAGE_API_KEY", "k")], Some("[providers.cohere]")).await;
        assert_eq!(
            failure(&host, "voyage").await.to_string(),
            "there is no provider `voyage` in this configuration; add [providers.voyage] to weir.toml"
        );
    }

    #[tokio::test]
    async fn a_secret_that_is_not_there_names_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wasm"), "never read").unwrap();
        let text = "[providers.mine]\ncomponent = \"./a.wasm\"\nsecrets.api_key = { env = \"MY_KEY\" }";
        let host = host(folder.path(), &[], Some(text)).await;
        let error = failure(&host, "mine").await;
        assert_eq!(
            error.to_string(),
            "provider `mine`: the secret `api_key` is missing: the environment variable MY_KEY is not set"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_no_component_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wasm"), "no component").unwrap();
        let host = host(folder.path(), &[], Some("[providers.mine]\ncomponent = \"./a.wasm\"")).await;
        let error = failure(&host, "mine").await;
        assert!(
            matches!(&error, HostError::Load(LoadError::NotAdmitted { provider, .. }) if provider == "mine"),
            "{error}"
        );
        let told = &host.failures()["mine"];
        assert!(told.starts_with("the component is not admitted: "), "{told}");
    }
}

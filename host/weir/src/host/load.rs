//! A configured provider's component, with what the configuration grants it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use weir_runtime::{EgressGrant, LoadError, Provider, ProviderSpec, SecretGrant, Successor, WasiGrant, metadata};

use super::inputs::Inputs;
use super::{API_KEY, Host, HostError, advice, wasi_grant};
use crate::config::settings::Isolation;
use crate::config::{ComponentSource, ProviderConfig, ProviderSecret};

/// The setting of adapters that can do without a key.
const AUTH: &str = "auth";

/// The setting of adapters that go by which secrets they were granted: their names, with commas between.
const GRANTED_SECRETS: &str = "granted_secrets";

impl Host {
    /// Loads a provider.
    pub(super) async fn load(&self, name: &str, config: &ProviderConfig) -> Result<(Provider, Inputs), HostError> {
        // Read first: what changes while it is loaded is then a change.
        let inputs = Inputs::read(name, config, &self.config.environment)?;
        let spec = self.spec(name, config, self.component(name).await?).await?;
        let loaded = self.runtime.load(spec).await;
        Ok((loaded.map_err(|error| advised(error, config))?, inputs))
    }

    /// Loads a provider that the configuration in force does not have any more.
    pub(super) async fn load_unnamed(
        &self,
        name: &str,
        config: &ProviderConfig,
    ) -> Result<(Provider, Inputs), HostError> {
        let spec = self.spec(name, config, self.component(name).await?).await?;
        let loaded = self.runtime.load_unnamed(spec).await;
        Ok((loaded.map_err(|error| advised(error, config))?, Inputs::default()))
    }

    /// Makes a component ready for the place of `old`.
    pub(super) async fn load_after(
        &self,
        name: &str,
        config: &ProviderConfig,
        component: Cow<'static, [u8]>,
        old: &Provider,
    ) -> Result<Successor, HostError> {
        let spec = self.spec(name, config, component).await?;
        let successor = self.runtime.successor(spec, old).await;
        successor.map_err(|error| advised(error, config))
    }

    /// A component, and all that the configuration grants it.
    async fn spec(
        &self,
        name: &str,
        config: &ProviderConfig,
        component: Cow<'static, [u8]>,
    ) -> Result<ProviderSpec, HostError> {
        let wasi = wasi_grant(config);
        let secrets = self.secrets(name, config)?;
        let mut settings: BTreeMap<String, String> = config
            .config
            .iter()
            .map(|(key, text)| (key.clone(), text.0.clone()))
            .collect();
        if !secrets.contains_key(API_KEY)
            && self.asks_for_a_key(&component, wasi)
            // A component that can't describe itself is refused below, with its provider's name.
            && let Ok(manifest) = self.runtime.describe(name, &component, wasi).await
        {
            if goes_without_key(&manifest) {
                settings.entry(AUTH.to_owned()).or_insert_with(|| "none".to_owned());
            }
            if has_setting(&manifest, GRANTED_SECRETS) {
                let granted: Vec<&str> = secrets.keys().map(String::as_str).collect();
                settings.insert(GRANTED_SECRETS.to_owned(), granted.join(","));
            }
        }
        Ok(ProviderSpec {
            name: name.to_owned(),
            component,
            wasi,
            config: settings,
            secrets,
            pool: config.pool_settings().map_err(|source| HostError::PoolSettings {
                provider: name.to_owned(),
                source,
            })?,
            egress: EgressGrant {
                allow: config
                    .egress
                    .allow
                    .as_ref()
                    .map(|allow| allow.iter().map(|origin| origin.0.clone()).collect()),
                // What is bundled was written here.
                trust_manifest: matches!(ComponentSource::of(&config.component), ComponentSource::Bundled(_)),
                allow_private: config.egress.allow_private.iter().map(|network| network.0.0).collect(),
            },
            limits: (&config.limits).into(),
            call_limits: config.call_limits(),
            storage: self.storage(name, config).await?,
        })
    }

    fn secrets(&self, name: &str, config: &ProviderConfig) -> Result<BTreeMap<String, SecretGrant>, HostError> {
        let read = |(secret, kept): (&String, &ProviderSecret)| match kept.source.read(&self.config.environment) {
            Ok(value) => {
                let origins = kept.origins.as_ref();
                let origins = origins.map(|origins| origins.iter().map(|origin| origin.0.clone()).collect());
                Ok((secret.clone(), SecretGrant { value, origins }))
            }
            Err(source) => Err(HostError::SecretNotFound {
                provider: name.to_owned(),
                secret: secret.clone(),
                source,
            }),
        };
        config.secrets.iter().map(read).collect()
    }

    /// Components without HTTP send no key anywhere, and are not asked twice what they want.
    fn asks_for_a_key(&self, component: &[u8], wasi: WasiGrant) -> bool {
        self.runtime.inspect(component, wasi).uses_pooled_http
    }

    /// The file of a provider that is granted to keep state.
    async fn storage(&self, name: &str, config: &ProviderConfig) -> Result<Option<PathBuf>, HostError> {
        if config.limits.isolation != Isolation::Resident {
            return Ok(None);
        }
        let folder = self.data_dir();
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(|error| HostError::DataDir {
                provider: name.to_owned(),
                folder: folder.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Some(folder.join(format!("{name}.redb"))))
    }
}

/// The runtime's error, with what to do in the words of the configuration.
fn advised(error: LoadError, config: &ProviderConfig) -> HostError {
    match error {
        LoadError::MissingSecret { provider, secret, .. } => {
            let advice = advice::how_to_give(&provider, &secret, config);
            HostError::MissingSecret {
                provider,
                secret,
                advice,
            }
        }
        other => HostError::Load(other),
    }
}

/// Whether the component can be told to send no key: it has the setting, and requires no key.
fn goes_without_key(manifest: &metadata::Manifest) -> bool {
    has_setting(manifest, AUTH)
        && !manifest
            .secrets
            .iter()
            .any(|secret| secret.name == API_KEY && secret.required)
}

fn has_setting(manifest: &metadata::Manifest, name: &str) -> bool {
    manifest.settings.iter().any(|setting| setting.name == name)
}

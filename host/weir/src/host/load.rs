//! A configured provider's component, with what the configuration grants it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use weir_runtime::{EgressGrant, LoadError, Provider, ProviderSpec, SecretGrant, WasiGrant, metadata};

use super::{API_KEY, Host, HostError, advice, wasi_grant};
use crate::config::settings::Isolation;
use crate::config::{ComponentSource, ProviderConfig, ProviderSecret};

/// The setting of adapters that can do without a key.
const AUTH: &str = "auth";

/// The setting of adapters that go by which secrets they were granted: their names, with commas between.
const GRANTED_SECRETS: &str = "granted_secrets";

impl Host {
    /// Loads a component, in the place of `old` where there is one.
    pub(super) async fn load(
        &self,
        name: &str,
        config: &ProviderConfig,
        component: Cow<'static, [u8]>,
        old: Option<&Provider>,
    ) -> Result<Provider, HostError> {
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
        let spec = ProviderSpec {
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
            storage: self.storage(name, config).await?,
        };
        let loaded = match old {
            None => self.runtime.load(spec).await,
            Some(old) => self.runtime.replace(spec, old).await,
        };
        loaded.map_err(|error| match error {
            LoadError::MissingSecret { provider, secret, .. } => {
                let advice = advice::how_to_give(&provider, &secret, config);
                HostError::MissingSecret {
                    provider,
                    secret,
                    advice,
                }
            }
            other => HostError::Load(other),
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

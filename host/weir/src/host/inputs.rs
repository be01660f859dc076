//! What a provider is loaded with that its settings do not show: what the files they name hold, and what stands where
//! they only say where to look. It is kept as hashes, to tell whether anything has become another.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::ExposeSecret;

use super::HostError;
use crate::config::{Environment, ProviderConfig};

/// Hashes of what was read for a provider, by the setting's key in its table.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Inputs(BTreeMap<String, blake3::Hash>);

impl Inputs {
    /// Reads what is there now. A certificate that can't be read is left out: setting up the pool tells of it.
    ///
    /// # Errors
    /// Where a secret is not where the configuration says.
    pub(super) fn read(name: &str, config: &ProviderConfig, environment: &Environment) -> Result<Inputs, HostError> {
        let mut inputs = BTreeMap::new();
        for (secret, kept) in &config.secrets {
            let value = kept
                .source
                .read(environment)
                .map_err(|source| HostError::SecretNotFound {
                    provider: name.to_owned(),
                    secret: secret.clone(),
                    source,
                })?;
            let hash = blake3::hash(value.expose_secret().as_bytes());
            inputs.insert(format!("secrets.{secret}"), hash);
        }
        let pool = &config.http_pool;
        let files = [
            ("ca_file", &pool.ca_file),
            ("client_cert", &pool.client_cert),
            ("client_key", &pool.client_key),
        ];
        let held = |file: &Path| Some(blake3::hash(&std::fs::read(file).ok()?));
        for (key, file) in files {
            if let Some(hash) = file.as_deref().and_then(held) {
                inputs.insert(format!("http_pool.{key}"), hash);
            }
        }
        Ok(Inputs(inputs))
    }

    /// The keys under which something else was read.
    pub(super) fn differences<'a>(&'a self, other: &'a Inputs) -> impl Iterator<Item = &'a str> {
        let keys = self
            .0
            .keys()
            .chain(other.0.keys().filter(|key| !self.0.contains_key(*key)));
        keys.filter(|key| self.0.get(*key) != other.0.get(*key))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(environment: &[(&str, &str)], file: &Path) -> Result<Inputs, HostError> {
        let config = serde_json::json!({
            "secrets": {"api_key": {"env": "KEY"}, "other": {"file": file}},
            "http_pool": {"ca_file": file.with_extension("pem")},
        });
        let config: ProviderConfig = serde_json::from_value(config).unwrap();
        Inputs::read("acme", &config, &environment.iter().copied().collect())
    }

    #[test]
    fn what_is_read_elsewhere_is_told_apart_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "one").unwrap();
        let before = inputs(&[("KEY", "k")], &file).unwrap();
        let same = inputs(&[("KEY", "k")], &file).unwrap();
        assert_eq!(before.differences(&same).count(), 0);

        std::fs::write(&file, "two").unwrap();
        std::fs::write(file.with_extension("pem"), "a certificate").unwrap();
        let after = inputs(&[("KEY", "l")], &file).unwrap();
        let mut keys: Vec<_> = before.differences(&after).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["http_pool.ca_file", "secrets.api_key", "secrets.other"]);
        assert_eq!(after.differences(&before).count(), 3);
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let error = inputs(&[], Path::new("/nowhere")).err().unwrap();
        assert!(error.to_string().contains("`api_key` is missing"), "{error}");
    }
}

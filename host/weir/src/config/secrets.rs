//! Where secrets are kept: an environment variable or a file, never the configuration itself.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use weir_runtime::Origin;

use super::environment::Environment;
use super::units::Parsed;

/// Where one secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// In this environment variable.
    Env(String),
    /// In this file; a line break at its end is left out.
    File(PathBuf),
}

/// Where one secret of a provider is kept, and where it may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProviderSecret {
    /// Where it is kept.
    #[serde(flatten)]
    pub source: SecretSource,
    /// Origins such as `https://api.example.com`, each of them granted to the provider. Where not given: all of the
    /// provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<Parsed<Origin>>>,
}

/// Where the key of a caller is kept, and how much may be asked for with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ApiKey {
    /// Where it is kept.
    #[serde(flatten)]
    pub source: SecretSource,
    /// What may be asked for with it.
    #[serde(flatten)]
    pub limits: KeyLimits,
}

/// What may be asked for with one key in a minute; no bound where not given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyLimits {
    /// Requests a minute, as many of them at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens a minute, as the providers count them, those that a model writes included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// A secret that is not where it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or empty.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file can't be read.
    #[error("can't read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        reason: String,
    },
    /// The file holds nothing.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
}

impl SecretSource {
    /// The secret itself.
    pub fn read(&self, environment: &Environment) -> Result<SecretString, SecretError> {
        match self {
            SecretSource::Env(name) => environment
                .get(name)
                .map(SecretString::from)
                .ok_or_else(|| SecretError::NotSet(name.clone())),
            SecretSource::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| SecretError::Unreadable {
                    path: path.clone(),
                    reason: error.to_string(),
                })?;
                let secret = text.trim_end_matches(['\r', '\n']);
                if secret.is_empty() {
                    Err(SecretError::Empty(path.clone()))
                } else {
                    Ok(SecretString::from(secret))
                }
            }
        }
    }
}

/// As a configuration says it.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(f, "{{ env = {name:?} }}"),
            SecretSource::File(path) => write!(f, "{{ file = {:?} }}", path.display().to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = SecretVisitor { keys: &["env", "file"] };
        Ok(deserializer.deserialize_any(visitor)?.source)
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { source, limits, .. } = deserializer.deserialize_any(SecretVisitor {
            keys: &["env", "file", "requests_per_minute", "tokens_per_minute"],
        })?;
        Ok(ApiKey { source, limits })
    }
}

impl<'de> Deserialize<'de> for ProviderSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { source, origins, .. } = deserializer.deserialize_any(SecretVisitor {
            keys: &["env", "file", "origins"],
        })?;
        Ok(ProviderSecret { source, origins })
    }
}

/// All that can stand beside a secret's place.
struct Written {
    source: SecretSource,
    origins: Option<Vec<Parsed<Origin>>>,
    limits: KeyLimits,
}

struct SecretVisitor {
    keys: &'static [&'static str],
}

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ env = \"NAME\" } or { file = \"PATH\" }")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Written, E> {
        Err(E::custom(
            "a secret is not written into the configuration; say where it is kept, with \
             { env = \"NAME\" } or { file = \"PATH\" }",
        ))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let mut source = None;
        let mut origins = None;
        let mut limits = KeyLimits::default();
        while let Some(key) = map.next_key::<String>()? {
            let next = match key.as_str() {
                key if !self.keys.contains(&key) => return Err(de::Error::unknown_field(key, self.keys)),
                "env" => {
                    let name: String = map.next_value()?;
                    if !is_variable(&name) {
                        // Not repeated: it may be the key.
                        return Err(de::Error::custom(
                            "what `env` says is no variable's name, which is made of letters, digits and `_`; \
                             never put the key itself here",
                        ));
                    }
                    SecretSource::Env(name)
                }
                "file" => SecretSource::File(map.next_value()?),
                "requests_per_minute" => {
                    limits.requests_per_minute = Some(map.next_value()?);
                    continue;
                }
                "tokens_per_minute" => {
                    limits.tokens_per_minute = Some(map.next_value()?);
                    continue;
                }
                _ => {
                    origins = Some(map.next_value()?);
                    continue;
                }
            };
            if source.replace(next).is_some() {
                return Err(de::Error::custom("expected either `env` or `file`, found both"));
            }
        }
        match source {
            Some(source) => Ok(Written {
                source,
                origins,
                limits,
            }),
            None => Err(de::Error::custom("expected { env = \"NAME\" } or { file = \"PATH\" }")),
        }
    }
}

/// Whether this can be a variable's name (POSIX.1-2024, 3.216).
fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_loses_the_line_break_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "pa-1 \n").unwrap();
        let secret = SecretSource::File(path).read(&Environment::default()).unwrap();
        assert_eq!(secret.expose_secret(), "pa-1 ");
    }

    #[test]
    fn what_is_missing_is_named() {
        let environment = Environment::from_iter([("EMPTY", "")]);
        let error = SecretSource::Env("EMPTY".into()).read(&environment).unwrap_err();
        assert_eq!(error.to_string(), "the environment variable EMPTY is not set");
    }
}

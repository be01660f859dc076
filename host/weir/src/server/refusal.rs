//! Why a configuration does not come into force, in one line, with the place that is to be mended.

use std::path::PathBuf;

use secrecy::SecretString;

use super::auth::{ApiKeys, EmptyKey};
use crate::config::tree::{Node, Origin};
use crate::config::{ConfigError, KeyLimits, SecretError};
use crate::host::HostError;

/// A configuration that does not come into force.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It can't be read, or something in it is wrong.
    #[error("{}", .0.line())]
    Config(#[from] ConfigError),
    /// The file that the one in force was read from.
    #[error("{} is gone; put it back, or start without it", .0.display())]
    Gone(PathBuf),
    /// The one in force was not.
    #[error("{} sets nothing: it is perhaps being written; to have the defaults, start with it", .0.display())]
    Blank(PathBuf),
}

/// Where settings were written, for errors that know only their names.
pub(super) struct Places(pub Node);

impl Places {
    /// The server's keys, as they were read.
    ///
    /// # Errors
    /// Where one is missing or empty, at the setting.
    pub fn keys(&self, keys: Result<Vec<(SecretString, KeyLimits)>, SecretError>) -> Result<ApiKeys, ConfigError> {
        let at = |message| self.error(&["server", "api_keys"], format!("server.api_keys: {message}"));
        let keys = keys.map_err(|error| at(format!("{error}{}", advice(&error))))?;
        ApiKeys::limited(&keys).map_err(|error: EmptyKey| at(error.to_string()))
    }

    /// A provider's error, at its table or at the secret it is about.
    pub fn host(&self, error: &HostError) -> ConfigError {
        let provider = error.provider().unwrap_or_default();
        match error {
            HostError::SecretNotFound { secret, source, .. } => {
                let path = ["providers", provider, "secrets", secret];
                self.error(&path, format!("{error}{}", advice(source)))
            }
            _ => self.error(&["providers", provider], error.to_string()),
        }
    }

    /// An error at the setting of this path, or at what it stands in.
    fn error(&self, path: &[&str], message: String) -> ConfigError {
        let above = (0..=path.len())
            .rev()
            .find_map(|length| self.0.get(path.get(..length)?));
        let origin = above.map_or(Origin::Default, |node| node.key_origin.clone());
        ConfigError::setting(origin, "", message)
    }
}

/// What to do about a secret that is missing now and was not at the start.
fn advice(error: &SecretError) -> &'static str {
    match error {
        SecretError::NotSet(_) => {
            " (a running server sees no variable that is set after its start: restart it, or name a file)"
        }
        SecretError::Unreadable { .. } | SecretError::Empty(_) => "",
    }
}

//! Why the host, or one of its providers, can't be used, and what to do.

use std::path::PathBuf;

use weir_pool::TlsError;
use weir_runtime::{LoadError, RuntimeError};

use crate::config::SecretError;
use crate::config::settings::PoolSettingsError;

/// The host, or one of its providers, can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No root certificates, so no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The WebAssembly engine did not start.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// No provider has this name.
    #[error("there is no provider `{name}`{suggestion}{hint}")]
    UnknownProvider {
        /// The name.
        name: String,
        /// The end of the sentence: what was perhaps meant, or what there is.
        suggestion: String,
        /// What to do, where a preset has the name.
        hint: String,
    },
    /// The component's file can't be read.
    #[error("provider `{provider}`: can't read the component {}: {reason}", path.display())]
    Component {
        /// The provider.
        provider: String,
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        reason: String,
    },
    /// The program was built without the component.
    #[error(
        "provider `{provider}`: this program was built without the component `{component}`; run `just build-guests` and \
         build again, or name a file with `component = \"./{component}.wasm\"` under [providers.{provider}]"
    )]
    NotBundled {
        /// The provider.
        provider: String,
        /// The component.
        component: String,
    },
    /// A secret is not where the configuration says.
    #[error("provider `{provider}`: the secret `{secret}` is missing: {source}")]
    SecretNotFound {
        /// The provider.
        provider: String,
        /// The secret's name.
        secret: String,
        /// What is wrong.
        source: SecretError,
    },
    /// A secret that the component requires was not configured.
    #[error("provider `{provider}` needs the secret `{secret}`: {advice}")]
    MissingSecret {
        /// The provider.
        provider: String,
        /// The secret's name.
        secret: String,
        /// How to give it.
        advice: String,
    },
    /// Its pool can't be set up as the configuration says.
    #[error("provider `{provider}`: {source}")]
    PoolSettings {
        /// The provider.
        provider: String,
        /// What is wrong.
        source: PoolSettingsError,
    },
    /// The data folder can't be made.
    #[error("provider `{provider}`: can't make the folder {}: {reason}", folder.display())]
    DataDir {
        /// The provider that needs it.
        provider: String,
        /// The folder.
        folder: PathBuf,
        /// Why, in the system's words.
        reason: String,
    },
    /// The component was not admitted, or can't be given what it needs.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl HostError {
    /// Whether the configuration or the command is to blame, rather than the machine or the component.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            HostError::UnknownProvider { .. }
                | HostError::SecretNotFound { .. }
                | HostError::MissingSecret { .. }
                | HostError::NotBundled { .. }
                | HostError::PoolSettings { .. }
                | HostError::Load(
                    LoadError::UnknownSetting { .. }
                        | LoadError::Origin { .. }
                        | LoadError::NoEgress { .. }
                        | LoadError::SecretOrigin { .. }
                )
        )
    }

    /// The provider that can't be used.
    pub fn provider(&self) -> Option<&str> {
        match self {
            HostError::UnknownProvider { name: provider, .. }
            | HostError::Component { provider, .. }
            | HostError::NotBundled { provider, .. }
            | HostError::SecretNotFound { provider, .. }
            | HostError::MissingSecret { provider, .. }
            | HostError::DataDir { provider, .. }
            | HostError::PoolSettings { provider, .. }
            | HostError::Load(
                LoadError::NotAdmitted { provider, .. }
                | LoadError::Compile { provider, .. }
                | LoadError::Describe { provider, .. }
                | LoadError::MissingSecret { provider, .. }
                | LoadError::UnknownSetting { provider, .. }
                | LoadError::Origin { provider, .. }
                | LoadError::NoEgress { provider, .. }
                | LoadError::SecretOrigin { provider, .. }
                | LoadError::NoStorage { provider }
                | LoadError::Storage { provider, .. }
                | LoadError::Pool { provider, .. },
            ) => Some(provider),
            HostError::Tls(_) | HostError::Runtime(_) => None,
        }
    }

    /// What happened, for where its provider is named already.
    pub fn reason(&self) -> String {
        let said = self.to_string();
        let named = self.provider().map(|name| format!("provider `{name}`"));
        match named.and_then(|named| said.strip_prefix(&named)) {
            Some(rest) => rest
                .strip_prefix(": ")
                .map_or_else(|| format!("it{rest}"), str::to_owned),
            None => said,
        }
    }

    /// The error's public name.
    pub fn kind(&self) -> &'static str {
        match self {
            HostError::UnknownProvider { .. } => "not-found",
            HostError::Load(_) | HostError::Component { .. } => "load",
            _ if self.is_configuration() => "configuration",
            _ => "host",
        }
    }
}

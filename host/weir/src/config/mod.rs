//! Configuration: `weir.toml`, the environment and flags, laid over presets and defaults.
//!
//! | file | subject |
//! |---|---|
//! | [`tree`] | values with the place where each was written |
//! | [`mod@file`] | finding and reading `weir.toml`, `${VAR}` |
//! | [`environment`] | the environment, and `WEIR_…__…` in it |
//! | [`layers`] | which layer overrides which |
//! | [`settings`], [`resilience`], [`proxy`], [`units`], [`secrets`], [`component`] | the typed settings |
//! | `de`, [`error`] | from the tree to the types, and what is wrong |
//! | `validate` | what no type can tell: names that must exist, addresses that need a grant |
//! | [`changes`] | what differs between two configurations |
//! | [`watched`] | the files that a running server watches |
//! | [`show`] | the effective settings for people and programs |

pub mod changes;
pub mod component;
mod de;
pub mod environment;
pub mod error;
pub mod file;
pub mod layers;
pub mod proxy;
pub mod resilience;
pub mod secrets;
pub mod settings;
pub mod show;
pub mod tree;
pub mod units;
mod validate;
pub mod watched;

pub use changes::Changes;
pub use component::ComponentSource;
pub use environment::Environment;
pub use error::ConfigError;
pub use layers::{EffectiveConfig, Folders, Sources, load};
pub use secrets::{ApiKey, KeyLimits, ProviderSecret, SecretError, SecretSource};
pub use settings::{Config, ProviderConfig};

/// The JSON Schema of `weir.toml`.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

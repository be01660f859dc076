//! What an adapter says of itself: the records of the contract's interface `metadata`, and a builder for them.
//!
//! ```
//! use weir_guest::{Limits, Manifest, Setting};
//!
//! const BASE_URL: Setting = Setting::new("base_url", "Where the API is served.").default("https://api.example.com/v1");
//!
//! let manifest = Manifest::new("example", "1.0.0", "Embeddings by Example.")
//!     .origin_of(BASE_URL)
//!     .secret("api_key", "A key of Example's.")
//!     .setting(BASE_URL)
//!     .default_model("embed", "example-1")
//!     .limits("embed", Limits { max_items: Some(128), ..Limits::NONE });
//! ```

use crate::Setting;

/// What an adapter is and wants. See `metadata.manifest` in the contract.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The adapter's name: lower case, digits, `-`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Where it wants to send requests.
    pub origins: Vec<Origin>,
    /// The secrets it names in its requests.
    pub secrets: Vec<Secret>,
    /// The settings it takes.
    pub settings: Vec<SettingDescription>,
    /// The model used when a call names none, by operation.
    pub default_models: Vec<DefaultModel>,
    /// What the provider takes in one call, by operation.
    pub limits: Vec<OperationLimits>,
    /// Whether it keeps state.
    pub stateful: bool,
}

/// An origin the adapter wants to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This one: `https://api.example.com`.
    Fixed(String),
    /// The origin of the URL in the setting of this name.
    OfSetting(String),
}

/// A secret the adapter names in its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name: `api_key`.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Whether the adapter is useless without it.
    pub required: bool,
}

/// A [`Setting`], described to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDescription {
    /// Its name.
    pub name: String,
    /// What it does, for people.
    pub description: String,
    /// The value that holds when the operator gives none.
    pub default: Option<String>,
}

/// The model of an operation when a call names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultModel {
    /// `embed`, `rerank`, ….
    pub operation: String,
    /// The provider's name of the model.
    pub model: String,
}

/// [`Limits`] of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLimits {
    /// `embed`, `rerank`, ….
    pub operation: String,
    /// Inputs, documents or points in one call.
    pub max_items: Option<u32>,
    /// Tokens in one item.
    pub max_item_tokens: Option<u32>,
    /// Tokens in one call.
    pub max_tokens: Option<u32>,
}

/// What a provider takes in one call of one operation. The host splits what is longer: state none for `rerank` where
/// documents are compared with each other (listwise), since the scores of two calls are then of two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Inputs, documents or points in one call.
    pub max_items: Option<u32>,
    /// Tokens in one item.
    pub max_item_tokens: Option<u32>,
    /// Tokens in one call.
    pub max_tokens: Option<u32>,
}

impl Limits {
    /// No limit known.
    pub const NONE: Limits = Limits {
        max_items: None,
        max_item_tokens: None,
        max_tokens: None,
    };
}

impl Manifest {
    /// A stateless adapter that wants nothing yet.
    pub fn new(name: &str, version: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            origins: Vec::new(),
            secrets: Vec::new(),
            settings: Vec::new(),
            default_models: Vec::new(),
            limits: Vec::new(),
            stateful: false,
        }
    }

    /// It wants to reach the origin of the URL in `setting`.
    pub fn origin_of(mut self, setting: Setting) -> Self {
        self.origins.push(Origin::OfSetting(setting.name().to_owned()));
        self
    }

    /// It wants to reach `origin`, whatever the settings.
    pub fn origin(mut self, origin: &str) -> Self {
        self.origins.push(Origin::Fixed(origin.to_owned()));
        self
    }

    /// It is useless without this secret.
    pub fn secret(self, name: &str, description: &str) -> Self {
        self.push_secret(name, description, true)
    }

    /// It can use this secret.
    pub fn optional_secret(self, name: &str, description: &str) -> Self {
        self.push_secret(name, description, false)
    }

    /// It takes this setting.
    pub fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting.describe());
        self
    }

    /// The model of `operation` when a call names none.
    pub fn default_model(mut self, operation: &str, model: &str) -> Self {
        self.default_models.push(DefaultModel {
            operation: operation.to_owned(),
            model: model.to_owned(),
        });
        self
    }

    /// What the provider takes in one call of `operation`.
    pub fn limits(mut self, operation: &str, limits: Limits) -> Self {
        let Limits {
            max_items,
            max_item_tokens,
            max_tokens,
        } = limits;
        self.limits.push(OperationLimits {
            operation: operation.to_owned(),
            max_items,
            max_item_tokens,
            max_tokens,
        });
        self
    }

    /// It keeps state: it wants to be resident, and storage of its own.
    pub fn stateful(mut self) -> Self {
        self.stateful = true;
        self
    }

    fn push_secret(mut self, name: &str, description: &str, required: bool) -> Self {
        self.secrets.push(Secret {
            name: name.to_owned(),
            description: description.to_owned(),
            required,
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_tells_what_was_declared() {
        const BASE_URL: Setting = Setting::new("base_url", "Where.").default("https://api.example.com");

        let manifest = Manifest::new("example", "1.0.0", "An example.")
            .origin_of(BASE_URL)
            .secret("api_key", "A key.")
            .optional_secret("session", "A session.")
            .setting(BASE_URL)
            .default_model("embed", "m")
            .limits(
                "embed",
                Limits {
                    max_items: Some(8),
                    ..Limits::NONE
                },
            )
            .stateful();

        assert_eq!(manifest.origins, [Origin::OfSetting("base_url".into())]);
        assert_eq!(
            manifest
                .secrets
                .iter()
                .map(|secret| secret.required)
                .collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(manifest.settings[0].default.as_deref(), Some("https://api.example.com"));
        assert_eq!(manifest.default_models[0].model, "m");
        assert_eq!(manifest.limits[0].max_items, Some(8));
        assert!(manifest.stateful);
    }
}

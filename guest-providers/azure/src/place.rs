//! Where Azure serves OpenAI's API.
//!
//! | place | URL | told by |
//! |---|---|---|
//! | version 1 | `RESOURCE/openai/v1/PATH` | no `api_version` |
//! | a deployment | `RESOURCE/openai/deployments/MODEL/PATH?api-version=V` | `api_version` |
//! | Foundry's models | `RESOURCE/models/PATH?api-version=V` | `/models` at the end of `base_url` |
//!
//! <https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle>,
//! <https://learn.microsoft.com/rest/api/aifoundry/modelinference>.

use weir_guest::types::Error;
use weir_guest::{failure, url};

use crate::{API_VERSION, BASE_URL};

const VERSION_1: &str = "/openai/v1";
const FOUNDRY: &str = "/models";

/// The version of Foundry's API where none is given: the only one there is.
const FOUNDRY_VERSION: &str = "2024-05-01-preview";

/// One of the places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// With its path.
    Version1(String),
    /// The resource, and the API's version.
    Deployments(String, String),
    /// With its path; and the API's version.
    Foundry(String, String),
}

impl Place {
    /// What the settings tell.
    ///
    /// # Errors
    /// `invalid-input` where there is no `base_url`.
    pub(crate) fn configured() -> Result<Self, Error> {
        Self::of(BASE_URL.url()?, API_VERSION.get()?)
    }

    fn of(base_url: String, version: Option<String>) -> Result<Self, Error> {
        if base_url.is_empty() {
            return Err(failure::refused(
                "no `base_url`: it is the resource's endpoint, such as https://NAME.openai.azure.com",
            ));
        }
        if base_url.ends_with(FOUNDRY) {
            let version = version.unwrap_or_else(|| FOUNDRY_VERSION.to_owned());
            return Ok(Self::Foundry(base_url, version));
        }
        if base_url.ends_with(VERSION_1) {
            return Ok(Self::Version1(base_url));
        }
        Ok(match version {
            Some(version) => Self::Deployments(base_url, version),
            None => Self::Version1(base_url + VERSION_1),
        })
    }

    /// Where `path` of the API is for a model, which is called as its deployment.
    ///
    /// # Errors
    /// `invalid-input` if the model's name can't be part of a path.
    pub(crate) fn url(&self, model: &str, path: &str) -> Result<String, Error> {
        Ok(match self {
            Self::Version1(base) => format!("{base}/{path}"),
            Self::Deployments(resource, version) => {
                let deployment = url::segment(model)?;
                format!("{resource}/openai/deployments/{deployment}/{path}?api-version={version}")
            }
            Self::Foundry(base, version) => format!("{base}/{path}?api-version={version}"),
        })
    }

    /// Where the resource's models are listed.
    pub(crate) fn models_url(&self) -> String {
        match self {
            Self::Version1(base) => format!("{base}/models"),
            Self::Deployments(resource, version) => format!("{resource}/openai/models?api-version={version}"),
            Self::Foundry(base, version) => format!("{base}?api-version={version}"),
        }
    }

    /// Whether vectors can be asked for by what they are for.
    pub(crate) fn tells_kinds(&self) -> bool {
        matches!(self, Self::Foundry(..))
    }

    /// What the limit on an answer's tokens is called: OpenAI's newer models know the new name alone.
    pub(crate) fn max_tokens(&self) -> &'static str {
        match self {
            Self::Foundry(..) => "max_tokens",
            _ => "max_completion_tokens",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base_url: &str, version: Option<&str>) -> String {
        let place = Place::of(base_url.to_owned(), version.map(str::to_owned)).unwrap();
        place.url("my gpt", "chat/completions").unwrap()
    }

    #[test]
    fn the_address_and_the_version_tell_the_place() {
        let resource = "https://r.openai.azure.com";
        assert_eq!(
            url(resource, None),
            "https://r.openai.azure.com/openai/v1/chat/completions"
        );
        assert_eq!(
            url("https://r.openai.azure.com/openai/v1", Some("preview")),
            "https://r.openai.azure.com/openai/v1/chat/completions"
        );
        assert_eq!(
            url(resource, Some("2024-10-21")),
            "https://r.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(
            url("https://r.services.ai.azure.com/models", None),
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"
        );
    }

    #[test]
    fn a_resource_is_needed() {
        assert!(matches!(
            Place::of(String::new(), None),
            Err(Error::InvalidInput(failure)) if failure.message.contains("base_url")
        ));
    }
}

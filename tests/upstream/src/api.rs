//! The served APIs, one module each, and what they share: who may ask, and how an error looks.

pub(crate) mod chat;
pub(crate) mod cohere;
pub(crate) mod encoding;
pub(crate) mod openai;
pub(crate) mod qdrant;
pub(crate) mod voyage;

use std::{fmt, str::FromStr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tower::ServiceExt;

use crate::state::State;

/// One of the served APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Voyage AI: embeddings and reranking.
    Voyage,
    /// Cohere: embeddings and reranking, version 2.
    Cohere,
    /// OpenAI: embeddings, chat completions and models.
    OpenAi,
    /// Qdrant: collections and points.
    Qdrant,
}

impl Api {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Voyage, Self::Cohere, Self::OpenAi, Self::Qdrant];

    /// Its name in lower case: also its prefix on the shared port.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voyage => "voyage",
            Self::Cohere => "cohere",
            Self::OpenAi => "openai",
            Self::Qdrant => "qdrant",
        }
    }

    /// What a client's base URL ends with: the version, where clients have it in the base URL.
    pub const fn base_path(self) -> &'static str {
        match self {
            Self::Voyage | Self::OpenAi => "/v1",
            Self::Cohere | Self::Qdrant => "",
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Api {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|api| api.name() == name)
            .ok_or_else(|| anyhow::anyhow!("no API `{name}`: there are voyage, cohere, openai and qdrant"))
    }
}

/// The routes of every API, each as its provider serves them: without our prefix.
#[derive(Debug, Clone)]
pub(crate) struct Routers {
    voyage: Router,
    cohere: Router,
    openai: Router,
    qdrant: Router,
}

impl Routers {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        Self {
            voyage: voyage::router(state.clone()),
            cohere: cohere::router(state.clone()),
            openai: openai::router(state.clone()),
            qdrant: qdrant::router(state.clone()),
        }
    }

    /// Answers a request whose path is the provider's own, once its key is right.
    pub(crate) async fn answer(&self, api: Api, state: &State, mut request: Request) -> Response {
        let key = state.keys.of(api);
        let headers = request.headers();
        let admitted = match api {
            Api::Voyage => voyage::admit(headers, key),
            Api::Cohere => cohere::admit(headers, key),
            Api::OpenAi => openai::admit(headers, key),
            Api::Qdrant => match qdrant::admit(headers, request.uri().path(), key, state.keys.read_only()) {
                Ok(access) => {
                    request.extensions_mut().insert(access);
                    Ok(())
                }
                Err(refusal) => Err(refusal),
            },
        };
        if let Err(refusal) = admitted {
            return *refusal;
        }
        let router = match api {
            Api::Voyage => &self.voyage,
            Api::Cohere => &self.cohere,
            Api::OpenAi => &self.openai,
            Api::Qdrant => &self.qdrant,
        };
        router.clone().oneshot(request).await.into_response()
    }
}

/// An error with this status in the API's own shape.
pub(crate) fn error(api: Api, status: StatusCode, message: &str) -> Response {
    match api {
        Api::Voyage => voyage::Error::new(status, message).into_response(),
        Api::Cohere => cohere::Error::new(status, message).into_response(),
        Api::OpenAi => openai::Error::new(status, message).into_response(),
        Api::Qdrant => qdrant::error(status, message),
    }
}

/// The token of `Authorization: Bearer …`; the scheme's case matters nowhere but at Qdrant.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The body as the route takes it, or what was wrong with it and where.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the request body is not valid: {error}"))
}

/// A text or a list of texts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TextOrTexts {
    One(String),
    Many(Vec<String>),
}

impl TextOrTexts {
    fn into_texts(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

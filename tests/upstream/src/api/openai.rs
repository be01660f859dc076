//! OpenAI: `POST /v1/embeddings`, `POST /v1/chat/completions` and `GET /v1/models`; errors are `{"error": {…}}`.
//!
//! Any model name is served by the one local model, since this API is spoken by many providers; a name that begins
//! with `no-such-` is refused as an unknown one. Limits are OpenAI's (platform.openai.com, "Embeddings"): 2,048 inputs,
//! 8,192 tokens an input, 300,000 a request.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    TextOrTexts, bearer, chat,
    encoding::{self, ElementType, Encoded},
    parse,
};
use crate::state::State;

const MOST_INPUTS: usize = 2_048;
const LONGEST_INPUT: u64 = 8_192;
const MOST_TOKENS: u64 = 300_000;
/// Our own bound on `dimensions`; the widest model has 3,072.
const WIDEST: usize = 4_096;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/models", get(models))
        .fallback(|request: Request| async move {
            let message = format!("Invalid URL ({} {})", request.method(), request.uri().path());
            Error::new(StatusCode::NOT_FOUND, message)
        })
        .method_not_allowed_fallback(|| async { Error::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed") })
        .with_state(state)
}

/// Gives an answer its request id; errors have one too.
pub(crate) fn number(state: &State, headers: &mut HeaderMap) {
    if let Ok(id) = HeaderValue::from_str(&format!("req_{:016x}", state.next_number())) {
        headers.insert("x-request-id", id);
    }
}

pub(super) fn admit(headers: &HeaderMap, key: &str) -> Result<(), Box<Response>> {
    let error = match bearer(headers) {
        Some(given) if given == key => return Ok(()),
        Some(_) => Error {
            code: Some("invalid_api_key"),
            ..Error::new(StatusCode::UNAUTHORIZED, "Incorrect API key provided.")
        },
        None => Error::new(
            StatusCode::UNAUTHORIZED,
            "You didn't provide an API key: send it in an Authorization header, as Bearer and the key.",
        ),
    };
    Err(Box::new(error.into_response()))
}

/// An error in OpenAI's shape.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Error {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param),
            ..Self::new(StatusCode::BAD_REQUEST, message)
        }
    }

    pub(super) fn body(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let kind = match self.status.as_u16() {
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"message": self.message, "type": kind, "param": self.param, "code": self.code});
        (self.status, Json(json!({"error": error}))).into_response()
    }
}

/// Refuses the names that stand for unknown models.
pub(super) fn check_model(model: &str) -> Result<(), Error> {
    if !model.starts_with("no-such-") {
        return Ok(());
    }
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    Err(Error {
        code: Some("model_not_found"),
        ..Error::new(StatusCode::NOT_FOUND, message)
    })
}

/// Seconds since 1970, as `created` has it.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[derive(Deserialize)]
struct EmbeddingsRequest {
    input: Input,
    model: String,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(default)]
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Texts(TextOrTexts),
    Tokens(Vec<Value>),
}

#[derive(Serialize)]
struct EmbeddingsAnswer {
    object: &'static str,
    data: Vec<EmbeddingObject>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct EmbeddingObject {
    object: &'static str,
    index: usize,
    embedding: Encoded,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

async fn embeddings(Shared(state): Shared<Arc<State>>, body: Bytes) -> Result<Json<EmbeddingsAnswer>, Error> {
    let request: EmbeddingsRequest = parse(&body).map_err(Error::body)?;
    check_model(&request.model)?;
    let texts = match request.input {
        Input::Texts(texts) => texts.into_texts(),
        Input::Tokens(list) if list.is_empty() => Vec::new(),
        Input::Tokens(_) => {
            let message = "token ids are of another tokenizer than this local server's; send texts";
            return Err(Error::invalid("input", message));
        }
    };
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(Error::invalid(
            "input",
            "'$.input' is invalid: it must not be empty or hold empty strings.",
        ));
    }
    if texts.len() > MOST_INPUTS {
        let message = format!(
            "'$.input' is too long: {} items where at most {MOST_INPUTS} are taken.",
            texts.len()
        );
        return Err(Error::invalid("input", message));
    }
    if request
        .dimensions
        .is_some_and(|dimensions| !(1..=WIDEST).contains(&dimensions))
    {
        return Err(Error::invalid(
            "dimensions",
            format!("'dimensions' must be from 1 to {WIDEST}."),
        ));
    }
    let write = match request.encoding_format.as_deref() {
        None | Some("float") => encoding::numbers,
        Some("base64") => encoding::base64,
        Some(_) => {
            return Err(Error::invalid(
                "encoding_format",
                "'encoding_format' must be float or base64.",
            ));
        }
    };
    let mut tokens = 0;
    let mut data = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let embedding = state.model.embed(text, request.dimensions);
        if embedding.tokens > LONGEST_INPUT {
            let message = format!(
                "This model's maximum context length is {LONGEST_INPUT} tokens, however you requested {} tokens.",
                embedding.tokens
            );
            return Err(Error::invalid("input", message));
        }
        tokens += embedding.tokens;
        data.push(EmbeddingObject {
            object: "embedding",
            index,
            embedding: write(&embedding.vector, ElementType::Float),
        });
    }
    if tokens > MOST_TOKENS {
        let message = format!("Requested {tokens} tokens, max {MOST_TOKENS} tokens per request");
        return Err(Error {
            code: Some("max_tokens_per_request"),
            ..Error::invalid("input", message)
        });
    }
    let usage = Usage {
        prompt_tokens: tokens,
        total_tokens: tokens,
    };
    Ok(Json(EmbeddingsAnswer {
        object: "list",
        data,
        model: request.model,
        usage,
    }))
}

/// Some of the names that are served; any other is too.
async fn models() -> Json<Value> {
    let model = |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "local"});
    let data: Vec<Value> = ["gpt-4o-mini", "text-embedding-3-small"].map(model).into();
    Json(json!({"object": "list", "data": data}))
}

//! The adapter for Amazon Bedrock (<https://docs.aws.amazon.com/bedrock/latest/APIReference/>): embeddings and reranking
//! by the models' own bodies (`invoke`), chat by the one body for all (`converse`).
//!
//! | module | speaks |
//! |---|---|
//! | [`endpoint`] | where requests go, and with which credential |
//! | [`embed`], [`numbers`] | embedding models: Titan, Cohere, Nova |
//! | [`rerank`] | reranking models: Cohere, Amazon |
//! | [`converse`] | conversations, whole and as an event stream |
//! | [`list`] | the models there are |
//! | [`refusal`] | errors, whose type stands in a header |

mod converse;
mod embed;
mod endpoint;
mod list;
mod numbers;
mod refusal;
mod rerank;

use conversation::{Request as ChatRequest, Response as ChatResponse};
use weir_guest::types::{EmbeddingRequest, Error};
use weir_guest::{Limits, Manifest, Setting, eventstream};

use endpoint::Endpoint;

struct Bedrock;

conversation::provider!(
    Bedrock,
    "
    package weir:bedrock;
    world adapter {
        include weir:provider/embedding-provider@0.1.0;
        include weir:provider/reranking-provider@0.1.0;
        include weir:provider/chat-provider@0.1.0;
        include weir:provider/models-provider@0.1.0;
    }
"
);

const DEFAULT_EMBEDDING_MODEL: &str = "amazon.titan-embed-text-v2:0";
const DEFAULT_CHAT_MODEL: &str = "amazon.nova-lite-v1:0";
const DEFAULT_RERANKING_MODEL: &str = "cohere.rerank-v3-5:0";

const MODEL: Setting = Setting::new(
    "model",
    "The embedding model when a call names none: its id, or an ARN that contains it.",
)
.default(DEFAULT_EMBEDDING_MODEL);
const CHAT_MODEL: Setting = Setting::new(
    "chat_model",
    "The chat model when a call names none: its id, an inference profile's, or an ARN.",
)
.default(DEFAULT_CHAT_MODEL);
const RERANK_MODEL: Setting =
    Setting::new("rerank_model", "The reranking model when a call names none.").default(DEFAULT_RERANKING_MODEL);

impl metadata::Guest for Bedrock {
    fn describe() -> Manifest {
        Manifest::new(
            "bedrock",
            env!("CARGO_PKG_VERSION"),
            "Embeddings, reranking and chat by the models on Amazon Bedrock.",
        )
        .origin_of(endpoint::BASE_URL)
        .origin_of(endpoint::AGENT_BASE_URL)
        .origin_of(endpoint::CONTROL_BASE_URL)
        .optional_secret(
            endpoint::BEARER_TOKEN,
            "A Bedrock API key, usually in AWS_BEARER_TOKEN_BEDROCK. It goes before the others.",
        )
        .optional_secret(
            endpoint::ACCESS_KEY_ID,
            "The id of an AWS access key, usually in AWS_ACCESS_KEY_ID.",
        )
        .optional_secret(
            endpoint::SECRET_ACCESS_KEY,
            "The key itself, usually in AWS_SECRET_ACCESS_KEY.",
        )
        .optional_secret(
            endpoint::SESSION_TOKEN,
            "The token of a key that expires, usually in AWS_SESSION_TOKEN.",
        )
        .setting(endpoint::BASE_URL)
        .setting(endpoint::AGENT_BASE_URL)
        .setting(endpoint::CONTROL_BASE_URL)
        .setting(endpoint::REGION)
        .setting(endpoint::GRANTED_SECRETS)
        .setting(MODEL)
        .setting(embed::FAMILY)
        .setting(CHAT_MODEL)
        .setting(RERANK_MODEL)
        .default_model("embed", DEFAULT_EMBEDDING_MODEL)
        .default_model("chat", DEFAULT_CHAT_MODEL)
        .default_model("rerank", DEFAULT_RERANKING_MODEL)
        // Cohere's: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
        .limits(
            "embed",
            Limits {
                max_items: Some(96),
                ..Limits::NONE
            },
        )
        // https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html
        .limits(
            "rerank",
            Limits {
                max_items: Some(1_000),
                ..Limits::NONE
            },
        )
    }
}

impl embedding::Guest for Bedrock {
    async fn embed(request: EmbeddingRequest) -> Result<embedding::Response, Error> {
        let model = MODEL.or(request.model.clone())?;
        embed::run(&Endpoint::configured()?, model, &request).await
    }
}

impl reranking::Guest for Bedrock {
    async fn rerank(request: reranking::Request) -> Result<reranking::Response, Error> {
        let model = RERANK_MODEL.or(request.model.clone())?;
        let endpoint = Endpoint::configured()?;
        let post = match endpoint::agent_base_url()? {
            Some(agent) => endpoint
                .post("rerank", format!("{agent}/rerank"))
                .json(&rerank::by_agent(&model, &endpoint.region, &request)),
            None => endpoint
                .model("rerank", &model, "invoke")?
                .json(&rerank::by_model(&model, &request)),
        };
        let answer = post.replay_safe().send().await?;
        rerank::read(answer.body(), model, &request)
    }
}

impl models::Guest for Bedrock {
    async fn list_models() -> Result<Vec<models::Model>, Error> {
        let answer = Endpoint::configured()?.models()?.replay_safe().send().await?;
        list::read(answer.body())
    }
}

impl chat::Guest for Bedrock {
    async fn chat(request: ChatRequest) -> Result<ChatResponse, Error> {
        let model = CHAT_MODEL.or(request.model.clone())?;
        let body = converse::body(&request)?;
        let post = Endpoint::configured()?.model("chat", &model, "converse")?;
        let answer = post.json(&body).send().await?;
        converse::read(answer.body(), model)
    }

    async fn chat_streaming(request: ChatRequest) -> Result<chat::StreamingResponse, Error> {
        let model = CHAT_MODEL.or(request.model.clone())?;
        let body = converse::body(&request)?;
        let post = Endpoint::configured()?.model("chat", &model, "converse-stream")?;
        let events = post.json(&body).send_framed::<eventstream::Parser>().await?;
        let answer = conversation::begin(events, converse::Decoder::default(), model).await?;
        Ok(streaming_response(answer))
    }
}

//! The presets themselves.
//!
//! Time-outs of conversations: servers that are documented to be used through OpenAI's client wait as long as that does,
//! 600 s (`DEFAULT_TIMEOUT` in its `_constants.py`); deepseek itself ends what has not begun after ten minutes
//! (<https://api-docs.deepseek.com/quick_start/rate_limit>). The clients of groq, cerebras and together wait 60 s, which
//! is the pool's default; Cohere's 300 s, perplexity's 900 s. Retries are the same for all: `resilience` has their sources.

use super::{PLAIN, Preset, Regions};
use crate::config::settings::Isolation;

/// This machine's own addresses.
const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1/128"];

/// What OpenAI's own client waits for an answer, in seconds.
const OPENAI_CLIENT_TIMEOUT: u32 = 600;

/// What Cohere's own client waits, in seconds.
const COHERE_CLIENT_TIMEOUT: u32 = 300;

/// A server that speaks OpenAI's API.
const COMPATIBLE: Preset = Preset {
    component: "openai",
    chat_timeout: Some(OPENAI_CLIENT_TIMEOUT),
    ..PLAIN
};

/// All presets, in the order in which they are shown.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "voyage",
        component: "voyage",
        // Keys made in MongoDB Atlas serve at its own address.
        base_url_by_key: Some(("al-", "https://ai.mongodb.com/v1")),
        key_variables: &["VOYAGE_API_KEY"],
        ..PLAIN
    },
    Preset {
        name: "cohere",
        component: "cohere",
        base_url_variables: &["CO_API_URL"],
        key_variables: &["COHERE_API_KEY", "CO_API_KEY"],
        chat_timeout: Some(COHERE_CLIENT_TIMEOUT),
        ..PLAIN
    },
    Preset {
        name: "openai",
        base_url_variables: &["OPENAI_BASE_URL"],
        key_variables: &["OPENAI_API_KEY"],
        ..COMPATIBLE
    },
    // https://docs.mistral.ai/api
    Preset {
        name: "mistral",
        component: "mistral",
        key_variables: &["MISTRAL_API_KEY"],
        ..COMPATIBLE
    },
    // Variables as OpenAI's own client for Azure reads them.
    Preset {
        name: "azure",
        component: "azure",
        base_url_variables: &["AZURE_OPENAI_ENDPOINT"],
        key_variables: &["AZURE_OPENAI_API_KEY"],
        setting_variables: &[("api_version", &["OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION"])],
        ..COMPATIBLE
    },
    // A deployment of Cohere's models, which has Cohere's own API.
    Preset {
        name: "azure-cohere",
        component: "cohere",
        base_url_variables: &["AZURE_COHERE_ENDPOINT"],
        key_variables: &["AZURE_COHERE_API_KEY"],
        chat_timeout: Some(COHERE_CLIENT_TIMEOUT),
        ..PLAIN
    },
    // https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    Preset {
        name: "huggingface",
        component: "huggingface",
        key_variables: &["HF_TOKEN"],
        ..COMPATIBLE
    },
    // https://ai.google.dev/gemini-api/docs/api-key; its own client waits without end.
    Preset {
        name: "google",
        component: "google",
        base_url_variables: &["GOOGLE_GEMINI_BASE_URL"],
        base_url_path: "/v1beta",
        key_variables: &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
        chat_timeout: Some(OPENAI_CLIENT_TIMEOUT),
        ..PLAIN
    },
    // Variables as Anthropic's own client reads them, which waits as long as OpenAI's.
    Preset {
        name: "anthropic",
        component: "anthropic",
        base_url_variables: &["ANTHROPIC_BASE_URL"],
        base_url_path: "/v1",
        key_variables: &["ANTHROPIC_API_KEY"],
        chat_timeout: Some(OPENAI_CLIENT_TIMEOUT),
        ..PLAIN
    },
    // Variables as AWS's own clients read them, which wait 60 s (`read_timeout` of botocore's `Config`).
    Preset {
        name: "bedrock",
        component: "bedrock",
        base_url_variables: &["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
        regions: Some(Regions {
            default: "us-east-1",
            addresses: &[
                ("base_url", "https://bedrock-runtime.", ".amazonaws.com"),
                ("control_base_url", "https://bedrock.", ".amazonaws.com"),
            ],
        }),
        secrets: &[
            ("bearer_token", &["AWS_BEARER_TOKEN_BEDROCK"]),
            ("access_key_id", &["AWS_ACCESS_KEY_ID"]),
            ("secret_access_key", &["AWS_SECRET_ACCESS_KEY"]),
            ("session_token", &["AWS_SESSION_TOKEN"]),
        ],
        setting_variables: &[("region", &["AWS_REGION", "AWS_DEFAULT_REGION"])],
        ..PLAIN
    },
    // https://docs.fireworks.ai/tools-sdks/openai-compatibility
    Preset {
        name: "fireworks",
        base_url: Some("https://api.fireworks.ai/inference/v1"),
        key_variables: &["FIREWORKS_API_KEY"],
        ..COMPATIBLE
    },
    // https://docs.github.com/en/rest/models/inference
    Preset {
        name: "github",
        base_url: Some("https://models.github.ai/inference"),
        // https://docs.github.com/en/rest/models/catalog
        config: &[("models_path", "../catalog/models")],
        key_variables: &["GITHUB_TOKEN"],
        ..COMPATIBLE
    },
    // https://docs.x.ai/docs/api-reference
    Preset {
        name: "xai",
        base_url: Some("https://api.x.ai/v1"),
        key_variables: &["XAI_API_KEY"],
        ..COMPATIBLE
    },
    // https://console.groq.com/docs/openai
    Preset {
        name: "groq",
        base_url: Some("https://api.groq.com/openai/v1"),
        base_url_variables: &["GROQ_BASE_URL"],
        base_url_path: "/openai/v1",
        key_variables: &["GROQ_API_KEY"],
        chat_timeout: None,
        ..COMPATIBLE
    },
    // https://platform.moonshot.ai/docs/api/chat
    Preset {
        name: "moonshot",
        base_url: Some("https://api.moonshot.ai/v1"),
        key_variables: &["MOONSHOTAI_API_KEY", "MOONSHOT_API_KEY"],
        ..COMPATIBLE
    },
    // https://docs.ollama.com/openai
    Preset {
        name: "ollama",
        base_url: Some("http://localhost:11434/v1"),
        base_url_variables: &["OLLAMA_BASE_URL"],
        base_url_path: "/v1",
        allow_private: LOOPBACK,
        ..COMPATIBLE
    },
    // https://openrouter.ai/docs/api-reference/overview
    Preset {
        name: "openrouter",
        base_url: Some("https://openrouter.ai/api/v1"),
        key_variables: &["OPENROUTER_API_KEY"],
        ..COMPATIBLE
    },
    Preset {
        name: "perplexity",
        component: "perplexity",
        key_variables: &["PERPLEXITY_API_KEY"],
        // Its own client's; research takes long.
        chat_timeout: Some(900),
        ..COMPATIBLE
    },
    // https://inference-docs.cerebras.ai/resources/openai
    Preset {
        name: "cerebras",
        base_url: Some("https://api.cerebras.ai/v1"),
        key_variables: &["CEREBRAS_API_KEY"],
        chat_timeout: None,
        ..COMPATIBLE
    },
    Preset {
        name: "deepseek",
        base_url: Some("https://api.deepseek.com"),
        key_variables: &["DEEPSEEK_API_KEY"],
        ..COMPATIBLE
    },
    // https://docs.together.ai/docs/openai-api-compatibility
    Preset {
        name: "together",
        base_url: Some("https://api.together.ai/v1"),
        key_variables: &["TOGETHER_API_KEY"],
        chat_timeout: None,
        ..COMPATIBLE
    },
    // https://vercel.com/docs/ai-gateway/openai-compat
    Preset {
        name: "vercel",
        base_url: Some("https://ai-gateway.vercel.sh/v1"),
        key_variables: &["AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"],
        ..COMPATIBLE
    },
    // https://devcenter.heroku.com/articles/heroku-inference-api-v1-chat-completions
    Preset {
        name: "heroku",
        base_url: Some("https://us.inference.heroku.com/v1"),
        base_url_variables: &["INFERENCE_URL"],
        base_url_path: "/v1",
        key_variables: &["INFERENCE_KEY"],
        setting_variables: &[("chat_model", &["INFERENCE_MODEL_ID"])],
        ..COMPATIBLE
    },
    Preset {
        name: "qdrant",
        component: "qdrant",
        base_url: Some("http://localhost:6333"),
        base_url_variables: &["QDRANT_URL"],
        key_variables: &["QDRANT_API_KEY", "QDRANT__SERVICE__API_KEY"],
        allow_private: LOOPBACK,
        // Seen on 1.18: a request larger than the whole quota is refused so.
        untold_429_is_final: true,
        ..PLAIN
    },
    // https://docs.tavily.com/sdk/python/quick-start
    Preset {
        name: "tavily",
        component: "tavily",
        key_variables: &["TAVILY_API_KEY"],
        ..PLAIN
    },
    // https://jina.ai/embeddings
    Preset {
        name: "jina",
        component: "jina",
        key_variables: &["JINA_API_KEY"],
        ..PLAIN
    },
    // Text Embeddings Inference, which names no variables of its clients'.
    Preset {
        name: "tei",
        component: "tei",
        base_url: Some("http://localhost:8080"),
        base_url_variables: &["TEI_URL"],
        key_variables: &["TEI_API_KEY"],
        allow_private: LOOPBACK,
        ..PLAIN
    },
    // https://docs.trychroma.com/cloud/getting-started
    Preset {
        name: "chroma",
        component: "chroma",
        base_url: Some("http://localhost:8000"),
        base_url_variables: &["CHROMA_URL"],
        // Keys of Chroma Cloud.
        base_url_by_key: Some(("ck-", "https://api.trychroma.com")),
        key_variables: &["CHROMA_API_KEY"],
        setting_variables: &[("tenant", &["CHROMA_TENANT"]), ("database", &["CHROMA_DATABASE"])],
        allow_private: LOOPBACK,
        ..PLAIN
    },
    Preset {
        name: "local",
        component: "local",
        always: true,
        ..PLAIN
    },
    Preset {
        name: "memory",
        component: "memory",
        always: true,
        // It holds its collections in memory while it serves.
        memory: Some("1GiB"),
        // As much as an instance's memory can be raised to: what it can hold, it can keep.
        storage: Some("4GiB"),
        // Its first call reads them all: about 0.1 s for 1,000 points of 256 dimensions.
        cpu_time: Some(60),
        isolation: Isolation::Resident,
        ..PLAIN
    },
];

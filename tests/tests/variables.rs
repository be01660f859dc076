//! With the variables alone that a provider's users have set already, requests go to its own address with the key in
//! its own header.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use serde_json::{Value, json};
use weir_tests::{Intermediary, Program};

const KEY: &str = "k-of-the-environment";

/// A provider, variables besides its key's, an operation, and where that goes.
struct Row {
    provider: &'static str,
    key: &'static str,
    others: &'static [(&'static str, &'static str)],
    operation: &'static str,
    url: &'static str,
    header: &'static str,
}

const fn row(provider: &'static str, key: &'static str, operation: &'static str, url: &'static str) -> Row {
    Row {
        provider,
        key,
        others: &[],
        operation,
        url,
        header: "authorization",
    }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("voyage", "VOYAGE_API_KEY", "embed", "https://api.voyageai.com/v1/embeddings"),
    row("voyage", "VOYAGE_API_KEY", "rerank", "https://api.voyageai.com/v1/rerank"),
    row("cohere", "COHERE_API_KEY", "embed", "https://api.cohere.com/v2/embed"),
    row("cohere", "CO_API_KEY", "rerank", "https://api.cohere.com/v2/rerank"),
    row("cohere", "COHERE_API_KEY", "chat", "https://api.cohere.com/v2/chat"),
    row("openai", "OPENAI_API_KEY", "embed", "https://api.openai.com/v1/embeddings"),
    row("openai", "OPENAI_API_KEY", "chat", "https://api.openai.com/v1/chat/completions"),
    row("openai", "OPENAI_API_KEY", "models", "https://api.openai.com/v1/models"),
    row("mistral", "MISTRAL_API_KEY", "embed", "https://api.mistral.ai/v1/embeddings"),
    row("mistral", "MISTRAL_API_KEY", "chat", "https://api.mistral.ai/v1/chat/completions"),
    Row {
        others: &[("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")],
        header: "api-key",
        ..row("azure", "AZURE_OPENAI_API_KEY", "chat", "https://mine.openai.azure.com/openai/v1/chat/completions")
    },
    Row {
        others: &[
            ("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com"),
            ("OPENAI_API_VERSION", "2024-10-21"),
        ],
        header: "api-key",
        ..row(
            "azure", "AZURE_OPENAI_API_KEY", "embed",
            "https://mine.openai.azure.com/openai/deployments/a-model/embeddings?api-version=2024-10-21",
        )
    },
    Row {
        others: &[("AZURE_OPENAI_ENDPOINT", "https://mine.services.ai.azure.com/models")],
        header: "api-key",
        ..row(
            "azure", "AZURE_OPENAI_API_KEY", "chat",
            "https://mine.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
        )
    },
    Row {
        others: &[("AZURE_COHERE_ENDPOINT", "https://mine.eastus2.models.ai.azure.com")],
        ..row(
            "azure-cohere", "AZURE_COHERE_API_KEY", "embed",
            "https://mine.eastus2.models.ai.azure.com/v2/embed",
        )
    },
    row(
        "huggingface", "HF_TOKEN", "embed",
        "https://router.huggingface.co/hf-inference/models/a-model/pipeline/feature-extraction",
    ),
    row("huggingface", "HF_TOKEN", "chat", "https://router.huggingface.co/v1/chat/completions"),
    Row {
        header: "x-goog-api-key",
        ..row(
            "google", "GOOGLE_API_KEY", "embed",
            "https://generativelanguage.googleapis.com/v1beta/models/a-model:batchEmbedContents",
        )
    },
    Row {
        header: "x-goog-api-key",
        ..row(
            "google", "GEMINI_API_KEY", "chat",
            "https://generativelanguage.googleapis.com/v1beta/models/a-model:generateContent",
        )
    },
    Row {
        // Both set: Google's own client takes the first.
        others: &[("GEMINI_API_KEY", "another-key")],
        header: "x-goog-api-key",
        ..row(
            "google", "GOOGLE_API_KEY", "models",
            "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
        )
    },
    Row {
        header: "x-api-key",
        ..row("anthropic", "ANTHROPIC_API_KEY", "chat", "https://api.anthropic.com/v1/messages")
    },
    Row {
        others: &[("ANTHROPIC_BASE_URL", "https://gateway.example")],
        header: "x-api-key",
        ..row("anthropic", "ANTHROPIC_API_KEY", "models", "https://gateway.example/v1/models?limit=1000")
    },
    row(
        "bedrock", "AWS_BEARER_TOKEN_BEDROCK", "chat",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/a-model/converse",
    ),
    Row {
        others: &[("AWS_REGION", "eu-west-2")],
        ..row("bedrock", "AWS_BEARER_TOKEN_BEDROCK", "models", "https://bedrock.eu-west-2.amazonaws.com/foundation-models")
    },
    Row {
        others: &[
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-3"),
            ("AWS_ACCESS_KEY_ID", "another-key"),
            ("AWS_SECRET_ACCESS_KEY", "another-secret"),
        ],
        ..row(
            "bedrock", "AWS_BEARER_TOKEN_BEDROCK", "rerank",
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/a-model/invoke",
        )
    },
    row("fireworks", "FIREWORKS_API_KEY", "chat", "https://api.fireworks.ai/inference/v1/chat/completions"),
    row("github", "GITHUB_TOKEN", "chat", "https://models.github.ai/inference/chat/completions"),
    row("github", "GITHUB_TOKEN", "models", "https://models.github.ai/catalog/models"),
    row("perplexity", "PERPLEXITY_API_KEY", "models", "https://api.perplexity.ai/v1/models"),
    row("xai", "XAI_API_KEY", "chat", "https://api.x.ai/v1/chat/completions"),
    row("groq", "GROQ_API_KEY", "chat", "https://api.groq.com/openai/v1/chat/completions"),
    row("moonshot", "MOONSHOTAI_API_KEY", "chat", "https://api.moonshot.ai/v1/chat/completions"),
    row("openrouter", "OPENROUTER_API_KEY", "chat", "https://openrouter.ai/api/v1/chat/completions"),
    row("openrouter", "OPENROUTER_API_KEY", "rerank", "https://openrouter.ai/api/v1/rerank"),
    row("perplexity", "PERPLEXITY_API_KEY", "chat", "https://api.perplexity.ai/chat/completions"),
    row("perplexity", "PERPLEXITY_API_KEY", "embed", "https://api.perplexity.ai/v1/embeddings"),
    row("perplexity", "PERPLEXITY_API_KEY", "web-search", "https://api.perplexity.ai/search"),
    row("cerebras", "CEREBRAS_API_KEY", "chat", "https://api.cerebras.ai/v1/chat/completions"),
    row("deepseek", "DEEPSEEK_API_KEY", "chat", "https://api.deepseek.com/chat/completions"),
    row("together", "TOGETHER_API_KEY", "chat", "https://api.together.ai/v1/chat/completions"),
    row("together", "TOGETHER_API_KEY", "rerank", "https://api.together.ai/v1/rerank"),
    row("vercel", "AI_GATEWAY_API_KEY", "chat", "https://ai-gateway.vercel.sh/v1/chat/completions"),
    row("vercel", "VERCEL_OIDC_TOKEN", "embed", "https://ai-gateway.vercel.sh/v1/embeddings"),
    row("heroku", "INFERENCE_KEY", "chat", "https://us.inference.heroku.com/v1/chat/completions"),
    Row {
        others: &[("INFERENCE_URL", "https://eu.inference.heroku.com")],
        ..row("heroku", "INFERENCE_KEY", "chat", "https://eu.inference.heroku.com/v1/chat/completions")
    },
    Row {
        others: &[("AWS_REGION", "eu-central-1")],
        ..row(
            "bedrock", "AWS_BEARER_TOKEN_BEDROCK", "chat",
            "https://bedrock-runtime.eu-central-1.amazonaws.com/model/a-model/converse",
        )
    },
    row("tavily", "TAVILY_API_KEY", "web-search", "https://api.tavily.com/search"),
    row("jina", "JINA_API_KEY", "embed", "https://api.jina.ai/v1/embeddings"),
    row("jina", "JINA_API_KEY", "rerank", "https://api.jina.ai/v1/rerank"),
    Row {
        others: &[("TEI_URL", "https://mine.example")],
        ..row("tei", "TEI_API_KEY", "rerank", "https://mine.example/rerank")
    },
    Row {
        others: &[("QDRANT_URL", "https://mine.cloud.qdrant.io:6333")],
        header: "api-key",
        ..row("qdrant", "QDRANT__SERVICE__API_KEY", "list-collections", "https://mine.cloud.qdrant.io:6333/collections")
    },
    Row {
        others: &[("TEI_URL", "https://tei.example.com")],
        ..row("tei", "TEI_API_KEY", "embed", "https://tei.example.com/embed")
    },
    Row {
        others: &[("TEI_URL", "https://tei.example.com")],
        ..row("tei", "TEI_API_KEY", "embed-sparse", "https://tei.example.com/embed_sparse")
    },
    Row {
        others: &[("TEI_URL", "https://tei.example.com/")],
        ..row("tei", "TEI_API_KEY", "models", "https://tei.example.com/info")
    },
    Row {
        others: &[
            ("CHROMA_URL", "https://chroma.example.com"),
            ("CHROMA_TENANT", "mine"),
            ("CHROMA_DATABASE", "first"),
        ],
        header: "x-chroma-token",
        ..row(
            "chroma", "CHROMA_API_KEY", "list-collections",
            "https://chroma.example.com/api/v2/tenants/mine/databases/first/collections?limit=100&offset=0",
        )
    },
];

fn input(operation: &str) -> Value {
    match operation {
        "embed" | "embed-sparse" => json!({ "inputs": ["x"], "model": "a-model" }),
        "rerank" => json!({ "query": "q", "documents": ["x"], "model": "a-model" }),
        "chat" => json!({ "messages": [{ "role": "user", "content": "hi" }], "model": "a-model" }),
        "web-search" => json!({ "query": "q" }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_alone_leads_to_the_providers_own_address() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let intermediary = Intermediary::start(&authority).await.unwrap();
    for row in ROWS {
        let program = Program::new()
            .unwrap()
            .env("HTTPS_PROXY", &intermediary.url())
            .env("SSL_CERT_FILE", authority.to_str().unwrap())
            .env(row.key, KEY);
        let program = row
            .others
            .iter()
            .fold(program, |program, (name, value)| program.env(name, value));
        let input = input(row.operation).to_string();

        let finished = program
            .run(["--json", "call", row.provider, row.operation, "--input", &input])
            .unwrap();

        let seen = intermediary.seen();
        let [(server, sent)] = &seen[..] else {
            panic!("{}: {} requests: {finished:?}", row.provider, seen.len())
        };
        let url = format!("https://{}{}", server.trim_end_matches(":443"), sent.target);
        assert_eq!(url, row.url, "{} {}", row.provider, row.operation);
        let shown = if row.header == "authorization" {
            format!("Bearer {KEY}")
        } else {
            KEY.to_owned()
        };
        assert_eq!(sent.header(row.header), Some(shown.as_str()), "{}", row.provider);
        let others = ["authorization", "api-key", "x-api-key", "x-goog-api-key"]
            .iter()
            .filter(|name| **name != row.header);
        assert!(
            others.into_iter().all(|name| sent.header(name).is_none()),
            "{}",
            row.provider
        );
        // The refusal came back in its own words.
        assert!(
            finished.stderr.contains("unauthorized") && finished.stderr.contains("seen"),
            "{finished:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_named_in_the_environment_is_the_one_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let intermediary = Intermediary::start(&authority).await.unwrap();
    let program = Program::new()
        .unwrap()
        .env("HTTPS_PROXY", &intermediary.url())
        .env("SSL_CERT_FILE", authority.to_str().unwrap())
        .env("INFERENCE_KEY", KEY)
        .env("INFERENCE_MODEL_ID", "claude-4-sonnet");

    let input = r#"{"messages": [{"role": "user", "content": "hi"}]}"#;
    program.run(["call", "heroku", "chat", "--input", input]).unwrap();

    let seen = intermediary.seen();
    let sent: Value = serde_json::from_slice(&seen[0].1.body).unwrap();
    assert_eq!(sent["model"], "claude-4-sonnet");
}

#[test]
fn the_providers_of_the_environment_are_shown_with_their_addresses() {
    let program = Program::new()
        .unwrap()
        .env("GROQ_API_KEY", KEY)
        .env("MISTRAL_API_KEY", KEY);

    let providers = program.run(["--json", "providers"]).unwrap().json().unwrap();
    let config = program.run(["config", "show"]).unwrap();

    let origins = |name: &str| {
        let all = providers["providers"].as_array().unwrap();
        all.iter()
            .find(|provider| provider["name"] == name)
            .map(|provider| provider["origins"].clone())
    };
    assert_eq!(origins("groq"), Some(json!(["https://api.groq.com"])));
    assert_eq!(origins("mistral"), Some(json!(["https://api.mistral.ai"])));
    assert_eq!(origins("openai"), None);
    assert!(config.stdout.contains("https://api.groq.com/openai/v1"), "{config:?}");
}

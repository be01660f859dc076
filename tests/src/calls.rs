//! What is asked of each adapter: every operation, its options given and left out.

use serde_json::{Value, json};

use crate::recordings::Player;

/// An adapter at one of its addresses.
pub struct Api {
    /// What the tests call it.
    pub name: &'static str,
    /// The preset.
    pub component: &'static str,
    /// The path that `base_url` ends with.
    pub base: &'static str,
    /// Further lines of the provider's table; `{url}` is where the requests go.
    pub settings: &'static str,
    /// The secrets that are given.
    pub secrets: &'static [&'static str],
    /// The provider's own description of the API, and what it leaves out of the paths.
    pub document: Option<(&'static str, &'static str)>,
    /// Operations and the model of each.
    pub operations: &'static [(&'static str, &'static str)],
}

const PLAIN: Api = Api {
    name: "",
    component: "",
    base: "",
    settings: "",
    secrets: &["api_key"],
    document: None,
    operations: &[],
};

/// All of them.
pub const APIS: &[Api] = &[
    Api {
        name: "voyage",
        component: "voyage",
        base: "/v1",
        document: Some(("voyage.openapi.yml", "/v1")),
        operations: &[("embed", "voyage-3.5"), ("rerank", "rerank-2.5")],
        ..PLAIN
    },
    Api {
        name: "cohere",
        component: "cohere",
        operations: &[
            ("embed", "embed-v4.0"),
            ("rerank", "rerank-v3.5"),
            ("chat", "command-a-03-2025"),
        ],
        ..PLAIN
    },
    Api {
        name: "openai",
        component: "openai",
        base: "/v1",
        document: Some(("openai.openapi.yaml", "/v1")),
        operations: &[
            ("embed", "text-embedding-3-small"),
            ("chat", "gpt-5-mini"),
            ("models", ""),
        ],
        ..PLAIN
    },
    Api {
        name: "together",
        component: "together",
        base: "/v1",
        document: Some(("together.openapi.yaml", "/v1")),
        operations: &[
            ("embed", "intfloat/multilingual-e5-large-instruct"),
            ("chat", "openai/gpt-oss-20b"),
            ("rerank", "mixedbread-ai/mxbai-rerank-large-v2"),
            ("models", ""),
        ],
        ..PLAIN
    },
    Api {
        name: "mistral",
        component: "mistral",
        base: "/v1",
        document: Some(("mistral.openapi.yaml", "")),
        operations: &[
            ("embed", "codestral-embed"),
            ("chat", "mistral-small-latest"),
            ("models", ""),
        ],
        ..PLAIN
    },
    Api {
        name: "azure",
        component: "azure",
        document: Some(("azure-openai-foundry-v1.openapi.json", "/openai/v1")),
        operations: &[
            ("embed", "text-embedding-3-small"),
            ("chat", "gpt-5-mini"),
            ("models", ""),
        ],
        ..PLAIN
    },
    Api {
        name: "azure-deployments",
        component: "azure",
        settings: "config.api_version = \"2024-10-21\"\n",
        operations: &[("embed", "text-embedding-3-small"), ("chat", "gpt-5-mini")],
        ..PLAIN
    },
    Api {
        name: "azure-models",
        component: "azure",
        base: "/models",
        document: Some(("azure-ai-model-inference.openapi.json", "/models")),
        operations: &[("embed", "embed-v-4-0"), ("chat", "grok-4")],
        ..PLAIN
    },
    Api {
        name: "huggingface",
        component: "huggingface",
        operations: &[("embed", "BAAI/bge-m3"), ("chat", "openai/gpt-oss-20b")],
        ..PLAIN
    },
    Api {
        name: "perplexity",
        component: "perplexity",
        operations: &[
            ("embed", "pplx-embed-v1-0.6b"),
            ("chat", "sonar"),
            ("web-search", ""),
            ("models", ""),
        ],
        ..PLAIN
    },
    Api {
        name: "google",
        component: "google",
        base: "/v1beta",
        document: Some(("gemini-tryagi.openapi.json", "/v1beta")),
        operations: &[
            ("embed", "gemini-embedding-001"),
            ("chat", "gemini-2.5-flash"),
            ("models", ""),
        ],
        ..PLAIN
    },
    Api {
        name: "anthropic",
        component: "anthropic",
        base: "/v1",
        operations: &[("chat", "claude-sonnet-5-5"), ("models", "")],
        ..PLAIN
    },
    Api {
        name: "bedrock",
        component: "bedrock",
        secrets: &["access_key_id", "secret_access_key"],
        document: Some(("bedrock-runtime.service-2.json.gz", "")),
        operations: &[
            ("embed", "amazon.titan-embed-text-v2:0"),
            ("embed", "cohere.embed-v4:0"),
            ("rerank", "cohere.rerank-v3-5:0"),
            (
                "chat",
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
            ),
        ],
        ..PLAIN
    },
    Api {
        name: "bedrock-control",
        component: "bedrock",
        settings: "config.control_base_url = \"{url}\"\n",
        secrets: &["access_key_id", "secret_access_key"],
        operations: &[("models", "")],
        ..PLAIN
    },
    Api {
        name: "bedrock-agent",
        component: "bedrock",
        settings: "config.agent_base_url = \"{url}\"\nconfig.region = \"eu-west-1\"\n",
        secrets: &["access_key_id", "secret_access_key"],
        document: Some(("bedrock-agent-runtime.service-2.json.gz", "")),
        operations: &[("rerank", "cohere.rerank-v3-5:0")],
        ..PLAIN
    },
    Api {
        name: "tavily",
        component: "tavily",
        document: Some(("tavily-tryagi.openapi.json", "")),
        operations: &[("web-search", "")],
        ..PLAIN
    },
    Api {
        name: "tavily-set",
        component: "tavily",
        settings: "config.search_depth = \"advanced\"\nconfig.topic = \"news\"\nconfig.time_range = \"week\"\n\
                   config.include_domains = \"docs.rs, crates.io\"\nconfig.exclude_domains = \"example.com\"\n",
        document: Some(("tavily-tryagi.openapi.json", "")),
        operations: &[("web-search", "")],
        ..PLAIN
    },
    Api {
        name: "tei",
        component: "tei",
        document: Some(("tei.openapi.json", "")),
        operations: &[("embed", ""), ("embed-sparse", ""), ("rerank", ""), ("models", "")],
        ..PLAIN
    },
    Api {
        name: "tei-set",
        component: "tei",
        settings: "config.query_prompt = \"query\"\nconfig.document_prompt = \"passage\"\nconfig.truncate = \"true\"\n",
        document: Some(("tei.openapi.json", "")),
        operations: &[("embed", ""), ("embed-sparse", ""), ("rerank", "")],
        ..PLAIN
    },
    Api {
        name: "jina",
        component: "jina",
        base: "/v1",
        operations: &[
            ("embed", "jina-embeddings-v3"),
            ("rerank", "jina-reranker-v2-base-multilingual"),
        ],
        ..PLAIN
    },
    Api {
        name: "qdrant",
        component: "qdrant",
        document: Some(("qdrant-v1.19.x.openapi.json", "")),
        operations: &[
            ("ensure-collection", ""),
            ("upsert", ""),
            ("query", ""),
            ("delete", ""),
            ("count", ""),
            ("list-collections", ""),
            ("drop-collection", ""),
        ],
        ..PLAIN
    },
    Api {
        name: "chroma",
        component: "chroma",
        operations: &[
            ("ensure-collection", ""),
            ("upsert", ""),
            ("query", ""),
            ("delete", ""),
            ("count", ""),
            ("list-collections", ""),
            ("drop-collection", ""),
        ],
        ..PLAIN
    },
];

impl Api {
    /// The provider's table, with a stage of its name as the provider, and the keys in `A_KEY`.
    pub fn table(&self, player: &Player) -> String {
        let url = player.url(self.name);
        let secret = |name: &&str| format!("secrets.{name} = {{ env = \"A_KEY\" }}\n");
        let secrets: String = self.secrets.iter().map(secret).collect();
        format!(
            "[providers.{}]\ncomponent = \"{}\"\nconfig.base_url = \"{url}{}\"\n{secrets}{}\
             egress.allow_private = [\"127.0.0.1/32\"]\nresilience.max_attempts = 1\nresilience.breaker = false\n",
            self.name,
            self.component,
            self.base,
            self.settings.replace("{url}", &url),
        )
    }
}

/// One call.
pub struct Call {
    /// The adapter.
    pub api: &'static Api,
    /// What is asked of it.
    pub operation: &'static str,
    /// What the options are.
    pub what: &'static str,
    /// With them.
    pub input: Value,
}

impl Call {
    /// `voyage embed (dimensions)`.
    pub fn name(&self) -> String {
        let model = self.input["model"].as_str().unwrap_or_default();
        format!("{} {} {model} ({})", self.api.name, self.operation, self.what)
    }
}

/// Every call.
pub fn all() -> Vec<Call> {
    let mut calls = Vec::new();
    for api in APIS {
        for (operation, model) in api.operations {
            for (what, mut input) in inputs(operation) {
                if !takes(api.name, operation, what) {
                    continue;
                }
                if !model.is_empty() {
                    input["model"] = (*model).into();
                }
                calls.push(Call {
                    api,
                    operation,
                    what,
                    input,
                });
            }
        }
    }
    calls
}

/// What an adapter refuses to send, since the provider has no word for it.
fn takes(api: &str, operation: &str, what: &str) -> bool {
    !matches!(
        (api, operation, what),
        ("huggingface", "embed", "dimensions") | ("tei" | "tei-set", "embed-sparse", "dimensions")
            // Images are fetched by the provider, or come as data.
            | ("bedrock", "chat", "an image by its URL")
            // It keeps no sparse vectors, and finds no parts of texts.
            | ("chroma", "ensure-collection", "sparse")
            | ("chroma", "upsert" | "query" | "delete" | "count", "points" | "sparse" | "hybrid" | "filter")
    )
}

fn inputs(operation: &str) -> Vec<(&'static str, Value)> {
    match operation {
        "embed" | "embed-sparse" => vec![
            ("plain", json!({ "inputs": ["größe"] })),
            ("documents", json!({ "inputs": ["a", "b"], "kind": "document" })),
            ("query", json!({ "inputs": ["a"], "kind": "query" })),
            ("dimensions", json!({ "inputs": ["a"], "dimensions": 256 })),
        ],
        "rerank" => vec![
            ("plain", json!({ "query": "q", "documents": ["a", "b"] })),
            ("best", json!({ "query": "q", "documents": ["a", "b"], "top_n": 1 })),
        ],
        "web-search" => vec![
            ("plain", json!({ "query": "q" })),
            ("few", json!({ "query": "q", "max_results": 3 })),
        ],
        "chat" => chats(),
        "ensure-collection" => vec![
            ("plain", json!({ "collection": "docs", "dimensions": 4 })),
            (
                "dot",
                json!({ "collection": "a b/ü", "dimensions": 4, "distance": "dot" }),
            ),
            (
                "sparse",
                json!({ "collection": "docs", "dimensions": 4, "distance": "euclid", "sparse": true }),
            ),
        ],
        "upsert" => vec![
            (
                "a point",
                json!({ "collection": "docs", "points": [{ "id": 1, "vector": [1, 0.5] }] }),
            ),
            (
                "points",
                json!({ "collection": "docs", "points": [
                { "id": 1, "vector": [1, 0], "payload": { "path": "a.rs", "n": 1, "deep": { "tags": ["a", null] } } },
                { "id": "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01", "sparse": { "indices": [3, 7], "values": [1, 0.5] } },
                { "id": u64::MAX, "vector": [1e-7, 3e38], "sparse": { "indices": [1], "values": [2] } },
            ] }),
            ),
            (
                "flat points",
                json!({ "collection": "docs", "points": [
                    { "id": 1, "vector": [1, 0], "payload": { "path": "a.rs", "n": 1, "ok": true, "tags": ["a", "b"] } },
                    { "id": "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01", "vector": [1e-7, 3e38] },
                ] }),
            ),
        ],
        "query" => queries(),
        "delete" => vec![
            (
                "ids",
                json!({ "collection": "docs", "ids": [1, "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01"] }),
            ),
            ("filter", json!({ "collection": "docs", "filter": filter() })),
            (
                "plain filter",
                json!({ "collection": "docs", "filter": plain_filter() }),
            ),
        ],
        "count" => vec![
            ("all", json!({ "collection": "docs" })),
            ("filter", json!({ "collection": "docs", "filter": filter() })),
            (
                "plain filter",
                json!({ "collection": "docs", "filter": plain_filter() }),
            ),
        ],
        "drop-collection" => vec![("plain", json!({ "collection": "docs" }))],
        _ => vec![("plain", json!({}))],
    }
}

/// Every test that a condition can make, in every place.
fn filter() -> Value {
    json!({
        "must": [
            { "key": "path", "equals": "a.rs" },
            { "key": "n", "equals": -3 },
            { "key": "ok", "equals": true },
            { "key": "lang", "any": ["rust", "go"] },
            { "key": "n", "any": [1, 2] },
            { "key": "mixed", "any": ["a", 1, true] },
            { "key": "n", "range": { "gt": 1, "lte": 2.5 } },
            { "key": "n", "range": { "gte": -1, "lt": 1e9 } },
        ],
        "should": [{ "key": "text", "contains": "Ab" }, { "key": "deep.tags", "none": ["x", "y"] }],
        "must_not": [{ "key": "gone", "is_empty": true }, { "key": "n", "none": [1] }],
    })
}

/// Every test that every store can make.
fn plain_filter() -> Value {
    json!({
        "must": [
            { "key": "path", "equals": "a.rs" },
            { "key": "n", "equals": -3 },
            { "key": "ok", "equals": true },
            { "key": "lang", "any": ["rust", "go"] },
            { "key": "mixed", "any": ["a", 1, true] },
            { "key": "n", "range": { "gt": 1, "lte": 2.5 } },
        ],
        "should": [{ "key": "n", "range": { "gte": -1, "lt": 1e9 } }, { "key": "deep.tags", "none": ["x", "y"] }],
        "must_not": [{ "key": "lang", "equals": "c" }, { "key": "n", "any": [1, 2] }, { "key": "n", "none": [1] }],
    })
}

fn queries() -> Vec<(&'static str, Value)> {
    let sparse = json!({ "indices": [3, 7], "values": [1, 0.5] });
    vec![
        ("dense", json!({ "collection": "docs", "vector": [1, 0, 0.5] })),
        ("sparse", json!({ "collection": "docs", "sparse": sparse, "limit": 3 })),
        (
            "hybrid",
            json!({ "collection": "docs", "vector": [1, 0], "sparse": sparse, "limit": 100, "filter": filter() }),
        ),
        (
            "plain filter",
            json!({ "collection": "docs", "vector": [1, 0.5], "limit": 3, "filter": plain_filter() }),
        ),
    ]
}

/// A pixel.
const IMAGE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn chats() -> Vec<(&'static str, Value)> {
    let user = json!({ "role": "user", "content": "hi" });
    let tool = json!({
        "name": "add", "description": "Adds.",
        "parameters": { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] },
    });
    let call = json!({ "id": "call_0001", "name": "add", "arguments": "{\"a\":1}" });
    let image = |url: &str| {
        json!([{ "role": "user", "content": [
            { "type": "text", "text": "what is it?" }, { "type": "image_url", "image_url": { "url": url } },
        ] }])
    };
    vec![
        ("plain", json!({ "messages": [user] })),
        (
            "options",
            json!({
                "messages": [{ "role": "system", "content": "be brief" }, user,
                    { "role": "assistant", "content": "hello" }, { "role": "user", "content": "größe?" }],
                "max_tokens": 64, "temperature": 0.5,
            }),
        ),
        ("streamed", json!({ "messages": [user], "stream": true })),
        ("tools offered", json!({ "messages": [user], "tools": [tool] })),
        (
            "tools called",
            json!({
                "messages": [user,
                    { "role": "assistant", "tool_calls": [call] },
                    { "role": "tool", "tool_call_id": "call_0001", "content": "2" }],
                "tools": [tool, { "name": "nothing" }],
            }),
        ),
        ("an image", json!({ "messages": image(IMAGE) })),
        (
            "an image by its URL",
            json!({ "messages": image("https://images.example/a.png") }),
        ),
    ]
}

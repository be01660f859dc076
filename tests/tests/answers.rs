//! What the adapters `tavily`, `jina`, `tei` and `chroma` ask, and what they make of right and of wrong answers, through
//! the built program.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::sync::Arc;

use serde_json::{Value, json};
use weir_tests::recordings::{Player, Recording, Sent};
use weir_tests::{Program, Server};

const KEY: &str = "a-key-for-answers";
const PROVIDERS: [&str; 4] = ["tavily", "jina", "tei", "chroma"];

/// Providers that answer what they are told to, and the program before them.
struct Theatre {
    player: Player,
    server: Server,
    _program: Program,
}

impl Theatre {
    async fn open() -> Theatre {
        let player = Player::start().await.unwrap();
        let tables = PROVIDERS.map(|name| {
            let further = match name {
                "tavily" => "config.search_depth = \"advanced\"\nconfig.include_domains = \"docs.rs, crates.io\"\n",
                "tei" => "config.query_prompt = \"query\"\nconfig.truncate = \"true\"\nconfig.model = \"bge\"\n",
                _ => "",
            };
            format!(
                "[providers.{name}]\nconfig.base_url = \"{}\"\nsecrets.api_key = {{ env = \"PLAYED_KEY\" }}\n{further}\
                 egress.allow_private = [\"127.0.0.1/32\"]\nresilience.max_attempts = 1\nresilience.breaker = false\n",
                player.url(name)
            )
        });
        let program = Program::with_config(&tables.concat()).unwrap().env("PLAYED_KEY", KEY);
        let server = Server::start(&program).unwrap();
        Theatre {
            player,
            server,
            _program: program,
        }
    }

    /// The answer of a call whose every request is answered so; and the requests.
    async fn call(
        &self,
        provider: &str,
        operation: &str,
        input: &Value,
        (status, body): (u16, &str),
    ) -> (u16, Value, Vec<Sent>) {
        let answer = Recording {
            name: String::new(),
            provider: provider.to_owned(),
            method: String::new(),
            path: None,
            query: Vec::new(),
            asked: Value::Null,
            status,
            headers: vec![("x-compute-tokens".to_owned(), "9".to_owned())],
            body: body.as_bytes().to_vec(),
        };
        self.player.play(provider, Arc::new(answer), None);
        let path = format!("/v1/providers/{provider}/{operation}");
        let (status, answer) = self.server.post(&path, input.clone()).await.unwrap();
        (status, answer, self.player.sent(provider))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_asks_in_the_providers_words_and_takes_its_answer() {
    let theatre = Theatre::open().await;
    let texts = json!({"inputs": ["a", "b"], "kind": "query"});
    let two = json!({"query": "q", "documents": ["a", "b"], "top_n": 1});
    for (provider, operation, input, answer, target, asked, expected) in [
        (
            "tavily",
            "web-search",
            json!({"query": "q", "max_results": 2}),
            r#"{"query": "q", "results": [{"title": "T", "url": "https://t.example", "content": "c", "score": 0.5}]}"#,
            "/search",
            json!({
                "query": "q", "max_results": 2, "search_depth": "advanced", "include_domains": ["docs.rs", "crates.io"],
            }),
            json!({"results": [{"title": "T", "url": "https://t.example", "content": "c", "score": 0.5}]}),
        ),
        (
            "jina",
            "embed",
            texts.clone(),
            r#"{"model": "m", "usage": {"total_tokens": 4}, "data": [{"index": 1, "embedding": "AACAPwAAAD8="},
                {"index": 0, "embedding": [0.25, 1]}]}"#,
            "/embeddings",
            json!({
                "model": "jina-embeddings-v3", "input": ["a", "b"], "task": "retrieval.query", "embedding_type": "base64",
            }),
            json!({"model": "m", "dimensions": 2, "vectors": [[0.25, 1.0], [1.0, 0.5]], "usage": {"input_tokens": 4}}),
        ),
        (
            "jina",
            "rerank",
            two.clone(),
            r#"{"model": "m", "usage": {"total_tokens": 4}, "results": [{"index": 1, "relevance_score": 0.5}]}"#,
            "/rerank",
            json!({
                "model": "jina-reranker-v2-base-multilingual", "query": "q", "documents": ["a", "b"], "top_n": 1,
                "return_documents": false,
            }),
            json!({"model": "m", "results": [{"index": 1, "score": 0.5}], "usage": {"input_tokens": 4}}),
        ),
        (
            "tei",
            "embed",
            texts.clone(),
            "[[0.25, 1], [1, 0.5]]",
            "/embed",
            json!({"inputs": ["a", "b"], "prompt_name": "query", "truncate": true}),
            json!({"model": "bge", "dimensions": 2, "vectors": [[0.25, 1.0], [1.0, 0.5]], "usage": {"input_tokens": 9}}),
        ),
        (
            "tei",
            "embed-sparse",
            texts.clone(),
            r#"[[{"index": 7, "value": 0.5}], []]"#,
            "/embed_sparse",
            json!({"inputs": ["a", "b"], "prompt_name": "query", "truncate": true}),
            json!({
                "model": "bge", "vectors": [{"indices": [7], "values": [0.5]}, {"indices": [], "values": []}],
                "usage": {"input_tokens": 9},
            }),
        ),
        (
            "tei",
            "rerank",
            two,
            r#"[{"index": 1, "score": 0.5}, {"index": 0, "score": 0.25}]"#,
            "/rerank",
            json!({"query": "q", "texts": ["a", "b"], "truncate": true}),
            json!({"model": "bge", "results": [{"index": 1, "score": 0.5}], "usage": {"input_tokens": 9}}),
        ),
    ] {
        let (status, given, sent) = theatre.call(provider, operation, &input, (200, answer)).await;
        assert_eq!((status, &given), (200, &expected), "{provider} {operation}");
        let [sent] = &sent[..] else {
            panic!("{provider} {operation}: {sent:?}")
        };
        assert_eq!(
            (sent.method.as_str(), sent.target.as_str()),
            ("POST", target),
            "{provider} {operation}"
        );
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body, asked, "{provider} {operation}");
    }
    let served = r#"{"model_id": "BAAI/bge-m3", "max_client_batch_size": 32}"#;
    let (status, given, _) = theatre.call("tei", "models", &json!({}), (200, served)).await;
    assert_eq!(
        (status, &given["models"][0]["id"]),
        (200, &json!("BAAI/bge-m3")),
        "{given}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_keep_the_providers_words() {
    let theatre = Theatre::open().await;
    let search = json!({"query": "q"});
    let texts = json!({"inputs": ["a"]});
    for (provider, operation, input, answer, kind, said) in [
        (
            "tavily",
            "web-search",
            &search,
            (
                401,
                r#"{"detail": {"error": "Unauthorized: missing or invalid API key."}}"#,
            ),
            "unauthorized",
            "missing or invalid API key",
        ),
        (
            "tavily",
            "web-search",
            &search,
            (400, r#"{"detail": {"error": "Invalid topic."}}"#),
            "invalid-input",
            "Invalid topic.",
        ),
        (
            "tavily",
            "web-search",
            &search,
            (429, r#"{"detail": {"error": "Your request has been blocked."}}"#),
            "rate-limited",
            "has been blocked",
        ),
        (
            "tavily",
            "web-search",
            &search,
            (
                432,
                r#"{"detail": {"error": "This request exceeds your plan's limit."}}"#,
            ),
            "unauthorized",
            "exceeds your plan's limit",
        ),
        (
            "tavily",
            "web-search",
            &search,
            (
                433,
                r#"{"detail": {"error": "This request exceeds the pay-as-you-go limit."}}"#,
            ),
            "unauthorized",
            "pay-as-you-go",
        ),
        (
            "tavily",
            "web-search",
            &search,
            (500, r#"{"detail": {"error": "Internal Server Error"}}"#),
            "upstream",
            "Internal Server Error",
        ),
        (
            "jina",
            "embed",
            &texts,
            (401, r#"{"detail": "The API key is wrong."}"#),
            "unauthorized",
            "The API key is wrong.",
        ),
        (
            "jina",
            "embed",
            &texts,
            (402, r#"{"detail": "Insufficient account balance."}"#),
            "unauthorized",
            "Insufficient",
        ),
        (
            "jina",
            "embed",
            &texts,
            (
                422,
                r#"{"detail": [{"loc": ["body", "model"], "msg": "unknown", "type": "enum"}]}"#,
            ),
            "invalid-input",
            "body.model: unknown",
        ),
        (
            "jina",
            "embed",
            &texts,
            (429, r#"{"detail": "Too many requests."}"#),
            "rate-limited",
            "Too many requests.",
        ),
        (
            "tei",
            "embed",
            &texts,
            (
                413,
                r#"{"error": "batch size 64 > maximum allowed batch size 32", "error_type": "Validation"}"#,
            ),
            "too-large",
            "maximum allowed batch size",
        ),
        (
            "tei",
            "embed",
            &texts,
            (413, "Failed to buffer the request body: length limit exceeded"),
            "too-large",
            "length limit exceeded",
        ),
        (
            "tei",
            "embed",
            &texts,
            (422, r#"{"error": "Tokenization error", "error_type": "Tokenizer"}"#),
            "invalid-input",
            "Tokenization error",
        ),
        (
            "tei",
            "embed",
            &texts,
            (424, r#"{"error": "Inference failed", "error_type": "Backend"}"#),
            "upstream",
            "Inference failed",
        ),
        (
            "tei",
            "embed",
            &texts,
            (
                424,
                r#"{"error": "Model is not an embedding model", "error_type": "Backend"}"#,
            ),
            "unsupported",
            "not an embedding model",
        ),
        (
            "tei",
            "embed",
            &texts,
            (429, r#"{"error": "Model is overloaded", "error_type": "Overloaded"}"#),
            "rate-limited",
            "overloaded",
        ),
        ("tei", "embed", &texts, (401, ""), "unauthorized", "401"),
    ] {
        let (_, given, _) = theatre.call(provider, operation, input, answer).await;
        let error = &given["error"];
        assert_eq!(error["kind"], kind, "{provider} {answer:?}: {given}");
        assert!(error["message"].as_str().unwrap().contains(said), "{provider}: {given}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_malformed() {
    let theatre = Theatre::open().await;
    let texts = json!({"inputs": ["a", "b"], "dimensions": 2});
    let two = json!({"query": "q", "documents": ["a", "b"]});
    let store = json!({"collection": "docs", "vector": [1, 2]});
    let calls = [
        ("tavily", "web-search", json!({"query": "q"})),
        ("jina", "embed", texts.clone()),
        ("jina", "rerank", two.clone()),
        ("tei", "embed", texts),
        ("tei", "embed-sparse", json!({"inputs": ["a", "b"]})),
        ("tei", "rerank", two),
        ("tei", "models", json!({})),
        ("chroma", "query", store),
        ("chroma", "count", json!({"collection": "docs"})),
        ("chroma", "list-collections", json!({})),
        (
            "chroma",
            "upsert",
            json!({"collection": "docs", "points": [{"id": 1, "vector": [1, 2]}]}),
        ),
    ];
    let bodies = [
        "",
        "null",
        "<!doctype html><title>502</title>",
        "{\"data\": [{\"index\": 0, \"embe",
        "{}",
        "\"ok\"",
        "[{\"index\": 0}]",
    ];
    for (provider, operation, input) in &calls {
        for body in bodies {
            let (_, given, _) = theatre.call(provider, operation, input, (200, body)).await;
            assert_eq!(
                given["error"]["kind"], "malformed-response",
                "{provider} {operation} {body:?}: {given}"
            );
        }
    }
    for (provider, operation, body) in [
        ("jina", "embed", r#"{"data": [{"index": 0, "embedding": [1, 2]}]}"#),
        (
            "jina",
            "embed",
            r#"{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 0, "embedding": [1, 2]}]}"#,
        ),
        (
            "jina",
            "embed",
            r#"{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1]}]}"#,
        ),
        (
            "jina",
            "rerank",
            r#"{"results": [{"index": 0, "relevance_score": 1}, {"index": 2, "relevance_score": 1}]}"#,
        ),
        ("tei", "embed", "[[1, 2]]"),
        ("tei", "embed", "[[1, 2], [1, 2], [1, 2]]"),
        ("tei", "embed", "[[1, 2], [1, 1e39]]"),
        ("tei", "embed", "[[1, 2, 3], [1, 2, 3]]"),
        (
            "tei",
            "rerank",
            r#"[{"index": 0, "score": 1}, {"index": 0, "score": 1}]"#,
        ),
        (
            "chroma",
            "query",
            r#"{"id": "i", "configuration_json": {"hnsw": {"space": "manhattan"}}}"#,
        ),
    ] {
        let (_, _, input) = calls
            .iter()
            .find(|call| (call.0, call.1) == (provider, operation))
            .unwrap();
        let (_, given, _) = theatre.call(provider, operation, input, (200, body)).await;
        assert_eq!(
            given["error"]["kind"], "malformed-response",
            "{provider} {operation} {body}: {given}"
        );
    }
}

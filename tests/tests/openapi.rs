//! `/openapi.json` against what the built program takes and answers.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_tests::configuration::{every_provider, provider, with_upstream};
use weir_tests::recordings::{Player, Recording};
use weir_tests::{Finished, Program, Server, repository};
use weir_upstream::{Api, Fault, Upstream};

/// The document of a running server, and what is to be held to it.
struct Document {
    json: Value,
    /// What, its schema, and the value.
    held: Vec<(String, Value, Value)>,
    tried: BTreeSet<String>,
}

impl Document {
    async fn of(server: &Server) -> Document {
        let (status, json) = server.get("/openapi.json").await.unwrap();
        assert_eq!(status, 200);
        Document {
            json,
            held: Vec::new(),
            tried: BTreeSet::new(),
        }
    }

    /// A schema of the document, with what it refers to.
    fn schema(&self, schema: &Value) -> Value {
        let mut schema = schema.clone();
        schema["components"] = self.json["components"].clone();
        schema
    }

    /// The schema of an answer of this status.
    fn answer(&self, path: &str, method: &str, status: u16, kind: &str) -> Value {
        let responses = &self.json["paths"][path][method]["responses"];
        let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
        let response = match response.get("$ref") {
            Some(reference) => self.json.pointer(&reference.as_str().unwrap()[1..]).unwrap(),
            None => response,
        };
        self.schema(&response["content"][kind]["schema"])
    }

    fn hold(&mut self, what: &str, schema: Value, value: &Value) {
        assert!(schema.as_object().unwrap().len() > 1, "{what} is not described");
        self.held.push((what.to_owned(), schema, value.clone()));
        self.tried.insert(what.split(' ').take(2).collect::<Vec<_>>().join(" "));
    }

    /// Looks whether all of it holds.
    fn check(&self, program: &Program) {
        let file = program.folder().join("held.json");
        std::fs::write(&file, json!(self.held).to_string()).unwrap();
        let python = repository().join("target/python/bin/python");
        assert!(
            python.exists(),
            "{} is not there; run `just python-clients`",
            python.display()
        );
        let output = Command::new(python)
            .arg(repository().join("tests/python/schemas.py"))
            .arg(file)
            .output()
            .unwrap();
        let failures = Finished::from(output).success().unwrap().json().unwrap();
        assert_eq!(failures, json!([]));
    }

    /// Posts a body, and holds both it and its answer to the document.
    async fn post(&mut self, server: &Server, route: &str, path: &str, body: Value, expected: u16) -> Value {
        let schema = &self.json["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"];
        if expected == 200 {
            let schema = self.schema(schema);
            self.hold(&format!("post {route}"), schema, &body);
        }
        let (status, answer) = server.post(path, body).await.unwrap();
        assert_eq!(status, expected, "{path}: {answer}");
        let schema = self.answer(route, "post", status, "application/json");
        self.hold(&format!("post {route} {status}"), schema, &answer);
        answer
    }

    async fn get(&mut self, server: &Server, path: &str) {
        let (status, answer) = server.get(path).await.unwrap();
        let schema = self.answer(path, "get", status, "application/json");
        self.hold(&format!("get {path}"), schema, &answer);
    }
}

/// A server with every kind of provider.
async fn start(upstream: &Upstream) -> (Player, Program, Server) {
    let player = Player::start().await.unwrap();
    let page = json!({"title": "A page", "url": "https://page.example", "content": "about it", "score": 0.5});
    let found = Recording::of_json(200, &json!({"results": [page]}).to_string());
    player.play("tavily", Arc::new(found), None);
    let config = [
        every_provider(upstream, "resilience.max_attempts = 1\n"),
        provider("tavily", &player.url("tavily")),
        "[providers.local]\n[providers.memory]\n".to_owned(),
    ];
    let program = with_upstream(&config.concat()).unwrap();
    let server = Server::start(&program).unwrap();
    (player, program, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_takes_and_answers_what_is_documented() {
    let upstream = Upstream::start().await.unwrap();
    let (_player, program, server) = start(&upstream).await;
    let document = &mut Document::of(&server).await;

    let texts = json!(["a", "b"]);
    let [embeddings, chat] = ["/v1/embeddings", "/v1/chat/completions"];
    for body in [
        json!({"model": "openai", "input": texts}),
        json!({"model": "openai/text-embedding-3-small", "input": "a", "encoding_format": "base64", "dimensions": 8}),
        json!({"model": "voyage", "input": "a", "input_type": "query", "user": "someone"}),
    ] {
        document.post(&server, embeddings, embeddings, body, 200).await;
    }
    for (body, status) in [
        (json!({"model": "openai", "input": [1, 2]}), 400),
        (json!({"model": "nobody", "input": "a"}), 404),
    ] {
        document.post(&server, embeddings, embeddings, body, status).await;
    }
    for extra in [
        json!({}),
        json!({"embedding_types": ["float", "base64"], "input_type": "search_query"}),
    ] {
        let mut body = json!({"model": "cohere", "texts": texts});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        document.post(&server, "/v2/embed", "/v2/embed", body, 200).await;
    }
    for route in ["/v1/rerank", "/v2/rerank"] {
        let documents = json!(["a", {"text": "b"}]);
        for extra in [json!({"top_n": 1, "return_documents": true}), json!({"top_k": null})] {
            let mut body = json!({"model": "cohere", "query": "q", "documents": documents});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            document.post(&server, route, route, body, 200).await;
        }
    }
    let messages = json!([{"role": "user", "content": "call get_weather {\"city\": \"Oslo\"}"}]);
    let tools = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]);
    for body in [
        json!({"model": "openai", "messages": messages}),
        json!({"model": "openai", "messages": messages, "tools": tools, "temperature": 0, "stop": ["x"]}),
    ] {
        document.post(&server, chat, chat, body, 200).await;
    }
    let streamed = json!({
        "model": "openai", "messages": messages, "tools": tools, "stream": true, "stream_options": {"include_usage": true},
    });
    let answer = server.post_raw(chat, streamed).await.unwrap();
    let chunk = document.answer(chat, "post", 200, "text/event-stream");
    let text = String::from_utf8(answer.into_body().to_vec()).unwrap();
    let chunks: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (last, chunks) = chunks.split_last().unwrap();
    assert_eq!(*last, "[DONE]");
    for data in chunks {
        document.hold(
            &format!("stream {chat}"),
            chunk.clone(),
            &serde_json::from_str(data).unwrap(),
        );
    }

    for path in ["/v1/models", "/v1/providers", "/v1/pools", "/health", "/openapi.json"] {
        document.get(&server, path).await;
    }
    for path in ["/metrics", "/livez", "/readyz"] {
        server.text(path).await.unwrap();
        document.tried.insert(format!("get {path}"));
    }
    let search = "/v1/web-search";
    let found = document
        .post(&server, search, search, json!({"query": "q", "max_results": 1}), 200)
        .await;
    assert_eq!(found["results"][0]["title"], "A page");

    upstream.order(Fault::too_many_requests(1).on(Api::Voyage));
    let (_, limited) = server
        .post(embeddings, json!({"model": "voyage", "input": "a"}))
        .await
        .unwrap();
    let error = document.answer(embeddings, "post", 429, "application/json");
    document.hold(&format!("post {embeddings} 429"), error, &limited);

    let paths = document.json["paths"].as_object().unwrap().iter();
    let documented: BTreeSet<String> = paths
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{method} {path}"))
        })
        // The one has a test of its own, the other has no end.
        .filter(|route| !["post /v1/providers/{provider}/{operation}", "get /v1/events"].contains(&route.as_str()))
        .collect();
    let left: Vec<_> = documented.difference(&document.tried).collect();
    assert!(left.is_empty(), "not tried: {left:?}");
    document.check(&program);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_takes_and_gives_what_is_documented() {
    let upstream = Upstream::start().await.unwrap();
    let (_player, program, server) = start(&upstream).await;
    let document = &mut Document::of(&server).await;
    let route = "/v1/providers/{provider}/{operation}";
    let operations = [
        ("openai", "embed", json!({"inputs": ["a", "b"]})),
        ("local", "embed-sparse", json!({"inputs": ["a word"], "kind": "query"})),
        (
            "cohere",
            "rerank",
            json!({"query": "q", "documents": ["a", "b"], "top_n": 1}),
        ),
        (
            "openai",
            "chat",
            json!({"messages": [{"role": "user", "content": "x"}], "temperature": 0}),
        ),
        ("openai", "models", json!({})),
        ("tavily", "web-search", json!({"query": "q", "max_results": 1})),
        (
            "memory",
            "ensure-collection",
            json!({"collection": "c", "dimensions": 2, "sparse": true}),
        ),
        (
            "memory",
            "upsert",
            json!({"collection": "c", "points": [{"id": 1, "vector": [1, 0], "payload": {"a": "b"}}]}),
        ),
        (
            "memory",
            "query",
            json!({"collection": "c", "vector": [1, 0], "limit": 3}),
        ),
        ("memory", "count", json!({"collection": "c"})),
        ("memory", "delete", json!({"collection": "c", "ids": [1]})),
        ("memory", "list-collections", json!({})),
        ("memory", "drop-collection", json!({"collection": "c"})),
    ];
    let mut tried = BTreeSet::new();
    for (provider, operation, input) in operations {
        let name: String = operation
            .split('-')
            .map(|word| word[..1].to_uppercase() + &word[1..])
            .collect();
        let schema = |document: &Document, end: &str| {
            document.schema(&json!({ "$ref": format!("#/components/schemas/{name}{end}") }))
        };
        document.hold(operation, schema(document, "Input"), &input);
        let path = format!("/v1/providers/{provider}/{operation}");
        let output = document.post(&server, route, &path, input, 200).await;
        document.hold(operation, schema(document, "Output"), &output);
        tried.insert(operation);
    }
    let known = &document.json["paths"][route]["post"]["parameters"][1]["schema"]["enum"];
    let known: BTreeSet<&str> = known
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(known, tried);

    for (path, status) in [
        ("/v1/providers/openai/embedd", 404),
        ("/v1/providers/nobody/embed", 404),
        ("/v1/providers/local/rerank", 400),
    ] {
        document
            .post(&server, route, path, json!({"query": "q", "documents": ["a"]}), status)
            .await;
    }
    document.check(&program);
}

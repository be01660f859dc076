//! The providers' official clients for Python and Node, unchanged, against `weir serve` and against what `weir index`
//! wrote.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::live::until;
use weir_tests::{Finished, Program, Server, Tree, repository};
use weir_upstream::{Api, DEFAULT_API_KEY, Fault, Upstream};

/// Runs a script of tests/python with the clients of tests/python/requirements.txt.
fn python(script: &str, arguments: &[&str]) -> Value {
    let python = repository().join("target/python/bin/python");
    assert!(
        python.exists(),
        "{} is not there; run `just python-clients`",
        python.display()
    );
    let output = Command::new(python)
        .arg(repository().join("tests/python").join(script))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let finished = Finished::from(output).success().unwrap();
    finished.json().unwrap()
}

/// Runs a script of tests/node with the clients of tests/node/package.json.
fn node(script: &str, arguments: &[&str]) -> Value {
    let modules = repository().join("target/node/node_modules");
    assert!(
        modules.exists(),
        "{} is not there; run `just node-clients`",
        modules.display()
    );
    let output = Command::new("node")
        .arg(repository().join("tests/node").join(script))
        .args(arguments)
        .env("NODE_PATH", modules)
        .output()
        .unwrap();
    Finished::from(output).success().unwrap().json().unwrap()
}

/// `weir serve`, with every provider at the upstream. The program keeps its folder.
fn serve(config: &str, environment: &[(&str, &str)]) -> (Program, Server) {
    let program = with_upstream(config).unwrap();
    let program = environment
        .iter()
        .fold(program, |program, (name, value)| program.env(name, value));
    let server = Server::start(&program).unwrap();
    (program, server)
}

/// The numbers of a list of vectors.
fn vectors(value: &Value) -> Vec<Vec<f32>> {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_client_gets_through_weir_what_it_gets_from_the_provider() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&every_provider(&upstream, ""), &[]);

    let seen = python(
        "openai_sdk.py",
        &[server.url(), &upstream.openai_url(), DEFAULT_API_KEY],
    );

    let (through, direct) = (&seen["weir"], &seen["upstream"]);
    for part in ["chat", "streamed_chat", "tool_call", "models"] {
        assert_eq!(through[part], direct[part], "{part}");
    }
    assert_eq!(through["chat"]["content"], "You said: say it back, word by word");
    assert_eq!(through["streamed_chat"]["choices_with_usage"], 0);
    assert!(through["streamed_chat"]["pieces"].as_array().unwrap().len() > 1);
    assert_eq!(through["models"], json!(["gpt-4o-mini", "text-embedding-3-small"]));
    let (through, direct) = (&through["embeddings"], &direct["embeddings"]);
    for form in ["vectors", "numbers", "narrow"] {
        assert_eq!(vectors(&through[form]), vectors(&direct[form]), "{form}");
    }
    assert_eq!(vectors(&through["vectors"]), vectors(&through["numbers"]));
    assert_eq!(
        (vectors(&through["vectors"]).len(), vectors(&through["narrow"])[0].len()),
        (3, 64)
    );
    assert_eq!(through["indices"], json!([0, 1, 2]));
    assert_eq!(through["usage"], direct["usage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_client_raises_the_class_of_each_error() {
    let upstream = Upstream::start().await.unwrap();
    let config = every_provider(&upstream, "resilience.max_attempts = 1\n")
        + "\n[server]\napi_keys = [{ env = \"WEIR_API_KEY\" }]\n";
    let (_program, server) = serve(&config, &[("WEIR_API_KEY", "a-key-of-our-own")]);
    upstream.order(Fault::status(401).on(Api::OpenAi));
    upstream.order(Fault::too_many_requests(1).on(Api::OpenAi));
    upstream.order(Fault::status(503).on(Api::OpenAi));

    let known = "openai/text-embedding-3-small";
    let models = [known, known, known, "openai/no-such-model", "nobody/model"];
    let seen = python(
        "openai_errors.py",
        &[&[server.url(), "a-key-of-our-own"], &models[..]].concat(),
    );

    let failures = seen.as_array().unwrap();
    let summary = |failure: &Value| {
        (
            failure["class"].clone(),
            failure["status"].clone(),
            failure["code"].clone(),
        )
    };
    let summaries: Vec<_> = failures.iter().map(summary).collect();
    let expected = [
        ("AuthenticationError", 401, "invalid_api_key"),
        ("RateLimitError", 429, "rate_limit_exceeded"),
        ("InternalServerError", 503, "upstream"),
        ("NotFoundError", 404, "model_not_found"),
        ("NotFoundError", 404, "model_not_found"),
        ("AuthenticationError", 401, "invalid_api_key"),
    ];
    assert_eq!(
        summaries,
        expected.map(|(class, status, code)| (class.into(), status.into(), code.into()))
    );
    assert_eq!(failures[1]["retry_after"], "1");
    assert!(
        failures.iter().all(|failure| failure["has_request_id"] == true),
        "{seen:#}"
    );
    assert!(!seen.to_string().contains(DEFAULT_API_KEY));
    assert!(
        failures[3]["message"].as_str().unwrap().contains("no-such-model"),
        "{seen:#}"
    );
    // The one with the wrong key was never sent on: three faults and the unknown model.
    assert_eq!(upstream.stats().apis[&Api::OpenAi].total, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn coheres_clients_embed_and_rerank_through_weir() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&every_provider(&upstream, ""), &[]);

    let seen = python(
        "cohere_sdk.py",
        &[server.url(), &upstream.cohere_url(), DEFAULT_API_KEY],
    );

    let pairs = |name: &str| -> Vec<(u32, f32)> { serde_json::from_value(seen[name].clone()).unwrap() };
    let direct = pairs("direct");
    assert_eq!(direct[0].0, 1, "{direct:?}");
    for call in ["whole", "version_1", "by_voyage"] {
        assert_eq!(pairs(call), direct, "{call}");
    }
    assert_eq!(pairs("best_two"), direct[..2]);
    assert_eq!(seen["search_units"], 1.0);
    assert_eq!(seen["refusal"], 404);

    assert_eq!(seen["embedded"], seen["embedded_direct"]);
    let vectors: Vec<Vec<f32>> = serde_json::from_value(seen["embedded"]["vectors"].clone()).unwrap();
    let texts = vectors.len();
    assert_eq!(seen["embedded"]["texts"].as_array().unwrap().len(), texts);
    assert_eq!(seen["embedded_by_openai"]["vectors"].as_array().unwrap().len(), texts);
    assert!(seen["in_base64"]["vectors"].is_null());
    let encoded: Vec<String> = serde_json::from_value(seen["in_base64"]["base64"].clone()).unwrap();
    for (vector, encoded) in vectors.iter().zip(&encoded) {
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(BASE64.encode(bytes), *encoded);
    }
    assert_eq!(encoded.len(), texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn qdrants_client_sees_exactly_the_points_that_were_indexed() {
    let upstream = Upstream::start().await.unwrap();
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let tree = Tree::sample(1).unwrap();
    let path = tree.path().to_str().unwrap();
    let done = program
        .run(["--json", "index", path, "--collection", "code"])
        .unwrap()
        .success()
        .unwrap();

    let seen = python(
        "qdrant_sdk.py",
        &[&upstream.own_url_of(Api::Qdrant), DEFAULT_API_KEY, "code"],
    );

    let stored = upstream.points("code");
    let points: Vec<Value> = stored
        .iter()
        .map(|point| json!([point.id, point.payload["path"], point.payload["start_line"]]))
        .collect();
    assert_eq!(seen["points"], Value::Array(points));
    assert_eq!(seen["count"], done.last_event().unwrap()["chunks"]);
    assert_eq!(seen["without_vector"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn voyages_client_gets_through_weir_what_it_gets_from_the_provider() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&every_provider(&upstream, "resilience.max_attempts = 1\n"), &[]);
    // For the second request.
    upstream.order(Fault::too_many_requests(1).on(Api::Voyage).after(1));

    let seen = python(
        "voyage_sdk.py",
        &[server.url(), &upstream.voyage_url(), DEFAULT_API_KEY],
    );

    let (through, direct) = (&seen["weir"], &seen["upstream"]);
    for part in ["vectors", "narrow"] {
        assert_eq!(vectors(&through[part]), vectors(&direct[part]), "{part}");
    }
    for part in ["tokens", "ranking_tokens", "best"] {
        assert_eq!(through[part], direct[part], "{part}");
    }
    let ranking =
        |seen: &Value| -> Vec<(u32, f32, String)> { serde_json::from_value(seen["ranking"].clone()).unwrap() };
    assert_eq!(ranking(through), ranking(direct));
    assert_eq!(
        (vectors(&through["vectors"]).len(), vectors(&through["narrow"])[0].len()),
        (3, 256)
    );
    // Its word for a model that there is not, as Voyage's own server has it.
    assert_eq!(seen["refusals"][0], json!(["InvalidRequestError", 400]));
    assert_eq!(seen["refusals"][1], json!(["RateLimitError", 429]));
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_and_llamaindex_embed_through_weir() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&every_provider(&upstream, ""), &[]);
    let texts = ["how is an idle connection closed", "an apple tree", "naïve café ✓"];

    let seen = python(
        "frameworks.py",
        &[&[server.url(), "openai/text-embedding-3-small"], &texts[..]].concat(),
    );

    let body = json!({ "model": "openai/text-embedding-3-small", "input": texts });
    let (_, answer) = server.post("/v1/embeddings", body).await.unwrap();
    let data = answer["data"].as_array().unwrap().iter();
    let expected: Value = data.map(|item| item["embedding"].clone()).collect();
    for framework in ["langchain", "llama_index"] {
        assert_eq!(vectors(&seen[framework]), vectors(&expected), "{framework}");
        let query = &seen[format!("{framework}_query")];
        assert_eq!(vectors(&json!([query])), vectors(&expected)[..1], "{framework}");
    }
    let [param, message] = [0, 1].map(|place| seen["token_ids"][place].as_str().unwrap());
    assert_eq!(param, "input[0]");
    assert!(message.contains("token ids are not supported"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_client_waits_as_it_is_told_and_frees_what_it_hangs_up_on() {
    let upstream = Upstream::start().await.unwrap();
    // As slow as that, the answer is far from its end when the client leaves.
    upstream.order(
        Fault::slow(20, Duration::from_millis(100))
            .on(Api::OpenAi)
            .path("/chat/completions")
            .always(),
    );
    let config = every_provider(&upstream, "")
        + "\n[server]\napi_keys = [{ env = \"WEIR_API_KEY\", requests_per_minute = 30 }]\n";
    let key = "a-key-of-our-own";
    let (_program, server) = serve(&config, &[("WEIR_API_KEY", key)]);

    let models = ["openai/text-embedding-3-small", "openai/gpt-4o-mini"];
    let seen = python("openai_patience.py", &[&[server.url(), key], &models[..]].concat());

    assert!(seen["asked"].as_u64().unwrap() >= 30, "{seen}");
    assert_eq!(seen["code"], "rate_limit_exceeded");
    let (seconds, millis) = (&seen["retry_after"], &seen["retry_after_ms"]);
    let (seconds, millis) = (seconds.as_u64().unwrap(), millis.as_u64().unwrap());
    assert!((1..=2).contains(&seconds) && millis <= 2_000, "{seen}");
    assert_eq!(millis.div_ceil(1_000), seconds);
    until("the upstream connection is free", async || {
        upstream.stats().apis[&Api::OpenAi].in_flight == 0
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_client_for_node_gets_through_weir_what_it_gets_from_the_provider() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&every_provider(&upstream, "resilience.max_attempts = 1\n"), &[]);
    upstream.order(Fault::too_many_requests(1).on(Api::Cohere));

    let failing = ["openai/no-such-model", "nobody/model"];
    let seen = node(
        "openai_sdk.cjs",
        &[&[server.url(), &upstream.openai_url(), DEFAULT_API_KEY], &failing[..]].concat(),
    );

    let (through, direct) = (&seen["weir"], &seen["upstream"]);
    for part in ["vectors", "numbers", "narrow"] {
        assert_eq!(vectors(&through[part]), vectors(&direct[part]), "{part}");
    }
    for part in ["usage", "chat", "pieces", "streamed_usage", "choices_with_usage"] {
        assert_eq!(through[part], direct[part], "{part}");
    }
    assert_eq!(
        (vectors(&through["vectors"]).len(), vectors(&through["narrow"])[0].len()),
        (3, 64)
    );
    assert_eq!(through["choices_with_usage"], 0);
    for failure in seen["failures"].as_array().unwrap() {
        let expected = json!({"class": "NotFoundError", "status": 404, "code": "model_not_found", "request_id": true});
        assert_eq!(*failure, expected);
    }
    assert_eq!(seen["retried"], 1);
    assert_eq!(upstream.stats().apis[&Api::Cohere].total, 2);
    assert!(seen["first"].is_string(), "{seen}");
    until("the upstream connection is free", async || {
        upstream.stats().apis[&Api::OpenAi].in_flight == 0
    })
    .await
    .unwrap();
}

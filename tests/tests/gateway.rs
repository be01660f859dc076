//! What `weir serve` does beside translating: routes with fallbacks, and what a key may ask for.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use weir_pool::{PoolManager, PoolSettings, SendOptions};
use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::{Program, Server};
use weir_upstream::{Api, Fault, Upstream};

fn header(answer: &Response<Bytes>, name: &str) -> String {
    answer.headers()[name].to_str().unwrap().to_owned()
}

fn serve(config: &str) -> (Program, Server) {
    let program = with_upstream(config)
        .unwrap()
        .env("ONE_KEY", "the-first-key")
        .env("OTHER_KEY", "the-second-key");
    let server = Server::start(&program).unwrap();
    (program, server)
}

/// Posts with a key.
async fn post(server: &Server, key: &str, path: &str, body: &Value) -> Response<Bytes> {
    let client = PoolManager::new()
        .unwrap()
        .pool("client", PoolSettings::default())
        .unwrap();
    let request = Request::post(format!("{}{path}", server.url()))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let (head, body) = client.send(request, SendOptions::default()).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_goes_on_to_the_next_provider_except_where_the_request_is_wrong() {
    let upstream = Upstream::start().await.unwrap();
    let once = "resilience.max_attempts = 1\nhttp_pool.read_timeout = 1.0\n";
    let config = every_provider(&upstream, once) + "[routes.embeddings]\nours = [\"voyage\", \"openai\"]\n";
    let (_program, server) = serve(&config);
    let ask = async || {
        let body = json!({"model": "ours", "input": "a"});
        server.post_raw("/v1/embeddings", body).await.unwrap()
    };
    let answered = async || {
        let answer = ask().await;
        let told = ["x-weir-provider", "x-weir-attempts"].map(|name| header(&answer, name));
        (answer.status().as_u16(), told)
    };
    let first = || (200, ["voyage".to_owned(), "1".to_owned()]);
    let second = || (200, ["openai".to_owned(), "2".to_owned()]);

    assert_eq!(answered().await, first());
    for fault in [
        Fault::too_many_requests(1),
        Fault::status(503),
        Fault::delay(Duration::from_secs(30)),
    ] {
        upstream.order(fault.clone().on(Api::Voyage));
        assert_eq!(answered().await, second(), "{fault:?}");
        upstream.call_off_faults();
        // What the provider said of its quota holds for a second.
        tokio::time::timeout(Duration::from_secs(60), async { while answered().await != first() {} })
            .await
            .unwrap();
    }
    for status in [400, 401, 404] {
        upstream.order(Fault::status(status).on(Api::Voyage));
        let (answer, [provider, attempts]) = answered().await;
        assert_eq!((answer, &*provider, &*attempts), (status, "voyage", "1"));
    }

    // Until the breaker holds requests back: then nothing more is sent.
    upstream.order(Fault::status(500).on(Api::Voyage).always());
    let sent = || upstream.stats().apis[&Api::Voyage].total;
    tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let before = sent();
            assert_eq!(answered().await, second());
            if sent() == before {
                return;
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(header(&ask().await, "x-weir-provider"), "openai");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_used_up_its_minute_is_told_when_to_come_again_and_the_other_goes_on() {
    let upstream = Upstream::start().await.unwrap();
    let config = every_provider(&upstream, "")
        + "[server]\napi_keys = [{ env = \"ONE_KEY\", requests_per_minute = 2 }, { env = \"OTHER_KEY\" }]\n";
    let (_program, server) = serve(&config);
    let body = json!({"model": "openai", "input": "a"});
    let ask = async |key| post(&server, key, "/v1/embeddings", &body).await;

    assert_eq!(ask("the-first-key").await.status(), 200);
    assert_eq!(ask("the-first-key").await.status(), 200);
    let refused = ask("the-first-key").await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    let millis: u64 = header(&refused, "retry-after-ms").parse().unwrap();
    assert!((1..=30).contains(&wait) && millis.div_ceil(1_000) == wait);
    let error: Value = serde_json::from_slice(refused.body()).unwrap();
    assert_eq!(
        (&error["error"]["type"], &error["error"]["code"]),
        (&"rate_limit_error".into(), &"rate_limit_exceeded".into())
    );
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("2 requests a minute")
    );

    assert_eq!(ask("the-second-key").await.status(), 200);
    assert_eq!(ask("a-guess").await.status(), 401);
    assert_eq!(upstream.stats().apis[&Api::OpenAi].total, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_every_door_are_counted_for_their_key() {
    let upstream = Upstream::start().await.unwrap();
    let messages = json!([{"role": "user", "content": "a few words for a model to say again"}]);
    for (path, body) in [
        (
            "/v1/embeddings",
            json!({"model": "openai", "input": "a few words to embed"}),
        ),
        (
            "/v1/rerank",
            json!({"model": "voyage", "query": "a few words", "documents": ["more words to rank"]}),
        ),
        ("/v1/chat/completions", json!({"model": "openai", "messages": messages})),
        (
            "/v1/chat/completions",
            json!({"model": "openai", "messages": messages, "stream": true}),
        ),
        (
            "/v1/providers/openai/embed",
            json!({"inputs": ["a few words to embed"]}),
        ),
        (
            "/v1/providers/openai/chat",
            json!({"messages": messages, "stream": true}),
        ),
    ] {
        let config =
            every_provider(&upstream, "") + "[server]\napi_keys = [{ env = \"ONE_KEY\", tokens_per_minute = 1 }]\n";
        let (_program, server) = serve(&config);
        assert_eq!(
            post(&server, "the-first-key", path, &body).await.status(),
            200,
            "{path}: {body}"
        );
        let refused = post(&server, "the-first-key", path, &body).await;
        assert_eq!(refused.status(), 429, "{path}: {body}");
        let error = String::from_utf8_lossy(refused.body()).into_owned();
        assert!(error.contains("1 tokens a minute"), "{error}");
    }
}

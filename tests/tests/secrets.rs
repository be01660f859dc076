//! A key goes to the upstream, and is seen nowhere else.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::sync::Arc;

use serde_json::{Value, json};
use weir_tests::recordings::{Player, Recording};
use weir_tests::{Program, Server, fixture};
use weir_upstream::{Api, Upstream};

const KEY: &str = "sentinel-7f3a9c";

/// The misbehaver with the key, bound to `origins` if there are any.
fn bound(upstream: &Upstream, origins: &str) -> Program {
    Program::with_config(&format!(
        r#"
        [providers.bad]
        component = "{}"
        [providers.bad.config]
        base_url = "{}/models"
        other_url = "{}"
        [providers.bad.secrets]
        api_key = {{ env = "SENTINEL_KEY"{origins} }}
        [providers.bad.egress]
        allow_private = ["127.0.0.1/32"]
        "#,
        fixture("misbehaver").display(),
        upstream.openai_url(),
        upstream.own_url_of(Api::Cohere),
    ))
    .unwrap()
    .env("SENTINEL_KEY", KEY)
}

fn program(upstream: &Upstream) -> Program {
    bound(upstream, "")
}

fn order(order: &str) -> String {
    json!({"messages": [{"role": "user", "content": order}]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_tells_every_byte_it_sees_tells_no_key() {
    let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
    let finished = program(&upstream)
        .run(["-v", "call", "bad", "chat", "--input", &order("echo")])
        .unwrap();
    assert_eq!(finished.status, Some(0), "{finished:?}");
    assert!(
        finished.stdout.contains("base_url"),
        "it tells its settings: {}",
        finished.stdout
    );
    assert!(
        finished.stdout.contains("200"),
        "it tells the answer: {}",
        finished.stdout
    );
    let received = upstream.last_request(Api::OpenAi).unwrap();
    assert_eq!(received.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_not_granted_is_denied_by_name() {
    let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
    let url = format!("{}/models", upstream.openai_url());
    let input = order(&format!("steal other_key {url}"));
    let finished = program(&upstream)
        .run(["--json", "call", "bad", "chat", "--input", &input])
        .unwrap();
    assert_eq!(finished.status, Some(1));
    assert!(
        finished.stderr.contains("credential-denied") && finished.stderr.contains("other_key"),
        "{finished:?}"
    );
    assert_eq!(upstream.stats().requests.total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_does_not_go_to_an_origin_that_is_not_granted() {
    let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
    let input = order(&format!("steal api_key {}", upstream.own_url_of(Api::Voyage)));
    let finished = program(&upstream)
        .run(["--json", "call", "bad", "chat", "--input", &input])
        .unwrap();
    assert!(finished.stderr.contains("egress-denied"), "{finished:?}");
    assert_eq!(upstream.stats().connections.opened, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_to_all_of_the_providers_origins_unless_it_is_bound() {
    let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
    let other = format!("{}/v1/models", upstream.own_url_of(Api::Cohere));
    let input = order(&format!("steal api_key {other}"));
    let run = |program: Program| {
        program
            .run(["--json", "call", "bad", "chat", "--input", &input])
            .unwrap()
    };

    let finished = run(program(&upstream));
    assert_eq!(finished.status, Some(0), "{finished:?}");
    let received = upstream.last_request(Api::Cohere).unwrap();
    assert_eq!(received.header("authorization"), Some(format!("Bearer {KEY}").as_str()));

    let origins = format!(", origins = [\"{}\"]", upstream.openai_url());
    let finished = run(bound(&upstream, &origins));
    assert_eq!(finished.status, Some(1), "{finished:?}");
    for named in ["credential-denied", "api_key", &upstream.own_url_of(Api::Cohere)] {
        assert!(finished.stderr.contains(named), "{named}: {finished:?}");
    }
    assert_eq!(upstream.requests(Api::Cohere).len(), 1, "the bound one was not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_bound_to_no_origin_that_is_not_granted() {
    let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
    let finished = bound(&upstream, ", origins = [\"https://elsewhere.example\"]")
        .run(["call", "bad", "chat", "--input", &order("echo")])
        .unwrap();
    assert_eq!(finished.status, Some(2), "{finished:?}");
    for named in ["`bad`", "`api_key`", "https://elsewhere.example", "egress.allow"] {
        assert!(finished.stderr.contains(named), "{named}: {finished:?}");
    }
    assert_eq!(upstream.stats().connections.opened, 0);
}

/// The key as a word of a chat's answer that comes in events, in pieces of every length.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_back_in_a_stream_is_masked_wherever_the_pieces_end() {
    let event = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": "c", "model": "m", "choices": [choice]}))
    };
    let said = event(json!({"content": format!("it is {KEY}, is it not")}), json!(null));
    let body = [said, event(json!({}), json!("stop")), "data: [DONE]\n\n".to_owned()].concat();
    let answer = Arc::new(Recording::of_type(200, "text/event-stream", body));
    let player = Player::start().await.unwrap();
    let program = Program::with_config(&format!(
        "[providers.openai]\nconfig.base_url = \"{}\"\nsecrets.api_key = {{ env = \"SENTINEL_KEY\" }}\n\
         egress.allow_private = [\"127.0.0.1/32\"]\n",
        player.url("openai")
    ))
    .unwrap()
    .env("SENTINEL_KEY", KEY);
    let server = Server::start(&program).unwrap();
    for piece in [Some(1), Some(2), Some(7), Some(64), None] {
        player.play("openai", answer.clone(), piece);
        let input = json!({"messages": [{"role": "user", "content": "which key?"}], "stream": true});
        let told = server.post_raw("/v1/providers/openai/chat", input).await.unwrap();
        let lines = String::from_utf8(told.into_body().to_vec()).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text: String = lines
            .filter_map(|line| Some(line["text"].as_str()?.to_owned()))
            .collect();
        assert_eq!(text, format!("it is {}, is it not", "*".repeat(KEY.len())), "{piece:?}");
    }
}

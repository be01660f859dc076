//! What the adapters of Google, Anthropic and Bedrock promise beyond the recordings: calls of many requests, waits told
//! in bodies, signed requests, streams cut short.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::sync::Arc;

use serde_json::{Value, json};
use weir_tests::Program;
use weir_tests::recordings::{Player, Recording, Sent, event_stream};

/// An answer of JSON.
fn answer(status: u16, body: &Value) -> Arc<Recording> {
    raw(status, "application/json", body.to_string().into_bytes())
}

fn raw(status: u16, kind: &str, body: Vec<u8>) -> Arc<Recording> {
    Arc::new(Recording::of_type(status, kind, body))
}

/// Server-sent events of these texts, each named by its `type` as Anthropic does.
fn events(data: &[Value]) -> Arc<Recording> {
    let event = |data: &Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().unwrap_or("message")
        )
    };
    raw(
        200,
        "text/event-stream",
        data.iter().map(event).collect::<String>().into_bytes(),
    )
}

fn program(provider: &str, player: &Player, secrets: &str) -> Program {
    Program::with_config(&format!(
        "[providers.x]\ncomponent = \"{provider}\"\nconfig.base_url = \"{}\"\nresilience.max_attempts = 1\n\
         egress.allow_private = [\"127.0.0.1/32\"]\n{secrets}",
        player.url("x")
    ))
    .unwrap()
    .env("A_KEY", "a-key-of-this-test")
    .env("A_TOKEN", "a-token-of-this-test")
}

const API_KEY: &str = "secrets.api_key = { env = \"A_KEY\" }\n";
const BEARER: &str = "secrets.bearer_token = { env = \"A_KEY\" }\n";

fn call(program: &Program, operation: &str, input: &Value) -> (Vec<Value>, Value) {
    let finished = program
        .run(["--json", "call", "x", operation, "--input", &input.to_string()])
        .unwrap();
    let lines = finished.stdout.lines();
    let out = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let error = finished.stderr.lines().find_map(|line| {
        let error: Value = serde_json::from_str(line).ok()?;
        error.get("error").cloned()
    });
    (out, error.unwrap_or(Value::Null))
}

fn chat(streams: bool) -> Value {
    json!({ "messages": [{ "role": "user", "content": "hi" }], "model": "m", "stream": streams })
}

fn body(sent: &Sent) -> Value {
    serde_json::from_slice(&sent.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_one_text_is_asked_for_each_and_the_vectors_keep_their_order() {
    let player = Player::start().await.unwrap();
    let counted = |sent: &Sent| {
        let number: f32 = body(sent)["inputText"].as_str().unwrap().parse().unwrap();
        answer(200, &json!({ "embedding": [number, 1.0], "inputTextTokenCount": 2 }))
    };
    player.answer_with("x", Arc::new(counted), None);
    let program = program("bedrock", &player, BEARER);

    // More than are under way at once, and more than go into one call of the adapter.
    for count in [1, 96, 97, 200] {
        let texts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let (out, error) = call(&program, "embed", &json!({ "inputs": texts }));
        assert_eq!(error, Value::Null);
        let vectors: Vec<Value> = (0..count).map(|number| json!([number as f32, 1.0])).collect();
        assert_eq!(out[0]["vectors"], Value::from(vectors), "{count}");
        assert_eq!(out[0]["usage"]["input_tokens"], 2 * count);
    }
    assert_eq!(player.sent("x").len(), 1 + 96 + 97 + 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_expires_is_signed_with_its_token() {
    let player = Player::start().await.unwrap();
    player.play(
        "x",
        answer(200, &json!({ "results": [{ "index": 0, "relevanceScore": 0.5 }] })),
        None,
    );
    let keys = "secrets.access_key_id = { env = \"A_KEY\" }\nsecrets.secret_access_key = { env = \"A_KEY\" }\n\
        config.region = \"eu-west-1\"\n";
    let token = "secrets.session_token = { env = \"A_TOKEN\" }\n";
    let agent = format!("config.agent_base_url = \"{}\"\n", player.url("x"));
    let asked = json!({ "query": "q", "documents": ["a"] });

    let (_, error) = call(
        &program("bedrock", &player, &format!("{keys}{token}{agent}")),
        "rerank",
        &asked,
    );
    assert_eq!(error, Value::Null);
    let (_, error) = call(&program("bedrock", &player, keys), "rerank", &asked);
    assert_eq!(error, Value::Null);

    let sent = player.sent("x");
    let authorization = |sent: &Sent| sent.header("authorization").unwrap().to_owned();
    assert_eq!(sent[0].target, "/rerank");
    assert_eq!(sent[0].header("x-amz-security-token"), Some("a-token-of-this-test"));
    assert!(authorization(&sent[0]).contains("/eu-west-1/bedrock/aws4_request"));
    assert!(authorization(&sent[0]).contains("x-amz-security-token"));
    assert_eq!(
        body(&sent[0])["rerankingConfiguration"]["bedrockRerankingConfiguration"]["modelConfiguration"]["modelArn"],
        "arn:aws:bedrock:eu-west-1::foundation-model/cohere.rerank-v3-5:0"
    );
    assert_eq!(sent[1].target, "/model/cohere.rerank-v3-5%3A0/invoke");
    assert_eq!(sent[1].header("x-amz-security-token"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_that_is_cut_or_damaged_is_malformed_and_an_exception_keeps_its_words() {
    let player = Player::start().await.unwrap();
    let program = program("bedrock", &player, BEARER);
    let start = event_stream("event", "messageStart", &json!({ "role": "assistant" }));
    let text = event_stream(
        "event",
        "contentBlockDelta",
        &json!({ "contentBlockIndex": 0, "delta": { "text": "hi" } }),
    );
    let exception = event_stream("exception", "throttlingException", &json!({ "message": "slow down" }));
    let stream = |parts: &[&[u8]]| raw(200, "application/vnd.amazon.eventstream", parts.concat());
    let mut damaged = text.clone();
    *damaged.last_mut().unwrap() ^= 1;

    for (answered, kind, words) in [
        (stream(&[&start, &text]), "malformed-response", "messageStop"),
        (stream(&[&start, &text[..40]]), "malformed-response", "inside a message"),
        (stream(&[&start, &damaged]), "malformed-response", "checksum"),
        (stream(&[b"<html>no</html>"]), "malformed-response", "checksum"),
        (stream(&[]), "malformed-response", "messageStop"),
        (stream(&[&start, &text, &exception]), "rate-limited", "slow down"),
    ] {
        for piece in [None, Some(1), Some(7)] {
            player.play("x", answered.clone(), piece);
            let (_, error) = call(&program, "chat", &chat(true));
            assert_eq!(error["kind"], kind, "{error}");
            assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_google_tells_in_the_body_is_passed_on() {
    let player = Player::start().await.unwrap();
    let refusal = json!({ "error": {
        "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
        "details": [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s" }],
    }});
    player.play("x", answer(429, &refusal), None);
    let program = program("google", &player, API_KEY);
    for streams in [false, true] {
        let (_, error) = call(&program, "chat", &chat(streams));
        assert_eq!(
            (&error["kind"], &error["retry_after"]),
            (&"rate-limited".into(), &48.0.into()),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_malformed() {
    let player = Player::start().await.unwrap();
    let page = || raw(200, "text/html", b"<html><body>Sign in</body></html>".to_vec());
    for (provider, secrets) in [("google", API_KEY), ("anthropic", API_KEY), ("bedrock", BEARER)] {
        let program = program(provider, &player, secrets);
        for answered in [
            page(),
            answer(200, &json!({})),
            raw(200, "application/json", b"{\"a\": [1, ".to_vec()),
        ] {
            player.play("x", answered, None);
            for streams in [false, true] {
                let (_, error) = call(&program, "chat", &chat(streams));
                assert_eq!(error["kind"], "malformed-response", "{provider}: {error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_with_anthropic_comes_whole_and_in_events() {
    let player = Player::start().await.unwrap();
    let program = program("anthropic", &player, API_KEY);
    let usage = json!({ "input_tokens": 3, "output_tokens": 2 });
    let whole = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "stop_reason": "tool_use",
        "content": [
            { "type": "text", "text": "größe" },
            { "type": "tool_use", "id": "t", "name": "add", "input": { "a": 1 } },
        ],
        "usage": usage,
    });
    player.play("x", answer(200, &whole), None);
    let (out, _) = call(&program, "chat", &chat(false));
    let call_made = json!([{ "id": "t", "name": "add", "arguments": "{\"a\":1}" }]);
    assert_eq!((&out[0]["text"], &out[0]["tool_calls"]), (&"größe".into(), &call_made));
    let sent = &player.sent("x")[0];
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(body(sent)["max_tokens"], 4096);

    let block =
        |index: u32, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let delta = |index: u32, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    let streamed = events(&[
        json!({ "type": "message_start", "message": { "model": "m-1", "usage": { "input_tokens": 3, "output_tokens": 1 } } }),
        json!({ "type": "ping" }),
        block(0, json!({ "type": "text", "text": "" })),
        delta(0, json!({ "type": "text_delta", "text": "größe" })),
        json!({ "type": "content_block_stop", "index": 0 }),
        block(1, json!({ "type": "tool_use", "id": "t", "name": "add", "input": {} })),
        delta(1, json!({ "type": "input_json_delta", "partial_json": "{\"a\":" })),
        delta(1, json!({ "type": "input_json_delta", "partial_json": "1}" })),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 2 } }),
        json!({ "type": "message_stop" }),
    ]);
    for piece in [None, Some(1), Some(2), Some(7), Some(64)] {
        player.play("x", streamed.clone(), piece);
        let (out, error) = call(&program, "chat", &chat(true));
        assert_eq!(error, Value::Null);
        let together = weir_tests::recordings::case::whole(&out);
        assert_eq!(
            (&together["text"], &together["tool_calls"]),
            (&"größe".into(), &call_made)
        );
        assert_eq!(
            (&together["model"], &together["finish"]),
            (&"m-1".into(), &"tool-calls".into())
        );
        assert_eq!(together["usage"], usage);
    }

    let overloaded =
        json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" }, "request_id": "r" });
    player.play("x", answer(529, &overloaded), None);
    let (_, error) = call(&program, "chat", &chat(false));
    assert_eq!(
        (&error["kind"], &error["status"], &error["request_id"]),
        (&"upstream".into(), &529.into(), &"r".into())
    );
    assert!(error["message"].as_str().unwrap().contains("busy"));
}

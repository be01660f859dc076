//! What every operation of every adapter makes of answers that are none: an error that says so, never a wrong vector, a
//! panic or a wait without end.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_tests::calls::{self, APIS, Call};
use weir_tests::recordings::{Player, Recording, Sent};
use weir_tests::{Program, Server};

/// Providers that answer what they are told to, and the program before them.
struct Theatre {
    player: Player,
    server: Server,
    _program: Program,
}

impl Theatre {
    async fn open() -> Theatre {
        let player = Player::start().await.unwrap();
        let config: String = APIS.iter().map(|api| api.table(&player)).collect();
        let program = Program::with_config(&config).unwrap().env("A_KEY", "a-key-of-answers");
        // The log of all of these would be gigabytes long.
        let program = program.env("RUST_LOG", "warn");
        let server = Server::start(&program).unwrap();
        Theatre {
            player,
            server,
            _program: program,
        }
    }

    /// Has the request that an operation is about answered so; those before it find what they look for.
    fn answer(&self, call: &Call, body: &[u8]) {
        let body = body.to_vec();
        let is_before = before(call);
        let is_streamed = call.input["stream"] == true;
        let answering = move |sent: &Sent| {
            if let Some(found) = is_before(sent) {
                return Arc::new(Recording::of_json(200, found));
            }
            let mut answer = Recording::of_json(200, "");
            answer.body = body.clone();
            if is_streamed {
                answer.headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
            }
            Arc::new(answer)
        };
        self.player.answer_with(call.api.name, Arc::new(answering), None);
    }

    /// The kind of the error, if it is one, and all that was said.
    async fn call(&self, call: &Call) -> (Option<String>, Value) {
        let path = format!("/v1/providers/{}/{}", call.api.name, call.operation);
        let answer = self.server.post_raw(&path, call.input.clone()).await.unwrap();
        let lines = answer
            .body()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        let error = lines.iter().find_map(|line| line["error"]["kind"].as_str());
        (error.map(str::to_owned), lines.into())
    }

    /// The program's memory at its highest, in bytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// What an adapter looks at before it does what it was asked for.
fn before(call: &Call) -> fn(&Sent) -> Option<&'static str> {
    const CHROMA: &str =
        r#"{"id": "i", "name": "docs", "dimension": 2, "configuration_json": {"hnsw": {"space": "cosine"}}}"#;
    match (call.api.name, call.operation) {
        ("chroma", "upsert" | "query" | "delete" | "count") => |sent| match &sent.target {
            target if target.ends_with("/collections/docs") => Some(CHROMA),
            target if target.ends_with("/get") => Some(r#"{"ids": []}"#),
            _ => None,
        },
        _ => |_| None,
    }
}

/// One call of every operation.
fn calls() -> Vec<Call> {
    let is_first = |call: &Call| match call.operation {
        "embed" | "embed-sparse" => call.what == "documents",
        "chat" => matches!(call.what, "plain" | "streamed"),
        "query" => call.what == "dense",
        "upsert" => call.what == "a point",
        "delete" => call.what == "ids",
        "count" => call.what == "all",
        _ => call.what == "plain",
    };
    calls::all().into_iter().filter(is_first).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_malformed() {
    let theatre = Theatre::open().await;
    let calls = calls();
    let mut report = String::new();
    for call in &calls {
        let right = right(call);
        let half = right.len() / 2;
        let doubled = [&right[..], &right[..]].concat();
        for (shape, body) in [
            ("empty", &b""[..]),
            ("HTML", b"<!doctype html><html><body>Sign in</body></html>"),
            ("another object", b"{\"unexpected\": [1, 2]}"),
            ("a text", b"\"ok\""),
            ("a number", b"1e400"),
            ("null", b"null"),
            ("bytes", b"\xff\xfe\x00\x01"),
            ("cut", &right[..half]),
            ("doubled", &doubled),
        ] {
            // A stream ends at its end, whatever follows; one of no events has none that is wrong.
            if call.input["stream"] == true && shape == "doubled" {
                continue;
            }
            theatre.answer(call, body);
            let (kind, said) = theatre.call(call).await;
            if kind.as_deref() != Some("malformed-response") && !is_all_there_is(call, shape) {
                writeln!(report, "{}, {shape}: {said}", call.name()).unwrap();
            }
        }
        theatre.answer(call, &right);
        let (kind, said) = theatre.call(call).await;
        if kind.is_some() {
            writeln!(report, "{}, right: {said}", call.name()).unwrap();
        }
    }
    println!("{} operations, 9 shapes each", calls.len());
    assert!(report.is_empty(), "\n{report}");
}

/// Where an answer that says nothing is what the provider documents, or says all that is asked.
fn is_all_there_is(call: &Call, shape: &str) -> bool {
    matches!(
        (call.api.name, call.operation, shape),
        ("chroma", "upsert" | "delete" | "drop-collection", _)
            // A number twice is a number; no models are told by leaving them out.
            | ("chroma", "count", "doubled")
            | ("google", "models", "another object")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_put_in_order_or_refused_never_mixed_up() {
    let theatre = Theatre::open().await;
    let (first, second) = (json!([0.25, 1]), json!([1, 0.5]));
    let mut report = String::new();
    for mut call in calls().into_iter().filter(|call| call.operation == "embed") {
        if call.api.name != "huggingface" {
            call.input["dimensions"] = 2.into();
        }
        let is_indexed = embeddings(&call, &[(0, &first)])["data"].is_array();
        let one_by_one = call.input["model"].as_str().unwrap_or_default().starts_with("amazon.");
        let huge = json!([1, 1e39]);
        let (hole, short, text) = (json!([1, null]), json!([1]), json!(["1", "2"]));
        let three = json!([1, 2, 3]);
        let none = json!([]);
        for (shape, items, is_told) in [
            ("a hole", vec![(0, &first), (1, &hole)], true),
            ("texts", vec![(0, &first), (1, &text)], true),
            ("empty", vec![(0, &none), (1, &none)], true),
            ("too large", vec![(0, &huge), (1, &huge)], true),
            ("ragged", vec![(0, &first), (1, &short)], true),
            (
                "of other dimensions",
                vec![(0, &three), (1, &three)],
                call.api.name != "huggingface",
            ),
            ("one", vec![(0, &first)], !one_by_one),
            ("three", vec![(0, &first), (1, &second), (2, &first)], !one_by_one),
            ("none", vec![], true),
            ("one twice", vec![(0, &first), (0, &second)], is_indexed),
            ("one beyond", vec![(0, &first), (2, &second)], is_indexed),
        ] {
            // A provider that tells no places can't be caught changing them.
            if !is_told {
                continue;
            }
            theatre.answer(&call, embeddings(&call, &items).to_string().as_bytes());
            let (kind, said) = theatre.call(&call).await;
            if kind.as_deref() != Some("malformed-response") {
                writeln!(report, "{}, {shape}: {said}", call.name()).unwrap();
            }
        }
        if !one_by_one && call.api.name != "perplexity" {
            let places = if is_indexed {
                [(1, &second), (0, &first)]
            } else {
                [(0, &first), (1, &second)]
            };
            theatre.answer(&call, embeddings(&call, &places).to_string().as_bytes());
            let (_, said) = theatre.call(&call).await;
            if said[0]["vectors"] != json!([[0.25, 1.0], [1.0, 0.5]]) {
                writeln!(report, "{}, in another order: {said}", call.name()).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rankings_are_put_in_order_or_refused() {
    let theatre = Theatre::open().await;
    let mut report = String::new();
    for call in calls().into_iter().filter(|call| call.operation == "rerank") {
        for (shape, items) in [
            ("none", vec![]),
            ("one of two", vec![(0, json!(0.5))]),
            ("one twice", vec![(1, json!(0.5)), (1, json!(0.25))]),
            ("one beyond", vec![(0, json!(0.5)), (2, json!(0.25))]),
            ("one too many", vec![(0, json!(0.5)), (1, json!(0.25)), (2, json!(0.1))]),
            ("a negative place", vec![(0, json!(0.5)), (-1, json!(0.25))]),
            ("no score", vec![(0, json!(0.5)), (1, Value::Null)]),
            ("too large", vec![(0, json!(0.5)), (1, json!(1e39))]),
        ] {
            theatre.answer(&call, ranking(&call, &items).to_string().as_bytes());
            let (kind, said) = theatre.call(&call).await;
            if kind.as_deref() != Some("malformed-response") {
                writeln!(report, "{}, {shape}: {said}", call.name()).unwrap();
            }
        }
        theatre.answer(
            &call,
            ranking(&call, &[(1, json!(0.25)), (0, json!(0.5))])
                .to_string()
                .as_bytes(),
        );
        let (_, said) = theatre.call(&call).await;
        if said[0]["results"] != json!([{ "index": 0, "score": 0.5 }, { "index": 1, "score": 0.25 }]) {
            writeln!(report, "{}, in another order: {said}", call.name()).unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// More than an instance may hold, and less than an answer may have.
const LARGE: u64 = 100_000_000;

/// What the program may take for them: some instances at their bounds, and as much again on its way to each.
const PEAK: u64 = 1 << 30;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_100_mb_or_without_end_meets_a_limit() {
    let theatre = Theatre::open().await;
    let mut report = String::new();
    for call in calls() {
        let right = right(&call);
        let list = right.iter().position(|byte| *byte == b'[').map_or(0, |at| at + 1);
        let streamed = call.input["stream"] == true;
        // Where lists are, one that goes on; of what is read event by event, comments.
        let again: &[u8] = if streamed {
            b": nothing\n\n"
        } else {
            b"{\"index\": 0}, "
        };
        for (shape, start, again, bytes) in [
            ("100 MB of spaces", &b""[..], &b" "[..], LARGE),
            ("a list of 100 MB", &right[..list], again, LARGE),
            ("an endless list", &right[..list], again, u64::MAX),
        ] {
            theatre.answer(&call, start);
            theatre.player.go_on_with(call.api.name, again, bytes);
            let (kind, said) = theatre.call(&call).await;
            let expected = [
                "malformed-response",
                "out-of-memory",
                "message-too-large",
                "cpu-time",
                "deadline",
            ];
            if !kind.as_deref().is_some_and(|kind| expected.contains(&kind)) && !is_all_there_is(&call, shape) {
                writeln!(report, "{}, {shape}: {said}", call.name()).unwrap();
            }
            println!("{}, {shape}: {kind:?}, {} MB", call.name(), theatre.peak() / 1_000_000);
        }
        // It goes on with what follows.
        theatre.answer(&call, &right);
        let (kind, said) = theatre.call(&call).await;
        if kind.is_some() {
            writeln!(report, "{}, after those: {said}", call.name()).unwrap();
        }
    }
    let peak = theatre.peak();
    assert!(peak < PEAK, "the program took {peak} bytes");
    assert!(report.is_empty(), "\n{report}");
}

/// What the provider documents.
fn right(call: &Call) -> Vec<u8> {
    if call.input["stream"] == true {
        return stream(call);
    }
    let answer = match call.operation {
        "embed" => embeddings(call, &[(0, &json!([1, 2])), (1, &json!([3, 4]))]),
        "embed-sparse" => json!([[{ "index": 7, "value": 0.5 }], []]),
        "rerank" => ranking(call, &[(0, json!(0.5)), (1, json!(0.25))]),
        "chat" => conversation(call),
        "web-search" => json!({ "results": [
            { "title": "T", "url": "https://t.example", "content": "c", "snippet": "c", "score": 0.5 },
        ] }),
        "models" => match call.api.name {
            "google" => json!({ "models": [{ "name": "models/m" }] }),
            "anthropic" => json!({ "data": [{ "id": "m", "type": "model" }], "has_more": false, "last_id": "m" }),
            "together" => json!([{ "id": "m" }]),
            "tei" => json!({ "model_id": "m" }),
            "bedrock-control" => json!({ "modelSummaries": [{ "modelId": "m" }] }),
            _ => json!({ "data": [{ "id": "m" }] }),
        },
        _ => stored(call),
    };
    answer.to_string().into_bytes()
}

fn embeddings(call: &Call, items: &[(usize, &Value)]) -> Value {
    let vectors: Vec<&Value> = items.iter().map(|(_, vector)| *vector).collect();
    match (call.api.name, call.input["model"].as_str().unwrap_or_default()) {
        ("cohere", _) | ("bedrock", "cohere.embed-v4:0") => json!({ "embeddings": { "float": vectors } }),
        // A text a request: the last, so that one wrong among several is met.
        ("bedrock", _) => json!({ "embedding": vectors.last(), "inputTextTokenCount": 1 }),
        ("google", _) => {
            json!({ "embeddings": vectors.iter().map(|vector| json!({ "values": vector })).collect::<Vec<_>>() })
        }
        ("huggingface" | "tei" | "tei-set", _) => json!(vectors),
        _ => {
            let data = items
                .iter()
                .map(|(index, vector)| json!({ "index": index, "embedding": vector }));
            json!({ "model": "m", "data": data.collect::<Vec<_>>(), "usage": { "total_tokens": 1 } })
        }
    }
}

fn ranking(call: &Call, items: &[(i32, Value)]) -> Value {
    let (list, score) = match call.api.name {
        "voyage" => ("data", "relevance_score"),
        "bedrock-agent" => ("results", "relevanceScore"),
        "tei" | "tei-set" => ("", "score"),
        _ => ("results", "relevance_score"),
    };
    let items: Value = items
        .iter()
        .map(|(index, worth)| json!({ "index": index, score: worth }))
        .collect();
    if list.is_empty() {
        items
    } else {
        json!({ list: items, "model": "m", "usage": { "total_tokens": 1 } })
    }
}

fn conversation(call: &Call) -> Value {
    match call.api.name {
        "cohere" => json!({
            "id": "1", "message": { "role": "assistant", "content": [{ "type": "text", "text": "hi" }] },
            "finish_reason": "COMPLETE", "usage": { "tokens": { "input_tokens": 1, "output_tokens": 1 } },
        }),
        "google" => json!({
            "candidates": [{ "content": { "parts": [{ "text": "hi" }], "role": "model" }, "finishReason": "STOP" }],
            "usageMetadata": { "promptTokenCount": 1, "candidatesTokenCount": 1 },
        }),
        "anthropic" => json!({
            "id": "1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": "hi" }], "usage": { "input_tokens": 1, "output_tokens": 1 },
        }),
        "bedrock" => json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": "hi" }] } }, "stopReason": "end_turn",
            "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
        }),
        _ => json!({
            "id": "1", "model": "m",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
        }),
    }
}

fn stream(call: &Call) -> Vec<u8> {
    let events = match call.api.name {
        "cohere" => vec![
            json!({ "type": "message-start", "id": "1", "delta": { "message": { "role": "assistant" } } }),
            json!({ "type": "content-delta", "index": 0, "delta": { "message": { "content": { "text": "hi" } } } }),
            json!({ "type": "message-end", "delta": { "finish_reason": "COMPLETE" } }),
        ],
        "google" => vec![
            json!({ "candidates": [{ "content": { "parts": [{ "text": "h" }] } }], "modelVersion": "m" }),
            json!({ "candidates": [{ "content": { "parts": [{ "text": "i" }] }, "finishReason": "STOP" }] }),
        ],
        "anthropic" => vec![
            json!({ "type": "message_start", "message": { "model": "m", "usage": { "input_tokens": 1, "output_tokens": 1 } } }),
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "hi" } }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 2 } }),
            json!({ "type": "message_stop" }),
        ],
        "bedrock" => {
            return [
                ("messageStart", json!({ "role": "assistant" })),
                (
                    "contentBlockDelta",
                    json!({ "contentBlockIndex": 0, "delta": { "text": "hi" } }),
                ),
                ("messageStop", json!({ "stopReason": "end_turn" })),
            ]
            .iter()
            .flat_map(|(name, payload)| weir_tests::recordings::event_stream("event", name, payload))
            .collect();
        }
        _ => vec![
            json!({ "id": "1", "model": "m", "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "h" } }] }),
            json!({ "id": "1", "model": "m", "choices": [{ "index": 0, "delta": { "content": "i" }, "finish_reason": "stop" }] }),
        ],
    };
    let event = |data: &Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().unwrap_or("message")
        )
    };
    events.iter().map(event).collect::<String>().into_bytes()
}

fn stored(call: &Call) -> Value {
    let result = match (call.api.name, call.operation) {
        ("chroma", "ensure-collection") => {
            return json!({ "id": "i", "name": "docs", "dimension": 4, "configuration_json": { "hnsw": { "space": "cosine" } } });
        }
        ("chroma", "upsert" | "drop-collection") => return json!({}),
        ("chroma", "delete") => return json!({ "deleted": 1 }),
        ("chroma", "query") => return json!({ "ids": [["1"]], "distances": [[0.5]], "metadatas": [[{}]] }),
        ("chroma", "count") => return json!(3),
        ("chroma", _) => return json!([{ "name": "docs" }]),
        (_, "ensure-collection") => {
            json!({ "config": { "params": { "vectors": { "dense": { "size": 4, "distance": "Cosine" } } } } })
        }
        (_, "upsert" | "delete") => json!({ "operation_id": 0, "status": "completed" }),
        (_, "query") => json!({ "points": [{ "id": 1, "score": 0.5, "payload": {} }] }),
        (_, "count") => json!({ "count": 3 }),
        (_, "list-collections") => json!({ "collections": [{ "name": "docs" }] }),
        _ => json!(true),
    };
    json!({ "result": result, "status": "ok", "time": 8.873e-6 })
}

//! Lists longer than a provider takes in one call, through every bundled adapter, against a provider that refuses more
//! than its limit and counts what it is sent.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use weir_tests::recordings::{Player, Recording, Sent};
use weir_tests::{Program, Server};

/// How an operation of an adapter looks on the wire, and what its provider takes.
struct Adapter {
    /// Component, and operation.
    name: &'static str,
    operation: &'static str,
    /// Most texts in one call, as the manifest states it.
    items: usize,
    /// Most tokens in one call, where the manifest states it.
    tokens: Option<usize>,
    shape: Shape,
    /// The provider's words for too many tokens: its status and body.
    too_many_tokens: (u16, &'static str),
    /// Where the answer says how many tokens there were.
    tells_usage: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    OpenAi,
    Perplexity,
    Cohere,
    Google,
    Bare,
    BareSparse,
    CohereRanking,
    VoyageRanking,
    BareRanking,
}

const CODED: (u16, &str) = (
    400,
    r#"{"error": {"message": "too many", "type": "invalid_request_error", "code": "max_tokens_per_request"}}"#,
);
const VOYAGE_WORDS: (u16, &str) = (
    400,
    r#"{"detail": "The max allowed tokens per submitted batch is 120000. Your batch has 130000 tokens."}"#,
);
const COHERE_WORDS: (u16, &str) = (
    400,
    r#"{"message": "too many tokens: total number of tokens is too high"}"#,
);
const BEDROCK_WORDS: (u16, &str) = (
    400,
    r#"{"message": "400 Bad Request: Too many input tokens. Max input tokens: 8192"}"#,
);
const TEI_WORDS: (u16, &str) = (
    413,
    r#"{"error": "`inputs` must have less than 512 tokens. Given: 600", "error_type": "Validation"}"#,
);

const fn adapter(name: &'static str, items: usize, shape: Shape, too_many_tokens: (u16, &'static str)) -> Adapter {
    Adapter {
        name,
        operation: "embed",
        items,
        tokens: None,
        shape,
        too_many_tokens,
        tells_usage: true,
    }
}

/// Every bundled adapter that embeds over a network.
fn embedding() -> Vec<Adapter> {
    let tokens = |adapter, tokens| Adapter {
        tokens: Some(tokens),
        ..adapter
    };
    let silent = |adapter| Adapter {
        tells_usage: false,
        ..adapter
    };
    vec![
        tokens(adapter("voyage", 128, Shape::OpenAi, VOYAGE_WORDS), 120_000),
        adapter("cohere", 96, Shape::Cohere, COHERE_WORDS),
        tokens(adapter("openai", 2_048, Shape::OpenAi, CODED), 300_000),
        tokens(
            adapter(
                "mistral",
                256,
                Shape::OpenAi,
                (
                    400,
                    r#"{"object": "error", "message": "Too many tokens overall, split into more batches.", "code": "3210"}"#,
                ),
            ),
            16_384,
        ),
        adapter("azure", 2_048, Shape::OpenAi, CODED),
        silent(adapter("huggingface", 32, Shape::Bare, TEI_WORDS)),
        tokens(adapter("perplexity", 512, Shape::Perplexity, CODED), 120_000),
        silent(adapter(
            "google",
            100,
            Shape::Google,
            (
                400,
                r#"{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "it exceeds the maximum number of tokens"}}"#,
            ),
        )),
        silent(adapter("bedrock", 96, Shape::Cohere, BEDROCK_WORDS)),
        adapter(
            "jina",
            2_048,
            Shape::OpenAi,
            (413, r#"{"detail": "the request is too large"}"#),
        ),
        silent(adapter("tei", 32, Shape::Bare, TEI_WORDS)),
        silent(Adapter {
            operation: "embed-sparse",
            ..adapter("tei", 32, Shape::BareSparse, TEI_WORDS)
        }),
    ]
}

/// Every bundled adapter whose provider scores each document for itself.
fn reranking() -> Vec<Adapter> {
    let rerank = |adapter| Adapter {
        operation: "rerank",
        tells_usage: false,
        ..adapter
    };
    vec![
        rerank(Adapter {
            tokens: Some(600_000),
            ..adapter("voyage", 1_000, Shape::VoyageRanking, VOYAGE_WORDS)
        }),
        rerank(adapter("cohere", 1_000, Shape::CohereRanking, COHERE_WORDS)),
        rerank(adapter("bedrock", 1_000, Shape::CohereRanking, BEDROCK_WORDS)),
        rerank(adapter("tei", 32, Shape::BareRanking, TEI_WORDS)),
    ]
}

/// What the provider of one stage saw.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    refused: AtomicUsize,
}

/// A provider that takes so many texts and tokens in one call.
fn serve(player: &Player, stage: &str, adapter: &Adapter, tokens_taken: usize) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let counting = seen.clone();
    let (items, shape, too_many) = (adapter.items, adapter.shape, adapter.too_many_tokens);
    let answering = move |sent: &Sent| {
        counting.requests.fetch_add(1, Ordering::SeqCst);
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        let texts = texts_of(&body);
        let beside = body["query"].as_str().map_or(0, tokens_of);
        let used = texts.iter().map(|text| beside + tokens_of(text)).sum::<usize>();
        if texts.len() > items || used > tokens_taken {
            counting.refused.fetch_add(1, Ordering::SeqCst);
            return recording(too_many.0, too_many.1.to_owned());
        }
        let numbers: Vec<usize> = texts.iter().map(|text| number_of(text)).collect();
        let top_n = body.get("top_n").or_else(|| body.get("top_k")).and_then(Value::as_u64);
        recording(200, answer(shape, &numbers, used, top_n).to_string())
    };
    player.answer_with(stage, Arc::new(answering), None);
    seen
}

fn texts_of(body: &Value) -> Vec<String> {
    if let Some(requests) = body.get("requests") {
        let requests = requests.as_array().unwrap().iter();
        return requests
            .map(|request| request["content"]["parts"][0]["text"].as_str().unwrap().to_owned())
            .collect();
    }
    let found = ["input", "inputs", "texts", "documents"]
        .iter()
        .find_map(|name| body.get(name));
    serde_json::from_value(found.unwrap().clone()).unwrap()
}

fn answer(shape: Shape, numbers: &[usize], tokens: usize, top_n: Option<u64>) -> Value {
    let vectors: Vec<[f32; 3]> = numbers.iter().map(|number| vector(*number)).collect();
    // The best ones first, as the providers do.
    let mut ranks: Vec<(usize, f32)> = numbers.iter().map(|number| score(*number)).enumerate().collect();
    ranks.sort_by(|one, other| other.1.total_cmp(&one.1));
    ranks.truncate(top_n.map_or(usize::MAX, |top_n| usize::try_from(top_n).unwrap()));
    let ranks = |name: &str| -> Value {
        let ranks = ranks.iter();
        ranks
            .map(|(index, score)| json!({ "index": index, name: score }))
            .collect()
    };
    match shape {
        Shape::OpenAi | Shape::Perplexity => {
            let data: Vec<Value> = vectors
                .iter()
                .enumerate()
                .map(|(index, vector)| {
                    let bytes = BASE64.encode(vector.map(|value| value as u8));
                    let embedding = if shape == Shape::Perplexity {
                        json!(bytes)
                    } else {
                        json!(vector)
                    };
                    json!({ "object": "embedding", "index": index, "embedding": embedding })
                })
                .collect();
            let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
            json!({ "object": "list", "data": data, "model": "m", "usage": usage })
        }
        Shape::Cohere => json!({
            "embeddings": { "float": vectors }, "meta": { "billed_units": { "input_tokens": tokens } },
        }),
        Shape::Google => {
            let embeddings: Value = vectors.iter().map(|vector| json!({ "values": vector })).collect();
            json!({ "embeddings": embeddings })
        }
        Shape::Bare => json!(vectors),
        Shape::BareSparse => numbers
            .iter()
            .map(|number| json!([{ "index": number, "value": 1.0 }]))
            .collect(),
        Shape::CohereRanking => json!({ "results": ranks("relevance_score") }),
        Shape::VoyageRanking => {
            json!({ "data": ranks("relevance_score"), "model": "m", "usage": { "total_tokens": tokens } })
        }
        Shape::BareRanking => ranks("score"),
    }
}

fn recording(status: u16, body: String) -> Arc<Recording> {
    Arc::new(Recording::of_json(status, &body))
}

/// The text of this number, of so many tokens.
fn text(number: usize, tokens: usize) -> String {
    let digits = number.to_string();
    let rest = tokens.saturating_sub(digits.len().div_ceil(4));
    format!("{digits} {}", "!".repeat(rest))
}

fn number_of(text: &str) -> usize {
    text.split(' ').next().unwrap().parse().unwrap()
}

/// A token for every mark, and for every four digits.
fn tokens_of(text: &str) -> usize {
    let (digits, rest) = text.split_once(' ').unwrap();
    digits.len().div_ceil(4) + rest.len()
}

/// A vector that says which text it is of, in numbers that every format can hold.
fn vector(number: usize) -> [f32; 3] {
    [number % 100, number / 100 % 100, number / 10_000].map(|digit| digit as f32)
}

/// No two documents have the same, and the best are spread over all of them.
fn score(number: usize) -> f32 {
    (number * 12_345 % 32_768) as f32 / 32_768.0
}

/// A server with every adapter, each at its stage.
fn gateway(player: &Player) -> (Program, Server) {
    let names = [
        "voyage",
        "cohere",
        "openai",
        "mistral",
        "azure",
        "huggingface",
        "perplexity",
        "google",
        "bedrock",
        "jina",
        "tei",
    ];
    let tables: String = names
        .iter()
        .map(|name| {
            let secret = if *name == "bedrock" { "bearer_token" } else { "api_key" };
            let model = match *name {
                "azure" => "config.model = \"m\"\n",
                "bedrock" => "config.model = \"cohere.embed-multilingual-v3\"\n",
                _ => "",
            };
            format!(
                "[providers.{name}]\nconfig.base_url = \"{}\"\nsecrets.{secret} = {{ env = \"A_KEY\" }}\n{model}\
                 egress.allow_private = [\"127.0.0.1/32\"]\nresilience.max_attempts = 1\nlimits.memory = \"512MiB\"\n\
                 limits.cpu_time = 60.0\nhttp_pool.max_response_bytes = \"64MiB\"\n",
                player.url(name)
            )
        })
        .collect();
    let program = Program::with_config(&format!("{tables}[providers.local]\n"))
        .unwrap()
        .env("A_KEY", "a-key-of-this-test")
        .env("RUST_LOG", "weir=info");
    let server = Server::start(&program).unwrap();
    (program, server)
}

async fn run(server: &Server, adapter: &Adapter, texts: &[String], top_n: Option<usize>) -> (u16, Value) {
    let input = if adapter.operation == "rerank" {
        json!({ "query": "0 ", "documents": texts, "top_n": top_n })
    } else {
        json!({ "inputs": texts })
    };
    let path = format!("/v1/providers/{}/{}", adapter.name, adapter.operation);
    server.post(&path, input).await.unwrap()
}

/// Which texts the vectors of an answer are of.
fn numbers_of(answer: &Value) -> Vec<usize> {
    let vectors = answer["vectors"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter();
    vectors
        .map(|vector| match vector.get("indices") {
            Some(indices) => usize::try_from(indices[0].as_u64().unwrap()).unwrap(),
            None => {
                let digits: Vec<f64> = serde_json::from_value(vector.clone()).unwrap();
                (digits[0] + 100.0 * digits[1] + 10_000.0 * digits[2]) as usize
            }
        })
        .collect()
}

/// The best documents of so many, best first.
fn best(documents: usize, top_n: Option<usize>) -> Vec<usize> {
    let mut best: Vec<usize> = (0..documents).collect();
    best.sort_by(|one, other| score(*other).total_cmp(&score(*one)));
    best.truncate(top_n.unwrap_or(documents));
    best
}

fn ranking_of(answer: &Value) -> Vec<usize> {
    let results = answer["results"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter();
    results
        .map(|result| usize::try_from(result["index"].as_u64().unwrap()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_inputs_than_a_provider_takes_go_in_parts_and_the_vectors_keep_their_order() {
    let player = Player::start().await.unwrap();
    let (_program, server) = gateway(&player);
    for adapter in embedding() {
        let label = format!("{} {}", adapter.name, adapter.operation);
        for count in [1, adapter.items, adapter.items + 1, 10 * adapter.items] {
            let seen = serve(&player, adapter.name, &adapter, usize::MAX);
            let texts: Vec<String> = (0..count).map(|number| text(number, 2)).collect();

            let (status, answer) = run(&server, &adapter, &texts, None).await;

            assert_eq!(status, 200, "{label}: {answer}");
            assert!(
                numbers_of(&answer).into_iter().eq(0..count),
                "{label}: {count} in another order"
            );
            let requests = seen.requests.load(Ordering::SeqCst);
            assert_eq!(requests, count.div_ceil(adapter.items), "{label} of {count}");
            assert_eq!(seen.refused.load(Ordering::SeqCst), 0, "{label} of {count}");
            if adapter.tells_usage {
                let used = texts.iter().map(|text| tokens_of(text)).sum::<usize>();
                assert_eq!(answer["usage"]["input_tokens"], used, "{label} of {count}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tokens_than_a_provider_takes_go_in_parts() {
    let player = Player::start().await.unwrap();
    let (_program, server) = gateway(&player);
    for adapter in embedding().into_iter().chain(reranking()) {
        let Some(limit) = adapter.tokens else { continue };
        // The query goes with each document, as the reranker counts it.
        let beside = usize::from(adapter.operation == "rerank");
        let label = format!("{} {}", adapter.name, adapter.operation);
        let size = [1_000, 1_024]
            .into_iter()
            .find(|size| limit.is_multiple_of(*size))
            .unwrap();
        for (tokens, requests) in [(1, 1), (limit, 1), (limit + 1, 2), (10 * limit, 10)] {
            let seen = serve(&player, adapter.name, &adapter, limit);
            let rest = tokens % size;
            let sizes = std::iter::repeat_n(size, tokens / size).chain((rest > 0).then_some(rest));
            let texts: Vec<String> = sizes
                .enumerate()
                .map(|(number, size)| text(number, size - beside))
                .collect();

            let (status, answer) = run(&server, &adapter, &texts, None).await;

            assert_eq!(status, 200, "{label} of {tokens}: {answer}");
            if beside == 0 {
                assert!(
                    numbers_of(&answer).into_iter().eq(0..texts.len()),
                    "{label} of {tokens}"
                );
            } else {
                assert_eq!(ranking_of(&answer), best(texts.len(), None), "{label} of {tokens}");
            }
            assert_eq!(seen.refused.load(Ordering::SeqCst), 0, "{label} of {tokens}");
            assert_eq!(seen.requests.load(Ordering::SeqCst), requests, "{label} of {tokens}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_finds_too_large_is_halved_until_it_takes_it() {
    let player = Player::start().await.unwrap();
    let (_program, server) = gateway(&player);
    for adapter in embedding().into_iter().chain(reranking()) {
        let label = format!("{} {}", adapter.name, adapter.operation);
        let seen = serve(&player, adapter.name, &adapter, 250);
        let texts: Vec<String> = (0..8).map(|number| text(number, 100)).collect();

        let (status, answer) = run(&server, &adapter, &texts, None).await;

        assert_eq!(status, 200, "{label}: {answer}");
        if adapter.operation == "rerank" {
            assert_eq!(ranking_of(&answer), best(8, None), "{label}");
        } else {
            assert!(numbers_of(&answer).into_iter().eq(0..8), "{label}");
        }
        // All eight, two times four, and four times two.
        assert_eq!(seen.requests.load(Ordering::SeqCst), 7, "{label}");
        assert_eq!(seen.refused.load(Ordering::SeqCst), 3, "{label}");

        let long: Vec<String> = (0..8)
            .map(|number| text(number, if number == 5 { 251 } else { 1 }))
            .collect();
        let (status, answer) = run(&server, &adapter, &long, None).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(
            (status, answer["error"]["kind"].as_str()),
            (400, Some("too-large")),
            "{label}: {answer}"
        );
        let one = if adapter.operation == "rerank" {
            "document"
        } else {
            "input"
        };
        assert!(message.starts_with(&format!("{one} 5 of 8: ")), "{label}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_documents_than_a_reranker_takes_are_merged_best_first_and_cut_after_it() {
    let player = Player::start().await.unwrap();
    let (_program, server) = gateway(&player);
    for adapter in reranking() {
        for count in [1, adapter.items, adapter.items + 1, 10 * adapter.items] {
            for top_n in [None, Some(1), Some(adapter.items / 2), Some(adapter.items + 5)] {
                let label = format!("{}: {top_n:?} of {count}", adapter.name);
                let seen = serve(&player, adapter.name, &adapter, usize::MAX);
                let texts: Vec<String> = (0..count).map(|number| text(number, 2)).collect();

                let (status, answer) = run(&server, &adapter, &texts, top_n).await;

                assert_eq!(status, 200, "{label}: {answer}");
                assert_eq!(ranking_of(&answer), best(count, top_n), "{label}");
                assert_eq!(
                    seen.requests.load(Ordering::SeqCst),
                    count.div_ceil(adapter.items),
                    "{label}"
                );
                assert_eq!(seen.refused.load(Ordering::SeqCst), 0, "{label}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_are_compared_with_each_other_go_in_one_call() {
    let player = Player::start().await.unwrap();
    let (_program, server) = gateway(&player);
    for name in ["jina", "openai"] {
        let adapter = Adapter {
            operation: "rerank",
            ..adapter(name, usize::MAX, Shape::CohereRanking, CODED)
        };
        let seen = serve(&player, name, &adapter, usize::MAX);
        let texts: Vec<String> = (0..3_000).map(|number| text(number, 2)).collect();
        let (status, answer) = run(&server, &adapter, &texts, Some(10)).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(ranking_of(&answer), best(3_000, Some(10)));
        assert_eq!(seen.requests.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_fails_the_whole_and_is_named_through_every_door() {
    let player = Player::start().await.unwrap();
    player.answer_with(
        "voyage",
        Arc::new(|sent| {
            let body: Value = serde_json::from_slice(&sent.body).unwrap();
            let numbers: Vec<usize> = texts_of(&body).iter().map(|text| number_of(text)).collect();
            if numbers.contains(&200) {
                return recording(400, r#"{"detail": "a text is not to its liking"}"#.to_owned());
            }
            recording(200, answer(Shape::OpenAi, &numbers, 1, None).to_string())
        }),
        None,
    );
    let (program, server) = gateway(&player);
    let texts: Vec<String> = (0..1_000).map(|number| text(number, 2)).collect();
    let named = "inputs 128 to 255 of 1,000: the input was refused (HTTP 400): a text is not to its liking";

    let body = json!({ "model": "voyage", "input": texts });
    let (status, answer) = server.post("/v1/embeddings", body).await.unwrap();
    assert_eq!((status, answer["error"]["code"].as_str()), (400, Some("invalid-input")));
    assert_eq!(answer["error"]["message"], format!("voyage embed: {named}"));

    let input = json!({ "inputs": texts });
    let (status, answer) = server.post("/v1/providers/voyage/embed", input.clone()).await.unwrap();
    assert_eq!((status, answer["error"]["message"].as_str()), (400, Some(named)));

    let file = program.folder().join("input.json");
    std::fs::write(&file, input.to_string()).unwrap();
    let file = format!("@{}", file.display());
    let finished = program
        .run(["--json", "call", "voyage", "embed", "--input", &file])
        .unwrap();
    assert_eq!(finished.status, Some(1));
    assert!(finished.stderr.contains(named), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_keeps_what_is_left_from_being_sent() {
    let player = Player::start().await.unwrap();
    player.answer_with(
        "voyage",
        Arc::new(|_| recording(400, r#"{"detail": "no"}"#.to_owned())),
        None,
    );
    let program = Program::with_config(&format!(
        "[providers.voyage]\nconfig.base_url = \"{}\"\nsecrets.api_key = {{ env = \"A_KEY\" }}\n\
         egress.allow_private = [\"127.0.0.1/32\"]\nhttp_pool.max_connections = 2\n",
        player.url("voyage")
    ))
    .unwrap()
    .env("A_KEY", "a-key-of-this-test");
    let server = Server::start(&program).unwrap();
    let texts: Vec<String> = (0..12_800).map(|number| text(number, 2)).collect();

    let body = json!({ "model": "voyage", "input": texts });
    let (status, _) = server.post("/v1/embeddings", body).await.unwrap();

    assert_eq!(status, 400);
    // Two at once, and a third where the first had its answer while the second was on its way.
    let sent = player.sent("voyage").len();
    assert!(sent <= 3, "{sent} parts were sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_model_takes_any_number_of_texts() {
    let player = Player::start().await.unwrap();
    let (_program, server) = gateway(&player);
    for operation in ["embed", "embed-sparse"] {
        let path = format!("/v1/providers/local/{operation}");
        let texts: Vec<String> = (0..2_560).map(|number| format!("word{number}")).collect();
        let (status, answer) = server.post(&path, json!({ "inputs": texts })).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let vectors = answer["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), texts.len());
        for place in [0, 255, 256, 2_559] {
            let (_, alone) = server.post(&path, json!({ "inputs": [texts[place]] })).await.unwrap();
            assert_eq!(alone["vectors"][0], vectors[place], "{operation} {place}");
        }
    }
}

//! The adapter `qdrant` through `weir serve`, against Qdrant's real engine behind a REST front.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use weir_pool::{Pool, PoolManager, PoolSettings, SendOptions};
use weir_tests::recordings::{Player, Recording, Sent};
use weir_tests::{Program, Server, repository};

const KEY: &str = "a-key-of-the-engine";
const DIMENSIONS: usize = 24;
const POINTS: usize = 10_000;

/// The engine, and `weir serve` with it as the provider `qdrant`. The engine is ended when dropped.
struct Engine {
    process: Child,
    url: String,
    client: Pool,
    server: Server,
    _program: Program,
}

impl Engine {
    fn start() -> Engine {
        Engine::start_with(KEY)
    }

    /// With this key for the adapter.
    fn start_with(key: &str) -> Engine {
        let python = repository().join("target/python/bin/python");
        assert!(
            python.exists(),
            "{} is not there; run `just python-clients`",
            python.display()
        );
        let mut process = Command::new(python)
            .arg(repository().join("tests/python/qdrant_engine.py"))
            .arg(KEY)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let url = format!("http://127.0.0.1:{}", port.trim());
        let config = format!(
            "[providers.qdrant]\nconfig.base_url = \"{url}\"\nsecrets.api_key = {{ env = \"A_KEY\" }}\n\
             egress.allow_private = [\"127.0.0.1/32\"]\nresilience.max_attempts = 1\n"
        );
        let program = Program::with_config(&config).unwrap().env("A_KEY", key);
        let server = Server::start(&program).unwrap();
        let client = PoolManager::new()
            .unwrap()
            .pool("tests", PoolSettings::default())
            .unwrap();
        Engine {
            process,
            url,
            client,
            server,
            _program: program,
        }
    }

    /// What the adapter makes of an operation.
    async fn weir(&self, operation: &str, input: &Value) -> Value {
        let path = format!("/v1/providers/qdrant/{operation}");
        self.server.post(&path, input.clone()).await.unwrap().1
    }

    /// What the engine itself answers to it, without the adapter and from collections of its own.
    async fn engine(&self, operation: &str, input: &Value) -> Value {
        let request = http::Request::post(format!("{}/direct/{operation}", self.url))
            .header("api-key", KEY)
            .body(Bytes::from(input.to_string()))
            .unwrap();
        let answer = self.client.send(request, SendOptions::default()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["status"], "ok", "{operation}: {answer}");
        answer["result"].clone()
    }

    /// Has both do it.
    async fn both(&self, operation: &str, input: Value) -> Value {
        self.engine(operation, &input).await;
        let answer = self.weir(operation, &input).await;
        assert_eq!(answer.get("error"), None, "{operation}: {answer}");
        answer
    }

    /// Whether both find the same.
    async fn same(&self, what: &str, input: &Value) -> Value {
        let ours = self.weir("query", input).await;
        let theirs = self.engine("query", input).await;
        assert!(ours["points"].is_array(), "{what}: {ours}");
        let (ours, theirs) = (Found::of(&ours), Found::of(&theirs));
        let same = ours.scores.len() == theirs.scores.len()
            && ours
                .scores
                .iter()
                .zip(&theirs.scores)
                .all(|(one, other)| near(*one, *other));
        assert!(same, "{what}: {:?}, {:?}", ours.scores, theirs.scores);
        assert_eq!(ours.sure, theirs.sure, "{what}");
        Value::from(ours.scores.len())
    }

    async fn refused(&self, operation: &str, input: Value) -> (String, Value, String) {
        let answer = self.weir(operation, &input).await;
        let error = &answer["error"];
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        (text("kind"), error["status"].clone(), text("message"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The points of an answer, as far as ties leave no choice: which of those with the last score come is the engine's
/// whim, and so is the order of equals.
struct Found {
    scores: Vec<f64>,
    /// The payload by id.
    sure: BTreeMap<String, Value>,
}

/// The two shards do not add up in the same order.
fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-4 * one.abs().max(1.0)
}

impl Found {
    fn of(answer: &Value) -> Found {
        let points = answer["points"].as_array().unwrap();
        let score = |point: &Value| point["score"].as_f64().unwrap();
        let last = points.last().map_or(0.0, score);
        let sure = points.iter().filter(|point| !near(score(point), last));
        Found {
            scores: points.iter().map(score).collect(),
            sure: sure
                .map(|point| (point["id"].to_string(), point["payload"].clone()))
                .collect(),
        }
    }
}

/// Numbers from 0 to 1, the same in every run (the generator of Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSIONS).map(|_| self.next() - 0.5).collect()
    }

    /// Some terms of a few hundred.
    fn sparse(&mut self, terms: u32) -> Value {
        let mut indices: Vec<u32> = (0..terms).map(|term| term * 60 + (self.next() * 60.0) as u32).collect();
        // Qdrant takes them in any order.
        indices.reverse();
        let values: Vec<f32> = indices.iter().map(|_| self.next() + 0.1).collect();
        json!({ "indices": indices, "values": values })
    }
}

fn point(id: usize, numbers: &mut Numbers) -> Value {
    let languages = ["rust", "go", "python"];
    let mut payload = json!({
        "path": format!("src/File{id}.rs"), "n": id, "weight": id as f64 / 4.0, "even": u8::from(id.is_multiple_of(2)),
        "lang": languages[id % 3], "tags": [format!("t{}", id % 7), "all"], "deep": { "group": id % 10 },
    });
    match id % 5 {
        0 => payload["maybe"] = "here".into(),
        1 => payload["maybe"] = Value::Null,
        2 => payload["maybe"] = json!([]),
        _ => {}
    }
    let id = if id.is_multiple_of(100) {
        json!(format!("5f0c5bb2-6b3c-4f1e-9d55-{id:012x}"))
    } else {
        json!(id)
    };
    json!({ "id": id, "vector": numbers.vector(), "sparse": numbers.sparse(6), "payload": payload })
}

/// A filter of each clause, and how many of the points pass it. But for truth values, which the engine's Python takes
/// for numbers.
fn filters() -> Vec<(Value, usize)> {
    let must = |condition: Value| json!({ "must": [condition] });
    let third = POINTS.div_ceil(3);
    vec![
        (must(json!({ "key": "path", "equals": "src/File77.rs" })), 1),
        (must(json!({ "key": "n", "equals": 4_242 })), 1),
        (must(json!({ "key": "even", "equals": 1 })), POINTS / 2),
        (must(json!({ "key": "deep.group", "equals": 3 })), POINTS / 10),
        (must(json!({ "key": "tags", "equals": "t3" })), POINTS.div_ceil(7)),
        (must(json!({ "key": "lang", "any": ["rust"] })), third),
        (must(json!({ "key": "n", "any": [1, 2, 3, 20_000] })), 3),
        (must(json!({ "key": "lang", "any": [] })), 0),
        (must(json!({ "key": "n", "any": [5, "x"] })), 1),
        (must(json!({ "key": "even", "any": [1, 0] })), POINTS),
        (must(json!({ "key": "lang", "none": ["rust"] })), POINTS - third),
        (must(json!({ "key": "tags", "none": ["all"] })), 0),
        (must(json!({ "key": "nowhere", "none": ["x"] })), POINTS),
        (must(json!({ "key": "lang", "none": [] })), POINTS),
        (must(json!({ "key": "n", "range": { "gt": 10, "lte": 20 } })), 10),
        (
            must(json!({ "key": "weight", "range": { "gte": 0.25, "lt": 1.25 } })),
            4,
        ),
        (must(json!({ "key": "lang", "range": { "gt": 0 } })), 0),
        (must(json!({ "key": "path", "contains": "File999" })), 11),
        (must(json!({ "key": "path", "contains": "file999" })), 0),
        (must(json!({ "key": "tags", "contains": "t" })), POINTS),
        (must(json!({ "key": "maybe", "is_empty": true })), POINTS / 5 * 4),
        (
            json!({ "must_not": [{ "key": "maybe", "is_empty": true }] }),
            POINTS / 5,
        ),
        (
            json!({
                "must": [{ "key": "n", "range": { "lt": 100 } }],
                "should": [{ "key": "deep.group", "equals": 1 }, { "key": "deep.group", "equals": 2 }],
                "must_not": [{ "key": "even", "equals": 1 }],
            }),
            10,
        ),
        (
            json!({ "should": [{ "key": "n", "equals": 1 }, { "key": "lang", "none": ["go", "rust", "python"] }] }),
            1,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_points_are_found_as_the_engine_itself_finds_them() {
    let engine = Engine::start();
    let collection = json!({ "collection": "code", "dimensions": DIMENSIONS, "sparse": true });
    assert_eq!(
        engine.both("ensure-collection", collection.clone()).await["created"],
        true
    );
    assert_eq!(engine.weir("ensure-collection", &collection).await["created"], false);
    let mut numbers = Numbers(1);
    let points: Vec<Value> = (0..POINTS).map(|id| point(id, &mut numbers)).collect();
    for batch in points.chunks(100) {
        let written = engine
            .both("upsert", json!({ "collection": "code", "points": batch }))
            .await;
        assert_eq!(written["upserted"], batch.len());
    }
    let count = |filter: Option<&Value>| {
        let mut input = json!({ "collection": "code" });
        if let Some(filter) = filter {
            input["filter"] = filter.clone();
        }
        let engine = &engine;
        async move {
            let (ours, theirs) = (engine.weir("count", &input).await, engine.engine("count", &input).await);
            assert_eq!(ours, theirs, "{input}");
            ours["count"].clone()
        }
    };
    assert_eq!(count(None).await, POINTS);

    let with = |fields: &[(&str, &Value)]| {
        let mut input = json!({ "collection": "code", "limit": 20 });
        for (name, value) in fields {
            input[*name] = (*value).clone();
        }
        input
    };
    let (dense, sparse) = (json!(numbers.vector()), numbers.sparse(3));
    for (filter, passing) in filters() {
        assert_eq!(count(Some(&filter)).await, passing, "{filter}");
        for (what, input) in [
            ("dense", with(&[("vector", &dense), ("filter", &filter)])),
            ("sparse", with(&[("sparse", &sparse), ("filter", &filter)])),
            (
                "hybrid",
                with(&[("vector", &dense), ("sparse", &sparse), ("filter", &filter)]),
            ),
        ] {
            let found = engine.same(&format!("{what} {filter}"), &input).await;
            let found = usize::try_from(found.as_u64().unwrap()).unwrap();
            assert!(what == "sparse" || found == passing.min(20), "{what} {filter}: {found}");
        }
    }
    for _ in 0..20 {
        let (dense, sparse) = (json!(numbers.vector()), numbers.sparse(3));
        engine.same("dense", &with(&[("vector", &dense)])).await;
        engine.same("sparse", &with(&[("sparse", &sparse)])).await;
        engine
            .same(
                "hybrid",
                &with(&[("vector", &dense), ("sparse", &sparse), ("limit", &json!(100))]),
            )
            .await;
    }

    let gone = json!({ "collection": "code", "ids": [1, 2, "5f0c5bb2-6b3c-4f1e-9d55-000000000064", 1_000_000] });
    engine.both("delete", gone).await;
    assert_eq!(count(None).await, POINTS - 3);
    let odd = json!({ "must_not": [{ "key": "even", "equals": 1 }] });
    engine
        .both("delete", json!({ "collection": "code", "filter": odd }))
        .await;
    assert_eq!(count(Some(&odd)).await, 0);
    assert_eq!(count(None).await, POINTS / 2 - 2);
    engine
        .same("after deletion", &with(&[("vector", &dense), ("sparse", &sparse)]))
        .await;

    assert_eq!(
        engine.weir("list-collections", &json!({})).await,
        json!({ "collections": ["code"] })
    );
    let drop = json!({ "collection": "code" });
    assert_eq!(engine.weir("drop-collection", &drop).await, json!({ "dropped": true }));
    assert_eq!(engine.weir("drop-collection", &drop).await, json!({ "dropped": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_distance_scores_as_the_engine_does() {
    let engine = Engine::start();
    for distance in ["cosine", "dot", "euclid"] {
        let mut numbers = Numbers(2);
        let collection = json!({ "collection": distance, "dimensions": DIMENSIONS, "distance": distance });
        engine.both("ensure-collection", collection).await;
        let points: Vec<Value> = (0..100)
            .map(|id| json!({ "id": id, "vector": numbers.vector(), "payload": { "n": id } }))
            .collect();
        engine
            .both("upsert", json!({ "collection": distance, "points": points }))
            .await;
        let query = json!({ "collection": distance, "vector": numbers.vector(), "limit": 30 });
        engine.same(distance, &query).await;
        let found = engine.weir("query", &query).await;
        let score = |at: usize| found["points"][at]["score"].as_f64().unwrap();
        // Euclid's are distances: the nearest has the lowest.
        assert_eq!(score(0) < score(29), distance == "euclid", "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_and_ids_come_back_whole_and_a_second_upsert_leaves_nothing_of_the_first() {
    let engine = Engine::start();
    let collection = json!({ "collection": "a b/ü", "dimensions": 2, "sparse": true });
    assert_eq!(engine.weir("ensure-collection", &collection).await["created"], true);
    let uuid = "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01";
    let payload = json!({
        "text": "größe \u{1f980}", "n": -3, "weight": 0.5, "flag": true, "nothing": null, "empty": [],
        "deep": { "a.b": [1, "x", { "y": 1 }] }, "big": u64::MAX,
    });
    let upsert = async |points: Value| {
        let written = engine
            .weir("upsert", &json!({ "collection": "a b/ü", "points": points }))
            .await;
        assert_eq!(written.get("error"), None, "{written}");
    };
    upsert(json!([
        { "id": uuid, "vector": [1, 0], "payload": payload },
        { "id": u64::MAX, "vector": [0, 1], "payload": {} },
        { "id": 7, "sparse": { "indices": [9, 3], "values": [1, 0.5] }, "payload": { "only": "sparse" } },
    ]))
    .await;
    let find = async || {
        let query = json!({ "collection": "a b/ü", "vector": [1, 0] });
        engine.weir("query", &query).await["points"].clone()
    };
    assert_eq!(
        find().await,
        json!([{ "id": uuid, "score": 1.0, "payload": payload }, { "id": u64::MAX, "score": 0.0, "payload": {} }])
    );
    let query = json!({ "collection": "a b/ü", "sparse": { "indices": [3], "values": [2] } });
    assert_eq!(
        engine.weir("query", &query).await["points"][0]["payload"],
        json!({ "only": "sparse" })
    );

    upsert(json!([{ "id": uuid, "vector": [2, 0], "payload": { "second": 1 } }])).await;
    // The last of several with one id is kept.
    upsert(json!([
        { "id": u64::MAX, "vector": [0, 1], "payload": { "first": 1 } },
        { "id": u64::MAX, "vector": [0, 3], "payload": { "last": 1 } },
    ]))
    .await;
    assert_eq!(
        find().await,
        json!([
            { "id": uuid, "score": 1.0, "payload": { "second": 1 } },
            { "id": u64::MAX, "score": 0.0, "payload": { "last": 1 } },
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_the_engines_own() {
    let engine = Engine::start();
    let collection = |extra: &[(&str, Value)]| {
        let mut input = json!({ "collection": "docs", "dimensions": 2 });
        for (name, value) in extra {
            input[*name] = value.clone();
        }
        input
    };
    engine.weir("ensure-collection", &collection(&[])).await;
    let vector = |vector: Value| json!({ "collection": "docs", "points": [{ "id": 1, "vector": [1, 0] }, { "id": 2, "vector": vector }] });
    let sparse = json!({ "indices": [1], "values": [1] });
    for (operation, input, kind, status, said) in [
        (
            "ensure-collection",
            collection(&[("dimensions", json!(3))]),
            "invalid-input",
            None,
            "with 2 dimensions, not 3",
        ),
        (
            "ensure-collection",
            collection(&[("distance", json!("dot"))]),
            "invalid-input",
            None,
            "the distance Cosine, not Dot",
        ),
        (
            "ensure-collection",
            collection(&[("sparse", json!(true))]),
            "invalid-input",
            None,
            "without a sparse vector",
        ),
        (
            "upsert",
            vector(json!([1, 2, 3])),
            "invalid-input",
            Some(400),
            "expected dim: 2, got 3",
        ),
        (
            "upsert",
            json!({ "collection": "docs", "points": [{ "id": 1, "sparse": sparse }] }),
            "invalid-input",
            Some(400),
            "sparse",
        ),
        (
            "query",
            json!({ "collection": "docs", "vector": [1] }),
            "invalid-input",
            Some(400),
            "expected dim: 2, got 1",
        ),
        (
            "query",
            json!({ "collection": "docs", "sparse": sparse }),
            "invalid-input",
            Some(400),
            "sparse",
        ),
        (
            "query",
            json!({ "collection": "nowhere", "vector": [1, 2] }),
            "not-found",
            Some(404),
            "`nowhere` doesn't exist",
        ),
        (
            "upsert",
            json!({ "collection": "nowhere", "points": [{ "id": 1, "vector": [1, 2] }] }),
            "not-found",
            Some(404),
            "nowhere",
        ),
        (
            "delete",
            json!({ "collection": "nowhere", "ids": [1] }),
            "not-found",
            Some(404),
            "nowhere",
        ),
        (
            "count",
            json!({ "collection": "nowhere" }),
            "not-found",
            Some(404),
            "nowhere",
        ),
        (
            "delete",
            json!({ "collection": "docs", "filter": {} }),
            "invalid-input",
            None,
            "would delete all",
        ),
        (
            "query",
            json!({ "collection": "docs", "vector": [1, 2], "sparse": sparse, "fusion": "relative-score" }),
            "unsupported",
            None,
            "relative-score",
        ),
    ] {
        let (found, found_status, message) = engine.refused(operation, input.clone()).await;
        assert_eq!(
            (found.as_str(), found_status),
            (kind, json!(status)),
            "{operation} {input}: {message}"
        );
        assert!(message.contains(said), "{operation} {input}: {message}");
    }
    let wrong = Engine::start_with("another-key");
    let (kind, status, said) = wrong.refused("list-collections", json!({})).await;
    assert_eq!((kind.as_str(), status), ("unauthorized", json!(401)));
    assert!(said.contains("Must provide an API key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_another_call_made_in_the_meantime_is_compared_as_one_that_was_there() {
    let player = Player::start().await.unwrap();
    let config = format!(
        "[providers.qdrant]\nconfig.base_url = \"{}\"\negress.allow_private = [\"127.0.0.1/32\"]\n\
         resilience.max_attempts = 1\n",
        player.url("qdrant")
    );
    let server = Server::start(&Program::with_config(&config).unwrap()).unwrap();
    for (size, expected) in [(4, json!({ "created": false })), (3, json!("with 3 dimensions, not 4"))] {
        let looked = AtomicUsize::new(0);
        let info = json!({
            "result": { "config": { "params": { "vectors": { "dense": { "size": size, "distance": "Cosine" } } } } },
            "status": "ok", "time": 0.1,
        });
        let answering = move |sent: &Sent| {
            let error = |status, words: &str| {
                Recording::of_json(
                    status,
                    &json!({ "status": { "error": words }, "time": 0.1 }).to_string(),
                )
            };
            Arc::new(match (sent.method.as_str(), looked.fetch_add(1, Ordering::Relaxed)) {
                ("GET", 0) => error(404, "Not found: Collection `docs` doesn't exist!"),
                ("GET", _) => Recording::of_json(200, &info.to_string()),
                _ => error(409, "Wrong input: Collection `docs` already exists!"),
            })
        };
        player.answer_with("qdrant", Arc::new(answering), None);
        let input = json!({ "collection": "docs", "dimensions": 4 });
        let (_, answer) = server
            .post("/v1/providers/qdrant/ensure-collection", input)
            .await
            .unwrap();
        match expected.as_str() {
            None => assert_eq!(answer, expected),
            Some(words) => {
                assert_eq!(answer["error"]["kind"], "invalid-input");
                assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{answer}");
            }
        }
        let methods: Vec<String> = player.sent("qdrant").into_iter().map(|sent| sent.method).collect();
        assert_eq!(methods, ["GET", "PUT", "GET"]);
    }
}

//! The adapter `chroma` through `weir serve`, against a real Chroma server.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::{Program, Server, listens, repository, until};

/// A Chroma server with data of its own; ended when dropped.
struct Chroma {
    process: Child,
    port: u16,
    _data: TempDir,
}

impl Chroma {
    async fn start() -> Chroma {
        let python = repository().join("target/chroma/bin/python");
        assert!(python.exists(), "{} is not there; run `just chroma`", python.display());
        let data = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let run = "import sys, chromadb_rust_bindings; chromadb_rust_bindings.cli(['chroma', 'run', *sys.argv[1:]])";
        let process = Command::new(python)
            .args(["-c", run, "--host", "127.0.0.1", "--port", &port.to_string(), "--path"])
            .arg(data.path())
            .env_clear()
            .env("HOME", data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let chroma = Chroma {
            process,
            port,
            _data: data,
        };
        until("Chroma listens", || listens(port)).await.unwrap();
        chroma
    }

    /// `weir serve` with this server as the provider `chroma`. The program keeps its folder.
    fn serve(&self, settings: &str) -> (Program, Server) {
        let config = format!(
            "[providers.chroma]\nconfig.base_url = \"http://127.0.0.1:{}\"\n{settings}\
             egress.allow_private = [\"127.0.0.1/32\"]\nresilience.max_attempts = 1\n",
            self.port
        );
        let program = Program::with_config(&config).unwrap();
        let server = Server::start(&program).unwrap();
        (program, server)
    }
}

impl Drop for Chroma {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs an operation that must succeed.
async fn done(server: &Server, operation: &str, input: Value) -> Value {
    let (status, answer) = post(server, operation, input).await;
    assert_eq!(status, 200, "{operation}: {answer}");
    answer
}

/// Runs an operation that must fail; its error's name, status and message.
async fn refused(server: &Server, operation: &str, input: Value) -> (String, Value, String) {
    let (_, answer) = post(server, operation, input).await;
    let error = &answer["error"];
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    (text("kind"), error["status"].clone(), text("message"))
}

async fn post(server: &Server, operation: &str, input: Value) -> (u16, Value) {
    server
        .post(&format!("/v1/providers/chroma/{operation}"), input)
        .await
        .unwrap()
}

/// Numbers between -1 and 1, the same in every run (the generator of Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSIONS)
            .map(|_| {
                self.0 = self
                    .0
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((self.0 >> 40) as f32 / (1 << 23) as f32) - 1.0
            })
            .collect()
    }
}

const DIMENSIONS: usize = 24;
const POINTS: usize = 10_000;
const BEST: usize = 10;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The ids of the best points of those that `passes` lets through, the best first.
fn exact(points: &[Vec<f32>], query: &[f32], passes: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut scored: Vec<(f64, usize)> = points
        .iter()
        .enumerate()
        .filter(|(id, _)| passes(*id))
        .map(|(id, point)| (cosine(query, point), id))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(_, id)| id).take(BEST).collect()
}

fn ids(found: &Value) -> Vec<usize> {
    let points = found["points"].as_array().unwrap();
    points
        .iter()
        .map(|point| usize::try_from(point["id"].as_u64().unwrap()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_points_are_found_filtered_counted_and_deleted() {
    let chroma = Chroma::start().await;
    // Chroma's index is approximate: looking at more candidates makes its answers nearly those of a full comparison.
    let (_program, server) = chroma.serve("config.ef_search = \"1000\"\n");
    let mut numbers = Numbers(1);
    let points: Vec<Vec<f32>> = (0..POINTS).map(|_| numbers.vector()).collect();
    let collection = json!({"collection": "many-points", "dimensions": DIMENSIONS});
    assert_eq!(done(&server, "ensure-collection", collection).await["created"], true);
    for (part, batch) in points.chunks(500).enumerate() {
        let batch: Vec<Value> = batch
            .iter()
            .enumerate()
            .map(|(at, vector)| {
                let id = part * 500 + at;
                json!({"id": id, "vector": vector, "payload": {"group": id % 10, "name": format!("point {id}"), "half": id % 2 == 0}})
            })
            .collect();
        let written = done(&server, "upsert", json!({"collection": "many-points", "points": batch})).await;
        assert_eq!(written["upserted"], batch.len());
    }
    let count = |filter: Value| done(&server, "count", json!({"collection": "many-points", "filter": filter}));
    assert_eq!(count(json!({})).await["count"], POINTS);
    let of_group = |group: u32| json!({"must": [{"key": "group", "equals": group}]});
    assert_eq!(count(of_group(3)).await["count"], POINTS / 10);

    // Of 500 nearest points Chroma may miss one in a hundred, no more; each has the score of a full comparison.
    let (mut found_exact, mut found_filtered) = (0, 0);
    for _ in 0..50 {
        let query = numbers.vector();
        let ask = |filter: Value| {
            done(
                &server,
                "query",
                json!({"collection": "many-points", "vector": query, "limit": BEST, "filter": filter}),
            )
        };
        let common = |found: &Value, expected: Vec<usize>| {
            let expected: BTreeSet<usize> = expected.into_iter().collect();
            ids(found).into_iter().filter(|id| expected.contains(id)).count()
        };
        let found = ask(json!({})).await;
        found_exact += common(&found, exact(&points, &query, |_| true));
        let scores: Vec<f64> = found["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| point["score"].as_f64().unwrap())
            .collect();
        for (id, score) in ids(&found).into_iter().zip(&scores) {
            assert!((cosine(&query, &points[id]) - score).abs() < 1e-4);
        }
        assert!(scores.is_sorted_by(|better, worse| better >= worse), "{scores:?}");
        let filtered = ask(json!({
            "must": [{"key": "half", "equals": true}, {"key": "group", "range": {"gte": 2, "lt": 7}}],
            "must_not": [{"key": "group", "any": [4]}],
        }))
        .await;
        found_filtered += common(&filtered, exact(&points, &query, |id| matches!(id % 10, 2 | 6)));
        assert!(ids(&filtered).iter().all(|id| matches!(id % 10, 2 | 6)), "{filtered}");
    }
    assert!(found_exact >= 495, "{found_exact} of 500");
    assert!(found_filtered >= 495, "{found_filtered} of 500");

    let delete = |what: Value| {
        let mut input = json!({"collection": "many-points"});
        input.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
        done(&server, "delete", input)
    };
    assert_eq!(
        delete(json!({"filter": of_group(3)})).await,
        json!({"deleted": POINTS / 10})
    );
    assert_eq!(delete(json!({"ids": [0, 1, 3]})).await, json!({}));
    assert_eq!(count(json!({})).await["count"], POINTS - POINTS / 10 - 2);
    assert_eq!(count(of_group(3)).await["count"], 0);
    let found = done(
        &server,
        "query",
        json!({"collection": "many-points", "vector": points[0], "limit": BEST}),
    )
    .await;
    assert!(!ids(&found).contains(&0), "{found}");
    assert_eq!(
        done(&server, "list-collections", json!({})).await,
        json!({"collections": ["many-points"]})
    );
    let drop = || done(&server, "drop-collection", json!({"collection": "many-points"}));
    assert_eq!(drop().await["dropped"], true);
    assert_eq!(drop().await["dropped"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_distance_gives_the_contracts_score() {
    let chroma = Chroma::start().await;
    let (_program, server) = chroma.serve("");
    let vectors = json!([{"id": 1, "vector": [1, 2, 2]}, {"id": 2, "vector": [0, 1, 0]}]);
    for (distance, expected) in [
        (
            "cosine",
            json!([[1, 20.0 / (56.0_f64.sqrt() * 3.0)], [2, 6.0 / 56.0_f64.sqrt()]]),
        ),
        ("dot", json!([[1, 20.0], [2, 6.0]])),
        ("euclid", json!([[1, 5.0], [2, 45.0_f64.sqrt()]])),
    ] {
        let collection = json!({"collection": distance, "dimensions": 3, "distance": distance});
        assert_eq!(
            done(&server, "ensure-collection", collection.clone()).await["created"],
            true
        );
        assert_eq!(done(&server, "ensure-collection", collection).await["created"], false);
        done(&server, "upsert", json!({"collection": distance, "points": vectors})).await;
        let found = done(&server, "query", json!({"collection": distance, "vector": [4, 6, 2]})).await;
        for (point, expected) in found["points"]
            .as_array()
            .unwrap()
            .iter()
            .zip(expected.as_array().unwrap())
        {
            assert_eq!(point["id"], expected[0], "{distance}: {found}");
            let (score, expected) = (point["score"].as_f64().unwrap(), expected[1].as_f64().unwrap());
            assert!((score - expected).abs() < 1e-4, "{distance}: {score}, not {expected}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_come_back_whole_and_a_second_upsert_leaves_nothing_of_the_first() {
    let chroma = Chroma::start().await;
    let (_program, server) = chroma.serve("");
    done(
        &server,
        "ensure-collection",
        json!({"collection": "docs", "dimensions": 2}),
    )
    .await;
    let uuid = "5f0c5bb2-6b3c-4f1e-9d55-1f6d2c7c0a01";
    let whole = json!({
        "path": "a.rs", "line": 7, "weight": 0.5, "public": true, "tags": ["x", "y"], "empty": [], "nothing": null,
        "author": {"name": "Ada", "born": {"year": 1815}}, "mixed": [1, "a"], "a.b": 1, "big": u64::MAX,
        "chroma:document": "text", "$in": [1],
    });
    let upsert = |id: Value, payload: &Value| {
        let point = json!({"id": id, "vector": [1, 0], "payload": payload});
        done(&server, "upsert", json!({"collection": "docs", "points": [point]}))
    };
    upsert(json!(uuid), &whole).await;
    upsert(json!(u64::MAX), &json!({})).await;

    let find = |filter: Value| {
        done(
            &server,
            "query",
            json!({"collection": "docs", "vector": [1, 0], "filter": filter}),
        )
    };
    let is = |key: &str, value: Value| json!({"must": [{"key": key, "equals": value}]});
    for (key, value) in [
        ("path", json!("a.rs")),
        ("tags", json!("y")),
        ("author.name", json!("Ada")),
        ("author.born.year", json!(1815)),
        ("public", json!(true)),
    ] {
        let found = find(is(key, value)).await;
        assert_eq!(found["points"].as_array().unwrap().len(), 1, "{key}: {found}");
        assert_eq!(found["points"][0]["id"], uuid);
        assert_eq!(found["points"][0]["payload"], whole);
    }
    // A point without the field passes where the field may not be something.
    let others = find(json!({"must": [{"key": "tags", "none": ["x"]}]})).await;
    assert_eq!(others["points"].as_array().unwrap().len(), 1);
    assert_eq!(others["points"][0]["id"], u64::MAX);
    assert_eq!(others["points"][0]["payload"], json!({}));

    let second = json!({"path": "b.rs"});
    upsert(json!(uuid), &second).await;
    assert_eq!(find(is("path", json!("b.rs"))).await["points"][0]["payload"], second);
    for (key, value) in [("line", json!(7)), ("tags", json!("y")), ("author.name", json!("Ada"))] {
        assert_eq!(find(is(key, value)).await, json!({"points": []}), "{key}");
    }
    // Of several with one id, the last is kept, with nothing of the others.
    let twice = json!([{"id": 3, "vector": [1, 0], "payload": {"first": 1}}, {"id": 3, "vector": [0, 1], "payload": {"last": 1}}]);
    done(&server, "upsert", json!({"collection": "docs", "points": twice})).await;
    assert_eq!(
        find(is("last", json!(1))).await["points"][0]["payload"],
        json!({"last": 1})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_chromas_own_and_what_it_lacks_is_told() {
    let chroma = Chroma::start().await;
    let (_program, server) = chroma.serve("");
    let collection = |extra: Value| {
        let mut input = json!({"collection": "docs", "dimensions": 2});
        input
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        input
    };
    done(&server, "ensure-collection", collection(json!({}))).await;

    let (kind, _, said) = refused(&server, "ensure-collection", collection(json!({"dimensions": 3}))).await;
    assert_eq!(kind, "invalid-input");
    assert!(said.contains("with 2 dimensions, not 3"), "{said}");
    let (kind, _, said) = refused(&server, "ensure-collection", collection(json!({"distance": "dot"}))).await;
    assert_eq!(kind, "invalid-input");
    assert!(said.contains("the distance cosine, not ip"), "{said}");
    let (kind, _, _) = refused(&server, "ensure-collection", collection(json!({"sparse": true}))).await;
    assert_eq!(kind, "unsupported");
    let (kind, status, said) = refused(
        &server,
        "ensure-collection",
        json!({"collection": "x", "dimensions": 2}),
    )
    .await;
    assert_eq!((kind.as_str(), status), ("invalid-input", json!(400)));
    assert!(said.contains("3-512 characters"), "{said}");

    let point = |vector: Value| json!({"collection": "docs", "points": [{"id": 1, "vector": vector}]});
    let (kind, _, said) = refused(&server, "upsert", point(json!([1, 2, 3]))).await;
    assert_eq!(kind, "invalid-input");
    assert!(said.contains("point 1: a vector of 3 values"), "{said}");
    done(&server, "upsert", point(json!([1, 2]))).await;
    let (kind, status, said) = refused(&server, "query", json!({"collection": "docs", "vector": [1]})).await;
    assert_eq!((kind.as_str(), status), ("invalid-input", json!(400)));
    assert!(said.contains("dimension of 2, got 1"), "{said}");

    for (operation, input) in [
        (
            "query",
            json!({"collection": "docs", "sparse": {"indices": [1], "values": [1]}}),
        ),
        (
            "query",
            json!({"collection": "docs", "vector": [1, 2], "sparse": {"indices": [1], "values": [1]}}),
        ),
        (
            "query",
            json!({"collection": "docs", "vector": [1, 2], "filter": {"must": [{"key": "a", "contains": "b"}]}}),
        ),
        (
            "upsert",
            json!({"collection": "docs", "points": [{"id": 1, "vector": [1, 2], "sparse": {"indices": [1], "values": [1]}}]}),
        ),
    ] {
        let (kind, _, said) = refused(&server, operation, input).await;
        assert_eq!(kind, "unsupported", "{said}");
        assert!(said.contains("Chroma"), "{said}");
    }

    for (operation, input) in [
        ("query", json!({"collection": "nowhere", "vector": [1, 2]})),
        (
            "upsert",
            json!({"collection": "nowhere", "points": [{"id": 1, "vector": [1, 2]}]}),
        ),
        ("delete", json!({"collection": "nowhere", "ids": [1]})),
        ("count", json!({"collection": "nowhere"})),
    ] {
        let (kind, status, said) = refused(&server, operation, input).await;
        assert_eq!((kind.as_str(), status), ("not-found", json!(404)), "{operation}");
        assert!(said.contains("Collection [nowhere] does not exist"), "{said}");
    }

    drop(chroma);
    let (kind, status, _) = refused(&server, "count", json!({"collection": "docs"})).await;
    assert_eq!((kind.as_str(), status), ("connect-failed", Value::Null));
}

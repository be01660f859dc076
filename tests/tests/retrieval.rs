//! How well the embedded default finds: the first sentence of a function's documentation asks, its body without
//! comments is to be found among all the others. `local` makes both kinds of vectors, `memory` keeps and fuses them.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_tests::documented::{self, Documented};
use weir_tests::{Program, Server, repository};

/// Texts in one call, as many as `local` takes.
const AT_ONCE: usize = 256;

/// How far down an answer is looked for. It leaves the candidates of a hybrid query as many as for ten hits.
const DEPTH: usize = 100;

/// The mean reciprocal rank by each kind of query.
#[derive(Debug)]
struct Ranks {
    dense: f64,
    sparse: f64,
    hybrid: f64,
    by_rank: f64,
}

async fn call(server: &Server, provider: &str, operation: &str, input: Value) -> anyhow::Result<Value> {
    let (status, answer) = server
        .post(&format!("/v1/providers/{provider}/{operation}"), input)
        .await?;
    anyhow::ensure!(status == 200, "{provider} {operation}: {answer}");
    Ok(answer)
}

/// Both kinds of vectors of the texts.
async fn vectors(server: &Server, texts: &[&str], kind: &str) -> anyhow::Result<Vec<(Value, Value)>> {
    let mut vectors = Vec::new();
    for inputs in texts.chunks(AT_ONCE) {
        let input = json!({"inputs": inputs, "kind": kind});
        let mut dense = call(server, "local", "embed", input.clone()).await?;
        let mut sparse = call(server, "local", "embed-sparse", input).await?;
        let take = |answer: &mut Value| answer["vectors"].as_array_mut().map(std::mem::take).unwrap_or_default();
        vectors.extend(take(&mut dense).into_iter().zip(take(&mut sparse)));
    }
    Ok(vectors)
}

/// A server whose collection `functions` has a point a body, and the bodies' vectors.
async fn stored(program: &Program, functions: &[Documented]) -> anyhow::Result<(Server, Vec<(Value, Value)>)> {
    let server = Server::start(program)?;
    let collection = json!({"collection": "functions", "dimensions": 256, "sparse": true});
    call(&server, "memory", "ensure-collection", collection).await?;
    let bodies: Vec<&str> = functions.iter().map(|function| function.body.as_str()).collect();
    let documents = vectors(&server, &bodies, "document").await?;
    let points: Vec<Value> = documents
        .iter()
        .enumerate()
        .map(|(id, (vector, sparse))| json!({"id": id, "vector": vector, "sparse": sparse, "payload": {}}))
        .collect();
    for points in points.chunks(AT_ONCE) {
        call(
            &server,
            "memory",
            "upsert",
            json!({"collection": "functions", "points": points}),
        )
        .await?;
    }
    Ok((server, documents))
}

async fn measure(functions: &[Documented]) -> anyhow::Result<Ranks> {
    let program = Program::new()?.env("RUST_LOG", "warn");
    let (server, _) = stored(&program, functions).await?;
    let questions: Vec<&str> = functions.iter().map(|function| function.question.as_str()).collect();
    let queries = vectors(&server, &questions, "query").await?;
    let mut sums = [0.0; 4];
    for (id, (vector, sparse)) in queries.iter().enumerate() {
        let requests = [
            json!({"vector": vector}),
            json!({"sparse": sparse}),
            json!({"vector": vector, "sparse": sparse}),
            json!({"vector": vector, "sparse": sparse, "fusion": "reciprocal-rank"}),
        ];
        for (mut request, sum) in requests.into_iter().zip(&mut sums) {
            request["collection"] = json!("functions");
            request["limit"] = json!(DEPTH);
            let answer = call(&server, "memory", "query", request).await?;
            let mut points = answer["points"].as_array().into_iter().flatten();
            if let Some(place) = points.position(|point| point["id"] == id) {
                *sum += 1.0 / (place + 1) as f64;
            }
        }
    }
    let [dense, sparse, hybrid, by_rank] = sums.map(|sum| sum / functions.len() as f64);
    Ok(Ranks {
        dense,
        sparse,
        hybrid,
        by_rank,
    })
}

fn of_this_repository(count: usize) -> Vec<Documented> {
    let folders = ["host", "guest-providers"].map(|folder| repository().join(folder));
    let all: Vec<Documented> = folders
        .iter()
        .flat_map(|folder| documented::functions(folder).unwrap())
        .collect();
    let functions = documented::sample(&all, count);
    assert_eq!(functions.len(), count, "{} functions are documented", all.len());
    functions
}

/// This repository's own functions: few, so that the bounds are those that a fusion which does nothing falls below.
#[tokio::test(flavor = "multi_thread")]
async fn dense_and_sparse_vectors_together_find_more_than_either_alone() {
    let functions = of_this_repository(200);

    let ranks = measure(&functions).await.unwrap();

    assert!(ranks.hybrid > ranks.dense.max(ranks.sparse) + 0.02, "{ranks:?}");
    assert!(ranks.hybrid > 0.4, "{ranks:?}");
}

/// The scores of the best ten, best first, as arithmetic without an index has them.
fn plainly(documents: &[(Value, Value)], query: &(Value, Value)) -> [Vec<f64>; 2] {
    let numbers = |vector: &Value| {
        vector
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let terms = |sparse: &Value| {
        let indices = numbers(&sparse["indices"]).into_iter().map(|index| index as u32);
        indices.zip(numbers(&sparse["values"])).collect::<BTreeMap<u32, f64>>()
    };
    let query = (numbers(&query.0), terms(&query.1));
    let documents: Vec<_> = documents
        .iter()
        .map(|(dense, sparse)| (numbers(dense), terms(sparse)))
        .collect();
    let worth = |term: &u32| {
        let having = documents.iter().filter(|(_, terms)| terms.contains_key(term)).count() as f64;
        ((documents.len() as f64 - having + 0.5) / (having + 0.5)).ln_1p()
    };
    let best = |mut scores: Vec<f64>| {
        scores.sort_by(|a, b| b.total_cmp(a));
        scores.truncate(10);
        scores
    };
    let dense = documents
        .iter()
        .map(|(dense, _)| dense.iter().zip(&query.0).map(|(a, b)| a * b).sum());
    let sparse = documents.iter().map(|(_, terms)| {
        let shared = query
            .1
            .iter()
            .filter_map(|(term, weight)| Some(weight * terms.get(term)? * worth(term)));
        shared.sum()
    });
    [
        best(dense.collect()),
        best(sparse.filter(|score| *score > 0.0).collect()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_scores_as_plain_arithmetic_over_all_points_does() {
    // More than a block of the store holds.
    let functions = of_this_repository(300);
    let program = Program::new().unwrap().env("RUST_LOG", "warn");
    let (server, documents) = stored(&program, &functions).await.unwrap();
    let questions: Vec<&str> = functions
        .iter()
        .step_by(60)
        .map(|function| function.question.as_str())
        .collect();
    for query in vectors(&server, &questions, "query").await.unwrap() {
        let requests = [json!({"vector": query.0}), json!({"sparse": query.1})];
        for (mut request, expected) in requests.into_iter().zip(plainly(&documents, &query)) {
            request["collection"] = json!("functions");
            let answer = call(&server, "memory", "query", request).await.unwrap();
            let scores: Vec<f64> = answer["points"]
                .as_array()
                .unwrap()
                .iter()
                .map(|point| point["score"].as_f64().unwrap())
                .collect();
            assert_eq!(scores.len(), expected.len());
            let near = scores
                .iter()
                .zip(&expected)
                .all(|(a, b)| (a - b).abs() < 1e-3 * b.abs().max(1.0));
            assert!(near, "{scores:?} {expected:?}");
        }
    }
}

/// The bound of the product: 1,500 functions of the crates this program is built of.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "soak: reads all sources in Cargo's registry"]
async fn soak_the_registrys_functions_are_found_at_a_mean_reciprocal_rank_of_a_half() {
    let all = documented::functions(&registry()).unwrap();
    let functions = documented::sample(&all, 1_500);
    let ranks = measure(&functions).await.unwrap();
    println!("{} of {} functions: {ranks:?}", functions.len(), all.len());
    assert!(ranks.hybrid >= 0.5 && ranks.hybrid > ranks.by_rank, "{ranks:?}");
}

/// Where Cargo keeps the sources of crates.
fn registry() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    home.unwrap_or_default().join("registry/src")
}

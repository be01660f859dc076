//! What the embedded store acknowledged is there afterwards, whatever became of the process.

use serde_json::{Value, json};
use weir_tests::{Program, Server};

const POINTS: u64 = 50;

fn points() -> Vec<Value> {
    (0..POINTS)
        .map(|id| json!({"id": id, "vector": [1.0, id as f32, 0.5], "payload": {"number": id}}))
        .collect()
}

fn call(program: &Program, operation: &str, input: Value) -> Value {
    let finished = program
        .run(["call", "memory", operation, "--input", &input.to_string()])
        .unwrap();
    finished.success().unwrap().json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_upsert_survives_the_kill_of_its_process() {
    let program = Program::new().unwrap();
    let server = Server::start(&program).unwrap();
    let post = async |operation: &str, input: Value| {
        let (status, answer) = server
            .post(&format!("/v1/providers/memory/{operation}"), input)
            .await
            .unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    };
    post("ensure-collection", json!({"collection": "c", "dimensions": 3})).await;
    let written = post("upsert", json!({"collection": "c", "points": points()})).await;
    assert_eq!(written["upserted"], POINTS);
    let query = json!({"collection": "c", "vector": [1.0, 7.0, 0.5], "limit": 5});
    let before = post("query", query.clone()).await;

    // SIGKILL: nothing is flushed on the way out.
    drop(server);

    assert_eq!(call(&program, "count", json!({"collection": "c"}))["count"], POINTS);
    assert_eq!(call(&program, "query", query), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_another_process_holds_says_so() {
    let program = Program::new().unwrap();
    let server = Server::start(&program).unwrap();
    let (status, _) = server
        .post("/v1/providers/memory/list-collections", json!({}))
        .await
        .unwrap();
    assert_eq!(status, 200);
    let finished = program
        .run(["call", "memory", "list-collections", "--input", "{}"])
        .unwrap();
    assert_eq!(finished.status, Some(1));
    assert!(finished.stderr.contains("another process has it open"), "{finished:?}");
}

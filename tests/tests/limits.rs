//! Each limit of a component, hit: the call ends with an error that names it, and the next one works.

use serde_json::{Value, json};
use weir_tests::configuration::misbehaver;
use weir_tests::{Finished, Program, Server, until};
use weir_upstream::{Api, Upstream};

/// A `base_url` for orders that send nothing.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The misbehaver under these limits.
fn program(base_url: &str, limits: &str) -> Program {
    let provider = misbehaver(base_url);
    Program::with_config(&format!(
        r#"
        {provider}
        egress.allow_private = ["127.0.0.1/32"]
        [providers.bad.limits]
        {limits}
        "#
    ))
    .unwrap()
}

async fn order(server: &Server, order: &str) -> Value {
    let (_, answer) = server
        .post("/v1/providers/bad/embed", json!({"inputs": [order]}))
        .await
        .unwrap();
    answer
}

async fn works(server: &Server) {
    let answer = order(server, "nothing").await;
    assert_eq!(answer["model"], "misbehaver", "{answer}");
}

async fn hits(server: &Server, bad: &str, kind: &str, named: &str) {
    let answer = order(server, bad).await;
    assert_eq!(answer["error"]["kind"], kind, "{bad}: {answer}");
    assert!(
        answer["error"]["message"].as_str().unwrap().contains(named),
        "{bad}: {answer}"
    );
    works(server).await;
}

fn chat(program: &Program, input: Value) -> Finished {
    program
        .run(["--json", "call", "bad", "chat", "--input", &input.to_string()])
        .unwrap()
}

async fn retries(server: &Server) -> u64 {
    let metrics = server.text("/metrics").await.unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("weir_guest_retries_total{provider=\"bad\"} "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_finds_its_instance_broken_runs_again_on_a_fresh_one() {
    let server = Server::start(&program(NOWHERE, "max_instances = 1")).unwrap();
    for broken in 1..=3 {
        order(&server, "jam").await;
        works(&server).await;
        assert_eq!(retries(&server).await, broken);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_sent_a_request_is_not_run_again() {
    let upstream = Upstream::start().await.unwrap();
    let server = Server::start(&program(&upstream.openai_url(), "max_instances = 1")).unwrap();
    order(&server, &format!("jam {}/models", upstream.openai_url())).await;
    hits(&server, "nothing", "trap", "jammed").await;
    assert_eq!(upstream.requests(Api::OpenAi).len(), 1);
    assert_eq!(retries(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fresh_instance_does_is_not_tried_again() {
    let server = Server::start(&program(NOWHERE, "isolation = \"call\"")).unwrap();
    hits(&server, "trap", "trap", "as ordered").await;
    assert_eq!(retries(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_are_bounded() {
    let server = Server::start(&program(NOWHERE, "max_handles = 500")).unwrap();
    hits(
        &server,
        "handles",
        "limit-exceeded",
        "500 live handles (limits.max_handles)",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_to_the_host_is_bounded() {
    let server = Server::start(&program(NOWHERE, "max_request_bytes = \"1MiB\"")).unwrap();
    hits(
        &server,
        "hand-over 2000000",
        "message-too-large",
        "limits.max_request_bytes",
    )
    .await;
    hits(
        &server,
        "hand-over 20000000",
        "limit-exceeded",
        "limits.max_request_bytes",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_bounded_answers_included() {
    let upstream = Upstream::start().await.unwrap();
    let server = Server::start(&program(&upstream.openai_url(), "max_concurrent_requests = 3")).unwrap();
    let url = format!("{}/models", upstream.openai_url());
    assert_eq!(order(&server, &format!("hoard 3 {url}")).await["model"], "misbehaver");
    let named = "limits.max_concurrent_requests";
    hits(&server, &format!("hoard 4 {url}"), "overloaded", named).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_cut_to_its_bytes_a_second_and_told_of() {
    let program = program(NOWHERE, "").env("RUST_LOG", "weir_runtime=debug");
    let flood = json!({"messages": [{"role": "user", "content": "flood 20000"}]});
    let finished = chat(&program, flood).success().unwrap();
    assert_eq!(finished.json().unwrap()["text"], "flooded");
    // 2 MB were written, and would be 6 MB of log.
    assert!(finished.stderr.len() < 1 << 20, "{} bytes", finished.stderr.len());
    let lines: Vec<&str> = finished.stderr.lines().collect();
    let told = lines.iter().filter(|line| line.contains("limits.log_bytes_per_second"));
    assert!((1..20).contains(&told.count()), "{:?}", lines.last());
    let said = lines.iter().find(|line| line.contains(&"0".repeat(99))).unwrap();
    assert!(
        said.contains("provider=bad") && said.contains("operation=\"chat\""),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_never_ends_is_ended_by_the_calls_deadline() {
    let program = program(NOWHERE, "call_timeout = 1.0");
    let finished = chat(
        &program,
        json!({"stream": true, "messages": [{"role": "user", "content": "begin"}]}),
    );
    assert_ne!(finished.status, Some(0));
    assert!(finished.stderr.contains("limits.call_timeout"), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_never_read_ends_with_its_call_and_holds_no_connection() {
    let upstream = Upstream::start().await.unwrap();
    let server = Server::start(&program(&upstream.openai_url(), "")).unwrap();
    let ignore = format!("ignore {}/models", upstream.openai_url());
    for _ in 0..8 {
        let answer = order(&server, &ignore).await;
        assert_eq!(answer["model"], "misbehaver", "{answer}");
    }
    until("every connection is given back", || {
        upstream.stats().connections.open <= 1
    })
    .await
    .unwrap();
    let (_, pools) = server.get("/v1/pools").await.unwrap();
    assert!(pools.to_string().contains("\"active\":0"), "{pools}");
    works(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_costs_none_of_ten_other_calls() {
    let upstream = Upstream::start().await.unwrap();
    upstream.set_latency(std::time::Duration::from_secs(1));
    let server = Server::start(&program(&upstream.openai_url(), "")).unwrap();
    let fetch = format!("fetch {}/models", upstream.openai_url());
    let ten = futures::future::join_all((0..10).map(|_| order(&server, &fetch)));
    let trap = async {
        until("all ten are under way", || upstream.stats().requests.in_flight == 10)
            .await
            .unwrap();
        order(&server, "trap").await
    };
    let (ten, trapped) = futures::join!(ten, trap);
    assert_eq!(trapped["error"]["kind"], "trap", "{trapped}");
    for answer in ten {
        assert_eq!(answer["model"], "misbehaver", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stateful_adapter_keeps_is_bounded() {
    let program = Program::with_config("[providers.memory.limits]\nstorage = \"64KiB\"").unwrap();
    let server = Server::start(&program).unwrap();
    let post = async |operation: &str, input: Value| {
        let path = format!("/v1/providers/memory/{operation}");
        server.post(&path, input).await.unwrap().1
    };
    let point = |id: u64| json!({"id": id, "vector": [1.0, 2.0], "payload": {"text": "x".repeat(1_000)}});
    let points: Vec<Value> = (1..=100).map(point).collect();
    post("ensure-collection", json!({"collection": "c", "dimensions": 2})).await;
    let refused = post("upsert", json!({"collection": "c", "points": points})).await;
    assert_eq!(refused["error"]["kind"], "storage", "{refused}");
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("limits.storage"),
        "{refused}"
    );
    let few = &points[..10];
    let written = post("upsert", json!({"collection": "c", "points": few})).await;
    assert_eq!(written["upserted"], 10, "{written}");
    assert_eq!(post("count", json!({"collection": "c"})).await["count"], 10);
}

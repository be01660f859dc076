//! A component that wastes what it can: its own call ends with a typed error, the next one works, and nobody else
//! notices.

use serde_json::{Value, json};
use weir_tests::configuration::misbehaver;
use weir_tests::{Program, Server};
use weir_upstream::{Fault, FaultKind, Upstream};

/// A `base_url` for orders that send nothing.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The misbehaver and an adapter that behaves, in one program.
fn program(base_url: &str) -> Program {
    let provider = misbehaver(base_url);
    Program::with_config(&format!(
        r#"
        [providers.local]

        {provider}
        egress.allow_private = ["127.0.0.1/32"]
        [providers.bad.http_pool]
        max_connections = 2
        [providers.bad.limits]
        memory = "16MiB"
        cpu_time = 0.2
        call_timeout = 20.0
        "#
    ))
    .unwrap()
}

async fn order(server: &Server, provider: &str, order: &str) -> (u16, Value) {
    server
        .post(&format!("/v1/providers/{provider}/embed"), json!({"inputs": [order]}))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ends_its_own_call_with_its_own_error_and_the_next_call_works() {
    let server = Server::start(&program(NOWHERE)).unwrap();
    for (bad, kind) in [
        ("spin", "cpu-time"),
        ("grow", "out-of-memory"),
        ("trap", "trap"),
        ("recurse", "trap"),
    ] {
        let (status, answer) = order(&server, "bad", bad).await;
        assert_eq!(answer["error"]["kind"], kind, "{bad}: {status} {answer}");
        assert_eq!(answer["error"]["provider"], "bad");
        let (status, answer) = order(&server, "bad", "nothing").await;
        assert_eq!(status, 200, "after {bad}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_tells_what_the_component_said() {
    let server = Server::start(&program(NOWHERE)).unwrap();
    let (_, answer) = order(&server, "bad", "trap").await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("as ordered"), "{message}");
    assert!(!message.contains("stack backtrace"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_left_behind_ends_with_its_call_and_holds_no_connection() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::new(FaultKind::Hang).always());
    let server = Server::start(&program(&upstream.openai_url())).unwrap();
    let leave = format!("leave {}/models", upstream.openai_url());
    for _ in 0..8 {
        let (status, answer) = order(&server, "bad", &leave).await;
        assert_eq!(status, 200, "{answer}");
    }
    let at_rest = async {
        loop {
            let (_, pools) = server.get("/v1/pools").await.unwrap();
            let pool = pools.to_string();
            if pool.contains("\"active\":0") && pool.contains("\"waiting\":0") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let rested = tokio::time::timeout(std::time::Duration::from_secs(10), at_rest).await;
    assert!(rested.is_ok(), "{:?}", server.get("/v1/pools").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_answers_while_sixteen_calls_spin() {
    let server = Server::start(&program(NOWHERE)).unwrap();
    let spinning = futures::future::join_all((0..16).map(|_| order(&server, "bad", "spin")));
    let working = futures::future::join_all((0..16).map(|_| order(&server, "local", "hello")));
    let (spun, worked) = futures::join!(spinning, working);
    for (status, answer) in worked {
        assert_eq!(status, 200, "{answer}");
    }
    for (_, answer) in spun {
        assert_eq!(answer["error"]["kind"], "cpu-time", "{answer}");
    }
}

//! A component that wastes what it can: its own call ends with a typed error, the next one works, and nobody else
//! notices.

use serde_json::{Value, json};
use weir_tests::{Program, Server, fixture};

fn program() -> Program {
    let component = fixture("misbehaver");
    Program::with_config(&format!(
        r#"
        [providers.local]

        [providers.bad]
        component = "{}"
        [providers.bad.limits]
        memory = "16MiB"
        cpu_time = 0.2
        call_timeout = 20.0
        "#,
        component.display()
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
    let server = Server::start(&program()).unwrap();
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
    let server = Server::start(&program()).unwrap();
    let (_, answer) = order(&server, "bad", "trap").await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("as ordered"), "{message}");
    assert!(!message.contains("stack backtrace"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_answers_while_sixteen_calls_spin() {
    let server = Server::start(&program()).unwrap();
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

//! The dashboard in a real Chromium, under a small load.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::live::Load;
use weir_tests::{Finished, Server, repository};
use weir_upstream::{Fault, Upstream};

/// Runs tests/browser/dashboard.mjs; what a person would have seen.
async fn look(server: &Server, options: &[&str]) -> Value {
    let modules = repository().join("target/browser");
    assert!(
        modules.join("node_modules").exists(),
        "{} is not there; run `just browser`",
        modules.display()
    );
    let output = tokio::process::Command::new("node")
        .arg(repository().join("tests/browser/dashboard.mjs"))
        .arg(modules)
        .arg(server.url())
        .args(options)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    Finished::from(output).success().unwrap().json().unwrap()
}

fn embedding() -> Value {
    json!({"model": "voyage", "input": "what is shown of this?"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_what_happens_and_the_page_asks_nobody_else() {
    let upstream = Upstream::start().await.unwrap();
    upstream.set_latency(Duration::from_millis(20));
    let program = with_upstream(&every_provider(&upstream, "")).unwrap();
    let server = Arc::new(Server::start(&program).unwrap());
    upstream.order(Fault::status(400));
    assert_eq!(server.post("/v1/embeddings", embedding()).await.unwrap().0, 400);
    let load = Load::of(6, {
        let server = server.clone();
        move |_| {
            let server = server.clone();
            async move { assert_eq!(server.post("/v1/embeddings", embedding()).await.unwrap().0, 200) }
        }
    });
    let shots = std::env::var("WEIR_SCREENSHOTS").ok();
    let options: Vec<&str> = shots
        .iter()
        .flat_map(|folder| ["--screenshots", folder.as_str()])
        .collect();

    let seen = look(&server, &options).await;

    load.end().await.unwrap();
    assert_eq!(seen["console"], json!([]));
    assert_eq!(seen["foreign"], json!([]));
    assert_eq!(
        seen["own"],
        json!(["/", "/dashboard.css", "/dashboard.js", "/v1/events"])
    );
    assert_eq!(seen["status"], "healthy");
    assert_eq!(seen["pools"], json!(["voyage\nhealthy"]));
    let providers = seen["providers"].as_array().unwrap();
    assert!(providers.contains(&json!("voyage\nhealthy")) && providers.contains(&json!("cohere\nstandby")));
    assert_eq!(seen["digest_of_voyage"].as_str().unwrap().len(), 12);
    let errors = seen["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].as_str().unwrap().contains("voyage embed\t400 invalid-input"),
        "{errors:?}"
    );
    assert!(seen["meter"].as_str().unwrap().ends_with("of 50"), "{}", seen["meter"]);
    assert!(seen["plotted"].as_u64().unwrap() > 0);
    for promise in ["moved", "paused"] {
        assert_eq!(seen[promise], true, "{promise}");
    }
    assert_eq!(
        seen["tab_stops"],
        json!(["skip", "pause", "pool", "latency", "connections"])
    );
    assert!(
        seen["moment"].as_str().unwrap().starts_with("Latency at "),
        "{}",
        seen["moment"]
    );
    assert_eq!(seen["landmarks"], json!(["header", "main", "footer"]));
    assert_eq!((&seen["unnamed"], &seen["stored"]), (&json!([]), &json!(0)));
    let overflow = seen["overflow"].as_object().unwrap();
    assert_eq!(overflow.len(), 8);
    assert!(overflow.values().all(|width| width == 0), "{overflow:?}");
    assert_ne!(seen["ground"]["light"], seen["ground"]["dark"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_key_is_needed_the_page_asks_for_it_and_keeps_it_to_itself() {
    let upstream = Upstream::start().await.unwrap();
    let config = format!(
        "[server]\napi_keys = [{{ env = \"CLIENT_KEY\" }}]\n{}",
        every_provider(&upstream, "")
    );
    let program = with_upstream(&config).unwrap().env("CLIENT_KEY", "client-key-8f1d");
    let server = Server::start(&program).unwrap();
    let pool = weir_pool::PoolManager::new().unwrap();
    let pool = pool.pool("load", weir_pool::PoolSettings::default()).unwrap();
    let url = format!("{}/v1/embeddings", server.url());
    let load = Load::of(2, move |_| {
        let request = http::Request::post(&url)
            .header("content-type", "application/json")
            .header("authorization", "Bearer client-key-8f1d")
            .body(bytes::Bytes::from(embedding().to_string()))
            .unwrap();
        let pool = pool.clone();
        async move {
            let answer = pool.send(request, weir_pool::SendOptions::default()).await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    });

    let seen = look(&server, &["--wrong-key", "no-such-key", "--key", "client-key-8f1d"]).await;

    load.end().await.unwrap();
    assert_eq!(seen["refusal"], "The server does not know this key.");
    assert_eq!((&seen["console"], &seen["foreign"]), (&json!([]), &json!([])));
    assert_eq!((&seen["moved"], &seen["stored"]), (&json!(true), &json!(0)));
    assert_eq!(
        seen["own"],
        json!(["/", "/dashboard.css", "/dashboard.js", "/v1/events"])
    );
}

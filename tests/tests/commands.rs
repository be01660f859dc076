//! Commands that ask a server or this machine, and how interrupted ones end.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use serde_json::{Value, json};
use weir_tests::configuration::{provider, with_upstream};
use weir_tests::{Finished, Program, Running, Server, Tree, until};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

fn voyage(upstream: &Upstream) -> Program {
    with_upstream(&provider("voyage", &upstream.own_url_of(Api::Voyage))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_call_ends_with_130_and_frees_the_provider() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::new(FaultKind::Hang));
    let program = voyage(&upstream).env("RUST_LOG", "off");
    let call = ["call", "voyage", "embed", "--input", r#"{"inputs": ["x"]}"#];
    let run = Running::start(&program, call).unwrap();
    let in_flight = || upstream.stats().requests.in_flight;
    until("it is under way", || in_flight() == 1).await.unwrap();

    let ended = run.interrupt().unwrap();

    assert_eq!(
        (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(130), "", "")
    );
    until("the provider is free", || in_flight() == 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pools_of_a_server_are_shown_and_an_interrupt_ends_it_with_130() {
    let upstream = Upstream::start().await.unwrap();
    let program = voyage(&upstream);
    let server = Server::start(&program).unwrap();
    let body = json!({"model": "voyage", "input": "x"});
    assert_eq!(server.post("/v1/embeddings", body).await.unwrap().0, 200);

    let shown = program.run(["--json", "pools", "--url", server.url()]).unwrap();
    assert_eq!(shown.json().unwrap()["pools"]["voyage"]["total_requests"], 1);
    let table = program
        .run(["pools", "--url", server.url()])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        table.stdout.lines().any(|line| line.starts_with("voyage ")),
        "{}",
        table.stdout
    );

    server.signal("INT").unwrap();
    assert_eq!(
        server.ended().unwrap(),
        (Some(130), json!({"event": "stopped", "cut_off": 0}))
    );
}

#[test]
fn doctor_tells_each_check_and_what_is_missing() {
    let well = Program::new().unwrap().run(["--json", "doctor"]).unwrap();
    let well = well.success().unwrap().json().unwrap();
    assert_eq!(well["ok"], true);
    for subject in [
        "configuration",
        "server",
        "data folder",
        "TLS",
        "provider local",
        "provider memory",
    ] {
        let passed = |check: &Value| check["subject"] == subject && check["outcome"] == "pass";
        assert!(
            well["checks"].as_array().unwrap().iter().any(passed),
            "{subject}: {well}"
        );
    }

    let program = Program::with_config("[providers.voyage]\nsecrets.api_key = { env = \"MY_KEY\" }\n").unwrap();
    let ill = program.run(["doctor"]).unwrap();
    assert_eq!(ill.status, Some(2));
    let missing = "secret voyage.api_key: the environment variable MY_KEY is not set";
    assert!(ill.stdout.contains(missing), "{ill:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_listed_with_what_they_can_where_they_are_and_what_they_take() {
    let upstream = Upstream::start().await.unwrap();
    let program = voyage(&upstream);
    let listed = program
        .run(["--json", "providers"])
        .unwrap()
        .success()
        .unwrap()
        .json()
        .unwrap();
    let of = |name: &str| {
        let all = listed["providers"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let voyage = of("voyage");
    assert_eq!(voyage["capabilities"], json!(["embedding", "reranking"]));
    assert_eq!(voyage["secrets"], json!(["api_key"]));
    assert_eq!(voyage["base_url"], upstream.own_url_of(Api::Voyage));
    assert_eq!(voyage["uses_pooled_http"], true);
    assert_eq!(
        voyage["limits"]["embed"],
        json!({"max_items": 128, "max_item_tokens": 32_000, "max_tokens": 120_000})
    );
    let local = of("local");
    assert_eq!(
        (&local["uses_pooled_http"], &local["base_url"], &local["secrets"]),
        (&json!(false), &json!(null), &json!([]))
    );

    let table = program.run(["providers"]).unwrap().success().unwrap().stdout;
    let row = table.lines().find(|line| line.starts_with("voyage ")).unwrap();
    let limits = "embed 128 items, 120000 tokens, 32000 tokens an item; rerank 1000 items, 600000 tokens";
    for part in [
        "api_key",
        voyage["base_url"].as_str().unwrap(),
        limits,
        "50 connections",
    ] {
        assert!(row.contains(part), "{part} is not in {row}");
    }
}

#[test]
fn bundled_components_that_are_not_configured_are_listed_with_all() {
    let listed = |more: &[&str]| {
        let finished = Program::new()
            .unwrap()
            .run([&["--json", "providers"], more].concat())
            .unwrap();
        let listed = finished.success().unwrap().json().unwrap();
        listed["providers"].as_array().unwrap().clone()
    };
    let voyage = |all: Vec<Value>| all.into_iter().find(|one| one["name"] == "voyage");
    assert_eq!(voyage(listed(&[])), None);
    assert_eq!(voyage(listed(&["--all"])).unwrap()["state"], "bundled");
}

#[test]
fn skipped_files_are_named_where_more_is_asked_for() {
    let tree = Tree::new().unwrap();
    tree.write("Cargo.lock", "version = 4\n").unwrap();
    tree.write("a.rs", "fn a() {}\n").unwrap();
    let said = |more: &[&str]| {
        let program = Program::new().unwrap();
        let arguments = [&["index", tree.path().to_str().unwrap()], more].concat();
        // The log's own level counts, not that of the tests.
        let output = program.command(arguments).env_remove("RUST_LOG").output().unwrap();
        Finished::from(output).success().unwrap().stderr
    };
    let verbose = said(&["-v"]);
    assert!(
        verbose.contains("Cargo.lock") && verbose.contains("generated"),
        "{verbose}"
    );
    assert!(!said(&[]).contains("Cargo.lock"));
}

//! Where a component's requests can go: to what it was granted, and nowhere else.

use serde_json::{Value, json};
use weir_tests::{Program, fixture};
use weir_upstream::{Api, Upstream};

/// The misbehaver with the upstream as its `base_url`.
fn program(upstream: &Upstream, egress: &str) -> Program {
    Program::with_config(&format!(
        r#"
        [providers.bad]
        component = "{}"
        [providers.bad.config]
        base_url = "{}"
        [providers.bad.egress]
        {egress}
        "#,
        fixture("misbehaver").display(),
        upstream.openai_url(),
    ))
    .unwrap()
}

fn order(program: &Program, order: &str) -> Value {
    let input = json!({"messages": [{"role": "user", "content": order}]}).to_string();
    let finished = program
        .run(["--json", "call", "bad", "chat", "--input", &input])
        .unwrap();
    if finished.status == Some(0) {
        return finished.json().unwrap();
    }
    serde_json::from_str(finished.stderr.lines().next_back().unwrap_or_default())
        .unwrap_or_else(|_| panic!("{finished:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_origin_at_a_granted_address_is_reached() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, "allow_private = [\"127.0.0.1/32\"]");
    let answer = order(&program, &format!("fetch {}/models", upstream.openai_url()));
    assert!(
        answer["text"].as_str().unwrap_or_default().starts_with("401"),
        "{answer}"
    );
    assert_eq!(upstream.requests(Api::OpenAi).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_needs_a_grant_of_its_own() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, "allow_private = [\"10.0.0.0/8\"]");
    let finished = program.run([
        "call",
        "bad",
        "chat",
        "--input",
        r#"{"messages":[{"role":"user","content":"echo"}]}"#,
    ]);
    let finished = finished.unwrap();
    assert_ne!(finished.status, Some(0));
    assert!(finished.stderr.contains("allow_private"), "{finished:?}");
    assert_eq!(upstream.stats().connections.opened, 0);
}

#[test]
fn what_a_strangers_manifest_asks_for_by_itself_is_not_granted() {
    let component = fixture("misbehaver");
    let program = Program::with_config(&format!("[providers.bad]\ncomponent = \"{}\"\n", component.display())).unwrap();
    let finished = program
        .run(["call", "bad", "embed", "--input", r#"{"inputs":["x"]}"#])
        .unwrap();
    assert_ne!(finished.status, Some(0));
    assert!(
        finished.stderr.contains("https://example.invalid") && finished.stderr.contains("egress.allow"),
        "{finished:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_refused() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, "allow_private = [\"127.0.0.1/32\"]");
    let answer = order(&program, "headers 40000");
    assert_eq!(answer["error"]["kind"], "message-too-large", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_place_is_reached() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, "allow_private = [\"127.0.0.1/32\"]");
    let other_port = upstream.own_url_of(Api::Voyage);
    for url in [
        other_port.as_str(),
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "http://0x7f.1/",
        "https://example.com/",
        "http://user:password@127.0.0.1/",
    ] {
        let answer = order(&program, &format!("fetch {url}"));
        assert_eq!(answer["error"]["kind"], "egress-denied", "{url}: {answer}");
    }
    assert_eq!(upstream.stats().connections.opened, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_headers_and_line_breaks_are_refused() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, "allow_private = [\"127.0.0.1/32\"]");
    for header in [
        "Host evil.example",
        "Authorization Bearer",
        "Content-Length 1",
        "x-a 1\\r\\nx-b:2",
    ] {
        let answer = order(&program, &format!("header {header}"));
        assert_eq!(answer["error"]["kind"], "invalid-request", "{header}: {answer}");
    }
    assert_eq!(upstream.stats().connections.opened, 0);
}

//! `/metrics` as Prometheus reads it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use weir_tests::configuration::{every_provider, misbehaver, with_upstream};
use weir_tests::{Finished, Server};
use weir_upstream::{Fault, Upstream};

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_wrong_with_a_server_that_has_seen_everything() {
    let upstream = Upstream::start().await.unwrap();
    let bad = misbehaver("http://127.0.0.1:9") + "egress.allow_private = [\"127.0.0.1/32\"]\n";
    let config = every_provider(&upstream, "") + &bad;
    let program = with_upstream(&config).unwrap();
    let server = Server::start(&program).unwrap();
    let embedding = json!({"model": "voyage", "input": "who counts?"});
    upstream.order(Fault::status(503));
    upstream.order(Fault::status(400));
    // One that comes right when it is sent again, one that does not, and those that all is well with.
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(server.post("/v1/embeddings", embedding.clone()).await.unwrap().0);
    }
    assert_eq!(statuses, [400, 200, 200, 200]);
    let trap = json!({"messages": [{"role": "user", "content": "trap"}]});
    assert_eq!(server.post("/v1/providers/bad/chat", trap).await.unwrap().0, 502);
    let denied = json!({"messages": [{"role": "user", "content": "fetch http://10.0.0.1/"}]});
    assert_eq!(server.post("/v1/providers/bad/chat", denied).await.unwrap().0, 403);

    let text = server.text("/metrics").await.unwrap();

    for family in [
        "weir_pool_requests_total{pool=\"voyage\"",
        "weir_pool_retries_total{pool=\"voyage\",reason=\"503\"}",
        "weir_pool_request_seconds_bucket{",
        "weir_guest_calls_total{provider=\"voyage\",operation=\"embed\",outcome=\"ok\"}",
        "weir_guest_call_seconds_count{provider=\"voyage\"",
        "weir_guest_instances{provider=\"voyage\",state=\"idle\"}",
        "weir_breaker_state{pool=\"voyage\"",
        "weir_guest_traps_total{provider=\"bad\",kind=\"trap\"} 1",
        "weir_egress_denied_total{provider=\"bad\"} 1",
    ] {
        assert!(text.contains(family), "{family}\nis not in\n{text}");
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is not there; run `just peers`");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let finished = Finished::from(promtool.wait_with_output().unwrap());
    assert_eq!(
        (finished.status, finished.stdout.as_str(), finished.stderr.as_str()),
        (Some(0), "", ""),
        "{text}"
    );
}

//! TLS and HTTP/2, from the program's environment to the upstream's record.

use futures::future::join_all;
use serde_json::json;
use weir_tests::{Program, Server};
use weir_upstream::{Api, DEFAULT_API_KEY, Upstream};

const CALLS: usize = 16;

async fn upstream(ca_file: &std::path::Path) -> Upstream {
    Upstream::builder().tls(true).ca_file(ca_file).start().await.unwrap()
}

fn program(upstream: &Upstream) -> Program {
    Program::with_config(&format!(
        r#"
        [providers.voyage.config]
        base_url = "{}"
        [providers.voyage.secrets]
        api_key = {{ env = "VOYAGE_API_KEY" }}
        [providers.voyage.egress]
        allow_private = ["127.0.0.1/32"]
        "#,
        upstream.tls_url_of(Api::Voyage).unwrap(),
    ))
    .unwrap()
    .env("VOYAGE_API_KEY", DEFAULT_API_KEY)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_side_by_side_share_one_http2_connection() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let upstream = upstream(&ca_file).await;
    let program = program(&upstream).env("SSL_CERT_FILE", ca_file.to_str().unwrap());
    let server = Server::start(&program).unwrap();
    let calls = (0..CALLS).map(|number| {
        let input = json!({"inputs": [format!("text {number}")]});
        server.post("/v1/providers/voyage/embed", input)
    });
    for answer in join_all(calls).await {
        let (status, answer) = answer.unwrap();
        assert_eq!(status, 200, "{answer}");
    }
    let requests = upstream.requests(Api::Voyage);
    assert_eq!(requests.len(), CALLS);
    assert!(
        requests.iter().all(|request| request.version == "HTTP/2.0"),
        "{requests:?}"
    );
    assert_eq!(upstream.stats().connections.opened, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = upstream(&folder.path().join("ca.pem")).await;
    let finished = program(&upstream)
        .run(["--json", "call", "voyage", "embed", "--input", r#"{"inputs":["x"]}"#])
        .unwrap();
    assert_eq!(finished.status, Some(1));
    assert!(
        finished.stderr.contains("connect-failed") && finished.stderr.contains("certificate"),
        "{finished:?}"
    );
    assert_eq!(upstream.stats().requests.total, 0);
}

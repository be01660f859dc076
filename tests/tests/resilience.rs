//! What a provider's pool does when the provider is sparing or broken, and which way it goes there, as operators set it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant};
use weir_tests::configuration::{provider, with_upstream};
use weir_tests::{Program, Server};
use weir_upstream::{Api, Fault, Upstream};

const EMBED: &str = "/v1/providers/voyage/embed";

/// A program whose provider `voyage` is at the upstream, with `more` in its table.
fn program(upstream: &Upstream, more: &str) -> Program {
    with_upstream(&(provider("voyage", &upstream.own_url_of(Api::Voyage)) + more)).unwrap()
}

fn input() -> Value {
    json!({"inputs": ["what is sent again"]})
}

async fn embed(server: &Server) -> (u16, Value) {
    server.post(EMBED, input()).await.unwrap()
}

/// The value of a metric, named with its labels.
async fn metric(server: &Server, name: &str) -> Option<f64> {
    let text = server.text("/metrics").await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_told_to_come_back_succeeds_when_it_does() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::too_many_requests(1).on(Api::Voyage));
    let server = Server::start(&program(&upstream, "")).unwrap();

    let (status, answer) = embed(&server).await;

    assert_eq!(status, 200, "{answer}");
    assert_eq!(upstream.requests(Api::Voyage).len(), 2);
    let retries = "weir_pool_retries_total{pool=\"voyage\",reason=\"429\"}";
    assert_eq!(metric(&server, retries).await, Some(1.0));
    assert_eq!(
        server.get("/v1/pools").await.unwrap().1["pools"]["voyage"]["retries"],
        json!({"429": 1})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_would_have_to_come_back_after_its_end_is_told_what_the_provider_said() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::too_many_requests(50).on(Api::Voyage).always());
    let server = Server::start(&program(&upstream, "limits.call_timeout = 20.0\n")).unwrap();

    let (status, answer) = embed(&server).await;

    let error = &answer["error"];
    assert_eq!(
        (status, &error["kind"], &error["retry_after"]),
        (429, &json!("rate-limited"), &json!(50.0))
    );
    assert_eq!(upstream.requests(Api::Voyage).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_attempt_nothing_is_sent_again() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::status(503).on(Api::Voyage));
    let server = Server::start(&program(&upstream, "resilience.max_attempts = 1\n")).unwrap();

    let (status, answer) = embed(&server).await;

    assert_eq!(
        (status, &answer["error"]["kind"]),
        (503, &json!("upstream")),
        "{answer}"
    );
    assert_eq!(upstream.requests(Api::Voyage).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_keeps_failing_is_left_alone_and_callers_are_told_for_how_long() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::status(503).on(Api::Voyage).always());
    let server = Server::start(&program(&upstream, "resilience.max_attempts = 1\n")).unwrap();
    // The pool's default: five failures in a row.
    for _ in 0..5 {
        assert_eq!(embed(&server).await.0, 503);
    }

    let refused = server.post_raw(EMBED, input()).await.unwrap();

    let answer: Value = serde_json::from_slice(refused.body()).unwrap();
    assert_eq!(
        (refused.status().as_u16(), &answer["error"]["kind"]),
        (503, &json!("unavailable"))
    );
    let wait = answer["error"]["retry_after"].as_f64().unwrap();
    assert!(wait > 20.0 && wait <= 30.0, "{answer}");
    let header = refused.headers()["retry-after"].to_str().unwrap();
    assert_eq!(header.parse::<f64>().unwrap(), wait.ceil());
    assert_eq!(upstream.requests(Api::Voyage).len(), 5, "the sixth was not sent");

    let origin = upstream.own_url_of(Api::Voyage);
    let origin = url_origin(&origin);
    let (status, health) = server.get("/health").await.unwrap();
    assert_eq!((status, &health["status"]), (200, &json!("degraded")));
    let pool = &health["http_pools"]["voyage"];
    let reason = json!(format!("the breaker of {origin} is open"));
    assert!(pool["reasons"].as_array().unwrap().contains(&reason), "{pool}");
    let state = format!("weir_breaker_state{{pool=\"voyage\",origin=\"{origin}\"}}");
    assert_eq!(metric(&server, &state).await, Some(2.0));
}

fn url_origin(url: &str) -> &str {
    let path = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    &url[..path]
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_a_minute_are_kept_to() {
    let upstream = Upstream::start().await.unwrap();
    let server = Server::start(&program(&upstream, "resilience.requests_per_minute = 60\n")).unwrap();
    let started = Instant::now();
    for _ in 0..2 {
        assert_eq!(embed(&server).await.0, 200);
    }
    assert!(
        started.elapsed() > Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        metric(&server, "weir_pool_rate_limit_waits_total{pool=\"voyage\"}").await,
        Some(1.0)
    );
}

/// A proxy that passes on what it is sent, and keeps the head of each connection's first request.
struct ForwardingProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ForwardingProxy {
    async fn before(target: SocketAddr) -> ForwardingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = ForwardingProxy {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
        };
        let heads = proxy.heads.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, target, heads.clone()));
            }
        });
        proxy
    }
}

async fn pass_on(mut client: TcpStream, target: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut received = Vec::new();
    while !received.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
    }
    heads
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&received).into_owned());
    let mut server = TcpStream::connect(target).await.unwrap();
    server.write_all(&received).await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_configuration_is_gone_through_and_its_password_is_told_to_it_alone() {
    let upstream = Upstream::start().await.unwrap();
    let url = upstream.own_url_of(Api::Voyage);
    let target = url_origin(&url).trim_start_matches("http://").parse().unwrap();
    let proxy = ForwardingProxy::before(target).await;
    let setting = format!("http_pool.proxy = \"http://ada:s3cret@{}\"\n", proxy.address);
    let program = program(&upstream, &setting).env("RUST_LOG", "trace");

    let input = input().to_string();
    let called = program
        .run(["-v", "call", "voyage", "embed", "--input", &input])
        .unwrap();
    let shown = program.run(["config", "show"]).unwrap();
    let examined = program.run(["doctor"]).unwrap();

    assert_eq!(called.status, Some(0), "{called:?}");
    let events = called
        .stderr
        .lines()
        .filter(|line| line.contains("DEBUG weir_pool") || line.contains("http_request"));
    assert!(events.count() > 0, "the log tells of the request: {}", called.stderr);
    let heads = proxy.heads.lock().unwrap().concat();
    assert!(
        heads.starts_with(&format!("POST {url}/embeddings HTTP/1.1\r\n")),
        "{heads}"
    );
    // `ada:s3cret` in Base64
    const CREDENTIALS: &str = "YWRhOnMzY3JldA==";
    assert!(heads.contains(&format!("Basic {CREDENTIALS}")), "{heads}");
    assert!(!upstream.requests(Api::Voyage).is_empty());
    assert!(
        examined
            .stdout
            .contains(&format!("through the proxy http://{}", proxy.address)),
        "{examined:?}"
    );
    assert!(
        shown
            .stdout
            .contains(&format!("proxy = \"http://(masked)@{}\"", proxy.address)),
        "{shown:?}"
    );
    for finished in [called, shown, examined] {
        for secret in ["s3cret", CREDENTIALS] {
            assert!(
                !finished.stdout.contains(secret) && !finished.stderr.contains(secret),
                "{finished:?}"
            );
        }
    }
}

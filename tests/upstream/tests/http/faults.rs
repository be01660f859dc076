//! Faults, counters and connections, as a client meets them.

use std::{io::ErrorKind, time::Duration};

use crate::client::{Client, raw};
use http::Method;
use serde_json::{Value, json};
use weir_upstream::{Api, ConnectionStats, DEFAULT_API_KEY, Fault, FaultKind, Upstream};

fn embeddings() -> Value {
    json!({"model": "voyage-code-3", "input": ["open a file"]})
}

/// Waits for what another task is about to do.
async fn eventually(mut done: impl FnMut() -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it did not come to pass within 10 s");
}

#[tokio::test]
async fn a_status_comes_in_the_apis_own_shape_with_the_headers_ordered() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::too_many_requests(2).on(Api::Voyage).path("/embeddings"));
    upstream.order(Fault::status(503).on(Api::Qdrant));
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    let limited = voyage.post("/embeddings", embeddings()).await;
    assert_eq!(
        (limited.status.as_u16(), &limited.headers["retry-after"]),
        (429, &http::HeaderValue::from_static("2"))
    );
    assert!(limited.json()["detail"].is_string());
    assert_eq!(voyage.post("/embeddings", embeddings()).await.status, 200);
    let mut qdrant = Client::to(&upstream.qdrant_url()).await;
    assert!(qdrant.get("/collections").await.json()["status"]["error"].is_string());
    assert!(upstream.faults().is_empty());
}

#[tokio::test]
async fn answers_that_are_no_json_come_as_ordered() {
    let upstream = Upstream::start().await.unwrap();
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    upstream.order(Fault::new(FaultKind::MalformedJson));
    let malformed = voyage.post("/embeddings", embeddings()).await;
    assert_eq!(malformed.status, 200);
    assert!(serde_json::from_slice::<Value>(&malformed.body).is_err());
    upstream.order(Fault::new(FaultKind::Html));
    let page = voyage.post("/embeddings", embeddings()).await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["content-type"]),
        (502, &http::HeaderValue::from_static("text/html"))
    );
}

#[tokio::test]
async fn a_closed_connection_ends_with_fin_and_a_reset_one_with_rst() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::new(FaultKind::Close));
    assert_eq!(raw(&upstream.voyage_url()).await, (String::new(), None));
    upstream.order(Fault::new(FaultKind::Reset));
    assert_eq!(
        raw(&upstream.voyage_url()).await,
        (String::new(), Some(ErrorKind::ConnectionReset))
    );
    assert_eq!(
        upstream.stats().connections,
        ConnectionStats {
            opened: 2,
            open: 0,
            peak: 1
        }
    );
    assert_eq!(upstream.stats().requests.cut, 2);
}

#[tokio::test]
async fn a_body_can_break_off_half_way_with_fin_or_rst() {
    let upstream = Upstream::start().await.unwrap();
    for (fault, ends) in [
        (FaultKind::CutMidBody, None),
        (FaultKind::ResetMidBody, Some(ErrorKind::ConnectionReset)),
    ] {
        upstream.order(Fault::new(fault));
        let (read, error) = raw(&upstream.voyage_url()).await;
        let (head, body) = read.split_once("\r\n\r\n").unwrap();
        let promised = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        assert_eq!(body.len(), promised.parse::<usize>().unwrap() / 2);
        assert_eq!(error, ends);
    }
}

#[tokio::test]
async fn a_hanging_request_ends_when_its_client_gives_up() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::new(FaultKind::Hang));
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    {
        let mut request = Box::pin(voyage.post("/embeddings", embeddings()));
        tokio::select! {
            _ = &mut request => panic!("a hanging request was answered"),
            () = eventually(|| upstream.stats().apis.get(&Api::Voyage).is_some_and(|voyage| voyage.in_flight == 1)) => {}
        }
    }
    drop(voyage);
    eventually(|| upstream.stats().requests.in_flight == 0 && upstream.stats().connections.open == 0).await;
    assert_eq!(upstream.stats().requests.cut, 1);
}

#[tokio::test]
async fn a_slow_answer_is_the_true_one() {
    let upstream = Upstream::start().await.unwrap();
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    let quick = voyage.post("/embeddings", embeddings()).await;
    upstream.order(Fault::slow(500, Duration::from_millis(1)));
    let slow = voyage.post("/embeddings", embeddings()).await;
    assert_eq!(slow.body, quick.body);
}

#[tokio::test]
async fn an_early_answer_comes_before_the_body_is_read() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::new(FaultKind::AnswerEarly { code: 401 }));
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    let refused = voyage.post("/embeddings", embeddings()).await;
    assert_eq!(refused.status, 401);
    assert_eq!(upstream.last_request(Api::Voyage).unwrap().body, None);
}

#[tokio::test]
async fn requests_on_one_connection_count_as_one_connection() {
    let upstream = Upstream::start().await.unwrap();
    let mut voyage = Client::to(&upstream.own_url_of(Api::Voyage)).await;
    for _ in 0..3 {
        assert_eq!(voyage.post("/embeddings", embeddings()).await.status, 200);
    }
    let stats = upstream.stats();
    assert_eq!(
        stats.listeners["voyage"],
        ConnectionStats {
            opened: 1,
            open: 1,
            peak: 1
        }
    );
    assert_eq!(stats.paths["voyage POST /v1/embeddings"], 3);
    assert_eq!(
        (stats.apis[&Api::Voyage].total, stats.apis[&Api::Voyage].in_flight),
        (3, 0)
    );
    let requests = upstream.requests(Api::Voyage);
    assert!(
        requests
            .iter()
            .all(|request| request.connection == requests[0].connection)
    );
    assert_eq!(
        requests[0].header("authorization"),
        Some(format!("Bearer {DEFAULT_API_KEY}").as_str())
    );
    assert_eq!(requests[0].json(), Some(embeddings()));
}

#[tokio::test]
async fn idle_connections_close_when_told_to() {
    let upstream = Upstream::start().await.unwrap();
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    voyage.post("/embeddings", embeddings()).await;
    assert_eq!(upstream.close_idle_connections(), 1);
    voyage.closed().await;
    assert_eq!(upstream.stats().connections.open, 0);
}

#[tokio::test]
async fn idle_connections_close_by_themselves_after_the_idle_timeout() {
    let upstream = Upstream::builder()
        .idle_timeout(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    voyage.post("/embeddings", embeddings()).await;
    voyage.closed().await;
    assert_eq!(upstream.stats().connections.open, 0);
}

#[tokio::test]
async fn tls_serves_http2_to_those_who_trust_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let upstream = Upstream::builder().tls(true).ca_file(&ca_file).start().await.unwrap();
    let ca_pem = std::fs::read_to_string(&ca_file).unwrap();
    assert_eq!(upstream.ca_pem(), Some(ca_pem.as_str()));
    let mut voyage = Client::with_http2(&upstream.tls_url_of(Api::Voyage).unwrap(), &ca_pem).await;
    assert_eq!(voyage.post("/embeddings", embeddings()).await.status, 200);
    assert_eq!(upstream.last_request(Api::Voyage).unwrap().version, "HTTP/2.0");

    // A stream that breaks off leaves its connection to the others.
    upstream.order(Fault::new(FaultKind::ResetMidBody));
    assert!(voyage.send(Method::POST, "/embeddings", embeddings()).await.is_err());
    assert_eq!(voyage.post("/embeddings", embeddings()).await.status, 200);
    assert_eq!(
        upstream.stats().listeners["tls"],
        ConnectionStats {
            opened: 1,
            open: 1,
            peak: 1
        }
    );
    upstream.order(Fault::new(FaultKind::Close));
    assert!(voyage.send(Method::POST, "/embeddings", embeddings()).await.is_err());
    assert_eq!(upstream.stats().connections.open, 0);
}

#[tokio::test]
async fn the_control_port_orders_tells_and_is_not_counted() {
    let upstream = Upstream::start().await.unwrap();
    let mut control = Client::to(upstream.control_url()).await;
    let order = json!({"fault": {"status": {"code": 500}}, "api": "voyage", "times": 1});
    assert_eq!(control.post("/faults", order).await.json().as_array().unwrap().len(), 1);
    let mut voyage = Client::to(&upstream.voyage_url()).await;
    assert_eq!(voyage.post("/embeddings", embeddings()).await.status, 500);
    assert_eq!(
        control.get("/stats").await.json(),
        serde_json::to_value(upstream.stats()).unwrap()
    );
    assert_eq!(upstream.stats().connections.opened, 1);
    let requests = control.get("/requests?api=voyage&last=1").await.json();
    assert!(
        requests[0]["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["authorization", format!("Bearer {DEFAULT_API_KEY}")]))
    );

    control
        .post(
            "/faults",
            json!([{"fault": "hang", "times": "always"}, {"fault": "close"}]),
        )
        .await;
    assert_eq!(
        control
            .send(Method::DELETE, "/faults", Value::Null)
            .await
            .unwrap()
            .status,
        204
    );
    assert!(upstream.faults().is_empty());
    assert_eq!(
        control
            .post("/latency", json!({"millis": 1, "api": "voyage"}))
            .await
            .status,
        204
    );
    let closed = control
        .send(Method::DELETE, "/connections?which=all", Value::Null)
        .await
        .unwrap()
        .json();
    assert_eq!(closed, json!({"closed": 1}));
}

#[tokio::test]
async fn shutting_down_closes_every_connection_and_port() {
    let upstream = Upstream::start().await.unwrap();
    let url = upstream.voyage_url();
    let mut idle = Client::to(&url).await;
    idle.post("/embeddings", embeddings()).await;
    upstream.shutdown().await;
    idle.closed().await;
    let authority = url.parse::<http::Uri>().unwrap().authority().unwrap().to_string();
    assert!(tokio::net::TcpStream::connect(authority).await.is_err());
}

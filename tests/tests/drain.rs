//! SIGTERM: nothing new is taken, what was taken is answered, and what could not be is counted.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use weir_pool::{PoolManager, PoolSettings, SendError, SendOptions};
use weir_tests::configuration::{provider, with_upstream};
use weir_tests::live::until;
use weir_tests::{Program, Server};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

/// A server with the voyage and the openai adapter at the upstream. The program keeps its folder.
fn serve(upstream: &Upstream) -> (Program, Server) {
    let tables = [Api::Voyage, Api::OpenAi].map(|api| provider(api.name(), &upstream.own_url_of(api)));
    let program = with_upstream(&tables.concat()).unwrap();
    let server = Server::start(&program).unwrap();
    (program, server)
}

fn embedding() -> Value {
    json!({"model": "voyage", "input": "who answers?"})
}

/// Sends a request on a connection of its own, and leaves its answer unread.
async fn ask(server: &Server, method: &str, path: &str, body: &str) -> BufReader<TcpStream> {
    let mut client = connect(server).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    BufReader::new(client)
}

async fn connect(server: &Server) -> std::io::Result<TcpStream> {
    TcpStream::connect(server.url().trim_start_matches("http://")).await
}

/// Waits until the server takes no more connections.
async fn stopped_taking(server: &Server) {
    until("nothing is taken any more", async || connect(server).await.is_err())
        .await
        .unwrap();
}

async fn arrived(upstream: &Upstream, count: u64) {
    until("the requests are under way", async || {
        upstream.stats().requests.total >= count
    })
    .await
    .unwrap();
}

async fn rest(mut client: BufReader<TcpStream>) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_no_request_fails_that_was_taken() {
    let upstream = Upstream::start().await.unwrap();
    upstream.set_latency(Duration::from_millis(5));
    let (_program, server) = serve(&upstream);
    let pool = PoolManager::new()
        .unwrap()
        .pool("load", PoolSettings::default())
        .unwrap();
    let url = format!("{}/v1/embeddings", server.url());
    let callers = (0..16).map(|_| {
        let (pool, url) = (pool.clone(), url.clone());
        tokio::spawn(async move {
            for answered in 0_u32.. {
                let request = http::Request::post(&url)
                    .header("content-type", "application/json")
                    .body(Bytes::from(embedding().to_string()))
                    .unwrap();
                match pool.send(request, SendOptions::default()).await {
                    Ok(answer) => assert_eq!(answer.status(), 200),
                    // It was never taken.
                    Err(SendError::Connect { .. }) => return answered,
                    Err(error) => panic!("after {answered} answers: {error:?}"),
                }
            }
            unreachable!("the server was stopped")
        })
    });
    let callers: Vec<_> = callers.collect();
    arrived(&upstream, 200).await;

    server.signal("TERM").unwrap();

    let mut answered = 0;
    for caller in callers {
        answered += caller.await.unwrap();
    }
    assert!(answered >= 200, "{answered}");
    let (status, event) = server.ended().unwrap();
    assert_eq!((status, event), (Some(0), json!({"event": "stopped", "cut_off": 0})));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_mid_stream_is_told_to_its_end() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::new(FaultKind::Slow { bytes: 64, millis: 20 }));
    let (_program, server) = serve(&upstream);
    let chat =
        json!({"model": "openai", "stream": true, "messages": [{"role": "user", "content": "count to a hundred"}]});
    let mut client = ask(&server, "POST", "/v1/chat/completions", &chat.to_string()).await;
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert_ne!(client.read_line(&mut line).await.unwrap(), 0, "no stream came");
    }

    server.signal("TERM").unwrap();
    stopped_taking(&server).await;

    assert!(rest(client).await.contains("data: [DONE]"));
    let (status, event) = server.ended().unwrap();
    assert_eq!((status, &event["cut_off"]), (Some(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_cuts_what_is_left_and_tells_how_much() {
    let upstream = Upstream::start().await.unwrap();
    for _ in 0..2 {
        upstream.order(Fault::new(FaultKind::Hang));
    }
    let (_program, server) = serve(&upstream);
    let body = embedding().to_string();
    let clients = [
        ask(&server, "POST", "/v1/embeddings", &body).await,
        ask(&server, "POST", "/v1/embeddings", &body).await,
    ];
    arrived(&upstream, 2).await;
    server.signal("TERM").unwrap();
    stopped_taking(&server).await;

    server.signal("TERM").unwrap();

    for client in clients {
        assert_eq!(rest(client).await, "", "it was answered after all");
    }
    let (status, event) = server.ended().unwrap();
    assert_eq!((status, event), (Some(0), json!({"event": "stopped", "cut_off": 2})));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_drains_it_is_not_ready_and_who_asks_on_an_old_connection_is_told() {
    let upstream = Upstream::start().await.unwrap();
    upstream.order(Fault::new(FaultKind::Hang));
    let (_program, server) = serve(&upstream);
    let hanging = ask(&server, "POST", "/v1/embeddings", &embedding().to_string()).await;
    arrived(&upstream, 1).await;
    // Half a request is one already.
    let mut probe = connect(&server).await.unwrap();
    probe.write_all(b"GET /readyz HTTP/1.1\r\n").await.unwrap();
    until("the probe was taken", async || server.get("/health").await.is_ok())
        .await
        .unwrap();
    server.signal("TERM").unwrap();
    stopped_taking(&server).await;

    probe.write_all(b"host: localhost\r\n\r\n").await.unwrap();

    let answer = rest(BufReader::new(probe)).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("stopping\n"),
        "{answer}"
    );
    drop(hanging);
    let (status, event) = server.ended().unwrap();
    assert_eq!((status, &event["cut_off"]), (Some(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_the_dashboard_is_told_and_holds_nothing_up() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&upstream);
    let mut watcher = ask(&server, "GET", "/v1/events", "").await;
    let mut line = String::new();
    while !line.starts_with("event: picture") {
        line.clear();
        assert_ne!(watcher.read_line(&mut line).await.unwrap(), 0, "no picture came");
    }

    server.signal("TERM").unwrap();

    assert!(rest(watcher).await.contains("event: stopping"));
    let (status, event) = server.ended().unwrap();
    assert_eq!((status, event), (Some(0), json!({"event": "stopped", "cut_off": 0})));
}

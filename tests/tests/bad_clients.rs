//! Clients that hang up, dawdle, or send what nobody should, against the built program.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use weir_tests::configuration::{every_provider, with_upstream};
use weir_tests::live::until;
use weir_tests::{Program, Server};
use weir_upstream::{Api, Upstream};

/// Far longer than a test may take.
const NEVER: Duration = Duration::from_secs(600);

/// What the process may take at most, under any of this.
const MEMORY: u64 = 200 << 20;

fn serve(upstream: &Upstream) -> (Program, Server) {
    let program = with_upstream(&every_provider(upstream, ""))
        .unwrap()
        .env("RUST_LOG", "weir=warn");
    let server = Server::start(&program).unwrap();
    (program, server)
}

async fn connect(server: &Server) -> TcpStream {
    let address = server.url().trim_start_matches("http://").to_owned();
    TcpStream::connect(address).await.unwrap()
}

fn post(path: &str, lengths: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{lengths}\r\n\r\n{body}")
}

fn whole(path: &str, body: &Value) -> String {
    let body = body.to_string();
    post(path, &format!("content-length: {}", body.len()), &body)
}

/// All that comes until the server closes, be it in the middle of what is sent.
async fn answer(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn embed(server: &Server) -> Duration {
    let begun = Instant::now();
    let body = json!({"model": "openai", "input": "another client"});
    let (status, answer) = server.post("/v1/embeddings", body).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    begun.elapsed()
}

/// Memory of the process that is nobody else's.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_frees_every_upstream_connection_it_had() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&upstream);
    embed(&server).await;
    upstream.set_latency(NEVER);
    let messages = json!([{"role": "user", "content": "x"}]);
    let many: Vec<String> = (0..2_048 * 4).map(|number| number.to_string()).collect();
    for (body, path, connections) in [
        (json!({"model": "openai", "input": "a"}), "/v1/embeddings", 1),
        // In four parts, side by side.
        (json!({"model": "openai", "input": many}), "/v1/embeddings", 4),
        (
            json!({"model": "openai", "messages": messages}),
            "/v1/chat/completions",
            1,
        ),
        (
            json!({"model": "openai", "messages": messages, "stream": true}),
            "/v1/chat/completions",
            1,
        ),
        (json!({"inputs": ["a"]}), "/v1/providers/openai/embed", 1),
    ] {
        let in_flight = || upstream.stats().apis[&Api::OpenAi].in_flight;
        let mut client = connect(&server).await;
        client.write_all(whole(path, &body).as_bytes()).await.unwrap();
        until("it is under way", async || in_flight() == connections)
            .await
            .unwrap();

        drop(client);

        until("the upstream is free", async || in_flight() == 0).await.unwrap();
        until("the pool is free", async || {
            let (_, pools) = server.get("/v1/pools").await.unwrap();
            pools["pools"]["openai"]["active"] == 0
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants a quiet machine: `just soak`"]
async fn a_hang_up_reaches_the_provider_within_a_tenth_of_a_second() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&upstream);
    embed(&server).await;
    upstream.set_latency(NEVER);
    let in_flight = || upstream.stats().apis[&Api::OpenAi].in_flight;
    let body = whole("/v1/embeddings", &json!({"model": "openai", "input": "a"}));
    let mut waits = Vec::new();
    for _ in 0..200 {
        let mut client = connect(&server).await;
        client.write_all(body.as_bytes()).await.unwrap();
        until("it is under way", async || in_flight() == 1).await.unwrap();
        let begun = Instant::now();
        drop(client);
        while in_flight() > 0 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        waits.push(begun.elapsed());
    }
    waits.sort();
    println!(
        "the upstream connection was free after {:?} (median), {:?} (longest)",
        waits[100], waits[199]
    );
    assert!(waits[199] < Duration::from_millis(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_refused_whether_its_length_is_told_or_not() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&upstream);

    let mut told = connect(&server).await;
    let head = post("/v1/embeddings", "content-length: 1073741824", "");
    told.write_all(head.as_bytes()).await.unwrap();
    // Nothing of the body was sent.
    assert!(answer(&mut told).await.starts_with("HTTP/1.1 413"));

    let untold = connect(&server).await;
    let (mut read, mut write) = untold.into_split();
    let head = post("/v1/embeddings", "transfer-encoding: chunked", "");
    write.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        let mut sent = 0_u64;
        while sent < 1 << 30 && write.write_all(&chunk).await.is_ok() {
            sent += 0x10000;
        }
        sent
    });
    let mut said = Vec::new();
    let _ = read.read_to_end(&mut said).await;
    assert!(said.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&said));
    assert!(sending.await.unwrap() < 1 << 30, "it was read to its end");
    embed(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_or_too_much_of_it_is_refused() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&upstream);
    let fields: String = (0..1_000).map(|number| format!("x-{number}: a\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(1 << 20));
    for (request, status) in [
        ("\u{16}\u{3}\u{1} a TLS hello\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n"), "431"),
        (format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{long}\r\n"), "431"),
        (
            post("/v1/embeddings", "content-length: 4\r\ncontent-length: 5", "null"),
            "400",
        ),
        (
            post("/v1/embeddings", "transfer-encoding: chunked, identity", "0\r\n\r\n"),
            "400",
        ),
        (post("/v1/embeddings", "transfer-encoding: chunked", "zz\r\n"), "400"),
    ] {
        let mut client = connect(&server).await;
        let _ = client.write_all(request.as_bytes()).await;
        // hyper says nothing at all to what begins like no request.
        let _ = client.shutdown().await;
        let said = answer(&mut client).await;
        let start: String = request.chars().take(60).collect();
        assert!(
            said.is_empty() || said.starts_with(&format!("HTTP/1.1 {status}")),
            "{start:?}: {said}"
        );
    }
    for body in [
        "{",
        "[]",
        "null",
        "{\"model\": \"openai\", \"input\": \"\\ud800\"}",
        "\u{0}",
        &"[".repeat(100_000),
    ] {
        let mut client = connect(&server).await;
        let lengths = format!("connection: close\r\ncontent-length: {}", body.len());
        client
            .write_all(post("/v1/embeddings", &lengths, body).as_bytes())
            .await
            .unwrap();
        let said = answer(&mut client).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{said}");
        assert!(said.contains("\"type\":\"invalid_request_error\""), "{said}");
    }
    embed(&server).await;
}

/// Clients that send a byte a second, half of them of a head and half of a body, while another is served so many times.
/// Returns how long that one waited, sorted.
async fn beside_slow_clients(server: &Server, slow: usize, requests: usize) -> Vec<Duration> {
    let body = whole(
        "/v1/embeddings",
        &json!({"model": "openai", "input": "x".repeat(10_000)}),
    );
    let head = body.find("\r\n\r\n").unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..slow {
        let mut client = connect(server).await;
        let begun = if number % 2 == 0 { head / 2 } else { head + 4 };
        client.write_all(&body.as_bytes()[..begun]).await.unwrap();
        let rest = body.as_bytes()[begun..].to_vec();
        clients.spawn(async move {
            for byte in rest {
                if client.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
    let mut waits = Vec::new();
    for _ in 0..requests {
        waits.push(embed(server).await);
    }
    waits.sort();
    waits
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_keep_nobody_waiting_and_take_little_room() {
    let upstream = Upstream::start().await.unwrap();
    let (_program, server) = serve(&upstream);
    beside_slow_clients(&server, 200, 50).await;
    assert!(resident(&server) < MEMORY, "{} bytes", resident(&server));
}

/// Bodies without an end, one after the other on each of so many connections, until the watch is dropped.
fn flood(server: &Server, bodies: usize, stopped: &tokio::sync::watch::Receiver<()>) -> tokio::task::JoinSet<()> {
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..bodies {
        let address = server.url().trim_start_matches("http://").to_owned();
        let mut stopped = stopped.clone();
        flood.spawn(async move {
            let head = post("/v1/embeddings", "transfer-encoding: chunked", "");
            let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
            let again = async {
                loop {
                    let mut client = TcpStream::connect(&address).await.unwrap();
                    let mut alive = client.write_all(head.as_bytes()).await;
                    while alive.is_ok() {
                        alive = client.write_all(&chunk).await;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            };
            tokio::select! { () = again => {}, _ = stopped.changed() => {} }
        });
    }
    flood
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while: `just soak`"]
async fn two_thousand_slow_clients_and_bodies_without_end_take_little_room() {
    let upstream = Upstream::start().await.unwrap();
    for bodies in [4, 16] {
        let (_program, server) = serve(&upstream);
        let usual = beside_slow_clients(&server, 0, 2_000).await;
        let (stop, stopped) = tokio::sync::watch::channel(());
        let _flood = flood(&server, bodies, &stopped);
        let waits = beside_slow_clients(&server, 2_000, 2_000).await;
        let memory = resident(&server);
        drop(stop);
        let [usual, beside] = [usual, waits].map(|waits| waits[waits.len() * 99 / 100]);
        println!(
            "p99 {usual:?}, beside 2,000 slow clients and {bodies} endless bodies {beside:?}; {} MB resident",
            memory >> 20
        );
        assert!(memory < MEMORY, "{memory} bytes");
        assert!(beside <= 2 * usual, "p99");
    }
}

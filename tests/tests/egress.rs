//! Where a component's requests can go: to what it was granted, and nowhere else.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};
use weir_tests::configuration::misbehaver;
use weir_tests::{Program, fixture};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

const LOOPBACK: &str = "allow_private = [\"127.0.0.1/32\"]";

/// The misbehaver with the upstream as its `base_url`.
fn program(upstream: &Upstream, egress: &str) -> Program {
    program_at(&upstream.openai_url(), egress)
}

/// The misbehaver with this `base_url`.
fn program_at(base_url: &str, rest: &str) -> Program {
    let provider = misbehaver(base_url);
    Program::with_config(&format!("{provider}\n[providers.bad.egress]\n{rest}\n")).unwrap()
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
    let program = program(&upstream, LOOPBACK);
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
    let program = program(&upstream, LOOPBACK);
    let answer = order(&program, "headers 40000");
    assert_eq!(answer["error"]["kind"], "message-too-large", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_place_is_reached() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, LOOPBACK);
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
    let program = program(&upstream, LOOPBACK);
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

#[tokio::test(flavor = "multi_thread")]
async fn no_tunnel_is_opened_and_no_request_is_sent_back() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, LOOPBACK);
    for method in ["CONNECT", "TRACE"] {
        let answer = order(&program, &format!("method {method}"));
        assert_eq!(answer["error"]["kind"], "invalid-request", "{method}: {answer}");
        assert!(answer.to_string().contains(method), "{answer}");
    }
    assert_eq!(upstream.stats().connections.opened, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let upstream = Upstream::start().await.unwrap();
    // At an address that the provider is granted: nothing but its not being followed keeps the redirect from it.
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/latest/meta-data", target.local_addr().unwrap());
    for code in [301, 302, 303, 307, 308] {
        upstream.order(Fault::new(FaultKind::Status {
            code,
            headers: [("location".to_owned(), location.clone())].into(),
            body: None,
        }));
        let answer = order(
            &program(&upstream, LOOPBACK),
            &format!("fetch {}/models", upstream.openai_url()),
        );
        let told = answer["text"].as_str().unwrap_or_default();
        assert!(
            told.starts_with(&code.to_string()) && told.contains(&location),
            "{answer}"
        );
    }
    target.set_nonblocking(true).unwrap();
    assert_eq!(
        target.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "nobody came"
    );
}

#[test]
fn a_granted_name_that_leads_to_a_private_address_is_denied_where_it_is_dialled() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}/", target.local_addr().unwrap().port());
    let program = Program::with_config(&format!(
        "[providers.bad]\ncomponent = \"{}\"\nconfig.base_url = \"https://example.invalid\"\nconfig.other_url = \"{url}\"",
        fixture("misbehaver").display(),
    ))
    .unwrap();
    let answer = order(&program, &format!("fetch {url}"));
    assert_eq!(answer["error"]["kind"], "egress-denied", "{answer}");
    assert!(answer.to_string().contains("allow_private"), "{answer}");
    target.set_nonblocking(true).unwrap();
    assert_eq!(
        target.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "nobody came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_gigabyte_is_not_sent() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, LOOPBACK);
    for (bytes, kind) in [(40_000_000, "message-too-large"), (1 << 30, "out-of-memory")] {
        let answer = order(&program, &format!("post {bytes}"));
        assert_eq!(answer["error"]["kind"], kind, "{answer}");
    }
    assert_eq!(upstream.stats().connections.opened, 0);
}

#[test]
fn an_answer_of_a_gigabyte_is_not_read_to_its_end() {
    const GIGABYTE: u64 = 1 << 30;
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", peer.local_addr().unwrap());
    let sending = thread::spawn(move || {
        let (mut socket, _) = peer.accept().unwrap();
        let _ = socket.read(&mut [0; 4096]).unwrap();
        // Its length is not told in advance.
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            .unwrap();
        let piece = [b'x'; 1 << 16];
        (0..GIGABYTE)
            .step_by(piece.len())
            .find(|_| socket.write_all(&piece).is_err())
    });
    let limit = format!("{LOOPBACK}\n[providers.bad.http_pool]\nmax_response_bytes = \"1MiB\"");
    let answer = order(&program_at(&url, &limit), &format!("fetch {url}"));
    assert_eq!(answer["error"]["kind"], "message-too-large", "{answer}");
    assert!(answer.to_string().contains("longer than 1048576 bytes"), "{answer}");
    let sent = sending.join().unwrap().expect("the host hung up");
    // The limit, and what the two sockets' buffers hold (`net.ipv4.tcp_rmem` and `tcp_wmem`: 6 and 4 MiB at most).
    assert!(sent < 16 << 20, "{sent} bytes were taken");
}

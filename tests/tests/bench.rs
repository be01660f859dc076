//! `weir bench`: what it reports is what the server saw.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::configuration::{provider, with_upstream};
use weir_tests::{Program, Running, until};
use weir_upstream::{Api, DEFAULT_API_KEY, Fault, Upstream};

const EMBEDDING: &str = r#"{"model": "voyage-3.5", "input": ["a text that stays private"]}"#;

/// Runs `weir --json bench --url` at Voyage's embeddings, with a key that must not be told.
fn bench_url(upstream: &Upstream, status: i32, more: &[&str]) -> Value {
    let program = Program::new().unwrap();
    let key = format!("authorization: Bearer {DEFAULT_API_KEY}");
    let url = format!("{}/embeddings?key=hidden", upstream.own_url_of(Api::Voyage));
    let asked = ["--json", "bench", "--url", &url, "-H", &key, "--body", EMBEDDING];
    let finished = program
        .run([&asked, ["-H", "content-type: application/json"].as_slice(), more].concat())
        .unwrap();
    assert_eq!(finished.status, Some(status), "{finished:?}");
    for never in [DEFAULT_API_KEY, "hidden", "private"] {
        assert!(
            !finished.stdout.contains(never) && !finished.stderr.contains(never),
            "{finished:?}"
        );
    }
    assert_eq!(finished.stderr, "", "progress is for a terminal");
    finished.json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_asked_as_often_as_said_over_no_more_connections_than_the_cap() {
    let upstream = Upstream::builder().start().await.unwrap();
    let pool = ["--pool", "max_connections=4", "--pool", "max_keepalive_connections=4"];
    let report = bench_url(&upstream, 0, &[&["-n", "300", "-c", "16"], pool.as_slice()].concat());

    let seen = upstream.stats();
    assert_eq!(seen.requests.total, 300);
    let opened = seen.connections.opened;
    assert!((1..=4).contains(&opened), "{opened}");
    let counts = json!({"answered": 300, "failed": 0, "cut_off": 0});
    assert_eq!(report["requests"], counts);
    assert_eq!(report["in_flight"], 16);
    assert_eq!(
        report["target"],
        format!("{}/embeddings", upstream.own_url_of(Api::Voyage))
    );
    let of_pool = &report["pools"]["bench"];
    assert_eq!(of_pool["max_connections"], 4);
    assert_eq!(of_pool["opened"], opened);
    assert_eq!(of_pool["requests"], 300);
    // A connection that was made for a caller whom another one served first may carry nothing.
    let reused = of_pool["reused"].as_u64().unwrap();
    assert!((300 - opened as u64..300).contains(&reused), "{of_pool}");
    assert!(of_pool["bytes_sent"].as_u64().unwrap() > 300 * EMBEDDING.len() as u64);

    let latency = &report["latency_us"];
    let parts = ["min", "p50", "p90", "p99", "p99_9", "max"].map(|part| latency[part].as_f64().unwrap());
    assert!(parts[0] > 0.0 && parts.is_sorted(), "{latency}");
    let spans = report["histogram"].as_array().unwrap();
    let answers: u64 = spans.iter().map(|span| span["answers"].as_u64().unwrap()).sum();
    assert_eq!(answers, 300);
    assert!(report["cpu_us_per_request"].as_f64().unwrap() > 0.0);
    assert!(report["answers_per_second"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_kind_and_fatal_only_if_there_is_nothing_else() {
    let upstream = Upstream::builder().start().await.unwrap();
    upstream.order(Fault::status(500).on(Api::Voyage).times(7));
    let report = bench_url(&upstream, 0, &["-n", "20"]);
    assert_eq!(report["requests"], json!({"answered": 13, "failed": 7, "cut_off": 0}));
    let failure = json!({"count": 7, "first": "the server answered 500 Internal Server Error"});
    assert_eq!(report["failures"], json!({"status-500": failure}));

    upstream.order(Fault::status(500).on(Api::Voyage).always());
    let report = bench_url(&upstream, 1, &["-n", "20"]);
    assert_eq!(report["failures"]["status-500"]["count"], 20);
    assert_eq!(report["latency_us"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_asked_through_its_component_and_its_providers_pool() {
    let upstream = Upstream::builder().start().await.unwrap();
    let program = with_upstream(&provider("voyage", &upstream.own_url_of(Api::Voyage))).unwrap();
    let load = [
        "--input",
        r#"{"inputs": ["x"]}"#,
        "-n",
        "40",
        "-c",
        "8",
        "--pool",
        "max_connections=2",
    ];
    let finished = program
        .run([&["--json", "bench", "voyage", "embed"], load.as_slice()].concat())
        .unwrap()
        .success()
        .unwrap();

    let report = finished.json().unwrap();
    assert_eq!(report["target"], "voyage embed");
    assert_eq!(report["requests"], json!({"answered": 40, "failed": 0, "cut_off": 0}));
    assert_eq!(report["pools"]["voyage"]["max_connections"], 2);
    let seen = upstream.stats();
    assert_eq!(seen.requests.total, 40);
    assert!(seen.connections.opened <= 2);
    assert_eq!(report["pools"]["voyage"]["opened"], seen.connections.opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_load_tells_what_was_measured() {
    let upstream = Upstream::builder().start().await.unwrap();
    let program = with_upstream(&provider("voyage", &upstream.own_url_of(Api::Voyage))).unwrap();
    let arguments = [
        "bench",
        "voyage",
        "embed",
        "--input",
        r#"{"inputs": ["x"]}"#,
        "--duration",
        "600",
    ];
    let running = Running::start(&program, arguments).unwrap();
    until("20 requests are answered", || upstream.stats().requests.total > 30)
        .await
        .unwrap();
    let finished = running.interrupt().unwrap();

    assert_eq!(finished.status, Some(130), "{finished:?}");
    let first = finished.stdout.lines().next().unwrap();
    assert!(
        first.starts_with("voyage embed: ") && first.ends_with(", interrupted"),
        "{first}"
    );
    assert!(
        finished.stdout.contains("latency: p50 ") && finished.stdout.contains(" |#"),
        "{finished:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_time_a_load_cuts_off_what_is_under_way() {
    let upstream = Upstream::builder()
        .latency(Duration::from_secs(60))
        .start()
        .await
        .unwrap();
    let report = bench_url(&upstream, 1, &["--duration", "0.5", "-c", "3"]);
    assert_eq!(report["requests"], json!({"answered": 0, "failed": 0, "cut_off": 3}));
    assert_eq!(report["interrupted"], false);
}

#[test]
fn what_can_not_be_asked_is_said_in_one_line() {
    let program = Program::new().unwrap();
    let local = ["bench", "local", "embed", "--input"];
    for (arguments, message) in [
        (
            ["bench"].as_slice(),
            "what to ask is missing: a provider and its operation, like `weir bench local embed --input '{\"inputs\": \
             [\"hello\"]}'`, or --url",
        ),
        (
            &["bench", "--url", "http://user:hush@127.0.0.1/"],
            "--url takes an address without user name and password; give them with --header",
        ),
        (
            &["bench", "--url", "http://127.0.0.1/", "--header", "hush"],
            "--header takes a name and a value, like 'accept: application/json'",
        ),
        (
            &["bench", "--url", "http://127.0.0.1/", "--pool", "max_conections=4"],
            "--pool: unknown key `http_pool.max_conections`; did you mean `max_connections`?",
        ),
        (
            &[&local[..], &["{}"]].concat(),
            "local embed: the input was refused: missing field `inputs`",
        ),
    ] {
        let finished = program.run(arguments).unwrap();
        assert_eq!(finished.status, Some(2), "{finished:?}");
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr),
            ("", format!("weir: {message}\n"))
        );
    }
}

//! Components written for `wasi:http`: admitted where the operator says so, and sent through the same pool and checks.

use serde_json::{Value, json};
use weir_tests::{Program, Server, fixture, until};
use weir_upstream::{Api, Fault, FaultKind, Upstream};

const KEY: &str = "sentinel-2d8e51";

/// One component written for 0.2, one for 0.3. They obey the same orders.
const COMPONENTS: [&str; 2] = ["wasi_http", "wasi_http_0_3"];

/// The component with the upstream's models as its `base_url`. `keys` come behind those of the provider.
fn program(component: &str, upstream: &Upstream, keys: &str) -> Program {
    Program::with_config(&format!(
        r#"
        [providers.foreign]
        component = "{}"
        allow_wasi_http = true
        config.base_url = "{}/models"
        egress.allow_private = ["127.0.0.1/32"]
        secrets.api_key = {{ env = "SENTINEL" }}
        resilience = {{ max_attempts = 1, breaker = false, adaptive_concurrency = false }}
        {keys}
        "#,
        fixture(component).display(),
        upstream.openai_url(),
    ))
    .unwrap()
    .env("SENTINEL", KEY)
    .env("RUST_LOG", "trace")
}

fn input(order: &str) -> Value {
    json!({"messages": [{"role": "user", "content": order}]})
}

/// The same through a server that runs.
async fn ask(server: &Server, order: &str) -> Value {
    let body = json!({"model": "foreign", "messages": [{"role": "user", "content": order}]});
    let (_, answer) = server.post("/v1/chat/completions", body).await.unwrap();
    match answer.pointer("/choices/0/message/content") {
        Some(told) => told.clone(),
        None => answer,
    }
}

/// What the component tells of the order.
fn order(program: &Program, order: &str) -> String {
    let finished = program
        .run([
            "--json",
            "call",
            "foreign",
            "chat",
            "--input",
            &input(order).to_string(),
        ])
        .unwrap()
        .success()
        .unwrap();
    assert!(!finished.stdout.contains(KEY) && !finished.stderr.contains(KEY));
    finished.json().unwrap()["text"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_it_is_refused_by_name_with_the_key_that_would_admit_it() {
    for (component, import) in COMPONENTS
        .into_iter()
        .zip(["wasi:http/outgoing-handler@0.2", "wasi:http/client@0.3"])
    {
        let component = fixture(component);
        let program = Program::with_config(&format!(
            "[providers.foreign]\ncomponent = \"{}\"\n",
            component.display()
        ))
        .unwrap();
        let finished = program
            .run(["call", "foreign", "embed", "--input", r#"{"inputs":["x"]}"#])
            .unwrap();
        assert_ne!(finished.status, Some(0));
        for part in [import, "allow_wasi_http = true"] {
            assert!(finished.stderr.contains(part), "{finished:?}");
        }

        let file = component.to_str().unwrap();
        let seen = program.run(["--json", "inspect", file]).unwrap();
        assert_eq!(seen.status, Some(1));
        let seen = program.run(["--json", "inspect", "--allow-wasi-http", file]).unwrap();
        let seen = seen.success().unwrap().json().unwrap();
        assert_eq!(
            (&seen["uses_wasi_http"], &seen["uses_pooled_http"]),
            (&json!(true), &json!(true))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_calls_share_the_pools_connection_and_are_counted() {
    for component in COMPONENTS {
        let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
        let program = program(component, &upstream, "");
        let server = Server::start(&program).unwrap();
        for _ in 0..20 {
            let told = ask(&server, &format!("read {}/models", upstream.openai_url())).await;
            assert!(told.as_str().unwrap_or_default().starts_with("200"), "{told}");
        }
        assert_eq!(upstream.requests(Api::OpenAi).len(), 20);
        assert_eq!(upstream.stats().connections.opened, 1);

        let metrics = server.text("/metrics").await.unwrap();
        let counted =
            |line: &str| line.starts_with("weir_pool_requests") && line.contains("foreign") && line.ends_with(" 20");
        assert!(metrics.lines().any(counted), "{metrics}");
        let (_, providers) = server.get("/v1/providers").await.unwrap();
        assert!(
            providers.to_string().contains("\"uses_pooled_http\":true"),
            "{providers}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_puts_the_key_in_and_the_component_never_sees_it() {
    for component in COMPONENTS {
        let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
        let program = program(component, &upstream, "");
        let told = order(&program, &format!("fetch {}/models", upstream.openai_url()));
        assert!(told.starts_with("200"), "{told}");
        let received = upstream.last_request(Api::OpenAi).unwrap();
        assert_eq!(received.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_place_is_reached() {
    for component in COMPONENTS {
        let upstream = Upstream::start().await.unwrap();
        let program = program(component, &upstream, "");
        let other_port = upstream.own_url_of(Api::Voyage);
        for url in [
            other_port.as_str(),
            "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:10.0.0.1]/",
            "https://example.com/",
            "http://user:password@127.0.0.1/",
        ] {
            let told = order(&program, &format!("fetch {url}"));
            // In 0.3, user-info makes no URL.
            let refused = told.contains("HttpRequestDenied") || told.contains("HttpRequestUriInvalid");
            assert!(refused, "{component}, {url}: {told}");
        }
        assert_eq!(upstream.stats().connections.opened, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_headers_line_breaks_and_tunnels_are_refused() {
    for component in COMPONENTS {
        let upstream = Upstream::start().await.unwrap();
        let program = program(component, &upstream, "");
        for order_text in [
            "header Host evil.example",
            "header Authorization Bearer",
            "header Cookie a=b",
            "header Proxy-Authorization x",
            "header x-a 1\\r\\nx-b:2",
            "method CONNECT",
            "method TRACE",
        ] {
            let told = order(&program, order_text);
            assert!(told.contains("InternalError"), "{order_text}: {told}");
        }
        assert_eq!(upstream.stats().connections.opened, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_or_shorter_than_stated_is_never_sent() {
    for component in COMPONENTS {
        let upstream = Upstream::start().await.unwrap();
        let program = program(component, &upstream, "limits.max_request_bytes = \"64KiB\"");
        let told = order(&program, "upload 100000");
        assert!(told.contains("HttpRequestBodySize"), "{told}");
        let told = order(&program, "short 2");
        // In 0.3 there is a word for it.
        let refused = told.contains("HttpProtocolError") || told.contains("HttpRequestBodySize");
        assert!(refused, "{component}: {told}");
        assert_eq!(upstream.stats().requests.total, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_so_many_requests_in_flight_and_no_more() {
    for component in COMPONENTS {
        let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
        upstream.order(Fault::new(FaultKind::Delay { millis: 300 }).always());
        let program = program(component, &upstream, "limits.max_concurrent_requests = 2");
        let told = order(&program, &format!("hold 3 {}/models", upstream.openai_url()));
        assert_eq!(told, "200 200 ErrorCode::ConnectionLimitReached");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_never_sent_are_bounded() {
    for component in COMPONENTS {
        let upstream = Upstream::start().await.unwrap();
        let program = program(component, &upstream, "");
        let hoard = |bytes: usize| {
            let input = input(&format!("hoard {bytes}")).to_string();
            let finished = program.run(["--json", "call", "foreign", "chat", "--input", &input]);
            let finished = finished.unwrap();
            finished.stdout + &finished.stderr
        };
        // In 0.2 too large a set of headers is a trap; in 0.3 it is refused, and the component says so.
        let told = hoard(70_000);
        let refused = told.contains("\"kind\":\"trap\"") || told.contains("\"text\":\"refused\"");
        assert!(refused, "{component}: {told}");
        let told = hoard(60_000);
        assert!(told.contains("\"kind\":\"limit-exceeded\""), "{component}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_ends_at_the_pools_time_out_or_sooner_if_the_component_says_so() {
    for component in COMPONENTS {
        let upstream = Upstream::start().await.unwrap();
        upstream.order(Fault::new(FaultKind::Hang).always());
        let url = format!("{}/models", upstream.openai_url());
        // The second waits for longer than a call may take, unless the component's own word counts.
        for (settings, order_text) in [
            ("http_pool.read_timeout = 0.2", format!("fetch {url}")),
            (
                "http_pool.read_timeout = 60\nlimits.call_timeout = 20",
                format!("impatient {url}"),
            ),
        ] {
            let told = order(&program(component, &upstream, settings), &order_text);
            assert!(told.contains("HttpResponseTimeout"), "{order_text}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_left_unread_and_a_call_that_was_cut_off_free_their_connections() {
    for component in COMPONENTS {
        let upstream = Upstream::builder().api_key(KEY).start().await.unwrap();
        let program = program(component, &upstream, "limits.call_timeout = 2.0");
        let server = Server::start(&program).unwrap();
        let url = format!("{}/models", upstream.openai_url());

        upstream.order(Fault::slow(16, std::time::Duration::from_millis(20)));
        assert_eq!(ask(&server, &format!("peek {url}")).await, "16 bytes");

        upstream.order(Fault::new(FaultKind::Hang));
        let refused = ask(&server, &format!("fetch {url}")).await;
        assert!(refused.to_string().contains("limits.call_timeout"), "{refused}");

        until("no connection is open that serves nobody", || {
            upstream.stats().requests.in_flight == 0
        })
        .await
        .unwrap();
        let told = ask(&server, &format!("read {url}")).await;
        assert!(told.as_str().unwrap_or_default().starts_with("200"), "{told}");
        let metrics = server.text("/metrics").await.unwrap();
        assert!(
            metrics.contains("weir_pool_connections{pool=\"foreign\",state=\"active\"} 0\n"),
            "{metrics}"
        );
    }
}

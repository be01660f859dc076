//! What a collector of OpenTelemetry is told: one trace from the caller through the adapter to the provider, and how
//! calls to models went. And what it costs when there is none, or a dead one: nothing.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::{Value, json};
use weir_pool::{PoolManager, PoolSettings, SendOptions};
use weir_tests::collector::Collector;
use weir_tests::configuration::{misbehaver, provider, with_upstream};
use weir_tests::live::until;
use weir_tests::{Program, Server, listens, repository};
use weir_upstream::{Api, DEFAULT_API_KEY, Fault, Upstream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const INPUT: &str = "a text that no span repeats";

/// With the voyage, cohere and openai adapters and the misbehaver at the upstream, telling the collector at this address.
fn program(upstream: &Upstream, endpoint: &str) -> Program {
    let tables = [Api::Voyage, Api::Cohere, Api::OpenAi].map(|api| provider(api.name(), &upstream.own_url_of(api)));
    let bad = misbehaver(&upstream.own_url_of(Api::OpenAi)) + "egress.allow_private = [\"127.0.0.1/32\"]\n";
    let program = with_upstream(&(tables.concat() + &bad)).unwrap();
    if endpoint.is_empty() {
        return program;
    }
    program
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "50")
}

/// Posts as a caller whose span is [`CALLER`].
async fn post(server: &Server, path: &str, body: Value) -> u16 {
    let pool = PoolManager::new()
        .unwrap()
        .pool("caller", PoolSettings::default())
        .unwrap();
    let request = http::Request::post(format!("{}{path}", server.url()))
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("tracestate", "vendor=1")
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let answer = pool.send(request, SendOptions::default()).await.unwrap();
    let status = answer.status().as_u16();
    answer.into_body().collect().await.unwrap();
    status
}

fn spans(collector: &Collector) -> Vec<Span> {
    let exports = collector
        .taken()
        .into_iter()
        .filter(|export| export.path == "/v1/traces");
    exports
        .flat_map(|export| ExportTraceServiceRequest::decode(&*export.body).unwrap().resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of the caller's trace by name, once the request's own is among them, which ends last.
async fn trace(collector: &Collector, request: &str) -> BTreeMap<String, Span> {
    let of_trace = || {
        let spans = spans(collector).into_iter().filter(|span| hex(&span.trace_id) == TRACE);
        spans.map(|span| (span.name.clone(), span)).collect::<BTreeMap<_, _>>()
    };
    until("the trace is there", async || of_trace().contains_key(request))
        .await
        .unwrap();
    of_trace()
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        AnyValue::StringValue(text) => Some(text.clone()),
        AnyValue::IntValue(number) => Some(number.to_string()),
        _ => None,
    };
    attributes
        .iter()
        .filter_map(|attribute| Some((attribute.key.clone(), text(attribute)?)))
        .collect()
}

/// What the provider was told of the trace: the trace and the span that asked.
fn told(upstream: &Upstream, api: Api) -> Option<(String, String)> {
    let request = upstream.last_request(api).unwrap();
    let parts: Vec<&str> = request.header("traceparent")?.split('-').collect();
    Some((parts[1].to_owned(), parts[2].to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_the_caller_through_the_adapter_to_the_provider() {
    let (upstream, collector) = (Upstream::start().await.unwrap(), Collector::start().await.unwrap());
    let program = program(&upstream, collector.url());
    let server = Server::start(&program).unwrap();

    assert_eq!(
        post(&server, "/v1/embeddings", json!({"model": "voyage", "input": INPUT})).await,
        200
    );

    let spans = trace(&collector, "POST /v1/embeddings").await;
    let of = |name: &str| {
        spans
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", spans.keys()))
    };
    let chain = ["POST /v1/embeddings", "embeddings", "call", "POST"].map(of);
    assert_eq!(hex(&chain[0].parent_span_id), CALLER);
    for pair in chain.windows(2) {
        assert_eq!(
            pair[1].parent_span_id, pair[0].span_id,
            "{} under {}",
            pair[1].name, pair[0].name
        );
    }
    let kinds = chain.map(|span| span.kind());
    assert_eq!(
        kinds,
        [SpanKind::Server, SpanKind::Client, SpanKind::Internal, SpanKind::Client]
    );
    assert_eq!(
        told(&upstream, Api::Voyage),
        Some((TRACE.to_owned(), hex(&chain[3].span_id)))
    );
    assert_eq!(
        upstream.last_request(Api::Voyage).unwrap().header("tracestate"),
        Some("vendor=1")
    );
    let model = attributes(&chain[1].attributes);
    assert_eq!(model["gen_ai.provider.name"], "voyage");
    assert!(model["gen_ai.usage.input_tokens"].parse::<u64>().unwrap() > 0);
    assert_eq!(attributes(&chain[3].attributes)["http.response.status_code"], "200");

    for export in collector.taken() {
        let text = String::from_utf8_lossy(&export.body);
        assert!(!text.contains(INPUT) && !text.contains(DEFAULT_API_KEY), "{text}");
        assert!(export.head.contains("x-tenant: blue"), "{}", export.head);
        assert!(text.contains("service.name") && text.contains("weir"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_is_in_its_callers_trace_too() {
    let (upstream, collector) = (Upstream::start().await.unwrap(), Collector::start().await.unwrap());
    let program = program(&upstream, collector.url());
    let server = Server::start(&program).unwrap();
    let chat = json!({"model": "openai", "stream": true, "messages": [{"role": "user", "content": INPUT}]});

    assert_eq!(post(&server, "/v1/chat/completions", chat).await, 200);

    let spans = trace(&collector, "POST /v1/chat/completions").await;
    assert_eq!(spans["call"].parent_span_id, spans["chat"].span_id);
    assert_eq!(spans["chat"].parent_span_id, spans["POST /v1/chat/completions"].span_id);
    assert_eq!(
        told(&upstream, Api::OpenAi),
        Some((TRACE.to_owned(), hex(&spans["POST"].span_id)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_adapter_says_of_a_trace_is_left_out() {
    let (upstream, collector) = (Upstream::start().await.unwrap(), Collector::start().await.unwrap());
    let program = program(&upstream, collector.url());
    let server = Server::start(&program).unwrap();
    let order = format!("header traceparent 00-{}-{}-01", "1".repeat(32), "2".repeat(16));
    let chat = json!({"messages": [{"role": "user", "content": order}]});

    assert_eq!(post(&server, "/v1/providers/bad/chat", chat).await, 200);

    let (trace, _) = told(&upstream, Api::OpenAi).unwrap();
    assert_eq!(trace, TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_models_are_measured_by_the_conventions() {
    let (upstream, collector) = (Upstream::start().await.unwrap(), Collector::start().await.unwrap());
    let program = program(&upstream, collector.url());
    let server = Server::start(&program).unwrap();
    let chat =
        |stream: bool| json!({"model": "openai/m1", "stream": stream, "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(post(&server, "/v1/chat/completions", chat(false)).await, 200);
    assert_eq!(post(&server, "/v1/chat/completions", chat(true)).await, 200);
    upstream.order(Fault::status(400));
    let rerank = json!({"model": "cohere", "query": "x", "documents": ["a", "b"]});
    assert_eq!(post(&server, "/v2/rerank", rerank).await, 400);

    // What is left is sent at the end.
    server.signal("TERM").unwrap();
    assert_eq!(server.ended().unwrap().0, Some(0));

    let durations = points(&collector, "gen_ai.client.operation.duration");
    let point = |name: &str, value: &str| {
        let found = durations
            .iter()
            .find(|point| attributes(&point.attributes).get(name).is_some_and(|v| v == value));
        found.unwrap_or_else(|| panic!("{name}={value}: {durations:?}"))
    };
    let answered = point("gen_ai.operation.name", "chat");
    assert_eq!(answered.count, 2);
    assert_eq!(answered.explicit_bounds[..3], [0.01, 0.02, 0.04]);
    let told = attributes(&answered.attributes);
    assert_eq!(
        (
            told["gen_ai.provider.name"].as_str(),
            told["gen_ai.request.model"].as_str()
        ),
        ("openai", "m1")
    );
    let failed = attributes(&point("error.type", "invalid-input").attributes);
    assert_eq!(failed["gen_ai.operation.name"], "rerank");

    let tokens = points(&collector, "gen_ai.client.token.usage");
    let kinds: Vec<String> = tokens
        .iter()
        .map(|point| attributes(&point.attributes)["gen_ai.token.type"].clone())
        .collect();
    assert!(
        kinds.contains(&"input".to_owned()) && kinds.contains(&"output".to_owned()),
        "{kinds:?}"
    );
    assert!(tokens.iter().all(|point| point.sum.unwrap() > 0.0));
}

/// The histogram of this name as it was told last.
fn points(collector: &Collector, name: &str) -> Vec<HistogramDataPoint> {
    let exports = collector
        .taken()
        .into_iter()
        .filter(|export| export.path == "/v1/metrics");
    let mut metrics = exports
        .flat_map(|export| {
            ExportMetricsServiceRequest::decode(&*export.body)
                .unwrap()
                .resource_metrics
        })
        .flat_map(|resource| resource.scope_metrics)
        .flat_map(|scope| scope.metrics);
    let last = metrics.rfind(|metric| metric.name == name);
    match last.and_then(|metric| metric.data) {
        Some(Data::Histogram(histogram)) => histogram.data_points,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_dead_or_dumb_costs_no_call_and_does_not_hold_the_end_up() {
    let upstream = Upstream::start().await.unwrap();
    let dumb = Collector::silent().await.unwrap();
    // Nobody listens at a port that was given back.
    let gone = Collector::start().await.unwrap().url().to_owned();
    for endpoint in [dumb.url(), &gone] {
        let program = program(&upstream, endpoint);
        let server = Server::start(&program).unwrap();
        for _ in 0..20 {
            assert_eq!(
                post(&server, "/v1/embeddings", json!({"model": "voyage", "input": INPUT})).await,
                200
            );
        }
        server.signal("TERM").unwrap();
        assert_eq!(
            server.ended().unwrap(),
            (Some(0), json!({"event": "stopped", "cut_off": 0}))
        );
    }
    assert!(!dumb.taken().is_empty(), "it was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_nothing_is_told_to_anyone() {
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, "");
    let server = Server::start(&program).unwrap();

    assert_eq!(
        post(&server, "/v1/embeddings", json!({"model": "voyage", "input": INPUT})).await,
        200
    );

    assert_eq!(told(&upstream, Api::Voyage), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_not_spoken_is_said_and_costs_the_telemetry_alone() {
    let collector = Collector::start().await.unwrap();
    let program = Program::with_config("")
        .unwrap()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let finished = program
        .run(["call", "local", "embed", "--input", r#"{"inputs": ["x"]}"#])
        .unwrap();
    let finished = finished.success().unwrap();
    assert!(finished.stderr.contains("http/protobuf"), "{}", finished.stderr);
    assert!(collector.taken().is_empty());
}

/// What rotel writes of each span: its trace, its parent, itself and its name.
struct Seen {
    trace: String,
    parent: String,
    id: String,
    name: String,
}

fn seen_by_rotel(log: &str) -> Vec<Seen> {
    let spans = log.split("Span #").skip(1);
    spans
        .map(|span| {
            let field = |name: &str| {
                let line = span.lines().find_map(|line| line.trim().strip_prefix(name));
                line.unwrap().trim_start_matches([' ', ':']).to_owned()
            };
            Seen {
                trace: field("Trace ID"),
                parent: field("Parent ID"),
                id: field("ID"),
                name: field("Name"),
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_in_use_elsewhere_receives_the_joined_spans() {
    let free = || {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (http, grpc) = (free(), free());
    let upstream = Upstream::start().await.unwrap();
    let program = program(&upstream, &format!("http://{http}"));
    let packages = repository().join("target/python/lib");
    let python = std::fs::read_dir(&packages)
        .expect("run `just python-clients`")
        .next()
        .unwrap()
        .unwrap();
    let log = program.folder().join("rotel.log");
    let _rotel = tokio::process::Command::new(python.path().join("site-packages/rotel/rotel-agent"))
        .args(["start", "--exporter", "blackhole", "--debug-log", "traces"])
        .args(["--debug-log-verbosity", "detailed"])
        .args(["--otlp-http-endpoint", &http.to_string()])
        .args(["--otlp-grpc-endpoint", &grpc.to_string()])
        .arg("--pid-file")
        .arg(program.folder().join("rotel.pid"))
        .stdout(Stdio::from(File::create(&log).unwrap()))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("rotel listens", async || listens(http.port())).await.unwrap();
    let server = Server::start(&program).unwrap();

    let body = json!({"model": "voyage", "input": INPUT});
    assert_eq!(post(&server, "/v1/embeddings", body).await, 200);

    let spans = || {
        let mut spans = seen_by_rotel(&std::fs::read_to_string(&log).unwrap());
        spans.retain(|span| span.trace == TRACE);
        spans
    };
    until("the request's span is there", async || {
        spans().iter().any(|span| span.name == "POST /v1/embeddings")
    })
    .await
    .unwrap();
    let spans = spans();
    for span in &spans {
        let is_joined = span.parent == CALLER || spans.iter().any(|other| other.id == span.parent);
        assert!(is_joined, "{} has another parent", span.name);
    }
    let (_, parent) = told(&upstream, Api::Voyage).unwrap();
    assert!(
        spans.iter().any(|span| span.id == parent),
        "the provider was told of none of them"
    );
}

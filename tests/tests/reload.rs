//! Components that are replaced while callers call: no call is lost, and a bad one replaces nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use weir_tests::configuration::with_upstream;
use weir_tests::live::{Load, put, until};
use weir_tests::{Program, Server, adapter, fixture};
use weir_upstream::{Api, Upstream};

/// Callers that call without a pause.
const CALLERS: usize = 4;

/// The component, and a custom section behind it that makes other bytes of it (WebAssembly binary format, 5.5.3).
fn variant(component: &Path, name: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(component).unwrap();
    let length = u8::try_from(name.len()).unwrap();
    bytes.extend([0, length + 1, length]);
    bytes.extend(name.as_bytes());
    bytes
}

/// A program whose provider `acme` is the voyage adapter in a file of its own.
fn acme(upstream: &Upstream) -> (Program, PathBuf) {
    let program = with_upstream(&format!(
        r#"
        [providers.acme]
        component = "./acme.wasm"
        config.base_url = "{}"
        secrets.api_key = {{ env = "UPSTREAM_KEY" }}
        egress.allow_private = ["127.0.0.1/32"]
        "#,
        upstream.own_url_of(Api::Voyage)
    ))
    .unwrap();
    let file = program.folder().join("acme.wasm");
    put(&file, variant(&adapter("voyage"), "a")).unwrap();
    (program, file)
}

async fn embed(server: &Server) -> (u16, Value) {
    server
        .post("/v1/providers/acme/embed", json!({"inputs": ["who answers?"]}))
        .await
        .unwrap()
}

/// What `/v1/providers` says of the one called `name`.
async fn told(server: &Server, name: &str) -> Value {
    let (_, providers) = server.get("/v1/providers").await.unwrap();
    let providers = providers["providers"].as_array().unwrap();
    providers
        .iter()
        .find(|provider| provider["name"] == name)
        .unwrap()
        .clone()
}

async fn digest(server: &Server, name: &str) -> String {
    told(server, name).await["digest"].as_str().unwrap().to_owned()
}

async fn until_other(server: &Server, name: &str, old: &str) -> String {
    until("another component serves", async || digest(server, name).await != old)
        .await
        .unwrap();
    digest(server, name).await
}

/// What `/health` says of the provider, but how fast it is.
async fn service(server: &Server, name: &str) -> Value {
    let mut service = server.health().await.unwrap()["services"][name].clone();
    service.as_object_mut().unwrap().remove("latency_seconds");
    service
}

fn reloads(outcome: &str) -> String {
    format!("weir_provider_reloads_total{{provider=\"acme\",outcome=\"{outcome}\"}}")
}

fn load(server: &Arc<Server>) -> Load {
    let server = server.clone();
    Load::of(CALLERS, move |_| {
        let server = server.clone();
        async move {
            let (status, answer) = embed(&server).await;
            assert_eq!(status, 200, "{answer}");
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_replaced_twenty_times_under_load_costs_no_call_and_keeps_its_pool() {
    let upstream = Upstream::start().await.unwrap();
    let (program, file) = acme(&upstream);
    let variants = [variant(&adapter("voyage"), "a"), variant(&adapter("voyage"), "b")];
    let server = Arc::new(Server::start(&program).unwrap());
    assert_eq!(embed(&server).await.0, 200);
    let first = digest(&server, "acme").await;
    let load = load(&server);

    let mut seen = vec![first.clone()];
    for round in 1..=20_usize {
        let bytes = &variants[round % 2];
        // As `mv` does, and as `cp` does.
        if round % 4 < 2 {
            put(&file, bytes).unwrap();
        } else {
            std::fs::write(&file, bytes).unwrap();
        }
        let old = seen.last().unwrap();
        seen.push(until_other(&server, "acme", old).await);
    }

    let calls = load.end().await.unwrap();
    assert!(calls > 20, "{calls} calls are no load");
    assert_eq!(seen[20], first);
    assert_ne!(seen[19], first);
    assert_eq!(server.metric(&reloads("swapped")).await.unwrap(), Some(20.0));
    let ok = "weir_guest_calls_total{provider=\"acme\",operation=\"embed\",outcome=\"ok\"}";
    assert_eq!(
        server.metric(ok).await.unwrap(),
        Some((calls + 1) as f64),
        "counts go on"
    );
    let (_, pools) = server.get("/v1/pools").await.unwrap();
    let names: Vec<&String> = pools["pools"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["acme"], "one pool, as before");
    let opened = upstream.stats().listeners["voyage"].opened;
    assert!(
        opened <= CALLERS as u64 + 1,
        "{opened} connections: the pool was not kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_component_leaves_the_old_one_serving_and_says_why() {
    let upstream = Upstream::start().await.unwrap();
    let (program, file) = acme(&upstream);
    let server = Server::start(&program).unwrap();
    assert_eq!(embed(&server).await.0, 200);
    let old = digest(&server, "acme").await;
    let whole = variant(&adapter("voyage"), "b");
    let bad: [(&[u8], &str); 4] = [
        (b"no component", "not"),
        (
            &wat::parse_str("(component (import \"wasi:sockets/tcp@0.2.6\" (instance)))").unwrap(),
            "wasi:sockets/tcp@0.2.6",
        ),
        // Another adapter, which does not take what this one is given.
        (&std::fs::read(adapter("memory")).unwrap(), "base_url"),
        // Still being written.
        (&whole[..whole.len() / 2], "not"),
    ];
    for (number, (bytes, reason)) in bad.iter().enumerate() {
        put(&file, bytes).unwrap();
        let refused = Some(number as f64 + 1.0);
        until("it is refused", async || {
            server.metric(&reloads("refused")).await.unwrap() == refused
        })
        .await
        .unwrap();

        let health = service(&server, "acme").await;
        assert_eq!(health["state"], "degraded");
        assert!(health["error"].as_str().unwrap().contains(reason), "{health}");
        let told = told(&server, "acme").await;
        assert_eq!((&told["state"], &told["digest"]), (&json!("loaded"), &json!(old)));
        assert_eq!(told["reason"], health["error"]);
        assert_eq!(embed(&server).await.0, 200);
    }

    // The rest of it arrives.
    put(&file, &whole).unwrap();
    until_other(&server, "acme", &old).await;
    assert_eq!(service(&server, "acme").await, json!({"state": "healthy"}));
    assert_eq!(embed(&server).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_has_the_files_looked_at_that_no_watch_sees() {
    let upstream = Upstream::start().await.unwrap();
    let (program, file) = acme(&upstream);
    let elsewhere = program.folder().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let target = elsewhere.join("v.wasm");
    std::fs::rename(&file, &target).unwrap();
    std::os::unix::fs::symlink(&target, &file).unwrap();
    let server = Server::start(&program).unwrap();
    assert_eq!(embed(&server).await.0, 200);
    let old = digest(&server, "acme").await;

    put(&target, variant(&adapter("voyage"), "b")).unwrap();
    server.hang_up().unwrap();

    until_other(&server, "acme", &old).await;
    assert_eq!(embed(&server).await.0, 200, "it serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_ends_on_the_component_it_began_with() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", upstream.local_addr().unwrap());
    let program = Program::with_config(&format!(
        "[providers.acme]\ncomponent = \"./acme.wasm\"\nconfig.base_url = \"{base_url}\"\n\
         egress.allow_private = [\"127.0.0.1/32\"]\n"
    ))
    .unwrap();
    let file = program.folder().join("acme.wasm");
    put(&file, variant(&fixture("misbehaver"), "a")).unwrap();
    let server = Arc::new(Server::start(&program).unwrap());
    let call = tokio::spawn({
        let (server, order) = (server.clone(), format!("fetch {base_url}/slow"));
        async move {
            let messages = json!([{"role": "user", "content": order}]);
            let body = json!({"model": "acme/any", "messages": messages});
            server.post("/v1/chat/completions", body).await.unwrap()
        }
    });
    let (mut connection, _) = upstream.accept().await.unwrap();
    assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);

    let old = digest(&server, "acme").await;
    put(&file, variant(&fixture("misbehaver"), "b")).unwrap();
    until_other(&server, "acme", &old).await;
    assert_eq!(embed(&server).await.0, 200, "the new one serves beside it");

    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
        .await
        .unwrap();
    let (status, answer) = call.await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer.to_string().contains("late"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_component_is_replaced_under_load_and_loses_nothing() {
    let program =
        Program::with_config("[providers.store]\ncomponent = \"./store.wasm\"\nlimits.isolation = \"resident\"\n")
            .unwrap();
    let file = program.folder().join("store.wasm");
    let variants = [variant(&adapter("memory"), "a"), variant(&adapter("memory"), "b")];
    put(&file, &variants[0]).unwrap();
    let server = Arc::new(Server::start(&program).unwrap());
    let call = async |server: &Server, operation: &str, input: Value| {
        let path = format!("/v1/providers/store/{operation}");
        let (status, answer) = server.post(&path, input).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    };
    call(
        &server,
        "ensure-collection",
        json!({"collection": "c", "dimensions": 3}),
    )
    .await;

    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..CALLERS as u64).map(|writer| {
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                let point = json!({"id": writer * 1_000_000 + written, "vector": [1.0, 2.0, 0.5], "payload": {}});
                call(&server, "upsert", json!({"collection": "c", "points": [point]})).await;
                written += 1;
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut serving = digest(&server, "store").await;
    for round in 1..=6_usize {
        put(&file, &variants[round % 2]).unwrap();
        serving = until_other(&server, "store", &serving).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }

    assert!(written > 6, "{written} points are no load");
    assert_eq!(
        call(&server, "count", json!({"collection": "c"})).await["count"],
        written
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_loaded_by_its_first_call_or_at_the_start_where_that_is_asked_for() {
    let program = Program::with_config("[providers.local]\n[providers.memory]\n").unwrap();
    let states = async |server: &Server| {
        let state = async |name| told(server, name).await["state"].as_str().unwrap().to_owned();
        [state("local").await, state("memory").await]
    };

    let lazy = Server::start(&program).unwrap();
    until("it is ready", async || lazy.text("/readyz").await.unwrap() == "ready\n")
        .await
        .unwrap();
    assert_eq!(states(&lazy).await, ["configured", "configured"]);
    assert_eq!(service(&lazy, "local").await, json!({"state": "standby"}));
    let (status, _) = lazy
        .post("/v1/providers/local/embed", json!({"inputs": ["x"]}))
        .await
        .unwrap();
    assert_eq!(status, 200);
    assert_eq!(states(&lazy).await, ["loaded", "configured"]);

    let eager = Server::start_with(&program, &["--eager"]).unwrap();
    until("it is ready", async || {
        eager.text("/readyz").await.unwrap() == "ready\n"
    })
    .await
    .unwrap();
    // What keeps state waits for its first call all the same.
    assert_eq!(states(&eager).await, ["loaded", "configured"]);
}

/// Bytes of memory that the server holds.
fn resident_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// `WEIR_SOAK_RELOADS` is for those who try whether it runs at all.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `just soak`"]
async fn ten_thousand_reloads_under_load_lose_no_call_and_no_memory() {
    let reloads: usize = std::env::var("WEIR_SOAK_RELOADS").map_or(10_000, |text| text.parse().unwrap());
    let upstream = Upstream::start().await.unwrap();
    let (program, file) = acme(&upstream);
    let variants = [variant(&adapter("voyage"), "a"), variant(&adapter("voyage"), "b")];
    let server = Arc::new(Server::start(&program).unwrap());
    assert_eq!(embed(&server).await.0, 200);
    let load = load(&server);

    let (mut serving, mut early) = (digest(&server, "acme").await, 0);
    for round in 1..=reloads {
        put(&file, &variants[round % 2]).unwrap();
        // Sooner than the watch waits for the end of the writing.
        server.hang_up().unwrap();
        serving = until_other(&server, "acme", &serving).await;
        if round == reloads / 10 {
            early = resident_memory(&server);
        }
    }
    let late = resident_memory(&server);
    let calls = load.end().await.unwrap();
    println!("{reloads} reloads, {calls} calls; {early} bytes after a tenth of them, {late} at the end");
    assert!(late.abs_diff(early) * 20 <= early, "{early} bytes became {late}");
}

//! A configuration that becomes another while callers call: it comes into force as a whole or not at all, and no call is
//! lost.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weir_pool::{PoolManager, PoolSettings, SendOptions};
use weir_tests::configuration::{misbehaver, provider, with_upstream};
use weir_tests::live::{Load, PATIENCE, put, until};
use weir_tests::{Program, Server};
use weir_upstream::{Api, DEFAULT_API_KEY, Upstream};

const APPLIED: &str = "weir_config_reloads_total{outcome=\"applied\"}";
const REFUSED: &str = "weir_config_reloads_total{outcome=\"refused\"}";

/// The voyage adapter under another name, at an upstream. Keys added behind it are in its table.
fn voyage(name: &str, upstream: &Upstream) -> String {
    let table = provider(name, &upstream.own_url_of(Api::Voyage));
    format!("{table}component = \"voyage\"\n")
}

/// As [`voyage`], with the key in the file `key`.
fn keyed(name: &str, upstream: &Upstream) -> String {
    voyage(name, upstream).replace("{ env = \"UPSTREAM_KEY\" }", "{ file = \"key\" }")
}

async fn embed(server: &Server, provider: &str) -> (u16, Value) {
    let path = format!("/v1/providers/{provider}/embed");
    server.post(&path, json!({"inputs": ["who answers?"]})).await.unwrap()
}

async fn counted(server: &Server, outcome: &str) -> f64 {
    server.metric(outcome).await.unwrap().unwrap_or_default()
}

/// Writes the configuration, and waits until it is in force.
async fn reconfigure(server: &Server, program: &Program, config: &str) {
    let before = counted(server, APPLIED).await;
    put(&program.config(), config).unwrap();
    until("the configuration is in force", async || {
        counted(server, APPLIED).await > before
    })
    .await
    .unwrap();
}

async fn pool(server: &Server, name: &str) -> Value {
    server.get("/v1/pools").await.unwrap().1["pools"][name].clone()
}

/// The next connection that the program opens.
async fn accepted(listener: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await;
    accepted.expect("the program opens no connection").unwrap().0
}

/// Reads a request's head, and what has come of its body with it.
async fn request(connection: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = connection.read(&mut bytes).await.unwrap();
    assert!(read > 0, "the connection was closed");
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_file_that_changes_goes_upstream_with_the_next_request() {
    let upstream = Upstream::start().await.unwrap();
    // Both are given to the program, so that the tests' watch for secrets knows them.
    let program = with_upstream(&keyed("acme", &upstream))
        .unwrap()
        .env("OLD_KEY", "wrong-key-31c9");
    let key = program.folder().join("key");
    std::fs::write(&key, "wrong-key-31c9").unwrap();
    let server = Server::start(&program).unwrap();
    assert_eq!(embed(&server, "acme").await.0, 401);

    put(&key, DEFAULT_API_KEY).unwrap();
    until("the secret is read", async || counted(&server, APPLIED).await == 1.0)
        .await
        .unwrap();
    assert_eq!(embed(&server, "acme").await.0, 200);
    let sent = upstream.last_request(Api::Voyage).unwrap();
    assert_eq!(
        sent.header("authorization"),
        Some(format!("Bearer {DEFAULT_API_KEY}").as_str())
    );
    let calls = "weir_guest_calls_total{provider=\"acme\",operation=\"embed\",outcome=\"ok\"}";
    assert_eq!(server.metric(calls).await.unwrap(), Some(1.0));
    assert_eq!(upstream.stats().listeners["voyage"].opened, 1, "the pool is the same");
}

/// Asks with a key of the server's own.
async fn status_with(server: &Server, key: &str) -> u16 {
    let pool = PoolManager::new()
        .unwrap()
        .pool("keys", PoolSettings::default())
        .unwrap();
    let request = http::Request::get(format!("{}/v1/pools", server.url()))
        .header("authorization", format!("Bearer {key}"))
        .body(Bytes::new())
        .unwrap();
    pool.send(request, SendOptions::default())
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_that_is_removed_stops_working_and_a_new_one_works() {
    let config = |name: &str| format!("[server]\napi_keys = [{{ env = \"{name}\" }}]\n");
    let program = Program::with_config(&config("FIRST_KEY")).unwrap();
    let program = program
        .env("FIRST_KEY", "first-5b1e77")
        .env("SECOND_KEY", "second-90aa3d");
    let server = Server::start(&program).unwrap();
    assert_eq!(status_with(&server, "first-5b1e77").await, 200);
    assert_eq!(status_with(&server, "second-90aa3d").await, 401);

    put(&program.config(), config("SECOND_KEY")).unwrap();
    until("the new key opens", async || {
        status_with(&server, "second-90aa3d").await == 200
    })
    .await
    .unwrap();
    assert_eq!(status_with(&server, "first-5b1e77").await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_that_is_removed_stops_working_though_a_call_of_a_resident_holds_its_place() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = provider("slow", &format!("http://{}", silent.local_addr().unwrap()));
    let config = |key: &str, timeout: u32| {
        format!(
            "[server]\napi_keys = [{{ env = \"{key}\" }}]\n{slow}component = \"voyage\"\n\
             limits = {{ isolation = \"resident\", call_timeout = {timeout} }}\n"
        )
    };
    let program = with_upstream(&config("FIRST_KEY", 100)).unwrap();
    let program = program
        .env("FIRST_KEY", "first-5b1e77")
        .env("SECOND_KEY", "second-90aa3d");
    let server = Server::start(&program).unwrap();
    let url = format!("{}/v1/providers/slow/embed", server.url());
    let call = http::Request::post(url)
        .header("authorization", "Bearer first-5b1e77")
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{\"inputs\": [\"who answers?\"]}"))
        .unwrap();
    let pools = PoolManager::new().unwrap();
    let pool = pools.pool("callers", PoolSettings::default()).unwrap();
    let calling = tokio::spawn(async move { pool.send(call, SendOptions::default()).await.map(drop) });
    let _held = accepted(&silent).await;

    // The resident is to be another, and waits for its call.
    put(&program.config(), config("FIRST_KEY", 99)).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    put(&program.config(), config("SECOND_KEY", 99)).unwrap();
    until("the old key opens no more", async || {
        status_with(&server, "first-5b1e77").await == 401
    })
    .await
    .unwrap();
    assert!(!calling.is_finished());
    calling.abort();
}

/// A piece of OpenAI's streamed answer.
fn piece(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
    format!("data: {chunk}\n\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_added_serves_and_one_that_is_removed_is_not_found_while_its_answer_under_way_ends() {
    let upstream = Upstream::start().await.unwrap();
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let talker = provider("talker", &format!("http://{}/v1", slow.local_addr().unwrap()));
    let talker = format!("{talker}component = \"openai\"\n");
    let program = with_upstream(&talker).unwrap();
    let server = Server::start(&program).unwrap();
    let body = json!({"model": "talker/m", "stream": true, "messages": [{"role": "user", "content": "talk"}]});
    let client = PoolManager::new()
        .unwrap()
        .pool("client", PoolSettings::default())
        .unwrap();
    let ask = http::Request::post(format!("{}/v1/chat/completions", server.url()))
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let asked = tokio::spawn(async move { client.send(ask, SendOptions::default()).await.unwrap() });
    let mut connection = accepted(&slow).await;
    request(&mut connection).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let begun = piece(&json!({"role": "assistant", "content": "first"}), None);
    connection.write_all(format!("{head}{begun}").as_bytes()).await.unwrap();
    let mut answer = asked.await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut heard = String::new();
    while !heard.contains("first") {
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        heard += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
    }

    reconfigure(&server, &program, &voyage("acme", &upstream)).await;
    assert_eq!(embed(&server, "acme").await.0, 200);
    let (status, refused) = server
        .post(
            "/v1/chat/completions",
            json!({"model": "talker/m", "messages": [{"role": "user", "content": "x"}]}),
        )
        .await
        .unwrap();
    assert_eq!(status, 404, "{refused}");
    let services = server.health().await.unwrap()["services"].clone();
    assert!(
        services.get("talker").is_none() && services.get("acme").is_some(),
        "{services}"
    );
    assert_eq!(pool(&server, "talker").await, Value::Null);

    let end = piece(&json!({"content": "last"}), None) + &piece(&json!({}), Some("stop")) + "data: [DONE]\n\n";
    connection.write_all(end.as_bytes()).await.unwrap();
    drop(connection);
    let rest = answer.into_body().collect().await.unwrap().to_bytes();
    heard += std::str::from_utf8(&rest).unwrap();
    assert!(
        heard.contains("last") && heard.trim_end().ends_with("[DONE]"),
        "{heard}"
    );

    // Once more there, it is a new one.
    reconfigure(&server, &program, &(talker + &voyage("acme", &upstream))).await;
    let call = tokio::spawn(async move {
        server
            .post(
                "/v1/chat/completions",
                json!({"model": "talker/m", "messages": [{"role": "user", "content": "x"}]}),
            )
            .await
    });
    let mut connection = accepted(&slow).await;
    request(&mut connection).await;
    connection
        .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(call.await.unwrap().unwrap().0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_raised_limit_lets_those_through_that_wait() {
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", slow.local_addr().unwrap());
    let limited = |most: usize| {
        let table = misbehaver(&url);
        format!(
            "{table}egress.allow_private = [\"127.0.0.1/32\"]\nhttp_pool = {{ max_connections = {most}, pool_timeout = 60 }}\n"
        )
    };
    let program = Program::with_config(&limited(1)).unwrap();
    let server = Arc::new(Server::start(&program).unwrap());
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let (server, order) = (server.clone(), format!("fetch {url}/slow"));
            let input = json!({"messages": [{"role": "user", "content": order}]});
            tokio::spawn(async move { server.post("/v1/providers/bad/chat", input).await.unwrap() })
        })
        .collect();
    let first = accepted(&slow).await;
    until("two wait", async || {
        let pool = pool(&server, "bad").await;
        (&pool["active"], &pool["waiting"]) == (&json!(1), &json!(2))
    })
    .await
    .unwrap();

    reconfigure(&server, &program, &limited(3)).await;
    let mut connections = vec![first];
    for _ in 0..2 {
        connections.push(accepted(&slow).await);
    }
    for connection in &mut connections {
        request(connection).await;
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
            .await
            .unwrap();
    }
    for call in calls {
        let (status, answer) = call.await.unwrap();
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(pool(&server, "bad").await["max_connections"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_changes_nothing_and_is_told_until_a_good_one_comes() {
    let upstream = Upstream::start().await.unwrap();
    let good = voyage("acme", &upstream);
    let program = with_upstream(&good).unwrap();
    let server = Server::start(&program).unwrap();
    assert_eq!(embed(&server, "acme").await.0, 200);
    let bad = [
        (format!("{good}\n[routes\n"), "weir.toml:7:8"),
        (
            format!("{good}max_conections = 3\n"),
            "unknown key `providers.acme.max_conections`",
        ),
        (
            format!("{good}config.model = \"${{NOWHERE}}\"\n"),
            "`NOWHERE` is not defined",
        ),
        (good.replace("UPSTREAM_KEY", "NO_SUCH_KEY"), "NO_SUCH_KEY is not set"),
        // Only the component knows that it takes no such setting; what else is new is not in force either.
        (
            format!("{good}config.colour = \"red\"\n[providers.more]\ncomponent = \"local\"\n"),
            "takes no setting `colour`",
        ),
        (String::new(), "sets nothing"),
    ];
    for (number, (config, reason)) in bad.iter().enumerate() {
        put(&program.config(), config).unwrap();
        let refused = number as f64 + 1.0;
        until("it is refused", async || counted(&server, REFUSED).await == refused)
            .await
            .unwrap();
        let health = server.health().await.unwrap();
        assert_eq!(health["status"], "degraded", "{health}");
        assert_eq!(health["configuration"]["state"], "degraded", "{health}");
        let told = health["configuration"]["error"].as_str().unwrap();
        assert!(told.contains(reason) && told.contains("weir.toml"), "{told}");
        assert_eq!(embed(&server, "acme").await.0, 200);
        assert_eq!(embed(&server, "more").await.0, 404);
    }
    assert_eq!(counted(&server, APPLIED).await, 0.0);

    put(&program.config(), &good).unwrap();
    until("it is healthy", async || {
        server.health().await.unwrap()["status"] == "healthy"
    })
    .await
    .unwrap();
    assert_eq!(
        counted(&server, APPLIED).await,
        0.0,
        "what was in force already is no new configuration"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_the_same_is_not_touched() {
    let upstream = Upstream::start().await.unwrap();
    let good = voyage("acme", &upstream);
    let store = "[providers.store]\ncomponent = \"memory\"\nlimits.isolation = \"resident\"\n";
    let program = with_upstream(&format!("{good}{store}")).unwrap();
    let server = Server::start(&program).unwrap();
    assert_eq!(embed(&server, "acme").await.0, 200);
    let collection = json!({"collection": "c", "dimensions": 3});
    let made = server
        .post("/v1/providers/store/ensure-collection", collection.clone())
        .await
        .unwrap();
    assert_eq!(made, (200, json!({"created": true})));
    let idle = pool(&server, "acme").await;
    let instances = "weir_guest_instances{provider=\"acme\",state=\"idle\"}";
    assert_eq!(server.metric(instances).await.unwrap(), Some(1.0));

    let routes = "[routes.embeddings]\nbest = [\"acme\"]\n";
    reconfigure(
        &server,
        &program,
        &format!("# a word\n{good}{store}limits.storage = \"1MiB\"\n{routes}"),
    )
    .await;
    assert_eq!(pool(&server, "acme").await, idle);
    assert_eq!(
        server.metric(instances).await.unwrap(),
        Some(1.0),
        "the instance is still there"
    );
    let (status, answer) = server
        .post("/v1/embeddings", json!({"model": "best", "input": "x"}))
        .await
        .unwrap();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(upstream.stats().listeners["voyage"].opened, 1);
    // What keeps state has its data under other limits, too, and when it comes back.
    let again = async || {
        let path = "/v1/providers/store/ensure-collection";
        server.post(path, collection.clone()).await.unwrap()
    };
    assert_eq!(again().await, (200, json!({"created": false})));
    reconfigure(&server, &program, &good).await;
    assert_eq!(again().await.0, 404);
    reconfigure(&server, &program, &format!("{good}{store}")).await;
    assert_eq!(again().await, (200, json!({"created": false})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_has_a_file_read_again_that_no_watch_sees() {
    let program = Program::with_config("[providers.local]\n").unwrap();
    let elsewhere = program.folder().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let target = elsewhere.join("w.toml");
    std::fs::rename(program.config(), &target).unwrap();
    std::os::unix::fs::symlink(&target, program.config()).unwrap();
    let server = Server::start(&program).unwrap();
    assert_eq!(embed(&server, "more").await.0, 404);

    put(&target, "[providers.local]\n[providers.more]\ncomponent = \"local\"\n").unwrap();
    server.hang_up().unwrap();
    until("it serves", async || embed(&server, "more").await.0 == 200)
        .await
        .unwrap();
}

/// Two callers that name the provider, and two that name a route.
fn load(server: &Arc<Server>) -> Load {
    let server = server.clone();
    Load::of(4, move |number| {
        let server = server.clone();
        async move {
            let (status, answer) = match number % 2 {
                0 => embed(&server, "acme").await,
                _ => {
                    let body = json!({"model": "best", "input": "who answers?"});
                    server.post("/v1/embeddings", body).await.unwrap()
                }
            };
            assert_eq!(status, 200, "{answer}");
        }
    })
}

/// Configurations of which each is another than the one before, whatever it was.
fn variants(upstream: &Upstream) -> [String; 6] {
    let acme = voyage("acme", upstream);
    let one = voyage("one", upstream) + "[routes.embeddings]\nbest = [\"one\"]\n";
    let two = voyage("two", upstream) + "[routes.embeddings]\nbest = [\"two\"]\n";
    [
        // Each names the route's only provider, and the next one has another.
        format!("{acme}{one}"),
        format!("{acme}http_pool.max_connections = 3\n{two}"),
        // A pool that can't be resized is replaced.
        format!("{acme}http_pool.enable_http2 = false\n{one}"),
        format!("{acme}limits.isolation = \"call\"\nresilience.max_attempts = 2\n{two}"),
        format!("{}{one}", acme.replace("127.0.0.1/32", "127.0.0.0/8")),
        format!("{acme}limits.max_instances = 7\n{two}"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_reloads_under_load_lose_no_call() {
    let upstream = Upstream::start().await.unwrap();
    let variants = variants(&upstream);
    let program = with_upstream(&variants[0]).unwrap();
    let server = Arc::new(Server::start(&program).unwrap());
    let load = load(&server);

    for round in 1..=50_usize {
        let config = &variants[round % variants.len()];
        match round % 3 {
            0 => put(&program.config(), config).unwrap(),
            // As editors do that keep the file: it is empty, then half there.
            1 => {
                std::fs::write(program.config(), "").unwrap();
                std::fs::write(program.config(), &config[..config.len() / 2]).unwrap();
                std::fs::write(program.config(), config).unwrap();
            }
            // Sooner than the watch waits for the end of the writing.
            _ => {
                put(&program.config(), config).unwrap();
                server.hang_up().unwrap();
            }
        }
        until("it is in force", async || {
            counted(&server, APPLIED).await >= round as f64
        })
        .await
        .unwrap();
    }

    let calls = load.end().await.unwrap();
    assert!(calls > 200, "{calls} calls are no load");
    assert_eq!(counted(&server, APPLIED).await, 50.0);
    assert_eq!(counted(&server, REFUSED).await, 0.0);
    assert_eq!(server.health().await.unwrap()["status"], "healthy");
    let (_, pools) = server.get("/v1/pools").await.unwrap();
    let names: Vec<&String> = pools["pools"].as_object().unwrap().keys().collect();
    assert!(
        names.iter().all(|name| ["acme", "one", "two"].contains(&name.as_str())),
        "{names:?}"
    );
    assert_eq!(
        server.metric("weir_pool_fallbacks_total{pool=\"acme\"}").await.unwrap(),
        None
    );
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
async fn two_thousand_configurations_under_load_lose_no_call_and_no_memory() {
    let reloads: usize = std::env::var("WEIR_SOAK_RELOADS").map_or(2_000, |text| text.parse().unwrap());
    let upstream = Upstream::start().await.unwrap();
    let variants = variants(&upstream);
    let program = with_upstream(&variants[0]).unwrap();
    let server = Arc::new(Server::start(&program).unwrap());
    let load = load(&server);
    let mut early = 0;
    for round in 1..=reloads {
        put(&program.config(), &variants[round % variants.len()]).unwrap();
        server.hang_up().unwrap();
        until("it is in force", async || {
            counted(&server, APPLIED).await >= round as f64
        })
        .await
        .unwrap();
        if round == reloads / 4 {
            early = resident_memory(&server);
        }
    }
    let late = resident_memory(&server);
    let calls = load.end().await.unwrap();
    println!("{reloads} reloads, {calls} calls; {early} bytes after a quarter of them, {late} at the end");
    assert!(late.saturating_sub(early) * 20 <= early, "{early} bytes became {late}");
}
